#!/bin/sh
# Runs the browser tests: run.sh FOLDER COUNTER VESTRY_BENCH [FILE…]. FOLDER is in the build, for the modules of npm.
# DATASTAR_JS names a Datastar client to test with, instead of the stand-in. BROWSER=firefox: use Firefox (Debian's, or
# FIREFOX) instead of Chromium. EXAMPLE_DATABASE=postgres: the examples that support PostgreSQL use it. Status 77:
# Firefox or PostgreSQL is not installed.
# SPDX-License-Identifier: MIT
set -eu
source=$(cd "$(dirname "$0")" && pwd)
folder=$1
COUNTER=$2
BENCH=$3
export COUNTER BENCH
shift 3

if [ "${BROWSER-}" = firefox ] && ! command -v "${FIREFOX:-firefox-esr}" >/dev/null; then
  echo "Skipped: there is no Firefox here (apt-get install firefox-esr)."
  exit 77
fi

if [ "${EXAMPLE_DATABASE-}" = postgres ] && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  echo "Skipped: there is no PostgreSQL here (apt-get install postgresql)."
  exit 77
fi

"$source/modules.sh" "$folder"
NODE_PATH=$folder/node_modules
export NODE_PATH
[ $# -gt 0 ] || set -- "$source"/*.test.js
exec node --test "$@"
