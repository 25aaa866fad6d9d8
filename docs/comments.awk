#!/usr/bin/awk -f
# Converts a header to the form that doxygen reads. In the source, the comments have a plain form:
#     /** Find a thing.
#      *  name     borrowed
#      *  Returns  OK | NOT_FOUND
#      *  Threads  any */
# The first comment of a file describes the file. A declaration without a comment, directly after another declaration,
# shares the comment of that declaration.
# SPDX-License-Identifier: MIT
/^\/\*\* / && !begun++ && sub(/^\/\*\* /, " *  ") { print "/** @file" }

/^\/\*\*/ { comment = 1; owner = "" }
comment && sub(/^ \*  Returns  /, " *  @return ") {}
comment && sub(/^ \*  Threads  /, " *  @par Threads\n *  ") {}
comment && match($0, /^ \*  [a-z_]+(, [a-z_]+)*  +/) {
  names = substr($0, 5, RLENGTH - 4)
  gsub(/ /, "", names)
  $0 = " *  @param " names " " substr($0, RLENGTH + 1)
}
/^$/ { owner = ""; fresh = 0 }
!comment && match($0, /^VESTRY_API .*vestry_[a-z0-9_]*\(|^#define VESTRY_[A-Z0-9_]*/) {
  name = substr($0, RSTART, RLENGTH)
  sub(/^.*[ *]/, "", name)
  if (fresh) owner = name
  else if (owner != "") print "/** Goes with " owner (owner ~ /\($/ ? ")" : "") ". */"
  fresh = 0
}
{ print }
comment && /\*\// { comment = 0; fresh = 1 }
