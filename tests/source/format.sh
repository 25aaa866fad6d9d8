#!/bin/sh
# All C of the project is as clang-format 14 with .clang-format leaves it: format.sh REPOSITORY
set -eu
cd "$1"
formatter=clang-format
if command -v clang-format-14 >/dev/null; then formatter=clang-format-14; fi
case $($formatter --version) in
*' 14.'*) ;;
*)
  echo "clang-format 14 is needed (others format differently), this is: $($formatter --version)"
  exit 1
  ;;
esac
# Tracked files, and those that could be; outside of a clone, all.
if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$PWD" ]; then
  files=$(git ls-files --cached --others --exclude-standard '*.c' '*.h')
else
  files=$(find include src tests examples bench -name '*.[ch]' ! -path '*/node_modules/*')
fi
files=$(for file in $files; do if [ -f "$file" ]; then echo "$file"; fi; done) # not those just deleted
status=0
# clang-format leaves comments alone, so their width is looked at here.
# shellcheck disable=SC2086 # a list of words
if LC_ALL=C.UTF-8 grep -nHE '.{121,}' $files; then
  echo "The lines above are longer than 120 columns."
  status=1
fi
# shellcheck disable=SC2086
"$formatter" --dry-run -Werror --style=file $files || status=1
exit $status
