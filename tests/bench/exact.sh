#!/bin/sh
# Whom a commit renders: exact.sh VESTRY_BENCH. By tables all pages, by pages of the file a few; what takes time is not
# looked at.
set -eu
bench=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for level in tables pages; do
  "$bench" exact --level $level --channels 40 --messages 100 --commits 60 --folder "$folder" >"$folder/said"
  cat "$folder/said"
  awk -v level=$level '
    { for (i = 2; i <= NF; i++) { split($i, pair, "="); value[$1, $3, pair[1]] = pair[2] } }
    END {
      all = value["exact", "keys=clustered", "renders_a_commit"]
      if (value["exact", "keys=rowid", "commits"] != 60 || !(value["recording", "keys=rowid", "us"] > 0)) exit 1
      if (level == "tables" && all != 40) exit 1
      if (level == "pages" && !(all >= 1 && all <= 8)) exit 1
    }' "$folder/said" || { echo "not what it should be"; exit 1; }
  rm "$folder/said"
done
[ -z "$(ls "$folder")" ] || { echo "it leaves something behind"; exit 1; }
