/* SPDX-License-Identifier: MIT */
/* essay: why a render misses no change of the data that it has read */
/* Sets of reads, found by file pages, and by tables and keys. Renders with the same reads share a set. Each set has a
 * topic (vestry/app/page.h), on which its renders depend: a refresh of the topic runs them again. So a web page that a
 * thousand tabs show identically costs one set and one refresh.
 *
 * Why no change is missed. A render depends on the file pages that it has read, and on nothing else, except for data
 * that must be named as a topic (see the guide). While none of the file pages that it has read is written, another
 * render would read the same file pages, and produce the same output. So a commit concerns the render only if it writes
 * one of them. SQLite also describes which tables and columns a statement reads. A commit concerns a render only if it
 * changes a column that the render has read, or adds or removes rows of a table that it has read. If the statements
 * look rows up by a key (program.c), only rows with this key count. Both conditions are necessary. Therefore, a commit
 * with known file pages and known tables refreshes only the sets that meet both conditions.
 *
 * However, a commit may then write file pages of a set without refreshing it, because the commit concerns other tables.
 * The commit may have moved the data of the set to other file pages, so that the next change of the data writes those.
 * Therefore, such a set is invalidated: it loses its file pages. From then on, every commit that matches its tables
 * refreshes it, and so does every commit whose tables are unknown, until its renders run again and enter a new set. The
 * same happens if a render itself writes file pages of a set, because a render's writes refresh nothing. A file page
 * can contain rows of thousands of renders, so thousands of sets may be invalidated; those that look rows up by a key
 * are found by the key, without examining the others.
 *
 * A commit that arrives while a render runs is kept until the render ends, and is then compared with its reads, so the
 * order of the two does not matter. If there are too many such commits, the render runs again.
 *
 * Page 1 is read by every statement, and written whenever the file grows. Therefore, it counts only for renders that
 * read the schema. A change of the schema refreshes all.
 *
 * Words:
 *
 *     plan         the content of a set
 *     verdict      the effect of a commit on a plan
 *     exact        set that is found by its file pages
 *     table-level  set without file pages, which is found by its tables; invalidated sets are table-level
 *     wide         plan without keys: any row of each of its tables. Many renders share the set of a wide plan
 *     untracked    set that depends on data that cannot be tracked, so every commit concerns it
 *     whole        commit that concerns every render that has read the database
 *
 * Locks: that of the index is locked before that of the pages. */
#include "data/sqlite/index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/log.h"

enum {
  RECENT_MAX = 1024,
  RECENT_BYTES = 4 << 20,
  SWEEP_FROM = 64,
  TOPIC_BYTES = 48,
  WIDE_BYTES = 64 << 10 /* beyond max_bytes, for sets of wide plans */
};
static const uint32_t of_pages = UINT32_MAX; /* as the table of a key: the key is a file page */

typedef struct set set;

/* A set's link in the list of an entry, or of a table. */
typedef struct place {
  LIST_ENTRY(place) in; /* le_prev NULL: in no list */
  set *of;
} place;

typedef LIST_HEAD(places, place) places;

/* A file page that an exact set contains; or the rows of a table with a key that a table-level set looks up. */
typedef struct entry {
  vsi_map_link in; /* first */
  vsi_sqlite_key key;
  places places;              /* each of another set */
  LIST_ENTRY(entry) in_table; /* a file page has no memory for it */
} entry;

static size_t bytes_of_entry(uint32_t table) {
  return table == of_pages ? offsetof(entry, in_table) : sizeof(entry);
}

/* A table that table-level sets have read. */
typedef struct table {
  places places; /* sets that have read any row; each of another set */
  LIST_HEAD(, entry) keys;
  uint64_t keyed; /* columns of the keys, as in vsi_sqlite_use */
} table;

/* The content of a set, existing or new. Its arrays are borrowed. */
typedef struct plan {
  vsi_sqlite_use *uses;
  const uint32_t *pages;
  uint32_t uses_count, pages_count;
  bool is_exact; /* it depends on its file pages */
  bool is_wide;
  /* is_untracked: it also read untracked data; is_all: it depends on everything. In both cases every commit matches. */
  bool is_untracked, is_all;
  uint64_t hash;
} plan;

struct set {
  vsi_map_link in; /* first; in the map while is_findable */
  LIST_ENTRY(set) in_all;
  LIST_ENTRY(set) in_table_level; /* in table_level_sets or untracked_sets */
  uint64_t number;
  uint64_t hit; /* the last commit that refreshed it */
  size_t bytes;
  uint32_t pins;    /* number of renders that are about to name its topic */
  bool is_findable; /* later renders may share it */
  plan plan;        /* its arrays follow the places */
  place *places;    /* of its file pages; of its uses once it is table-level */
};

typedef LIST_HEAD(set_list, set) set_list;

struct vsi_sqlite_index {
  vestry_pages *topics;
  const vestry_host *host;
  vsi_sqlite_tables *names; /* of the tables */
  const char *path;         /* of the database, for the log; borrowed */
  vsi_siphash_key secret;   /* for hashes of keys */
  vsi_mutex lock;
  /* All below is guarded by it. */
  size_t max_bytes, bytes;                             /* of the sets */
  bool is_full;                                        /* a set had no room; until an eighth of max_bytes is free */
  set_list all_sets, table_level_sets, untracked_sets; /* untracked: every commit concerns them */
  set *everything; /* depends on everything; used when there is no room for a more precise set */
  size_t sets_count;
  size_t entered_count; /* since the last sweep */
  uint64_t numbers;     /* of sets */
  vsi_map findable, entries;
  table *tables; /* by number */
  size_t tables_count;
  bool is_walking;               /* through the keys of a table; unused keys stay until it ends */
  uint64_t commits;              /* number of commits followed */
  size_t running;                /* number of running renders */
  vsi_sqlite_commit_list recent; /* commits that running renders may have missed */
  size_t recent_count, recent_bytes;
  uint64_t forgotten; /* the last commit that is no longer in recent */
  uint64_t refreshed_count, refreshed_sets_count, recorded_count, table_level_count, everything_count, promoted_count;
};

/* -------------------------------------------------------------------------------------------------- entries ------- */

static void insert(place *where, places *list, set *of) {
  where->of = of;
  LIST_INSERT_HEAD(list, where, in);
}

static void take_out(place *where) {
  if (!where->in.le_prev) return;
  LIST_REMOVE(where, in);
  where->in.le_prev = NULL;
}

static vsi_sqlite_key key_of_page(uint32_t page) {
  return (vsi_sqlite_key){page, page, of_pages, 0};
}

static vsi_sqlite_key key_of(const vsi_sqlite_use *use) {
  return (vsi_sqlite_key){use->key, use->key, use->table, use->column};
}

/* Hash a key. Users may choose the values by which rows are looked up, but not the file pages. */
static uint64_t hash_key(const vsi_sqlite_index *index, const vsi_sqlite_key *key) {
  const uint64_t of = (uint64_t)key->table << 32 | (uint32_t)key->column;
  return key->table == of_pages ? vsi_hash_mix(of, (uint64_t)key->key)
                                : vsi_siphash_1_3_words(index->secret, (uint64_t)key->key, of, 0, 16);
}

static entry *find_entry(const vsi_sqlite_index *index, vsi_sqlite_key key) {
  vsi_map_link *at = vsi_map_first(&index->entries, hash_key(index, &key));
  for (; at; at = vsi_map_further(at)) {
    const vsi_sqlite_key *is = &((entry *)at)->key;
    if (is->key == key.key && is->table == key.table && is->column == key.column) break;
  }
  return (entry *)at;
}

/* Find or create an entry. NULL: no memory. */
static entry *make_entry(vsi_sqlite_index *index, vsi_sqlite_key key) {
  entry *made = find_entry(index, key);
  if (made) return made;
  if (vsi_map_reserve(&index->entries, index->host, index->entries.count + 1)) return NULL;
  made = vsi_calloc(index->host, 1, bytes_of_entry(key.table));
  if (!made) return NULL;
  made->key = key;
  vsi_map_add(&index->entries, &made->in, hash_key(index, &key));
  index->bytes += bytes_of_entry(key.table);
  if (key.table == of_pages) return made;
  LIST_INSERT_HEAD(&index->tables[key.table].keys, made, in_table);
  index->tables[key.table].keyed |= vsi_sqlite_key_column(key.column);
  return made;
}

static void free_if_unused(vsi_sqlite_index *index, entry *unused) {
  if (!unused || !LIST_EMPTY(&unused->places) || index->is_walking) return;
  vsi_map_remove(&index->entries, &unused->in);
  if (unused->key.table != of_pages) {
    table *of = &index->tables[unused->key.table];
    LIST_REMOVE(unused, in_table);
    if (LIST_EMPTY(&of->keys)) of->keyed = 0;
  }
  index->bytes -= bytes_of_entry(unused->key.table);
  vsi_free(index->host, unused);
}

/* Correct the back link after the head of a list has moved. */
#define MOVED(list, in)                                                                                                \
  do {                                                                                                                 \
    if (!LIST_EMPTY(list)) LIST_FIRST(list)->in.le_prev = &LIST_FIRST(list);                                           \
  } while (0)

static bool grow_tables(vsi_sqlite_index *index, uint32_t count) {
  const size_t had = index->tables_count;
  if (count <= had) return true;
  if (VSI_ARRAY_RESERVE(index->host, index->tables, had, index->tables_count, count - had)) return false;
  for (size_t i = 0; i < index->tables_count; i++) {
    table *of = &index->tables[i];
    if (i >= had) *of = (table){.keyed = 0};
    MOVED(&of->places, in);
    MOVED(&of->keys, in_table);
  }
  return true;
}

/* ----------------------------------------------------------------------------------------------------- sets ------- */

/* Let a plan be followed by tables. */
static void drop_pages(plan *p) {
  p->is_exact = false;
  p->pages_count = 0;
}

/* Make a plan wide. */
static void drop_keys(plan *p) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < p->uses_count; i++) { /* they are sorted */
    vsi_sqlite_use *last = count ? &p->uses[count - 1] : NULL;
    if (last && last->table == p->uses[i].table)
      last->columns |= p->uses[i].columns;
    else
      p->uses[count++] =
          (vsi_sqlite_use){.columns = p->uses[i].columns, .table = p->uses[i].table, .column = VSI_SQLITE_ANY_ROW};
  }
  p->uses_count = count;
  p->is_wide = true;
}

/* Take a set out of the lists of its file pages, or of its uses. */
static void leave(vsi_sqlite_index *index, set *s) {
  const plan *p = &s->plan;
  for (uint32_t i = 0; i < (p->is_exact ? p->pages_count : p->uses_count); i++) {
    take_out(&s->places[i]);
    free_if_unused(index, find_entry(index, p->is_exact ? key_of_page(p->pages[i]) : key_of(&p->uses[i])));
  }
}

/* Let a set be followed by tables. There is room for the tables already. If there is no memory for a key, the set
 * counts as one that has read any row. */
static void make_table_level(vsi_sqlite_index *index, set *s) {
  drop_pages(&s->plan);
  LIST_INSERT_HEAD(s->plan.is_untracked || s->plan.is_all ? &index->untracked_sets : &index->table_level_sets, s,
                   in_table_level);
  for (uint32_t i = 0; i < s->plan.uses_count; i++) {
    const vsi_sqlite_use *use = &s->plan.uses[i];
    entry *made = use->column == VSI_SQLITE_ANY_ROW ? NULL : make_entry(index, key_of(use));
    places *list = made ? &made->places : &index->tables[use->table].places;
    if (LIST_EMPTY(list) || LIST_FIRST(list)->of != s) insert(&s->places[i], list, s); /* once in each list */
  }
}

/* Prevent later renders from sharing a set. */
static void hide(vsi_sqlite_index *index, set *s) {
  if (!s->is_findable) return;
  vsi_map_remove(&index->findable, &s->in);
  s->is_findable = false;
}

/* Invalidate a set: later renders do not share it, and it is followed by tables. */
static void invalidate(vsi_sqlite_index *index, set *s) {
  hide(index, s);
  leave(index, s);
  make_table_level(index, s);
}

static void remove_set(vsi_sqlite_index *index, set *s) {
  hide(index, s);
  leave(index, s);
  if (!s->plan.is_exact) LIST_REMOVE(s, in_table_level);
  LIST_REMOVE(s, in_all);
  index->sets_count--;
  index->bytes -= s->bytes;
  vsi_free(index->host, s);
}

/* Write the topic that a set's renders name. */
static void topic_of(const vsi_sqlite_index *index, const set *s, char topic[TOPIC_BYTES]) {
  snprintf(topic, TOPIC_BYTES, "sqlite/%llx/%llx", (unsigned long long)(uintptr_t)index, (unsigned long long)s->number);
}

/* Return whether a page depends on a set, or is about to; its topic, and the number of rendered fragments that do. */
static bool is_used(const vsi_sqlite_index *index, const set *s, char topic[TOPIC_BYTES], size_t *ret_views) {
  bool has_topic;
  topic_of(index, s, topic);
  *ret_views = vestry_topic_fragments(index->topics, topic, &has_topic);
  return has_topic || s->pins || s == index->everything;
}

/* Remove the sets on which no page depends, or is about to depend: a new set is pinned until its render has named its
 * topic, and from then on the topic is used. A sweep runs after a number of new sets that keeps its cost per set
 * constant. */
static void sweep(vsi_sqlite_index *index) {
  char topic[TOPIC_BYTES];
  size_t views;
  if (index->entered_count < SWEEP_FROM + index->sets_count / 2) return;
  index->entered_count = 0;
  for (set *next, *s = LIST_FIRST(&index->all_sets); s; s = next) {
    next = LIST_NEXT(s, in_all);
    if (!is_used(index, s, topic, &views)) remove_set(index, s);
  }
}

static void hash_plan(const vsi_sqlite_index *index, plan *p) {
  uint64_t hash = (uint64_t)p->is_exact | (uint64_t)p->is_untracked << 1 | (uint64_t)p->is_all << 2;
  for (uint32_t i = 0; i < p->uses_count; i++) {
    const vsi_sqlite_key key = key_of(&p->uses[i]);
    hash = vsi_hash_mix(vsi_hash_mix(hash, p->uses[i].columns), hash_key(index, &key));
  }
  for (uint32_t i = 0; i < p->pages_count; i++) hash = vsi_hash_mix(hash, p->pages[i]);
  p->hash = vsi_hash_mix(hash, p->pages_count);
}

static bool are_equal(const plan *p, const plan *q) {
  if (q->is_exact != p->is_exact || q->is_untracked != p->is_untracked || q->is_all != p->is_all ||
      q->uses_count != p->uses_count || q->pages_count != p->pages_count)
    return false;
  for (uint32_t i = 0; i < p->uses_count; i++)
    if (!vsi_sqlite_uses_are_equal(&q->uses[i], &p->uses[i])) return false;
  return !p->pages_count || memcmp(q->pages, p->pages, p->pages_count * sizeof *p->pages) == 0;
}

static set *find_set(const vsi_sqlite_index *index, const plan *p) {
  vsi_map_link *at = vsi_map_first(&index->findable, p->hash);
  while (at && !are_equal(p, &((set *)at)->plan)) at = vsi_map_further(at);
  return (set *)at;
}

/* Create a set. NULL: no memory, or no room below max_bytes. */
static set *create_set(vsi_sqlite_index *index, const plan *p) {
  const size_t uses_bytes = p->uses_count * sizeof *p->uses, pages_bytes = p->pages_count * sizeof *p->pages;
  const uint32_t places_count = p->pages_count > p->uses_count ? p->pages_count : p->uses_count;
  const size_t bytes = sizeof(set) + places_count * sizeof(place) + uses_bytes + pages_bytes;
  const uint32_t tables = p->uses_count ? p->uses[p->uses_count - 1].table + 1 : 0;
  const size_t entries_bytes = places_count * bytes_of_entry(p->pages_count ? of_pages : 0);
  if (index->bytes + bytes + entries_bytes > index->max_bytes + (p->is_wide ? WIDE_BYTES : 0) && !p->is_all) {
    index->is_full = true;
    return NULL;
  }
  if (vsi_map_reserve(&index->findable, index->host, index->sets_count + 1) || !grow_tables(index, tables)) return NULL;
  set *s = vsi_calloc(index->host, 1, bytes);
  if (!s) return NULL;
  s->bytes = bytes;
  s->places = (place *)(s + 1);
  s->plan = *p;
  void *uses = s->places + places_count, *pages = (char *)uses + uses_bytes;
  if (uses_bytes) s->plan.uses = memcpy(uses, p->uses, uses_bytes);
  if (pages_bytes) s->plan.pages = memcpy(pages, p->pages, pages_bytes);
  for (uint32_t i = 0; i < p->pages_count; i++) {
    entry *of = make_entry(index, key_of_page(p->pages[i]));
    if (of) {
      insert(&s->places[i], &of->places, s);
      continue;
    }
    leave(index, s);
    vsi_free(index->host, s);
    return NULL;
  }
  if (!p->is_exact) make_table_level(index, s);
  s->number = ++index->numbers;
  LIST_INSERT_HEAD(&index->all_sets, s, in_all);
  index->sets_count++;
  index->bytes += bytes;
  s->is_findable = true;
  vsi_map_add(&index->findable, &s->in, p->hash);
  return s;
}

/* Find or create the set for a plan. If it has no room, for a less precise plan: without file pages, then without keys,
 * so that all renders that have read the same tables share a set, then for one that depends on everything. */
static set *place_plan(vsi_sqlite_index *index, plan *p) {
  for (;;) {
    hash_plan(index, p);
    set *s = find_set(index, p);
    if (!s) {
      index->entered_count++;
      sweep(index);
      s = create_set(index, p);
    }
    if (s) return s;
    if (p->is_wide) return index->everything;
    if (p->is_exact)
      drop_pages(p);
    else
      drop_keys(p);
  }
}

/* ------------------------------------------------------------------------------------------------- verdicts ------- */

/* The effect of a commit on a set:
 * NOTHING     the commit does not concern the set
 * INVALIDATE  the commit refreshes nothing, but has written file pages of the set, so data of the set may be on other
 *             file pages now: from then on, the set is followed by tables
 * REFRESH     the set's renders run again */
typedef enum verdict { NOTHING, INVALIDATE, REFRESH } verdict;

/* Return whether a commit concerns a set, considering only tables. */
static bool matches_tables(const vsi_sqlite_commit *commit, const plan *p) {
  return !commit->knows_tables || p->is_all || p->is_untracked ||
         vsi_sqlite_uses_meet(p->uses, p->uses_count, commit->uses, commit->uses_count, commit->keys,
                              commit->keys_count);
}

static bool matches_pages(const vsi_sqlite_commit *commit, const plan *p) {
  for (size_t i = 0; i < commit->pages_count && p->pages_count; i++)
    if (bsearch(&commit->pages[i], p->pages, p->pages_count, sizeof *p->pages, vsi_sqlite_compare_pages)) return true;
  return false;
}

/* Return the effect of a commit on a plan. is_of_page: the commit wrote a file page of it.
 *
 * A commit of a render refreshes nothing. If it has written file pages of an exact set, the set is invalidated. */
static verdict judge(const vsi_sqlite_commit *commit, const plan *p, bool is_of_page) {
  if (commit->is_whole) return REFRESH;
  if (p->is_exact && commit->knows_pages && !is_of_page && !matches_pages(commit, p)) return NOTHING;
  if (!commit->is_of_render && matches_tables(commit, p)) return REFRESH;
  return p->is_exact ? INVALIDATE : NOTHING;
}

/* Return the changed table for which a set's renders are refreshed. If no table of the set matches (every commit
 * concerns it, because not all its reads are tracked), it is the first table that the commit changed. NULL: no table is
 * known. */
static const vsi_sqlite_use *matched_use(const vsi_sqlite_commit *commit, const plan *p) {
  for (size_t i = 0; i < commit->uses_count && commit->knows_tables; i++)
    if (vsi_sqlite_uses_meet(p->uses, p->uses_count, &commit->uses[i], 1, commit->keys, commit->keys_count))
      return &commit->uses[i];
  return commit->knows_tables && commit->uses_count ? commit->uses : NULL;
}

/* -------------------------------------------------------------------------------------------------- commits ------- */

static size_t bytes_of(const vsi_sqlite_commit *commit) {
  return sizeof *commit + commit->uses_count * sizeof *commit->uses + commit->keys_count * sizeof *commit->keys +
         commit->pages_count * sizeof *commit->pages;
}

vsi_sqlite_commit *vsi_sqlite_commit_copy(const vestry_host *host, const vsi_sqlite_commit *commit) {
  vsi_sqlite_commit *made = vsi_alloc(host, bytes_of(commit));
  if (!made) return NULL;
  *made = *commit;
  vsi_sqlite_use *uses = (vsi_sqlite_use *)(made + 1);
  vsi_sqlite_key *keys = (vsi_sqlite_key *)(uses + commit->uses_count);
  uint32_t *pages = (uint32_t *)(keys + commit->keys_count);
  if (commit->uses_count) made->uses = memcpy(uses, commit->uses, commit->uses_count * sizeof *uses);
  if (commit->keys_count) made->keys = memcpy(keys, commit->keys, commit->keys_count * sizeof *keys);
  if (commit->pages_count) made->pages = memcpy(pages, commit->pages, commit->pages_count * sizeof *pages);
  return made;
}

static void drop_recent(vsi_sqlite_index *index) {
  vsi_sqlite_commit *first = TAILQ_FIRST(&index->recent);
  index->forgotten = first->order;
  TAILQ_REMOVE(&index->recent, first, in);
  index->recent_count--;
  index->recent_bytes -= bytes_of(first);
  vsi_free(index->host, first);
}

static void drop_all_recent(vsi_sqlite_index *index) {
  while (!TAILQ_EMPTY(&index->recent)) drop_recent(index);
}

/* Keep a commit for the running renders. */
static void remember(vsi_sqlite_index *index, const vsi_sqlite_commit *commit) {
  const size_t bytes = bytes_of(commit);
  vsi_sqlite_commit *made =
      index->running && bytes <= RECENT_BYTES ? vsi_sqlite_commit_copy(index->host, commit) : NULL;
  if (!made) { /* no render runs, or there is no room: running renders run again */
    drop_all_recent(index);
    index->forgotten = index->commits;
    return;
  }
  while (index->recent_count == RECENT_MAX || index->recent_bytes + bytes > RECENT_BYTES) drop_recent(index);
  made->order = index->commits;
  TAILQ_INSERT_TAIL(&index->recent, made, in);
  index->recent_count++;
  index->recent_bytes += bytes;
}

/* The refreshes of one commit. */
typedef struct refreshes {
  vsi_sqlite_index *index;
  const vsi_sqlite_commit *commit;
  uint64_t *ret_seq;
  uint32_t page;    /* that is followed; 0: none */
  uint32_t named;   /* the table whose name it is */
  const char *name; /* NULL: none yet */
} refreshes;

/* Refresh a topic, and name the reason: a table that the commit changed; if none is known, the file page that is
 * followed. */
static void refresh_topic(refreshes *r, const plan *p, const char *topic) {
  const vsi_sqlite_use *use = matched_use(r->commit, p);
  char number[12];
  if (use && (!r->name || r->named != use->table)) {
    r->name = vsi_sqlite_tables_name(r->index->names, use->table);
    r->named = use->table;
  }
  vestry_change is = {.kind = VESTRY_REFRESH_DATABASE, .at_ns = r->commit->at_ns};
  if (use) {
    is.kind = VESTRY_REFRESH_TABLE;
    is.name = r->name;
  } else if (r->page) {
    snprintf(number, sizeof number, "%" PRIu32, r->page);
    is.kind = VESTRY_REFRESH_DATABASE_PAGE;
    is.name = number;
  }
  (void)vestry_refresh_for(r->index->topics, topic, &is, r->ret_seq);
}

static void refresh(refreshes *r, set *s) {
  vsi_sqlite_index *index = r->index;
  char topic[TOPIC_BYTES];
  size_t views;
  s->hit = index->commits;
  if (!is_used(index, s, topic, &views)) {
    remove_set(index, s);
    return;
  }
  index->refreshed_count += views;
  index->refreshed_sets_count += views > 0; /* a render is about to name the topic, or none has */
  refresh_topic(r, &s->plan, topic);
}

static void judge_set(refreshes *r, set *s) {
  if (s->hit == r->index->commits) return;
  const verdict is = judge(r->commit, &s->plan, r->page);
  if (is == INVALIDATE) invalidate(r->index, s);
  if (is == REFRESH) refresh(r, s);
}

/* Judge the sets of a list. A set may be removed from all lists meanwhile, and no other set. */
static void follow_places(refreshes *r, const places *list) {
  for (place *next, *at = LIST_FIRST(list); at; at = next) {
    next = LIST_NEXT(at, in); /* of another set; the list may be freed after its last set left */
    judge_set(r, at->of);
  }
}

/* Judge all sets that look up a key of a table. */
static void follow_keys(refreshes *r, table *of) {
  entry *next, *at;
  r->index->is_walking = true;
  LIST_FOREACH(at, &of->keys, in_table) follow_places(r, &at->places);
  r->index->is_walking = false;
  for (at = LIST_FIRST(&of->keys); at; at = next) {
    next = LIST_NEXT(at, in_table);
    free_if_unused(r->index, at);
  }
}

/* Judge the sets that look up one of some values. */
static void follow_run(refreshes *r, vsi_sqlite_key key) {
  const int64_t last = key.last;
  for (;; key.key++) {
    const entry *found = find_entry(r->index, key);
    if (found) follow_places(r, &found->places);
    if (key.key == last) return;
  }
}

/* Judge the table-level sets that a change of a table may concern: sets that have read any row, and sets that look up a
 * key of a changed row. If some keys of the changed rows are unknown, or more than there are entries, all sets that look
 * up a key are judged. */
static void follow_table(refreshes *r, const vsi_sqlite_use *changed) {
  const vsi_sqlite_commit *commit = r->commit;
  if (changed->table >= r->index->tables_count) return;
  table *of = &r->index->tables[changed->table];
  follow_places(r, &of->places);
  const size_t begin = vsi_sqlite_keys_begin(commit->keys, commit->keys_count, changed->table);
  size_t end = begin;
  uint64_t values = 0;
  for (; end < commit->keys_count && commit->keys[end].table == changed->table; end++) {
    const uint64_t more = (uint64_t)commit->keys[end].last - (uint64_t)commit->keys[end].key;
    values = more < UINT32_MAX ? values + more + 1 : UINT32_MAX;
  }
  if (of->keyed & ~changed->known_columns || values > r->index->entries.count)
    follow_keys(r, of);
  else
    for (size_t i = begin; of->keyed && i < end; i++) follow_run(r, commit->keys[i]);
}

static void follow_list(refreshes *r, const set_list *list) {
  for (set *next, *s = LIST_FIRST(list); s; s = next) {
    next = LIST_NEXT(s, in_table_level);
    judge_set(r, s);
  }
}

static void follow_all(refreshes *r) {
  for (set *next, *s = LIST_FIRST(&r->index->all_sets); s; s = next) {
    next = LIST_NEXT(s, in_all);
    judge_set(r, s);
  }
}

/* Judge the sets that have read a written file page. */
static void follow_pages(refreshes *r) {
  for (size_t i = 0; i < r->commit->pages_count; i++) {
    r->page = r->commit->pages[i];
    const entry *found = find_entry(r->index, key_of_page(r->page));
    if (found) follow_places(r, &found->places);
  }
  r->page = 0;
}

void vsi_sqlite_index_commit(vsi_sqlite_index *index, const vsi_sqlite_commit *commit, uint64_t *ret_seq) {
  refreshes r = {.index = index, .commit = commit, .ret_seq = ret_seq};
  vsi_mutex_lock(&index->lock);
  index->commits++;
  remember(index, commit);
  if (commit->is_whole || !commit->knows_pages) {
    follow_all(&r);
  } else {
    follow_pages(&r);
    if (!commit->is_of_render) {
      for (size_t i = 0; i < commit->uses_count && commit->knows_tables; i++) follow_table(&r, &commit->uses[i]);
      follow_list(&r, &index->untracked_sets); /* which every commit concerns */
      if (!commit->knows_tables) follow_list(&r, &index->table_level_sets);
    }
  }
  vsi_mutex_unlock(&index->lock);
}

/* -------------------------------------------------------------------------------------------------- renders ------- */

uint64_t vsi_sqlite_index_begin(vsi_sqlite_index *index) {
  vsi_mutex_lock(&index->lock);
  index->running++;
  uint64_t commits = index->commits;
  vsi_mutex_unlock(&index->lock);
  return commits;
}

static plan plan_for(vsi_sqlite_recording *recording) {
  if (recording->reads_all) return (plan){.is_all = true};
  vsi_sqlite_uses_sort(&recording->uses);
  plan p = {.uses = recording->uses.uses,
            .uses_count = recording->uses.count,
            .is_untracked = recording->is_untracked,
            .is_exact = !recording->lacks_pages};
  if (!p.is_exact) return p;
  p.pages_count = vsi_sqlite_reads_sort(recording);
  p.pages = recording->slots;
  if (p.pages_count && p.pages[0] == 1 && !p.is_untracked) p.pages++, p.pages_count--;
  return p;
}

/* Compare a plan with the commits that came while its render ran. change: receives the time of the commit that
 * refreshes it, and the table, if it is known. After a commit with the verdict INVALIDATE, the plan has no file pages,
 * and later commits are compared with its tables only. */
static verdict judge_recent(const vsi_sqlite_index *index, plan *p, uint64_t begun, vestry_change *change) {
  verdict worst = begun < index->forgotten ? REFRESH : NOTHING;
  const vsi_sqlite_commit *at;
  TAILQ_FOREACH(at, &index->recent, in) {
    if (worst == REFRESH) break;
    const verdict is = at->order > begun ? judge(at, p, false) : NOTHING;
    if (is > worst) worst = is;
    if (is == INVALIDATE) drop_pages(p);
    if (is != REFRESH) continue;
    const vsi_sqlite_use *use = matched_use(at, p);
    change->at_ns = at->at_ns;
    if (use) {
      change->kind = VESTRY_REFRESH_TABLE;
      change->name = vsi_sqlite_tables_name(index->names, use->table);
    }
  }
  return worst;
}

static void end_locked(vsi_sqlite_index *index) {
  if (!--index->running) drop_all_recent(index);
}

void vsi_sqlite_index_end(vsi_sqlite_index *index) {
  vsi_mutex_lock(&index->lock);
  end_locked(index);
  vsi_mutex_unlock(&index->lock);
}

void vsi_sqlite_index_enter_all(vsi_sqlite_index *index, vestry_render *render) {
  char topic[TOPIC_BYTES];
  vsi_mutex_lock(&index->lock);
  index->recorded_count++;
  index->everything_count++;
  vsi_mutex_unlock(&index->lock);
  topic_of(index, index->everything, topic);
  (void)vestry_render_topic(render, topic); /* an error stays in the render */
}

/* Count the precision with which a render is followed. was_exact: of its plan, before a bound, or the verdict of a
 * commit, made it less precise. */
static void count_entered(vsi_sqlite_index *index, const set *s, const plan *p, bool was_exact, verdict is) {
  index->recorded_count++;
  if (s == index->everything)
    index->everything_count++;
  else if (p->is_wide || (was_exact && !p->is_exact && is != INVALIDATE))
    index->table_level_count++;
}

/* Return whether the sets have just become full. They stay full until an eighth of max_bytes is free. */
static bool becomes_full(vsi_sqlite_index *index, bool was_full) {
  if (was_full && index->bytes < index->max_bytes - index->max_bytes / 8) index->is_full = was_full = false;
  return index->is_full && !was_full;
}

void vsi_sqlite_index_enter(vsi_sqlite_index *index, vsi_sqlite_recording *recording) {
  if (!recording->has_read) {
    vsi_sqlite_index_end(index);
    return;
  }
  plan p = plan_for(recording);
  const bool was_exact = p.is_exact || recording->max_file_pages;
  char topic[TOPIC_BYTES];
  vestry_change change = {.kind = VESTRY_REFRESH_DATABASE};
  vsi_mutex_lock(&index->lock);
  const bool was_full = index->is_full;
  const verdict is = judge_recent(index, &p, recording->begun, &change);
  set *s = place_plan(index, &p);
  const bool becomes = becomes_full(index, was_full);
  s->pins++;
  count_entered(index, s, &p, was_exact, is);
  index->promoted_count += recording->uses.are_promoted;
  topic_of(index, s, topic);
  end_locked(index);
  vsi_mutex_unlock(&index->lock);
  if (becomes)
    vsi_log(
        index->host, VESTRY_LOG_WARN,
        "vestry_sqlite_create, %s: the recorded reads have reached options.max_bytes, %zu, so commits render further "
        "pages also for other rows of their tables; set a larger max_bytes",
        index->path, index->max_bytes);
  (void)vestry_render_topic(recording->render, topic); /* an error stays in the render */
  if (is == REFRESH) (void)vestry_refresh_for(index->topics, topic, &change, NULL);
  vsi_mutex_lock(&index->lock);
  s->pins--;
  vsi_mutex_unlock(&index->lock);
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_sqlite_index_create(vestry_pages *pages, vsi_sqlite_tables *tables, vsi_siphash_key secret,
                                   size_t max_bytes, const char *path, vsi_sqlite_index **ret_index) {
  plan all = {.is_all = true};
  vsi_sqlite_index *index = vsi_calloc(tables->host, 1, sizeof *index);
  if (!index) return VESTRY_NO_MEMORY;
  index->topics = pages;
  index->host = tables->host;
  index->names = tables;
  index->secret = secret;
  index->max_bytes = max_bytes;
  index->path = path;
  TAILQ_INIT(&index->recent);
  vsi_mutex_init(&index->lock, VSI_LOCK_SQLITE_INDEX);
  hash_plan(index, &all);
  index->everything = create_set(index, &all);
  if (!index->everything) {
    vsi_sqlite_index_destroy(index);
    return VESTRY_NO_MEMORY;
  }
  *ret_index = index;
  return VESTRY_OK;
}

void vsi_sqlite_index_destroy(vsi_sqlite_index *index) {
  if (!index) return;
  const vestry_host *host = index->host;
  drop_all_recent(index);
  while (!LIST_EMPTY(&index->all_sets)) remove_set(index, LIST_FIRST(&index->all_sets));
  vsi_map_finish(&index->findable, host);
  vsi_map_finish(&index->entries, host);
  vsi_free(host, index->tables);
  vsi_mutex_finish(&index->lock);
  vsi_free(host, index);
}

void vsi_sqlite_index_stats_get(vsi_sqlite_index *index, vestry_sqlite_stats *stats) {
  vsi_mutex_lock(&index->lock);
  stats->refreshed_count = index->refreshed_count;
  stats->refreshed_sets_count = index->refreshed_sets_count;
  stats->recorded_count = index->recorded_count;
  stats->table_level_count = index->table_level_count;
  stats->everything_count = index->everything_count;
  stats->promoted_count = index->promoted_count;
  stats->recorded_bytes = index->bytes;
  vsi_mutex_unlock(&index->lock);
}
