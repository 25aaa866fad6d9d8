#!/bin/sh
# The summary and exit status of .ci/run and of scripts/test --all, with simulated runs: ci.sh REPOSITORY
# SPDX-License-Identifier: MIT
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/.ci" "$scratch/scripts" "$scratch/tests"
cp "$1/.ci/run" "$scratch/.ci"
cp "$1/scripts/test" "$scratch/scripts/all"
cp "$1/tests/summary.sh" "$scratch/tests"
cat >"$scratch/scripts/test" <<'EOS'
#!/bin/sh
[ "$1" = --again ] || exit 3
case "${2-} ${3-}" in
' ' | '--here '*) name=here status=$HERE ;;
'--ci '*) name=sanitized status=$SANITIZED ;;
'--on trixie' | '-LE '*) name=there status=$THERE ;;
*) exit 3 ;;
esac
echo "words of $name"
[ "$status" = 76 ] || [ "$status" = 77 ] || echo "99% tests passed, of those $name" >&2
[ $name != here ] || printf 'The following tests did not run:\n\t  1 - one (Skipped)\nNOT RUN: one: no moon\n'
exit "$status"
EOS
cat >"$scratch/scripts/on" <<'EOS'
#!/bin/sh
shift
exec "$@"
EOS
cat >"$scratch/scripts/packages" <<'EOS'
#!/bin/sh
[ "$*" = --install-test ] || exit 3
echo "words of packages"
exit "$PACKAGES"
EOS
cat >"$scratch/scripts/walks" <<'EOS'
#!/bin/sh
[ "$*" = --check ] || exit 3
echo "words of walks"
exit "$WALKS"
EOS
chmod +x "$scratch"/scripts/*

failed=0
said=$scratch/said
wrong() {
  cat "$said"
  echo "$command: here $HERE, with sanitizers $SANITIZED, there $THERE, packages $PACKAGES, walks $WALKS: $*"
  failed=1
}
says() { # PATTERN WORDS: a line of the end, which is the text after all output of the last run
  sed '1,/^words of there$/d' "$said" | grep -q "$1" || wrong "$2"
}
ends() { # WANTED COMMAND…
  wanted=$1
  shift
  command="$*"
  status=0
  "$@" >"$said" 2>&1 || status=$?
  [ "$status" = "$wanted" ] || wrong "ends with $status, not with $wanted"
  says '^99% tests passed, of those here$' 'the summary of this system is not at the end'
  says '^This Debian: one: no moon$' 'no list of skipped tests at the end'
  if [ "$THERE" = 76 ] || [ "$THERE" = 77 ]; then
    says '^Debian 13 .*NOT TESTED' 'the end does not report that Debian 13 was not tested'
  else
    says '^99% tests passed, of those there$' 'the summary of the other system is not at the end'
  fi
  if [ "$(grep -c 'one: no moon' "$said")" != 2 ] || [ "$(grep -c '(Skipped)' "$said")" != 1 ]; then
    wrong 'the summary contains skipped tests, too'
  fi
}
run() { # HERE SANITIZED THERE CI ALL: exit statuses of the three runs, and the expected ones of .ci/run and --all
  export HERE="$1" SANITIZED="$2" THERE="$3"
  ends "$5" "$scratch/scripts/all" --again --all
  case $PACKAGES in
  7[67]) says '^Debian packages .*NOT TESTED' 'it does not report that packages were not made' ;;
  *) says '^words of packages$' 'the summary of packages is not at the end' ;;
  esac
  says '^by no part of --all: .*scripts/cross' 'it does not report the tests that it skips'
  ends "$4" "$scratch/.ci/run"
  case $THERE in 7[67]) tail -n 1 "$said" | grep -q 'NOT TESTED' || wrong 'that Debian 13 is not tested is not last' ;; esac
}
export PACKAGES=0 WALKS=0
run 0 0 0 0 0
run 8 0 0 1 1
run 0 8 0 1 0
run 0 0 8 1 1
run 0 0 1 1 1
run 0 0 76 0 0
run 0 0 77 0 0
run 8 0 77 1 1
run 0 8 76 1 0
PACKAGES=1
run 0 0 0 0 1
PACKAGES=77
run 0 0 0 0 0
run 0 0 76 0 0
# On a machine that is too slow, .ci/run omits Debian 13.
mkdir "$scratch/slow"
cat >"$scratch/slow/date" <<'EOS'
#!/bin/sh
seconds=$(cat "$0.s" 2>/dev/null || echo 0)
echo "$seconds"
echo $((seconds + 1201)) >"$0.s"
EOS
chmod +x "$scratch/slow/date"
command='.ci/run on a slow machine'
PATH="$scratch/slow:$PATH" "$scratch/.ci/run" >"$said" 2>&1 || wrong 'it fails'
! grep -q '^words of there$' "$said" || wrong 'Debian 13 was tested'
tail -n 1 "$said" | grep -q '^Debian 13 .*NOT TESTED' || wrong 'that Debian 13 is not tested is not last'
WALKS=8
run 0 0 0 1 0
exit $failed
