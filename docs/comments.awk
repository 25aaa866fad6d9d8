#!/usr/bin/awk -f
# Turns a header into what doxygen reads. In the source the comments keep their plain form:
#     /** Find a thing.
#      *  name     borrowed
#      *  Returns  OK | NOT_FOUND
#      *  Threads  any */
# The first comment of a file is the file's. Declarations that follow one another without a blank line share a comment.
NR == 1 && sub(/^\/\*\* /, " *  ") { print "/** @file" }

/^\/\*\*/ { comment = 1; owner = "" }
comment && sub(/^ \*  Returns  /, " *  @return ") {}
comment && sub(/^ \*  Threads  /, " *  @par Threads\n *  ") {}
comment && match($0, /^ \*  [a-z_]+(, [a-z_]+)*  +/) {
  names = substr($0, 5, RLENGTH - 4)
  gsub(/ /, "", names)
  $0 = " *  @param " names " " substr($0, RLENGTH + 1)
}
/^$/ { owner = ""; fresh = 0 }
/^VESTRY_API / && !comment {
  if (!fresh && owner != "") print "/** Goes with " owner "(). */"
  else if (fresh) owner = match($0, /vestry[a-z0-9_]*\(/) ? substr($0, RSTART, RLENGTH - 1) : ""
  fresh = 0
}
{ print }
comment && /\*\// { comment = 0; fresh = 1 }
