/* SPDX-License-Identifier: MIT */
/* Snapshots: parsing the server's text, and comparing which transactions two snapshots see. */
#include "data/postgres/snapshot.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"

/* Parse digits without a sign. */
static bool take_number(const char **at, uint64_t *ret_number) {
  char *end;
  if (**at < '0' || **at > '9') return false;
  errno = 0;
  *ret_number = strtoull(*at, &end, 10);
  *at = end;
  return !errno;
}

static bool take_mark(const char **at, char mark) {
  return *(*at)++ == mark;
}

vestry_err vsi_postgres_snapshot_read(vsi_postgres_snapshot *ret_snapshot, const vestry_host *host, const char *text) {
  vsi_postgres_snapshot snapshot = {.count = 0};
  size_t room = 0;
  if (!take_number(&text, &snapshot.from) || !take_mark(&text, ':') || !take_number(&text, &snapshot.to) ||
      !take_mark(&text, ':') || snapshot.from > snapshot.to)
    return VESTRY_MALFORMED;
  vestry_err error = VESTRY_OK;
  while (*text && !error) {
    error = VSI_ARRAY_RESERVE(host, snapshot.running, snapshot.count, room, 1);
    if (!error && !take_number(&text, &snapshot.running[snapshot.count++])) error = VESTRY_MALFORMED;
    if (!error && *text && (!take_mark(&text, ',') || !*text)) error = VESTRY_MALFORMED;
  }
  if (error)
    vsi_free(host, snapshot.running);
  else
    *ret_snapshot = snapshot;
  return error;
}

void vsi_postgres_snapshot_finish(vsi_postgres_snapshot *snapshot, const vestry_host *host) {
  vsi_free(host, snapshot->running);
  *snapshot = (vsi_postgres_snapshot){.count = 0};
}

bool vsi_postgres_snapshot_sees(const vsi_postgres_snapshot *snapshot, uint64_t xid) {
  if (xid < snapshot->from) return true;
  if (xid >= snapshot->to) return false;
  for (size_t i = 0; i < snapshot->count; i++)
    if (snapshot->running[i] == xid) return false;
  return true;
}

/* Return how many of [from, to) are seen. */
static uint64_t count_seen(const vsi_postgres_snapshot *snapshot, uint64_t from, uint64_t to) {
  if (to > snapshot->to) to = snapshot->to;
  uint64_t count = from < to ? to - from : 0;
  for (size_t i = 0; i < snapshot->count; i++)
    if (snapshot->running[i] >= from && snapshot->running[i] < to) count--;
  return count;
}

uint64_t vsi_postgres_snapshot_unseen(const vsi_postgres_snapshot *snapshot, uint64_t before) {
  return before - count_seen(snapshot, 0, before);
}

bool vsi_postgres_snapshot_sees_more(const vsi_postgres_snapshot *snapshot, const vsi_postgres_snapshot *older,
                                     uint64_t before) {
  for (size_t i = 0; i < older->count; i++)
    if (older->running[i] < before && vsi_postgres_snapshot_sees(snapshot, older->running[i])) return true;
  return count_seen(snapshot, older->to, before) > 0;
}
