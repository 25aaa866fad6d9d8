#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Count the code, and check that no count exceeds its row in sizes.txt: sizes.py REPOSITORY | --lower REPOSITORY | --planted

A row of sizes.txt has a count's name, its bound, and the bound that the project aims at. A commit may raise a row only if
it lowers another one by as much. --lower sets each row to the count, if that is lower. scripts/house prints all counts.

A line of code is neither blank nor only a comment. Functions are those that a program can call: exported ones and inline
ones of public headers. Members are those of public structs: of options, of statistics and of all others."""
import collections
import pathlib
import re
import sys
import tempfile

EXTENSIONS = ("app", "data", "cluster", "ops", "testing")
COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)
FUNCTION = re.compile(r"(?:\bVESTRY_API\b[^;(]*?|\bstatic inline [^;{(]*?)\b(vestry_\w+)\s*\(")
EXPORTED = re.compile(r"\bVESTRY_API\b[^;(]*?\b(vestry_\w+)\s*\(")
STRUCT = re.compile(r"\bstruct (vestry_\w+) \{(.*?)\n\}", re.S)
MEMBER = re.compile(r"\w+(?:\[[^]]*\])?\s*[,;]|\(\*\w+\)")
ROW = re.compile(r"^(.*\S)\s+(\d+)\s+(\d+)$")
KINDS = (("options", re.compile(r"_options$")), ("statistics", re.compile(r"_stats$|_counts$|_totals$|_metrics$")))


def without_comments(text):
    """Return C code without its comments; strings stay."""
    def keep(match):
        found = match.group(0)
        return found if found[0] in "\"'" else "\n" * found.count("\n")

    return COMMENT.sub(keep, text)


def code_lines(text):
    return sum(1 for line in without_comments(text).splitlines() if line.strip())


def library_of(path, others):
    """Return the first folder of a path in src/ or include/vestry/ if it is an extension's or in `others`, else "core"."""
    first = path.parts[0] if len(path.parts) > 1 else ""
    return first if first in (*EXTENSIONS, *others) else "core"


def count(top):
    """Return name → count of a tree."""
    counts = collections.Counter()
    for path in (top / "src").rglob("*.[ch]"):
        inside, lines = path.relative_to(top / "src"), code_lines(path.read_text())
        library = library_of(inside, ("adapter",))
        for name in {f"lines of src/{inside.parts[0]}", f"lines of {library}", "lines of src"}:
            counts[name] += lines
    for name in [f"lines of {library}" for library in (*EXTENSIONS, "adapter")]:
        counts.pop(f"lines of src/{name[len('lines of '):]}", None)
    for folder in ("tests", "bench"):
        for path in (top / folder).rglob("*"):
            if path.is_file() and not {"node_modules", "__pycache__"} & set(path.parts):
                counts[f"all lines of {folder}"] += path.read_bytes().count(b"\n")
    for path in (top / "docs" / "guide").glob("*.md"):
        counts["pages of the guide"] += 1
    for path in (top / "include" / "vestry").rglob("*.h"):
        library, code = library_of(path.relative_to(top / "include" / "vestry"), ()), without_comments(path.read_text())
        functions = set(FUNCTION.findall(code))
        counts[f"headers of {library}"] += 1
        counts[f"functions of {library}"] += len(functions)
        counts["exported functions"] += len(set(EXPORTED.findall(code)))
        for name, body in STRUCT.findall(code):
            kind = next((kind for kind, pattern in KINDS if pattern.search(name)), "other structs")
            counts[f"structs of {library}"] += 1
            counts["structs"] += 1
            counts[f"members of {library}: {kind}"] += len(MEMBER.findall(body))
    return counts


def rows(text):
    """Return name → (bound, aim) of the text of sizes.txt."""
    found = (ROW.match(line) for line in text.splitlines() if line and not line.startswith("#"))
    return {row[1]: (int(row[2]), int(row[3])) for row in found}


def check(counts, bounds):
    """Return the messages about counts above their rows, counts without a row and rows without a count."""
    return [f"{name}: {counts[name]}, but its bound is {bounds[name][0]}"
            for name in sorted(counts) if name in bounds and counts[name] > bounds[name][0]] + \
        [f"{name}: {counts[name]}, without a row" for name in sorted(set(counts) - set(bounds))] + \
        [f"{name}: a row that counts nothing" for name in sorted(set(bounds) - set(counts))]


def lower(text, counts):
    """Return the text of sizes.txt with the bounds that exceed their counts set to the counts."""
    lines = []
    for line in text.splitlines():
        row = None if line.startswith("#") else ROW.match(line)
        lines.append(f"{row[1]:36} {min(int(row[2]), counts[row[1]]):>7} {row[3]:>7}" if row else line)
    return "\n".join(lines) + "\n"


def planted():
    """Check the counts of a small tree, and that each kind of wrong row is found."""
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        for path in ("src/base", "src/app/page", "include/vestry/app"):
            (top / path).mkdir(parents=True)
        (top / "src/base/a.c").write_text('/* a\n b */\nconst char *a = "/*"; // c\n\nint b;\n')
        (top / "src/app/page/b.c").write_text("int c;\n")
        (top / "include/vestry/app/x.h").write_text(
            "VESTRY_API int vestry_x(int a);\nstatic inline int vestry_y(int a) {\n}\n"
            "typedef struct vestry_x_options {\n  int a, b;\n  int (*c)(int);\n} vestry_x_options;\n")
        counts = count(top)
    right = {"lines of src/base": 2, "lines of core": 2, "lines of app": 1, "lines of src": 3, "functions of app": 2,
             "exported functions": 1, "structs": 1, "structs of app": 1, "members of app: options": 3, "headers of app": 1}
    bounds = {name: (value, 0) for name, value in right.items()}
    wrong = {**bounds, "structs": (0, 0), "headers of core": (1, 1)}
    del wrong["lines of src"]
    if counts != right or check(counts, bounds) or len(check(counts, wrong)) != 3 or \
            rows(lower("# a\nstructs 5 0\n", counts)) != {"structs": (1, 0)}:
        sys.exit(f"the small tree is counted wrongly, or wrong rows are not found: {counts}")


def main():
    if sys.argv[1:] == ["--planted"]:
        return planted()
    top = pathlib.Path(sys.argv[-1])
    counts, table = count(top), top / "tests" / "source" / "sizes.txt"
    if sys.argv[1] == "--lower":
        table.write_text(lower(table.read_text(), counts))
        return 0
    wrong = check(counts, rows(table.read_text()))
    print("\n".join(f"tests/source/sizes.txt: {line}" for line in wrong) or f"{len(counts)} rows hold")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
