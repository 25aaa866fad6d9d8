#!/bin/sh
# How tests/ctest.sh handles failing tests, which are simulated here: again.sh REPOSITORY
# SPDX-License-Identifier: MIT
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

# Tests by name: good; bad; skipped; part, with a skipped case; chance_1, chance_2, … fail the first time.
run() { # OPTION WANTED SAID TESTS…: the expected exit status, and a pattern of the expected output
  option=$1 wanted=$2 said=$3
  shift 3
  rm -rf "$scratch/build" && mkdir "$scratch/build"
  for name in "$@"; do
    case $name in
    good) command=exit\ 0 ;;
    bad) command=exit\ 1 ;;
    skipped) command='echo skipped: no moon; echo bye; exit 77' ;;
    part) command='echo of another; echo "[ RUN      ] night"; echo no moon: not tested; echo "[  SKIPPED ] night"' ;;
    *) command="mkdir $scratch/build/$name || exit 0; exit 1" ;;
    esac
    printf 'add_test(%s /bin/sh -c [==[%s]==])\nset_tests_properties(%s PROPERTIES SKIP_RETURN_CODE 77)\n' \
      "$name" "$command" "$name" >>"$scratch/build/CTestTestfile.cmake"
  done
  status=0
  # shellcheck disable=SC2086 # an option or none
  "$top/tests/ctest.sh" $option "$scratch/build" >"$scratch/said" 2>&1 || status=$?
  [ $status != 0 ] && status=1
  if [ $status != "$wanted" ] || ! grep -qE "$said" "$scratch/said"; then
    cat "$scratch/said"
    echo "$option $*: exit status $status, wanted $wanted and \"$said\""
    failed=1
  fi
}
top=$1
run --again 0 '^100% tests passed' good
run --again 0 '^FAILED BESIDE OTHERS, passed alone: chance_1 chance_2 $' good chance_1 chance_2
run --again 1 '^100% tests passed|1 tests failed out of 2' bad chance_1
run --again 1 '6 tests failed out of 6' chance_1 chance_2 chance_3 chance_4 chance_5 chance_6
run '' 1 '1 tests failed out of 2' good chance_1
run --again 1 'No tests were found' 
run '' 0 '^NOT RUN: skipped: skipped: no moon$' good skipped
run '' 0 '^NOT RUN: part \(case night\): no moon: not tested$' part
run --again 0 '^NOT RUN: skipped: skipped: no moon$' chance_1 skipped
exit $failed
