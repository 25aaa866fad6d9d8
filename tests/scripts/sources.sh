#!/bin/sh
# The mirrors from which a chroot of another Debian is made, derived from this machine's apt: sources.sh REPOSITORY
# Simulated files of apt in both formats; nothing is downloaded.
# SPDX-License-Identifier: MIT
set -eu
repository=$1
# shellcheck disable=SC1091
. /etc/os-release
if [ "$ID" != debian ] || ! command -v apt-get >/dev/null; then
  echo 'skipped: this is no Debian'
  exit 77
fi
here=$VERSION_CODENAME
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/parts" "$scratch/lists"
cat >"$scratch/apt.conf" <<EOF
Dir::Etc::sourcelist "$scratch/sources.list";
Dir::Etc::sourceparts "$scratch/parts";
Dir::State::lists "$scratch/lists";
EOF
export APT_CONFIG="$scratch/apt.conf"

failed=0
expect() { # NAME, and on standard input: "URI SUITE" on each line
  sed 's,^,deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ,; s,$, main,' >"$scratch/wanted"
  "$repository/scripts/on" --sources other >"$scratch/got"
  diff -u "$scratch/wanted" "$scratch/got" || {
    echo "$1: these are not the mirrors that it was to be made of."
    failed=1
  }
}

cat >"$scratch/sources.list" <<EOF
deb [arch=$(dpkg --print-architecture)] http://one.example/debian $here main contrib
deb-src http://one.example/debian $here main
# deb http://commented.example/debian $here main
deb http://one.example/debian $here-updates main
deb http://one.example/debian $here-backports main
deb https://two.example/security/ $here-security main non-free
deb https://tool.example/linux/debian $here stable
deb file:/srv/mirror $here main
EOF
expect 'one line each' <<EOF
http://one.example/debian other
http://one.example/debian other-updates
https://two.example/security other-security
EOF

: >"$scratch/sources.list"
echo "http://three.example/debian	priority:1" >"$scratch/mirrors"
cat >"$scratch/parts/debian.sources" <<EOF
Types: deb deb-src
URIs: mirror+file://$scratch/mirrors http://four.example/debian
Suites: stable stable-updates $here-proposed-updates
Components: main

Types: deb
URIs: http://disabled.example/debian
Suites: $here
Components: main
Enabled: no

Types: deb
URIs: https://packages.example/debian/prod
Suites: $here
Components: main
EOF
echo 'Origin: Somebody' >"$scratch/lists/packages.example_debian_prod_dists_${here}_InRelease"
echo 'Origin: Debian' >"$scratch/lists/four.example_debian_dists_stable_InRelease"
expect 'paragraphs, and the mirror of somebody else' <<EOF
http://four.example/debian other
http://four.example/debian other-updates
http://three.example/debian other
http://three.example/debian other-updates
EOF

rm "$scratch/parts/debian.sources"
expect 'none' <<EOF
http://deb.debian.org/debian other
http://deb.debian.org/debian other-updates
http://deb.debian.org/debian-security other-security
EOF
exit $failed
