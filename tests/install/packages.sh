#!/bin/sh
# Debian packages are installed where nothing else is, used as debian/tests say, and purged without a trace:
# packages.sh FOLDER, as root in a system to be thrown away (scripts/packages --install-test)
# SPDX-License-Identifier: MIT
set -eu
cd "$(dirname "$0")/../.."
folder=$(realpath "$1")
log=$(mktemp)
trap 'rm -f "$log" "$log".*' EXIT

apt() { apt-get -q -y --no-install-recommends "$@" >"$log" 2>&1 || { cat "$log"; exit 1; }; }
installed() { dpkg-query -W -f '${Package}:${Architecture}\n' | sed 's/:all$//' | sort; }
files() { # all of the system, but for what apt and dpkg remember of any package
  find / \( -path /proc -o -path /sys -o -path /dev -o -path "$PWD" -o -path /root/.cache -o -path /var/cache \
    -o -path /var/log -o -path /var/lib/apt -o -path "$log*" \) -prune -o ! -type d -printf '%p %y %s\n' \
    -o -printf '%p\n' | grep -v '^/var/lib/dpkg/\(status\|available\|lock\|diversions\|statoverride\)' | sort
}

# The folder becomes one that apt installs from by name, and asks for what packages need as it does of any other.
for deb in "$folder"/*.deb; do
  dpkg-deb -f "$deb"
  printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "${deb##*/}" "$(stat -c %s "$deb")" \
    "$(sha256sum "$deb" | cut -d ' ' -f 1)"
done >"$folder/Packages"
echo "deb [trusted=yes] copy:$folder ./" >/etc/apt/sources.list.d/vestry.list
apt update
names=$(sed -n 's/^Package: //p' "$folder/Packages")

# Each test has the packages that it asks for, and no others.
sed -n 's/^Tests: *//p' debian/tests/control >"$log.tests"
installed >"$log.bare"
while read -r test; do
  echo "-- debian/tests/$test"
  # shellcheck disable=SC2046 # a list of words
  apt install $(sed -n "/^Tests: *$test\$/,/^\$/s/^Depends: *//p" debian/tests/control | tr -d ,)
  begun=$(date +%s)
  "debian/tests/$test" >"$log" 2>&1 </dev/null || { cat "$log"; exit 1; }
  echo "   $(($(date +%s) - begun)) s"
  installed >"$log.now"
  # shellcheck disable=SC2046
  apt purge $(comm -13 "$log.bare" "$log.now")
done <"$log.tests"

# What they need comes first, so that what is left afterwards is theirs.
# shellcheck disable=SC2086 # lists of words
needs=$(apt-get -s --no-install-recommends install $names | sed -n '/^Inst [^ ]*vestry/d; s/^Inst \([^ ]*\).*/\1/p')
# shellcheck disable=SC2086
apt install $needs
files >"$log.before"
# shellcheck disable=SC2086
apt install $names
# shellcheck disable=SC2086
dpkg -V $names
[ -f /usr/share/doc/vestry-doc/html/index.html ]
# shellcheck disable=SC2086
apt purge $names
files >"$log.after"
diff "$log.before" "$log.after" || { echo "The files above were left or changed."; exit 1; }
echo "$(echo "$names" | wc -l) packages installed, used by $(wc -l <"$log.tests") tests, and purged without a trace"
