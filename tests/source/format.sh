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
echo "$files" | while read -r file; do if [ -f "$file" ]; then echo "$file"; fi; done |
  xargs "$formatter" --dry-run -Werror --style=file
