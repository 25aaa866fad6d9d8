#!/bin/sh
# Installs Debian packages in a bare system, uses them by debian/tests, and checks that a purge leaves no file:
# packages.sh FOLDER, as root in a temporary system (scripts/packages --install-test)
# SPDX-License-Identifier: MIT
set -eu
cd "$(dirname "$0")/../.."
folder=$(realpath "$1")
log=$(mktemp)
trap 'rm -f "$log" "$log".*' EXIT

apt() { apt-get -q -y --no-install-recommends "$@" >"$log" 2>&1 || { cat "$log"; exit 1; }; }
installed() { dpkg-query -W -f '${Package}:${Architecture}\n' | sed 's/:all$//' | sort; }
files() { # all files of the system, except the records of apt and dpkg
  find / \( -path /proc -o -path /sys -o -path /dev -o -path "$PWD" -o -path /root/.cache -o -path /var/cache \
    -o -path /var/log -o -path /var/lib/apt -o -path "$log*" \) -prune -o ! -type d -printf '%p %y %s\n' \
    -o -printf '%p\n' | grep -v '^/var/lib/dpkg/\(status\|available\|lock\|diversions\|statoverride\)' | sort
}

# The folder becomes an archive of apt, so that apt installs the packages by name, with their dependencies.
for deb in "$folder"/*.deb; do
  dpkg-deb -f "$deb"
  printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "${deb##*/}" "$(stat -c %s "$deb")" \
    "$(sha256sum "$deb" | cut -d ' ' -f 1)"
done >"$folder/Packages"
echo "deb [trusted=yes] copy:$folder ./" >/etc/apt/sources.list.d/vestry.list
apt update
names=$(sed -n 's/^Package: //p' "$folder/Packages")

# Each test runs with the packages that it declares, and no others.
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

# Dependencies are installed first, so that all remaining files belong to these packages.
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
