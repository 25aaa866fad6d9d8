# SPDX-License-Identifier: MIT
"""The description of the machine on a page of measurements, and the load of other processes on it."""
import os
import platform
import re
import subprocess


def processor_seconds():
    """Return processor seconds: (used by all processes, available, used by this process and its children)."""
    ticks = [int(field) for field in open("/proc/stat", encoding="utf-8").readline().split()[1:9]]
    idle, tick = ticks[3] + ticks[4], os.sysconf("SC_CLK_TCK")
    own = os.times()
    used = own.user + own.system + own.children_user + own.children_system
    return (sum(ticks) - idle) / tick, sum(ticks) / tick, used


def others_share(before, after):
    """Return the share of the processors that other processes used meanwhile, including other virtual machines of
    the host."""
    busy, there, own = (now - then for then, now in zip(before, after))
    return max(0, busy - own) / there


def package_version(name):
    query = ["dpkg-query", "-W", "-f=${Version}", name]
    return subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout


def describe(packages):
    cpuinfo = open("/proc/cpuinfo", encoding="utf-8").read()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    compiler = subprocess.run(["cc", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
    return {"cpu": model.group(1) if model else platform.machine(), "cpus": os.cpu_count(),
            "kernel": ".".join(platform.release().split(".")[:2]), "compiler": compiler,
            "packages": {name: package_version(name) for name in packages}}
