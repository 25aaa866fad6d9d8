#!/bin/sh
# vestry-bench upload: each measurement runs and prints its results, which are not judged.
# SPDX-License-Identifier: MIT
set -eu
bench=$1

says() {
  echo "$out" | grep -q -- "$1" || {
    echo "upload.sh: not found: $1" >&2
    echo "$out" >&2
    exit 1
  }
}

for form in "" --form; do
  out=$("$bench" upload --turns 1 --bytes 1000000 $form)
  for server in bare civetweb microhttpd; do says "way=cpu server=$server .*cpu_s_per_gb="; done
done
for adapter in civetweb microhttpd; do
  out=$("$bench" upload --way memory --adapter $adapter --uploads 8)
  says "way=memory server=$adapter .*kib_per_upload="
  out=$("$bench" upload --way pages --adapter $adapter --uploads 4 --pages 3 --seconds 1)
  says "way=pages server=$adapter .*live_p99_ms .*document_p99_ms"
done
if "$bench" upload --way sideways >/dev/null 2>&1; then exit 1; fi
if "$bench" upload --adapter bare >/dev/null 2>&1; then exit 1; fi
