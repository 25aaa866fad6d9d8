#!/bin/sh
# Compiles each public header alone, included twice, without feature macros, and all headers together with each
# compiler: alone.sh c11|cxx INCLUDE_DIRECTORY
# cxx: as C++11, and all headers together as C++20, too.
# SPDX-License-Identifier: MIT
set -eu
include=$2
case $1 in
c11) language=c standard=c11 later='' compilers='gcc clang' ;;
cxx) language=c++ standard=c++11 later=c++20 compilers='g++ clang++' ;;
*) exit 2 ;;
esac
jansson=$(pkg-config --cflags jansson)

checked=0
failed=0
compile() { # NAME COMPILER STANDARD < TEXT
  # shellcheck disable=SC2086 # $jansson is a list of words
  "$2" -x "$language" -std="$3" -Wall -Wextra -Wpedantic -Wshadow -Wundef -Werror -fsyntax-only -I"$include" $jansson - || {
    echo "$1: does not compile: $2 -std=$3"
    failed=$((failed + 1))
  }
  checked=$((checked + 1))
}
headers=$(cd "$include" && ls vestry/*.h vestry/*/*.h)
all=$(for name in $headers; do echo "#include \"$name\""; done)
alone=$headers
for compiler in $compilers; do
  command -v "$compiler" >/dev/null || continue
  for name in $alone; do
    compile "$name, alone" "$compiler" "$standard" <<END
#include "$name"
#include "$name"
END
  done
  alone='' # what a header includes does not depend on the compiler
  for version in $standard $later; do
    compile "all headers, $compiler" "$compiler" "$version" <<END
$all
END
  done
done
echo "$checked compilations, $failed failures"
[ "$checked" -gt 0 ] && [ "$failed" = 0 ]
