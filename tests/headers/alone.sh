#!/bin/sh
# Compiles each public header alone, twice in a row, with no feature macros: alone.sh c11|cxx INCLUDE_DIRECTORY
# SPDX-License-Identifier: MIT
set -eu
include=$2
case $1 in
c11) language=c standards=c11 compilers='gcc clang' ;;
cxx) language=c++ standards='c++11 c++20' compilers='g++ clang++' ;;
*) exit 2 ;;
esac
jansson=$(pkg-config --cflags jansson)

checked=0
failed=0
for compiler in $compilers; do
  command -v "$compiler" >/dev/null || continue
  for standard in $standards; do
    for header in "$include"/vestry/*.h; do
      name=vestry/${header##*/}
      # shellcheck disable=SC2086 # $jansson is a list of words
      printf '#include "%s"\n#include "%s"\n' "$name" "$name" |
        "$compiler" -x "$language" -std="$standard" -Wall -Wextra -Wpedantic -Wshadow -Wundef -Werror -fsyntax-only \
          -I"$include" $jansson - || {
        echo "$name does not compile alone: $compiler -std=$standard"
        failed=$((failed + 1))
      }
      checked=$((checked + 1))
    done
  done
done
echo "$checked compilations, $failed failures"
[ "$checked" -gt 0 ] && [ "$failed" = 0 ]
