#!/bin/sh
# The library with the libc of musl, in a chroot (scripts/cross musl): a static counter, and the suites of the modules
# whose code depends most on the libc: cross.sh REPOSITORY. The test is skipped if no chroot can be made here. Other
# processors are tested by hand, because their emulation takes hours (docs/building.md, Other processors).
# SPDX-License-Identifier: MIT
set -u
cd "$1" || exit 1
scripts/cross musl -R '^(base|json|runtime|connection|http|session|upload)_'
status=$?
if [ $status = 76 ]; then
  echo "skipped: this machine has no mirror for it now"
  exit 77
fi
exit $status
