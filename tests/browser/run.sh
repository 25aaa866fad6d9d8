#!/bin/sh
# Runs the browser tests: run.sh FOLDER COUNTER VESTRY_BENCH [FILE…]. FOLDER is the build's, for what npm installs.
# DATASTAR_JS names a Datastar client to test with, instead of the stand-in.
set -eu
source=$(cd "$(dirname "$0")" && pwd)
folder=$1
COUNTER=$2
BENCH=$3
export COUNTER BENCH
shift 3

mkdir -p "$folder"
if ! [ -d "$folder/node_modules/playwright-core" ] || ! cmp -s "$source/package-lock.json" "$folder/package-lock.json"; then
  cp "$source/package.json" "$source/package-lock.json" "$source/.npmrc" "$folder"
  (cd "$folder" && npm ci --loglevel=error) || {
    rm "$folder/package-lock.json" # so that the next run tries again
    exit 1
  }
fi
NODE_PATH=$folder/node_modules
export NODE_PATH
[ $# -gt 0 ] || set -- "$source"/*.test.js
exec node --test "$@"
