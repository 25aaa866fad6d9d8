#!/bin/sh
# Debian packages are installed where nothing else is, used as debian/tests say, and purged without a trace:
# packages.sh FOLDER, as root in a system to be thrown away (scripts/packages --install-test)
# SPDX-License-Identifier: MIT
set -eu
cd "$(dirname "$0")/../.."
folder=$1
log=$(mktemp)
trap 'rm -f "$log" "$log".*' EXIT

apt() { apt-get -q -y --no-install-recommends "$@" >"$log" 2>&1 || { cat "$log"; exit 1; }; }
fields() { sed -n "s/^$1: *//p" debian/tests/control | tr -d ','; }
files() { # all of the system, but for what apt and dpkg remember of any package
  find / \( -path /proc -o -path /sys -o -path /dev -o -path "$PWD" -o -path /root/.cache -o -path /var/cache \
    -o -path /var/log -o -path /var/lib/apt -o -path "$log*" \) -prune -o ! -type d -printf '%p %y %s\n' \
    -o -printf '%p\n' | grep -v '^/var/lib/dpkg/\(status\|available\|lock\|diversions\|statoverride\)' | sort
}

apt update
wanted=$(fields Depends | tr ' ' '\n' | grep -v vestry | sort -u)
names=$(for deb in "$folder"/*.deb; do dpkg-deb -f "$deb" Package; done | grep -v -e '-dbgsym$')
debs=$(for name in $names; do ls "$folder/${name}"_*.deb; done)
# What they need comes first, so that what is left afterwards is theirs.
# shellcheck disable=SC2046,SC2086 # lists of words
needs=$(apt-get -s --no-install-recommends install $(for deb in $debs; do echo "./$deb"; done) |
  sed -n 's/^Inst \([^ ]*\).*/\1/p' | grep -v vestry)
# shellcheck disable=SC2086
apt install $wanted $needs
files >"$log.before"

# shellcheck disable=SC2046
apt install $(for deb in $debs; do echo "./$deb"; done)
# shellcheck disable=SC2086
dpkg -V $names
for test in $(fields Tests); do
  echo "-- debian/tests/$test"
  "debian/tests/$test" >"$log" 2>&1 || { cat "$log"; exit 1; }
done
[ -f /usr/share/doc/vestry-doc/html/index.html ]

# shellcheck disable=SC2086
apt purge $names
files >"$log.after"
diff "$log.before" "$log.after" || { echo "The files above were left or changed."; exit 1; }
echo "$(echo "$names" | wc -l) packages installed, used by $(fields Tests | wc -l) tests, and purged without a trace"
