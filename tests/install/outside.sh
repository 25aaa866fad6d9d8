#!/bin/sh
# Builds and runs programs against an installed vestry, shared and static, in a separate folder:
# outside.sh pkg-config FOLDER COMPILER | outside.sh cmake FOLDER COMPILER ARGUMENTS OF CMAKE…
# The library is found in the system's folders, or by PKG_CONFIG_PATH, CMAKE_PREFIX_PATH and LD_LIBRARY_PATH.
# SPDX-License-Identifier: MIT
set -eu
here=$(cd "$(dirname "$0")" && pwd)
way=$1
folder=$2
compiler=$3
shift 3
version=$(pkg-config --modversion vestry)

step() { echo "-- $*"; }
run() { # PROGRAM: print the version of the library that it uses
  said=$("$1")
  echo "$said"
  [ "$said" = "vestry $version" ]
}

by_pkg_config() { # MODULE
  source=$here/outside/${1#vestry-}.c
  case $1 in vestry | vestry-lean) source=$here/outside/core.c ;; esac

  step "pkg-config $1"
  # shellcheck disable=SC2046
  if "$compiler" -std=c99 $(pkg-config --cflags "$1") -fsyntax-only "$source" 2>"$folder/c99"; then
    echo "C99 was accepted."
    exit 1
  fi
  grep -q 'needs C11' "$folder/c99"
  # shellcheck disable=SC2046 # lists of words
  "$compiler" -std=c11 -Wall -Wextra -Werror $(pkg-config --cflags "$1") "$source" -o "$folder/$1" \
    $(pkg-config --libs "$1")
  run "$folder/$1"

  step "pkg-config --static $1"
  # shellcheck disable=SC2046
  "$compiler" -std=c11 $(pkg-config --static --cflags "$1") "$source" -o "$folder/$1-static" \
    $(pkg-config --static --libs "$1" | sed "s|-l\(vestry[a-z0-9-]*\)|-l:lib\1.a|g")
  if readelf -d "$folder/$1-static" | grep 'NEEDED.*vestry'; then
    echo "This was to be static."
    exit 1
  fi
  run "$folder/$1-static"
}

by_cmake() {
  step find_package
  cmake -S "$here/outside" -B "$folder/outside" -DCMAKE_C_COMPILER="$compiler" -DWANTED="$version" "$@" \
    >"$folder/log" 2>&1 && cmake --build "$folder/outside" >>"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
  for program in shared static app app_static cluster cluster_static observe observe_static \
    civetweb civetweb_static microhttpd microhttpd_static h2 h2_static sqlite sqlite_static postgres postgres_static nats nats_static testing testing_static; do
    run "$folder/outside/$program"
  done
  step "symbols of a program with plugins"
  for program in plain_host:0 exporting_host:1; do
    exported=$(nm -D --defined-only "$folder/outside/${program%:*}" | grep -c ' vestry_' || true)
    echo "${program%:*}: $exported"
    [ "$((exported > 0))" = "${program#*:}" ]
  done
}

case $way in
pkg-config)
  for module in vestry vestry-store vestry-lean vestry-app vestry-cluster vestry-observe \
    vestry-civetweb vestry-microhttpd vestry-h2 vestry-sqlite vestry-postgres vestry-nats vestry-testing; do
    by_pkg_config "$module"
  done
  ;;
cmake) by_cmake "$@" ;;
esac
