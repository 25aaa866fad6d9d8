#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that every capability has a test: capabilities.py REPOSITORY [--write]

tests/capabilities.md has a row for each capability. It names the tests of ctest that would fail without it, and the
number of marked tests inside them. A mark in the line above a test, /* capability: A3, D5 */, or // in a script, names
its rows. A mark in the second line of a file applies to all its tests. Rows and marks are compared, so that no test
gets lost. With --write, the numbers are corrected. Needs no build."""

import os
import re
import sys
from pathlib import Path

ROWS = {"A": 15, "B": 14, "C": 18, "D": 23, "E": 6, "F": 10, "G": 12, "H": 8, "I": 8, "K": 16, "L": 26, "M": 4, "P": 7}
MARK = re.compile(r"^[ \t]*(?:/\*|//) capability: (.*?)(?: \*/)?\n(.*)", re.M)
TEST = re.compile(r"(?:static void|[A-Z]+_CASE)[ (](\w+)(?:\(void(?: \*\*|\))|\))|[ \t]*test\w*\((['`\"])(.+?)\2,")

problems = []


def complain(place, text):
    problems.append(f"tests/{place}: {text}")


def added(text):
    """Return the names that a CMakeLists.txt gives its tests; in loops over items, all of them, as far as the first
    item goes."""
    names, loops = set(), {}
    for line in text.splitlines():
        if loop := re.match(r"\s*foreach\((\w+) IN ITEMS (.*)\)", line):
            loops[loop[1]] = loop[2].split()
        if test := re.match(r"\s*vestry_add_test\((\w+)(?:\$\{(\w+)\})?(?:_\$\{\w+\})?[\s)]", line):
            names |= {test[1] + item for item in loops.get(test[2], [])} if test[2] else {test[1]}
    return names


def contract(tests):
    """Return the files of the contract of adapters, whose suites the programs of adapters run by their names."""
    return sorted((tests.parent / "src" / "testing" / "contract").glob("*.c"))


class Tree:
    """The tests of a repository: by ctest's names, with the files that contain them."""

    def __init__(self, tests):
        self.tests = tests
        self.contract = {found: path for path in contract(tests) for found in
                         re.findall(r'VSI_SUITE\("(\w+)"', path.read_text())}
        self.added = set()
        for path in tests.rglob("CMakeLists.txt"):
            self.added |= added(path.read_text())

    def sources(self, program):
        """Return the files of a program's tests: its own, and the contract suites that it runs."""
        own = [program]
        suites = set()
        for header in re.findall(r'#include "(\w+/\w+)\.h"', program.read_text()):
            included = self.tests / f"{header}.h"
            text = f'#include "{header}.h"' + (included.read_text() if included.exists() else "")
            suites.update(re.findall(r'#include "(\w+/(?:\w+_)?contract)\.h"', text))
        for suite in sorted(suites):
            own += sorted(path for path in self.tests.glob(f"{suite}*.c") if not path.stem.endswith("_test"))
        text = program.read_text()
        lists = re.findall(r'"([a-z]+(?:,[a-z]+)*)"', text) if "contract_run(" in text else []
        lists += re.findall(r"\bvsi_(\w+)_suite\b", text)
        return own + sorted({self.contract[name] for names in lists for name in names.split(",") if name in self.contract})

    def files(self, name):
        """Return the files that contain the tests inside the ctest test of this name. No file: the test has no
        parts. None: there is no such test."""
        folder, _, noun = name.partition("_")
        if name == "browser" or (folder == "browser" and name in self.added):  # with either server
            return [*self.tests.glob("browser/*.test.js")]
        if folder == "proxy" and name in self.added:
            return [*self.tests.glob(f"proxy/{noun}.test.js")]
        if name.startswith("docs_guide_"):
            page = self.tests.parent / "docs" / "guide" / f"{name.removeprefix('docs_guide_')}.md"
            return [] if page.exists() else None
        # A program that runs for each adapter has the adapter as suffix.
        nouns = [noun] + ([noun.rpartition("_")[0]] if name in self.added else [])
        places = [place for each in nouns for place in (f"{each}_test.c", f"{each}/{each}_test.c")]
        inner = self.tests.glob(f"*/{folder}/{noun}_test.c")  # the schedules of a module
        for program in (*(self.tests / folder / place for place in places), *inner):
            if program.exists():
                return self.sources(program)
        if name in self.added or (folder == "fuzz" and (self.tests / "fuzz" / f"{noun}_fuzz.c").exists()):
            return []
        return None


def marks(tests):
    """Return file → the rows that its marks name → line, and number of tests with the mark."""
    found = {}
    for path in sorted([*tests.rglob("*.c"), *tests.rglob("*.test.js"), *contract(tests)]):
        text = path.read_text()
        for mark in MARK.finditer(text):
            place = f"{os.path.relpath(path, tests)}:{text.count(chr(10), 0, mark.start()) + 1}"
            if not place.endswith(":2") and not TEST.match(mark[2]):
                complain(place, "a mark stands above a test, or in the second line for the whole file")
            rows = mark[1].split(", ")
            for row in rows:
                if not re.fullmatch(r"[A-IKLMP]\d+", row) or rows.count(row) > 1:
                    complain(place, f"cannot read: {mark[1]}")
            for row in rows:
                at, count = found.setdefault(path, {}).get(row, (place, 0))
                found[path][row] = (at, count + (not place.endswith(":2")))
    return found


def main():
    tests = Path(sys.argv[1]) / "tests"
    page, lines = "capabilities.md", (tests / "capabilities.md").read_text().splitlines()
    tree, marked = Tree(tests), marks(tests)
    allowed = set(re.findall(r"\b[A-IKLMP]\d+\b", " ".join(lines[lines.index("## Not yet"):])))
    seen, told = {}, set()
    for number, line in enumerate(lines, 1):
        if not re.match(r"\| *[A-Z]\d", line):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not cells[1]:
            complain(f"{page}:{number}", f"three cells are wanted: {line}")
            continue
        row, _, cell = cells
        if row in seen:
            complain(f"{page}:{number}", f"{row} is here twice")
        seen[row] = [] if cell == "—" else cell.split(", ")
        for said in seen[row]:
            match = re.fullmatch(r"`([\w-]+)`(?: (\d+))?", said)
            files = tree.files(match[1]) if match else None
            if files is None:
                complain(f"{page}:{number}", f"{row}: no such test: {said}")
                continue
            counts = [marked[path][row][1] for path in files if row in marked.get(path, ())]
            if files and not counts:
                complain(f"{page}:{number}", f"{row}: nothing in {match[1]} has its mark")
            elif sum(counts) != int(match[2] or 0) and "--write" in sys.argv:
                lines[number - 1] = lines[number - 1].replace(said, f"`{match[1]}` {sum(counts)}")
            elif sum(counts) != int(match[2] or 0):
                complain(f"{page}:{number}", f"{row}: {sum(counts)} tests in {match[1]} have its mark")
            told |= {(row, path) for path in files}
        if not seen[row] and row not in allowed:
            complain(f"{page}:{number}", f"{row} has no test")
        if seen[row] and row in allowed:
            complain(f"{page}:{number}", f"{row} has a test: take it out of the last section")
    for path, rows in marked.items():
        for row, (place, _) in rows.items():
            if (row, path) not in told:
                complain(place, f"{row} has no test in {page} that this one is in")
    wanted = {f"{letter}{n}" for letter, count in ROWS.items() for n in range(1, count + 1)}
    for row in sorted(wanted - set(seen)):
        complain(page, f"{row} is missing")
    for row in sorted((set(seen) | allowed) - wanted):
        complain(page, f"{row} is no row")
    if "--write" in sys.argv:
        (tests / page).write_text("\n".join(lines) + "\n")
    print("\n".join(problems + [f"{len(seen)} rows, {len(allowed)} of them without a test yet"]))
    return 1 if problems else 0


sys.exit(main())
