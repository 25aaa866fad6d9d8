#!/bin/sh
# The scripts for browsers that the build embeds: embed.sh REPOSITORY CMAKE
# SPDX-License-Identifier: MIT
set -eu
repository=$1
cmake=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
embed() { # FILE: standard output and standard error are in the file `said`
  "$cmake" -DOUT=out.c -DPREFIX=p_ "-DSCRIPTS=$PWD/$1" -P "$repository/scripts/embed.cmake" >said 2>&1
}
fail() { # WHY
  echo "$1"
  cat said
  exit 1
}

cat >good.js <<'EOF'
// a comment, see https://example.org // and more
const half = 6 / 2;
  // another
const text = ['&, =', '', 'b'] && a (1 );
EOF
embed good.js || fail 'a script with comments between its lines was refused.'
# The bytes of the array, without the NUL at its end.
got=$(sed -n "s/^const char p_script_good\\[\\] = {\\(.*\\)0};/\\1/p" out.c | sed "s/'\\\\x\\(..\\)',/\\1/g")
wanted=$(printf '%s' "const half=6 / 2;const text=['&, =','','b']&& a(1);" | od -An -v -tx1 | tr -d ' \n')
[ "$got" = "$wanted" ] || fail "the embedded script is $got, and not $wanted."

refuses() { # LINE, and on standard input a script
  cat >bad.js
  if embed bad.js; then fail "a comment behind code was embedded: line $1"; fi
  tr '\n' ' ' <said | tr -s ' ' | grep -qF "bad.js:$1: // follows code" || fail "the message does not name bad.js:$1."
}
refuses 1 <<'EOF'
one(); // a comment
two();
EOF
refuses 3 <<'EOF'
// a comment

/* one */ one(); //
two();
EOF
refuses 2 <<'EOF'
one();
    const text = 'https://example.org';
EOF

printf 'one(`a`);\n' >bad.js
if embed bad.js; then fail 'a text between backquotes was embedded.'; fi

# Each line would end or change the attribute that the script stands in.
for line in 'const text = "a";' 'a &&b();' "const text = '&#39;';"; do
  printf 'one();\n%s\n// a "comment" &c\n' "$line" >bad.js
  if embed bad.js; then fail "a script was embedded that no attribute may contain: $line"; fi
  tr '\n' ' ' <said | tr -s ' ' | grep -qF "bad.js: the line $line has" || fail "the message does not show $line"
done
