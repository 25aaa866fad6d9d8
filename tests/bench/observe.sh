#!/bin/sh
# The cost of observation, with few streams: observe.sh BUILD REPORT. Checks that everything is measured and that the
# page contains it; durations are not checked.
# SPDX-License-Identifier: MIT
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -B "$2" "$1" "$folder" --quick
page=$folder/bench-observe.md
for wanted in "explained" "newest, the first" "oldest, the last" "queued, the first" "bytes, the last" "a prefix" "a scrape" \
  "a writer waits" "memory of a stream" "with a tail" "another stream" "a broadcast load" "live pages"; do
  grep -q "^| .*$wanted.* \(yes\|\*\*no\*\*\) |\$" "$page" || { echo "the page lacks: $wanted"; cat "$page"; exit 1; }
done
# Independent of the machine: streams take no more memory when they are observed.
grep -q '^| memory of a stream.* yes |$' "$page" || { echo "streams hold more"; cat "$page"; exit 1; }
for wrong in "load --port 1 --observed 1" "pages --port 1 --observed 1" "observe --only nothing --streams 20"; do
  status=0
  # shellcheck disable=SC2086 # words
  "$1/bin/vestry-bench" $wrong 2>/dev/null || status=$?
  [ $status = 2 ] || { echo "$wrong: status $status"; exit 1; }
done
