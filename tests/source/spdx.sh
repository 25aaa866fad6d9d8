#!/bin/sh
# Each source file names its licence: spdx.sh REPOSITORY
# C, C++, Java and JavaScript in the first line, or the second after a #!; Python, shell, awk and CMake after the first
# comment of the file.
# SPDX-License-Identifier: MIT
set -eu
cd "$1"
if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$PWD" ]; then
  files=$(git ls-files --cached --others --exclude-standard)
else
  files=$(find . -type f ! -path '*/node_modules/*' ! -path './build/*' | sed 's,^\./,,')
fi
sources=$(echo "$files" | grep -E '(\.(c|h|cpp|java|js|mjs|py|sh|awk|cmake)|(^|/)CMakeLists\.txt)$|^scripts/|^\.ci/' |
  grep -v '^scripts/template/') # the output of scripts/new belongs to its user
sources=$(for file in $sources; do if [ -f "$file" ]; then echo "$file"; fi; done) # without deleted files
# shellcheck disable=SC2086 # a list of words
without=$(grep -L 'SPDX-License-Identifier: MIT' $sources || true)
[ -n "$sources" ] && [ -z "$without" ] && exit 0
echo "$without"
echo "spdx: the files above do not name their licence. Put SPDX-License-Identifier: MIT into a comment at their beginning."
exit 1
