#!/usr/bin/env python3
"""No circles among files: circles.py REPOSITORY

A unit is a .c file with its header. It depends on the units whose headers it includes. Units that depend on each other,
however far around, can only be understood together: each such circle must be among those that are stated here."""
import pathlib
import re
import sys

# Each with the reason why it stays.
STATED = [
    # still to be cut
    ["adapter/civetweb/answer", "adapter/civetweb/request", "adapter/civetweb/stream"],
    ["adapter/microhttpd/adapter", "adapter/microhttpd/answer", "adapter/microhttpd/daemon",
     "adapter/microhttpd/door", "adapter/microhttpd/handover", "adapter/microhttpd/request", "adapter/microhttpd/serve",
     "adapter/microhttpd/socket", "adapter/microhttpd/stream", "adapter/microhttpd/suspended",
     "adapter/microhttpd/watch"],
]


def dependencies(source):
    """Unit → the units that it includes."""
    found = {}
    for path in sorted(source.rglob("*.[ch]")):
        unit = str(path.relative_to(source))[:-2]
        included = re.findall(r'^\s*#\s*include\s*"([^"]+)\.h"', path.read_text(), re.M)
        found.setdefault(unit, set()).update(name for name in included if not name.startswith("vestry/"))
    return {unit: {other for other in others if other in found and other != unit} for unit, others in found.items()}


def reached(graph, start):
    """All units that a unit depends on, directly or not."""
    seen, waiting = set(), [start]
    while waiting:
        for other in graph[waiting.pop()]:
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen


def circles(graph):
    """The sets of units that depend on each other."""
    reach = {unit: reached(graph, unit) for unit in graph}
    return {frozenset(other for other in reach[unit] if unit in reach[other]) for unit in graph if unit in reach[unit]}


def main():
    graph = dependencies(pathlib.Path(sys.argv[1]) / "src")
    stated = {frozenset(circle) for circle in STATED}
    found = circles(graph)
    for circle in sorted(map(sorted, found - stated)):
        print("a circle:", " ".join(circle))
    for circle in sorted(map(sorted, stated - found)):
        print("stated, but there is none:", " ".join(circle))
    print(f"{len(graph)} units, {len(found)} circles, {len(stated)} stated")
    return 0 if graph and found == stated else 1


if __name__ == "__main__":
    sys.exit(main())
