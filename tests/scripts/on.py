# SPDX-License-Identifier: MIT
"""The behaviour of scripts/on, with a chroot of a few programs that a simulated mmdebstrap makes: on.py REPOSITORY

The chroot is made once, and again if it is incomplete. Concurrent runs do not harm each other. Exit statuses and errors
are reported. However a run ends, it leaves neither a process nor a mount."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

REPOSITORY = sys.argv[1]
PATIENCE_S = 240
PROGRAMS = ["/usr/bin/env", "/bin/sh", "/bin/cat", "/bin/sleep"]
MMDEBSTRAP = """#!/bin/sh
# mmdebstrap OPTION… SUITE ROOT -
while [ $# -gt 3 ]; do shift; done
echo made >>"$FAKE/calls"
mkdir -p "$2"
case ${FAIL-} in
'') ;;
half)
  : >"$2/half"
  : >"$FAKE/half"
  exec sleep "$MARK"
  ;;
gate) read -r _ <"$FAKE/gate" ;;
*)
  echo "$FAIL" >&2
  exit 1
  ;;
esac
cp -a "$FAKE/root/." "$2"
"""


def write(path, text, mode=0o755):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def copy_with_libraries(program, root):
    libraries = re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", program], capture_output=True, text=True).stdout)
    for file in [program, *libraries]:
        os.makedirs(os.path.dirname(root + file), exist_ok=True)
        shutil.copy(os.path.realpath(file), root + file)


def until(what, condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"timeout: {what}"
        time.sleep(0.01)


def processes(mark):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if mark.encode() in file.read().split(b"\0"):
                    found.append(pid)
        except OSError:
            pass
    return found


def mounts(folder):
    """Return the mounts below a folder: other mounts may come and go on the machine meanwhile."""
    with open("/proc/self/mounts") as file:
        return [line for line in file if folder in line]


class World:
    """A tree with the scripts, programs that precede the machine's on the PATH, and a folder for chroots."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.fake = f"{scratch}/fake"
        self.mark = f"86400.{os.getpid()}"  # an argument of sleep that no other process on the machine has
        for script in ["on", "require"]:
            os.makedirs(f"{scratch}/tree/scripts", exist_ok=True)
            shutil.copy(f"{REPOSITORY}/scripts/{script}", f"{scratch}/tree/scripts")
        write(f"{self.fake}/bin/mmdebstrap", MMDEBSTRAP)
        for folder in ["proc", "sys", "dev", "etc/apt/apt.conf.d", "tmp", "root", "usr/sbin", "var/lib/dpkg/updates"]:
            os.makedirs(f"{self.fake}/root/{folder}")
        for program in PROGRAMS:
            copy_with_libraries(program, f"{self.fake}/root")
        for program in ["dpkg", "apt-get"]:
            write(f"{self.fake}/root/usr/bin/{program}", "#!/bin/sh\n")

    def start(self, *command, suite="other", path="", **environment):
        return subprocess.Popen(
            [f"{self.scratch}/tree/scripts/on", suite, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "VESTRY_CHROOTS": f"{self.scratch}/chroots", "FAKE": self.fake, "MARK": self.mark,
                 "PATH": f"{path}{self.fake}/bin:{os.environ['PATH']}", **environment})

    def run(self, *command, wanted=0, **more):
        run = self.start(*command, **more)
        out, err = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == wanted, f"{command}: {run.returncode}, not {wanted}: {out}{err}"
        return out, err

    def calls(self):
        try:
            with open(f"{self.fake}/calls") as file:
                return len(file.readlines())
        except FileNotFoundError:
            return 0


def is_made_once(world):
    assert world.run("sh", "-c", "echo hello from $PWD; echo oh >&2") == (
        f"hello from {world.scratch}/tree\n", f"scripts/on: making Debian other in {world.scratch}/chroots/other\noh\n")
    world.run("sh", "-c", "exit 5", wanted=5)
    assert world.run("sh", "-c", "echo here >build/file; read -r word; echo $word")[0] == "\n"
    assert os.path.exists(f"{world.scratch}/tree/build/on/other/file"), "its build folder is not build/on/other"
    assert world.calls() == 1


def nothing_is_left(world):
    before = mounts(world.scratch)
    # Ended by a signal to it, by Ctrl-C, which reaches the whole foreground, and by a kill, which it cannot notice.
    for number, everybody, wanted in [(signal.SIGTERM, False, 143), (signal.SIGINT, True, 130),
                                      (signal.SIGHUP, False, 129), (signal.SIGKILL, False, -9)]:
        # A background process, and a process that ignores signals.
        run = world.start("sh", "-c", f"sleep {world.mark} & trap '' INT TERM HUP; echo started; sleep {world.mark}")
        assert run.stdout.readline() == "started\n"
        (os.killpg if everybody else os.kill)(run.pid, number)
        assert run.wait(PATIENCE_S) == wanted, f"{number}: {run.returncode}"
        if number != signal.SIGKILL:
            assert processes(world.mark) == [], f"{number}: processes are left"
        until(f"processes end after {number}", lambda: not processes(world.mark))
        assert mounts(world.scratch) == before, f"{number}: mounts are left"
        said = run.communicate()[1]
        assert said == "", f"{number}: unexpected output: {said}"


def a_half_made_one_is_made_again(world):
    calls = world.calls()
    run = world.start("sh", "-c", "echo never", suite="half", FAIL="half")
    until("it is half-made", lambda: os.path.exists(f"{world.fake}/half"))
    run.send_signal(signal.SIGTERM)
    assert run.communicate(timeout=PATIENCE_S)[0] == "" and run.returncode == 143
    assert processes(world.mark) == []
    assert os.path.exists(f"{world.scratch}/chroots/half/half")
    assert world.run("sh", "-c", "echo whole", suite="half")[0] == "whole\n"
    assert not os.path.exists(f"{world.scratch}/chroots/half/half")
    assert world.calls() == calls + 2
    # A chroot in which an installation was interrupted is made again, too.
    write(f"{world.scratch}/chroots/half/var/lib/dpkg/updates/0001", "")
    assert world.run("sh", "-c", "echo mended", suite="half")[0] == "mended\n"
    assert world.calls() == calls + 3


def it_is_upgraded_once_a_day(world):
    write(f"{world.fake}/root/usr/bin/apt-get", "#!/bin/sh\necho \"$*\" >>/calls\n[ ! -e /broken ] || exit 100\n")
    root = f"{world.scratch}/chroots/daily"
    said = f"scripts/on: upgrading {root}\n"
    assert said not in world.run("sh", "-c", ":", suite="daily")[1]
    assert not os.path.exists(f"{root}/calls")
    day_ago = time.time() - 25 * 60 * 60
    os.utime(f"{root}.ready", (day_ago, day_ago))
    write(f"{root}/broken", "")  # as without network: the existing packages are used
    out, err = world.run("sh", "-c", "echo works", suite="daily")
    assert out == "works\n" and said in err and "stay as they are" in err, err
    os.remove(f"{root}/broken")
    assert said in world.run("sh", "-c", ":", suite="daily")[1]
    with open(f"{root}/calls") as file:
        assert "upgrade" in file.read()
    assert said not in world.run("sh", "-c", ":", suite="daily")[1]
    # With other mirrors, packages may be others too.
    write(f"{root}.ready", "deb http://other.example/debian daily main\n")
    assert said in world.run("sh", "-c", ":", suite="daily")[1]


def several_at_once(world):
    first = world.start("sh", "-c", "echo started; read -r word; echo $word")
    assert first.stdout.readline() == "started\n"
    assert world.run("sh", "-c", "echo beside")[0] == "beside\n"
    assert first.communicate("end\n", timeout=PATIENCE_S)[0] == "end\n" and first.returncode == 0

    # One run makes it, the other run waits.
    calls = world.calls()
    os.mkfifo(f"{world.fake}/gate")
    runs = [world.start("sh", "-c", "echo made", suite="both", FAIL="gate")]
    with open(f"{world.fake}/gate", "w") as gate:  # returns when the chroot is being made
        runs.append(world.start("sh", "-c", "echo made", suite="both", FAIL="gate"))
        assert runs[1].stderr.readline().startswith("scripts/on: waiting for another run")
        gate.write("\n")
    for run in runs:
        assert run.communicate(timeout=PATIENCE_S)[0] == "made\n" and run.returncode == 0
    assert world.calls() == calls + 1


def failures_say_what_to_do(world):
    for said, wanted in [("E: … NO_PUBKEY 6ED0E7B82643E131", "debian-archive-keyring"),
                         ("Temporary failure resolving 'deb.debian.org'", "no network"),
                         ("404  Not Found [IP: 127.0.0.1 80]", "does not have failed"),
                         ("write error: No space left on device", "VESTRY_CHROOTS")]:
        err = world.run("sh", "-c", "echo never", suite="failed", FAIL=said, wanted=76)[1]
        assert said in err and wanted in err and f"{world.scratch}/chroots/failed.log" in err, err
    write(f"{world.scratch}/none/unshare", "#!/bin/sh\nexit 1\n")
    err = world.run("sh", path=f"{world.scratch}/none:", wanted=77)[1]
    assert "CAP_SYS_ADMIN" in err, err
    assert "usage" in world.run(wanted=2)[1]
    assert "usage" in world.run("sh", suite="../x", wanted=2)[1]


user = [] if os.getuid() == 0 else ["--user", "--map-root-user", "--map-auto"]
if subprocess.run(["unshare", *user, "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).returncode:
    print("skipped: this machine does not permit namespaces")
    sys.exit(77)
with tempfile.TemporaryDirectory() as scratch:
    world = World(scratch)
    for check in [is_made_once, nothing_is_left, a_half_made_one_is_made_again, it_is_upgraded_once_a_day,
                  several_at_once, failures_say_what_to_do]:
        check(world)
        print(f"{check.__name__}: as promised")
