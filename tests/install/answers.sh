#!/bin/sh
# The counter of tests/install/outside serves its page, counts, and ends cleanly: answers.sh PROGRAM
# SPDX-License-Identifier: MIT
set -eu
. "$(dirname "$0")/served.sh"
serve "$1" 0
curl -fsS --max-time 20 "$url/" | grep -q '<output>'
[ "$(curl -sS --max-time 20 -o "$scratch/body" -w '%{http_code}' -X POST -H 'Datastar-Request: true' -d '{}' \
  "$url/jump")" = 204 ]
curl -fsS --max-time 20 "$url/" | grep -qE '<output>[1-9][0-9]+</output>'
end
