#!/bin/sh
# The API documentation can be generated, and all public functions, types and macros have comments: docs.sh
# DIRECTORY_WITH_THE_DOXYFILE
# SPDX-License-Identifier: MIT
set -eu
rm -f "$1/warnings.txt"
doxygen "$1/Doxyfile"
[ -f "$1/html/index.html" ]
# Members of structs need no comment; functions, types and macros do. docs/site.py checks links.
! grep -v '(variable) of struct .* is not documented\|to resolve reference\|explicit link request' "$1/warnings.txt"
