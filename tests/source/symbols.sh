#!/bin/sh
# The shared libraries export what the public headers declare, no more and no less, and the static ones define nothing
# outside of vestry_ and vsi_: symbols.sh REPOSITORY LIBRARY_DIRECTORY
# SPDX-License-Identifier: MIT
set -eu
include=$1/include/vestry
lib=$2
failed=0

declared() { # HEADERS…: names of the functions and objects marked VESTRY_API
  cat "$@" | sed 's|//.*||; /^#/d' | tr '\n' ' ' | sed 's|/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/||g' |
    grep -oE 'VESTRY_API [^;{(]*[(;]' | sed -E 's/[ ]*[(;]$//; s/.*[^a-z0-9_]//' | sort -u
}
exported() { nm -D --defined-only "$1" | awk '{ print $3 }' | grep -vE '^(_init|_fini)$' | sort -u; }
compare() { # LIBRARY HEADERS…
  library=$1
  shift
  if difference=$(printf '%s\n---\n%s\n' "$(declared "$@")" "$(exported "$library")" | awk -v library="${library##*/}" '
    /^---$/ { second = 1; next }
    NF && !second { declared[$1] = 1 }
    NF && second { exported[$1] = 1; count++ }
    END {
      for (name in declared) if (!(name in exported)) { print name " is declared, but not in " library; bad = 1 }
      for (name in exported) if (!(name in declared)) { print name " is in " library ", but not public"; bad = 1 }
      if (!count) { print library " exports nothing"; bad = 1 }
      if (!bad) print library ": " count " symbols"
      exit bad
    }'); then :; else failed=1; fi
  echo "$difference"
}

core=$(find "$include" -name '*.h' ! -name civetweb.h ! -name microhttpd.h ! -name 'sqlite*.h' ! -name 'postgres*.h' ! -name nats.h \
  ! -path '*/testing/*')
# shellcheck disable=SC2086 # a list of words
compare "$lib/libvestry.so" $core
for library in "$lib"/libvestry-*.so; do
  [ -e "$library" ] || continue
  name=${library##*/libvestry-}
  # shellcheck disable=SC2046 # a list of words
  [ "$name" != testing.so ] || { compare "$library" "$include"/testing/*.h; continue; }
  # shellcheck disable=SC2046 # a list of words
  compare "$library" $(find "$include" -name "${name%.so}.h" -o -name "${name%.so}_*.h")
done
for archive in "$lib"/libvestry*.a; do
  [ -e "$archive" ] || continue
  # (_.stapsdt.base is where probes count their places from: weak, hidden, and no C program can name it.)
  strays=$(nm -g --defined-only "$archive" 2>/dev/null |
    awk 'NF == 3 && $3 !~ /^(vestry|vsi)_/ && $3 != "_.stapsdt.base" { print $3 }')
  if [ -n "$strays" ]; then
    echo "${archive##*/} defines names of others: $strays"
    failed=1
  fi
done
exit "$failed"
