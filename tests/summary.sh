# Functions for scripts that run several test commands (.ci/run, scripts/test --all) and print a summary of each at the
# end. They are sourced, and store their logs in the folder $logs, which is removed when the script ends.
# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: MIT
logs=$(mktemp -d) || exit 1
trap 'rm -rf "$logs"' EXIT
failed=0 # 1: a run that `summary` printed failed

logged() { # NAME COMMAND…: show its output, and store it and the exit status for the functions below
  name=$1
  shift
  { { "$@" 2>&1 && status=0 || status=$?; echo "$status" >"$logs/$name.status"; } | tee "$logs/$name"; }
}
# Exit status 76 or 77 of scripts/on, scripts/packages and .ci/run is not a failure: this machine cannot do it.
not_tested() { # NAME
  case $1$(cat "$logs/$1.status") in trixie7[67] | packages7[67]) ;; *) return 1 ;; esac
}
summary() { # NAME TITLE: print ctest's counts and failed tests, or the last lines of a run: one if it succeeded
  echo
  ! not_tested "$1" || return 0
  status=$(cat "$logs/$1.status")
  echo "$2: exit status $status"
  # Without skipped tests, which not_run lists.
  sed -n '/^[0-9]*% tests passed/,$p' "$logs/$1" |
    grep -vE '^NOT RUN: |^The following tests did not run:|^[[:space:]].* \((Skipped|Disabled)\)$' >"$logs/end" ||
    if [ "$status" = 0 ]; then tail -n 1 "$logs/$1"; else tail -n 20 "$logs/$1"; fi >"$logs/end"
  cat "$logs/end"
  if [ "$status" != 0 ]; then failed=1; fi
}
not_run() { # NAME TITLE: print a line for each skipped test, with the reason from cmake's warnings or tests/ctest.sh
  awk -v title="$2" '
    /^CMake Warning/ { warned = 1; next }
    warned && /^  / { print title ": " substr($0, 3) }
    /^[^ ]/ { warned = 0 }
    sub(/^NOT RUN: /, "") { print title ": " $0 }' "$logs/$1" | sort -u
  ! not_tested "$1" || echo "$2 was NOT TESTED: it cannot be done on this machine, for want of a chroot, a clone or time; see above."
}
