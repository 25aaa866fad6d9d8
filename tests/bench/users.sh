#!/bin/sh
# Users of the board, played from scripts: those that it serves right, and those that expect something else.
# users.sh VESTRY_BENCH BOARD
# SPDX-License-Identifier: MIT
set -eu
bench=$1
board=$2
. "$(dirname "$0")/served.sh"

play() { # EXPECTED_STATUS ARGUMENTS…: the script is stdin, the report is in $said
  expected=$1
  shift
  cat >"$folder/script"
  status=0
  said=$("$bench" users --port "$port" --script "$folder/script" --ramp-ms 0 --patience-ms 60000 "$@" 2>&1) || status=$?
  [ "$status" = "$expected" ] || complain "users $*: status $status instead of $expected: $said"
}
reports() { # PATTERN
  echo "$said" | grep -q "$1" || complain "the report lacks '$1': $said"
}

for adapter in microhttpd civetweb; do
  start "$board" --port 0 --adapter "$adapter" --db "$folder/$adapter.db"
  play 0 --users 1 <<'END'
open "/"
type "Name" "Ada"
press "Enter"
type "New board" "Plans"
press "Create"
expect "Plans"
END
  reports '^users=1 finished=1 failed=0 .*actions=5 '
  reports '^press .*count=2 failed=0 '
  play 0 --users 12 --threads 3 --set 'board=Plans,word=Card' <<'END'
# Each user sees the cards of all others.
open "/"
type "Name" "user {user}"
press "Enter"
press "{board}"
repeat 3
  type "New card" "{word} {round} of {user}"
  press "Add"
  expect "{word} {round} of {user}"
end
expect "Card 3 of 12"
expect "Card 3 of 1"
gone "Card 4 of 1"
END
  reports '^users=12 finished=12 failed=0 '
  reports '^expect .*count=60 failed=0 '
  play 1 --users 2 --patience-ms 200 <<'END'
open "/"
expect "nothing of the kind" 150
END
  reports '^users=2 finished=0 failed=2 '
  reports '^user 2, line 2: expect "nothing of the kind": not shown within 150 ms; the last status was 200; the page shows: '
  play 1 --users 1 <<'END'
open "/there/is/no/such/page"
END
  reports 'line 1: open "/there/is/no/such/page": rejected; the last status was 404'
  kill "$pid"
  wait "$pid" || complain "the board ended with an error"
  pid=
done
port=9
play 1 --users 1 <<'END'
open "/"
END
reports 'line 1: open "/": IO'
play 2 <<'END'
open "/"
press
END
reports 'script:2: expected: "text of a button or link"'
play 2 <<'END'
open "/"
repeat 2
END
reports 'script:2: repeat without an end'
exit $failed
