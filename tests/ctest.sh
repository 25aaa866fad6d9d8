#!/bin/sh
# Runs the tests of a build: ctest.sh [--again] DIRECTORY ARGUMENTS…; the arguments go to ctest. There are ten slots:
# for two tests that compute and four that wait, or for ten that wait. After ctest's own summary it prints a line "NOT
# RUN: TEST: REASON" for each test, and for each case of a suite, that did not run; the reason is the line that the test
# printed about it.
# --again: if at most five tests fail, they run once more, each alone, by name: ctest may number them otherwise. A test
# that fails again has failed. A test that fails only beside others has a fault as well, in the test or in the library
# under load, so its name is printed at the end.
# SPDX-License-Identifier: MIT
set -eu
most=5
again=
if [ "$1" = --again ]; then
  again=yes
  shift
fi
directory=$1
shift
records=$directory/Testing/Temporary
failed=$records/LastTestsFailed.log
run() { ctest --test-dir "$directory" --output-on-failure --no-tests=error --no-label-summary "$@"; }
not_run() { # of ctest's records: the skipped tests (NUMBER:NAME on a line), and the output of all tests
  touch "$records/LastTestsDisabled.log"
  awk '
    function tell(what) { print "NOT RUN: " name what ": " (reason != "" ? reason : "it printed no reason") }
    FILENAME == ARGV[1] { skipped[substr($0, index($0, ":") + 1)]; next }
    /^(Unable to find executable|Failed test dependencies)/ { missing = $0 }
    /^[0-9]+\/[0-9]+ Testing: / { name = $0; sub(/^[^:]*: /, "", name); last = said = "" }
    /^Output:$/ { getline; inside = 1; next }
    /^<end of output>$/ || /^Test time = / {
      if (inside && missing != "") { reason = missing; tell("") }
      else if (inside && name in skipped) { reason = said != "" ? said : last; tell("") }
      inside = 0; missing = ""
    }
    !inside || name in skipped && /^\[/ { next }
    /^\[  SKIPPED \] [a-z_0-9]+$/ { # a case of a passing suite; cmocka prints its name again at the end
      if (!((name, $4) in told)) { told[name, $4]; reason = said; tell(" (case " $4 ")") }
      said = ""; next
    }
    /^\[/ { said = "" }
    /[Ss][Kk][Ii][Pp]|[Nn]ot tested/ && length($0) <= 200 { said = $0 }
    /[^ ]/ && length($0) <= 200 { last = $0 }' "$records/LastTestsDisabled.log" "$records/LastTest.log"
}

status=0
rm -f "$records/LastTestsDisabled.log" # ctest does not remove the list of an earlier run
run -j 10 "$@" || status=$?
[ ! -f "$records/LastTest.log" ] || not_run
if [ $status = 0 ] || [ -z "$again" ] || [ ! -s "$failed" ] || [ "$(wc -l <"$failed")" -gt $most ]; then exit $status; fi
names=$(sed 's/^[0-9]*://' "$failed" | tr '\n' ' ')
echo "Once more, alone: $names"
run -R "^($(sed 's/^[0-9]*://' "$failed" | paste -s -d '|'))\$" || exit
echo "FAILED BESIDE OTHERS, passed alone: $names"
