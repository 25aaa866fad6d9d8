#!/bin/sh
# vestry-bench cells with the example: each of a few viewers receives its parts and no others. A board in an unexpected
# state makes it fail: cells.sh VESTRY_BENCH CELLS. Durations are not checked.
# SPDX-License-Identifier: MIT
set -eu
bench=$1
cells=$2
folder=$(mktemp -d)
pid=
stop() {
  [ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null || true
  pid=
}
trap 'stop; rm -rf "$folder"' EXIT

start() { # COMMAND…: its port is in $port
  : >"$folder/said"
  "$@" >"$folder/said" &
  pid=$!
  until grep -q . "$folder/said"; do kill -0 "$pid" || exit 1; done
  port=$(sed 's/.*127\.0\.0\.1:\([0-9]*\).*/\1/' "$folder/said")
}
run() { # EXPECTED_STATUS ARGUMENTS…: the line is in $line
  expected=$1
  shift
  status=0
  line=$("$bench" cells --port "$port" --pid "$pid" --writes 40 --seconds 2 --warm 1 --patience-ms 60000 "$@" 2>&1) || status=$?
  [ "$status" = "$expected" ] || {
    echo "cells $*: status $status instead of $expected: $line"
    exit 1
  }
}
wants() { # NAME VALUE
  echo "$line" | grep -q " $1=$2 " || {
    echo "$1 is not $2: $line"
    exit 1
  }
}

for adapter in microhttpd civetweb; do
  start "$cells" --adapter "$adapter" --port 0 --db "$folder/$adapter.db"
  run 0 --viewers 20 --scroll-ms 500
  for name in missing wrong strays broken refused; do wants $name 0; done
  wants changes 40
  stop
done
# A change renders its part once, for all viewers, and no other part.
start "$cells" --adapter microhttpd --port 0 --db "$folder/rest.db"
run 0 --viewers 20 --scroll-ms 0
echo "$line" | grep -Eq ' renders_per_change=(1\.000|0\.[0-9]*) ' || {
  echo "more than one part is rendered for a change: $line"
  exit 1
}
stop
start "$cells" --adapter microhttpd --port 0 --db "$folder/together.db"
run 0 --viewers 10 --together --encoding identity
wants scrolls 0
run 1 --viewers 10 --together --patience-ms 1 --seed 7 # the board has boxes of the previous run
stop
# The bare server of the same board is checked in the same way.
for encoding in identity br; do
  start "$cells" --adapter microhttpd --port 0 --db "$folder/$encoding.db"
  stop
  start "$bench" floor --port 0 --cells "$folder/$encoding.db" --encoding $encoding
  run 0 --viewers 20 --scroll-ms 200 --encoding $encoding
  for name in missing wrong strays broken refused; do wants $name 0; done
  stop
done
# Its changes are in its database.
start "$cells" --adapter microhttpd --port 0 --db "$folder/identity.db"
run 1 --viewers 20 --patience-ms 1
wants refused 0
stop
! "$bench" cells 2>/dev/null || exit 1
! "$bench" cells --port 1 --seconds 1 --warm 1 2>/dev/null || exit 1
