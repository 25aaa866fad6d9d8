# SPDX-License-Identifier: MIT
"""The soak of counters must detect missing counts: mutations.py SOURCE BUILD [NAME…]

Each mutation leaves out one count, in a copy of its file, which must contain the text exactly once. observe.py runs
with a library that is linked with the copy, and must fail. A mutation that it does not detect is an error."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import mutate  # noqa: E402

SECONDS = "2"
MUTATIONS = {
    "cause": ("connection/group.c", "  group->totals.closed_by_cause[vsi_connection_cause(connection)]++;\n", ""),
    "close": ("ops/observe/closes.c", "  closes->by_cause[made->info.cause]++;\n", ""),
    "discarded": ("connection/runner.c", ": &connection->discarded_count,", ": &connection->heartbeats_count,"),
}


def soak(source, build, name, folder):
    """Return the exit status of the soak, and its output."""
    file, before, after = MUTATIONS[name]
    link = build / f"lib/libvestry{'-observe' if file.startswith('ops/') else ''}.so"
    library, soname = link.resolve(), link.readlink()
    mutate.link(build, source / "src" / file, before, after, str(library.relative_to(build)), folder / soname)
    command = [sys.executable, "-B", str(source / "tests/soak/observe.py"), str(build / "bin/vestry-bench"), "--server",
               "microhttpd", "--seconds", SECONDS]
    ran = subprocess.run(command, env={**os.environ, "LD_LIBRARY_PATH": str(folder)}, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
    return ran.returncode, ran.stdout


if __name__ == "__main__":
    mutate.main(MUTATIONS, soak, lambda said: "≠" in said)
