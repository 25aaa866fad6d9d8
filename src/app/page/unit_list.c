/* SPDX-License-Identifier: MIT */
/* Lists of units (unit.h). */
#include "app/page/unit_list.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/refs.h"

/* The units of a list, one after the other in the order of their start tags:
 *
 * | bytes | content |
 * |---|---|
 * | 1 | number of units that end before this one begins; bit 6: it begins a run; bit 7: other ids are in it |
 * | 6 | hash of the own bytes |
 * | 1 to 4 | number of its bytes, or of its bytes before the first unit inside of it, times 2; plus 1 if there is one |
 * | 1 to 4 | if there is one: number of the bytes after the last unit inside of it |
 * | 1 to 4 | if it begins a run, and is not the first in its parent: number of the bytes between it and the last one |
 * | 1 | bytes that the id has in common with the id of the unit before, at most 31; in the upper 3 bits, the number of
 *       the bytes that follow, or 7 |
 * | 0 or 1 | number of the bytes that follow, if it is more than 6 |
 * | 0 to 128 | these bytes |
 *
 * Numbers of bytes have 7 bits in each byte, the lowest first; bit 7: another one follows. Usually ids are alike
 * ("row-17", "row-18") and take few bytes. If a list would be too large, it has no numbers of bytes; then the next
 * content is read as if it were new. If it would still be too large, it has hashes of the ids, of 5 bytes. Such a unit
 * cannot be removed separately, because the client finds an element by its id. */
enum { OWN_BYTES = 6, NAME_BYTES = 5, ENDED_MASK = 0x3f, BEGINS_RUN = 0x40, HAS_OTHERS = 0x80 };
enum { SHARED_MOST = 31, LONG = 7, ENTRY_MOST = 1 + OWN_BYTES + 3 * 5 + 2 + VSI_UNIT_ID_MAX };

struct vsi_unit_list {
  uint64_t of, others;
  uint32_t count, bytes_count;
  uint32_t ids_bytes; /* of all ids */
  bool has_ids, has_lengths;
  vsi_refs references;
  unsigned char bytes[];
};

static unsigned char *put_number(unsigned char *to, uint64_t number, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) *to++ = (unsigned char)(number >> 8 * i);
  return to;
}

static inline uint64_t word_at(const unsigned char *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}
static inline const unsigned char *get_own(const unsigned char *at, uint64_t *ret_own) {
  *ret_own = word_at(at) | (uint64_t)(at[4] | at[5] << 8) << 32;
  return at + OWN_BYTES;
}
static inline const unsigned char *get_name(const unsigned char *at, uint64_t *ret_name) {
  *ret_name = word_at(at) | (uint64_t)at[4] << 32;
  return at + NAME_BYTES;
}

static unsigned char *put_length(unsigned char *to, uint32_t length) {
  for (; length > 0x7f; length >>= 7) *to++ = (unsigned char)(length | 0x80);
  *to++ = (unsigned char)length;
  return to;
}

static const unsigned char *get_length(const unsigned char *at, uint32_t *ret_length) {
  uint32_t length = 0;
  for (unsigned bits = 0;; bits += 7) {
    length |= (uint32_t)(*at & 0x7f) << bits;
    if (!(*at++ & 0x80)) break;
  }
  *ret_length = length;
  return at;
}

static size_t shared_len(vestry_slice one, vestry_slice other) {
  size_t len = 0;
  while (len < SHARED_MOST && len < one.len && len < other.len &&
         ((const char *)one.data)[len] == ((const char *)other.data)[len])
    len++;
  return len;
}

/* A list that is made. */
typedef struct making {
  const vsi_units *units;
  bool has_ids, has_lengths;
  uint32_t runs[VSI_UNIT_DEPTH_MAX + 2];
} making;

static unsigned char *put_lengths(const vsi_units *units, uint32_t i, bool begins_run, unsigned char *to) {
  const vsi_unit *unit = &units->all[i];
  const bool has_units = unit->after > i + 1;
  const uint32_t len = (has_units ? units->all[i + 1].begin : unit->end) - unit->begin;
  to = put_length(to, len << 1 | has_units);
  if (has_units) to = put_length(to, unit->tail);
  return begins_run && i != unit->parent + 1 ? put_length(to, unit->gap) : to;
}

static unsigned char *put_id(const vsi_units *units, uint32_t i, unsigned char *to) {
  const vestry_slice id = vsi_unit_id(units, i), last = i ? vsi_unit_id(units, i - 1) : (vestry_slice){"", 0};
  const size_t shared = shared_len(id, last), len = id.len - shared;
  *to++ = (unsigned char)(shared | (len < LONG ? len : LONG) << 5);
  if (len >= LONG) *to++ = (unsigned char)len;
  memcpy(to, (const char *)id.data + shared, len);
  return to + len;
}

/* Return whether the entry of a unit is the same as in the former list, in which the same unit was before it. */
static bool is_copied(const making *m, uint32_t i, unsigned head) {
  const vsi_units *units = m->units;
  const vsi_unit *unit = &units->all[i];
  if (!unit->is_same || !i || units->all[i - 1].was != unit->was - 1) return false;
  if (!m->has_lengths || !units->list->has_lengths) return false;
  const vsi_unit *had = &units->had[unit->was];
  return units->list->bytes[had->entry] == head && had->gap == unit->gap;
}

static unsigned char *put_unit(making *m, uint32_t i, unsigned char *to) {
  const vsi_units *units = m->units;
  const vsi_unit *unit = &units->all[i];
  const unsigned ended = i ? units->all[i - 1].depth + 1u - unit->depth : 0;
  const bool begins_run = i && unit->run != m->runs[unit->depth];
  const unsigned head = ended | (begins_run ? BEGINS_RUN : 0) | (unit->has_others ? HAS_OTHERS : 0);
  m->runs[unit->depth] = unit->run;
  m->runs[unit->depth + 1] = 0;
  if (is_copied(m, i, head)) {
    const uint32_t from = units->had[unit->was].entry;
    const size_t len =
        (unit->was + 1 < units->had_count ? units->had[unit->was + 1].entry : units->list->bytes_count) - from;
    memcpy(to, units->list->bytes + from, len);
    return to + len;
  }
  *to++ = (unsigned char)head;
  to = put_number(to, unit->own, OWN_BYTES);
  if (!m->has_ids) return put_number(to, vsi_unit_name(units->key, vsi_unit_id(units, i)), NAME_BYTES);
  if (m->has_lengths) to = put_lengths(units, i, begins_run, to);
  return put_id(units, i, to);
}

/* Write all units. Returns their end; NULL: there is no room for them. */
static unsigned char *put_all(making *m, unsigned char *to, size_t room) {
  unsigned char entry[ENTRY_MOST];
  m->runs[0] = m->runs[1] = 0;
  for (uint32_t i = 0; i < m->units->count; i++) {
    if (room >= ENTRY_MOST) {
      unsigned char *end = put_unit(m, i, to);
      room -= (size_t)(end - to);
      to = end;
      continue;
    }
    const size_t len = (size_t)(put_unit(m, i, entry) - entry);
    if (len > room) return NULL;
    memcpy(to, entry, len);
    room -= len;
    to += len;
  }
  return to;
}

vsi_unit_list *vsi_unit_list_make(const vsi_units *units, uint64_t of) {
  const size_t most = units->count * VSI_UNIT_BYTES + VSI_UNIT_LIST_BYTES - sizeof(vsi_unit_list);
  vsi_unit_list *list = vsi_alloc(units->host, sizeof *list + most), *shorter;
  if (!list) return NULL;
  making m = {.units = units, .has_ids = true, .has_lengths = true};
  unsigned char *end = put_all(&m, list->bytes, most);
  m.has_lengths = end != NULL;
  if (!end) end = put_all(&m, list->bytes, most);
  m.has_ids = end != NULL;
  if (!end) end = put_all(&m, list->bytes, most);
  VSI_ASSERT(end);
  list->of = of;
  list->others = units->others;
  list->count = (uint32_t)units->count;
  list->bytes_count = (uint32_t)(end - list->bytes);
  list->ids_bytes = 0;
  for (uint32_t i = 0; i < units->count && m.has_ids; i++) list->ids_bytes += units->all[i].id_len;
  list->has_ids = m.has_ids;
  list->has_lengths = m.has_lengths;
  VSI_REFS_INIT(&list->references, 1);
  shorter = vsi_realloc(units->host, list, sizeof *list + list->bytes_count);
  if (!shorter) vsi_free(units->host, list);
  return shorter;
}

vsi_unit_list *vsi_unit_list_ref(vsi_unit_list *list) {
  if (list) VSI_REFS_TAKE(&list->references);
  return list;
}

void vsi_unit_list_unref(vsi_unit_list *list, const vestry_host *host) {
  if (list && VSI_REFS_DROP(&list->references)) vsi_free(host, list);
}

uint64_t vsi_unit_list_of(const vsi_unit_list *list) {
  return list->of;
}

uint64_t vsi_unit_list_others(const vsi_unit_list *list) {
  return list->others;
}

size_t vsi_unit_list_bytes(const vsi_unit_list *list) {
  return sizeof *list + list->bytes_count;
}

/* Read the id of a unit, to `id`, or its hash. */
static const unsigned char *get_id(const vsi_unit_list *list, const unsigned char *at, const vsi_unit *last, char *id,
                                   vsi_unit *unit) {
  if (!list->has_ids) return get_name(at, &unit->name);
  const size_t shared = *at & SHARED_MOST;
  size_t len = *at++ >> 5;
  if (len == LONG) len = *at++;
  if (shared) memcpy(id, last->id, shared);
  memcpy(id + shared, at, len);
  unit->id = id;
  unit->id_len = (uint8_t)(shared + len);
  return at + len;
}

vestry_err vsi_unit_list_read(vsi_units *units) {
  const vsi_unit_list *list = units->list;
  const uint32_t count = list->count;
  units->had = vsi_alloc(units->host, count * sizeof *units->had);
  units->to_now = vsi_alloc(units->host, count * sizeof *units->to_now);
  char *id = units->had_ids = vsi_alloc(units->host, list->ids_bytes + 1u);
  units->room = count + count / 8 + 16;
  units->all = vsi_alloc(units->host, units->room * sizeof *units->all);
  if (!units->had || !units->to_now || !units->had_ids || !units->all) return VESTRY_NO_MEMORY;
  units->had_count = count;
  units->has_lengths = list->has_lengths;
  uint32_t open[VSI_UNIT_DEPTH_MAX + 2], runs[VSI_UNIT_DEPTH_MAX + 2] = {0};
  size_t depth = 0;
  const unsigned char *at = list->bytes;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t entry = (uint32_t)(at - list->bytes);
    const unsigned head = *at++, ended = head & ENDED_MASK;
    for (unsigned k = ended; k; k--) units->had[open[--depth]].after = i;
    if (head & BEGINS_RUN) runs[depth]++;
    vsi_unit *unit = &units->had[i];
    *unit = (vsi_unit){.parent = depth ? open[depth - 1] : 0,
                       .depth = (uint8_t)depth,
                       .run = runs[depth],
                       .entry = entry,
                       .has_others = (head & HAS_OTHERS) != 0};
    at = get_own(at, &unit->own);
    if (list->has_lengths) {
      at = get_length(at, &unit->len);
      if (unit->len & 1) at = get_length(at, &unit->tail);
      unit->len >>= 1;
      if (head & BEGINS_RUN && i != unit->parent + 1) at = get_length(at, &unit->gap);
    }
    at = get_id(list, at, i ? &units->had[i - 1] : NULL, id, unit);
    id += unit->id_len;
    units->to_now[i] = VSI_UNIT_NONE;
    open[depth++] = i;
    runs[depth] = 0;
  }
  while (depth) units->had[open[--depth]].after = count;
  return VESTRY_OK;
}
