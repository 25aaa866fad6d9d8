#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that the comment of each public function states its contract: contracts.py REPOSITORY | contracts.py --planted

- Returns: a function that returns vestry_err names its errors ("OK | INVALID"); other results are named ("Return …",
  "NULL: none").
- Threads: the threads that may call it, and whether it blocks ("Threads  any; does not block").
- Ownership: of its result, if that is a pointer ("owned by the caller", "valid until …"); and in the row of each
  parameter by which it returns an object (**ret_x) or that is JSON (json_t *x).

A comment covers the declarations below it up to the next empty line or comment, and those above the next empty line if
it says "also for the next functions". The part can also be in a comment that stands alone and covers the functions
below it, up to a line of dashes ("All functions below: any thread"); Threads and ownership also in the comment of the
type of the first parameter. "As vestry_x" refers to the contract of another function, "a guard for vestry_x" to that of its type."""
import pathlib
import re
import sys

CODE = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|[{};]|\n[ \t]*(?=\n)', re.S)
FUNCTION = re.compile(r"(?:VESTRY_API|static inline) ([\w\s]+?[\s*]+)(vestry_\w+)\((.*)\)", re.S)
TYPE = re.compile(r"(?:typedef )?struct (vestry_\w+)|typedef .*?\(\*(vestry_\w+)\)", re.S)
REFERENCE = r"\b[Aa]s (?:in |for )?vestry_|\ba (?:guard|handler) for vestry_|\ba vestry_\w+_fn\b"
COVERS = re.compile(r"\bfunctions? below\b|\bFor use inside\b")
ERRORS = re.compile(r"\bOK\b|\b[Rr]eturns?\b|" + REFERENCE)
RESULT = re.compile(r"\b(?:Returns?|Get|Make|Read|Check|Append|Write|Find)\b|\b(?:NULL|true|0): |" + REFERENCE)
THREADS = re.compile(r"\bThreads?\b|\b(?:[Aa]ny|[Oo]ne|this|same|its|that|\w+'s) thread\b|\b[Bb]locks?\b|" + REFERENCE)
OF_TYPE = re.compile(r"\b(?:[Aa]ny (?:number of )?|[Oo]ne |\w+'s |the )threads?\b|\bThreads\b")
OWNED = re.compile(r"\b(?:[Oo]wn(?:ed|s)|[Bb]orrow(?:ed|s)|references?|[Vv]alid|[Ss]tatic|lives?|[Tt]aken?|its argument|[Cc]opied)\b|"
                   + REFERENCE)


def plain(comment):
    return re.sub(r"\s*\n \*\s*|\s+", " ", comment)


def functions(text):
    """Return line, result, name, parameters, comment and covering comments of each function; and type → comment."""
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$|^extern \"C\" \{$", lambda line: re.sub(r"[^\n]", "", line[0]) or "/**/", text, flags=re.M)
    text = re.sub(r"^/\*\*/\n\}\n/\*\*/$", "\n\n", text, flags=re.M)  # the end of extern "C"
    found, types, covering = [], {}, []
    comment = after = ""
    start = depth = is_alone = 0
    for token in CODE.finditer(text):
        ahead = text[start:token.start()]
        if not depth and token[0] == "/**/":
            start = token.end()
        elif not depth and token[0].startswith("/*") and not ahead.strip():
            if token[0].startswith("/* ---"):
                covering = []
            comment, is_alone, start = plain(token[0]), True, token.end()
        elif not depth and token[0].isspace():
            if not ahead.strip():
                covering += [comment] if is_alone and COVERS.search(comment) else []
                comment = after = ""
        elif token[0] in "{;}":
            declaration = re.sub(r"/\*.*?\*/", "", ahead, flags=re.S).strip() if not depth else ""
            if function := FUNCTION.match(declaration):
                found.append((text.count("\n", 0, token.start()) + 1, *function.groups(), comment, [*covering, after]))
            elif named := TYPE.match(declaration):
                types[named[1] or named[2]] = types.get(named[1] or named[2], "") + comment
            if "also for the next" in comment:
                after = comment
            is_alone = False
            depth += (token[0] == "{") - (token[0] == "}")
            if not depth:
                start = token.end()
    return found, types


def objects(parameters):
    """Return the parameters by which a function returns an object, and those that are JSON, which it may keep."""
    return [made or json for made, json in re.findall(r"\*\*(ret_\w+)|\bjson_t \*(\w+)", parameters)]


def is_owned(name, parameters, said):
    """Return whether the text from the name of a parameter to the next parameter, or Returns, states the ownership."""
    if not re.search(rf"\b{name}\b", said):
        return bool(re.search(REFERENCE, said) if "," in parameters else OWNED.search(said))
    others = [other for other in re.findall(r"(\w+)(?:\[\w*\])?(?:,|$)", parameters) if other != name]
    ends = "|".join([*others, "Returns", "Threads"])
    return any(OWNED.search(row) for row in re.findall(rf"\b{name}\b(.*?)(?=\b(?:{ends})\b|$)", said))


def missing(result, parameters, own, covering, types):
    """Return the parts of a contract that neither the function's comment nor a covering one has."""
    said = " ".join([own, *covering])
    if not own:
        return ["a comment"]
    parts = []
    if result.strip() != "void" and not (ERRORS if result.strip() == "vestry_err" else RESULT).search(said):
        parts.append("Returns")
    first = re.match(r"(?:const )?(?:struct )?(vestry_\w+) \*", parameters)
    of_type = types.get(first[1], "") if first else ""
    if not THREADS.search(said) and not OF_TYPE.search(of_type):
        parts.append("Threads")
    if "*" in result and not OWNED.search(said + of_type):
        parts.append("ownership")
    parts += [f"ownership of {name}" for name in objects(parameters) if not is_owned(name, parameters, said)]
    return parts


def check(top):
    headers = {path: functions(path.read_text()) for path in sorted((top / "include").rglob("*.h"))}
    types = {}
    for _, named in headers.values():
        for name, comment in named.items():
            types[name] = types.get(name, "") + comment
    count, seen = 0, set()
    for path, (found, _) in headers.items():
        for line, result, name, parameters, own, covering in found:
            if name in seen:  # a declaration before the definition of an inline function
                continue
            seen.add(name)
            if parts := missing(result, parameters, own, covering, types):
                print(f"{path.relative_to(top)}:{line}: {name}: its comment lacks {', '.join(parts)}")
                count += 1
    print(f"{len(seen)} functions, {count} without a part of their contract")
    return count or not seen


API = "VESTRY_API vestry_err vestry_a(vestry_b *b);"
PLANTED = {  # header → what it lacks
    API: "a comment",
    f"/** Do it. Threads any. */\n{API}": "Returns",
    f"/** Do it. OK | INVALID. */\n{API}": "Threads",
    f"/** Do it. OK | INVALID. Threads any. */\n\n{API}": "a comment",
    "/** Get it. Threads any. */\nVESTRY_API const char *vestry_a(void);": "ownership",
    "/** Make it. OK | INVALID. Threads any. */\nVESTRY_API vestry_err vestry_a(vestry_b **ret_b);": "ownership of ret_b",
    "/** Make it. c borrowed ret_b new Returns OK. Threads any. */\n"
    "VESTRY_API vestry_err vestry_a(vestry_c *c, vestry_b **ret_b);": "ownership of ret_b",
    "/** Make it. c new ret_b owned by the caller Returns OK. Threads any. */\n"
    "VESTRY_API vestry_err vestry_a(vestry_c *c, vestry_b **ret_b);": "",
    "/** Take it. json an object Returns OK. Threads any; owned. */\n"
    "VESTRY_API vestry_err vestry_a(vestry_c *c, json_t *json);": "ownership of json",
    "/** Take it, as vestry_c. */\nVESTRY_API vestry_err vestry_a(vestry_c *c, json_t *json);": "",
    f"/* All functions below: any thread. */\n\n/* ---- */\n\n/** Do it. OK | INVALID. */\n{API}": "Threads",
    f"/* All functions below: any thread. */\n\n/** Do it. OK | INVALID. */\n{API}": "",
    f"/** A thing. One thread at a time. */\ntypedef struct vestry_b vestry_b;\n/** Do it. OK | INVALID. */\n{API}": "",
    f"/** Do it. OK. Threads any. */\n{API.replace('_a', '_c')}\n{API}": "",
    f"/** Do it. OK. Threads any, also for the next function. */\n{API.replace('_a', '_c')}\n/** Undo it. OK. */\n{API}": "",
    f"/** Do it, as vestry_c. */\n{API}": "",
    "/** End it. Threads any. */\nVESTRY_API void vestry_a(vestry_b *b);": "",
}


def try_planted():
    """Return the number of planted headers whose result is not the expected one."""
    wrong = 0
    for text, wanted in PLANTED.items():
        found, types = functions(text + "\n")
        parts = [", ".join(missing(*function[1:2], *function[3:], types)) for function in found]
        if not parts or parts[-1] != wanted:
            print(f"it lacks {parts}, not {wanted!r}:\n{text}")
            wrong += 1
    return wrong


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(1 if (try_planted() if sys.argv[1] == "--planted" else check(pathlib.Path(sys.argv[1]))) else 0)
