#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that the options and functions which README and the guide name exist: options.py REPOSITORY | options.py --planted

In text, a name in code format that begins with vestry_ or VESTRY_ must occur in a header, or in the sources, for example
as a metric (without _total), a table or a library. `x` of `vestry_y`, and vestry_y.x, must be a member of that struct;
vestry_y.x also in comments of public headers.

A member with a unit at the end of its name (max_bytes, wait_ms) must belong to a struct that the reader of the page
knows: one of the instance (vestry/instance.h), or one from a header that declares another name of the page. So an option
of another module is found, whose name differs by a letter. Names of other programs are in OTHERS."""
import pathlib
import re
import sys
import tempfile

OTHERS = {"keep_alive_timeout_ms", "max_page_count"}  # civetweb, SQLite
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
FENCE = re.compile(r"^```.*?^```$|^<!--.*?-->$", re.M | re.S)
STRUCT = re.compile(r"\bstruct (vestry_\w+) \{(.*?)\n\}", re.S)
MEMBER = re.compile(r"(\w+)(?:\[[^]]*\])?\s*[,;]|\(\*(\w+)\)")
DECLARED = re.compile(r"\b(vestry_\w+)\(|#define (VESTRY_\w+)|^\} (vestry_\w+);|\(\*(vestry_\w+)\)\(|^  (VESTRY_\w+)", re.M)
NAME = re.compile(r"\b(?:vestry|VESTRY)_\w+")
OPTION = re.compile(r"(?<![\w.$-])\.?([a-z]+(?:_[a-z0-9]+)*_(?:bytes|count|ms|s|ns))\b")
OF_STRUCT = re.compile(r"`\.?(\w+)`(?: of|,? \(of) `(?:struct )?(vestry_\w+)`|\b(vestry_\w+)\.(?P<member>\w+)\b(?!\()")
SOURCES = {"", ".c", ".h", ".txt", ".in", ".sql", ".js", ".py"}
SUFFIX = re.compile(r"(?:h|c|md|so|pc|service|db)")


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def read(top):
    """Return struct → members, member → headers, header → declared names, and the text of headers and sources."""
    structs, owners, declared, text = {}, {}, {}, []
    for path in sorted((top / "include").rglob("*.h")):
        code = COMMENT.sub(lambda comment: blank(comment[0]), path.read_text())
        text.append(code)
        declared[path.name] = {next(filter(None, found)) for found in DECLARED.findall(code)} | {s for s, _ in STRUCT.findall(code)}
        for name, body in STRUCT.findall(code):
            members = {one or other for one, other in MEMBER.findall(body)}
            structs.setdefault(name, set()).update(members)
            for member in members:
                owners.setdefault(member, set()).add(path.name)
    for folder in ("src", "examples", "scripts", "bench", "tests/install"):
        text += [path.read_text(errors="replace") for path in (top / folder).rglob("*") if path.suffix in SOURCES and path.is_file()]
    return structs, owners, declared, "\n".join(text)


def check_page(whole, structs, owners, declared, known):
    """Yield line and message of each wrong name of a page."""
    text = FENCE.sub(lambda block: blank(block[0]), whole)
    here = set(NAME.findall(whole))
    for code in re.finditer(r"`([^`\n]+)`", text):
        line = text.count("\n", 0, code.start()) + 1
        for name in NAME.findall(code[1]):
            if name.removesuffix("_total") not in known and not name.endswith("_"):
                yield line, f"{name}: no header and no source has it"
        for option in OPTION.finditer(code[1]):
            name = option[1]
            if name in OTHERS or name.startswith("vestry_") or name in known and name not in owners:
                continue
            if name not in owners:
                yield line, f"{name}: no struct has this member"
            elif "instance.h" not in owners[name] and not any(declared[header] & here for header in owners[name]):
                headers = ", ".join(sorted(owners[name]))
                yield line, f"{name}: a member in {headers}, and the page names nothing else of it; name the struct"
    yield from wrong_members(text, structs)


def wrong_members(text, structs):
    for found in OF_STRUCT.finditer(text):
        member, struct = found[1] or found["member"], found[2] or found[3]
        if struct in structs and member not in structs[struct] and not SUFFIX.fullmatch(member):
            yield text.count("\n", 0, found.start()) + 1, f"{struct} has no member {member}"


def check(top):
    structs, owners, declared, text = read(top)
    known, bad = set(re.findall(r"\w+", text)), 0
    pages = [top / "README.md", *sorted((top / "docs/guide").glob("*.md"))]
    for page in pages:
        for line, message in check_page(page.read_text(), structs, owners, declared, known):
            print(f"{page.relative_to(top)}:{line}: {message}")
            bad += 1
    for header in sorted((top / "include").rglob("*.h")):
        for line, message in wrong_members(header.read_text(), structs):
            print(f"{header.relative_to(top)}:{line}: {message}")
            bad += 1
    print(f"{len(pages)} pages, {len(owners)} members, {bad} wrong names")
    return bad or not owners


HEADERS = {
    "include/vestry/instance.h": "typedef struct vestry_bounds {\n  size_t max_all_responses_bytes; /**< one, two_ms; */\n} vestry_bounds;\n",
    "include/vestry/once.h": "typedef struct vestry_once_options {\n  size_t max_response_bytes;\n} vestry_once_options;\n"
                             "VESTRY_API void vestry_once_guard(void);\n",
    "src/metrics.c": 'const char *name = "vestry_closes";\n',
}
PLANTED = {  # a page → whether something is wrong
    "`vestry_none`": True,
    "`two_ms`": True,
    "`max_response_bytes`": True,
    "`max_response_bytes` of `vestry_bounds`": True,
    "`vestry_bounds.max_response_bytes`": True,
    "`max_all_responses_bytes`, `vestry_closes_total`, `keep_alive_timeout_ms`, [x](vestry_bounds.md)": False,
    "`max_response_bytes` of `vestry_once_options`": False,
    "`.max_response_bytes`\n```c\nvestry_once_guard();\nvestry_none();\n```": False,
}


def try_planted():
    missed = 0
    for page, wanted in PLANTED.items():
        with tempfile.TemporaryDirectory() as folder:
            top = pathlib.Path(folder)
            for name, text in {**HEADERS, "README.md": page + "\n"}.items():
                (top / name).parent.mkdir(parents=True, exist_ok=True)
                (top / name).write_text(text)
            if bool(check(top)) != wanted:
                print(f"{'not found' if wanted else 'found'}: {page}")
                missed += 1
    return missed


if __name__ == "__main__":
    sys.exit(1 if (try_planted() if sys.argv[1] == "--planted" else check(pathlib.Path(sys.argv[1]))) else 0)
