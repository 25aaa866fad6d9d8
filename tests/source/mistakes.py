#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that a public function logs why it returns VESTRY_INVALID: mistakes.py REPOSITORY | mistakes.py --planted

A program that passes wrong arguments gets INVALID, and the log names the function and the remedy (vsi_mistake, or
another function that logs). INVALID without a line in the log is allowed in these cases only:
- The object to which the function belongs is NULL, so there is no host with a log.
- The function belongs to a value (VALUES): texts, keys, JSON, events and metrics, which have no instance. The caller
  knows what it passed, and the functions that send an event or take a key log the error.
- Another function has logged the reason: one that checks options, or is called for the log just before."""
import pathlib
import re
import sys

FUNCTION = re.compile(r"^vestry_err (vestry_\w+)\(([^{};]*)\) \{\n(.*?)^\}", re.M | re.S)
# First parameters of functions that have no instance.
VALUES = re.compile(r"(?:const )?(?:vestry_(?:host|key|value|metrics|request_ops)|json_t|char|void) \*|char \*const|void$")
NO_CODE = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
LOGS = re.compile(r"(?:mistake\w*|refuse\w*|fail\w*|stick|vsi_log)$")
NO_OBJECT = re.compile(r"if \(!\w+(?: \|\| !\w+->own)?\) return $|return \w+ \? [^?]* : $")
CHECKED = re.compile(r"if \(\w*check\w*\(.*\)\)\s+return $", re.S)
TESTED = re.compile(r"\berror [!=]= VESTRY_INVALID|\b\w*refuse\w*\([^;]*\berror\b")


def calls_around(text):
    """Return the names of the calls whose arguments text ends in."""
    names, depth = [], 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth < 0:
            names.append(re.search(r"\w*$", text[:at])[0])
            depth = 0
    return names


def is_logged(body, at):
    """Return whether the INVALID at this place of a function is one that is allowed, or whose reason is logged."""
    before = body[:at]
    statement = re.split(r"[;{}]\n", before)[-1].lstrip()
    if re.search(r"(?:[!=]= |case )$", before) or any(LOGS.search(name) for name in calls_around(statement)):
        return True
    if NO_OBJECT.search(statement) or CHECKED.search(statement):
        return True
    if re.search(r"vsi_log\([^;]*;\s*return $", before):  # a block that logs a line with values
        return True
    return not re.search(r"\breturn\b[^;]*$", statement) and bool(TESTED.search(body[at:]))


def silent(text):
    """Return line and name of each public function that returns INVALID without a line in the log."""
    found = []
    text = NO_CODE.sub(lambda part: re.sub(r"[^\n]", " ", part[0]), text)
    for function in FUNCTION.finditer(text):
        name, parameters, body = function.groups()
        if VALUES.match(parameters):
            continue
        for invalid in re.finditer(r"\bVESTRY_INVALID\b", body):
            if not is_logged(body, invalid.start()):
                found.append((text.count("\n", 0, function.start(3) + invalid.start()) + 1, name))
    return found


def check(top):
    count = checked = 0
    for path in sorted((top / "src").rglob("*.c")):
        if "testing" in path.parts:  # its functions are for tests, which see the error
            continue
        text = path.read_text()
        checked += len(FUNCTION.findall(text))
        for line, name in silent(text):
            print(f"{path.relative_to(top)}:{line}: {name}: INVALID without a line in the log; see vsi_mistake")
            count += 1
    print(f"{checked} functions, {count} places without a line in the log")
    return count or not checked


PLANTED = {  # body of a function → whether INVALID is allowed
    "  if (!v) return VESTRY_INVALID;\n": True,
    "  if (!v || !name) return VESTRY_INVALID;\n": False,
    "  return v ? act(v) : VESTRY_INVALID;\n": True,
    "  return name ? VESTRY_INVALID : act(v);\n": False,
    '  if (!name) return vsi_mistake(v->host, "vestry_a", "the name is NULL");\n': True,
    '  if (!name) return vsi_refuse(&call, VESTRY_INVALID, "the name is NULL");\n': True,
    "  if (check(v->host, &options)) return VESTRY_INVALID;\n": True,
    "  if (is_bad(&options)) return VESTRY_INVALID;\n": False,
    '  if (size) {\n    vsi_log(v->host, 0, "%s: %d", name, size);\n    return VESTRY_INVALID;\n  }\n': True,
    '  vsi_log(v->host, 0, "it begins");\n  if (size) return VESTRY_INVALID;\n': False,
    "  vestry_err error = name ? act(v) : VESTRY_INVALID;\n  return error;\n": False,
    '  vestry_err error = name ? act(v) : VESTRY_INVALID;\n  if (error == VESTRY_INVALID) vsi_mistake(v, "a", "b");\n':
        True,
}


def try_planted():
    """Return the number of planted bodies whose result is not the expected one."""
    wrong = 0
    for body, is_allowed in PLANTED.items():
        if bool(silent(f"vestry_err vestry_a(vestry *v, const char *name) {{\n{body}}}\n")) == is_allowed:
            print(f"it is {'not ' if is_allowed else ''}allowed:\n{body}")
            wrong += 1
    if silent("vestry_err vestry_a(const vestry_key *key, int n) {\n  if (n) return VESTRY_INVALID;\n}\n"):
        print("a function of a value is not excepted")
        wrong += 1
    return wrong


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(1 if (try_planted() if sys.argv[1] == "--planted" else check(pathlib.Path(sys.argv[1]))) else 0)
