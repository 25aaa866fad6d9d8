#!/bin/sh
# Each way to send runs for a moment, checks its bytes, and keeps the limit of its allocations: dispatch.sh VESTRY_BENCH
# Durations depend on the machine and are not checked; allocations do not.
# SPDX-License-Identifier: MIT
set -eu
bench=$1
failed=0
lines=$("$bench" dispatch --rounds 2 --count 2000)
for way in direct=2 dispatch=2 format=12 broadcast=1 post=2 empty=0; do
  number='[0-9]+\.[0-9]'
  pattern="^vestry dispatch way=${way%=*} ns_per_event=$number best=$number p90=$number( cpu_ns=$number)? allocations_per_event="
  allocations=$(echo "$lines" | grep -E "$pattern" | sed 's/.*allocations_per_event=\([0-9.]*\).*/\1/')
  # A buffer of the transport that grows now and then adds a little.
  echo "${allocations:-none} ${way#*=}" | awk '{ exit !($1 != "none" && ($1 > 0 || $2 == 0) && $1 < $2 + 0.1) }' || {
    echo "$way: $allocations allocations: $lines"
    failed=1
  }
done
status=0
"$bench" dispatch --way none 2>/dev/null || status=$?
[ "$status" = 2 ] || { echo "--way none: status $status"; failed=1; }
exit "$failed"
