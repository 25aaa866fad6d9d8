#!/bin/sh
# Pages over SQLite, compared with bare statements: sqlite.sh VESTRY_BENCH. Checks that all results are printed and
# correct; the limits of durations are very large.
# SPDX-License-Identifier: MIT
set -eu
bench=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
said=$("$bench" sqlite --rounds 400 --tabs 50 --folder "$folder")
echo "$said"
echo "$said" | awk '
  { for (i = 2; i <= NF; i++) { split($i, pair, "="); value[$1, pair[1]] = pair[2] } }
  END {
    split("commit tab-read tab-write", names, " ")
    for (i in names)
      if (value["others", "rounds"] != 5 || value[names[i], "rounds"] != 400 || !(value[names[i], "bare_us"] > 0) || value[names[i], "ratio"] > 20) exit 1
  }' || { echo "unexpected result"; exit 1; }
[ -z "$(ls "$folder")" ] || { echo "it leaves something behind"; exit 1; }
! "$bench" sqlite --rounds 20 --folder "$folder/none" 2>/dev/null
