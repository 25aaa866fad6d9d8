#!/bin/sh
# The built libraries require no more of the C library and the kernel than the oldest system in README provides, unless
# they check for it: glibc.sh LIBRARY_DIRECTORY
# SPDX-License-Identifier: MIT
set -eu
oldest=2.34 # Debian 12 has 2.36. Since 2.34, functions for threads are in libc and have this version.

# Undefined symbols with their versions. A weak symbol is checked at run time, and may be absent (w in objdump's second
# column). Newer headers replace strtol and similar functions by __isoc23_….
ls "$1"/libvestry.so >/dev/null || {
  echo "There is no library in $1 to look at."
  exit 1
}
newer=$(for library in "$1"/libvestry*.so; do
  objdump -T "$library" | awk -v library="${library##*/}" -v oldest="$oldest" '
    /\*UND\*/ && $2 != "w" && match($0, /\(?GLIBC_[0-9.]+\)?/) {
      version = substr($0, RSTART, RLENGTH)
      gsub(/[()]|GLIBC_/, "", version)
      split(version, is, ".")
      split(oldest, had, ".")
      newer = is[1] > had[1] || (is[1] == had[1] && is[2] + 0 > had[2] + 0)
      if (newer && $NF !~ /^__isoc23_/) print library ": " $NF " is new in glibc " version
    }'
done)
if [ -n "$newer" ]; then
  echo "$newer"
  echo "Functions newer than glibc $oldest need a check in CMakeLists.txt, or a weak symbol."
  exit 1
fi
# System calls by number have no symbol: those that an older kernel lacks need a fallback.
cd "$(dirname "$0")/../../src"
calls=$(grep -rnoE '\bsyscall\([^;]*' . --include='*.[ch]' | grep -v 'SYS_futex\|syscall(long number' || true) # every kernel has futex
if [ -n "$calls" ]; then
  echo "$calls"
  echo "A system call by number needs another way where the kernel has none, and a line here."
  exit 1
fi
