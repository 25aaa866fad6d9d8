/* SPDX-License-Identifier: MIT */
#include "data/sqlite/sets.h"

#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/hex.h"

enum {
  SWEPT_AT_ONCE = 3,    /* sets, for each new one, so about half as many sets are unused as are used */
  SWEPT_FOR_ROOM = 8,   /* the same if there is no room */
  WIDE_BYTES = 64 << 10 /* beyond max_bytes, for sets of wide plans */
};

typedef vsi_stepped_link member;
typedef vsi_sqlite_links list;
typedef vsi_sqlite_place place;
typedef vsi_sqlite_page page;
typedef vsi_sqlite_plan plan;
typedef vsi_sqlite_set set;
typedef vsi_sqlite_sets sets;

/* --------------------------------------------------------------------------------------------------- tables ------- */

static void insert(list *into, vsi_sqlite_link *at) {
  LIST_INSERT_HEAD(into, at, in);
}

static void take_out(vsi_sqlite_link *at) {
  if (!at->in.le_prev) return;
  LIST_REMOVE(at, in);
  at->in.le_prev = NULL;
}

/* Hash a key. Users may choose the values by which rows are looked up. */
static uint64_t hash_key(const sets *s, const vsi_sqlite_use *key) {
  const uint64_t of = (uint64_t)key->table << 32 | (uint32_t)(int32_t)key->column;
  return vsi_siphash_1_3_words(s->secret, (uint64_t)key->key, of, 0, 16);
}

/* Hash the number of a file page, which users do not choose. */
static uint64_t hash_page(uint32_t number) {
  return vsi_hash_mix(0, number);
}

static uint64_t hash_set_in(const void *ctx, const member *of) {
  (void)ctx;
  return ((const set *)of)->hash;
}
static uint64_t hash_read_in(const void *ctx, const member *of) {
  return hash_key(ctx, &((const vsi_sqlite_read *)of)->is);
}
static uint64_t hash_page_in(const void *ctx, const member *of) {
  (void)ctx;
  return hash_page(((const page *)of)->number);
}

static bool reserve_key(sets *s) {
  return !vsi_stepped_map_reserve(&s->by_key, s->host, hash_read_in, s);
}

/* Add a read by a key. There is room for it. */
static void add_read(sets *s, vsi_sqlite_read *at) {
  member *first = vsi_sqlite_sets_of_key(s, &at->is);
  if (first)
    vsi_stepped_map_add_behind(&s->by_key, &at->at.in_keys, first);
  else
    vsi_stepped_map_add(&s->by_key, &at->at.in_keys, hash_key(s, &at->is));
}

static void drop_read(sets *s, vsi_sqlite_read *at) {
  vsi_stepped_map_remove(&s->by_key, &at->at.in_keys, hash_read_in, s);
}

/* ----------------------------------------------------------------------------------------------- file pages ------- */

page *vsi_sqlite_sets_page(const sets *s, uint32_t number) {
  member *at = vsi_stepped_map_keys(&s->by_page, hash_page(number));
  while (at && ((page *)at)->number != number) at = at->next;
  return (page *)at;
}

/* Find or create a file page, with another reference. NULL: no memory. */
static page *hold_page(sets *s, uint32_t number) {
  page *found = vsi_sqlite_sets_page(s, number);
  if (!found) {
    if (vsi_stepped_map_reserve(&s->by_page, s->host, hash_page_in, NULL)) return NULL;
    if (!(found = vsi_calloc(s->host, 1, sizeof *found))) return NULL;
    found->number = number;
    vsi_stepped_map_add(&s->by_page, &found->in, hash_page(number));
    s->bytes += sizeof *found + sizeof(list);
  }
  found->refs++;
  return found;
}

void vsi_sqlite_page_release(sets *s, page *held) {
  if (--held->refs) return;
  vsi_stepped_map_remove(&s->by_page, &held->in, hash_page_in, NULL);
  s->bytes -= sizeof *held + sizeof(list);
  vsi_free(s->host, held);
}

/* ----------------------------------------------------------------------------------------------------- sets ------- */

void vsi_sqlite_plan_drop_pages(plan *p) {
  p->is_exact = false;
  p->pages_count = 0;
}

/* Make a plan wide. */
static void drop_keys(plan *p) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < p->uses_count; i++) { /* they are sorted */
    const vsi_sqlite_use use = p->uses[i];
    if (count && p->uses[count - 1].table == use.table)
      p->uses[count - 1].columns |= use.columns;
    else
      p->uses[count++] = (vsi_sqlite_use){.columns = use.columns, .table = use.table, .column = VSI_SQLITE_ANY_ROW};
  }
  p->uses_count = count;
  p->is_wide = true;
}

static bool is_keyed(const vsi_sqlite_use *use) {
  return use->column != VSI_SQLITE_ANY_ROW;
}

/* Return whether a set must be found by its file pages, because some of its reads cannot be found by a key. */
static bool is_ranged(const plan *p) {
  if (!p->is_exact) return false;
  for (uint32_t i = 0; i < p->uses_count; i++)
    if (!is_keyed(&p->uses[i])) return true;
  return p->is_untracked || !p->uses_count;
}

static page **pages_of(const set *s) {
  return (page **)&s->reads[s->uses_count];
}

static place *places_of(const set *s) {
  return (place *)(pages_of(s) + s->pages_count);
}

/* Return the place in the list of untracked sets; NULL: none. */
static place *untracked_place(const set *s) {
  return s->is_untracked || s->is_all ? places_of(s) + (s->is_ranged ? s->pages_count : 0) : NULL;
}

static size_t bytes_of(const plan *p) {
  const size_t places = (is_ranged(p) ? p->pages_count : 0) + (p->is_untracked || p->is_all);
  return sizeof(set) + p->uses_count * sizeof(vsi_sqlite_read) + p->pages_count * sizeof(page *) +
         places * sizeof(place);
}

/* The memory of a set that counts, with its share of the tables. */
static size_t counted_bytes(size_t bytes, uint32_t uses_count) {
  return bytes + (1 + uses_count) * sizeof(list);
}

static size_t counted_bytes_of(const set *s) {
  const plan p = {
      .uses_count = s->uses_count, .pages_count = s->pages_count, .is_untracked = s->is_untracked, .is_all = s->is_all};
  return counted_bytes(bytes_of(&p) + (s->is_ranged ? s->pages_count * sizeof(place) : 0), s->uses_count);
}

/* Correct the back link after the head of a list has moved. */
static void correct(list *moved) {
  if (!LIST_EMPTY(moved)) LIST_FIRST(moved)->in.le_prev = &LIST_FIRST(moved);
}

static bool grow_tables(sets *s, uint32_t count) {
  const size_t had = s->tables_count;
  if (count <= had) return true;
  if (VSI_ARRAY_RESERVE(s->host, s->tables, had, s->tables_count, count - had)) return false;
  for (size_t i = 0; i < s->tables_count; i++) {
    if (i >= had) s->tables[i] = (vsi_sqlite_table_reads){.keyed = 0};
    correct(&s->tables[i].any);
  }
  return true;
}

/* Let a set be found by its keys and tables. There is room for them. */
static void link_reads(sets *s, set *of) {
  for (uint32_t i = 0; i < of->uses_count; i++) {
    vsi_sqlite_read *at = &of->reads[i];
    vsi_sqlite_table_reads *table = &s->tables[at->is.table];
    if (is_keyed(&at->is)) {
      add_read(s, at);
      table->keyed |= vsi_sqlite_key_column(at->is.column);
      table->keyed_count++;
    } else {
      insert(&table->any, &at->at.in);
    }
  }
  if (!of->is_exact && untracked_place(of)) insert(&s->untracked, &untracked_place(of)->in);
  if (!of->is_exact && !of->pages_count && of != s->everything) s->coarse_count++;
}

static void unlink_reads(sets *s, set *of) {
  for (uint32_t i = 0; i < of->uses_count; i++) {
    vsi_sqlite_read *at = &of->reads[i];
    vsi_sqlite_table_reads *table = &s->tables[at->is.table];
    if (is_keyed(&at->is)) {
      drop_read(s, at);
      if (!--table->keyed_count) table->keyed = 0;
    } else {
      take_out(&at->at.in);
    }
  }
  if (!of->is_exact && untracked_place(of)) take_out(&untracked_place(of)->in);
  if (!of->is_exact && !of->pages_count && of != s->everything) s->coarse_count--;
}

static bool is_found_by_pages(const set *s) {
  return s->is_ranged && s->is_exact;
}

static void unlink_pages(sets *s, set *of) {
  for (uint32_t i = 0; i < of->pages_count; i++) take_out(&places_of(of)[i].in);
  s->ranged_count--;
}

/* Prevent later renders from sharing a set. It remains in the table of all sets, with another hash, so that the list of
 * its plan stays short. While all sets are walked it keeps its list, because the walk may have passed the other one. */
static void hide(sets *s, set *hidden) {
  if (hidden->is_hidden) return;
  hidden->is_hidden = true;
  if (s->is_walked) return;
  vsi_stepped_map_remove(&s->by_plan, &hidden->in, hash_set_in, NULL);
  hidden->hash = vsi_hash_mix(hidden->hash, hidden->number);
  vsi_stepped_map_add(&s->by_plan, &hidden->in, hidden->hash);
}

void vsi_sqlite_sets_invalidate(sets *s, set *invalid) {
  hide(s, invalid);
  unlink_pages(s, invalid);
  invalid->is_exact = false;
  for (uint32_t i = 0; i < invalid->uses_count; i++) (void)reserve_key(s);
  link_reads(s, invalid);
}

/* Free a set that is in no list, with its file pages. */
static void free_set(sets *s, set *unused, uint32_t pages_count) {
  for (uint32_t i = 0; i < pages_count; i++) vsi_sqlite_page_release(s, pages_of(unused)[i]);
  vsi_free(s->host, unused);
}

void vsi_sqlite_sets_remove(sets *s, set *removed) {
  vsi_stepped_map_remove(&s->by_plan, &removed->in, hash_set_in, NULL);
  if (is_found_by_pages(removed))
    unlink_pages(s, removed);
  else
    unlink_reads(s, removed);
  s->bytes -= counted_bytes_of(removed);
  free_set(s, removed, removed->pages_count);
}

size_t vsi_sqlite_set_topic(const sets *s, const set *of, char topic[VSI_SQLITE_TOPIC_BYTES]) {
  static const char prefix[] = "sqlite/";
  size_t len = sizeof prefix - 1;
  memcpy(topic, prefix, len);
  len += vsi_hex_number(topic + len, (uintptr_t)s);
  topic[len++] = '/';
  return len + vsi_hex_number(topic + len, of->number);
}

/* Return whether a page depends on a set, or is about to. */
static bool is_used(const sets *s, const set *of) {
  char topic[VSI_SQLITE_TOPIC_BYTES];
  bool has_topic;
  vsi_sqlite_set_topic(s, of, topic);
  (void)vestry_topic_fragments(s->topics, topic, &has_topic);
  return has_topic || of->pins;
}

/* Remove unused ones among at least this number of sets, from where the last call has ended. Sets on which no page
 * depends, or is about to depend, are unused: a new set is pinned until its render has named its topic, and from then
 * on the topic is used. */
static void sweep(sets *s, size_t count) {
  size_t seen = 0;
  for (size_t lists = 0; seen < count && lists < count * 4; lists++) {
    for (member *next, *at = vsi_stepped_map_part(&s->by_plan, &s->swept); at; at = next, seen++) {
      next = at->next;
      if ((set *)at != s->everything && !is_used(s, (set *)at)) vsi_sqlite_sets_remove(s, (set *)at);
    }
  }
}

const page *vsi_sqlite_set_written(const set *of, uint64_t since) {
  for (uint32_t i = 0; i < of->pages_count; i++)
    if (pages_of(of)[i]->written > since) return pages_of(of)[i];
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ new sets -------- */

static void hash_plan(const sets *s, plan *p) {
  uint64_t hash = (uint64_t)p->is_exact | (uint64_t)p->is_untracked << 1 | (uint64_t)p->is_all << 2;
  for (uint32_t i = 0; i < p->uses_count; i++)
    hash = vsi_hash_mix(vsi_hash_mix(hash, p->uses[i].columns), hash_key(s, &p->uses[i]));
  for (uint32_t i = 0; i < p->pages_count; i++) hash = vsi_hash_mix(hash, p->pages[i]);
  p->hash = vsi_hash_mix(hash, p->pages_count);
}

static bool has_plan(const set *s, const plan *p) {
  if (s->is_hidden || s->hash != p->hash || s->is_exact != p->is_exact || s->is_untracked != p->is_untracked ||
      s->is_all != p->is_all || s->uses_count != p->uses_count || s->pages_count != p->pages_count)
    return false;
  for (uint32_t i = 0; i < p->uses_count; i++)
    if (!vsi_sqlite_uses_are_equal(&s->reads[i].is, &p->uses[i])) return false;
  for (uint32_t i = 0; i < p->pages_count; i++)
    if (pages_of(s)[i]->number != p->pages[i]) return false;
  return true;
}

/* Find the set of a plan. If a commit has written its file pages, data may be on others now, so a render from now on
 * needs another set. */
static set *find_set(sets *s, const plan *p) {
  member *at = vsi_stepped_map_keys(&s->by_plan, p->hash);
  while (at && !has_plan((set *)at, p)) at = at->next;
  set *found = (set *)at;
  if (!found || !found->is_exact || (s->all_written <= found->since && !vsi_sqlite_set_written(found, found->since)))
    return found;
  hide(s, found);
  return NULL;
}

/* Reserve room in the tables. Returns whether there is. */
static bool reserve_all(sets *s, const plan *p) {
  const uint32_t tables = p->uses_count ? p->uses[p->uses_count - 1].table + 1 : 0;
  bool is_reserved = !vsi_stepped_map_reserve(&s->by_plan, s->host, hash_set_in, NULL) && grow_tables(s, tables);
  for (uint32_t i = 0; i < p->uses_count && is_reserved; i++) is_reserved = reserve_key(s);
  return is_reserved;
}

/* Return whether there is room for the set of a plan below max_bytes. */
static bool has_room(sets *s, const plan *p) {
  const size_t bytes = counted_bytes(bytes_of(p), p->uses_count) + p->pages_count * (sizeof(page) + sizeof(list));
  return p->is_all || s->bytes + bytes <= s->max_bytes + (p->is_wide ? WIDE_BYTES : 0);
}

/* Create a set. NULL: no memory, or no room. */
static set *create_set(sets *s, const plan *p) {
  if (!has_room(s, p)) {
    s->refused_count++;
    return NULL;
  }
  if (!reserve_all(s, p)) return NULL;
  set *made = vsi_calloc(s->host, 1, bytes_of(p));
  if (!made) return NULL;
  *made = (set){.hash = p->hash,
                .since = s->commits,
                .number = ++s->numbers,
                .uses_count = p->uses_count,
                .pages_count = p->pages_count,
                .is_exact = p->is_exact,
                .is_ranged = is_ranged(p),
                .is_untracked = p->is_untracked,
                .is_all = p->is_all};
  for (uint32_t i = 0; i < p->uses_count; i++) made->reads[i] = (vsi_sqlite_read){.at.of = made, .is = p->uses[i]};
  for (uint32_t i = 0; i < p->pages_count; i++) {
    if ((pages_of(made)[i] = hold_page(s, p->pages[i]))) continue;
    free_set(s, made, i);
    return NULL;
  }
  for (place *at = places_of(made), *end = (place *)((char *)made + bytes_of(p)); at < end; at++) at->of = made;
  if (made->is_ranged) {
    for (uint32_t i = 0; i < p->pages_count; i++) insert(&pages_of(made)[i]->sets, &places_of(made)[i].in);
    s->ranged_count++;
  } else {
    link_reads(s, made);
  }
  vsi_stepped_map_add(&s->by_plan, &made->in, made->hash);
  s->bytes += counted_bytes_of(made);
  return made;
}

set *vsi_sqlite_sets_place(sets *s, plan *p) {
  for (bool is_swept = false;; is_swept = true) {
    hash_plan(s, p);
    set *found = find_set(s, p);
    if (!found && !is_swept) sweep(s, has_room(s, p) ? SWEPT_AT_ONCE : SWEPT_FOR_ROOM);
    if (!found) found = create_set(s, p);
    if (found) return found;
    if (p->is_wide) return s->everything;
    if (p->is_exact)
      vsi_sqlite_plan_drop_pages(p);
    else
      drop_keys(p);
  }
}

static bool has_key(const member *at, const vsi_sqlite_use *key) {
  const vsi_sqlite_use *is = &((const vsi_sqlite_read *)at)->is;
  return is->key == key->key && is->table == key->table && is->column == key->column;
}

member *vsi_sqlite_sets_of_key(const sets *s, const vsi_sqlite_use *key) {
  member *at = vsi_stepped_map_keys(&s->by_key, hash_key(s, key));
  while (at && !has_key(at, key)) at = at->next;
  return at;
}

void vsi_sqlite_mark_add(sets *s, vsi_sqlite_read *mark, member *before) {
  vsi_stepped_map_add_behind(&s->by_key, &mark->at.in_keys, before);
}

void vsi_sqlite_mark_remove(sets *s, vsi_sqlite_read *mark) {
  drop_read(s, mark);
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_sqlite_sets_init(sets *s) {
  plan all = {.is_all = true};
  hash_plan(s, &all);
  s->everything = create_set(s, &all);
  if (!s->everything) return VESTRY_NO_MEMORY;
  s->coarse_count = 0;
  return VESTRY_OK;
}

void vsi_sqlite_sets_finish(sets *s) {
  uint64_t from = 0;
  do {
    for (member *next, *at = vsi_stepped_map_part(&s->by_plan, &from); at; at = next) {
      next = at->next;
      vsi_sqlite_sets_remove(s, (set *)at);
    }
  } while (from);
  vsi_stepped_map_finish(&s->by_plan, s->host);
  vsi_stepped_map_finish(&s->by_key, s->host);
  vsi_stepped_map_finish(&s->by_page, s->host);
  vsi_free(s->host, s->tables);
}
