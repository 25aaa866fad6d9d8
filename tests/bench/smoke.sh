#!/bin/sh
# Every workload runs for a moment, succeeds, and prints one line with consistent counts: smoke.sh VESTRY_BENCH
# SPDX-License-Identifier: MIT
set -eu
bench=$1
failed=0
complain() {
  echo "$*"
  failed=1
}

check() { # NAME LINE PATTERN_OF_MORE
  number='[0-9]+(\.[0-9]+)?'
  pattern="^vestry $1 capacity=1000 threads=[0-9]+ mops=$number ns_per_op=$number cpu_ns_per_op=$number"
  pattern="$pattern hit_ratio=$number size=[0-9]+ put=[0-9]+ removed=[0-9]+ closed=[0-9]+ bytes_per_entry=$number$3"
  pattern="$pattern store=(lru|hash) keys=(session|bytes) key_bytes=[0-9]+ api=(get|with) stream=[0-9a-f]{16}\$"
  echo "$2" | grep -qE "$pattern" || complain "not the line it should be: $2"
  echo "$2" | awk '{
    for (i = 3; i <= NF; i++) { split($i, pair, "="); value[pair[1]] = pair[2] }
    exit !(value["put"] > 0 && value["put"] == value["removed"] + value["size"] && value["put"] == value["closed"])
  }' || complain "does not add up: $2"
}
run() { # EXPECTED_STATUS ARGUMENTS…: the line is in $line
  expected=$1
  shift
  status=0
  line=$("$bench" store --capacity 1000 "$@" 2>&1) || status=$?
  [ "$status" = "$expected" ] || complain "$*: status $status instead of $expected: $line"
}

latency=' p99_us=[0-9.]+ p999_us=[0-9.]+'
for store in lru hash; do
  for workload in churn zipf hit hot mixed; do
    run 0 --store "$store" --workload "$workload" --seconds 0.2 --warm-ms 50
    more=
    if [ "$workload" = mixed ]; then more=$latency; fi
    check "$workload" "$line" "$more"
  done
done
run 0 --workload churn --seconds 0.1 --warm-ms 20 --threads 3 --key-bytes 40
check churn "$line" ''
late=' lateness_p50_ms=[0-9.]+ lateness_p99_ms=[0-9.]+ lateness_max_ms=[0-9.]+'
run 0 --workload idle --threads 1 --idle-ms 1500
check idle "$line" " idle_ms=1500$late foreground_p99_us=[0-9.]+ foreground_quiet_p99_us=[0-9.]+"

# Unknown options, and workloads that the store does not support, are rejected.
run 2 --workload idle --store hash
run 2 --workload hit --store tree
run 2 --workload hits
run 2 --workload hit --api look
run 2 --workload hit --seconds none
run 2 --workload hit --threads 0
run 2
exit "$failed"
