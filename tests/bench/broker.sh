#!/bin/sh
# Each contest runs with a separate nats-server, receives all messages in order, and prints one line: broker.sh
# VESTRY_BENCH
# SPDX-License-Identifier: MIT
set -eu
bench=$1
failed=0
said=$("$bench" broker --rounds 200 --messages 2000 --turns 2 2>&1) || { echo "$said"; exit 1; }
for way in seam bare default; do
  pattern="^vestry broker way=$way bytes=200 p50_us=[0-9.]+ p99_us=[0-9.]+ messages_per_s=[1-9][0-9]* wrong=0 rounds=[1-9][0-9]* messages=4000\$"
  echo "$said" | grep -qE "$pattern" || { echo "$way: unexpected line: $said"; failed=1; }
done
status=0
"$bench" broker --bytes 3 2>/dev/null || status=$?
[ "$status" = 2 ] || { echo "messages without room for a number: status $status"; failed=1; }
exit "$failed"
