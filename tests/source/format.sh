#!/bin/sh
# Checks that clang-format 14 with .clang-format leaves all C files unchanged, and that files have at most 800 lines:
# format.sh REPOSITORY
# Other versions format differently. Where Debian has no clang-format 14 (Debian 13), only widths are checked: exit
# status 77.
# Stored releases in tests/abi are never changed, so they are not checked.
# SPDX-License-Identifier: MIT
set -eu
cd "$1"
# Tracked files, and untracked ones that are not ignored; outside of a clone, all.
if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$PWD" ]; then
  files=$(git ls-files --cached --others --exclude-standard '*.c' '*.h')
else
  files=$(find include src tests examples bench -name '*.[ch]' ! -path '*/node_modules/*')
fi
files=$(for file in $files; do # without deleted files
  case $file in tests/abi/[0-9]*) continue ;; esac
  if [ -f "$file" ]; then echo "$file"; fi
done)
status=0
# clang-format does not wrap comments, so their width is checked here.
# shellcheck disable=SC2086 # a list of words
if LC_ALL=C.UTF-8 grep -nHE '.{121,}' $files; then
  echo "The lines above are longer than 120 columns."
  status=1
fi
# shellcheck disable=SC2086
if wc -l $files | awk '$2 != "total" && $1 > 800 { print $2 ": " $1 " lines"; found = 1 } END { exit !found }'; then
  echo "The files above have more than 800 lines: split them by topic."
  status=1
fi
formatter=
for name in clang-format-14 clang-format; do
  case $($name --version 2>/dev/null) in *' 14.'*) formatter=${formatter:-$name} ;; esac
done
if [ -n "$formatter" ]; then
  # shellcheck disable=SC2086
  if ! said=$("$formatter" --dry-run -Werror --style=file $files 2>&1); then
    echo "$said"
    echo "To fix it: $formatter -i $(echo "$said" | sed -n 's/^\([^: ]*\):[0-9]*:[0-9]*: error:.*/\1/p' | sort -u | tr '\n' ' ')"
    status=1
  fi
elif apt-cache show clang-format-14 >/dev/null 2>&1; then
  echo "clang-format 14 is needed: apt-get install clang-format-14"
  status=1
elif [ "$status" = 0 ]; then
  echo "skipped: this system has no clang-format 14"
  status=77
fi
exit $status
