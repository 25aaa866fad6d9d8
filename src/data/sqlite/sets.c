/* SPDX-License-Identifier: MIT */
#include "data/sqlite/sets.h"

#include <stdio.h>

#include "base/array.h"
#include "base/hash.h"

enum { SWEEP_FROM = 64 };

typedef vsi_sqlite_set set;
typedef vsi_sqlite_place place;
typedef vsi_sqlite_page_entry page_entry;
typedef vsi_sqlite_key_entry key_entry;
typedef vsi_sqlite_table_entry table_entry;
typedef vsi_sqlite_plan plan;

/* --------------------------------------------------------------------------------------------------- places ------- */

static void insert(place *where, vsi_sqlite_places *list, set *of) {
  where->of = of;
  LIST_INSERT_HEAD(list, where, in);
}

static void take_out(place *where) {
  if (!where->in.le_prev) return;
  LIST_REMOVE(where, in);
  where->in.le_prev = NULL;
}

page_entry *vsi_sqlite_sets_find_page(const vsi_sqlite_sets *sets, uint32_t page) {
  return (page_entry *)vsi_map_first(&sets->pages, vsi_hash_number(page));
}

static page_entry *make_page(vsi_sqlite_sets *sets, uint32_t page) {
  page_entry *entry = vsi_sqlite_sets_find_page(sets, page);
  if (entry) return entry;
  if (vsi_map_reserve(&sets->pages, sets->host, sets->pages.count + 1)) return NULL;
  entry = vsi_calloc(sets->host, 1, sizeof *entry);
  if (!entry) return NULL;
  vsi_map_add(&sets->pages, &entry->in, vsi_hash_number(page));
  sets->bytes += sizeof *entry;
  return entry;
}

static void free_page_if_unused(vsi_sqlite_sets *sets, uint32_t page) {
  page_entry *entry = vsi_sqlite_sets_find_page(sets, page);
  if (!entry || !LIST_EMPTY(&entry->places)) return;
  vsi_map_remove(&sets->pages, &entry->in);
  vsi_free(sets->host, entry);
  sets->bytes -= sizeof *entry;
}

/* Correct the back link after the head of a list has moved. */
#define MOVED(list, in)                                                                                                \
  do {                                                                                                                 \
    if (!LIST_EMPTY(list)) LIST_FIRST(list)->in.le_prev = &LIST_FIRST(list);                                           \
  } while (0)

static bool grow_tables(vsi_sqlite_sets *sets, uint32_t count) {
  const size_t had = sets->tables_count;
  if (count <= had) return true;
  if (VSI_ARRAY_RESERVE(sets->host, sets->tables, had, sets->tables_count, count - had)) return false;
  for (size_t i = 0; i < sets->tables_count; i++) {
    table_entry *table = &sets->tables[i];
    if (i >= had) *table = (table_entry){.keyed = 0};
    MOVED(&table->places, in);
    MOVED(&table->keys, in_table);
  }
  return true;
}

/* ----------------------------------------------------------------------------------------------------- keys ------- */

static uint64_t hash_key(const vsi_sqlite_key *key) {
  return vsi_hash_mix(vsi_hash_mix(vsi_hash_mix(0, key->table), (uint64_t)key->column), (uint64_t)key->key);
}

static key_entry *find_key(const vsi_sqlite_sets *sets, const vsi_sqlite_key *key) {
  vsi_map_link *at = vsi_map_first(&sets->keys, hash_key(key));
  for (; at; at = vsi_map_further(at)) {
    const vsi_sqlite_key *is = &((key_entry *)at)->key;
    if (is->key == key->key && is->table == key->table && is->column == key->column) break;
  }
  return (key_entry *)at;
}

/* Find or create the entry of a key. NULL: no memory. */
static key_entry *make_key(vsi_sqlite_sets *sets, const vsi_sqlite_key *key) {
  key_entry *entry = find_key(sets, key);
  if (entry) return entry;
  if (vsi_map_reserve(&sets->keys, sets->host, sets->keys.count + 1)) return NULL;
  entry = vsi_calloc(sets->host, 1, sizeof *entry);
  if (!entry) return NULL;
  table_entry *table = &sets->tables[key->table];
  entry->key = *key;
  vsi_map_add(&sets->keys, &entry->in, hash_key(key));
  LIST_INSERT_HEAD(&table->keys, entry, in_table);
  table->keyed |= vsi_sqlite_key_column(key->column);
  sets->bytes += sizeof *entry;
  return entry;
}

static void free_key_if_unused(vsi_sqlite_sets *sets, key_entry *entry) {
  if (!entry || !LIST_EMPTY(&entry->places) || sets->is_walking) return;
  table_entry *table = &sets->tables[entry->key.table];
  vsi_map_remove(&sets->keys, &entry->in);
  LIST_REMOVE(entry, in_table);
  if (LIST_EMPTY(&table->keys)) table->keyed = 0;
  vsi_free(sets->host, entry);
  sets->bytes -= sizeof *entry;
}

static vsi_sqlite_key key_of(const vsi_sqlite_use *use) {
  return (vsi_sqlite_key){use->key, use->table, use->column};
}

static void walk(const vsi_sqlite_places *places, vsi_sqlite_set_fn fn, void *ctx) {
  for (place *next, *at = LIST_FIRST(places); at; at = next) {
    next = LIST_NEXT(at, in); /* of another set; the list may be freed after its last set left */
    fn(at->of, ctx);
  }
}

static void walk_keys(vsi_sqlite_sets *sets, table_entry *table, vsi_sqlite_set_fn fn, void *ctx) {
  key_entry *next, *at;
  sets->is_walking = true;
  LIST_FOREACH(at, &table->keys, in_table) walk(&at->places, fn, ctx);
  sets->is_walking = false;
  for (at = LIST_FIRST(&table->keys); at; at = next) {
    next = LIST_NEXT(at, in_table);
    free_key_if_unused(sets, at);
  }
}

void vsi_sqlite_sets_find_changed(vsi_sqlite_sets *sets, const vsi_sqlite_use *changed, const vsi_sqlite_key *keys,
                                  size_t keys_count, vsi_sqlite_set_fn fn, void *ctx) {
  if (changed->table >= sets->tables_count) return;
  table_entry *table = &sets->tables[changed->table];
  walk(&table->places, fn, ctx);
  if (table->keyed & ~changed->known_columns) {
    walk_keys(sets, table, fn, ctx);
    return;
  }
  if (!table->keyed) return;
  for (size_t i = vsi_sqlite_keys_begin(keys, keys_count, changed->table);
       i < keys_count && keys[i].table == changed->table; i++) {
    key_entry *entry = find_key(sets, &keys[i]);
    if (entry) walk(&entry->places, fn, ctx);
  }
}

/* ---------------------------------------------------------------------------------------------------- a set ------- */

static void leave_pages(vsi_sqlite_sets *sets, set *s) {
  for (uint32_t i = 0; i < s->plan.pages_count; i++) {
    take_out(&s->places[i]);
    free_page_if_unused(sets, s->plan.pages[i]);
  }
}

static bool is_at_head(const vsi_sqlite_places *places, const set *s) {
  return !LIST_EMPTY(places) && LIST_FIRST(places)->of == s;
}

/* Let a set be followed by tables. There is room for the tables already. If there is no memory for a key, the set
 * counts as one that has read any row. */
static void make_coarse(vsi_sqlite_sets *sets, set *s) {
  vsi_sqlite_plan_without_pages(&s->plan);
  if (s->plan.is_wild || s->plan.is_all)
    LIST_INSERT_HEAD(&sets->wild_sets, s, in_coarse);
  else
    LIST_INSERT_HEAD(&sets->coarse_sets, s, in_coarse);
  for (uint32_t i = 0; i < s->plan.uses_count; i++) {
    const vsi_sqlite_use *use = &s->plan.uses[i];
    const vsi_sqlite_key key = key_of(use);
    key_entry *entry = use->column == VSI_SQLITE_ANY_ROW ? NULL : make_key(sets, &key);
    vsi_sqlite_places *places = entry ? &entry->places : &sets->tables[use->table].places;
    if (!is_at_head(places, s)) insert(&s->places[i], places, s); /* once in each list */
  }
}

static void leave_uses(vsi_sqlite_sets *sets, set *s) {
  for (uint32_t i = 0; i < s->plan.uses_count; i++) {
    const vsi_sqlite_key key = key_of(&s->plan.uses[i]);
    take_out(&s->places[i]);
    if (s->plan.uses[i].column != VSI_SQLITE_ANY_ROW) free_key_if_unused(sets, find_key(sets, &key));
  }
}

/* Prevent later renders from sharing a set. */
static void hide(vsi_sqlite_sets *sets, set *s) {
  if (!s->is_findable) return;
  vsi_map_remove(&sets->findable, &s->in);
  s->is_findable = false;
}

void vsi_sqlite_set_make_void(vsi_sqlite_sets *sets, set *s) {
  hide(sets, s);
  leave_pages(sets, s);
  make_coarse(sets, s);
}

void vsi_sqlite_set_remove(vsi_sqlite_sets *sets, set *s) {
  hide(sets, s);
  if (s->plan.is_exact) {
    leave_pages(sets, s);
  } else {
    LIST_REMOVE(s, in_coarse);
    leave_uses(sets, s);
  }
  LIST_REMOVE(s, in_all);
  sets->sets_count--;
  sets->bytes -= s->bytes;
  vsi_free(sets->host, s);
}

void vsi_sqlite_set_topic(const vsi_sqlite_sets *sets, const set *s, char topic[VSI_SQLITE_SET_TOPIC_BYTES]) {
  snprintf(topic, VSI_SQLITE_SET_TOPIC_BYTES, "sqlite/%llx/%llx", (unsigned long long)(uintptr_t)sets,
           (unsigned long long)s->number);
}

bool vsi_sqlite_set_is_used(const vsi_sqlite_sets *sets, const set *s, char topic[VSI_SQLITE_SET_TOPIC_BYTES],
                            size_t *ret_views) {
  bool is_used;
  vsi_sqlite_set_topic(sets, s, topic);
  *ret_views = vestry_topic_fragments(sets->topics, topic, &is_used);
  return is_used || s->pins || s == sets->everything;
}

/* Remove the sets on which no page depends, or is about to depend: a new set is pinned until its render has named its
 * topic, and from then on the topic is used. A sweep runs after a number of new sets that keeps its cost per set
 * constant. */
static void sweep(vsi_sqlite_sets *sets) {
  char topic[VSI_SQLITE_SET_TOPIC_BYTES];
  size_t views;
  if (sets->entered_count < SWEEP_FROM + sets->sets_count / 2) return;
  sets->entered_count = 0;
  for (set *next, *s = LIST_FIRST(&sets->all_sets); s; s = next) {
    next = LIST_NEXT(s, in_all);
    if (!vsi_sqlite_set_is_used(sets, s, topic, &views)) vsi_sqlite_set_remove(sets, s);
  }
}

static void hash_plan(plan *p) {
  uint64_t hash = (uint64_t)p->is_exact | (uint64_t)p->is_wild << 1 | (uint64_t)p->is_all << 2;
  for (uint32_t i = 0; i < p->uses_count; i++) {
    hash = vsi_hash_mix(vsi_hash_mix(hash, p->uses[i].table), p->uses[i].columns);
    hash = vsi_hash_mix(vsi_hash_mix(hash, (uint64_t)p->uses[i].column), (uint64_t)p->uses[i].key);
  }
  for (uint32_t i = 0; i < p->pages_count; i++) hash = vsi_hash_mix(hash, p->pages[i]);
  p->hash = vsi_hash_mix(hash, p->pages_count);
}

static bool are_equal(const plan *p, const plan *q) {
  if (q->is_exact != p->is_exact || q->is_wild != p->is_wild || q->is_all != p->is_all ||
      q->uses_count != p->uses_count || q->pages_count != p->pages_count)
    return false;
  for (uint32_t i = 0; i < p->uses_count; i++)
    if (!vsi_sqlite_uses_are_equal(&q->uses[i], &p->uses[i])) return false;
  return !p->pages_count || memcmp(q->pages, p->pages, p->pages_count * sizeof *p->pages) == 0;
}

static set *find_set(const vsi_sqlite_sets *sets, const plan *p) {
  vsi_map_link *at = vsi_map_first(&sets->findable, p->hash);
  while (at && !are_equal(p, &((set *)at)->plan)) at = vsi_map_further(at);
  return (set *)at;
}

/* Create a set. NULL: no memory, or no room below max_bytes. */
static set *create_set(vsi_sqlite_sets *sets, const plan *p) {
  uint32_t places_count = p->pages_count > p->uses_count ? p->pages_count : p->uses_count;
  size_t bytes =
      sizeof(set) + p->uses_count * sizeof *p->uses + places_count * sizeof(place) + p->pages_count * sizeof *p->pages;
  uint32_t tables = p->uses_count ? p->uses[p->uses_count - 1].table + 1 : 0;
  size_t beside = p->pages_count * sizeof(page_entry), later = p->uses_count * sizeof(key_entry);
  if (sets->bytes + bytes + (beside > later ? beside : later) > sets->max_bytes && !p->is_all) return NULL;
  if (vsi_map_reserve(&sets->findable, sets->host, sets->sets_count + 1) || !grow_tables(sets, tables)) return NULL;
  set *s = vsi_calloc(sets->host, 1, bytes);
  if (!s) return NULL;
  s->bytes = bytes;
  s->places = (place *)(s + 1);
  vsi_sqlite_use *uses = (vsi_sqlite_use *)(s->places + places_count);
  uint32_t *pages = (uint32_t *)(uses + p->uses_count);
  s->plan = *p;
  s->plan.uses = uses;
  s->plan.pages = pages;
  if (p->uses_count) memcpy(uses, p->uses, p->uses_count * sizeof *uses);
  if (p->pages_count) memcpy(pages, p->pages, p->pages_count * sizeof *pages);
  for (uint32_t i = 0; i < p->pages_count; i++) {
    page_entry *entry = make_page(sets, p->pages[i]);
    if (entry) {
      insert(&s->places[i], &entry->places, s);
      continue;
    }
    leave_pages(sets, s);
    vsi_free(sets->host, s);
    return NULL;
  }
  if (!p->is_exact) make_coarse(sets, s);
  s->number = ++sets->numbers;
  LIST_INSERT_HEAD(&sets->all_sets, s, in_all);
  sets->sets_count++;
  sets->bytes += bytes;
  s->is_findable = true;
  vsi_map_add(&sets->findable, &s->in, p->hash);
  return s;
}

set *vsi_sqlite_sets_place(vsi_sqlite_sets *sets, plan *p) {
  set *s;
  for (int i = 0; i < 2; i++) {
    hash_plan(p);
    s = find_set(sets, p);
    if (!s) {
      sets->entered_count++;
      sweep(sets);
      s = create_set(sets, p);
    }
    if (s || !p->is_exact) break;
    vsi_sqlite_plan_without_pages(p);
  }
  return s ? s : sets->everything;
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_sqlite_sets_init(vsi_sqlite_sets *sets, vestry_pages *topics, const vestry_host *host,
                                size_t max_bytes) {
  plan all = {.is_all = true};
  sets->topics = topics;
  sets->host = host;
  sets->max_bytes = max_bytes;
  hash_plan(&all);
  sets->everything = create_set(sets, &all);
  return sets->everything ? VESTRY_OK : VESTRY_NO_MEMORY;
}

void vsi_sqlite_sets_finish(vsi_sqlite_sets *sets) {
  while (!LIST_EMPTY(&sets->all_sets)) vsi_sqlite_set_remove(sets, LIST_FIRST(&sets->all_sets));
  vsi_map_finish(&sets->findable, sets->host);
  vsi_map_finish(&sets->pages, sets->host);
  vsi_map_finish(&sets->keys, sets->host);
  vsi_free(sets->host, sets->tables);
}
