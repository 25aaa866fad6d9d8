#!/bin/sh
# A new message in a page of 11.6 kB takes at most 250 bytes for its stream, and at most a quarter of the page alone:
# follow.sh VESTRY_BENCH. (Durations are not checked.)
# SPDX-License-Identifier: MIT
set -eu
bench=$1
for encoding in br gzip; do
  said=$("$bench" follow --rounds 20 --encoding $encoding)
  echo "$said"
  echo "$said" | awk '
    { for (i = 1; i <= NF; i++) { split($i, pair, "="); value[$2, pair[1]] = pair[2] } }
    END {
      following = value["following", "wire_bytes"]
      exit !(value["alone", "event_bytes"] > 11000 && value["alone", "followed"] == 0 &&
             value["following", "followed"] == 20 && following > 10 && following <= 250 &&
             following * 4 <= value["alone", "wire_bytes"])
    }' || { echo "$encoding: unexpected result"; exit 1; }
done
"$bench" follow --rounds 2 --encoding identity | grep -q "following.*followed=0"
! "$bench" follow --encoding zip 2>/dev/null
