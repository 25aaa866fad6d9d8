#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that there are no cycles among files: circles.py REPOSITORY [UNIT]

A unit is a .c file with its header. It depends on the units whose headers it includes, and on those whose functions it
uses, in whatever header they are declared. Units in a cycle can only be understood together, so there must be none.
With UNIT, the script shows the dependencies of that unit."""
import pathlib
import re
import sys

DEFINED = re.compile(r"^(?:static inline )?[A-Za-z_][\w \t*]*?\b((?:vsi|vestry)_\w+)\([^;{}]*\)\s*\{", re.M)
TABLE = re.compile(r"^(?:const )?[A-Za-z_][\w \t*]*?\b((?:vsi|vestry)_\w+) = [{&]", re.M)
DECLARED = re.compile(r"^(?!typedef|struct|enum|union)[A-Za-z_][^;{}()=]*\([^;{}]*\)[^;{}]*;", re.M)
NOTHING = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)


def units(source):
    """Return unit → the code of its files, without comments and strings; and the names of the units that it
    includes."""
    texts, included = {}, {}
    for path in sorted(source.rglob("*.[ch]")):
        unit = str(path.relative_to(source))[:-2]
        raw = path.read_text()
        names = re.findall(r'^\s*#\s*include\s*"([^"]+)\.h"', raw, re.M)
        included.setdefault(unit, set()).update(name for name in names if not name.startswith("vestry/"))
        text = NOTHING.sub(lambda found: "" if found[0][0] == "/" else '""', raw)
        texts[unit] = texts.get(unit, "") + "\n" + (DECLARED.sub("", text) if path.suffix == ".h" else text)
    return texts, included


def dependencies(source):
    """Return unit → unit on which it depends → the names that it uses of that one."""
    texts, included = units(source)
    home = {name: unit for unit, text in texts.items() for name in DEFINED.findall(text) + TABLE.findall(text)}
    graph = {unit: {other: set() for other in included[unit] if other in texts and other != unit} for unit in texts}
    for unit, text in texts.items():
        for name in set(re.findall(r"\b(?:vsi|vestry)_\w+\b", text)):
            if home.get(name, unit) != unit:
                graph[unit].setdefault(home[name], set()).add(name)
    return graph


def reached(graph, start):
    """Return all units on which a unit depends, directly or not."""
    seen, waiting = set(), [start]
    while waiting:
        for other in graph[waiting.pop()]:
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen


def circles(graph):
    """Return the sets of units that depend on each other."""
    reach = {unit: reached(graph, unit) for unit in graph}
    return {frozenset(other for other in reach[unit] if unit in reach[other]) for unit in graph if unit in reach[unit]}


def show(graph, circle):
    for unit in sorted(circle):
        for other in sorted(set(graph[unit]) & set(circle)):
            print(f"  {unit} -> {other}: {', '.join(sorted(graph[unit][other])) or 'its header'}")


def main():
    graph = dependencies(pathlib.Path(sys.argv[1]) / "src")
    if len(sys.argv) > 2:
        show(graph, [sys.argv[2], *graph[sys.argv[2]]])
        return 0
    found = circles(graph)
    for circle in sorted(map(sorted, found)):
        print("a circle:", " ".join(circle))
        show(graph, circle)
    print(f"{len(graph)} units, {len(found)} circles")
    return 0 if graph and not found else 1


if __name__ == "__main__":
    sys.exit(main())
