#!/bin/sh
# The renders that a commit of another process causes: peers.sh VESTRY_BENCH. Rows that no page shows cause none, unless
# the other process was so slow that its rows were not waited for.
# SPDX-License-Identifier: MIT
set -eu
bench=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
said=$("$bench" peers --pages 200 --others 200 --commits 60 --folder "$folder") || exit $?
echo "$said"
echo "$said" | awk '
  { for (i = 1; i <= NF; i++) { split($i, pair, "="); value[$2, pair[1]] = pair[2] } }
  END {
    late = value["commits=quiz", "late"] > 0
    if (value["commits=shown", "renders"] < 1 || value["commits=shown", "rows_known"] < 1) exit 1
    if (!late && (value["commits=hidden", "renders"] != 0 || value["commits=shown", "renders"] > 60)) exit 1
    if (value["commits=stranger", "renders"] > (late ? 200 : 10)) exit 1
    if (!late && value["commits=quiz", "for_nothing"] > value["commits=quiz", "renders"] / 10) exit 1
  }' || { echo "unexpected result"; exit 1; }
[ -z "$(ls "$folder")" ] || { echo "it leaves something behind"; exit 1; }
