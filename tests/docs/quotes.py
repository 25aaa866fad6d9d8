#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that the examples contain the code that the guide quotes from them: quotes.py REPOSITORY

The eight pages under "Start here" of the guide's README are linked from page to page, in their order.

A block of a page that begins with ```c FILE or ```sql FILE must be a part of that file, line by line, except for
indentation. So the next run of the tests finds a page that describes an outdated program."""
import re
import sys
from pathlib import Path

QUOTE = re.compile(r"^```(?:c|sql) (?P<file>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def lines(text):
    return [line.strip() for line in text.splitlines()]


def path_breaks(guide):
    """Return what is wrong with the path through the guide: README's list, and the last line of each of its pages."""
    start = (guide / "README.md").read_text().split("## Start here\n", 1)[1].split("\n## ", 1)[0]
    pages = re.findall(r"^\d+\. \[[^]]*\]\(([a-z-]+\.md)\)", start, re.MULTILINE)
    if len(pages) != 8:
        yield f"{guide}/README.md: {len(pages)} pages under Start here; eight are promised"
    for page, following in zip(pages, pages[1:] + ["deploying.md"]):
        last = (guide / page).read_text().rstrip("\n").rsplit("\n", 1)[1]
        if not re.fullmatch(rf"Next: \[[^]]*\]\({following}\)\.", last):
            yield f"{guide}/{page}: its last line does not name the next page, {following}"


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
    breaks = list(path_breaks(top / "docs/guide"))
    print("\n".join([*breaks, f"{count} quotes, {bad} of them wrong"]))
    return 1 if bad or breaks or not count else 0


if __name__ == "__main__":
    sys.exit(main())
