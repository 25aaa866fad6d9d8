#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Build the application that scripts/new writes, against an installation: new.py NEW PREFIX COMPILER GENERATOR

It is built without a warning, and its test passes. It is started, used, stopped by Ctrl-C, and started again on the
same data. Then it is changed by the exercises of docs/guide/first-hour.md. If scripts/new rejects a name, it writes no
file. With --nodes, two processes on one PostgreSQL are nodes of one cluster, if PostgreSQL and nats-server are
installed."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../postgres"))
import server as postgres  # noqa: E402

NEW, PREFIX, COMPILER, GENERATOR = os.path.abspath(sys.argv[1]), *sys.argv[2:5]
GUIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/guide/first-hour.md")
LIBRARIES = next(folder for folder, _, files in os.walk(PREFIX) if "libvestry.so" in files)
ENVIRONMENT = dict(os.environ, LD_LIBRARY_PATH=LIBRARIES)


def run(*command, wanted=0):
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300)
    assert (done.returncode == 0) == (wanted == 0), f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def refused():
    for name in ["", "Trial", "a b", "a\nb", "../trial", "1st", "-x", "x" * 33, "test", "app", "help", "preinstall"]:
        said = run(NEW, name, wanted=2)
        assert "vestry new: " in said, said
    assert os.listdir() == [], os.listdir()


class Use:
    """The program, started like a reader does, with these arguments."""

    def __init__(self, *arguments):
        self.arguments = arguments or ("--db", "trial.db")

    def __enter__(self):
        self.process = subprocess.Popen(["trial/build/trial", "--port", "0", *self.arguments], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self.url = self.process.stdout.readline().split(": ", 1)[1].strip().rstrip("/")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def page(self, path="/"):
        with urllib.request.urlopen(self.url + path, timeout=20) as page:
            assert page.status == 200, page.status
            return page.read().decode()

    def stream(self, path="/"):
        return urllib.request.urlopen(urllib.request.Request(self.url + path, headers={"Datastar-Request": "true"}), timeout=60)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0, self.process.returncode


def use(*wanted):
    """Start it, load its page, and stop it."""
    with Use() as program:
        page = program.page()
        assert all(text in page for text in ("<title>trial</title>", *wanted)), page
        program.end()


def until(stream, text):
    for line in stream:
        if text in line.decode():
            return
    raise AssertionError(f"the stream has ended before {text}")


def build():
    run("cmake", "--build", "trial/build")
    run("ctest", "--test-dir", "trial/build", "--output-on-failure", "--no-tests=error")


def change(diffs):
    """Apply changes of the page, each at one place of app.c."""
    path = "trial/app.c"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for diff in diffs:
        lines = diff.splitlines()
        old, new = ("\n".join(line[1:] for line in lines if line[:1] in signs) for signs in ("- ", "+ "))
        assert text.count(old) == 1, f"docs/guide/first-hour.md changes text that is not in app.c:\n{old}"
        text = text.replace(old, new)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def exercises():
    """Apply the exercises of docs/guide/first-hour.md literally: a time beside each note, for the existing database
    and for a new one; a note from the shell, which an open page shows; and a second page."""
    with open(GUIDE, encoding="utf-8") as file:
        guide = file.read().replace("shelf", "trial")
    times, shell, second = (guide.split(f"**{title}**")[1].split("\n**")[0].split("\n## ")[0] for title in
                                ("A time beside each note.", "A note from elsewhere.", "A second page."))
    diffs = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    command = re.search("^    (sqlite3 .*)$", shell, re.MULTILINE)[1]
    with contextlib.closing(sqlite3.connect("trial.db")) as database:
        database.execute("INSERT INTO note(text) VALUES('of before')")
        database.commit()
    change(diffs.findall(times))
    build()
    use("of before <small>0 words</small><time></time>")
    with Use() as program:
        with program.stream() as stream:
            run("sh", "-c", command)
            until(stream, "from the shell")
        program.end()
    os.rename("trial.db", "first.db")
    use("<ul></ul>")
    os.remove("trial.db")
    os.rename("first.db", "trial.db")
    change(diffs.findall(second))
    build()
    with Use() as program:
        assert "<p>2 notes</p>" in program.page("/count")
        with program.stream("/count") as stream:
            run("sh", "-c", command)
            until(stream, "<p>3 notes</p>")
        program.end()
    use("of before <small>0 words</small><time")


def create(*options):
    """Write the application, configure and build it, and run its test."""
    run(NEW, *options, "trial")
    before = sorted(os.listdir("trial"))
    assert "exists already" in run(NEW, *options, "trial", wanted=2)
    assert sorted(os.listdir("trial")) == before
    for name in before:
        with open(os.path.join("trial", name), encoding="utf-8") as file:
            assert "APPNAME" not in file.read(), name
    run("cmake", "-S", "trial", "-B", "trial/build", "-G", GENERATOR, f"-DCMAKE_PREFIX_PATH={PREFIX}", f"-DCMAKE_C_COMPILER={COMPILER}",
        "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror")
    run("cmake", "--build", "trial/build")
    print(run("ctest", "--test-dir", "trial/build", "--output-on-failure", "--no-tests=error"))


def over_sqlite():
    create()
    use()
    use()
    with Use() as first: # whose port is in use: the second program names the port, and a remedy
        said = run("trial/build/trial", "--port", first.url.rsplit(":", 1)[1], "--db", "trial.db", wanted=1)
        assert "Address already in use" in said and "--port N" in said, said
    exercises()
    assert "trial --help" in run("trial/build/trial", "x", wanted=2)


@contextlib.contextmanager
def broker(program):
    """Run nats-server on free ports. Yields its URL, and that of its monitoring."""
    folder = pathlib.Path("broker")
    folder.mkdir()
    process = subprocess.Popen([program, "-a", "127.0.0.1", "-p", "-1", "-m", "-1", "--ports_file_dir", folder], stderr=subprocess.DEVNULL)
    try:
        while not (found := list(folder.glob("*.ports"))) or not found[0].stat().st_size:
            assert process.poll() is None
        ports = json.loads(found[0].read_text(encoding="utf-8"))
        yield ports["nats"][0], ports["monitoring"][0]
    finally:
        process.kill()
        process.wait()


def nodes(programs, nats_server):
    """Two processes with one database and one broker: both show a note, and the broker knows their names."""
    with postgres.Server(programs) as server, broker(nats_server) as (url, monitoring):
        ENVIRONMENT.update(PGHOST=str(server.folder), PGUSER="postgres")
        server.run("CREATE DATABASE trial", "CREATE DATABASE trial_test")
        create("--nodes")
        with Use("--node", "one", "--cluster", url) as one, Use("--node", "two", "--cluster", url) as two:
            with one.stream() as of_one, two.stream() as of_two:
                server.call("psql", "-h", server.folder, "-U", "postgres", "-q", "-c", "INSERT INTO note(text) VALUES('from the shell')", "trial")
                until(of_one, "from the shell")
                until(of_two, "from the shell")
            names = set()
            while not {"one", "two"} <= names:
                with urllib.request.urlopen(monitoring + "/connz", timeout=20) as page:
                    names = {client.get("name") for client in json.load(page)["connections"]}
            one.end()
            two.end()


def main():
    refused()
    over_sqlite()
    shutil.rmtree("trial")
    programs, nats_server = list(postgres.installed().values()), shutil.which("nats-server", path="/usr/sbin:" + os.environ["PATH"])
    if programs and nats_server:
        nodes(programs[-1], nats_server)
    else:
        print("Without --nodes, which needs postgresql and nats-server.")


with tempfile.TemporaryDirectory() as scratch:
    os.chdir(scratch)
    main()
