#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each lock of src/ has one row in docs/locking.md, and one place in its order: locking.py REPOSITORY

A lock is a field or a variable of the types below. A turnstile's semaphore is none: the page says why."""
import collections
import pathlib
import re
import sys

NOTHING = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.S)
DECLARED = re.compile(r"^\s*(?:static )?(?:_Alignas\(\w+\) )?(?:pthread_mutex_t|pthread_rwlock_t|vsi_spin_lock) (\w+)"
                      r"(?:\[\w+\])?(?: = [^;]+)?;", re.M)
ROW = re.compile(r"^\| (\d+) \| .*? \| `([\w./]+)`: `(\w+)` \|", re.M)


def main(top):
    declared = set()
    for path in (top / "src").rglob("*.[ch]"):
        text = NOTHING.sub("", path.read_text())
        declared |= {(str(path.relative_to(top / "src")), name) for name in DECLARED.findall(text)}
    page = (top / "docs" / "locking.md").read_text()
    rows = [(int(order), (file, name)) for order, file, name in ROW.findall(page)]
    times = collections.Counter(lock for _, lock in rows)
    problems = [f"{file}: {name} has no row" for file, name in sorted(declared - set(times))]
    problems += [f"{file}: {name} has a row, and is no lock there" for file, name in sorted(set(times) - declared)]
    problems += [f"{file}: {name} has {count} rows" for (file, name), count in times.items() if count > 1]
    if [order for order, _ in rows] != list(range(1, len(rows) + 1)):
        problems.append("the order is not 1, 2, 3, …")
    if not declared:
        problems.append("src/ has no lock: the pattern of declarations is wrong")
    print("\n".join(f"docs/locking.md: {problem}" for problem in problems) or f"{len(rows)} locks")
    return 1 if problems else 0


sys.exit(main(pathlib.Path(sys.argv[1])))
