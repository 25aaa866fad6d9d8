#!/bin/sh
# The counter starts on both adapters, answers, and ends cleanly: smoke.sh FOLDER_OF_THE_COUNTER
# SPDX-License-Identifier: MIT
set -eu
scratch=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$scratch"' EXIT
for adapter in civetweb microhttpd; do
  mkfifo "$scratch/$adapter"
  "$1/counter" --port 0 --adapter "$adapter" >"$scratch/$adapter" 2>"$scratch/log" &
  server=$!
  read -r _ url <"$scratch/$adapter" || { cat "$scratch/log"; exit 1; } # it says where it listens once it does
  page=$(curl -fsS --max-time 20 "$url")
  case $page in
  *'<html'* | *'<!doctype'* | *'<!DOCTYPE'*) ;;
  *)
    echo "$1: $adapter answers: $page"
    exit 1
    ;;
  esac
  kill -TERM "$server"
  wait "$server" || { cat "$scratch/log"; echo "$1: $adapter ended with an error"; exit 1; }
  server=
done
echo "$1: counter works"
