#!/bin/sh
# The counter of tests/install/outside serves its page, counts, and ends cleanly: answers.sh PROGRAM
# SPDX-License-Identifier: MIT
set -eu
scratch=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$scratch"' EXIT
mkfifo "$scratch/said"
"$1" 0 >"$scratch/said" 2>"$scratch/log" &
server=$!
read -r _ url <"$scratch/said" || { cat "$scratch/log"; exit 1; } # it says where it listens once it does
curl -fsS --max-time 20 "$url/" | grep -q '<output>'
[ "$(curl -sS --max-time 20 -o "$scratch/body" -w '%{http_code}' -X POST -H 'Datastar-Request: true' -d '{}' \
  "$url/jump")" = 204 ]
curl -fsS --max-time 20 "$url/" | grep -qE '<output>[1-9][0-9]+</output>'
kill -TERM "$server"
wait "$server" || { cat "$scratch/log"; exit 1; }
server=
