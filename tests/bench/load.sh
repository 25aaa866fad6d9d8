#!/bin/sh
# The load generator against correct servers of every kind, and against a faulty one: load.sh VESTRY_BENCH NODE [h2]
# SPDX-License-Identifier: MIT
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bench=$1
node=$2
h2=${3-} # the build has HTTP/2
. "$here/served.sh"
load() { # EXPECTED_STATUS ARGUMENTS…
  expected=$1
  shift
  run "$expected" load --port "$port" --streams 20 --rounds 12 --idle-ms 0 --patience-ms 60000 "$@"
}
each_way() {
  load 0 --pid "$pid"
  wants deliveries 240
  wants lost 0
  load 0 --burst 5 --threads 3 --warm 4
  wants deliveries 240
  load 0 --stalled 2 --killed 20
  wants kills 24
  load 0 --keyed
  wants deliveries 12
}

start "$bench" floor --port 0 --streams 100
each_way
stop
for adapter in microhttpd civetweb; do
  start "$bench" serve --port 0 --adapter "$adapter" --count-memory
  each_way
  load 0 --own
  [ "$(value own_per_stream_bytes)" -gt 100 ] || complain "a stream of $adapter costs nothing: $line"
  # Deeply nested data of a client must not crash a server with small stacks.
  for depth in 950 2047 1000000; do
    status=$("$node" -e "fetch('http://127.0.0.1:$port/pub', {method: 'POST', body: '['.repeat($depth) + ']'.repeat($depth)})
      .then(answer => console.log(answer.status), error => console.log(String(error)))")
    [ "$status" = 413 ] || complain "$adapter, $depth brackets: $status"
  done
  load 0
  stop
done
for encoding in br gzip; do
  start "$bench" serve --port 0 --adapter microhttpd --encoding "$encoding"
  load 0 --encoding "$encoding"
  load 0 --encoding "$encoding" --idle-ms 100 --payload-bytes 10000 --change-bytes 100 --rounds 50 --burst 5
  wants mode page
  value wire_bytes_per_delivery | awk '{ exit !($1 > 50 && $1 < 1000) }' || complain "not compressed: $line"
  stop
done

if [ "$h2" ]; then
  start "$bench" floor --tls --port 0
  load 0 --h2 1 --pid "$pid"
  wants deliveries 240
  load 0 --h2 7 --payload-bytes 3000
  wants deliveries 240
  stop
  for plain in '' --no-tls; do
    # shellcheck disable=SC2086 # an option or nothing
    start "$bench" serve --port 0 --adapter h2 --count-memory $plain
    load 0 --h2 7 --pid "$pid" $plain
    wants deliveries 240
    wants h2_streams 7
    load 0 --h2 3 --burst 5 --threads 3 --warm 4 $plain
    wants deliveries 240
    load 0 --h2 5 --unread 3 --payload-bytes 10000 $plain
    wants deliveries 240
    wants unread 3
    load 0 --h2 20 --keyed --own $plain
    wants deliveries 12
    [ "$(value own_per_stream_bytes)" -gt 100 ] || complain "a stream of h2 costs nothing: $line"
    load 0 --h2 20 --drain-ms 1000 --rounds 1 $plain
    wants hints 20
    stop
  done
fi
start "$bench" serve --port 0 --adapter microhttpd
load 0 --drain-ms 1000 --rounds 1
wants hints 20
stop

# A client that connects before the server listens finds the routes.
for adapter in microhttpd civetweb; do
  first=$("$node" "$here/first.mjs" "$adapter" "$bench") || complain "$first"
done

# Several servers; a channel by key. Servers that are not in a cluster do not reach each other's streams.
start "$bench" serve --port 0 --adapter microhttpd
first=$pid
also=$port
start "$bench" serve --port 0 --adapter microhttpd
port=$also,$port
load 0 --keyed --here
load 1 --keyed --elsewhere --patience-ms 500
port=$also
load 0 --channel
load 0 --channel --payload-bytes 1000 --change-bytes 50
load 2 --keyed --here
stop
pid=$first
stop

# Every fault is detected, at once or when the time limit ends.
for case in none lose swap twice change end refuse ${h2:+none.h2 lose.h2 swap.h2 twice.h2 change.h2 end.h2 refuse.h2}; do
  fault=${case%.h2}
  over=
  [ "$fault" = "$case" ] || over=h2
  # shellcheck disable=SC2086 # an argument or nothing
  start "$node" "$here/faulty.mjs" "$fault" $over
  # shellcheck disable=SC2086 # options or nothing
  load "$([ "$fault" = none ] && echo 0 || echo 1)" --burst 4 --patience-ms 2000 ${over:+--h2 20 --no-tls}
  case $fault in
  lose) [ "$(value lost)" -ge 1 ] || [ "$(value disorders)" -ge 1 ] || complain "$fault: $line" ;;
  swap | twice | change) [ "$(value disorders)" -ge 1 ] || complain "$fault: $line" ;;
  end) wants broken 1 ;;
  esac
  stop
done

# Invalid options are rejected.
port=1
load 2 --encoding zstd
load 2 --keyed --burst 2
load 2 --server apache
load 2 --unread 1
load 2 --pid one
load 1
exit "$failed"
