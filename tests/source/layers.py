#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that a module includes only itself and modules below it, and that the core includes no header of an
extension:
layers.py REPOSITORY [--picture]

With --picture, docs/libraries.svg is drawn again: the libraries of CMake, each above those that it links with.

The modules, the public headers and the library of each are read from the table under "Layers" in docs/architecture.md.
Each row is a layer or a part of one, the highest first; in a row, each module uses those before it. The folder of a
module and of its public headers is that of its library; the core has none. Programs include only public headers, except
for the one that measures private containers."""
import pathlib
import re
import sys

PROGRAMS = ("examples", "bench")
FOLDERS = ("app", "data", "cluster", "ops")  # of src/: libraries, whose folders are modules


def module_of(path):
    """Return the module of a path inside src/: app/page/pages.h belongs to page, store/lru.h to store."""
    parts = pathlib.PurePath(path).parts
    return parts[1] if parts[0] in FOLDERS else parts[0]


def layers(top):
    """Return module → its level, public header → its module, and module → its library, from the table."""
    text = (top / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| \d+ \|([^|]*)\|([^|]*)\|([^|]*)\|", text.split("## Layers", 1)[1].split("\n## ", 1)[0], re.M)
    levels, homes, libraries = {}, {}, {}
    for library, folders, headers in reversed(rows):
        library = library.strip()
        folder = "" if library == "core" else f"{library}/"
        for path in re.findall(r"`src/([\w/]+)/`", folders):
            levels[module_of(path)] = len(levels)
            libraries[module_of(path)] = library
            if library != "testing" and pathlib.PurePath(path).parts[:-1] != (() if library == "core" else (library,)):
                sys.exit(f"docs/architecture.md: src/{path} is no folder of the library {library}")
        for module, names in re.findall(r"(\w+): ((?:`\w+\.h`(?:, )?)+)", headers):
            for name in re.findall(r"`(\w+\.h)`", names):
                homes[f"vestry/{folder}{name}"] = module
    return levels, homes, libraries


def picture(top):
    """Draw the libraries as boxes, from the lists of modules and the PARTS in the CMakeLists.txt."""
    text = "".join(path.read_text() for path in [top / "CMakeLists.txt", *sorted((top / "src").rglob("CMakeLists.txt"))])
    needs = {name: set(parts.split()) for name, parts in re.findall(
        r"^vestry_add_library\((\w+) OBJECTS [^\s)]+(?: PARTS ([a-z ]+?))?(?=[\s)]|$)", text, re.M)}
    contents = {name: [name] for name in needs}
    for name, modules in re.findall(r"^set\((core|app)_modules ([^)]*)\)", text, re.M):
        contents["" if name == "core" else name] = [module.rpartition("/")[2] for module in modules.split()]

    def height(name):
        return 0 if not name else 1 + max([0, *map(height, needs[name])])

    rows = {}
    for name in sorted(["", *needs]):
        rows.setdefault(height(name), []).append(name)
    wide, high, gap, out = 900, 62, 10, []
    for level, names in rows.items():
        width = (wide - gap * (len(names) - 1)) // len(names)
        for i, name in enumerate(names):
            x, y = i * (width + gap), (max(rows) - level) * (high + gap)
            on = "".join(f" on {need}" for need in sorted(needs.get(name, ())))
            modules = contents[name] if contents[name] != [name] else []
            out.append(f'<rect x="{x}" y="{y}" width="{width}" height="{high}" rx="6" fill="{"#dbe8f5" if not name else "#f3f3ee"}" stroke="#667"/>')
            out.append(f'<text x="{x + 10}" y="{y + 22}" font-weight="bold">libvestry{"-" * bool(name)}{name}<tspan font-weight="normal">{on}</tspan></text>')
            half = (len(modules) + 1) // 2 if len(" ".join(modules)) * 6.6 > width - 20 else len(modules)
            for line, part in enumerate((modules[:half], modules[half:])):
                out.append(f'<text x="{x + 10}" y="{y + 40 + 15 * line}" font-size="11">{" ".join(part)}</text>' if part else "")
    tall = (max(rows) + 1) * (high + gap) - gap
    lines = "\n".join(filter(None, out))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" font-family="sans-serif" font-size="13">\n'
            f"<title>Libraries of vestry, each above those that it links with</title>\n{lines}\n</svg>\n")


def main():
    top = pathlib.Path(sys.argv[1])
    drawn = top / "docs/libraries.svg"
    if sys.argv[2:] == ["--picture"]:
        drawn.write_text(picture(top))
        return 0
    levels, homes, libraries = layers(top)
    problems, files = [], 0
    if drawn.read_text() != picture(top):
        problems.append("docs/libraries.svg differs from the CMakeLists.txt files; run tests/source/layers.py . --picture")
    for folder in ("include", "src", *PROGRAMS):
        for path in sorted((top / folder).rglob("*.[ch]")):
            files += 1
            name = path.relative_to(top)
            is_public, is_program = folder == "include", folder in PROGRAMS
            inside = str(path.relative_to(top / folder))
            module = homes.get(inside) if is_public else module_of(inside)
            is_tour = is_public and inside == "vestry/vestry.h"
            if not is_program and module not in levels and not is_tour:
                problems.append(f"{name}: in no module of the table in docs/architecture.md: name it there")
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                found = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
                if not found:
                    continue
                target, where = found[1], f"{name}:{number}"
                if is_program:
                    is_own = (path.parent / target).exists() or (top / folder / target).exists()
                    if target.split("/")[0] != "vestry" and not is_own:
                        problems.append(f"{where}: includes {target}, which is not public")
                    continue
                to = homes.get(target) or module_of(target)
                if is_public and target not in homes:
                    problems.append(f"{where}: a public header includes {target}, which is of no module")
                elif to not in levels:
                    problems.append(f"{where}: includes {target}, which is in no module")
                elif (is_tour or libraries[module] == "core") and libraries[to] != "core":
                    problems.append(f"{where}: the core includes {target}, which is of {libraries[to]}")
                elif module in levels and levels[to] > levels[module]:
                    problems.append(f"{where}: {module} includes {target}, which is of {to}")
    print("\n".join(problems + [f"{files} files, {len(levels)} modules, {len(problems)} against the layers"]))
    return 1 if problems or not files or not levels else 0


if __name__ == "__main__":
    sys.exit(main())
