#!/bin/sh
# Checks that the shared libraries export exactly the functions in the public headers, and those private functions
# (vsi_) that another library of vestry calls; static libraries define only names of vestry_ and vsi_:
# symbols.sh REPOSITORY LIBRARY_DIRECTORY
# SPDX-License-Identifier: MIT
set -eu
include=$1/include/vestry
lib=$2
failed=0

declared() { # HEADERS…: names of the functions and objects marked VESTRY_API
  cat "$@" | sed 's|//.*||; /^#/d' | tr '\n' ' ' | sed 's|/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/||g' |
    grep -oE 'VESTRY_API [^;{(]*[(;]' | sed -E 's/[ ]*[(;]$//; s/.*[^a-z0-9_]//' | sort -u
}
# Names without their version. (A version is a symbol itself: VESTRY_…)
exported() { nm -D --defined-only "$1" | sed 's/@.*//' | awk '$3 !~ /^(_init|_fini|VESTRY_.*)$/ { print $3 }' | sort -u; }
wanted=$(nm -D --undefined-only "$lib"/libvestry*.so | sed -n 's/.* \(vsi_[a-z0-9_]*\).*/\1/p' | sort -u)

compare() { # LIBRARY HEADERS…
  library=$1
  shift
  if difference=$(printf '%s\n---\n%s\n---\n%s\n' "$(declared "$@")" "$wanted" "$(exported "$library")" |
    awk -v library="${library##*/}" '
    /^---$/ { part++; next }
    NF && part == 0 { declared[$1] = 1 }
    NF && part == 1 { wanted[$1] = 1 }
    NF && part == 2 { exported[$1] = 1; if ($1 ~ /^vsi_/) inside++; else count++ }
    END {
      for (name in declared) if (!(name in exported)) { print name " is declared, but not in " library; bad = 1 }
      for (name in exported)
        if (name ~ /^vsi_/ ? !(name in wanted) : !(name in declared)) {
          print name " is in " library ", but " (name ~ /^vsi_/ ? "no other library calls it" : "not public"); bad = 1
        }
      if (!count) { print library " exports nothing"; bad = 1 }
      if (!bad) print library ": " count " symbols, and " inside + 0 " private ones"
      exit bad
    }'); then :; else failed=1; fi
  echo "$difference"
}

for library in "$lib"/libvestry.so "$lib"/libvestry-*.so; do
  [ -e "$library" ] || continue
  name=${library##*/libvestry}
  name=${name%.so}
  case $name in
  '') set -- $(find "$include" -maxdepth 1 -name '*.h' ! -name civetweb.h ! -name microhttpd.h ! -name h2.h) ;;
  -app) set -- "$include"/app/*.h "$include"/data/jobs.h "$include"/data/sql.h ;;
  -cluster) set -- "$include"/cluster/cluster.h "$include"/cluster/broker.h ;;
  -observe) set -- "$include"/ops/*.h ;;
  -testing) set -- "$include"/testing/*.h ;;
  *) set -- $(find "$include" -name "${name#-}.h" -o -name "${name#-}_*.h") ;;
  esac
  compare "$library" "$@"
done
for archive in "$lib"/libvestry*.a; do
  [ -e "$archive" ] || continue
  # (_.stapsdt.base is the reference address of probes: weak, hidden, and not a name that a C program can use.)
  strays=$(nm -g --defined-only "$archive" 2>/dev/null |
    awk 'NF == 3 && $3 !~ /^(vestry|vsi)_/ && $3 != "_.stapsdt.base" { print $3 }')
  if [ -n "$strays" ]; then
    echo "${archive##*/} defines names of others: $strays"
    failed=1
  fi
done
exit "$failed"
