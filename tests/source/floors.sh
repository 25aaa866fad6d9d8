#!/bin/sh
# A floor includes itself and those below it, never those beside or above (docs/architecture.md): floors.sh REPOSITORY
set -eu
cd "$1"

find include src examples bench -name '*.[ch]' | sort | xargs awk '
BEGIN {
  level["base"] = 0; level["runtime"] = level["json"] = 1; level["html"] = 2; level["event"] = 3
  level["store"] = level["stream"] = 4; level["registry"] = 5; level["page"] = 6; level["cluster"] = 7
  level["adapter"] = level["sqlite"] = level["nats"] = 8; level["all"] = 9
  headers["base"] = "cause error host refusal version"
  headers["runtime"] = "runtime"
  headers["json"] = "signals value"
  headers["html"] = "html"
  headers["event"] = "backend_action event script selector"
  headers["store"] = "key store"
  headers["stream"] = "batch bus channel connection profile transport"
  headers["registry"] = "adapter broadcast csp csrf dispatch drain effects files history once presence publish registry repository request routes server session tab watch"
  headers["page"] = "page"
  headers["cluster"] = "broker cluster"
  headers["sqlite"] = "sqlite sqlite_pool sqlite_sessions"
  headers["adapter"] = "browser civetweb memory microhttpd"
  headers["nats"] = "nats"
  headers["all"] = "vestry"
  for (floor in headers) {
    n = split(headers[floor], names, " ")
    for (i = 1; i <= n; i++) home["vestry/" names[i] ".h"] = floor
  }
}
function complain(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; bad++ }
FNR == 1 {
  files++
  n = split(FILENAME, part, "/")
  public = FILENAME ~ /^include/
  program = FILENAME ~ /^(examples|bench)\//
  folder = FILENAME; sub(/\/[^\/]*$/, "", folder)
  if (program) floor = "programs"
  else if (public) floor = home["vestry/" part[3]]
  else floor = part[2]
  if (!program && !(floor in level)) complain("on no floor that this check knows: name it there")
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
  split($0, quoted, "\"")
  target = quoted[2]
  beside = folder "/" target
  if (program) {
    if (target !~ /^vestry\// && (getline line < beside) < 0) complain("includes " target ", which is not public")
    close(beside)
    next
  }
  if (target in home) to = home[target]
  else if (target ~ /^[a-z]+\//) { to = target; sub(/\/.*/, "", to) }
  else to = floor
  if (public && !(target in home)) complain("a public header includes the private " target)
  else if (!(to in level)) complain("includes " target ", which is on no floor")
  else if (floor in level && to != floor && level[to] >= level[floor])
    complain(floor " includes " target ", which is of " to)
}
END { printf "%d files, %d against the floors\n", files, bad; exit bad > 0 || files == 0 }'
