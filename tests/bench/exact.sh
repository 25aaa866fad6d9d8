#!/bin/sh
# The pages that a commit renders: exact.sh VESTRY_BENCH. If rows are looked up by keys, only the concerned pages
# render, at both levels; in the auction, at most five times as many. Of many pages with one row each, exactly those whose
# row is changed render. Durations are not checked.
# SPDX-License-Identifier: MIT
set -eu
bench=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for level in tables pages; do
  status=0
  "$bench" exact --level $level --channels 40 --messages 100 --commits 60 --folder "$folder" >"$folder/said" || status=$?
  if [ $status = 77 ]; then # the program has printed the reason
    rm "$folder/said"
    continue
  fi
  [ $status = 0 ]
  cat "$folder/said"
  awk -v level=$level '
    { for (i = 2; i <= NF; i++) { split($i, pair, "="); value[$1, $3, pair[1]] = pair[2] } }
    END {
      all = value["exact", "keys=clustered", "renders_a_commit"]
      if (value["exact", "keys=rowid", "commits"] != 60 || !(value["recording", "keys=rowid", "us"] > 0)) exit 1
      if (all != 1 || value["exact", "keys=rowid", "renders_a_commit"] != 1) exit 1
      for (i = 1; i <= 2; i++) {
        kind = "commits_are=" (i == 1 ? "bids" : "prices")
        if (!(value["auction", kind, "ratio"] >= 1 && value["auction", kind, "ratio"] <= 5)) exit 1
        if (value["auction", kind, "missed"] != 0) exit 1
      }
    }' "$folder/said" || { echo "unexpected result"; exit 1; }
  "$bench" exact --level $level --pages 300 --commits 60 --folder "$folder" >"$folder/said"
  cat "$folder/said"
  awk '
    { for (i = 2; i <= NF; i++) { split($i, pair, "="); value[$2, pair[1]] = pair[2] } }
    END {
      if (value["change=one", "renders_a_commit"] != 1 || !(value["change=one", "floor_both_us"] > 0)) exit 1
      if (value["change=none", "renders_a_commit"] != 0 || value["change=aside", "renders_a_commit"] != 0) exit 1
      if (value["change=update", "renders"] != value["change=update", "rows"]) exit 1
      if (value["change=insert", "rows"] != 300 || value["change=insert", "renders"] != 0) exit 1
    }' "$folder/said" || { echo "unexpected result of many pages"; exit 1; }
  rm "$folder/said"
done
[ -z "$(ls "$folder")" ] || { echo "it leaves something behind"; exit 1; }
