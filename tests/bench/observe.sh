#!/bin/sh
# What it costs to look in, with few streams: observe.sh BUILD REPORT. That all of it is measured and stands on the page;
# how long it took is not looked at.
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
# What does not depend on the machine: streams hold no more, whether they are looked into or not.
grep -q '^| memory of a stream.* yes |$' "$page" || { echo "streams hold more"; cat "$page"; exit 1; }
for wrong in "load --port 1 --observed 1" "pages --port 1 --observed 1" "observe --only nothing --streams 20"; do
  status=0
  # shellcheck disable=SC2086 # words
  "$1/bin/vestry-bench" $wrong 2>/dev/null || status=$?
  [ $status = 2 ] || { echo "$wrong: status $status"; exit 1; }
done
