#!/bin/sh
# Programs of released versions run with the libraries of today, as far as types and functions say so:
# compare.sh REPOSITORY LIBRARY_FOLDER, of a build with -g
# compare.sh --write REPOSITORY LIBRARY_FOLDER: keeps the ABI, the headers and programs of this version in
# tests/abi/VERSION, which is done once, at its release, and never again (docs/abi.md).
# What may be added: functions, and members at the end of structs, which begin with their size.
# Exit status 77: there is nothing to compare, or nothing to do so with.
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
  for library in "$lib"/libvestry*.so; do
    abi=$kept/$version/$(basename "$library" .so).abi
    abidw --no-corpus-path --no-comp-dir-path --short-locs --drop-private-types --headers-dir "$include" "$library" \
      --out-file "$abi"
    # Sources go by their place in the repository, else by their name, and so do headers, by which abidiff knows what is
    # public: nothing is said of the machine that wrote it.
    sed -i "s,\( path='\)/[^']*/\(src/[^']*'\),\1\2,; s,\( path='\)/[^']*/\([^/']*'\),\1\2," "$abi"
  done
  cp -r "$include" "$kept/$version/include"
  # The programs that tests/abi/CMakeLists.txt builds with these headers: those of its own, those of somebody outside, and
  # what scripts/new writes.
  mkdir "$kept/$version/programs"
  for program in "$kept/old.c" "$1"/tests/install/outside/*.c "$1"/scripts/template/app*.[ch]; do
    [ -e "$program" ] || continue
    { grep -q SPDX "$program" || echo '/* SPDX-License-Identifier: MIT */'; sed s/APPNAME/app/g "$program"; } \
      >"$kept/$version/programs/${program##*/}"
  done
  exit
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Types of other libraries change with the system: they are not looked at. Newer versions of abidiff pass over a struct
# that has grown only if has_size_change says so; older ones do not know it.
for kind in struct union enum; do
  printf '[suppress_type]\n  type_kind = %s\n  name_not_regexp = ^(vestry_|__anonymous)\n' $kind
done >"$folder/others"
printf '[suppress_type]\n  type_kind = struct\n  has_data_member_inserted_at = end\n  has_size_change = yes\n' >"$folder/end"
# What abidiff says of a struct that has more members and nothing else. It says so for each type by itself: a type that is
# reached only through a struct would not be looked at otherwise.
grown="^$|^[A-Z][A-Za-z/ ]* summary: |^'struct .*' changed:$|^  type size changed from |^  [0-9]* data member insertions?:$|\
^    '.*', at offset [0-9]* \(in bits\) at "
found=0
status=0
for before in "$kept"/[0-9]*/*.abi; do
  [ -e "$before" ] || continue
  now=$lib/$(basename "$before" .abi).so
  soname=$(sed -n "s/^<abi-corpus .* soname='\([^']*\)'.*/\1/p;s/^<abi-corpus soname='\([^']*\)'.*/\1/p" "$before")
  # Programs of another soname run with the library of that.
  [ "$soname" = "$(readelf -d "$now" | sed -n 's/.*(SONAME).*\[\(.*\)\]$/\1/p')" ] || continue
  found=$((found + 1))
  differ() { # OPTIONS…
    abidiff --leaf-changes-only --no-added-syms --drop-private-types --headers-dir2 "$include" \
      --suppressions "$folder/others" "$@" "$before" "$now"
  }
  # The suppression sees to it that each new member stands at the end; but it also passes over a struct without any that
  # has changed in another way.
  if differ --suppressions "$folder/end" && ! differ | grep -vE "$grown"; then continue; fi
  echo "$before: programs that were built with it do not run with $lib (docs/abi.md)"
  status=1
done
[ "$found" != 0 ] || skip "no version of this soname has an ABI that is kept: tests/abi/VERSION"
exit $status
