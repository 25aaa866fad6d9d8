#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the snippets of a page of the guide: guide.py PAGE FOLDER COMPILER FLAG… -- LIBRARY…

All ```c blocks of a page form one program, in their order, together with the hidden parts: comments that begin with a
line `<!-- c`. After a line `<!-- program -->`, another program begins. Each program must compile without a warning, run, and print the contents of the page's ```text blocks in
their order; empty lines are ignored.

The program of a page with ```console blocks is a server. It is started with a port as its argument. Each line of these
blocks that begins with `$ ` is run by the shell, with this port instead of 8080, and must print the lines below it. The
commands begin when the server accepts connections; those above the program make its files, and run before it. The
program must end with success after SIGTERM.

An ```nginx, ```haproxy, ```caddy or ```lighttpd block must equal the file of that name in examples/proxy, which other
tests run, without its comments; in machines.md, the file for a cluster. A ```nats block must equal examples/nats/nats-server.conf."""

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from port import reserve_port  # noqa: E402

PATIENCE_S = 240

BLOCK = re.compile(r"^(?P<open>```(?P<kind>\w*)[^\n]*|<!-- c)\n(?P<text>.*?)^(?:```|-->)$", re.MULTILINE | re.DOTALL)


def lines(text):
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def differ(what, wanted, got):
    if wanted == got:
        return False
    print(f"{what}:\n--- the page says\n" + "\n".join(wanted) + "\n--- it is\n" + "\n".join(got))
    return True


def read(page, text, first_line):
    """Return a program of the page, its output, the commands with their outputs, and those before the program."""
    source, printed, commands, before = "", "", [], []
    for match in BLOCK.finditer(text):
        block = match["text"]
        if match["open"] in ("```c", "<!-- c"):
            source += f'#line {text.count(chr(10), 0, match.start("text")) + first_line} "{page}"\n{block}'
        elif match["kind"] == "text":
            printed += block
        elif match["kind"] == "console":
            for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, output = command.partition("\n")
                (commands if source else before).append((command, output))
    return source, printed, commands, before


def shows_another_file(page):
    """Return whether the page shows a configuration that differs from that of the examples."""
    cluster = "cluster-" if page.stem == "machines" else ""
    files = {"nginx": f"proxy/{cluster}nginx.conf", "haproxy": f"proxy/{cluster}haproxy.cfg",
             "caddy": f"proxy/{cluster}Caddyfile", "lighttpd": f"proxy/{cluster}lighttpd.conf",
             "nats": "nats/nats-server.conf"}
    bad = False
    for match in BLOCK.finditer(page.read_text()):
        if match["kind"] in files:
            file = page.parents[2] / "examples" / files[match["kind"]]
            bad |= differ(file, lines(match["text"]), [line for line in lines(file.read_text()) if line[0] != "#"])
    return bad


def listens(port, server):
    """Return whether the server listens. It does not if another program has taken the port meanwhile."""
    end = time.monotonic() + PATIENCE_S
    while server.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False


def runs_badly(command, wanted, folder, port=8080):
    got = subprocess.run(command.replace("8080", str(port)), shell=True, cwd=folder, capture_output=True, text=True,
                         timeout=PATIENCE_S, check=False)
    return differ(f"$ {command}", lines(wanted), lines(got.stdout + got.stderr))


def serve(program, folder, commands):
    for _ in range(5):
        port = reserve_port()
        server = subprocess.Popen([program, str(port)], cwd=folder)
        if listens(port, server):
            break
        server.terminate()
        server.wait(PATIENCE_S)
    else:
        print("the server does not listen")
        return True
    bad = False
    try:
        for command, wanted in commands:
            bad |= runs_badly(command, wanted, folder, port)
        server.terminate()
        status = server.wait(PATIENCE_S)
        if status:
            print(f"the server ended with {status}")
        return bad or status != 0
    finally:
        server.kill()


def fails(page, text, first_line, folder, arguments):
    """Compile and run a program of the page: that of a part of its text."""
    source, printed, commands, before = read(page, text, first_line)
    if "main(" not in source:
        print(f"{page}:{first_line}: no program")
        return True
    file, program = folder / f"{page.stem}-{first_line}.c", folder / f"{page.stem}-{first_line}"
    file.write_text(source)
    at = arguments.index("--")
    compiler = arguments[:at] + ["-Wall", "-Wextra", "-Werror", "-std=c11", f"-I{Path(__file__).parent}"]
    if subprocess.run(compiler + [file, "-o", program] + arguments[at + 1:], check=False).returncode:
        return True
    if any([runs_badly(command, output, folder) for command, output in before]):
        return True
    if commands:
        return serve(program, folder, commands)
    run = subprocess.run([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S)
    if run.returncode:
        print(f"{page}: the program ended with {run.returncode}")
    return differ(page, lines(printed), lines(run.stdout)) or run.returncode != 0


def main():
    page, folder, arguments = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    bad, line = shows_another_file(page), 1
    for text in page.read_text().split("<!-- program -->\n"):
        bad |= fails(page, text, line, folder, arguments)
        line += text.count("\n") + 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
