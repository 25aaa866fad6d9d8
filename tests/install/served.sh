# shellcheck shell=sh
# For scripts that start and stop a server; to be sourced. `scratch` is a temporary folder, which is removed when the
# script ends; `url` is the address of the server.
# SPDX-License-Identifier: MIT
scratch=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$scratch"' EXIT

serve() { # COMMAND…: it prints its address when it listens
  rm -f "$scratch/said"
  mkfifo "$scratch/said"
  "$@" >"$scratch/said" 2>"$scratch/log" &
  server=$!
  read -r _ url <"$scratch/said" || { cat "$scratch/log"; exit 1; }
}
end() { # stop it; it must end cleanly
  kill -TERM "$server"
  wait "$server" || { cat "$scratch/log"; echo "$url ended with an error"; exit 1; }
  server=
}
