#!/bin/sh
# Installs a build into a temporary prefix, moves it, and builds programs against it:
# install.sh BUILD_DIRECTORY COMPILER GENERATOR [projects]
# projects: whole projects (the examples, those of scripts/new, those of the guide); otherwise small programs, by
# pkg-config and by CMake
# SPDX-License-Identifier: MIT
set -eu
build=$1
compiler=$2
generator=$3
projects=${4-}
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

step() { echo "-- $*"; }

step install
cmake --install "$build" --prefix "$scratch/first" >"$scratch/log" || { cat "$scratch/log"; exit 1; }
mv "$scratch/first" "$scratch/prefix" # moved, because no file may contain the prefix
prefix=$scratch/prefix
find "$prefix" ! -type d | sed "s|^$prefix/||" | sort
if grep -rlF -e "$scratch" -e "$build" "$prefix/include" "$prefix"/lib*/cmake "$prefix"/lib*/pkgconfig; then
  echo "The files above name directories of the build."
  exit 1
fi
libdir=$(dirname "$(find "$prefix" -name libvestry.so)")
PKG_CONFIG_PATH=$libdir/pkgconfig
export PKG_CONFIG_PATH
version=$(pkg-config --modversion vestry)

step "vestry-bench finds its libraries"
"$prefix/bin/vestry-bench" users --help >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }

if [ -z "$projects" ]; then
  LD_LIBRARY_PATH=$libdir "$here/outside.sh" pkg-config "$scratch" "$compiler"

  step "what pieces need"
  needs() { # MODULE: the libraries that its static program needs, and its size
    strip "$scratch/$1-static"
    readelf -d "$scratch/$1-static" | sed -n 's/.*(NEEDED).*\[\(lib.*\)\.so.*/\1/p' | grep -v '^libc$' | sort | tr '\n' ' '
    echo "$1: $(stat -c %s "$scratch/$1-static") bytes" >&2
  }
  [ "$(pkg-config --static --libs-only-l vestry-store | tr -d '[:space:]')" = -lvestry-lck ]
  for library in brotli z; do
    if pkg-config --static --libs-only-l vestry-lean | grep -e "-l$library"; then
      echo "This was to do without."
      exit 1
    fi
  done
  [ "$(needs vestry-store | sed 's/libck *//')" = "" ]
  [ "$(needs vestry-lean | sed 's/libck *//')" = "libjansson liburing " ]
  [ "$(stat -c %s "$scratch/vestry-store-static")" -lt 130000 ]

  "$here/outside.sh" cmake "$scratch" "$compiler" -G "$generator" -DCMAKE_PREFIX_PATH="$prefix"
  exit
fi

step "examples, outside"
cmake -S "$here/../../examples" -B "$scratch/examples" -G "$generator" -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS="-Wall -Wextra -Werror" -DWANTED="$version" >"$scratch/log" 2>&1 &&
  cmake --build "$scratch/examples" >>"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
python3 -B "$here/../examples/first_day.py" "$scratch/examples/bin" microhttpd auction.start_use_end_start \
  auction.start_twice boxoffice.start_use_end_start boxoffice.start_twice cells.start_use_end_start cells.start_twice

step "scripts/new, in the tree and as it is installed"
for new in "$here/../../scripts/new" "$prefix/bin/vestry-new"; do
  python3 -B "$here/new.py" "$new" "$prefix" "$compiler" "$generator"
done

step docs/guide/embedding.md
LD_LIBRARY_PATH=$libdir python3 -B "$here/embedding.py" "$here/../../docs/guide/embedding.md" \
  "$here/../docs/guide.py" "$scratch" "$compiler"
