#!/bin/sh
# Runs the tests of a build: ctest.sh [--again] DIRECTORY ARGUMENTS…; the arguments go to ctest. Ten places: two tests that
# compute and four that wait, or ten that wait.
# --again: when at most five have failed, these are run once more, alone. What fails then has failed. A test that fails
# only beside others has a fault as well, of its own or of the library under load: its name is said at the end.
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
run() { ctest --test-dir "$directory" --output-on-failure --no-tests=error --no-label-summary "$@"; }

status=0
run -j 10 "$@" || status=$?
failed=$directory/Testing/Temporary/LastTestsFailed.log
if [ $status = 0 ] || [ -z "$again" ] || [ ! -s "$failed" ] || [ "$(wc -l <"$failed")" -gt $most ]; then exit $status; fi
names=$(sed 's/^[0-9]*://' "$failed" | tr '\n' ' ')
echo "Once more, alone: $names"
run --rerun-failed || exit
echo "FAILED BESIDE OTHERS, passed alone: $names"
