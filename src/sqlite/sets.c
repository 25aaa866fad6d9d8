#include "sqlite/sets.h"

#include <stdio.h>

enum { FIRST_BUCKETS = 64, SWEEP_FROM = 64 };

typedef vsi_sqlite_set set;
typedef vsi_sqlite_place place;
typedef vsi_sqlite_page_entry page_entry;
typedef vsi_sqlite_plan plan;

/* --------------------------------------------------------------------------------------------------- places ------- */

static void insert(place *where, place **list, set *of) {
  where->of = of;
  where->at = list;
  where->next = *list;
  if (where->next) where->next->at = &where->next;
  *list = where;
}

static void take_out(place *where) {
  if (!where->at) return;
  *where->at = where->next;
  if (where->next) where->next->at = where->at;
  where->at = NULL;
}

static size_t bucket_of_page(const vsi_sqlite_sets *sets, uint32_t page) {
  return (page * UINT64_C(11400714819323198485)) >> 32 & (sets->pages_buckets_count - 1);
}

page_entry *vsi_sqlite_sets_find_page(const vsi_sqlite_sets *sets, uint32_t page) {
  page_entry *at = sets->pages_buckets_count ? sets->pages[bucket_of_page(sets, page)] : NULL;
  while (at && at->page != page) at = at->next;
  return at;
}

/* More buckets, if there is memory for them: without, it is slower. */
static void grow_pages(vsi_sqlite_sets *sets) {
  if (sets->pages_count < sets->pages_buckets_count) return;
  size_t former_count = sets->pages_buckets_count, count = former_count ? former_count * 2 : FIRST_BUCKETS;
  page_entry **buckets = vsi_calloc(sets->host, count, sizeof *buckets), **former = sets->pages;
  if (!buckets) return;
  sets->pages = buckets;
  sets->pages_buckets_count = count;
  for (size_t i = 0; i < former_count; i++) {
    for (page_entry *next, *at = former[i]; at; at = next) {
      next = at->next;
      page_entry **bucket = &buckets[bucket_of_page(sets, at->page)];
      at->next = *bucket;
      *bucket = at;
    }
  }
  vsi_free(sets->host, former);
}

static page_entry *make_page(vsi_sqlite_sets *sets, uint32_t page) {
  page_entry *entry = vsi_sqlite_sets_find_page(sets, page);
  if (entry) return entry;
  grow_pages(sets);
  entry = sets->pages_buckets_count ? vsi_calloc(sets->host, 1, sizeof *entry) : NULL;
  if (!entry) return NULL;
  page_entry **bucket = &sets->pages[bucket_of_page(sets, page)];
  entry->page = page;
  entry->next = *bucket;
  *bucket = entry;
  sets->pages_count++;
  sets->bytes += sizeof *entry;
  return entry;
}

static void free_page_if_unused(vsi_sqlite_sets *sets, uint32_t page) {
  if (!sets->pages_buckets_count) return; /* there was no memory for the first ones */
  page_entry **at = &sets->pages[bucket_of_page(sets, page)];
  while (*at && (*at)->page != page) at = &(*at)->next;
  page_entry *entry = *at;
  if (!entry || entry->first) return;
  *at = entry->next;
  vsi_free(sets->host, entry);
  sets->pages_count--;
  sets->bytes -= sizeof *entry;
}

static bool grow_tables(vsi_sqlite_sets *sets, uint32_t count) {
  if (count <= sets->tables_count) return true;
  count = count < 16 ? 16 : count * 2;
  place **grown = vsi_calloc(sets->host, count, sizeof(place *));
  if (!grown) return false;
  for (uint32_t i = 0; i < sets->tables_count; i++) {
    grown[i] = sets->tables[i];
    if (grown[i]) grown[i]->at = &grown[i];
  }
  vsi_free(sets->host, sets->tables);
  sets->tables = grown;
  sets->tables_count = count;
  return true;
}

/* ---------------------------------------------------------------------------------------------------- a set ------- */

static void leave_pages(vsi_sqlite_sets *sets, set *s) {
  for (uint32_t i = 0; i < s->pages_count; i++) {
    take_out(&s->places[i]);
    free_page_if_unused(sets, s->pages[i]);
  }
}

/* To be followed by tables. Room for the tables there is. */
static void make_coarse(vsi_sqlite_sets *sets, set *s) {
  s->is_exact = false;
  s->next_coarse = sets->coarse_sets;
  s->coarse_at = &sets->coarse_sets;
  if (s->next_coarse) s->next_coarse->coarse_at = &s->next_coarse;
  sets->coarse_sets = s;
  for (uint32_t i = 0; i < s->uses_count; i++) /* sorted: each table once */
    if (!i || s->uses[i].table != s->uses[i - 1].table) insert(&s->places[i], &sets->tables[s->uses[i].table], s);
}

static set **bucket_of(const vsi_sqlite_sets *sets, uint64_t hash) {
  return &sets->buckets[hash & (sets->buckets_count - 1)];
}

/* Renders to come share it no more. */
static void hide(vsi_sqlite_sets *sets, set *s) {
  if (!s->is_findable) return;
  set **at = bucket_of(sets, s->hash);
  while (*at != s) at = &(*at)->next_of_bucket;
  *at = s->next_of_bucket;
  s->is_findable = false;
}

void vsi_sqlite_set_make_void(vsi_sqlite_sets *sets, set *s) {
  hide(sets, s);
  leave_pages(sets, s);
  make_coarse(sets, s);
}

void vsi_sqlite_set_remove(vsi_sqlite_sets *sets, set *s) {
  hide(sets, s);
  if (s->is_exact) {
    leave_pages(sets, s);
  } else {
    *s->coarse_at = s->next_coarse;
    if (s->next_coarse) s->next_coarse->coarse_at = s->coarse_at;
    for (uint32_t i = 0; i < s->uses_count; i++) take_out(&s->places[i]);
  }
  *s->at = s->next;
  if (s->next) s->next->at = s->at;
  sets->sets_count--;
  sets->bytes -= s->bytes;
  vsi_free(sets->host, s);
}

void vsi_sqlite_set_topic(const vsi_sqlite_sets *sets, const set *s, char topic[VSI_SQLITE_SET_TOPIC_BYTES]) {
  snprintf(topic, VSI_SQLITE_SET_TOPIC_BYTES, "sqlite/%llx/%llx", (unsigned long long)(uintptr_t)sets,
           (unsigned long long)s->number);
}

bool vsi_sqlite_set_is_used(const vsi_sqlite_sets *sets, const set *s) {
  char topic[VSI_SQLITE_SET_TOPIC_BYTES];
  if (s->pins || s == sets->everything) return true;
  vsi_sqlite_set_topic(sets, s, topic);
  return vestry_topic_is_used(sets->topics, topic);
}

/* Sets that no page depends on any more, nor is about to: a set that was just entered is pinned until the render has
 * named its topic, and the topic is used from then on. As often as the work is paid by what was entered since. */
static void sweep(vsi_sqlite_sets *sets) {
  if (sets->entered_count < SWEEP_FROM + sets->sets_count / 2) return;
  sets->entered_count = 0;
  for (set *next, *s = sets->all_sets; s; s = next) {
    next = s->next;
    if (!vsi_sqlite_set_is_used(sets, s)) vsi_sqlite_set_remove(sets, s);
  }
}

static void grow_buckets(vsi_sqlite_sets *sets) {
  if (sets->sets_count < sets->buckets_count) return;
  size_t count = sets->buckets_count ? sets->buckets_count * 2 : FIRST_BUCKETS;
  set **buckets = vsi_calloc(sets->host, count, sizeof *buckets);
  if (!buckets) return;
  vsi_free(sets->host, sets->buckets);
  sets->buckets = buckets;
  sets->buckets_count = count;
  for (set *s = sets->all_sets; s; s = s->next) {
    if (!s->is_findable) continue;
    set **bucket = bucket_of(sets, s->hash);
    s->next_of_bucket = *bucket;
    *bucket = s;
  }
}

static uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
  return hash ^ hash >> 29;
}

static void hash_plan(plan *p) {
  uint64_t hash = (uint64_t)p->is_exact | (uint64_t)p->is_wild << 1 | (uint64_t)p->is_all << 2;
  for (uint32_t i = 0; i < p->uses_count; i++) {
    hash = mix(mix(hash, p->uses[i].table), p->uses[i].columns);
    hash = mix(mix(hash, (uint64_t)p->uses[i].column), (uint64_t)p->uses[i].key);
  }
  for (uint32_t i = 0; i < p->pages_count; i++) hash = mix(hash, p->pages[i]);
  p->hash = mix(hash, p->pages_count);
}

static bool is_plan_of(const plan *p, const set *s) {
  if (s->hash != p->hash || s->is_exact != p->is_exact || s->is_wild != p->is_wild || s->is_all != p->is_all ||
      s->uses_count != p->uses_count || s->pages_count != p->pages_count)
    return false;
  for (uint32_t i = 0; i < p->uses_count; i++)
    if (!vsi_sqlite_uses_are_equal(&s->uses[i], &p->uses[i])) return false;
  return !p->pages_count || memcmp(s->pages, p->pages, p->pages_count * sizeof *p->pages) == 0;
}

static set *find_set(const vsi_sqlite_sets *sets, const plan *p) {
  set *s = sets->buckets_count ? *bucket_of(sets, p->hash) : NULL;
  while (s && !is_plan_of(p, s)) s = s->next_of_bucket;
  return s;
}

/* NULL: no memory, or no room under the bound. */
static set *create_set(vsi_sqlite_sets *sets, const plan *p) {
  uint32_t places_count = p->pages_count > p->uses_count ? p->pages_count : p->uses_count;
  size_t bytes =
      sizeof(set) + p->uses_count * sizeof *p->uses + places_count * sizeof(place) + p->pages_count * sizeof *p->pages;
  uint32_t tables = p->uses_count ? p->uses[p->uses_count - 1].table + 1 : 0;
  grow_buckets(sets);
  if (sets->bytes + bytes + p->pages_count * sizeof(page_entry) > sets->max_bytes && !p->is_all) return NULL;
  if (!sets->buckets_count || !grow_tables(sets, tables)) return NULL;
  set *s = vsi_calloc(sets->host, 1, bytes);
  if (!s) return NULL;
  s->bytes = bytes;
  s->places = (place *)(s + 1);
  s->uses = (vsi_sqlite_use *)(s->places + places_count);
  s->pages = (uint32_t *)(s->uses + p->uses_count);
  s->is_wild = p->is_wild;
  s->is_all = p->is_all;
  s->hash = p->hash;
  s->uses_count = p->uses_count;
  s->pages_count = p->pages_count;
  if (p->uses_count) memcpy(s->uses, p->uses, p->uses_count * sizeof *p->uses);
  if (p->pages_count) memcpy(s->pages, p->pages, p->pages_count * sizeof *p->pages);
  s->is_exact = p->is_exact;
  for (uint32_t i = 0; i < p->pages_count; i++) {
    page_entry *entry = make_page(sets, p->pages[i]);
    if (entry) {
      insert(&s->places[i], &entry->first, s);
      continue;
    }
    leave_pages(sets, s);
    vsi_free(sets->host, s);
    return NULL;
  }
  if (!s->is_exact) make_coarse(sets, s);
  s->number = ++sets->numbers;
  s->next = sets->all_sets;
  s->at = &sets->all_sets;
  if (s->next) s->next->at = &s->next;
  sets->all_sets = s;
  sets->sets_count++;
  sets->bytes += bytes;
  s->is_findable = true;
  s->next_of_bucket = *bucket_of(sets, s->hash);
  *bucket_of(sets, s->hash) = s;
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
  while (sets->all_sets) vsi_sqlite_set_remove(sets, sets->all_sets);
  vsi_free(sets->host, sets->buckets);
  vsi_free(sets->host, sets->pages);
  vsi_free(sets->host, sets->tables);
}
