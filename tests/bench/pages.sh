#!/bin/sh
# Live pages over sockets, of both kinds, from vestry and from a faulty peer; and alone, with limits for bytes and
# memory: pages.sh VESTRY_BENCH [NODE]. (Durations are not checked.)
# SPDX-License-Identifier: MIT
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bench=$1
node=${2:-}
. "$here/served.sh"
pages() { # EXPECTED_STATUS ARGUMENTS…
  expected=$1
  shift
  run "$expected" pages "$@"
}

for adapter in microhttpd civetweb; do
  start "$bench" serve --pages --port 0 --adapter "$adapter" --encoding br
  pages 0 --port "$port" --pages 20 --rounds 8 --warm 2 --encoding br --pid "$pid"
  wants events 160
  wants renders_per_change 1.00
  wants encodes_per_change 1.00
  at_most wire_bytes_per_event 130
  pages 0 --port "$port" --pages 20 --rounds 8 --private
  wants events 160
  wants renders_per_change 20.00
  pages 0 --port "$port" --pages 20 --rounds 30 --private --a-second 200
  wants lost 0
  stop
  start "$bench" serve --pages --port 0 --adapter "$adapter" --heartbeat-ms 80
  pages 0 --port "$port" --pages 10 --rounds 1 --sleeper --sleep-ms 2000 --a-second 100
  wants posts 160
  wants broken 0
  stop
done
start "$bench" floor --port 0 --streams 20
pages 0 --server floor --port "$port" --pages 20 --rounds 8 --change-bytes 38
wants events 160
wants wire_bytes_per_event 96.0
pages 0 --server floor --port "$port" --pages 20 --rounds 8 --a-second 100 --change-bytes 1208
wants wire_bytes_per_event 1267.0
pages 2 --server floor --port "$port" --encoding br
stop
if [ "$node" ]; then
  start "$node" "$here/faulty_pages.mjs"
  pages 1 --server node --port "$port" --pages 5 --rounds 6 --patience-ms 2000
  pages 1 --server node --port "$port" --pages 5 --rounds 6 --patience-ms 2000 --a-second 100
  stop
else
  echo "left out: the peer that errs (there is no node)"
fi

pages 0 --alone unchanged --rounds 20
wants sent_bytes 0
pages 0 --alone message --rounds 20 --bytes 11600
at_most wire_bytes 250
at_most held_bytes 250
pages 0 --alone row --pages 200 --bytes 171000 --rounds 20
at_most sent_bytes 1200
at_most kept_bytes_a_row 24
pages 0 --alone idle --pages 2000 --bytes 1000
at_most beyond_bytes 200
wants kept_dropped 0
pages 0 --alone refresh --pages 50 --rounds 5
pages 2 --alone nothing
pages 2
exit "$failed"
