#!/bin/sh
# The API documentation can be made, and nothing public is undocumented: docs.sh DIRECTORY_WITH_THE_DOXYFILE
# SPDX-License-Identifier: MIT
set -eu
rm -f "$1/warnings.txt"
doxygen "$1/Doxyfile"
[ -f "$1/html/index.html" ]
# Members of structs may speak for themselves; functions, types and macros may not.
! grep -v '(variable) of struct .* is not documented' "$1/warnings.txt"
