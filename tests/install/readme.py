#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the commands of README, of the guide's pages and of examples/README.md literally, in a fresh clone of the
commit that is checked out; each is passed to a shell: readme.py TOP COMPILER GENERATOR

README installs into a folder (DESTDIR, by a `sudo` of this test), which represents the system in PATH, PKG_CONFIG_PATH,
CMAKE_PREFIX_PATH and LD_LIBRARY_PATH. Programs listen at the ports that the pages name, in a separate network
namespace; if none can be created, the test is skipped (77)."""
import fcntl
import importlib.util
import os
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
QUOTED = shlex.quote(str(HERE))  # in commands of a shell
TOP, COMPILER, GENERATOR = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
PATIENCE_S = 240
UNCHECKED = ssl._create_unverified_context()  # the certificate of an example is its own
IS_ROOT = os.getuid() == 0 and "README_IS_USER" not in os.environ
FENCE = re.compile(r"^```.*?^```$|^<!--.*?-->$", re.MULTILINE | re.DOTALL)
C_BLOCK = re.compile(r"^```c\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LEFT_OUT = {"--unix-socket": "needs a folder of a user who has logged in", "--help": "serves nothing"}


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(text):
    """Return the indented lines of a page, without their comments."""
    return [re.sub(r"\s+# .*", "", line.strip()) for line in re.findall(r"^    (\S.*)$", FENCE.sub("", text), re.MULTILINE)]


class System:
    """The clone, and the files installed from it."""

    def __init__(self, scratch):
        self.clone, self.root, self.home = scratch / "vestry", scratch / "root", scratch / "home"
        programs = scratch / "programs"
        for folder in (self.root / "etc", self.home, programs):
            folder.mkdir(parents=True)
        for name in ("ld.so.conf", "ld.so.conf.d"):  # the files that name the library folders of this system
            subprocess.run(["cp", "-r", f"/etc/{name}", self.root / "etc"], check=False)
        sudo = programs / "sudo"
        sudo.write_text('#!/bin/sh\nif [ "$1" = ldconfig ]; then shift; exec /sbin/ldconfig -r "$DESTDIR" "$@"; fi\nexec "$@"\n')
        sudo.chmod(0o755)
        prefix = self.root / "usr/local"
        self.prefix = prefix
        self.environment = dict(
            os.environ, DESTDIR=str(self.root), PATH=f"{programs}:{prefix}/bin:{os.environ['PATH']}",
            PKG_CONFIG_PATH=f"{prefix}/lib/pkgconfig", CMAKE_PREFIX_PATH=str(prefix), LD_LIBRARY_PATH=f"{prefix}/lib",
            CC=COMPILER)
        if shutil.which("ccache"):
            self.environment.update(CMAKE_C_COMPILER_LAUNCHER="ccache", CCACHE_BASEDIR=str(self.clone))

    def run(self, command, folder):
        print(f"$ {command}", flush=True)
        done = subprocess.run(command, shell=True, cwd=folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        assert done.returncode == 0, f"{command}: exit status {done.returncode}\n{done.stdout[-8000:]}"
        return done.stdout


class Program:
    """A command that serves until Ctrl-C, which reaches all processes of its terminal."""

    def __init__(self, system, command, folder, port=8080):
        print(f"$ {command}", flush=True)
        is_tls = "--adapter h2" in command and "--no-tls" not in command
        self.command, self.url = command, f"http{'s' * is_tls}://127.0.0.1:{port}"
        self.log = tempfile.TemporaryFile("w+")
        # bash replaces itself by a program that is the whole command, as in a terminal: the exit status is the
        # program's.
        self.process = subprocess.Popen(["bash", "-c", command], cwd=folder, env=system.environment, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT, start_new_session=True)

    def said(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")

    def page(self):
        """Return the content at its address, when it listens."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(self.url, timeout=PATIENCE_S, context=UNCHECKED) as answer:
                    assert answer.status == 200, f"{self.command}: {answer.status}"
                    return answer.read().decode()
            except urllib.error.HTTPError as error:
                if error.code != 503:  # a balancer whose nodes are not up yet
                    raise AssertionError(f"{self.command}: {error.code}\n{self.said()}") from error
            except OSError:
                pass
            assert self.process.poll() is None and time.monotonic() < until, f"{self.command} does not serve\n{self.said()}"
            time.sleep(0.05)

    def ends(self):
        status = self.process.wait(PATIENCE_S)
        said = self.said()
        self.log.close()
        return status, said

    def ctrl_c(self):
        os.killpg(self.process.pid, signal.SIGINT)
        status, said = self.ends()
        assert status == 0, f"{self.command}: Ctrl-C: exit status {status}\n{said}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(PATIENCE_S)


def install(system):
    """The section of README: the build and the installation are complete, and the system finds the library."""
    readme = (system.clone / "README.md").read_text()
    lines = [line for line in commands(readme.split("\n## Install\n")[1].split("\n## ")[0])]
    assert any("cmake --install" in line for line in lines), lines
    for line in lines:
        system.run(line, system.clone)
    assert "users" in system.run("vestry-bench --help", "/"), "vestry-bench is not installed"
    found = subprocess.run(["/sbin/ldconfig", "-r", system.root, "-p"], capture_output=True, text=True, check=True).stdout
    for library in ("", "-app", "-cluster", "-observe", "-civetweb", "-microhttpd", "-h2", "-sqlite", "-postgres", "-nats", "-testing"):
        assert f"libvestry{library}.so." in found, f"ldconfig does not know libvestry{library}:\n{found}"


def programs(system):
    """The two programs of README, built by its commands: a stream under a key receives events of a handler and of a
    timer; each open tab shows the new count."""
    readme = (system.clone / "README.md").read_text()
    keyed, live_page = C_BLOCK.findall(readme)
    page, vote = live_page.split("\n\n")
    (system.home / "keyed.h").write_text(keyed)
    (system.home / "page.h").write_text(page + "\n")
    (system.home / "vote.h").write_text(vote)
    flags = re.search(r"`(pkg-config [^`]*)`", readme)[1]
    system.run(f"""cc -Wall -Werror -DREADME_PAGE='"page.h"' -DREADME_VOTE='"vote.h"' -DREADME_KEYED='"keyed.h"' -I. {QUOTED}/outside/readme.c $({flags}) -o readme""", system.home)
    with Program(system, "./readme 8080", system.home) as program:
        assert "<p>Tea 0, coffee 0</p>" in program.page()
        stream = urllib.request.Request(program.url, headers={"Datastar-Request": "true"})
        with urllib.request.urlopen(stream, timeout=PATIENCE_S) as tab:
            urllib.request.urlopen(urllib.request.Request(program.url + "/vote", b"", {"Datastar-Request": "true"}), timeout=PATIENCE_S).close()
            assert any("<p>Tea 1, coffee 0</p>" in line.decode() for line in tab), "the tab does not show the vote"
        stream = urllib.request.Request(program.url + "/live", headers={"Datastar-Request": "true"})
        with urllib.request.urlopen(stream, timeout=PATIENCE_S) as tab:
            urllib.request.urlopen(urllib.request.Request(program.url + "/reset", b"", {"Datastar-Request": "true"}), timeout=PATIENCE_S).close()
            for wanted in ('{"value":0}', '{"value":230}'):
                assert any(wanted in line.decode() for line in tab), f"the stream does not have {wanted}"
        program.ctrl_c()


def builds(system):
    """A build waits for another one in the same folder, because both write the same files."""
    with open(system.clone / "build/build.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(["scripts/build"], cwd=system.clone, env=system.environment, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True)
        waits = any("waiting for another build" in line for line in second.stderr)
        fcntl.flock(lock, fcntl.LOCK_UN)
        second.communicate(timeout=PATIENCE_S)
    assert waits and second.returncode == 0, f"{waits} {second.returncode}"


def demos(system):
    """Each demo that README, the guide or the examples name starts, serves its page, and ends by Ctrl-C."""
    readme = (system.clone / "README.md").read_text()
    named = commands(readme) + re.findall(r"`(scripts/demo [^`]*)`", readme)
    for page in [*sorted((system.clone / "docs/guide").glob("*.md")), system.clone / "examples/README.md"]:
        named += commands(page.read_text())
    named = list(dict.fromkeys(line for line in named if line.startswith(("scripts/demo", "build/bin/"))))
    assert len(named) >= 15, named
    system.run("build/bin/edit --help", system.clone)
    for command in named:
        why = next((why for part, why in LEFT_OUT.items() if part in command), None)
        if why is None and "--postgres" in command and not IS_ROOT:
            why = "its server needs a separate user, to whom only root can switch"
        if why is not None:
            print(f"left out: {command}: {why}")
            continue
        port = re.search(r"--port (\d+)", command)
        with Program(system, command, system.clone, port[1] if port else 8080) as program:
            assert "<!doctype html>" in program.page().lower(), command
            program.ctrl_c()
    for time_of in ("first", "again"):
        with Program(system, "scripts/demo counter", system.clone) as program:
            program.page()
            if time_of == "again":
                with Program(system, "scripts/demo counter", system.clone) as second:
                    status, said = second.ends()
                    assert status not in (0, None) and "8080" in said and "--port" in said, f"{status}: {said}"
                program.page()
            program.ctrl_c()


def shells(system):
    """Commands of the guide's pages that use the sqlite3 shell on the database of a running demo."""
    given = 0
    for page in sorted((system.clone / "docs/guide").glob("*.md")):
        for command in commands(page.read_text()):
            demo = re.match(r"sqlite3 (\w+)\.db ", command)
            if not demo or demo[1] == "shelf":  # new.py runs these
                continue
            with Program(system, f"scripts/demo {demo[1]}", system.clone) as program:
                program.page()
                assert (system.clone / f"{demo[1]}.db").exists(), f"{page.name}: {command}: there is no such file"
                system.run(command, system.clone)
                program.page()
                program.ctrl_c()
            given += 1
    assert given >= 3, given


def programs_of(text):
    """Return the page's commands that build a program, with their source: visible blocks up to one with a main
    function, either the last ones before the command that use its server, or the first ones."""
    whole, source = [], ""
    for block in C_BLOCK.finditer(text):
        source += block[1]
        if "int main(" in block[1]:
            whole.append((block.start(), source))
            source = ""
    for match in re.finditer(r"^    (cc (\w+)\.c .*)$", text, re.MULTILINE):
        server = re.search(r"vestry-(civetweb|microhttpd)", match[1])
        fits = [(at, one) for at, one in whole if not server or f'"vestry/{server[1]}.h"' in one]
        before = [one for at, one in fits if at < match.start()]
        yield match[1], match[2], before[-1] if before else fits[0][1] if fits else None


def guide(system):
    """The pages whose programs a reader builds: each builds by the page's command, and behaves as the page
    describes."""
    pages = load(system.clone / "tests/docs/guide.py")
    built = 0
    for page in sorted((system.clone / "docs/guide").glob("*.md")):
        text = page.read_text()
        for command, name, source in programs_of(text):
            if source is None:  # the page names the main function
                print(f"left out: {command}: {page.name} has no main")
                continue
            folder = system.home / page.stem
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.c").write_text(source)
            system.run(command, folder)
            built += 1
            if name.endswith("_test"):
                system.run(f"./{name}", folder)
            elif page.stem != "embedding":  # embedding.py runs its commands
                os.environ.update(system.environment)
                _, _, served, before = pages.read(page)
                assert not any([pages.runs_badly(*command, folder) for command in before]), page
                assert not pages.serve(str(folder / name), folder, served), page
    assert built >= 6, f"{built} programs: the pages have lost theirs"


def first_hour(system):
    """The commands of the page; new.py runs its exercises, on the output of vestry-new."""
    folder = system.home
    for line in commands((system.clone / "docs/guide/first-hour.md").read_text()):
        if line.startswith("cd "):
            folder = folder / line[3:]
        elif line.startswith("build/"):
            for _ in range(2):
                with Program(system, line, folder) as program:
                    assert "<title>shelf</title>" in program.page()
                    program.ctrl_c()
        else:
            system.run(line, folder)
    for new in (system.prefix / "bin/vestry-new", system.clone / "scripts/new"):
        system.run(f"{sys.executable} -B {QUOTED}/new.py {new} {system.prefix} {COMPILER} {GENERATOR}", system.home)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        system = System(Path(scratch).resolve())
        system.run(f"git -c safe.directory='*' clone --quiet {shlex.quote(str(TOP))} {system.clone}", "/")
        for part in (install, programs, builds, demos, shells, guide, first_hour):
            began = time.monotonic()
            part(system)
            print(f"-- {part.__name__}: {time.monotonic() - began:.0f} s", flush=True)


def has_network():
    """Start again in a separate network namespace, in which all ports are free."""
    unshare = ["unshare", "--net"] if os.getuid() == 0 else ["env", "README_IS_USER=1", "unshare", "--user", "--map-root-user", "--net"]
    up = [*unshare, "sh", "-c", 'PATH=$PATH:/sbin:/usr/sbin; ip link set lo up && exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*up, "true"], capture_output=True, check=False).returncode:
        print("skipped: this machine permits no separate network namespace (unshare --net, ip)")
        sys.exit(77)
    os.execvp(up[0], [*up, sys.executable, "-B", *sys.argv, "inside"])


if __name__ == "__main__":
    if not (TOP / ".git").exists():
        print("skipped: these sources are no clone")
        sys.exit(77)
    if sys.argv[4:] == ["inside"]:
        main()
    else:
        has_network()
