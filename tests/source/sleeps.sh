#!/bin/sh
# Checks that no test waits for a fixed time: tests/support/until.h has the reason, and the alternatives. Prints the
# lines that do. $1 is the project's folder.
# SPDX-License-Identifier: MIT
set -eu
cd "$1"
# Intended waits: a thread that measures how late it runs; a thread that starts late; SQLite's busy handler.
allowed='^tests/(rounds/node\.c|support/late_threads\.c|sqlite/others_test\.c):'
found=$(grep -nE '\b(usleep|nanosleep|clock_nanosleep|sleep|thrd_sleep)\(' -r tests --include='*.c' --include='*.h' |
  grep -vE "$allowed" || true)
[ -z "$found" ] && exit 0
echo "$found"
echo "sleeps: a test waits until something is so, by UNTIL (tests/support/until.h), and for no time."
exit 1
