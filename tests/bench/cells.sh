#!/bin/sh
# vestry-bench cells with the example: each of a few viewers receives its parts and no others. A board in an unexpected
# state makes it fail: cells.sh VESTRY_BENCH CELLS. Durations are not checked.
# SPDX-License-Identifier: MIT
set -eu
bench=$1
board=$2
. "$(dirname "$0")/served.sh"
cells() { # EXPECTED_STATUS ARGUMENTS…
  expected=$1
  shift
  run "$expected" cells --port "$port" --pid "$pid" --writes 40 --seconds 2 --warm 1 --patience-ms 60000 "$@"
}

for adapter in microhttpd civetweb; do
  start "$board" --adapter "$adapter" --port 0 --db "$folder/$adapter.db"
  cells 0 --viewers 20 --scroll-ms 500
  for name in missing wrong strays broken refused; do wants $name 0; done
  wants changes 40
  stop
done
# A change renders its part once, for all viewers, and no other part.
start "$board" --adapter microhttpd --port 0 --db "$folder/rest.db"
cells 0 --viewers 20 --scroll-ms 0
at_most renders_per_change 1
stop
start "$board" --adapter microhttpd --port 0 --db "$folder/together.db"
cells 0 --viewers 10 --together --encoding identity
wants scrolls 0
cells 1 --viewers 10 --together --patience-ms 1 --seed 7 # the board has boxes of the previous run
stop
# The bare server of the same board is checked in the same way.
for encoding in identity br; do
  start "$board" --adapter microhttpd --port 0 --db "$folder/$encoding.db"
  stop
  start "$bench" floor --port 0 --cells "$folder/$encoding.db" --encoding $encoding
  cells 0 --viewers 20 --scroll-ms 200 --encoding $encoding
  for name in missing wrong strays broken refused; do wants $name 0; done
  stop
done
# Its changes are in its database.
start "$board" --adapter microhttpd --port 0 --db "$folder/identity.db"
cells 1 --viewers 20 --patience-ms 1
wants refused 0
stop
run 2 cells
run 2 cells --port 1 --seconds 1 --warm 1
exit "$failed"
