#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that no two structs, unions, enums or types of src/ and include/ that are visible across files have the same
name, that no function of a Python file replaces another one, that no public struct begins with its size, by which
options that a program sets could be passed over, and that the functions of the modules in QUALIFIED have names that a
search of src/ finds: static functions were named `find` in 36 files. type_names.py REPOSITORY"""
import ast
import collections
import pathlib
import re
import sys

NOTHING = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.S)
BODY = re.compile(r"\b(?:struct|union|enum) ((?:vsi|vestry)_\w+) \{|^\} ((?:vsi|vestry)_\w+);", re.M)

# The names that most files gave to a static function, and the folders of src/ whose functions say more.
COMMON = ("add", "answer", "begin", "create", "destroy", "end", "enter", "fill", "find", "find_locked", "hash_of", "look",
          "make", "make_room", "put", "refuse", "run", "start", "stop", "take")
QUALIFIED = ("app/history", "channel", "http", "instance", "registry", "serve")
STATIC = re.compile(r"^static [^;={}]*?\b(%s)\(" % "|".join(COMMON), re.M)
SIZED = re.compile(r"\bstruct (vestry_\w+) \{\s*size_t size;")


def replaced(top):
    """Yield the functions and methods of Python files that a later one of the same name replaces."""
    for folder in ("scripts", "tests", "bench", "bindings"):
        for path in (top / folder).rglob("*"):
            if not path.is_file() or path.suffix not in ("", ".py"):
                continue
            text = path.read_text(errors="replace")
            if path.suffix != ".py" and not text.startswith("#!/usr/bin/env python3"):
                continue
            for scope in ast.walk(ast.parse(text)):
                if not isinstance(scope, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                    continue
                names = collections.Counter(
                    one.name for one in scope.body if isinstance(one, (ast.FunctionDef, ast.ClassDef)) and not one.decorator_list)
                yield from (f"{name}: {path.relative_to(top)}" for name, count in names.items() if count > 1)


def main(top):
    found = collections.defaultdict(set)
    for folder in ("src", "include"):
        for path in (top / folder).rglob("*.[ch]"):
            for names in BODY.findall(NOTHING.sub("", path.read_text())):
                found[names[0] or names[1]].add(str(path.relative_to(top)))
    twice = [f"{name}: {', '.join(sorted(files))}" for name, files in sorted(found.items()) if len(files) > 1]
    twice += replaced(top)
    twice += [f"{path.relative_to(top)}: {name} begins with its size" for path in (top / "include").rglob("*.h")
              for name in SIZED.findall(NOTHING.sub("", path.read_text()))]
    twice += [f"{path.relative_to(top)}: {name} is the name of functions in other files; say of what"
              for folder in QUALIFIED for path in sorted((top / "src" / folder).rglob("*.c"))
              for name in STATIC.findall(NOTHING.sub("", path.read_text()))]
    if not found:
        twice.append("no type was found: the pattern is wrong")
    print("\n".join(f"wrong: {line}" for line in twice) or f"{len(found)} types")
    return 1 if twice else 0


sys.exit(main(pathlib.Path(sys.argv[1])))
