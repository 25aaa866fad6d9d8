#!/bin/sh
# Checks that compare.sh finds changes that break programs, and accepts additions: planted.sh COMPARE.SH COMPILER
# SPDX-License-Identifier: MIT
set -eu
compare=$1
compiler=$2
command -v abidiff >/dev/null || {
  echo "skipped: there is no abidiff (Debian: abigail-tools)"
  exit 77
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
header=$folder/include/vestry/version.h
mkdir -p "$folder/include/vestry" "$folder/tests/abi" "$folder/lib"

number=0 # of the soname
library() { # MEMBERS ARGUMENT MORE [STATES INNER]: functions, and a struct that begins with its size
  cat >"$header" <<END
#define VESTRY_VERSION "1.2.3"
#include <stddef.h>
enum vestry_state { ${4:-DOWN, UP} };
struct vestry_inner { size_t size; ${5:-char a; long b;} };
struct vestry_options { size_t size; $1 };
struct vestry_ops { void (*on_state)(enum vestry_state state, const struct vestry_inner *inner); };
int vestry_take(const struct vestry_options *options, $2);
int vestry_watch(const struct vestry_ops *ops);
$3
END
  { echo '#include "vestry/version.h"' && sed -n 's/^\(int .*\);$/\1 { return 0; }/p' "$header"; } >"$folder/library.c"
  "$compiler" -g -shared -fPIC -w "-I$folder/include" "$folder/library.c" "-Wl,-soname,libvestry.so.$number" \
    -o "$folder/lib/libvestry.so"
}
expect() { # pass|fail|skip WHAT: as compare.sh finds the library of now
  if "$compare" "$folder" "$folder/lib" >"$folder/log" 2>&1; then found=pass; else found=fail; fi
  if [ $found = fail ] && grep -q '^skipped: ' "$folder/log"; then found=skip; fi
  [ "$found" = "$1" ] || {
    cat "$folder/log"
    echo "$2: $found, and not $1"
    exit 1
  }
  echo "$2: $found"
}

other='int vestry_other(void);'
library 'int a; int b;' 'int n' "$other"
echo 'int main(void) { return 0; }' >"$folder/tests/abi/old.c"
"$compare" --write "$folder" "$folder/lib"
grep -q SPDX "$folder/tests/abi/1.2.3/programs/old.c"
grep -q 'vestry_take' "$folder/tests/abi/1.2.3/libvestry.abi"
if grep -n "='/" "$folder/tests/abi/1.2.3/libvestry.abi"; then
  echo "It names folders of this machine."
  exit 1
fi
if "$compare" --write "$folder" "$folder/lib" >"$folder/log"; then
  echo "It was written a second time."
  exit 1
fi
expect pass 'the same'
library 'int a; int b; long c;' 'int n' "$other"
expect pass 'a member at the end'
library 'int a; int b;' 'int n' "$other
int vestry_new(void);"
expect pass 'one more function'
library 'int a; int b;' 'int n' ''
expect fail 'a function less'
library 'int a; long c; int b;' 'int n' "$other"
expect fail 'a member in the middle'
library 'int a; int c; int b;' 'int n' "$other"
expect fail 'a small member in the middle'
library 'int a;' 'int n' "$other"
expect fail 'a member less'
library 'int a; int b;' 'const char *n' "$other"
expect fail 'another type of an argument'
library 'int a; unsigned b;' 'int n' "$other"
expect fail 'another type of a member'
library 'int b; int a;' 'int n' "$other"
expect fail 'members in another order'
same='int a; int b;'
library "$same" 'int n' "$other" 'DOWN, UP, LOST'
expect pass 'one more value of an enum'
library "$same" 'int n' "$other" 'LOST, DOWN, UP'
expect fail 'other values of an enum'
library "$same" 'int n' "$other" '' 'char a; long b; long c;'
expect pass 'a member at the end, in what is reached by a function of a table'
library "$same" 'int n' "$other" '' 'char a; long c; long b;'
expect fail 'a member in the middle, there'
library "$same" 'int n' "$other" '' 'char a; char c; long b;'
expect fail 'a member where nothing was'
library "$same" 'int n' "$other" '' 'char a; char c; long b; long d;'
expect fail 'a member where nothing was, and one at the end'
number=1
library 'int a;' 'int n' ''
expect skip 'all of these, and another soname'
