#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that the probes of the libraries are those of the guide, with the same numbers of arguments: probes.py
REPOSITORY LIBRARIES…

Each probe in the guide's lines for bpftrace exists, too, and has the arguments that they use."""
import re
import subprocess
import sys
from pathlib import Path


def of_libraries(libraries):
    """Name: number of arguments. A probe may have several places."""
    notes = subprocess.run(["readelf", "-nW", *libraries], check=True, capture_output=True, text=True).stdout
    found = {}
    for name, arguments in re.findall(r"Provider: vestry\s+Name: (\w+)\s+Location: [^\n]*\n\s+Arguments: ([^\n]*)", notes):
        count = len(re.findall(r"-?\d+@", arguments))
        if found.setdefault(name, count) != count:
            sys.exit(f"{name} has {count} arguments in one place and {found[name]} in another")
    return found


def of_guide(text):
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)
    return {name: len(re.sub(r"\([^)]*\)", "", said).split(",")) for name, said in rows}


def main():
    guide = (Path(sys.argv[1]) / "docs/guide/metrics.md").read_text().split("\n## Probes\n")[1]
    there, said = of_libraries(sys.argv[2:]), of_guide(guide)
    bad = []
    if not there:
        bad.append(f"{sys.argv[2:]} have no probes")
    for name in sorted(set(there) | set(said)):
        if there.get(name) != said.get(name):
            bad.append(f"{name}: {there.get(name)} arguments in the library, {said.get(name)} in the guide")
    lines = re.findall(r"^bpftrace .*$", guide, re.MULTILINE)
    for line in lines:
        for names, body in re.findall(r"((?:usdt:\S+:vestry:\w+\s*)+)(?:/[^/]*/\s*)?\{([^}]*)\}", line):
            for name in re.findall(r":vestry:(\w+)", names):
                used = [int(n) for n in re.findall(r"\barg(\d)", body)]
                if name not in there or max(used, default=-1) >= there[name]:
                    bad.append(f"no such probe or argument: {line}")
    print(f"{len(there)} probes, {len(lines)} lines that use them")
    print("\n".join(bad))
    return 1 if bad or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
