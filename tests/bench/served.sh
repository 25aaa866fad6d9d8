# Functions of tests that run vestry-bench ($bench) against servers. A test ends with: exit "$failed"
# shellcheck shell=sh disable=SC2034,SC2154 # variables of the script that includes this one
# SPDX-License-Identifier: MIT
failed=0
pid=
folder=$(mktemp -d)
complain() {
  echo "$*"
  failed=1
}
stop() {
  [ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null || true
  pid=
}
trap 'stop; rm -rf "$folder"' EXIT
start() { # COMMAND…: its port is in $port
  : >"$folder/said"
  "$@" >"$folder/said" &
  pid=$!
  until grep -q . "$folder/said"; do kill -0 "$pid" || { complain "$*: did not start"; return; }; done
  port=$(sed 's/.*127\.0\.0\.1:\([0-9]*\).*/\1/' "$folder/said")
}
run() { # EXPECTED_STATUS ARGUMENTS…: the line is in $line
  expected=$1
  shift
  status=0
  line=$("$bench" "$@" 2>&1) || status=$?
  [ "$status" = "$expected" ] || complain "$*: status $status instead of $expected: $line"
}
value() { # NAME
  echo "$line" | sed -n "s/.* $1=\([^ ]*\).*/\1/p"
}
wants() { # NAME VALUE
  [ "$(value "$1")" = "$2" ] || complain "$1 is not $2: $line"
}
at_most() { # NAME VALUE
  echo "$(value "$1") $2" | awk '{ exit !(NF == 2 && $1 <= $2) }' || complain "$1 is more than $2: $line"
}
