#!/bin/sh
# A contender that closes twice, forgets a close, or stores too many entries makes the run fail, with the reason:
# faulty.sh FAULTY
# SPDX-License-Identifier: MIT
set -eu
failed=0
run() { # FAULT STATUS WORDS
  status=0
  said=$("$1" "$2" --workload churn --capacity 1000 --threads 1 --seconds 0.05 --warm-ms 0 2>&1) || status=$?
  [ "$status" = "$3" ] || { echo "$2: status $status: $said"; failed=1; }
  case $said in
  *"$4"*) ;;
  *)
    echo "$2: the output lacks '$4': $said"
    failed=1
    ;;
  esac
}
run "$1" none 0 'faulty churn capacity=1000'
run "$1" twice 1 'closed twice'
run "$1" forget 1 'references left'
run "$1" drop 1 'dropped without a close'
run "$1" over 1 'more than its capacity'
run "$1" under 1 'less than its capacity'
run "$1" miscount 1 'counts other puts'
run "$1" refuse 1 'operations failed'
exit "$failed"
