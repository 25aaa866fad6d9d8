/* SPDX-License-Identifier: MIT */
/* Sets of keys: an array in the order of insertion; a large set also has a hash table. Snapshots: parsing the server's
 * text, and comparing which transactions two snapshots see. */
#include "data/postgres/keys.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/ascii.h"

enum { FEW = 8, FIRST_SLOTS = 32 };

static size_t slot_of(const vsi_postgres_keys *set, vsi_postgres_key key) {
  size_t mask = set->slots_count - 1, at = (size_t)(vsi_postgres_key_hash(key) >> 32) & mask;
  while (set->slots[at] && !vsi_read_keys_are_equal(&set->keys[set->slots[at] - 1], &key)) at = (at + 1) & mask;
  return at;
}

bool vsi_postgres_keys_have(const vsi_postgres_keys *set, vsi_postgres_key key) {
  if (set->slots) return set->slots[slot_of(set, key)];
  for (size_t i = 0; i < set->count; i++)
    if (vsi_read_keys_are_equal(&set->keys[i], &key)) return true;
  return false;
}

/* Make room for one more key; half of the slots stay free. */
static vestry_err make_slots(vsi_postgres_keys *set, const vestry_host *host) {
  if (set->count < FEW || (set->count + 1) * 2 <= set->slots_count) return VESTRY_OK;
  size_t count = set->slots_count ? set->slots_count * 2 : FIRST_SLOTS;
  uint32_t *slots = vsi_calloc(host, count, sizeof *slots);
  if (!slots) return VESTRY_NO_MEMORY;
  vsi_free(host, set->slots);
  set->slots = slots;
  set->slots_count = count;
  for (size_t i = 0; i < set->count; i++) slots[slot_of(set, set->keys[i])] = (uint32_t)i + 1;
  return VESTRY_OK;
}

vestry_err vsi_postgres_keys_add(vsi_postgres_keys *set, const vestry_host *host, vsi_postgres_key key) {
  if (vsi_postgres_keys_have(set, key)) return VESTRY_EXISTS;
  if (VSI_ARRAY_RESERVE(host, set->keys, set->count, set->room, 1) || make_slots(set, host)) return VESTRY_NO_MEMORY;
  if (set->slots) set->slots[slot_of(set, key)] = (uint32_t)set->count + 1;
  set->keys[set->count++] = key;
  return VESTRY_OK;
}

void vsi_postgres_keys_clear(vsi_postgres_keys *set, const vestry_host *host) {
  vsi_free(host, set->keys);
  vsi_free(host, set->slots);
  *set = (vsi_postgres_keys){.count = 0};
}

/* -------------------------------------------------------------------------------------------------- snapshots ----- */

/* Parse digits without a sign. */
static bool take_number(const char **at, uint64_t *ret_number) {
  char *end;
  if (!vsi_is_digit(**at)) return false;
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
