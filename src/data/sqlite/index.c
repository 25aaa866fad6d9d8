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
 * But then a commit may write file pages of a set without refreshing it, because it concerns other tables. It may have
 * moved the data of the set to other file pages, so that the next change of the data writes those. Therefore, such a
 * set becomes void: it loses its file pages. From then on, every commit that meets its tables refreshes it, and so does
 * every commit whose tables are unknown, until its renders run again and enter a new set. The same happens if a render
 * itself writes file pages of a set, because a render's writes refresh nothing. A file page can contain rows of
 * thousands of renders, so thousands of sets may become void; those that look rows up by a key are found by the key,
 * without examining the others.
 *
 * A commit that arrives while a render runs is kept until the render ends, and is then compared with its reads, so the
 * order of the two does not matter. If there are too many such commits, the render runs again.
 *
 * Page 1 is read by every statement, and written whenever the file grows. Therefore, it counts only for renders that
 * read the schema. A change of the schema refreshes all.
 *
 * Words. A plan is the content of a set (sets.h). A verdict is the result of comparing a plan with a commit (judge.c).
 * An exact set is found by its file pages. A coarse set has none, and is found by its tables; void sets are coarse. A
 * wild set depends on data that cannot be tracked, so every commit concerns it. A commit is whole if it concerns every
 * render that has read the database.
 *
 * Locks: that of the index is locked before that of the pages. */
#include "data/sqlite/index.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/queue.h>

enum { RECENT_MAX = 1024, RECENT_BYTES = 1 << 20 };

typedef vsi_sqlite_set set;
typedef vsi_sqlite_place place;
typedef vsi_sqlite_plan plan;
typedef vsi_sqlite_verdict verdict;

/* A commit that running renders may have missed. */
typedef struct recent {
  STAILQ_ENTRY(recent) in;
  uint64_t number;
  size_t bytes;
  vsi_sqlite_commit commit; /* followed by its arrays */
} recent;

struct vsi_sqlite_index {
  vsi_sqlite_sets sets; /* guarded by lock, except its topics and host */
  vsi_sqlite_tables *tables;
  vsi_mutex lock;
  /* All below is guarded by it. */
  uint64_t commits; /* number of commits followed */
  size_t running;   /* number of running renders */
  STAILQ_HEAD(, recent) recent;
  size_t recent_count, recent_bytes;
  uint64_t forgotten; /* the last commit that is no longer in recent */
  vsi_sqlite_index_stats stats;
};

/* -------------------------------------------------------------------------------------------------- commits ------- */

static void drop_recent(vsi_sqlite_index *index) {
  recent *first = STAILQ_FIRST(&index->recent);
  index->forgotten = first->number;
  STAILQ_REMOVE_HEAD(&index->recent, in);
  index->recent_count--;
  index->recent_bytes -= first->bytes;
  vsi_free(index->sets.host, first);
}

/* Keep a commit for the running renders. */
static void remember(vsi_sqlite_index *index, const vsi_sqlite_commit *commit) {
  size_t bytes = sizeof(recent) + commit->uses_count * sizeof *commit->uses +
                 commit->keys_count * sizeof *commit->keys + commit->pages_count * sizeof *commit->pages;
  recent *made = index->running && bytes <= RECENT_BYTES ? vsi_calloc(index->sets.host, 1, bytes) : NULL;
  if (!made) { /* no render runs, or there is no room: running renders run again */
    while (!STAILQ_EMPTY(&index->recent)) drop_recent(index);
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
  STAILQ_INSERT_TAIL(&index->recent, made, in);
  index->recent_count++;
  index->recent_bytes += bytes;
}

/* The refreshes of one commit. */
typedef struct refreshes {
  vsi_sqlite_index *index;
  const vsi_sqlite_commit *commit;
  size_t count; /* of sets */
  uint64_t *ret_seq;
  uint32_t page;    /* that is followed; 0: none */
  uint32_t named;   /* the table whose name it is */
  const char *name; /* NULL: none yet */
} refreshes;

/* Refresh a topic, and name the reason: a table that the commit changed; if none is known, the file page that is
 * followed. */
static void refresh_topic(refreshes *r, const plan *p, const char *topic) {
  vestry_pages *topics = r->index->sets.topics;
  const vsi_sqlite_use *use = vsi_sqlite_met_use(r->commit, p);
  char number[12];
  if (use && (!r->name || r->named != use->table)) {
    r->name = vsi_sqlite_tables_name(r->index->tables, use->table);
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
  (void)vestry_refresh_for(topics, topic, &is, r->ret_seq);
}

static void refresh(refreshes *r, set *s) {
  char topic[VSI_SQLITE_SET_TOPIC_BYTES];
  size_t views;
  if (s->hit == r->index->commits) return;
  s->hit = r->index->commits;
  if (!vsi_sqlite_set_is_used(&r->index->sets, s, topic, &views)) {
    vsi_sqlite_set_remove(&r->index->sets, s);
    return;
  }
  r->index->stats.refreshed_count += views;
  refresh_topic(r, &s->plan, topic);
  r->count++;
}

static void judge_set(refreshes *r, set *s) {
  verdict is = vsi_sqlite_judge(r->commit, &s->plan);
  if (is == VSI_SQLITE_VOID) vsi_sqlite_set_make_void(&r->index->sets, s);
  if (is == VSI_SQLITE_REFRESH) refresh(r, s);
}

/* Find the sets that have read a written file page. Because the page matches, only their tables have to be compared:
 * refresh those that the commit meets, and make the others void. */
static void follow_page(refreshes *r) {
  const vsi_sqlite_commit *commit = r->commit;
  vsi_sqlite_page_entry *entry = vsi_sqlite_sets_find_page(&r->index->sets, r->page);
  for (place *next, *at = entry ? LIST_FIRST(&entry->places) : NULL; at; at = next) {
    set *s = at->of;
    next = LIST_NEXT(at, in); /* of another set; the entry may be freed after its last set left */
    if (commit->is_of_render || !vsi_sqlite_meets_tables(commit, &s->plan))
      vsi_sqlite_set_make_void(&r->index->sets, s);
    else
      refresh(r, s);
  }
}

static void judge_found(set *s, void *ctx) {
  judge_set(ctx, s);
}

static void follow_tables(refreshes *r) {
  const vsi_sqlite_commit *commit = r->commit;
  for (size_t i = 0; i < commit->uses_count; i++)
    vsi_sqlite_sets_find_changed(&r->index->sets, &commit->uses[i], commit->keys, commit->keys_count, judge_found, r);
}

/* Refresh the wild sets, which every commit concerns; and all coarse sets, if the commit's tables are unknown. */
static void follow_coarse(refreshes *r) {
  vsi_sqlite_sets *sets = &r->index->sets;
  for (set *next, *s = LIST_FIRST(&sets->wild_sets); s; s = next) {
    next = LIST_NEXT(s, in_coarse);
    refresh(r, s);
  }
  for (set *next, *s = r->commit->knows_tables ? NULL : LIST_FIRST(&sets->coarse_sets); s; s = next) {
    next = LIST_NEXT(s, in_coarse);
    refresh(r, s);
  }
}

static void follow_all(refreshes *r) {
  for (set *next, *s = LIST_FIRST(&r->index->sets.all_sets); s; s = next) {
    next = LIST_NEXT(s, in_all);
    judge_set(r, s);
  }
}

size_t vsi_sqlite_index_commit(vsi_sqlite_index *index, const vsi_sqlite_commit *commit, uint64_t *ret_seq) {
  refreshes r = {.index = index, .commit = commit, .ret_seq = ret_seq};
  vsi_mutex_lock(&index->lock);
  index->commits++;
  remember(index, commit);
  if (commit->is_whole) index->stats.whole_count++;
  if (commit->is_whole || !commit->knows_pages) {
    follow_all(&r);
  } else {
    for (size_t i = 0; i < commit->pages_count; i++) {
      r.page = commit->pages[i];
      follow_page(&r);
    }
    r.page = 0;
    if (!commit->is_of_render && commit->knows_tables) follow_tables(&r);
    if (!commit->is_of_render) follow_coarse(&r);
  }
  index->stats.refreshed_sets_count += r.count;
  vsi_mutex_unlock(&index->lock);
  return r.count;
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

/* Compare a plan with the commits that came while its render ran. change: receives the time of the commit that
 * refreshes it, and the table, if it is known. A commit with the verdict VOID removes the plan's file pages; later
 * commits are compared with its tables only. */
static verdict judge_recent(const vsi_sqlite_index *index, plan *p, uint64_t begun, vestry_change *change) {
  verdict worst = begun < index->forgotten ? VSI_SQLITE_REFRESH : VSI_SQLITE_NOTHING;
  const recent *at;
  STAILQ_FOREACH(at, &index->recent, in) {
    if (worst == VSI_SQLITE_REFRESH) break;
    verdict is = at->number > begun ? vsi_sqlite_judge(&at->commit, p) : VSI_SQLITE_NOTHING;
    if (is > worst) worst = is;
    const vsi_sqlite_use *use = is == VSI_SQLITE_REFRESH ? vsi_sqlite_met_use(&at->commit, p) : NULL;
    if (is == VSI_SQLITE_REFRESH) change->at_ns = at->commit.at_ns;
    if (use) {
      change->kind = VESTRY_REFRESH_TABLE;
      change->name = vsi_sqlite_tables_name(index->tables, use->table);
    }
    if (is == VSI_SQLITE_VOID) vsi_sqlite_plan_without_pages(p);
  }
  return worst;
}

static void end_locked(vsi_sqlite_index *index) {
  if (--index->running) return;
  while (!STAILQ_EMPTY(&index->recent)) drop_recent(index);
}

void vsi_sqlite_index_end(vsi_sqlite_index *index) {
  vsi_mutex_lock(&index->lock);
  end_locked(index);
  vsi_mutex_unlock(&index->lock);
}

void vsi_sqlite_index_enter_all(vsi_sqlite_index *index, vestry_render *render) {
  char topic[VSI_SQLITE_SET_TOPIC_BYTES];
  vsi_sqlite_set_topic(&index->sets, index->sets.everything, topic);
  (void)vestry_render_topic(render, topic); /* an error stays in the render */
}

void vsi_sqlite_index_enter(vsi_sqlite_index *index, vsi_sqlite_recording *recording) {
  plan p = plan_for(recording);
  char topic[VSI_SQLITE_SET_TOPIC_BYTES];
  vsi_mutex_lock(&index->lock);
  verdict is = VSI_SQLITE_NOTHING;
  set *s = NULL;
  vestry_change change = {.kind = VESTRY_REFRESH_DATABASE};
  if (recording->has_read) {
    bool was_exact = p.is_exact;
    is = judge_recent(index, &p, recording->begun, &change);
    s = vsi_sqlite_sets_place(&index->sets, &p);
    s->pins++;
    index->stats.recorded_count++;
    if (was_exact ? !p.is_exact && is != VSI_SQLITE_VOID : recording->max_file_pages != 0) index->stats.coarse_count++;
    vsi_sqlite_set_topic(&index->sets, s, topic);
  }
  end_locked(index);
  vsi_mutex_unlock(&index->lock);
  if (!s) return;
  (void)vestry_render_topic(recording->render, topic); /* an error stays in the render */
  if (is == VSI_SQLITE_REFRESH) (void)vestry_refresh_for(index->sets.topics, topic, &change, NULL);
  vsi_mutex_lock(&index->lock);
  s->pins--;
  vsi_mutex_unlock(&index->lock);
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_sqlite_index_create(vestry_pages *pages, const vestry_host *host, vsi_sqlite_tables *tables,
                                   size_t max_bytes, vsi_sqlite_index **ret_index) {
  vsi_sqlite_index *index = vsi_calloc(host, 1, sizeof *index);
  if (!index) return VESTRY_NO_MEMORY;
  index->tables = tables;
  STAILQ_INIT(&index->recent);
  vsi_mutex_init(&index->lock, VSI_LOCK_SQLITE_INDEX);
  if (vsi_sqlite_sets_init(&index->sets, pages, host, max_bytes)) {
    vsi_sqlite_index_destroy(index);
    return VESTRY_NO_MEMORY;
  }
  *ret_index = index;
  return VESTRY_OK;
}

void vsi_sqlite_index_destroy(vsi_sqlite_index *index) {
  if (!index) return;
  while (!STAILQ_EMPTY(&index->recent)) drop_recent(index);
  const vestry_host *host = index->sets.host;
  vsi_sqlite_sets_finish(&index->sets);
  vsi_mutex_finish(&index->lock);
  vsi_free(host, index);
}

void vsi_sqlite_index_stats_get(vsi_sqlite_index *index, vsi_sqlite_index_stats *ret_stats) {
  vsi_mutex_lock(&index->lock);
  *ret_stats = index->stats;
  ret_stats->bytes = index->sets.bytes;
  ret_stats->sets_count = index->sets.sets_count;
  vsi_mutex_unlock(&index->lock);
}
