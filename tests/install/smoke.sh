#!/bin/sh
# The counter starts on both adapters, answers, and ends cleanly: smoke.sh FOLDER_OF_THE_COUNTER
# SPDX-License-Identifier: MIT
set -eu
. "$(dirname "$0")/served.sh"
for adapter in civetweb microhttpd; do
  serve "$1/counter" --port 0 --adapter "$adapter"
  page=$(curl -fsS --max-time 20 "$url")
  case $page in
  *'<html'* | *'<!doctype'* | *'<!DOCTYPE'*) ;;
  *)
    echo "$1: $adapter answers: $page"
    exit 1
    ;;
  esac
  end
done
echo "$1: counter works"
