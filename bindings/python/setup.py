# SPDX-License-Identifier: MIT
"""Build the wheel: python3 setup.py bdist_wheel, or pip wheel ."""
import subprocess

from setuptools import setup


def version():
    return subprocess.run(["pkg-config", "--modversion", "vestry"], check=True, capture_output=True, text=True).stdout.strip()


setup(name="vestry", version=version(), description="Live pages and streams by name, with the C library vestry",
      license="MIT", packages=["vestry"], cffi_modules=["vestry_build.py:ffi"], install_requires=["cffi>=1.15"],
      python_requires=">=3.9")
