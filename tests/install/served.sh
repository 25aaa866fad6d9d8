# shellcheck shell=sh
# For scripts that ask a server and end it, to be read with `.`: `scratch` is a folder of theirs, which is removed when
# they end, and `url` where the server listens.
# SPDX-License-Identifier: MIT
scratch=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$scratch"' EXIT

serve() { # COMMAND…: its first line says where it listens, once it does
  rm -f "$scratch/said"
  mkfifo "$scratch/said"
  "$@" >"$scratch/said" 2>"$scratch/log" &
  server=$!
  read -r _ url <"$scratch/said" || { cat "$scratch/log"; exit 1; }
}
end() { # it ends cleanly, when it is asked to
  kill -TERM "$server"
  wait "$server" || { cat "$scratch/log"; echo "$url ended with an error"; exit 1; }
  server=
}
