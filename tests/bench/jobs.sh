#!/bin/sh
# Jobs over SQLite, and over PostgreSQL if it is installed, with few of them: jobs.sh BUILD RUN. Checks that each job is
# done once, and that all results are printed; durations are not checked.
# SPDX-License-Identifier: MIT
set -eu
status=0
said=$(python3 -B "$2" "$1" --jobs 40 --delays 3 --turns 1) || status=$?
echo "$said"
databases=sqlite
case $status in
0) databases="sqlite postgres" ;;
77) ;;
*) exit "$status" ;;
esac
for database in $databases; do
  for wanted in "run database=$database workers=1 jobs=40 a_second=[1-9]" \
    "run database=$database workers=8 jobs=40 a_second=[1-9]" "begin database=$database by=itself jobs=3 p50_ms=" \
    "begin database=$database by=another jobs=3 p50_ms="; do
    echo "$said" | grep -q "^$wanted" || { echo "it lacks: $wanted"; exit 1; }
  done
done
exit "$status"
