# SPDX-License-Identifier: MIT
"""Mutations that a test has to detect: a text is replaced in a copy of a source file, and a target of the build is
linked with the copy, outside of the build folder."""
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile


def link(build, path, before, after, target, made):
    """Link a target of the build as the file `made`. path is the source file, which contains `before` exactly once."""
    text = path.read_text()
    if text.count(before) != 1:
        sys.exit(f"{before}: {text.count(before)} times in {path.name}, not once")
    copy, mutant = made.parent / path.name, made.parent / "mutant.o"
    copy.write_text(text.replace(before, after))
    commands = json.loads((build / "compile_commands.json").read_text())
    entry = next(entry for entry in commands if pathlib.Path(entry["file"]) == path)
    compile_it = shlex.split(entry["command"])
    old = compile_it[compile_it.index("-o") + 1]
    compile_it[compile_it.index("-o") + 1] = str(mutant)
    compile_it[compile_it.index(str(path))] = str(copy)
    subprocess.run([*compile_it, "-w"], cwd=entry["directory"], check=True)
    links = subprocess.run(["ninja", "-t", "commands", "-s", target], cwd=build, check=True, text=True,
                           stdout=subprocess.PIPE).stdout
    command = links.strip().splitlines()[-1].replace(f" {old} ", f" {mutant} ").replace(f"-o {target} ", f"-o {made} ")
    if str(mutant) not in command or str(made) not in command:
        sys.exit(f"{old} is not linked into {target}")
    subprocess.run(command, shell=True, cwd=build, check=True)


def main(mutations, run, is_found, skipped=None):
    """The command SOURCE BUILD [NAME…], which requires that each mutation is detected. run(source, build, name, folder)
    runs the check, and returns its exit status and output. `skipped` is the exit status of a check that cannot run."""
    source, build = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    left = []
    for name in sys.argv[3:] or mutations:
        with tempfile.TemporaryDirectory() as folder:
            status, said = run(source, build, name, pathlib.Path(folder))
        if skipped is not None and status == skipped:
            sys.exit(skipped)
        found = status != 0 and is_found(said)
        print(f"{name}: {'found' if found else f'NOT found: {said}'}", flush=True)
        if not found:
            left.append(name)
    sys.exit(f"not found: {' '.join(left)}" if left else 0)
