/* SPDX-License-Identifier: MIT */
/* The names are stored one after the other; a hash table of offsets finds existing ones. Applications derive topics
 * from user input, so names may be chosen to collide in the table. Therefore, a name that finds no slot within a few
 * steps turns the set into "all topics". A base/map would need a member for each name, and take 15 ns instead of 4 for
 * each changed row (bench-containers, "noted"). */
#include "data/sqlite/topics.h"

#include "base/array.h"
#include "base/hash.h"
#include "base/memory.h"

enum { SLOTS_FIRST = 16, STEPS_MOST = 64, KEPT_BYTES = 8192 };

void vsi_sqlite_topics_init(vsi_sqlite_topics *topics, const vestry_host *host) {
  memset(topics, 0, sizeof *topics);
  topics->host = host;
}

void vsi_sqlite_topics_finish(vsi_sqlite_topics *topics) {
  vsi_free(topics->host, topics->bytes);
  vsi_free(topics->host, topics->slots);
  vsi_sqlite_topics_init(topics, topics->host);
}

static bool is_at(const vsi_sqlite_topics *topics, size_t at, const char *topic, size_t len) {
  return strncmp(topics->bytes + at, topic, len) == 0 && topics->bytes[at + len] == '\0';
}

/* Find the slot of a name, or the slot for it; NULL: there is none within the steps. */
static uint32_t *find(const vsi_sqlite_topics *topics, const char *topic, size_t len) {
  size_t mask = topics->slots_count - 1, at = (size_t)vsi_hash_bytes(0, topic, len) & mask;
  for (size_t step = 0; step < STEPS_MOST && step <= mask; step++, at = (at + 1) & mask) {
    uint32_t *slot = &topics->slots[at];
    if (!*slot || is_at(topics, *slot - 1, topic, len)) return slot;
  }
  return NULL;
}

static bool grow_slots(vsi_sqlite_topics *topics) {
  size_t count = topics->slots_count ? topics->slots_count * 4 : SLOTS_FIRST;
  uint32_t *slots = vsi_calloc(topics->host, count, sizeof *slots);
  if (!slots) return false;
  vsi_free(topics->host, topics->slots);
  topics->slots = slots;
  topics->slots_count = count;
  for (size_t at = 0, len; at < topics->bytes_count; at += len + 1) {
    len = strlen(topics->bytes + at);
    uint32_t *slot = find(topics, topics->bytes + at, len);
    if (!slot) return false;
    *slot = (uint32_t)at + 1;
  }
  return true;
}

static bool add(vsi_sqlite_topics *topics, const char *topic, size_t len) {
  if (topics->count && is_at(topics, topics->last, topic, len)) return true;
  if (topics->count * 2 >= topics->slots_count && !grow_slots(topics)) return false;
  uint32_t *slot = find(topics, topic, len);
  if (!slot) return false;
  if (!*slot) {
    if (topics->count == VSI_SQLITE_TOPICS_MAX || topics->bytes_count + len >= VSI_SQLITE_TOPICS_BYTES) return false;
    if (VSI_ARRAY_RESERVE(topics->host, topics->bytes, topics->bytes_count, topics->bytes_room, len + 1)) return false;
    memcpy(topics->bytes + topics->bytes_count, topic, len);
    topics->bytes[topics->bytes_count + len] = '\0';
    *slot = (uint32_t)topics->bytes_count + 1;
    topics->bytes_count += len + 1;
    topics->count++;
  }
  topics->last = *slot - 1;
  return true;
}

void vsi_sqlite_topics_add(vsi_sqlite_topics *topics, const char *topic, size_t len) {
  if (!topics->are_all && !add(topics, topic, len)) topics->are_all = true;
}

void vsi_sqlite_topics_clear(vsi_sqlite_topics *topics) {
  if (topics->bytes_room > KEPT_BYTES || topics->slots_count * sizeof *topics->slots > KEPT_BYTES)
    vsi_sqlite_topics_finish(topics);
  if (topics->count) memset(topics->slots, 0, topics->slots_count * sizeof *topics->slots);
  topics->bytes_count = topics->count = topics->last = 0;
  topics->are_all = false;
}

vestry_err vsi_sqlite_topics_refresh(const vsi_sqlite_topics *topics, vestry_pages *pages, uint64_t *ret_seq) {
  if (topics->are_all) return vestry_refresh(pages, NULL, ret_seq);
  for (size_t at = 0; at < topics->bytes_count; at += strlen(topics->bytes + at) + 1) {
    vestry_err error = vestry_refresh(pages, topics->bytes + at, ret_seq);
    if (error) return error;
  }
  return VESTRY_OK;
}
