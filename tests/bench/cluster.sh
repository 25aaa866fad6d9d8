#!/bin/sh
# Each measurement of a cluster runs, with a separate nats-server, and prints its lines; the memory for keys has a
# limit: cluster.sh VESTRY_BENCH
# SPDX-License-Identifier: MIT
set -eu
bench=$1
failed=0
run() { # WAY OPTIONS…: the output is in $said
  way=$1
  said=$("$bench" cluster --way "$@" 2>&1) || { echo "$way: $said"; exit 1; }
}
wants() { # WHAT PATTERN
  echo "$said" | grep -qE "^vestry cluster way=$way what=$1 .*$2" || { echo "$way: no $1 with $2: $said"; failed=1; }
}
run far --rounds 200 --turns 2
for what in bare there here; do wants "$what" 'messages=200 p50_us=[1-9]'; done
for what in there-busy here-busy; do wants "$what" 'messages=[1-9][0-9]* p50_us=[1-9]'; done
run digests --streams 1000 --turns 1
wants memory 'keys=3000 .*most_bytes_each=(5[0-4]|[1-4][0-9])[.]'
wants life 'open_us=[0-9]'
wants local 'others_keys=2000$'
run reconnect --streams 200 --turns 1
wants quiet 'dispatches=[1-9].* not_alive=[0-9]+$'
wants apart 'reconnect_ms=[1-9]'
wants within 'reconnect_ms=[1-9]'
status=0
"$bench" cluster --way back 2>/dev/null || status=$?
[ "$status" = 2 ] || { echo "a way that is none: status $status"; failed=1; }
exit "$failed"
