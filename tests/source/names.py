#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the files and functions that docs/architecture.md names: names.py REPOSITORY | names.py --planted

Each path in code format is a file of src/ or include/. In "Walks" and "Encodings", a function directly after a path and a colon
(`serve/serve.c`: `vestry_serve`) occurs in that file, and each other function occurs in src/."""
import pathlib
import re
import sys

PATH = r"`((?:[\w-]+/)*[\w-]+\.[ch])`"
PAIR = re.compile(PATH + r": `(\w+)`")
FUNCTION = re.compile(r"`([a-z]\w*)`")


def wrong_names(text, sources):
    """Yield messages about a text, from path → the words of its file."""
    every = set().union(*sources.values())
    for line, row in enumerate(text.splitlines(), 1):
        for path in re.findall(PATH, row):
            if not any(name == path or name.endswith("/" + path) for name in sources):
                yield f"line {line}: {path}: no such file"
        for path, function in PAIR.findall(row):
            if not any(function in words for name, words in sources.items() if name == path or name.endswith("/" + path)):
                yield f"line {line}: {path} has no {function}"
        if re.match(r"\d+\. |\*\*", row):
            yield from (f"line {line}: src/ has no {name}" for name in FUNCTION.findall(row) if name not in every)


def main():
    if sys.argv[1:] == ["--planted"]:
        sources = {"src/base/a.c": {"f", "g"}, "src/base/b.h": {"h"}}
        for text, count in (("1. `a.c`: `f` calls `h` (`base/b.h`)", 0), ("1. `c.c`", 1), ("1. `b.h`: `f`", 1), ("1. `x`", 1)):
            found = list(wrong_names(text, sources))
            if len(found) != count:
                sys.exit(f"{text}: {found}")
        return 0
    top = pathlib.Path(sys.argv[1])
    sources = {str(path.relative_to(top)): set(re.findall(r"\w+", path.read_text()))
               for folder in ("src", "include", "bench", "examples", "tests") for path in (top / folder).rglob("*.[ch]")}
    found = list(wrong_names((top / "docs" / "architecture.md").read_text(), sources))
    print("\n".join(f"docs/architecture.md: {line}" for line in found) or "all names exist")
    return bool(found)


sys.exit(main())
