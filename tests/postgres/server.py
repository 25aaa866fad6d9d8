# SPDX-License-Identifier: MIT
"""A PostgreSQL server for one test, in a temporary folder, on a UNIX socket there. It ends with the program.

It uses Debian's programs in /usr/lib/postgresql/MAJOR/bin. PostgreSQL does not run as root; then the user postgres, or
nobody, runs the server."""
import ctypes
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile

SKIPPED = 77


def installed():
    """Return the folders of programs by major version."""
    found = {}
    for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"):
        if (path.parent / "initdb").exists():
            found[int(path.parent.parent.name)] = path.parent
    return dict(sorted(found.items()))


def other_user():
    """Return the user that runs the server; None: this process's user."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    sys.exit("root cannot run PostgreSQL, and there is no user postgres or nobody")


class Server:
    """with Server(programs, ["-c", "…"]) as server: server.run("SELECT 1")"""

    def __init__(self, programs, settings=(), initdb=()):
        self.programs, self.settings, self.process = programs, list(settings), None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vestry-postgres-"))
        self.data = self.folder / "data"
        self.user = other_user()
        try:
            if self.user:
                os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
            self.call("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
                      "--no-sync", *initdb)
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def become(self):
        who = self.user
        return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []} if who else {}

    def call(self, program, *arguments):
        done = subprocess.run([self.programs / program, *map(str, arguments)], cwd=self.folder, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              **self.become())
        if done.returncode:
            sys.exit(f"{program}: {done.stdout}{done.stderr}")
        return done.stdout

    def __enter__(self):
        libc = ctypes.CDLL(None)

        def end_with_parent():  # SIGQUIT ends it at once
            libc.prctl(1, signal.SIGQUIT, 0, 0, 0)

        try:
            with open(self.folder / "log", "wb") as log:
                self.process = subprocess.Popen(
                    [self.programs / "postgres", "-D", self.data, "-k", self.folder, "-h", "", "-F", *self.settings],
                    cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=end_with_parent,
                    **self.become())
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait(self):
        """Wait until the server answers."""
        while True:
            if self.process.poll() is not None:
                sys.exit((self.folder / "log").read_text(errors="replace"))
            ask = [self.programs / "pg_isready", "-q", "-h", self.folder, "-t", "5"]
            if subprocess.run(ask, check=False).returncode == 0:
                return

    def run(self, *statements):
        """Run each statement in a separate transaction. Returns the output of the last one, unaligned."""
        arguments = [part for statement in statements for part in ("-c", statement)]
        return self.call("psql", "-h", self.folder, "-U", "postgres", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                         *arguments, "postgres").strip()

    def __exit__(self, *_):
        if self.process:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
        shutil.rmtree(self.folder)
