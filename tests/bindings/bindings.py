#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The counter of a binding, built against an installation and used: bindings.py cpp|python REPOSITORY BUILD

Each counter is started, receives requests, is ended by Ctrl-C and started again. An exception in a function of the
program fails only its request."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

BINDING, REPOSITORY, BUILD = sys.argv[1:4]
HERE = os.path.join(REPOSITORY, "bindings", BINDING)
PYTHON = "/usr/bin/python3"  # this Python has Debian's cffi


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def installed(scratch):
    """Install vestry. Return the environment in which pkg-config and the loader find the installation."""
    prefix = os.path.join(scratch, "prefix")
    run("cmake", "--install", BUILD, "--prefix", prefix)
    libraries = next(folder for folder, _, files in os.walk(prefix) if "libvestry.so" in files)
    return dict(os.environ, PKG_CONFIG_PATH=os.path.join(libraries, "pkgconfig"), LD_LIBRARY_PATH=libraries)


def cpp(scratch, environment):
    """Build with both compilers and two standards, without a warning. Return the first program."""
    words = run("pkg-config", "--cflags", "--libs", "vestry-app", "vestry-microhttpd", env=environment).split()
    programs = []
    for compiler in filter(shutil.which, ["g++", "clang++"]):
        for standard in ["c++17", "c++20"]:
            programs.append(os.path.join(scratch, f"{compiler}-{standard}"))
            run(compiler, f"-std={standard}", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", os.path.join(HERE, "counter.cpp"), "-o",
                programs[-1], *words, env=environment)
    return [programs[0]], environment


def python(scratch, environment):
    """Make a wheel, and unpack it into a folder."""
    source, place = os.path.join(scratch, "source"), os.path.join(scratch, "place")
    shutil.copytree(HERE, source)
    run(PYTHON, "setup.py", "-q", "bdist_wheel", cwd=source, env=environment)
    wheel, = os.listdir(os.path.join(source, "dist"))
    run(PYTHON, "-m", "zipfile", "-e", os.path.join(source, "dist", wheel), place)
    program = shutil.copy(os.path.join(HERE, "counter.py"), scratch)
    return [PYTHON, "-B", program], dict(environment, PYTHONPATH=place)


def ask(url, path="", method="GET", datastar=False):
    headers = {"Datastar-Request": "true"} if datastar else {}
    asked = urllib.request.Request(url + path, method=method, headers=headers, data=b"{}" if method == "POST" else None)
    return urllib.request.urlopen(asked, timeout=30)


def until(lines, text):
    for line in lines:
        if text in line:
            return
    raise AssertionError(f"the stream ended without {text}")


def use(program, environment):
    with subprocess.Popen([*program, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as counter:
        try:
            url = counter.stdout.readline().split(": ", 1)[-1].strip()
            assert url.startswith("http://127.0.0.1:"), url
            url = url.rstrip("/")
            with ask(url, "/") as page:
                assert b"<output>" in page.read()
            with ask(url, "/", datastar=True) as stream:
                until(stream, b"<output>")  # an update of the timer, or the initial content
                with ask(url, "/jump", "POST", True) as answer:
                    assert answer.status == 204
                until(stream, b"<output>1")  # ten, plus the seconds so far
                try:
                    ask(url, "/broken", "POST", True)
                    raise AssertionError("a request with an exception succeeded")
                except urllib.error.HTTPError as refused:
                    assert refused.code == 500
                    refused.close()
                until(stream, b"<output>1")  # the stream continues after the failed request
            counter.send_signal(signal.SIGINT)
            assert counter.wait(60) == 0, counter.returncode
            assert "on purpose" in counter.stderr.read()
        finally:
            counter.kill()


def taken(program, environment):
    """The program fails if another program uses its port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = subprocess.run([*program, str(other.getsockname()[1])], capture_output=True, text=True, env=environment, timeout=60)
        assert done.returncode == 1 and "vestry_server_run" in done.stderr, done


if BINDING == "python" and subprocess.run([PYTHON, "-c", "import cffi, setuptools, wheel"], capture_output=True).returncode:
    print("Debian's python3-cffi, python3-setuptools and python3-wheel are not there.")
    sys.exit(77)
with tempfile.TemporaryDirectory() as scratch_folder:
    command, used = {"cpp": cpp, "python": python}[BINDING](scratch_folder, installed(scratch_folder))
    use(command, used)
    use(command, used)
    taken(command, used)
