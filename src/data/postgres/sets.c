/* SPDX-License-Identifier: MIT */
/* Sets of reads: places of keys in a map, groups of sets that have definitions and tables in common, and walks. */
#include "data/postgres/sets.h"

#include <string.h>

typedef vsi_postgres_key key;
typedef vsi_postgres_keys keys;
typedef vsi_postgres_place place;
typedef vsi_postgres_set set;
typedef vsi_postgres_group group;
typedef vsi_postgres_sets all_sets;

/* The sets with the same keys of whole relations. It has at least one. */
struct vsi_postgres_group {
  vsi_map_link in; /* first; its hash is that of its keys in their order */
  LIST_ENTRY(vsi_postgres_group) in_all;
  LIST_HEAD(, vsi_postgres_set) sets;
  size_t places_count;
  place places[];
};

struct vsi_postgres_later {
  place place;
  struct vsi_postgres_later *next;
};

/* ------------------------------------------------------------------------------------------------------ keys ------ */

static uint64_t hash_place(const void *ctx, const vsi_stepped_link *of) {
  (void)ctx;
  return vsi_postgres_key_hash(((const place *)of)->key);
}

/* Return the first place with a key, and the next one after each. NULL: there are no more. */
static place *find(const all_sets *sets, key of) {
  VSI_ASSERT(of.kind < VSI_POSTGRES_WRITTEN);
  if (!vsi_postgres_sets_may_have(sets, of)) return NULL;
  vsi_stepped_link *at = vsi_stepped_map_keys(&sets->places, vsi_postgres_key_hash(of));
  while (at && !vsi_postgres_keys_are_equal(((place *)at)->key, of)) at = at->next;
  return (place *)at;
}
static place *further(const place *where) {
  return (place *)vsi_stepped_further(&where->in);
}

static bool has_ended(const place *of) {
  return vsi_postgres_is_part(of->key.kind) && !of->of.set->group;
}

/* Add a place of a key. OK | NO_MEMORY */
static vestry_err add_to_key(all_sets *sets, place *where, key of) {
  place *first = find(sets, of);
  where->key = of;
  if (!first && vsi_stepped_map_reserve(&sets->places, sets->host, hash_place, NULL)) return VESTRY_NO_MEMORY;
  if (first)
    vsi_stepped_map_add_behind(&sets->places, &where->in, &first->in);
  else
    vsi_stepped_map_add(&sets->places, &where->in, vsi_postgres_key_hash(of));
  sets->used[vsi_postgres_sets_used_at(of)]++;
  return VESTRY_OK;
}

static void leave(all_sets *sets, place *where) {
  if (sets->walk.place == where) sets->walk.place = further(where);
  sets->used[vsi_postgres_sets_used_at(where->key)]--;
  vsi_stepped_map_remove(&sets->places, &where->in, hash_place, NULL);
}

/* ------------------------------------------------------------------------------------------------------ sets ------ */

static size_t group_bytes(size_t places_count) {
  return sizeof(group) + places_count * sizeof(place);
}

static size_t set_bytes(size_t places_count, size_t running_count) {
  return sizeof(set) + places_count * sizeof(place) + running_count * sizeof(uint64_t);
}

static void go_on(vsi_postgres_walk *is, group *at) {
  is->group = at;
  is->next = at ? LIST_FIRST(&at->sets) : NULL;
}

static void remove_group(all_sets *sets, group *g) {
  vsi_postgres_walk *const walks[] = {&sets->sweep, &sets->walk};
  for (size_t i = 0; i < 2; i++)
    if (walks[i]->group == g) go_on(walks[i], walks[i]->is_all ? LIST_NEXT(g, in_all) : NULL);
  for (size_t i = 0; i < g->places_count; i++) leave(sets, &g->places[i]);
  sets->bytes -= group_bytes(g->places_count);
  vsi_map_remove(&sets->groups, &g->in);
  LIST_REMOVE(g, in_all);
  vsi_free(sets->host, g);
}

/* Free a set that is in no group's list. */
static void free_set(all_sets *sets, set *s) {
  for (uint32_t i = 0; i < s->places_count; i++) leave(sets, &s->places[i]);
  for (vsi_postgres_later *next, *at = s->later; at; at = next) {
    next = at->next;
    leave(sets, &at->place);
    vsi_free(sets->host, at);
    sets->bytes -= sizeof *at;
  }
  sets->bytes -= set_bytes(s->places_count, s->running_count);
  vsi_free(sets->host, s);
}

static void leave_group(all_sets *sets, set *s) {
  group *g = s->group;
  vsi_postgres_walk *const walks[] = {&sets->sweep, &sets->walk};
  for (size_t i = 0; i < 2; i++)
    if (walks[i]->next == s) walks[i]->next = LIST_NEXT(s, in);
  LIST_REMOVE(s, in);
  sets->count--;
  if (LIST_EMPTY(&g->sets)) remove_group(sets, g);
}

void vsi_postgres_sets_remove(all_sets *sets, set *s) {
  leave_group(sets, s);
  free_set(sets, s);
}

void vsi_postgres_sets_end(all_sets *sets, set *s) {
  leave_group(sets, s);
  s->group = NULL;
  LIST_INSERT_HEAD(&sets->ended, s, in);
  sets->ended_count++;
}

void vsi_postgres_sets_free_ended(all_sets *sets, size_t count) {
  for (set *s; count && (s = LIST_FIRST(&sets->ended)); count--) {
    LIST_REMOVE(s, in);
    sets->ended_count--;
    free_set(sets, s);
  }
}

void vsi_postgres_sets_finish(all_sets *sets) {
  vsi_postgres_sets_free_ended(sets, sets->ended_count);
  while (!LIST_EMPTY(&sets->all)) vsi_postgres_sets_remove(sets, LIST_FIRST(&LIST_FIRST(&sets->all)->sets));
  vsi_stepped_map_finish(&sets->places, sets->host);
  vsi_map_finish(&sets->groups, sets->host);
}

/* Return the number of keys that name a part of a relation. */
static size_t count_parts(const keys *of) {
  size_t count = 0;
  for (size_t i = 0; i < of->count; i++) count += vsi_postgres_is_part(of->keys[i].kind);
  return count;
}

static bool has_keys(const group *g, const keys *of) {
  size_t at = 0;
  for (size_t i = 0; i < of->count; i++)
    if (!vsi_postgres_is_part(of->keys[i].kind) &&
        (at == g->places_count || !vsi_postgres_keys_are_equal(g->places[at++].key, of->keys[i])))
      return false;
  return at == g->places_count;
}

static group *create_group(all_sets *sets, const keys *of, size_t count, uint64_t hash) {
  if (vsi_map_reserve(&sets->groups, sets->host, sets->groups.count + 1)) return NULL;
  group *g = vsi_calloc(sets->host, 1, group_bytes(count));
  if (!g) return NULL;
  vsi_map_add(&sets->groups, &g->in, hash);
  LIST_INSERT_HEAD(&sets->all, g, in_all);
  sets->bytes += group_bytes(0);
  for (size_t i = 0; i < of->count; i++) {
    if (vsi_postgres_is_part(of->keys[i].kind)) continue;
    place *where = &g->places[g->places_count];
    where->of.group = g;
    if (add_to_key(sets, where, of->keys[i])) {
      remove_group(sets, g);
      return NULL;
    }
    sets->bytes += sizeof *where;
    g->places_count++;
  }
  return g;
}

/* Find or create the group of a set with these keys. NULL: no memory. */
static group *make_group(all_sets *sets, const keys *of, size_t count) {
  uint64_t hash = 0;
  for (size_t i = 0; i < of->count; i++)
    if (!vsi_postgres_is_part(of->keys[i].kind)) hash = vsi_hash_mix(hash, vsi_postgres_key_hash(of->keys[i]));
  vsi_map_link *at = vsi_map_first(&sets->groups, hash);
  while (at && !has_keys((group *)at, of)) at = vsi_map_further(at);
  return at ? (group *)at : create_group(sets, of, count, hash);
}

size_t vsi_postgres_sets_wanted(const keys *of, const vsi_postgres_snapshot *snapshot) {
  return set_bytes(count_parts(of), snapshot->count);
}

vestry_err vsi_postgres_sets_add(all_sets *sets, uint64_t number, const keys *of,
                                 const vsi_postgres_snapshot *snapshot) {
  const size_t parts = count_parts(of), bytes = set_bytes(parts, snapshot->count);
  group *g = make_group(sets, of, of->count - parts);
  if (!g) return VESTRY_NO_MEMORY;
  set *s = vsi_calloc(sets->host, 1, bytes);
  bool is_made = s != NULL;
  for (size_t i = 0; i < of->count && is_made; i++) {
    if (!vsi_postgres_is_part(of->keys[i].kind)) continue;
    s->places[s->places_count].of.set = s;
    is_made = !add_to_key(sets, &s->places[s->places_count], of->keys[i]);
    s->places_count += is_made;
  }
  if (!is_made) {
    if (s) sets->bytes += set_bytes(s->places_count, 0); /* as if it had been counted */
    if (s) free_set(sets, s);
    if (LIST_EMPTY(&g->sets)) remove_group(sets, g);
    return VESTRY_NO_MEMORY;
  }
  s->group = g;
  s->number = number;
  s->from = snapshot->from;
  s->to = snapshot->to;
  s->running_count = (uint32_t)snapshot->count;
  if (snapshot->count)
    memcpy(vsi_postgres_set_snapshot(s).running, snapshot->running, snapshot->count * sizeof *snapshot->running);
  LIST_INSERT_HEAD(&g->sets, s, in);
  sets->count++;
  sets->bytes += bytes;
  return VESTRY_OK;
}

bool vsi_postgres_sets_have(all_sets *sets, key of) {
  const place *at = find(sets, of);
  while (at && has_ended(at)) at = further(at);
  return at != NULL;
}

static bool has_key(const set *s, key of) {
  for (uint32_t i = 0; i < s->places_count; i++)
    if (vsi_postgres_keys_are_equal(s->places[i].key, of)) return true;
  for (const vsi_postgres_later *at = s->later; at; at = at->next)
    if (vsi_postgres_keys_are_equal(at->place.key, of)) return true;
  return false;
}

vestry_err vsi_postgres_sets_move(all_sets *sets, key from, key to) {
  for (const place *where = find(sets, from); where; where = further(where)) {
    set *s = where->of.set;
    if (has_ended(where) || has_key(s, to)) continue;
    vsi_postgres_later *more = vsi_calloc(sets->host, 1, sizeof *more);
    if (!more) return VESTRY_NO_MEMORY;
    more->place.of.set = s;
    if (add_to_key(sets, &more->place, to)) {
      vsi_free(sets->host, more);
      return VESTRY_NO_MEMORY;
    }
    more->next = s->later;
    s->later = more;
    sets->bytes += sizeof *more;
  }
  return VESTRY_OK;
}

/* ----------------------------------------------------------------------------------------------------- walks ------ */

void vsi_postgres_sets_walk(all_sets *sets) {
  sets->walk = (vsi_postgres_walk){.is_all = true};
  go_on(&sets->walk, LIST_FIRST(&sets->all));
}

void vsi_postgres_sets_walk_key(all_sets *sets, key of) {
  sets->walk = (vsi_postgres_walk){.place = find(sets, of), .is_part = vsi_postgres_is_part(of.kind)};
}

static set *take_next(vsi_postgres_walk *is) {
  set *s = is->next;
  if (s) is->next = LIST_NEXT(s, in);
  return s;
}

set *vsi_postgres_sets_next(all_sets *sets) {
  vsi_postgres_walk *is = &sets->walk;
  while (is->is_all && is->group && !is->next) go_on(is, LIST_NEXT(is->group, in_all));
  while (!is->is_all && !is->next && is->place) {
    const place *where = is->place;
    is->place = further(where);
    if (has_ended(where)) continue;
    if (is->is_part) return where->of.set;
    go_on(is, where->of.group);
  }
  return take_next(is);
}

set *vsi_postgres_sets_sweep(all_sets *sets) {
  vsi_postgres_walk *is = &sets->sweep;
  is->is_all = true;
  while (is->group && !is->next) go_on(is, LIST_NEXT(is->group, in_all));
  set *s = take_next(is);
  if (!s) go_on(is, LIST_FIRST(&sets->all));
  return s;
}
