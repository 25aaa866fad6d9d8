#!/bin/sh
# Installs the npm modules for the browser tests, if they are missing: modules.sh FOLDER. FOLDER is in the build.
# SPDX-License-Identifier: MIT
set -eu
source=$(cd "$(dirname "$0")" && pwd)
folder=$1

mkdir -p "$folder"
[ -d "$folder/node_modules/playwright-core" ] && cmp -s "$source/package-lock.json" "$folder/package-lock.json" && exit 0
cp "$source/package.json" "$source/package-lock.json" "$source/.npmrc" "$folder"
cd "$folder"
for attempt in 1 2 3; do # registries are not always there
  npm ci --loglevel=error && exit 0
  sleep $((attempt * 5))
done
rm package-lock.json # so that the next run tries again
exit 1
