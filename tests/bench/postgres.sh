#!/bin/sh
# Pages over PostgreSQL, with short measurements: postgres.sh BUILD REPORT. Checks that everything is measured and that
# the page contains it; durations are not checked.
# SPDX-License-Identifier: MIT
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -B "$2" "$1" "$folder" --quick
page=$folder/bench-postgres.md
for wanted in "an insert, recommended" "an update" "an upsert" "an insert, default" "commit → event" "beside it" \
  "alone" "8 at once" "transactions of a row" "in one" "memory with" "chat tabs" "are polled"; do
  grep -q "^| .*$wanted.* \(yes\|\*\*no\*\*\) |\$" "$page" || { echo "the page lacks: $wanted"; cat "$page"; exit 1; }
done
# Results that do not depend on the machine.
grep -q "^| .* chat tabs.*, 0 missing |" "$page" || { echo "a tab lacks a message"; cat "$page"; exit 1; }
if grep "^| .*\(an insert, \|an upsert\|memory with\)" "$page" | grep -v " yes |\$"; then
  echo "a commit renders pages that it does not concern"
  exit 1
fi
for wrong in "--only renders" "--url x --only nothing" "--url x"; do
  status=0
  # shellcheck disable=SC2086 # words
  "$1/bin/vestry-bench" postgres $wrong 2>/dev/null || status=$?
  [ $status = 2 ] || { echo "$wrong: status $status"; exit 1; }
done
