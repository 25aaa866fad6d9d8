#!/bin/sh
# The summary and exit status of .ci/run, over made-up runs of scripts/test: ci.sh REPOSITORY
# SPDX-License-Identifier: MIT
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/.ci" "$scratch/scripts"
cp "$1/.ci/run" "$scratch/.ci"
cat >"$scratch/scripts/test" <<'EOF'
#!/bin/sh
[ "$1" = --again ] || exit 3
case "${2-} ${3-}" in
' ') name=here status=$HERE ;;
'--ci '*) name=sanitized status=$SANITIZED ;;
'--on trixie') name=there status=$THERE ;;
*) exit 3 ;;
esac
echo "words of $name"
[ "$status" = 76 ] || [ "$status" = 77 ] || echo "99% tests passed, of those $name" >&2
exit "$status"
EOF
chmod +x "$scratch/scripts/test"

failed=0
wrong() {
  cat "$scratch/said"
  echo "here $HERE, there $THERE: $*"
  failed=1
}
run() { # HERE SANITIZED THERE WANTED: the exit statuses of the three runs, and the one that all must end with
  HERE=$1 SANITIZED=$2 THERE=$3
  shift
  export HERE SANITIZED THERE
  status=0
  "$scratch/.ci/run" >"$scratch/said" 2>&1 || status=$?
  [ "$status" = "$3" ] || wrong "ends with $status, not with $3"
  # The words of the last one come before the summary of the first: they are shown as they come.
  if ! sed '1,/^words of there$/d' "$scratch/said" | grep -q '^99% tests passed, of those here$'; then
    wrong 'the summary of this system is not at the end'
  fi
  if [ "$THERE" = 76 ] || [ "$THERE" = 77 ]; then
    tail -n 1 "$scratch/said" | grep -q 'NOT TESTED' || wrong 'it does not say at the end that something is not tested'
  else
    tail -n 1 "$scratch/said" | grep -q '^99% tests passed, of those there$' ||
      wrong 'the summary of the other system is not at the end'
  fi
}
run 0 0 0 0
run 8 0 0 1
run 0 8 0 1
run 0 0 8 1
run 0 0 1 1
run 0 0 76 0
run 0 0 77 0
run 8 0 77 1
run 0 8 76 1
exit $failed
