#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that the examples contain the code that the guide quotes from them: quotes.py REPOSITORY

A block of a page that begins with ```c FILE or ```sql FILE must be a part of that file, line by line, except for
indentation. So the next run of the tests finds a page that describes an outdated program."""
import re
import sys
from pathlib import Path

QUOTE = re.compile(r"^```(?:c|sql) (?P<file>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def lines(text):
    return [line.strip() for line in text.splitlines()]


def main():
    top = Path(sys.argv[1])
    count = bad = 0
    for page in sorted((top / "docs/guide").glob("*.md")):
        text = page.read_text()
        for quote in QUOTE.finditer(text):
            count += 1
            where = f"{page}:{text.count(chr(10), 0, quote.start()) + 1}"
            file = top / quote["file"]
            if not file.is_file():
                print(f"{where}: there is no {quote['file']}")
                bad += 1
                continue
            wanted, there = lines(quote["text"]), lines(file.read_text())
            if not any(there[i : i + len(wanted)] == wanted for i in range(len(there))):
                print(f"{where}: this is not in {quote['file']}:\n{quote['text']}")
                bad += 1
    print(f"{count} quotes, {bad} of them wrong")
    return 1 if bad or not count else 0


if __name__ == "__main__":
    sys.exit(main())
