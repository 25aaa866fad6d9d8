/* SPDX-License-Identifier: MIT */
/* Lists of units (unit.h). */
#include "app/page/unit_list.h"

#include <string.h>

#include "base/memory.h"
#include "base/refs.h"

/* A unit of a list: its members in vsi_unit, whether it begins a run, and how many bytes its id has in common with that
 * of the unit before: ids are usually alike ("row-17", "row-18"). */
enum { SHARED_MOST = 15 };
typedef struct entry {
  uint64_t own : VSI_UNIT_HASH_BITS;
  uint64_t len : 16;
  uint64_t begins_run : 1;
  uint64_t outer : VSI_UNIT_HASH_BITS;
  uint64_t depth : 6;
  uint64_t id_len : 8;
  uint64_t shared : 4;
} entry;
_Static_assert(sizeof(entry) == VSI_UNIT_BYTES, "without padding");

struct vsi_unit_list {
  uint64_t of, others;
  size_t bytes_count;        /* of the list */
  uint32_t count, ids_bytes; /* of all ids */
  vsi_refs references;
  entry entries[]; /* in the order of the start tags; after them, the other bytes of their ids */
};

static size_t shared_len(const vsi_unit *one, const vsi_unit *other) {
  const size_t most = one->id_len < other->id_len ? one->id_len : other->id_len;
  size_t len = 0;
  while (len < SHARED_MOST && len < most && one->id[len] == other->id[len]) len++;
  return len;
}

vsi_unit_list *vsi_unit_list_make(const vsi_units *units, uint64_t of) {
  const uint32_t count = (uint32_t)units->count;
  uint32_t ids_bytes = 0, runs[VSI_UNIT_DEPTH_MAX + 2] = {0};
  for (uint32_t i = 0; i < count; i++) ids_bytes += units->all[i].id_len;
  vsi_unit_list *list = vsi_alloc(units->host, sizeof *list + count * sizeof *list->entries + ids_bytes), *shorter;
  if (!list) return NULL;
  list->of = of;
  list->others = units->others;
  list->count = count;
  list->ids_bytes = ids_bytes;
  VSI_REFS_INIT(&list->references, 1);
  char *id = (char *)(list->entries + count);
  for (uint32_t i = 0; i < count; i++) {
    const vsi_unit *unit = &units->all[i];
    const size_t shared = i ? shared_len(unit, unit - 1) : 0;
    list->entries[i] = (entry){.own = unit->own & VSI_UNIT_HASH_MOST,
                               .len = unit->len,
                               .outer = unit->outer & VSI_UNIT_HASH_MOST,
                               .depth = unit->depth & 0x3f,
                               .begins_run = unit->run != runs[unit->depth],
                               .id_len = unit->id_len,
                               .shared = shared & SHARED_MOST};
    runs[unit->depth] = unit->run;
    runs[unit->depth + 1] = 0;
    memcpy(id, unit->id + shared, unit->id_len - shared);
    id += unit->id_len - shared;
  }
  list->bytes_count = (size_t)(id - (char *)list);
  shorter = vsi_realloc(units->host, list, list->bytes_count);
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
  return list->bytes_count;
}

vestry_err vsi_unit_list_read(vsi_units *units) {
  const vsi_unit_list *list = units->list;
  const uint32_t count = list->count;
  units->had = vsi_alloc(units->host, count * sizeof *units->had);
  units->to_now = vsi_alloc(units->host, count * sizeof *units->to_now);
  units->room = count + count / 8 + 16;
  units->all = vsi_alloc(units->host, units->room * sizeof *units->all);
  char *id = units->had_ids = vsi_alloc(units->host, list->ids_bytes);
  if (!units->had || !units->to_now || !units->all || !units->had_ids) return VESTRY_NO_MEMORY;
  units->had_count = count;
  uint32_t open[VSI_UNIT_DEPTH_MAX + 1], runs[VSI_UNIT_DEPTH_MAX + 2] = {0};
  size_t depth = 0;
  const char *at = (const char *)(list->entries + count);
  for (uint32_t i = 0; i < count; i++) {
    const entry *of = &list->entries[i];
    while (depth > of->depth) units->had[open[--depth]].after = i;
    runs[depth] += of->begins_run;
    units->had[i] = (vsi_unit){.parent = depth ? open[depth - 1] : 0,
                               .run = runs[depth],
                               .len = of->len,
                               .depth = of->depth,
                               .id_len = of->id_len,
                               .id = id,
                               .own = of->own,
                               .outer = of->outer};
    if (of->shared) memcpy(id, units->had[i - 1].id, of->shared);
    memcpy(id + of->shared, at, of->id_len - of->shared);
    at += of->id_len - of->shared;
    id += of->id_len;
    units->to_now[i] = VSI_UNIT_NONE;
    open[depth++] = i;
    runs[depth] = 0;
  }
  while (depth) units->had[open[--depth]].after = count;
  return VESTRY_OK;
}
