#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that a size of 0 means the layout of the first release with this soname: frozen.py REPOSITORY

src/base/frozen.h names the last member of each public struct that has a size. It must be the last member in the headers
of that release in tests/abi, or of a later release if the struct is newer; before the release, in the current headers.
Each struct that has a size, and is read or filled in src/, has a row.

A struct without a size that a function gets or returns by value, or that is a member of another struct, can never grow.
include/vestry/vestry.h lists such structs ("These never change"), together with those that programs allocate."""
import pathlib
import re
import sys


def structs(folder):
    """Return struct → its members, for structs whose first member is size."""
    found = {}
    for path in folder.rglob("*.h"):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S)
        for match in re.finditer(r"struct (\w+) \{\s*size_t size;", text):
            members, depth = [""], 0
            for char in text[match.end():]:
                depth += (char in "{(") - (char in "})")
                if depth < 0:
                    break
                if char == ";" and not depth:
                    members.append("")
                else:
                    members[-1] += char
            names = [re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(|(\w+)\s*(?:\[[^]]*\]\s*)*$", member) for member in members[:-1]]
            found[match[1]] = ["size", *(name[1] or name[2] for name in names)]
    return found


def unlisted(top):
    """Return what is wrong with the list of structs that never change."""
    code = {path: re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S) for path in (top / "include").rglob("*.h")}
    sizes = {name: bool(size) for text in code.values()
             for name, size in re.findall(r"struct (vestry_\w+) \{\s*(size_t size;)?", text)}
    by_value = {name for text in code.values() for name in re.findall(
        r"(?:^VESTRY_API |^static inline |[(,]\s*|^  )(?:const )?(?:struct )?(vestry_\w+) \w+(?:\[\w+\])?[(,);]", text, re.M)}
    text = (top / "include/vestry/vestry.h").read_text().split("These never change", 1)[1].split("*/", 1)[0]
    listed, place = set(re.findall(r"vestry_\w+", text)), "include/vestry/vestry.h: These never change:"
    return [f"{place} {name} is missing, but is used by value" for name in sorted(by_value & sizes.keys() - listed)
            if not sizes[name]] + [f"{place} {name} {'has a size' if name in sizes else 'is no struct'}"
                                   for name in sorted(listed) if sizes.get(name, True)]


def main():
    top = pathlib.Path(sys.argv[1])
    number = re.search(r"VESTRY_SONAME_NUMBER (\d+)", (top / "CMakeLists.txt").read_text())[1]
    released = [folder for folder in sorted((top / "tests/abi").glob("[0-9]*"), key=lambda path: [*map(int, path.name.split("."))])
                if f"soname='libvestry.so.{number}'" in (folder / "libvestry.abi").read_text()]
    wanted = {}
    for folder in [*(path / "include" for path in released), top / "include"]:
        for name, members in structs(folder).items():
            wanted.setdefault(name, members[-1])
    rows = dict(re.findall(r"^#define VSI_LAST_OF_(\w+) +(\w+)$", (top / "src/base/frozen.h").read_text(), re.M))
    problems = [f"src/base/frozen.h: {name} ends with {last}, {wanted.get(name, 'no struct with a size')} was its last member"
                for name, last in rows.items() if wanted.get(name) != last]
    used = {name for path in (top / "src").rglob("*.[ch]") for name in re.findall(
        r"VSI_(?:OPTIONS_TAKE|RESULT_GIVE|OPS_ARE_KNOWN)\((vestry_\w+),", path.read_text())}
    problems += [f"src/base/frozen.h: {name} has a row that nothing uses" for name in sorted(set(rows) - used)
                 if not re.search(rf"VSI_OPS_\w+\([^,]+, {name},", "".join(p.read_text() for p in (top / "src").rglob("*.[ch]")))]
    problems += unlisted(top)
    print("\n".join(problems) or f"{len(rows)} structs, frozen by {released[0].name if released else 'no release yet'}")
    return 1 if problems or not rows else 0


sys.exit(main())
