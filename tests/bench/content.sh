#!/bin/sh
# The benchmark finds and hashes contents of all sizes, and prints a line for each: content.sh BENCH_CONTENT
# SPDX-License-Identifier: MIT
set -eu
failed=0
said=$("$1" --round-ms 1)
for name in find hash; do
  count=$(echo "$said" | grep -cE "^vestry content $name bytes=[0-9]+ ns=[0-9]+ ns_per_byte=[0-9]+\.[0-9]+\$") || true
  [ "$count" = 5 ] || { echo "$name: $count lines: $said"; failed=1; }
done
echo "$said" | grep -q '^vestry content worst bytes=99999' || { echo "no worst: $said"; failed=1; }
status=0
"$1" --round-ms none 2>/dev/null || status=$?
[ "$status" = 2 ] || { echo "a time that is no number: status $status"; failed=1; }
exit "$failed"
