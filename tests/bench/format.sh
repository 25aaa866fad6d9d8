#!/bin/sh
# Both kinds of events are formatted, checked, and timed in one line each: format.sh VESTRY_BENCH
# SPDX-License-Identifier: MIT
set -eu
number='[0-9]+(\.[0-9]+)?'
failed=0
run() { # LINES ARGUMENTS…
  lines=$1
  shift
  said=$("$bench" format --round-ms 1 "$@" 2>&1) || { echo "$*: $said"; failed=1; }
  for kind in elements signals; do
    pattern="^vestry format $kind bytes=[0-9]+ lines=$lines event_bytes=[0-9]+ gb_per_s=$number ns_per_event=[1-9][0-9]* events=[1-9][0-9]*\$"
    echo "$said" | grep -qE "$pattern" || { echo "$*: $kind: unexpected line: $said"; failed=1; }
  done
}
bench=$1
run 100
run 1 --bytes 2 --lines 1
run 20 --bytes 2000 --lines 20
status=0
"$bench" format --bytes none 2>/dev/null || status=$?
[ "$status" = 2 ] || { echo "a size that is no number: status $status"; failed=1; }
exit "$failed"
