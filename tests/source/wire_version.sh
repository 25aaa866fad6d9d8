#!/bin/sh
# SPDX-License-Identifier: MIT
# docs/cluster-wire.md describes the version that src/cluster/cluster/wire.h defines: wire_version.sh REPOSITORY
set -eu
version=$(sed -n 's/.*VSI_WIRE_VERSION = \([0-9][0-9]*\).*/\1/p' "$1/src/cluster/cluster/wire.h")
page=$1/docs/cluster-wire.md
for said in "This is version $version." "| 1 | 1 | version: $version |"; do
  grep -qF "$said" "$page" || {
    echo "docs/cluster-wire.md: lacks \"$said\", though VSI_WIRE_VERSION is $version: describe what has changed" >&2
    exit 1
  }
done
