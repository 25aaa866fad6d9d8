#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every capability has a test that is in the tree: capabilities.py REPOSITORY

Reads tests/capabilities.md: its rows, the tests they name, and which rows may be without one. Needs no build."""

import re
import sys
from pathlib import Path

ROWS = {"A": 15, "B": 14, "C": 18, "D": 23, "E": 6, "F": 10, "G": 12, "K": 16, "L": 13}

problems = []


def complain(line, text):
    problems.append(f"tests/capabilities.md:{line}: {text}")


def added(text):
    """The names that a CMakeLists.txt gives its tests; in loops over items, all of them, as far as the first item goes."""
    names, loops = set(), {}
    for line in text.splitlines():
        if loop := re.match(r"\s*foreach\((\w+) IN ITEMS (.*)\)", line):
            loops[loop[1]] = loop[2].split()
        if test := re.match(r"\s*vestry_add_test\((\w+)(?:\$\{(\w+)\})?(?:_\$\{\w+\})?[\s)]", line):
            names |= {test[1] + item for item in loops.get(test[2], [])} if test[2] else {test[1]}
    return names


class Tree:
    """The tests of a repository: by ctest's names, with what is inside of them."""

    def __init__(self, tests):
        self.tests = tests
        self.added = set()
        for path in tests.rglob("CMakeLists.txt"):
            self.added |= added(path.read_text())
        self.inside = {}

    def sources(self, program):
        """The files of a program's tests: its own, and the contract suites that it runs."""
        own = [program]
        suites = set()
        for header in re.findall(r'#include "(\w+/\w+)\.h"', program.read_text()):
            included = self.tests / f"{header}.h"
            text = f'#include "{header}.h"' + (included.read_text() if included.exists() else "")
            suites.update(re.findall(r'#include "(\w+/(?:\w+_)?contract)\.h"', text))
        for suite in sorted(suites):
            own += sorted(path for path in self.tests.glob(f"{suite}*.c") if not path.stem.endswith("_test"))
        return own

    def look(self, name):
        """What is inside of the test of ctest's that goes by this name: a set of names, or None if there is no such."""
        if name.startswith(("browser_", "proxy_")) and name in self.added:
            folder, _, noun = name.partition("_")
            scripts = self.tests.glob("browser/*.test.js" if folder == "browser" else f"proxy/{noun}.test.js")
            return {title for path in scripts for _, title in re.findall(r"\btest\w*\((['`\"])(.+?)\1,", path.read_text())}
        if name.startswith("docs_guide_"):
            page = self.tests.parent / "docs" / "guide" / f"{name.removeprefix('docs_guide_')}.md"
            return set() if page.exists() else None
        folder, _, noun = name.partition("_")
        # A program that is run for each adapter is named after it, and the adapter.
        nouns = [noun] + ([noun.rpartition("_")[0]] if name in self.added else [])
        places = [place for each in nouns for place in (f"{each}_test.c", f"{each}/{each}_test.c")]
        inner = self.tests.glob(f"*/{folder}/{noun}_test.c")  # of a room's schedules
        for program in (*(self.tests / folder / place for place in places), *inner):
            if program.exists():
                text = "".join(path.read_text() for path in self.sources(program))
                return set(re.findall(r"^static void (\w+)\(void \*\*", text, re.MULTILINE))
        if name in self.added or (folder == "fuzz" and (self.tests / "fuzz" / f"{noun}_fuzz.c").exists()):
            return set()
        return None

    def __getitem__(self, name):
        if name not in self.inside:
            self.inside[name] = self.look(name)
        return self.inside[name]


def check_tests(tree, number, row, cell):
    """One cell: `test`: name, "title"; `test`. Returns how many it names."""
    found = 0
    rest = cell
    while rest:
        match = re.match(r'`([\w-]+)`(?:: ((?:"[^"]+"|\w+)(?:, (?:"[^"]+"|\w+))*))?(?:; |$)', rest)
        if not match:
            complain(number, f"{row}: cannot read: {rest}")
            return found
        name, names = match.groups()
        inside = tree[name]
        if inside is None:
            complain(number, f"{row}: there is no test {name}")
        else:
            for inner in re.findall(r'"([^"]+)"|(\w+)', names or ""):
                inner = inner[0] or inner[1]
                if inner not in inside:
                    complain(number, f"{row}: there is no {inner} in {name}")
        found += 1
        rest = rest[match.end():]
    return found


def main():
    tests = Path(sys.argv[1]) / "tests"
    lines = (tests / "capabilities.md").read_text().splitlines()
    tree = Tree(tests)
    allowed = set(re.findall(r"\b[A-GKL]\d+\b", " ".join(lines[lines.index("## Not yet"):])))
    seen = {}
    for number, line in enumerate(lines, 1):
        if not re.match(r"\| *[A-Z]\d", line):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not cells[1]:
            complain(number, f"three cells are wanted: {line}")
            continue
        row = cells[0]
        if row in seen:
            complain(number, f"{row} is here twice")
        seen[row] = 0 if cells[2] in ("", "—") else check_tests(tree, number, row, cells[2])
        if not seen[row] and row not in allowed:
            complain(number, f"{row} has no test")
        if seen[row] and row in allowed:
            complain(number, f"{row} has a test: take it out of the last section")
    wanted = {f"{letter}{n}" for letter, count in ROWS.items() for n in range(1, count + 1)}
    for row in sorted(wanted - set(seen)):
        complain(len(lines), f"{row} is missing")
    for row in sorted((set(seen) | allowed) - wanted):
        complain(len(lines), f"{row} is no row")
    print("\n".join(problems + [f"{len(seen)} rows, {len(allowed)} of them without a test yet"]))
    return 1 if problems else 0


sys.exit(main())
