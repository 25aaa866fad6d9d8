#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The application that scripts/new writes, built against an installation: new.py NEW PREFIX COMPILER GENERATOR

It is built without a warning, its test passes; it is started, asked, ended by Ctrl-C, and started again on what it left.
What scripts/new refuses leaves nothing behind."""
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request

NEW, PREFIX, COMPILER, GENERATOR = os.path.abspath(sys.argv[1]), *sys.argv[2:5]
LIBRARIES = next(folder for folder, _, files in os.walk(PREFIX) if "libvestry.so" in files)
ENVIRONMENT = dict(os.environ, LD_LIBRARY_PATH=LIBRARIES)


def run(*command, wanted=0):
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300)
    assert (done.returncode == 0) == (wanted == 0), f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def refused():
    for name in ["", "Trial", "a b", "a\nb", "../trial", "1st", "-x", "x" * 33, "test", "app"]:
        said = run(NEW, name, wanted=2)
        assert "vestry new: " in said, said
    assert os.listdir() == [], os.listdir()


def use():
    """A start, a look, an end."""
    with subprocess.Popen(["trial/build/trial", "0", "trial.db"], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as program:
        try:
            url = program.stdout.readline().split(": ", 1)[1].strip()
            with urllib.request.urlopen(url, timeout=20) as page:
                assert page.status == 200 and b"<title>trial</title>" in page.read()
            program.send_signal(signal.SIGINT)
            assert program.wait(30) == 0, program.returncode
        finally:
            program.kill()


def change():
    """What docs/guide/first-hour.md says: a time beside each note, for the database that is there and for a new one."""
    path = "trial/app.c"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for old, new in [
            ("FROM secret);\";", "FROM secret);\"\n\"ALTER TABLE note ADD COLUMN time TEXT;\";"),
            ("schema_version = 1", "schema_version = 2"),
            ("note(text) VALUES(?)", "note(text, time) VALUES(?, time('now'))"),
            ("SELECT text FROM note", "SELECT text, time FROM note"),
            ("%s</li>\", (const char *)sqlite3_column_text(row, 0)",
             "%s <time>%s</time></li>\", (const char *)sqlite3_column_text(row, 0), (const char *)sqlite3_column_text(row, 1)")]:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    refused()
    run(NEW, "trial")
    before = sorted(os.listdir("trial"))
    assert "is there already" in run(NEW, "trial", wanted=2)
    assert sorted(os.listdir("trial")) == before
    for name in before:
        with open(os.path.join("trial", name), encoding="utf-8") as file:
            assert "APPNAME" not in file.read(), name
    run("cmake", "-S", "trial", "-B", "trial/build", "-G", GENERATOR, f"-DCMAKE_PREFIX_PATH={PREFIX}", f"-DCMAKE_C_COMPILER={COMPILER}",
        "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror")
    run("cmake", "--build", "trial/build")
    print(run("ctest", "--test-dir", "trial/build", "--output-on-failure", "--no-tests=error"))
    use()
    use()
    change()
    run("cmake", "--build", "trial/build")
    run("ctest", "--test-dir", "trial/build", "--output-on-failure", "--no-tests=error")
    use()
    assert "usage" in run("trial/build/trial", "x", wanted=2)


with tempfile.TemporaryDirectory() as scratch:
    os.chdir(scratch)
    main()
