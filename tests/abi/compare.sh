#!/bin/sh
# Checks by types and functions whether programs of released versions run with the current libraries:
# compare.sh REPOSITORY LIBRARY_FOLDER (of a build with -g)
# compare.sh --write REPOSITORY LIBRARY_FOLDER stores the ABI, the headers and programs of this version in
# tests/abi/VERSION. This is done once, at the release of the version, and never again (docs/abi.md).
# Allowed additions: functions, and members at the end of structs that begin with their size.
# Exit status 77: there is no released version to compare with, or a tool or build is missing.
# SPDX-License-Identifier: MIT
set -eu
write=
if [ "$1" = --write ]; then
  write=yes
  shift
fi
include=$1/include
kept=$1/tests/abi
lib=$2

skip() {
  echo "skipped: $*"
  exit 77
}
command -v abidiff >/dev/null || skip "there is no abidiff (Debian: abigail-tools)"
ls "$lib"/libvestry.so >/dev/null 2>&1 || skip "there is no build with debug information in $lib"

if [ -n "$write" ]; then
  version=$(sed -n 's/.*VESTRY_VERSION  *"\(.*\)"/\1/p' "$include/vestry/version.h")
  [ ! -e "$kept/$version" ] || {
    echo "$kept/$version is there already, and is not written a second time"
    exit 1
  }
  mkdir "$kept/$version"
  # Private symbols have the version of exactly one release, and only its own libraries use them.
  private=$(mktemp)
  for kind in function variable; do
    printf '[suppress_%s]\n  symbol_name_regexp = ^vsi_\n  drop = yes\n' $kind >>"$private"
  done
  for library in "$lib"/libvestry*.so; do
    abi=$kept/$version/$(basename "$library" .so).abi
    abidw --no-corpus-path --no-comp-dir-path --short-locs --drop-private-types --headers-dir "$include" --suppressions "$private" "$library" \
      --out-file "$abi"
    # Sources are named by their path in the repository, and other files by their name. abidiff recognises public types
    # by the names of headers. The file then contains no path of the machine that wrote it.
    sed -i "s,\( path='\)/[^']*/\(src/[^']*'\),\1\2,; s,\( path='\)/[^']*/\([^/']*'\),\1\2," "$abi"
  done
  rm "$private"
  cp -r "$include" "$kept/$version/include"
  # The programs that tests/abi/CMakeLists.txt builds with these headers: old.c, those of tests/install/outside that need
  # no other file and work with an ordinary build, and the application that scripts/new writes.
  mkdir "$kept/$version/programs"
  for program in "$kept/old.c" "$1"/tests/install/outside/*.c "$1"/scripts/template/app*.[ch]; do
    [ -e "$program" ] && [ "${program##*/}" != absent.c ] || continue
    ! grep -q '^#include [A-Z]' "$program" || continue # a file that is named when it is compiled: parts of the README
    { grep -q SPDX "$program" || echo '/* SPDX-License-Identifier: MIT */'; sed s/APPNAME/app/g "$program"; } \
      >"$kept/$version/programs/${program##*/}"
  done
  exit
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Types of other libraries change with the system, so they are not compared. Newer versions of abidiff ignore a struct
# that has grown only with has_size_change; older versions do not have this property.
for kind in struct union enum; do
  printf '[suppress_type]\n  type_kind = %s\n  name_not_regexp = ^(vestry_|__anonymous)\n' $kind
done >"$folder/others"
printf '[suppress_type]\n  type_kind = struct\n  has_data_member_inserted_at = end\n  has_size_change = yes\n' >"$folder/end"
# The output of abidiff for a struct that has only additional members. abidiff reports each type separately
# (--leaf-changes-only); otherwise a type that is reached only through a struct would not be compared.
grown="^$|^[A-Z][A-Za-z/ ]* summary: |^'struct .*' changed:$|^  type size changed from |^  [0-9]* data member insertions?:$|\
^    '.*', at offset [0-9]* \(in bits\) at "
found=0
status=0
for before in "$kept"/[0-9]*/*.abi; do
  [ -e "$before" ] || continue
  now=$lib/$(basename "$before" .abi).so
  soname=$(sed -n "s/^<abi-corpus .* soname='\([^']*\)'.*/\1/p;s/^<abi-corpus soname='\([^']*\)'.*/\1/p" "$before")
  # Programs of another soname run with the library of that soname.
  [ "$soname" = "$(readelf -d "$now" | sed -n 's/.*(SONAME).*\[\(.*\)\]$/\1/p')" ] || continue
  found=$((found + 1))
  differ() { # OPTIONS…
    abidiff --leaf-changes-only --no-added-syms --drop-private-types --headers-dir2 "$include" \
      --suppressions "$folder/others" "$@" "$before" "$now"
  }
  # The suppression accepts only new members at the end of a struct. But it also ignores a struct without new members
  # that has changed in another way; the second comparison finds such a struct.
  if differ --suppressions "$folder/end" && ! differ | grep -vE "$grown"; then continue; fi
  echo "$before: programs that were built with it do not run with $lib (docs/abi.md)"
  status=1
done
[ "$found" != 0 ] || skip "no version of this soname has an ABI that is kept: tests/abi/VERSION"
exit $status
