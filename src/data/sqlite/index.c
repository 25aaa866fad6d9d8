/* SPDX-License-Identifier: MIT */
/* essay: why a render misses no change of the data that it has read */
/* Sets of reads (sets.h), found by file pages, and by tables and keys. Renders with the same reads share a set. Each
 * set has a topic (vestry/app/page.h), on which its renders depend: a refresh of the topic runs them again. So a web
 * page that a thousand tabs show identically costs one set and one refresh.
 *
 * Why no change is missed. A render depends on the file pages that it has read, and on nothing else, except for data
 * that must be named as a topic (see the guide). While none of the file pages that it has read is written, another
 * render would read the same file pages, and produce the same output. So a commit concerns the render only if it writes
 * one of them. SQLite also describes which tables and columns a statement reads. A commit concerns a render only if it
 * changes a column that the render has read, or adds or removes rows of a table that it has read. If the statements
 * look rows up by a key (program.c), only rows with this key count. Both conditions are necessary. Therefore, a commit
 * with known file pages and known tables refreshes only the sets that meet both conditions.
 *
 * However, a commit may then write file pages of a set without refreshing it, because the commit concerns other tables
 * or rows. The commit may have moved the data of the set to other file pages, so that the next change of the data
 * writes those. Therefore, such a set is void: from then on, every commit that matches its tables refreshes it, and so
 * does every commit whose tables are unknown, until its renders run again and enter a new set. The same happens if a
 * render itself writes file pages of a set, because a render's writes refresh nothing.
 *
 * A file page can contain rows of thousands of renders. Therefore, the cost of a commit does not depend on the number
 * of sets with the file pages that it writes, if all reads of the sets look rows up by a key. Such a set is only in the
 * lists of its keys. A file page holds the number of the last commit that wrote it, and a set the number of the commit
 * as of which it is current: it is void, or concerned by the commit that is followed, if one of its file pages was
 * written later. This is compared only if a commit changes one of its keys.
 *
 * Other sets are ranged. As long as they depend on their file pages, they are in the lists of their pages, and a commit
 * that writes a file page compares all sets in its list; a void one is in the lists of its keys and tables instead.
 *
 * A commit that concerns many sets takes long. Therefore, commits are queued, and one thread at a time follows them
 * without the lock of the database, which committing threads need. It gives up the lock of the index after each AT_ONCE
 * sets. A render that ends meanwhile compares its reads with the commit that is being followed, or has begun after it,
 * and its set is current as of this commit. Commits behind it in the queue will concern that set.
 *
 * Tables of a commit of a stranger. If the tables of a commit are unknown, it refreshes the sets with a file page that
 * it wrote, and void sets whose data may be on such a file page. For this, the index knows the owners of each file
 * page: the tables whose renders have read it, and those whose commits, with known tables, wrote it. The data of a void
 * set are on file pages that its render has read, or on file pages that later commits of one of its tables wrote,
 * because SQLite writes each file page to which it moves rows. (A table that shares a bit with another one, and a file
 * page that shares an entry, only add owners.) So a void set is refreshed if it has read a table that owns a file page
 * which the commit wrote. There are three exceptions:
 * - If a row is removed from an inner file page of an index, its place is taken by the row before it. A row that does
 *   not exist, between the two, would then be found on a leaf that was not written. Therefore, void sets of tables
 *   with such a removal are also refreshed if the owner of a file page is uncertain: this process has neither read nor
 *   written it, or a stranger has written it.
 * - With auto_vacuum, and by a statement that changes something other than rows, a commit moves data of tables that it
 *   does not change. It makes all tables owners of what it writes.
 * - Sets whose file pages were never known are refreshed by each commit of a stranger.
 * A commit of a stranger adds no owner: it refreshes each set whose data it moves.
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
 *     verdict      the effect of a commit on a plan or a set
 *     exact        set that depends on its file pages
 *     ranged       set with a read that looks up no key
 *     wide         plan without keys: any row of each of its tables. Many renders share the set of a wide plan
 *     untracked    set that depends on data that cannot be tracked, so every commit concerns it
 *     whole        commit that concerns every render that has read the database
 *     stranger     connection that is attached in no process, so that the tables of its commits are unknown
 *
 * Locks: that of the index is locked before that of the pages. */
#include "data/sqlite/index.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/page/topic.h"
#include "base/log.h"
#include "data/sqlite/program.h"
#include "data/sqlite/sets.h"

enum {
  OWNERS = 1 << 14, /* other file pages share an entry */
  RECENT_MAX = 1024,
  RECENT_BYTES = 4 << 20,
  PATIENCE = 64,
  AT_ONCE = 256
};

typedef vsi_stepped_link member;
typedef vsi_sqlite_links list;
typedef vsi_sqlite_place place;
typedef vsi_sqlite_page page;
typedef vsi_sqlite_plan plan;
typedef vsi_sqlite_set set;

struct vsi_sqlite_index {
  vsi_sqlite_tables *names;        /* of the tables */
  const char *path;                /* of the database, for the log; borrowed */
  _Atomic(uint32_t) waiting_count; /* threads that wait for the lock; relaxed */
  vsi_mutex lock;
  /* All below is guarded by it. */
  vsi_sqlite_sets sets;
  vsi_sqlite_commit_list queue;  /* commits that are not followed yet */
  uint64_t queued, finished;     /* number of the last commit that was queued; that was followed to its end */
  bool is_following;             /* a thread follows a commit; it gives up the lock meanwhile */
  pthread_cond_t idle;           /* it has ended */
  unsigned done;                 /* by this thread since it has the lock */
  uint64_t seq;                  /* of the last refresh */
  vsi_sqlite_read mark;          /* in the list that is followed */
  uint64_t void_tables;          /* tables of sets that may be void; here and below each table is a bit */
  uint64_t uprooted_tables;      /* tables whose indexes have lost rows of inner file pages */
  uint64_t owners[OWNERS];       /* by file page: tables whose renders have read it, or whose commits wrote it */
  bool is_full;                  /* there is no room for sets; this was logged */
  unsigned logged_promotions;    /* a bit for each bound that was logged */
  size_t running;                /* number of running renders */
  vsi_sqlite_commit_list recent; /* commits that running renders may have missed */
  size_t recent_count, recent_bytes;
  uint64_t forgotten; /* the last commit that is no longer in recent */
  uint64_t refreshed_count, refreshed_sets_count, recorded_count, table_level_count, everything_count, over_pages_count,
      over_bytes_count, over_recent_count, promoted_count;
};

/* ------------------------------------------------------------------------------------------------- verdicts ------- */

/* The effect of a commit on a set:
 * NOTHING     the commit does not concern the set
 * INVALIDATE  the commit refreshes nothing, but has written file pages of the set, so data of the set may be on other
 *             file pages now
 * REFRESH     the set's renders run again */
typedef enum verdict { NOTHING, INVALIDATE, REFRESH } verdict;

/* The uses of a plan or a set. */
typedef struct reads {
  const vsi_sqlite_use *uses;
  size_t stride, count;
  bool are_all; /* every commit matches */
} reads;

static reads reads_of_plan(const plan *p) {
  return (reads){p->uses, sizeof *p->uses, p->uses_count, p->is_all || p->is_untracked};
}

static reads reads_of_set(const set *s) {
  return (reads){&s->reads->is, sizeof *s->reads, s->uses_count, s->is_all || s->is_untracked};
}

/* ------------------------------------------------------------------------------------------------ strangers ------- */

enum { TABLE_BITS = 63 };
static const uint64_t all_tables = (UINT64_C(1) << TABLE_BITS) - 1, of_stranger = UINT64_C(1) << TABLE_BITS;

static uint64_t bit_of(uint32_t table) {
  return UINT64_C(1) << table % TABLE_BITS;
}

/* Return the bits of the tables of reads. */
static uint64_t bits_of(const reads *r) {
  uint64_t bits = r->are_all || !r->count ? all_tables : 0;
  const vsi_sqlite_use *use = r->uses;
  for (size_t i = 0; i < r->count; i++, use = (const vsi_sqlite_use *)((const char *)use + r->stride))
    bits |= bit_of(use->table);
  return bits;
}

static uint64_t *owners_of(vsi_sqlite_index *index, uint32_t number) {
  return &index->owners[number % OWNERS];
}

/* Note that a render has read file pages. */
static void note_read(vsi_sqlite_index *index, const plan *p) {
  const reads of = reads_of_plan(p);
  const uint64_t tables = p->is_exact ? bits_of(&of) : 0;
  for (uint32_t i = 0; i < p->pages_count; i++) *owners_of(index, p->pages[i]) |= tables;
}

/* Note that a commit has written file pages. Returns the tables that it may have changed. Page 1 has no rows. */
static uint64_t note_written(vsi_sqlite_index *index, const vsi_sqlite_commit *commit) {
  const bool is_of_stranger = !commit->knows_tables && !commit->is_of_render;
  bool is_uncertain = false;
  uint64_t tables = commit->knows_tables || is_of_stranger ? 0 : all_tables;
  for (size_t i = 0; i < commit->uses_count && commit->knows_tables; i++) tables |= bit_of(commit->uses[i].table);
  if (commit->has_removed && commit->has_inner) index->uprooted_tables |= tables;
  const uint64_t added = is_of_stranger ? of_stranger : commit->is_rough ? all_tables : tables;
  for (size_t i = 0; i < commit->pages_count; i++) {
    uint64_t *owners = owners_of(index, commit->pages[i]);
    if (commit->pages[i] == 1) continue;
    is_uncertain |= !*owners || *owners & of_stranger;
    if (is_of_stranger) tables |= *owners;
    *owners |= added;
  }
  return is_of_stranger && is_uncertain ? tables | index->uprooted_tables : tables;
}

/* Return whether a commit concerns reads, considering only tables. */
static bool matches_tables(const vsi_sqlite_commit *commit, const reads *r) {
  return !commit->knows_tables || r->are_all ||
         vsi_sqlite_uses_meet(r->uses, r->stride, r->count, commit->uses, commit->uses_count, commit->keys,
                              commit->keys_count);
}

static bool matches_pages(const vsi_sqlite_commit *commit, const plan *p) {
  for (size_t i = 0; i < commit->pages_count && p->pages_count; i++)
    if (bsearch(&commit->pages[i], p->pages, p->pages_count, sizeof *p->pages, vsi_sqlite_compare_pages)) return true;
  return false;
}

/* Return the effect of a commit on a plan. A commit of a render refreshes nothing. If it has written file pages of an
 * exact plan, the plan is invalidated. */
static verdict judge_plan(const vsi_sqlite_commit *commit, const plan *p) {
  const reads of = reads_of_plan(p);
  if (commit->is_whole) return REFRESH;
  if (p->is_exact && commit->knows_pages && !matches_pages(commit, p)) return NOTHING;
  if (!commit->is_of_render && matches_tables(commit, &of)) return REFRESH;
  return p->is_exact ? INVALIDATE : NOTHING;
}

/* Do the same for a set, whose file pages the commit has marked. A set that is not ranged need not be invalidated.
 *  tables  that the commit may have changed, as far as void sets are concerned */
static verdict judge_set(const vsi_sqlite_sets *sets, const vsi_sqlite_commit *commit, uint64_t tables, const set *s) {
  const reads of = reads_of_set(s);
  if (commit->is_whole) return REFRESH;
  const bool knows_pages = sets->all_written <= s->since;
  if (s->is_exact && knows_pages && !vsi_sqlite_set_written(s, s->since)) return NOTHING;
  if (!commit->knows_tables && knows_pages && s->pages_count && !(bits_of(&of) & tables) &&
      !vsi_sqlite_set_written(s, sets->commits - 1))
    return NOTHING;
  if (!commit->is_of_render && matches_tables(commit, &of)) return REFRESH;
  return s->is_exact && s->is_ranged ? INVALIDATE : NOTHING;
}

/* Return the changed table for which renders are refreshed. If none of their tables matches (every commit concerns
 * them, because not all their reads are tracked), it is the first table that the commit changed. NULL: no table is
 * known. */
static const vsi_sqlite_use *matched_use(const vsi_sqlite_commit *commit, const reads *r) {
  for (size_t i = 0; i < commit->uses_count && commit->knows_tables; i++)
    if (vsi_sqlite_uses_meet(r->uses, r->stride, r->count, &commit->uses[i], 1, commit->keys, commit->keys_count))
      return &commit->uses[i];
  return commit->knows_tables && commit->uses_count ? commit->uses : NULL;
}

/* Take the lock, before which a thread that follows a commit yields. */
static void lock(vsi_sqlite_index *index) {
  if (vsi_mutex_try(&index->lock)) return;
  atomic_fetch_add_explicit(&index->waiting_count, 1, memory_order_relaxed); /* relaxed: only a hint */
  vsi_mutex_lock(&index->lock);
  atomic_fetch_sub_explicit(&index->waiting_count, 1, memory_order_relaxed);
}

/* -------------------------------------------------------------------------------------------------- commits ------- */

static size_t bytes_of(const vsi_sqlite_commit *commit) {
  return vsi_sqlite_commit_bytes_of(commit->uses_count, commit->keys_count, commit->pages_count);
}

/* Copy a commit and its arrays into one allocation. NULL: no memory */
static vsi_sqlite_commit *copy_commit(const vestry_host *host, const vsi_sqlite_commit *commit) {
  vsi_sqlite_commit *made = vsi_alloc(host, bytes_of(commit));
  if (!made) return NULL;
  *made = *commit;
  vsi_sqlite_commit_take_arrays(made);
  return made;
}

static void drop_recent(vsi_sqlite_index *index) {
  vsi_sqlite_commit *first = TAILQ_FIRST(&index->recent);
  index->forgotten = first->order;
  TAILQ_REMOVE(&index->recent, first, in);
  index->recent_count--;
  index->recent_bytes -= bytes_of(first);
  vsi_free(index->sets.host, first);
}

static void drop_all_recent(vsi_sqlite_index *index) {
  while (!TAILQ_EMPTY(&index->recent)) drop_recent(index);
}

/* Keep a commit for the running renders. */
static void remember(vsi_sqlite_index *index, const vsi_sqlite_commit *commit) {
  const size_t bytes = bytes_of(commit);
  vsi_sqlite_commit *made = index->running && bytes <= RECENT_BYTES ? copy_commit(index->sets.host, commit) : NULL;
  if (!made) { /* no render runs, or there is no room: running renders run again */
    drop_all_recent(index);
    index->forgotten = index->sets.commits;
    return;
  }
  while (index->recent_count == RECENT_MAX || index->recent_bytes + bytes > RECENT_BYTES) drop_recent(index);
  made->order = index->sets.commits;
  TAILQ_INSERT_TAIL(&index->recent, made, in);
  index->recent_count++;
  index->recent_bytes += bytes;
}

/* The refreshes of one commit. */
typedef struct refreshes {
  vsi_sqlite_index *index;
  const vsi_sqlite_commit *commit;
  uint64_t order;   /* of the commit */
  uint64_t tables;  /* that it may have changed, as bits */
  uint32_t named;   /* the table whose name it is */
  const char *name; /* NULL: none yet */
} refreshes;

/* Return the reason of a refresh: a table that the commit changed; if none is known, a file page that it wrote.
 * number: receives the name in this case. */
static vestry_change change_of(refreshes *r, const set *s, char number[12]) {
  const reads of = reads_of_set(s);
  const vsi_sqlite_use *use = matched_use(r->commit, &of);
  const page *written = use ? NULL : vsi_sqlite_set_written(s, r->order - 1);
  if (use && (!r->name || r->named != use->table)) {
    r->name = vsi_sqlite_tables_name(r->index->names, use->table);
    r->named = use->table;
  }
  vestry_change is = {.kind = VESTRY_REFRESH_DATABASE, .at_ns = r->commit->at_ns};
  if (use) {
    is.kind = VESTRY_REFRESH_TABLE;
    is.name = r->name;
  } else if (written) {
    snprintf(number, 12, "%" PRIu32, written->number);
    is.kind = VESTRY_REFRESH_DATABASE_PAGE;
    is.name = number;
  }
  return is;
}

static void refresh(refreshes *r, set *s) {
  vsi_sqlite_index *index = r->index;
  char topic[VSI_SQLITE_TOPIC_BYTES], number[12];
  vsi_used_topic of = {.name = topic, .change = change_of(r, s, number)};
  of.len = vsi_sqlite_set_topic(&index->sets, s, topic);
  s->since = r->order;
  const uint64_t seq = vsi_pages_refresh_used(index->sets.topics, &of, 1);
  if (!of.is_used) {
    if (s->pins) /* a render is about to name the topic */
      (void)vestry_refresh_for(index->sets.topics, topic, &of.change, &index->seq);
    else if (s != index->sets.everything)
      vsi_sqlite_sets_remove(&index->sets, s);
    return;
  }
  index->seq = seq;
  index->refreshed_count += of.fragments_count;
  index->refreshed_sets_count += of.fragments_count > 0; /* a render is about to name the topic, or none has */
}

/* Judge a set, which may be removed from all lists meanwhile; no other set is. */
static void follow_set(refreshes *r, set *s) {
  if (s->since == r->order) return; /* it was refreshed, or its render has begun later */
  const verdict is = judge_set(&r->index->sets, r->commit, r->tables, s);
  if (is == INVALIDATE) vsi_sqlite_sets_invalidate(&r->index->sets, s);
  if (is == REFRESH) refresh(r, s);
}

/* Let other threads have the lock after each AT_ONCE sets, keys or file pages. Without yielding, this thread would
 * nearly always be the first to take it again. */
static void rest(vsi_sqlite_index *index) {
  if (++index->done < AT_ONCE) return;
  index->done = 0;
  vsi_mutex_unlock(&index->lock);
  for (int i = 0; i < PATIENCE && atomic_load_explicit(&index->waiting_count, memory_order_relaxed); i++) sched_yield();
  vsi_mutex_lock(&index->lock);
}

/* Judge the sets of a list of places. The mark keeps the place in the list while sets are removed. */
static void follow_places(refreshes *r, const list *of) {
  vsi_sqlite_link *mark = &r->index->mark.at.in;
  for (vsi_sqlite_link *next, *at = LIST_FIRST(of); at; at = next) {
    LIST_INSERT_AFTER(at, mark, in);
    follow_set(r, ((place *)at)->of);
    rest(r->index);
    next = LIST_NEXT(mark, in);
    LIST_REMOVE(mark, in);
  }
}

/* The same for those that look up a key. */
static void follow_key(refreshes *r, const vsi_sqlite_use *key) {
  vsi_sqlite_sets *sets = &r->index->sets;
  vsi_sqlite_read *mark = &r->index->mark;
  mark->is = *key;
  for (member *next, *at = vsi_sqlite_sets_of_key(sets, key); at; at = next) {
    vsi_sqlite_mark_add(sets, mark, at);
    follow_set(r, ((place *)at)->of);
    rest(r->index);
    next = vsi_stepped_further(&mark->at.in_keys);
    vsi_sqlite_mark_remove(sets, mark);
  }
}

/* Judge the sets that look up one of some values. */
static void follow_run(refreshes *r, const vsi_sqlite_key *run) {
  vsi_sqlite_use key = {.table = run->table, .column = (int16_t)run->column, .key = run->key};
  for (;; key.key++) {
    follow_key(r, &key);
    rest(r->index);
    if (key.key == run->last) return;
  }
}

/* Judge the sets that are found by a table, and to which a change of it may match: sets that have read any row, and
 * sets that look up a key of a changed row. */
static void follow_table(refreshes *r, const vsi_sqlite_use *changed) {
  const vsi_sqlite_commit *commit = r->commit;
  const vsi_sqlite_sets *sets = &r->index->sets;
  if (changed->table >= sets->tables_count) return;
  follow_places(r, &sets->tables[changed->table].any);
  for (size_t i = vsi_sqlite_keys_begin(commit->keys, commit->keys_count, changed->table);
       i < commit->keys_count && commit->keys[i].table == changed->table; i++)
    if (sets->tables[changed->table].keyed & vsi_sqlite_key_column(commit->keys[i].column))
      follow_run(r, &commit->keys[i]);
}

/* Return whether the keys of a changed table, by which sets look rows up, are not all known, or more than there are
 * reads. */
static bool exceeds_keys(const refreshes *r, const vsi_sqlite_use *changed) {
  const vsi_sqlite_commit *commit = r->commit;
  const vsi_sqlite_sets *sets = &r->index->sets;
  const vsi_sqlite_table_reads *table = changed->table < sets->tables_count ? &sets->tables[changed->table] : NULL;
  if (!table || !table->keyed_count) return false;
  uint64_t values = 0;
  for (size_t i = vsi_sqlite_keys_begin(commit->keys, commit->keys_count, changed->table);
       i < commit->keys_count && commit->keys[i].table == changed->table; i++) {
    const uint64_t more = (uint64_t)commit->keys[i].last - (uint64_t)commit->keys[i].key;
    values += more < UINT32_MAX ? more + 1 : UINT32_MAX;
  }
  return table->keyed & ~changed->known_columns || values > AT_ONCE + sets->by_key.count;
}

static void follow_all(refreshes *r) {
  uint64_t at = 0;
  r->index->sets.is_walked = true;
  do {
    for (member *next, *it = vsi_stepped_map_part(&r->index->sets.by_plan, &at); it; it = next, r->index->done++) {
      next = it->next;
      follow_set(r, (set *)it);
    }
    rest(r->index);
  } while (at);
  r->index->sets.is_walked = false;
}

/* Mark the written file pages, and judge the ranged sets that have read them. */
static void follow_pages(refreshes *r) {
  vsi_sqlite_sets *sets = &r->index->sets;
  for (size_t i = 0; i < r->commit->pages_count; i++) {
    page *found = vsi_sqlite_sets_page(sets, r->commit->pages[i]);
    if (found && found->written != r->order) {
      found->written = r->order;
      r->index->void_tables |= *owners_of(r->index, found->number);
      found->refs++;
      follow_places(r, &found->sets);
      vsi_sqlite_page_release(sets, found);
    }
    rest(r->index);
  }
}

/* Judge the sets that are found by tables. If the tables or keys of the commit are unknown, these are all sets, except
 * if no set of its tables can be void, or has read a file page that it wrote. */
static void follow_tables(refreshes *r) {
  vsi_sqlite_index *index = r->index;
  const vsi_sqlite_commit *commit = r->commit;
  bool needs_all = !commit->knows_tables && (index->sets.coarse_count || index->void_tables & r->tables & all_tables);
  for (size_t i = 0; i < commit->uses_count && commit->knows_tables && !needs_all; i++)
    needs_all = exceeds_keys(r, &commit->uses[i]);
  if (needs_all) {
    follow_all(r);
    if (!commit->knows_tables) index->void_tables &= ~r->tables;
    return;
  }
  for (size_t i = 0; i < commit->uses_count && commit->knows_tables; i++) follow_table(r, &commit->uses[i]);
  follow_places(r, &index->sets.untracked); /* which every commit concerns */
}

static void follow_commit(vsi_sqlite_index *index, const vsi_sqlite_commit *commit) {
  refreshes r = {.index = index, .commit = commit, .order = ++index->sets.commits};
  const vestry_trace *former = vestry_trace_enter(commit->trace.is_sampled ? &commit->trace : NULL);
  index->is_following = true;
  remember(index, commit);
  r.tables = note_written(index, commit);
  if (!commit->knows_pages) {
    index->sets.all_written = r.order;
    index->void_tables = all_tables;
  }
  if (commit->is_whole || (!commit->knows_pages && index->sets.ranged_count)) {
    follow_all(&r);
  } else {
    follow_pages(&r);
    if (!commit->is_of_render) follow_tables(&r);
  }
  index->finished++;
  index->is_following = false;
  (void)vestry_trace_enter(former);
  pthread_cond_broadcast(&index->idle);
  rest(index);
}

/* Follow the queue up to a commit. */
static void follow_queue(vsi_sqlite_index *index, uint64_t last) {
  while (index->finished < last) {
    if (index->is_following) {
      vsi_mutex_wait(&index->lock, &index->idle);
      continue;
    }
    vsi_sqlite_commit *first = TAILQ_FIRST(&index->queue);
    TAILQ_REMOVE(&index->queue, first, in);
    follow_commit(index, first);
    vsi_free(index->sets.host, first);
  }
}

void vsi_sqlite_index_commit(vsi_sqlite_index *index, const vsi_sqlite_commit *commit) {
  vsi_sqlite_commit *made = copy_commit(index->sets.host, commit);
  lock(index);
  if (made) {
    TAILQ_INSERT_TAIL(&index->queue, made, in);
    index->queued++;
  } else {
    follow_queue(index, index->queued);
    index->queued++;
    follow_commit(index, commit);
  }
  vsi_mutex_unlock(&index->lock);
}

void vsi_sqlite_index_follow(vsi_sqlite_index *index, uint64_t *ret_seq) {
  vsi_mutex_lock(&index->lock);
  follow_queue(index, index->queued);
  if (index->seq > *ret_seq) *ret_seq = index->seq;
  vsi_mutex_unlock(&index->lock);
}

/* -------------------------------------------------------------------------------------------------- renders ------- */

uint64_t vsi_sqlite_index_begin(vsi_sqlite_index *index) {
  lock(index);
  index->running++;
  uint64_t commits = index->sets.commits;
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
  const vsi_sqlite_commit *at = NULL, *before = TAILQ_LAST(&index->recent, vsi_sqlite_commit_list);
  for (; before && before->order > begun; before = TAILQ_PREV(before, vsi_sqlite_commit_list, in)) at = before;
  for (; at && worst != REFRESH; at = TAILQ_NEXT(at, in)) {
    const verdict is = judge_plan(at, p);
    if (is > worst) worst = is;
    if (is == INVALIDATE) vsi_sqlite_plan_drop_pages(p);
    if (is != REFRESH) continue;
    const reads of = reads_of_plan(p);
    const vsi_sqlite_use *use = matched_use(at, &of);
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
  lock(index);
  end_locked(index);
  vsi_mutex_unlock(&index->lock);
}

void vsi_sqlite_index_enter_all(vsi_sqlite_index *index, vestry_render *render) {
  char topic[VSI_SQLITE_TOPIC_BYTES];
  lock(index);
  index->recorded_count++;
  index->everything_count++;
  vsi_mutex_unlock(&index->lock);
  vsi_sqlite_set_topic(&index->sets, index->sets.everything, topic);
  (void)vestry_render_topic(render, topic); /* an error stays in the render */
}

/* Count the precision with which a render is followed. was_exact: of its plan, before a bound, or the verdict of a
 * commit, made it less precise. Returns whether a bound did. */
static bool count_entered(vsi_sqlite_index *index, const set *s, const plan *p, bool was_exact, verdict is) {
  index->recorded_count++;
  const bool is_all = s == index->sets.everything;
  const bool is_bounded = !is_all && (p->is_wide || (was_exact && !p->is_exact && is != INVALIDATE));
  index->everything_count += is_all;
  index->table_level_count += is_bounded;
  return is_bounded;
}

/* Return whether the sets have just become full. They stay full until a set has room, and an eighth of max_bytes is
 * free. was_refused: the new set had no room. */
static bool becomes_full(vsi_sqlite_index *index, bool was_refused) {
  const bool was_full = index->is_full;
  index->is_full = was_refused || (was_full && index->sets.bytes >= index->sets.max_bytes - index->sets.max_bytes / 8);
  return index->is_full && !was_full;
}

/* Count a render that exceeds a bound. Returns whether it is the first one, which is logged. */
static bool count_over(uint64_t *counter, bool is_over) {
  *counter += is_over;
  return is_over && *counter == 1;
}

/* Count a render whose keys of a table became any row of it. Returns whether it is the first one by this bound, which
 * is logged. */
static bool count_promoted(vsi_sqlite_index *index, const vsi_sqlite_promotion *promotion) {
  const unsigned bit = promotion->bound ? 1U << promotion->bound : 0, is_new = bit & ~index->logged_promotions;
  index->promoted_count += promotion->bound != VSI_SQLITE_NO_BOUND;
  index->logged_promotions |= bit;
  return is_new;
}

static void log_promoted(const vsi_sqlite_index *index, const vsi_sqlite_promotion *promotion) {
  static const struct {
    const char *by;
    int limit;
    const char *of, *remedy;
  } bounds[] = {[VSI_SQLITE_OF_KEYS] = {"more than", VSI_SQLITE_KEYS_MAX, "keys", "show fewer rows, or in parts"},
                [VSI_SQLITE_OF_PARAMETERS] = {"more than", VSI_SQLITE_KEYS_MAX, "parameters of a statement",
                                              "show fewer rows, or in parts"},
                [VSI_SQLITE_OF_OPERATIONS] = {"a statement whose program (EXPLAIN) has more than",
                                              VSI_SQLITE_OPERATIONS_MAX, "operations", "divide the statement"},
                [VSI_SQLITE_OF_COLUMNS] = {"a column behind its first", VSI_SQLITE_KEYED_COLUMNS, "columns",
                                           "move this column forward"}};
  vsi_log(index->sets.host, VESTRY_LOG_WARN,
          "SQLite, %s: a render has looked up rows of the table %s by %s %d %s, so each change of a row of this table "
          "renders it; %s. Later ones are only counted (promoted_count)",
          index->path, vsi_sqlite_tables_name(index->names, promotion->table), bounds[promotion->bound].by,
          bounds[promotion->bound].limit, bounds[promotion->bound].of, bounds[promotion->bound].remedy);
}

void vsi_sqlite_index_enter(vsi_sqlite_index *index, vsi_sqlite_recording *recording) {
  if (!recording->has_read) {
    vsi_sqlite_index_end(index);
    return;
  }
  plan p = plan_for(recording);
  const bool was_exact = p.is_exact || recording->max_file_pages;
  char topic[VSI_SQLITE_TOPIC_BYTES];
  vestry_change change = {.kind = VESTRY_REFRESH_DATABASE};
  lock(index);
  const uint64_t refused = index->sets.refused_count;
  note_read(index, &p);
  const verdict is = judge_recent(index, &p, recording->begun, &change);
  set *s = vsi_sqlite_sets_place(&index->sets, &p);
  const bool was_refused = index->sets.refused_count != refused, becomes = becomes_full(index, was_refused);
  s->pins++;
  const bool is_bounded = count_entered(index, s, &p, was_exact, is);
  index->over_bytes_count += is_bounded && was_refused;
  const bool is_promoted = count_promoted(index, &recording->uses.promotion),
             is_over = count_over(&index->over_pages_count, recording->is_over && is_bounded),
             is_overtaken = count_over(&index->over_recent_count, recording->begun < index->forgotten);
  vsi_sqlite_set_topic(&index->sets, s, topic);
  end_locked(index);
  vsi_mutex_unlock(&index->lock);
  if (becomes)
    vsi_log(
        index->sets.host, VESTRY_LOG_WARN,
        "vestry_sqlite_create, %s: the recorded reads have reached options.max_bytes, %zu, so commits render further "
        "pages also for other rows of their tables; set a larger max_bytes",
        index->path, index->sets.max_bytes);
  if (is_over)
    vsi_log(index->sets.host, VESTRY_LOG_WARN,
            "SQLite, %s: a render has read more than options.max_file_pages, %u, so commits render it also for other "
            "rows of its tables; add an index, or set a larger max_file_pages. Later ones are only counted "
            "(over_pages_count)",
            index->path, (unsigned)recording->max_file_pages);
  if (is_promoted) log_promoted(index, &recording->uses.promotion);
  if (is_overtaken)
    vsi_log(
        index->sets.host, VESTRY_LOG_WARN,
        "SQLite, %s: more than %d commits, or %d bytes of their changes, came while a render ran, so it runs again; "
        "make its reads faster, or show fewer rows. Later ones are only counted (over_recent_count)",
        index->path, (int)RECENT_MAX, (int)RECENT_BYTES);
  (void)vestry_render_topic(recording->render, topic); /* an error stays in the render */
  if (is == REFRESH) (void)vestry_refresh_for(index->sets.topics, topic, &change, NULL);
  lock(index);
  s->pins--;
  vsi_mutex_unlock(&index->lock);
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_sqlite_index_create(vestry_pages *pages, vsi_sqlite_tables *tables, vsi_siphash_key secret,
                                   size_t max_bytes, const char *path, vsi_sqlite_index **ret_index) {
  vsi_sqlite_index *index = vsi_calloc(tables->host, 1, sizeof *index);
  if (!index) return VESTRY_NO_MEMORY;
  index->names = tables;
  index->path = path;
  index->sets.topics = pages;
  index->sets.host = tables->host;
  index->sets.secret = secret;
  index->sets.max_bytes = max_bytes;
  TAILQ_INIT(&index->recent);
  TAILQ_INIT(&index->queue);
  pthread_cond_init(&index->idle, NULL);
  vsi_mutex_init(&index->lock, VSI_LOCK_SQLITE_INDEX);
  if (vsi_sqlite_sets_init(&index->sets)) {
    vsi_sqlite_index_destroy(index);
    return VESTRY_NO_MEMORY;
  }
  *ret_index = index;
  return VESTRY_OK;
}

void vsi_sqlite_index_destroy(vsi_sqlite_index *index) {
  if (!index) return;
  const vestry_host *host = index->sets.host;
  drop_all_recent(index);
  for (vsi_sqlite_commit *left; (left = TAILQ_FIRST(&index->queue)) != NULL; vsi_free(host, left))
    TAILQ_REMOVE(&index->queue, left, in);
  pthread_cond_destroy(&index->idle);
  vsi_sqlite_sets_finish(&index->sets);
  vsi_mutex_finish(&index->lock);
  vsi_free(host, index);
}

void vsi_sqlite_index_stats_get(vsi_sqlite_index *index, vestry_sqlite_stats *stats) {
  lock(index);
  stats->refreshed_count = index->refreshed_count;
  stats->refreshed_sets_count = index->refreshed_sets_count;
  stats->recorded_count = index->recorded_count;
  stats->table_level_count = index->table_level_count;
  stats->everything_count = index->everything_count;
  stats->promoted_count = index->promoted_count;
  stats->over_pages_count = index->over_pages_count;
  stats->over_bytes_count = index->over_bytes_count;
  stats->over_recent_count = index->over_recent_count;
  stats->recorded_bytes = index->sets.bytes;
  vsi_mutex_unlock(&index->lock);
}
