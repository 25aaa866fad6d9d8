#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that each lock of src/ has one place in the order of VSI_LOCKS (src/base/lock_order.h) and an equal row in
docs/locking.md, and is initialized with that rank: locking.py REPOSITORY

A lock is a field or a variable of the types below. A vsi_semaphore is not a lock here; docs/locking.md has
the reason. src/ has no other locks, because those of the system have no rank."""
import collections
import pathlib
import re
import sys

NOTHING = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.S)
DECLARED = re.compile(r"^\s*(?:static )?(?:_Alignas\(\w+\) )?(?:vsi_mutex|vsi_rw_lock|vsi_spin_lock) (\w+)"
                      r"(?:\[\w+\])?(?: = [^;]+)?;", re.M)
ROW = re.compile(r"^\| (\d+) \| (.*?) \| `([\w./]+)`: `(\w+)` \|", re.M)
PLACE = re.compile(r'(OUTER|INNERMOST)\((\w+), "([^"]+)", "([\w./]+): (\w+)"\)')
RANKED = re.compile(r"(?:vsi_mutex_init|vsi_spin_lock_take|vsi_rw_lock_(?:read|write))\(&(?:\w+(?:->|\.))*(\w+), "
                    r"VSI_LOCK_(\w+)\)|(\w+) = VSI_MUTEX_INITIALIZER\(VSI_LOCK_(\w+)\)")
SYSTEM = re.compile(r"\bpthread_(?:mutex|rwlock|spin)(?:attr)?_\w+|\bck_(?:spinlock|rwlock)_\w+")
FROM = re.compile(r"From (\d+) on locks are innermost")


def locks_of(src):
    """Return (file, name) of each lock; (folder, name) → ranks with which locks of that name are initialized or
    taken there; and locks of the system, in the files that use them."""
    declared, ranks, others = set(), collections.defaultdict(set), set()
    for path in src.rglob("*.[ch]"):
        file, text = str(path.relative_to(src)), NOTHING.sub("", path.read_text())
        if file.startswith("base/"):
            continue
        declared |= {(file, name) for name in DECLARED.findall(text)}
        others |= {(file, name) for name in SYSTEM.findall(text)}
        for field, rank, variable, first in RANKED.findall(text):
            ranks[str(path.parent.relative_to(src)), field or variable].add(rank or first)
    return declared, ranks, others


def main(top):
    declared, ranks, others = locks_of(top / "src")
    places = PLACE.findall((top / "src" / "base" / "lock_order.h").read_text())
    page = (top / "docs" / "locking.md").read_text()
    rows = [(int(order), title, (file, name)) for order, title, file, name in ROW.findall(page)]
    times = collections.Counter(lock for _, _, lock in rows)
    problems = [f"{file}: {name} has no row" for file, name in sorted(declared - set(times))]
    problems += [f"{file}: {name} has a row, and is no lock there" for file, name in sorted(set(times) - declared)]
    problems += [f"{file}: {name} has {count} rows" for (file, name), count in times.items() if count > 1]
    if [order for order, _, _ in rows] != list(range(1, len(rows) + 1)):
        problems.append("the order is not 1, 2, 3, …")
    if [lock for _, _, lock in rows] != [(file, name) for _, _, _, file, name in places]:
        problems.append("its rows are not those of VSI_LOCKS in src/base/lock_order.h, in their order")
    problems += [f"row {order} is not of {place[2]}, as VSI_LOCKS has it" for (order, title, _), place in
                 zip(rows, places) if not title.replace("`", "").startswith(place[2])]
    outer = [kind for kind, *_ in places].count("OUTER")
    if [kind for kind, *_ in places[:outer]].count("INNERMOST") or FROM.findall(page) != [str(outer + 1)]:
        problems.append(f"VSI_LOCKS has innermost locks from {outer + 1} on")
    used = {(folder, name, rank) for (folder, name), all_of in ranks.items() for rank in all_of}
    known = {(str(pathlib.PurePath(file).parent), name, rank) for _, rank, _, file, name in places}
    problems += [f"{folder}/: no {name} begins with VSI_LOCK_{rank}" for folder, name, rank in sorted(known - used)]
    problems += [f"{folder}/: a {name} has VSI_LOCK_{rank}, which is another lock's"
                 for folder, name, rank in sorted(used - known)]
    problems += [f"{file}: {name} is none of base/mutex.h, rw_lock.h and spin_lock.h" for file, name in sorted(others)]
    if not declared:
        problems.append("src/ has no lock: the pattern of declarations is wrong")
    print("\n".join(f"docs/locking.md: {problem}" for problem in problems) or f"{len(rows)} locks")
    return 1 if problems else 0


sys.exit(main(pathlib.Path(sys.argv[1])))
