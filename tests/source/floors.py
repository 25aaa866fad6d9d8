#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A room includes itself and the rooms below it, never one above: floors.py REPOSITORY

The rooms and the public headers of each are read from the table under "Floors" in docs/architecture.md. Each row is a
floor, the highest first; in a row each room stands on those before it. Programs include public headers alone,
but for the one that measures private containers."""
import pathlib
import re
import sys

PROGRAMS = ("examples", "bench")
MEASURES_PRIVATE = {pathlib.Path("bench/containers.c"): ("base", "runtime")}


def house(top):
    """Room → its level, and public header → its room, by the table."""
    text = (top / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| \d+ \|([^|]*)\|([^|]*)\|", text.split("## Floors", 1)[1].split("\n## ", 1)[0], re.M)
    levels, homes = {}, {}
    for folders, headers in reversed(rows):
        rooms = re.findall(r"`src/(\w+)/`", folders)
        for room in rooms:
            levels[room] = len(levels)
        for room, names in re.findall(r"(?:(\w+): )?((?:`\w+\.h`(?:, )?)+)", headers):
            for name in re.findall(r"`(\w+\.h)`", names):
                homes[f"vestry/{name}"] = room or rooms[0]
    return levels, homes


def main():
    top = pathlib.Path(sys.argv[1])
    levels, homes = house(top)
    problems, files = [], 0
    for folder in ("include", "src", *PROGRAMS):
        for path in sorted((top / folder).rglob("*.[ch]")):
            files += 1
            name = path.relative_to(top)
            is_public, is_program = folder == "include", folder in PROGRAMS
            room = homes.get(f"vestry/{path.name}") if is_public else name.parts[1]
            if not is_program and room not in levels and path.name != "vestry.h":
                problems.append(f"{name}: in no room of the table in docs/architecture.md: name it there")
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                found = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
                if not found:
                    continue
                target, where = found[1], f"{name}:{number}"
                if is_program:
                    rooms_seen = ("vestry", *MEASURES_PRIVATE.get(name, ()))
                    is_own = (path.parent / target).exists() or (top / folder / target).exists()
                    if target.split("/")[0] not in rooms_seen and not is_own:
                        problems.append(f"{where}: includes {target}, which is not public")
                    continue
                to = homes.get(target) or target.split("/")[0]
                if is_public and target not in homes:
                    problems.append(f"{where}: a public header includes {target}, which no room has")
                elif to not in levels:
                    problems.append(f"{where}: includes {target}, which is in no room")
                elif room in levels and levels[to] > levels[room]:
                    problems.append(f"{where}: {room} includes {target}, which is of {to}")
    print("\n".join(problems + [f"{files} files, {len(levels)} rooms, {len(problems)} against the floors"]))
    return 1 if problems or not files or not levels else 0


if __name__ == "__main__":
    sys.exit(main())
