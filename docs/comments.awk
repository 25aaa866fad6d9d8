#!/usr/bin/awk -f
# Turns a header into what doxygen reads. In the source the comments keep their plain form:
#     /** Find a thing.
#      *  name     borrowed
#      *  Returns  OK | NOT_FOUND
#      *  Threads  any */
# The first comment of a file is the file's. What follows without a blank line or a comment of its own shares the last.
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
