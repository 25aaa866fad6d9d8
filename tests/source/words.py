#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that the number of constructions that make texts hard to read does not increase:
words.py REPOSITORY [--report | --write] | words.py --planted

The constructions below are counted in comments of include/ and src/, and in the pages in docs/ and at the top, without
`code`, "quotations" and programs. tests/source/words.txt contains the maximum of each area. The test fails if an area
exceeds it, and prints the sentences in the files that git reports as changed. --write lowers the limits to the current
counts. --report prints hits per 1,000 words by area and construction, and the files with the most."""
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

# Construction → the better alternative.
CONSTRUCTIONS = {
    "a clause is the subject": (r"(?:(?<=[.;:!?] )|(?<=\* )|(?<=\| )|(?<=- )|(?<=\(NULL\) ))(?:What|That which|Whatever|Who|Whoever)\b(?![^.?]*\?)"
                                r"|(?<=[;:] )what\b",
                                "a noun: the term of the field or of the glossary"),
    "a verb of speech": (r"\b(?:say|says|said|saying|tell|tells|told|telling|hear|hears|heard|hearing|ask|asks|asked|asking)\b",
                         "report, send, request, receive, return, publish, announce, name"),
    "a pronoun for a quantity": (r"\b(?:of these|of those|of (?:its|their) own|so (?:many|long|often|much)\b(?! (?:as|that)\b))",
                                 "the number, the time, the thing"),
    "a double genitive": (r"\bof (?:the|an?|one|this|that) (?:[\w-]+ )?[\w-]+'s(?= (?:and|or|that|which|is|are)\b|[.,;:)])",
                          "a timer of the runtime"),
    "a word that the glossary replaces": (r"\b(?:lookouts?|deeds?|floors?|outbox(?:es)?|turnstile|keepers?|visitors?|"
                                          r"turned away|leaves? for [A-Z]{3,}|goes for [A-Z]{3,})\b", "the glossary's term"),
    "a person for a thing": (r"\b(?:whom|whoever|whomever|somebody|someone|nobody)\b", "the thing"),
}
CONSTRUCTIONS = {name: (re.compile(pattern), instead) for name, (pattern, instead) in CONSTRUCTIONS.items()}
AREAS = (("headers of the core", r"include/vestry/[^/]+$"), ("headers of extensions", r"include/"),
         ("src, extensions", r"src/(?:app|data|cluster|ops|testing)/"), ("src, core", r"src/"),
         ("guide", r"docs/guide/"), ("docs", r"docs/"), ("top", r"[^/]+\.md$"))

C_PARTS = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)
FENCE = re.compile(r"^(?:```\w*|<!-- c)\n.*?^(?:```|-->)$", re.M | re.S)


def blank(text):
    """Return empty lines of the same number and lengths."""
    return re.sub(r"[^\n]", " ", text)


def comments(code):
    """Return C code with its comments only, at their positions."""
    kept, end = [], 0
    for part in C_PARTS.finditer(code):
        kept.append(blank(code[end:part.start()]))
        kept.append(part[0] if part[0][0] == "/" else blank(part[0]))
        end = part.end()
    return "".join(kept) + blank(code[end:])


def prose(path):
    """Return the text of a file that people read, with the same lines."""
    text = path.read_text()
    if path.suffix == ".md":
        return FENCE.sub(lambda block: comments(block[0].replace("<!-- c", "      ").replace("`", " ")), text)
    return comments(text)


def flowing(text):
    """Remove the marks between two lines of a comment, so that phrases are found across them."""
    text = re.sub(r"(?m)^(\s*)(\*)(?!/)", r"\1 ", text)
    text = re.sub(r"\]\([^)\n]*\)", lambda target: blank(target[0]), text)
    return re.sub(r'`[^`\n]*`|"[^"\n]{1,200}"', lambda quoted: blank(quoted[0]), text)


def findings(path):
    """Return line, construction and words of each hit; and the number of words in the file."""
    text = flowing(prose(path))
    one_line = re.sub(r"/\*+<?|\*/|\n", lambda mark: " " * len(mark[0]), text)
    # Several spaces count as one: patterns are matched on a text without them, with a map of positions.
    places = [i for i, c in enumerate(one_line) if c != " " or (i and one_line[i - 1] != " ")]
    dense = "".join(one_line[i] for i in places)
    hits = [(text.count("\n", 0, places[hit.start()]) + 1, name, hit[0])
            for name, (pattern, _) in CONSTRUCTIONS.items() for hit in pattern.finditer(dense)]
    return hits, len(re.findall(r"[A-Za-z]{2,}", dense))


def area_of(name):
    return next(area for area, pattern in AREAS if re.match(pattern, name))


def files(top):
    for folder in ("src", "include", "docs"):
        for pattern in ("*.c", "*.h", "*.md"):
            yield from sorted((top / folder).rglob(pattern))
    yield from (path for path in sorted(top.glob("*.md")) if path.name != "CHANGELOG.md")


def counted(top):
    """Return area → hits by construction; area → words; file → its hits."""
    by_area, words, by_file = collections.defaultdict(collections.Counter), collections.Counter(), {}
    for path in files(top):
        name = str(path.relative_to(top))
        by_file[name], count = findings(path)
        words[area_of(name)] += count
        by_area[area_of(name)].update(kind for _, kind, _ in by_file[name])
    return by_area, words, by_file


def limits(top):
    path = top / "tests/source/words.txt"
    rows = re.findall(r"^(\d+) (.+)$", path.read_text(), re.M) if path.exists() else []
    return {area: int(most) for most, area in rows}


def check(top):
    by_area, _, by_file = counted(top)
    allowed, found = limits(top), 0
    changed = set(subprocess.run(["git", "-C", top, "diff", "--name-only", "HEAD~1"], capture_output=True, text=True,
                                 check=False).stdout.split())
    for area, kinds in by_area.items():
        if kinds.total() <= allowed.get(area, 0):
            continue
        found += 1
        print(f"{area}: {kinds.total()} constructions, {allowed.get(area, 0)} allowed (tests/source/words.txt)")
        for name, hits in by_file.items():
            if area_of(name) == area and (name in changed or not changed):
                for line, kind, words in hits:
                    print(f"{name}:{line}: {words}: {kind}; write {CONSTRUCTIONS[kind][1]}")
    return found


def write(top):
    by_area, _, _ = counted(top)
    allowed = limits(top)
    rows = [f"{min(kinds.total(), allowed.get(area, kinds.total()))} {area}\n" for area, kinds in sorted(by_area.items())]
    (top / "tests/source/words.txt").write_text("".join(rows))


def report(top):
    by_area, words, by_file = counted(top)
    for area, kinds in by_area.items():
        print(f"{area}: {kinds.total()} in {words[area]} words, {1000 * kinds.total() / max(1, words[area]):.1f} in 1,000")
        for kind, count in kinds.most_common():
            print(f"  {count:5} {kind}")
    for name, hits in sorted(by_file.items(), key=lambda row: -len(row[1]))[:40]:
        print(f"{len(hits):5} {name}")


PLANTED = {
    "src/a.c": [
        "/* The lock is given up. What waits goes on. */",
        "/* A node that is told of it forgets it. */",
        "int nobody; // somebody has left",
        "/* It is freed when nobody\n * holds it. */",
        "/* So many of these are kept. */",
    ],
    "include/vestry/a.h": ["/** A timer of the runtime's. */"],
    "docs/a.md": ["Whatever is late is dropped.\n\n- What is late is dropped.", "```c\nint x; // nobody else\n```"],
}
LEFT_ALONE = {
    "src/b.c": ['const char *said = "nobody";', "/* What is a key? */", '/* "said" is an argument. */',
                "/* It waits so long as the lock is held. */"],
    "docs/b.md": ["The member `said` [tells](told.md) nothing.".replace("tells", "names"), "```c\ntold(nobody);\n```"],
}


def try_planted():
    """Check that each planted sentence is found, alone, and that no other sentence is."""
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
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--planted":
        sys.exit(1 if try_planted() else 0)
    task = {"--report": report, "--write": write}.get(sys.argv[2] if len(sys.argv) > 2 else "", check)
    sys.exit(1 if task(pathlib.Path(sys.argv[1])) else 0)
