#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Build and run the programs of the guide's page about embedding against an installation:
embedding.py PAGE GUIDE.PY FOLDER COMPILER

Each ```c block of the page is a complete program, and is built with the output of pkg-config (PKG_CONFIG_PATH), shared
and static. It serves a port until SIGTERM, as in the other pages; the ```console blocks after it are its commands."""
import importlib.util
import re
import subprocess
import sys
from pathlib import Path


def load(path):
    spec = importlib.util.spec_from_file_location("guide", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(page, block):
    """Return the programs of the page: source, and commands with their outputs."""
    programs = []
    text = page.read_text()
    for match in block.finditer(text):
        if match["open"] == "```c":
            line = text.count("\n", 0, match.start("text")) + 1
            programs.append((f'#line {line} "{page}"\n{match["text"]}', []))
        elif match["kind"] == "console":
            for command in re.split(r"^\$ ", match["text"], flags=re.MULTILINE)[1:]:
                first, _, output = command.partition("\n")
                programs[-1][1].append((first, output))
    return programs


def words(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def main():
    page, guide, folder, compiler = Path(sys.argv[1]), load(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    bad = False
    programs = read(page, guide.BLOCK)
    for number, (source, commands) in enumerate(programs):
        file = folder / f"embedding{number}.c"
        file.write_text(source)
        modules = ["vestry-" + re.search(r'#include "vestry/(civetweb|microhttpd)\.h"', source)[1]]
        if '#include "vestry/app/' in source:
            modules.append("vestry-app")
        # The libraries with which the program was linked before.
        own = words("pkg-config", "--libs", "libmicrohttpd") if "#include <microhttpd.h>" in source else []
        assert commands, f"program {number} is not used"
        for kind in ([], ["--static"]):
            flags = words("pkg-config", *kind, "--cflags", "--libs", *modules) + own
            if kind:
                flags = [re.sub(r"^-l(vestry[a-z0-9-]*)$", r"-l:lib\1.a", flag) for flag in flags]
            program = str(folder / f"embedding{number}")
            subprocess.run([compiler, "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", str(file), "-o",
                            program, "-pthread", *flags], check=True)
            bad |= guide.serve(program, folder, commands)
            print(f"{file.name}: {' '.join(modules)} {' '.join(kind)}: {'wrong' if bad else 'well'}", flush=True)
    assert len(programs) >= 2, "the page has lost its programs"
    return 1 if bad else 0


sys.exit(main())
