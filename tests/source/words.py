#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sentences about things do not have a person for their subject: words.py REPOSITORY | words.py --planted

Where a comment or a page says "who", "somebody" or "nobody" of a thread, a stream or a node, its reader stops and asks
"which?". Where it says "behind" of a moment or a byte, he asks "where?": "after" is meant. So these words stand only
where a person is meant, or a place. Comments of src/ and include/ are read, and the pages in docs/ and at the top; of
the pages' programs, their comments. `code`, "texts" and rules that are drawn are passed over.

To mend a line that is shown, say which thing does what: "a stream that has missed it has a gap". With --planted it
tries itself on sentences of either kind."""
import pathlib
import re
import sys
import tempfile

STOPS = re.compile(r"\b(who|whom|whoever|whomever|somebody|someone|nobody|behind)\b", re.I)

# What stands before a "who" that is right.
PEOPLE = r"(?:people|persons?|users?|readers?|Bob's,)"
# Sentences of people, and places. Each is a pattern of a whole phrase, so that nothing else hides behind it.
ALLOWED = [
    (rf"\b{PEOPLE} who(?:m)?\b", "people"),
    (r"\bthose who (?:write|bring)\b|\bOne who has left\b", "people: implementers of a seam, guests"),
    (r"\bwho and place\b|\bwho, the place\b|\bwho UTF-8|\bpresence or who\b|\bplace, who\b|\bbytes of who\b",
     "an argument"),
    (r"\bof who, by a key\b|\bchange->who\b", "the same argument"),
    (r"\bwho is (?:at a place|here|there)\b", "presences are about people"),
    (r"\bbehind (?:an? |the |one )?(?:proxy|balancer|NAT|nginx|HAProxy|seam)\b", "a place in the network, or in the design"),
    (r"\b(?:leaves?|left)\b[^.;:]{0,50}\bbehind\b", "what stays"),
    (r"\bhowever far it is behind\b", "late"),
]
ALLOWED = [re.compile(pattern, re.I) for pattern, _ in ALLOWED]

C_PARTS = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)
FENCE = re.compile(r"^(?:```\w*|<!-- c)\n.*?^(?:```|-->)$", re.M | re.S)


def blank(text):
    """As many lines, and nothing in them."""
    return re.sub(r"[^\n]", " ", text)


def comments(code):
    """C with its comments alone, each where it stands."""
    kept, end = [], 0
    for part in C_PARTS.finditer(code):
        kept.append(blank(code[end:part.start()]))
        kept.append(part[0] if part[0][0] == "/" else blank(part[0]))
        end = part.end()
    return "".join(kept) + blank(code[end:])


def prose(path):
    """What a file says to people, line for line."""
    text = path.read_text()
    if path.suffix == ".md":
        return FENCE.sub(lambda block: comments(block[0].replace("<!-- c", "      ").replace("`", " ")), text)
    return comments(text)


def flowing(text):
    """The same without the marks that stand between two lines of a comment, so that phrases are found across them."""
    text = re.sub(r"(?m)^(\s*)(\*)(?!/)", r"\1 ", text)
    text = re.sub(r"\]\([^)\n]*\)", lambda target: blank(target[0]), text)
    return re.sub(r'`[^`\n]*`|"[^"\n]{1,200}"', lambda quoted: blank(quoted[0]), text)


def findings(path):
    """Lines on which a word stops the reader, with the word."""
    text = flowing(prose(path))
    one_line = re.sub(r"\n", " ", text)
    # Blanks of any number count as one: patterns are matched on a text without them, by a map of places.
    places = [i for i, c in enumerate(one_line) if c != " " or (i and one_line[i - 1] != " ")]
    dense = "".join(one_line[i] for i in places)
    free = [(found.start(), found.end()) for pattern in ALLOWED for found in pattern.finditer(dense)]
    for word in STOPS.finditer(dense):
        if any(begin <= word.start() and word.end() <= end for begin, end in free):
            continue
        yield text.count("\n", 0, places[word.start()]) + 1, word[0]


def files(top):
    for folder in ("src", "include", "docs"):
        for pattern in ("*.c", "*.h", "*.md"):
            yield from sorted((top / folder).rglob(pattern))
    yield from sorted(top.glob("*.md"))


def check(top):
    found = 0
    for path in files(top):
        if path.name == "CHANGELOG.md":
            continue
        lines = path.read_text().splitlines()
        for number, word in findings(path):
            print(f"{path.relative_to(top)}:{number}: {word}: {lines[number - 1].strip()[:160]}")
            found += 1
    if found:
        print(f"{found} sentences: say which thing does what. See tests/source/words.py for what is meant.")
    return found


PLANTED = {
    "src/a.c": [
        "/* The lock is given up for who waits. */",
        "/* Whoever finds it full comes back. */",
        "int nobody; // somebody has left",
        "/* It is freed when nobody\n * holds it. */",
        "/* A NUL stands behind the bytes. */",
    ],
    "include/vestry/a.h": ["/** Told to whom it concerns. */"],
    "docs/a.md": ["Who is late is told.", "```c\nint x; // nobody else\n```"],
}
LEFT_ALONE = {
    "src/b.c": [
        'const char *who = "nobody";',
        "/* People who read this, behind a proxy. */",
        "/* A file that was left\n * behind. */",
        '/* "who" is an argument. */',
    ],
    "docs/b.md": ["For people who write C, `who` is here, [behind](behind.md) a NAT.", "```c\nwho(nobody);\n```"],
}


def try_planted():
    """Each planted sentence is found, by itself, and none of the others is."""
    missed = 0
    for sentences, wanted in ((PLANTED, True), (LEFT_ALONE, False)):
        for name, texts in sentences.items():
            for text in texts:
                with tempfile.TemporaryDirectory() as folder:
                    path = pathlib.Path(folder) / name
                    path.parent.mkdir(parents=True)
                    path.write_text(text + "\n")
                    if bool(check(pathlib.Path(folder))) != wanted:
                        print(f"{'not found' if wanted else 'found'}: {text}")
                        missed += 1
    return missed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(1 if (try_planted() if sys.argv[1] == "--planted" else check(pathlib.Path(sys.argv[1]))) else 0)
