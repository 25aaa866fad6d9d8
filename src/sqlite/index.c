/* Sets of reads, found by pages and by tables. Renders that have read the same share a set, and a set is a topic, which
 * its renders name: so a page that a thousand tabs show alike costs one set and one refresh.
 *
 * Why no change is missed. A render is made of the pages of the file that it has read, and of nothing else (but for
 * what the guide says must be named as a topic). While none of them is written, to render again would read the same
 * pages, and make the same. So a commit concerns it only if it writes one of them. And by SQLite's own account of what
 * a statement reads, a commit concerns a render only if it changes one of its columns, or adds or removes rows of one
 * of its tables; and where its statements look rows up by a key (program.c), rows of that key. Each is true by itself,
 * so both together are: a commit that is known by pages and by tables refreshes those that it meets in both.
 *
 * But then a set's pages may be written without its render being made again. What was on them may stand elsewhere now,
 * and the next change of it writes other pages. So such a set is void: from there on it is followed by tables, and when
 * nobody knows what tables a commit changed, by everything, until its renders come again, and enter a new one. The same
 * with what a render itself writes, which refreshes nothing.
 *
 * A commit that is followed while a render runs is kept until it ends, and is then compared with what it has read: so
 * it does not matter which comes first. Too many of them, and the render is made again.
 *
 * Page 1 is read by everybody who reads, and written whenever the file grows: it counts only for those that look at the
 * schema. A change of the schema refreshes all.
 *
 * Locks: the index's is taken before that of the pages. */
#include "sqlite/index.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIRST_BUCKETS = 64, RECENT_MAX = 1024, RECENT_BYTES = 1 << 20, SWEEP_FROM = 64, TOPIC_BYTES = 48 };

typedef struct set set;

/* A set stands in the list of a page or of a table. */
typedef struct place {
  struct place *next, **at; /* NULL: it stands nowhere */
  set *of;
} place;

/* A page that is in some set. */
typedef struct page_entry {
  struct page_entry *next; /* in its bucket */
  place *first;
  uint32_t page;
} page_entry;

struct set {
  set *next_of_bucket;
  set *next, **at;               /* among all */
  set *next_coarse, **coarse_at; /* among those that are followed by tables */
  uint64_t hash, number;
  uint64_t hit; /* the last commit that met it */
  size_t bytes;
  uint32_t pins; /* who is about to name its topic */
  uint32_t pages_count, uses_count, places_count;
  bool is_exact; /* its pages are what it depends on */
  bool is_wild, is_all;
  bool is_findable; /* renders to come may share it */
  vsi_sqlite_use *uses;
  uint32_t *pages;
  place *places; /* of its pages; of its tables once it is coarse */
};

/* A commit that renders under way may have missed. */
typedef struct recent {
  struct recent *next;
  uint64_t number;
  size_t bytes;
  vsi_sqlite_commit commit; /* its arrays are behind it */
} recent;

struct vsi_sqlite_index {
  vestry_pages *topics;
  const vestry_host *host;
  size_t max_bytes;
  pthread_mutex_t lock;
  /* All below is guarded by it. */
  uint64_t commits; /* that were followed */
  size_t running;   /* renders */
  recent *first_recent, **last_recent;
  size_t recent_count, recent_bytes;
  uint64_t forgotten; /* the last commit that is not among them any more */
  uint64_t numbers;
  set *all_sets, *coarse_sets;
  set *everything; /* depends on all; for those that nothing more can be kept of */
  size_t sets_count, pages_count;
  size_t entered_count; /* since the last sweep */
  set **buckets;
  page_entry **pages;
  size_t buckets_count, pages_buckets_count;
  place **tables; /* by number: those that are followed by them */
  uint32_t tables_count;
  vsi_sqlite_index_stats stats;
};

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

static size_t bucket_of_page(const vsi_sqlite_index *index, uint32_t page) {
  return (page * UINT64_C(11400714819323198485)) >> 32 & (index->pages_buckets_count - 1);
}

static page_entry *find_page(const vsi_sqlite_index *index, uint32_t page) {
  page_entry *at = index->pages_buckets_count ? index->pages[bucket_of_page(index, page)] : NULL;
  while (at && at->page != page) at = at->next;
  return at;
}

/* More buckets, if there is memory for them: without, it is slower. */
static void grow_pages(vsi_sqlite_index *index) {
  if (index->pages_count < index->pages_buckets_count) return;
  size_t former_count = index->pages_buckets_count, count = former_count ? former_count * 2 : FIRST_BUCKETS;
  page_entry **buckets = vsi_outside_calloc(index->host, count, sizeof *buckets), **former = index->pages;
  if (!buckets) return;
  index->pages = buckets;
  index->pages_buckets_count = count;
  for (size_t i = 0; i < former_count; i++) {
    for (page_entry *next, *at = former[i]; at; at = next) {
      next = at->next;
      page_entry **bucket = &buckets[bucket_of_page(index, at->page)];
      at->next = *bucket;
      *bucket = at;
    }
  }
  vsi_outside_free(index->host, former);
}

static page_entry *make_page(vsi_sqlite_index *index, uint32_t page) {
  page_entry *entry = find_page(index, page);
  if (entry) return entry;
  grow_pages(index);
  entry = index->pages_buckets_count ? vsi_outside_calloc(index->host, 1, sizeof *entry) : NULL;
  if (!entry) return NULL;
  page_entry **bucket = &index->pages[bucket_of_page(index, page)];
  entry->page = page;
  entry->next = *bucket;
  *bucket = entry;
  index->pages_count++;
  index->stats.bytes += sizeof *entry;
  return entry;
}

static void free_page_if_unused(vsi_sqlite_index *index, uint32_t page) {
  if (!index->pages_buckets_count) return; /* there was no memory for the first ones */
  page_entry **at = &index->pages[bucket_of_page(index, page)];
  while (*at && (*at)->page != page) at = &(*at)->next;
  page_entry *entry = *at;
  if (!entry || entry->first) return;
  *at = entry->next;
  vsi_outside_free(index->host, entry);
  index->pages_count--;
  index->stats.bytes -= sizeof *entry;
}

static bool grow_tables(vsi_sqlite_index *index, uint32_t count) {
  if (count <= index->tables_count) return true;
  count = count < 16 ? 16 : count * 2;
  place **grown = vsi_outside_calloc(index->host, count, sizeof(place *));
  if (!grown) return false;
  for (uint32_t i = 0; i < index->tables_count; i++) {
    grown[i] = index->tables[i];
    if (grown[i]) grown[i]->at = &grown[i];
  }
  vsi_outside_free(index->host, index->tables);
  index->tables = grown;
  index->tables_count = count;
  return true;
}

/* ---------------------------------------------------------------------------------------------------- a set ------- */

static void leave_pages(vsi_sqlite_index *index, set *s) {
  for (uint32_t i = 0; i < s->pages_count; i++) {
    take_out(&s->places[i]);
    free_page_if_unused(index, s->pages[i]);
  }
}

/* To be followed by tables. Room for the tables there is. */
static void make_coarse(vsi_sqlite_index *index, set *s) {
  s->is_exact = false;
  s->next_coarse = index->coarse_sets;
  s->coarse_at = &index->coarse_sets;
  if (s->next_coarse) s->next_coarse->coarse_at = &s->next_coarse;
  index->coarse_sets = s;
  for (uint32_t i = 0; i < s->uses_count; i++) /* sorted: each table once */
    if (!i || s->uses[i].table != s->uses[i - 1].table) insert(&s->places[i], &index->tables[s->uses[i].table], s);
}

static set **bucket_of(const vsi_sqlite_index *index, uint64_t hash) {
  return &index->buckets[hash & (index->buckets_count - 1)];
}

/* Renders to come share it no more. */
static void hide(vsi_sqlite_index *index, set *s) {
  if (!s->is_findable) return;
  set **at = bucket_of(index, s->hash);
  while (*at != s) at = &(*at)->next_of_bucket;
  *at = s->next_of_bucket;
  s->is_findable = false;
}

static void make_void(vsi_sqlite_index *index, set *s) {
  hide(index, s);
  leave_pages(index, s);
  make_coarse(index, s);
}

static void remove_set(vsi_sqlite_index *index, set *s) {
  hide(index, s);
  if (s->is_exact) {
    leave_pages(index, s);
  } else {
    *s->coarse_at = s->next_coarse;
    if (s->next_coarse) s->next_coarse->coarse_at = s->coarse_at;
    for (uint32_t i = 0; i < s->uses_count; i++) take_out(&s->places[i]);
  }
  *s->at = s->next;
  if (s->next) s->next->at = s->at;
  index->sets_count--;
  index->stats.bytes -= s->bytes;
  vsi_outside_free(index->host, s);
}

static void write_topic(const vsi_sqlite_index *index, const set *s, char topic[TOPIC_BYTES]) {
  snprintf(topic, TOPIC_BYTES, "sqlite/%llx/%llx", (unsigned long long)(uintptr_t)index, (unsigned long long)s->number);
}

static bool is_used(const vsi_sqlite_index *index, const set *s) {
  char topic[TOPIC_BYTES];
  if (s->pins || s == index->everything) return true;
  write_topic(index, s, topic);
  return vestry_topic_is_used(index->topics, topic);
}

/* Sets that no page depends on any more, nor is about to: a set that was just entered is pinned until the render has
 * named its topic, and the topic is used from then on. As often as the work is paid by what was entered since. */
static void sweep(vsi_sqlite_index *index) {
  if (index->entered_count < SWEEP_FROM + index->sets_count / 2) return;
  index->entered_count = 0;
  for (set *next, *s = index->all_sets; s; s = next) {
    next = s->next;
    if (!is_used(index, s)) remove_set(index, s);
  }
}

static void grow_buckets(vsi_sqlite_index *index) {
  if (index->sets_count < index->buckets_count) return;
  size_t count = index->buckets_count ? index->buckets_count * 2 : FIRST_BUCKETS;
  set **buckets = vsi_outside_calloc(index->host, count, sizeof *buckets);
  if (!buckets) return;
  vsi_outside_free(index->host, index->buckets);
  index->buckets = buckets;
  index->buckets_count = count;
  for (set *s = index->all_sets; s; s = s->next) {
    if (!s->is_findable) continue;
    set **bucket = bucket_of(index, s->hash);
    s->next_of_bucket = *bucket;
    *bucket = s;
  }
}

/* What a set is to be. Its arrays are borrowed. */
typedef struct plan {
  const vsi_sqlite_use *uses;
  const uint32_t *pages;
  uint32_t uses_count, pages_count;
  bool is_exact, is_wild, is_all;
  uint64_t hash;
} plan;

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

static set *find_set(const vsi_sqlite_index *index, const plan *p) {
  set *s = index->buckets_count ? *bucket_of(index, p->hash) : NULL;
  while (s && !is_plan_of(p, s)) s = s->next_of_bucket;
  return s;
}

/* NULL: no memory, or no room under the bound. */
static set *create_set(vsi_sqlite_index *index, const plan *p) {
  uint32_t places_count = p->pages_count > p->uses_count ? p->pages_count : p->uses_count;
  size_t bytes =
      sizeof(set) + p->uses_count * sizeof *p->uses + places_count * sizeof(place) + p->pages_count * sizeof *p->pages;
  uint32_t tables = p->uses_count ? p->uses[p->uses_count - 1].table + 1 : 0;
  grow_buckets(index);
  if (index->stats.bytes + bytes + p->pages_count * sizeof(page_entry) > index->max_bytes && !p->is_all) return NULL;
  if (!index->buckets_count || !grow_tables(index, tables)) return NULL;
  set *s = vsi_outside_calloc(index->host, 1, bytes);
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
    page_entry *entry = make_page(index, p->pages[i]);
    if (entry) {
      insert(&s->places[i], &entry->first, s);
      continue;
    }
    leave_pages(index, s);
    vsi_outside_free(index->host, s);
    return NULL;
  }
  if (!s->is_exact) make_coarse(index, s);
  s->number = ++index->numbers;
  s->next = index->all_sets;
  s->at = &index->all_sets;
  if (s->next) s->next->at = &s->next;
  index->all_sets = s;
  index->sets_count++;
  index->stats.bytes += bytes;
  s->is_findable = true;
  s->next_of_bucket = *bucket_of(index, s->hash);
  *bucket_of(index, s->hash) = s;
  return s;
}

/* -------------------------------------------------------------------------------------------------- commits ------- */

/* What a commit means for a set. */
typedef enum verdict { NOTHING, VOID, REFRESH } verdict;

static bool meets_tables(const vsi_sqlite_commit *commit, const plan *p) {
  return !commit->knows_tables || p->is_all || p->is_wild ||
         vsi_sqlite_uses_meet(p->uses, p->uses_count, commit->uses, commit->uses_count, commit->keys,
                              commit->keys_count);
}

static bool meets_pages(const vsi_sqlite_commit *commit, const plan *p) {
  for (size_t i = 0; i < commit->pages_count; i++) {
    size_t low = 0, high = p->pages_count;
    while (low < high) {
      size_t middle = (low + high) / 2;
      if (p->pages[middle] < commit->pages[i])
        low = middle + 1;
      else
        high = middle;
    }
    if (low < p->pages_count && p->pages[low] == commit->pages[i]) return true;
  }
  return false;
}

static verdict judge(const vsi_sqlite_commit *commit, const plan *p) {
  if (commit->is_whole) return REFRESH;
  if (p->is_exact && commit->knows_pages) {
    if (!meets_pages(commit, p)) return NOTHING;
    return commit->is_of_render || !meets_tables(commit, p) ? VOID : REFRESH;
  }
  if (commit->is_of_render) return p->is_exact ? VOID : NOTHING; /* nobody knows where it wrote */
  return meets_tables(commit, p) ? REFRESH : p->is_exact ? VOID : NOTHING;
}

static void drop_recent(vsi_sqlite_index *index) {
  recent *first = index->first_recent;
  index->forgotten = first->number;
  index->first_recent = first->next;
  if (!index->first_recent) index->last_recent = &index->first_recent;
  index->recent_count--;
  index->recent_bytes -= first->bytes;
  vsi_outside_free(index->host, first);
}

/* Keep it for the renders that run. */
static void remember(vsi_sqlite_index *index, const vsi_sqlite_commit *commit) {
  size_t bytes = sizeof(recent) + commit->uses_count * sizeof *commit->uses +
                 commit->keys_count * sizeof *commit->keys + commit->pages_count * sizeof *commit->pages;
  recent *made = index->running && bytes <= RECENT_BYTES ? vsi_outside_calloc(index->host, 1, bytes) : NULL;
  if (!made) { /* nobody misses it, or there is no room for it: who runs now is rendered again */
    while (index->first_recent) drop_recent(index);
    index->forgotten = index->commits;
    return;
  }
  while (index->recent_count == RECENT_MAX || index->recent_bytes + bytes > RECENT_BYTES) drop_recent(index);
  vsi_sqlite_use *uses = (vsi_sqlite_use *)(made + 1);
  vsi_sqlite_key *keys = (vsi_sqlite_key *)(uses + commit->uses_count);
  uint32_t *pages = (uint32_t *)(keys + commit->keys_count);
  made->number = index->commits;
  made->bytes = bytes;
  made->commit = *commit;
  made->commit.uses = uses;
  made->commit.keys = keys;
  made->commit.pages = pages;
  if (commit->uses_count) memcpy(uses, commit->uses, commit->uses_count * sizeof *uses);
  if (commit->keys_count) memcpy(keys, commit->keys, commit->keys_count * sizeof *keys);
  if (commit->pages_count) memcpy(pages, commit->pages, commit->pages_count * sizeof *pages);
  *index->last_recent = made;
  index->last_recent = &made->next;
  index->recent_count++;
  index->recent_bytes += bytes;
}

/* One refresh after the other, counted. */
typedef struct refreshes {
  vsi_sqlite_index *index;
  size_t count; /* of sets */
  uint64_t *ret_seq;
} refreshes;

static void refresh(refreshes *r, set *s) {
  char topic[TOPIC_BYTES];
  if (s->hit == r->index->commits) return;
  s->hit = r->index->commits;
  if (!is_used(r->index, s)) {
    remove_set(r->index, s);
    return;
  }
  write_topic(r->index, s, topic);
  r->index->stats.refreshed_count += vestry_topic_views(r->index->topics, topic);
  (void)vestry_refresh_here(r->index->topics, topic, r->ret_seq); /* its name is one: it cannot fail */
  r->count++;
}

static plan plan_of(const set *s) {
  return (plan){.uses = s->uses,
                .pages = s->pages,
                .uses_count = s->uses_count,
                .pages_count = s->is_exact ? s->pages_count : 0,
                .is_exact = s->is_exact,
                .is_wild = s->is_wild,
                .is_all = s->is_all};
}

static void judge_set(refreshes *r, const vsi_sqlite_commit *commit, set *s) {
  const plan p = plan_of(s);
  verdict is = judge(commit, &p);
  if (is == VOID) make_void(r->index, s);
  if (is == REFRESH) refresh(r, s);
}

/* Those that have read the page: of these it is known that it meets them. */
static void follow_page(refreshes *r, const vsi_sqlite_commit *commit, uint32_t page) {
  page_entry *entry = find_page(r->index, page);
  for (place *next, *at = entry ? entry->first : NULL; at; at = next) {
    set *s = at->of;
    const plan p = plan_of(s);
    next = at->next; /* another set's; the entry may be gone when the last one left */
    if (commit->is_of_render || !meets_tables(commit, &p))
      make_void(r->index, s);
    else
      refresh(r, s);
  }
}

static void follow_tables(refreshes *r, const vsi_sqlite_commit *commit) {
  vsi_sqlite_index *index = r->index;
  for (size_t i = 0; i < commit->uses_count; i++) {
    uint32_t table = commit->uses[i].table;
    for (place *next, *at = table < index->tables_count ? index->tables[table] : NULL; at; at = next) {
      next = at->next;
      judge_set(r, commit, at->of);
    }
  }
}

/* Those that depend on more than tables. */
static void follow_coarse(refreshes *r, const vsi_sqlite_commit *commit) {
  for (set *next, *s = r->index->coarse_sets; s; s = next) {
    next = s->next_coarse;
    if (!commit->knows_tables || s->is_wild || s->is_all) refresh(r, s);
  }
}

static void follow_all(refreshes *r, const vsi_sqlite_commit *commit) {
  for (set *next, *s = r->index->all_sets; s; s = next) {
    next = s->next;
    judge_set(r, commit, s);
  }
}

size_t vsi_sqlite_index_commit(vsi_sqlite_index *index, const vsi_sqlite_commit *commit, uint64_t *ret_seq) {
  refreshes r = {index, 0, ret_seq};
  pthread_mutex_lock(&index->lock);
  index->commits++;
  remember(index, commit);
  if (commit->is_whole) index->stats.whole_count++;
  if (commit->is_whole || !commit->knows_pages) {
    follow_all(&r, commit);
  } else {
    for (size_t i = 0; i < commit->pages_count; i++) follow_page(&r, commit, commit->pages[i]);
    if (!commit->is_of_render && commit->knows_tables) follow_tables(&r, commit);
    if (!commit->is_of_render) follow_coarse(&r, commit);
  }
  index->stats.refreshed_sets_count += r.count;
  pthread_mutex_unlock(&index->lock);
  return r.count;
}

/* -------------------------------------------------------------------------------------------------- renders ------- */

uint64_t vsi_sqlite_index_begin(vsi_sqlite_index *index) {
  pthread_mutex_lock(&index->lock);
  index->running++;
  uint64_t commits = index->commits;
  pthread_mutex_unlock(&index->lock);
  return commits;
}

static plan plan_for(vsi_sqlite_recording *recording) {
  plan p = {.is_wild = recording->is_wild, .is_all = recording->reads_all};
  p.is_exact = !recording->lacks_pages && !p.is_all;
  if (p.is_all) p.is_wild = false;
  if (!p.is_all) {
    vsi_sqlite_uses_sort(&recording->uses);
    p.uses = recording->uses.uses;
    p.uses_count = recording->uses.count;
  }
  if (p.is_exact) {
    p.pages_count = vsi_sqlite_reads_sort(recording);
    p.pages = recording->slots;
    if (p.pages_count && p.pages[0] == 1 && !p.is_wild) p.pages++, p.pages_count--;
  }
  return p;
}

static void without_pages(plan *p) {
  p->is_exact = false;
  p->pages_count = 0;
}

/* What came while it ran. Behind a commit that makes it void it is followed by tables. */
static verdict judge_recent(const vsi_sqlite_index *index, plan *p, uint64_t begun) {
  verdict worst = begun < index->forgotten ? REFRESH : NOTHING;
  for (const recent *at = index->first_recent; at && worst != REFRESH; at = at->next) {
    verdict is = at->number > begun ? judge(&at->commit, p) : NOTHING;
    if (is > worst) worst = is;
    if (is == VOID) without_pages(p);
  }
  return worst;
}

/* The set of what it has read, or of more. */
static set *place_for(vsi_sqlite_index *index, plan *p) {
  set *s;
  for (int i = 0; i < 2; i++) {
    hash_plan(p);
    s = find_set(index, p);
    if (!s) {
      index->entered_count++;
      sweep(index);
      s = create_set(index, p);
    }
    if (s || !p->is_exact) break;
    without_pages(p);
  }
  return s ? s : index->everything;
}

static void end_locked(vsi_sqlite_index *index) {
  if (--index->running) return;
  while (index->first_recent) drop_recent(index);
}

void vsi_sqlite_index_end(vsi_sqlite_index *index) {
  pthread_mutex_lock(&index->lock);
  end_locked(index);
  pthread_mutex_unlock(&index->lock);
}

void vsi_sqlite_index_enter_all(vsi_sqlite_index *index, vestry_render *render) {
  char topic[TOPIC_BYTES];
  write_topic(index, index->everything, topic);
  (void)vestry_render_topic(render, topic); /* what it says sticks in the render */
}

void vsi_sqlite_index_enter(vsi_sqlite_index *index, vsi_sqlite_recording *recording) {
  plan p = plan_for(recording);
  char topic[TOPIC_BYTES];
  pthread_mutex_lock(&index->lock);
  verdict is = NOTHING;
  set *s = NULL;
  if (recording->has_read) {
    bool was_exact = p.is_exact;
    is = judge_recent(index, &p, recording->begun);
    s = place_for(index, &p);
    s->pins++;
    index->stats.recorded_count++;
    if (was_exact ? !p.is_exact && is != VOID : recording->max_pages != 0) index->stats.coarse_count++;
    write_topic(index, s, topic);
  }
  end_locked(index);
  pthread_mutex_unlock(&index->lock);
  if (!s) return;
  (void)vestry_render_topic(recording->render, topic); /* what it says sticks in the render */
  if (is == REFRESH) (void)vestry_refresh_here(index->topics, topic, NULL);
  pthread_mutex_lock(&index->lock);
  s->pins--;
  pthread_mutex_unlock(&index->lock);
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_sqlite_index_create(vestry_pages *pages, const vestry_host *host, size_t max_bytes,
                                   vsi_sqlite_index **ret_index) {
  vsi_sqlite_index *index = vsi_outside_calloc(host, 1, sizeof *index);
  if (!index) return VESTRY_NO_MEMORY;
  index->topics = pages;
  index->host = host;
  index->max_bytes = max_bytes;
  index->last_recent = &index->first_recent;
  pthread_mutex_init(&index->lock, NULL);
  plan all = {.is_all = true};
  hash_plan(&all);
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
  while (index->first_recent) drop_recent(index);
  while (index->all_sets) remove_set(index, index->all_sets);
  vsi_outside_free(index->host, index->buckets);
  vsi_outside_free(index->host, index->pages);
  vsi_outside_free(index->host, index->tables);
  pthread_mutex_destroy(&index->lock);
  vsi_outside_free(index->host, index);
}

void vsi_sqlite_index_stats_get(vsi_sqlite_index *index, vsi_sqlite_index_stats *ret_stats) {
  pthread_mutex_lock(&index->lock);
  *ret_stats = index->stats;
  ret_stats->sets_count = index->sets_count;
  pthread_mutex_unlock(&index->lock);
}
