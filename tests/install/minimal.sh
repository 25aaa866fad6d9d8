#!/bin/sh
# Makes and installs a small build (VESTRY_MINIMAL), and builds a counter against it, by pkg-config and by CMake. The
# counter serves requests, needs no library, contains no function that it does not use, and is smaller than with an
# ordinary build. The web part of a device (outside/device.c) keeps within its bounds of size and memory:
# minimal.sh BUILD_DIRECTORY COMPILER GENERATOR [LAUNCHER]
# The last lines contain the figures that docs/building.md states.
# SPDX-License-Identifier: MIT
set -eu
build=$1
compiler=$2
generator=$3
launcher=${4-}
here=$(cd "$(dirname "$0")" && pwd)
top=$here/../..
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

step() { echo "-- $*"; }
quietly() { "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }; }
refuse() { # TEXT: fail if standard input is not empty
  if grep .; then
    echo "$1"
    exit 1
  fi
}
bytes() { # PROGRAM: stripped
  strip -o "$scratch/stripped" "$1"
  stat -c %s "$scratch/stripped"
}
step "the small build"
quietly cmake -S "$top" -B "$scratch/build" -G "$generator" -DCMAKE_C_COMPILER="$compiler" -DVESTRY_MINIMAL=ON \
  -DVESTRY_MICROHTTPD=ON -DCMAKE_C_COMPILER_LAUNCHER="$launcher"
quietly cmake --build "$scratch/build"
quietly cmake --install "$scratch/build" --prefix "$scratch/prefix"
find "$scratch/prefix" -name '*.so*' -o -name 'libvestry-[cnsp]*.a' ! -name '*-cluster.a' |
  refuse "These were to be left out."
if grep -q -e -lbrotli -e -lz "$scratch"/prefix/lib*/cmake/vestry/*.cmake; then
  echo "This was to do without encodings."
  exit 1
fi

step "by pkg-config"
libdir=$(dirname "$(find "$scratch/prefix" -name libvestry.a)")
PKG_CONFIG_PATH=$libdir/pkgconfig
export PKG_CONFIG_PATH
pkg-config --static --libs vestry | tr ' ' '\n' | grep -e brotli -e '^-lz$' | refuse "This was to do without encodings."
# shellcheck disable=SC2046 # lists of words
"$compiler" -std=c11 -Os -Wall -Wextra -Werror "$here/outside/counter.c" -o "$scratch/small" \
  $(pkg-config --static --cflags --libs vestry-app vestry-microhttpd)
"$here/answers.sh" "$scratch/small"

step "by CMake"
quietly cmake -S "$here/outside/small" -B "$scratch/outside" -G "$generator" -DCMAKE_C_COMPILER="$compiler" \
  -DCMAKE_BUILD_TYPE=MinSizeRel -DCMAKE_PREFIX_PATH="$scratch/prefix"
quietly cmake --build "$scratch/outside"
"$here/answers.sh" "$scratch/outside/counter"

step "what is left out"
unused='BrotliEncoder deflate sqlite3_ PQ natsConnection vestry_profile_brotli vestry_profile_gzip vestry_cluster_create
vestry_csrf_create vestry_files_create vestry_observe_mount vestry_observe_metrics vestry_presence_create vestry_session_login
vestry_uploads_create vsi_console_html vsi_script_form vsi_script_once vsi_script_tab vsi_script_view'
functions() { nm "$@" 2>/dev/null | awk 'NF > 1 { print $NF }' | sort -u; }
functions "$build"/lib/libvestry*.a >"$scratch/all"
for program in "$scratch/small" "$scratch/outside/counter"; do
  functions "$program" >"$scratch/has"
  for name in $unused; do
    grep -q "^$name" "$scratch/all" || { echo "The whole library has no $name either."; exit 1; }
    grep "^$name" "$scratch/has" | refuse "This was to be left out of $program."
  done
  grep -qx vestry_render_begin "$scratch/has" # present here, so the checks above would have detected it
  readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(lib.*\)\.so.*/\1/p' |
    grep -vxE 'lib(c|m|pthread|ck|jansson|nettle|microhttpd|gnutls)' | refuse "$program was to do without these."
done

step "a device"
# shellcheck disable=SC2046 # lists of words
"$compiler" -std=c11 -D_GNU_SOURCE -Os -Wall -Wextra -Werror -fno-asynchronous-unwind-tables "$here/outside/device.c" \
  -o "$scratch/device" $(pkg-config --static --cflags --libs vestry)
functions "$scratch/device" >"$scratch/has"
for name in $unused vsi_event_script vsi_event_custom vsi_event_call \
  vsi_codings_create vsi_coding_alone vsi_coder_encode vsi_accept_choose vsi_parts_init vestry_request_value_at; do
  grep -q "^$name" "$scratch/all" || { echo "The whole library has no $name either."; exit 1; }
  grep "^$name" "$scratch/has" | refuse "This was to be left out of $scratch/device."
done
# shellcheck disable=SC2046 # lists of words
"$compiler" -std=c11 -Os -Wall -Wextra -Werror "$here/outside/absent.c" -o "$scratch/absent" \
  $(pkg-config --static --cflags --libs vestry)
"$scratch/absent" 2>"$scratch/log" || { echo "outside/absent.c: $?"; cat "$scratch/log"; exit 1; }
device=$(bytes "$scratch/device")
sync "$scratch/stripped" # pages of a file that is not written yet count as dirty
"$scratch/stripped" 1000 | tee "$scratch/figures"
figure() { # PATTERN: the number that \1 names in it
  sed -n "s/.*$1.*/\1/p" "$scratch/figures"
}
echo "a device, stripped: $device bytes"
[ "$device" -le 140000 ] || { echo "This is more than 140,000 bytes."; exit 1; }
at_most() { # NAME NUMBER MOST
  awk "BEGIN { exit !($2 <= $3) }" </dev/null || { echo "$1: $2, but at most $3 was promised"; exit 1; }
}
at_most "allocations of vestry_create" "$(figure 'allocations of vestry_create: \([0-9]*\)')" 40
at_most "allocations a dispatch" "$(figure 'allocations a dispatch: \([0-9.]*\)')" 2
before=$(figure ': \([0-9]*\) before vestry_create') # what the process of any program has
at_most "dirty memory of an instance" $(($(figure ', \([0-9]*\) without streams') - before)) 65536
at_most "dirty memory a stream" "$(figure 'stream: [0-9]* idle, \([0-9]*\) after events')" 500

step sizes
version="-std=c11 -O2 -I$top/include $here/outside/counter.c"
others="-lck -ljansson -lnettle -lbrotlienc -lz -luring -lmicrohttpd -lgnutls -pthread"
# shellcheck disable=SC2086
"$compiler" $version -o "$scratch/shared" -L"$build/lib" -lvestry-microhttpd -lvestry-app -lvestry -pthread
# shellcheck disable=SC2086
"$compiler" $version -o "$scratch/static" "$build/lib/libvestry-microhttpd.a" "$build/lib/libvestry-app.a" "$build/lib/libvestry.a" $others
shared=$(bytes "$scratch/shared")
static=$(bytes "$scratch/static")
small=$(bytes "$scratch/small")
libraries=0
for part in "" -app -microhttpd; do
  libraries=$((libraries + $(bytes "$(realpath "$build/lib/libvestry$part.so")")))
done
echo "a stripped counter: shared $shared bytes and libraries of $libraries, static $static, minimal $small"
[ "$small" -lt "$static" ] && [ "$small" -lt 500000 ] && [ "$shared" -lt 30000 ]
