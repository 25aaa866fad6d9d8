#!/bin/sh
# A page of 10 kB of which a hundredth changes takes at most 200 bytes for each stream, and an idle encoded stream takes
# at most 64 bytes more than a plain one: compress.sh VESTRY_BENCH. (Durations are not checked.)
# SPDX-License-Identifier: MIT
set -eu
bench=$1
for encoding in br gzip; do
  said=$("$bench" compress --streams 300 --rounds 20 --encoding $encoding)
  echo "$said"
  echo "$said" | awk -v encoding=$encoding '
    { for (i = 1; i <= NF; i++) { split($i, pair, "="); value[$1, pair[1]] = pair[2]; last[pair[1]] = pair[2] } }
    END {
      good = value[encoding, "event_bytes"] > 10000 && value[encoding, "wire_bytes"] > 10
      if (encoding == "br") good = good && value[encoding, "wire_bytes"] <= 200
      exit !(good && last["idle_extra_bytes"] <= 64)
    }' || { echo "$encoding: unexpected result"; exit 1; }
done
! "$bench" compress --encoding zip 2>/dev/null
! "$bench" serve --encoding zip 2>/dev/null
