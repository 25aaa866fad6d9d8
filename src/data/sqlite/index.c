/* SPDX-License-Identifier: MIT */
/* essay: why a render misses no change of the data that it has read */
/* The reads of renders (data/sql/reads.h) with keys of SQLite: values in columns, tables and file pages.
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
 * of sets with the file pages that it writes, if all reads of the sets look rows up by a key. Such a set is found only
 * by its keys. Each file page has the time of the last commit that wrote it, and the group of the set that of its first
 * set: the set is void, or concerned by the commit that is followed, if one of its file pages was written later. This
 * is compared only if a commit changes one of its keys. A render that reads the same file pages after such a commit
 * needs another group, because its data may be on others now.
 *
 * Other sets are ranged. As long as they depend on their file pages, their group is found by these pages, and a commit
 * that writes a file page compares all sets with it; a void group is found by its tables instead (vsi_reads_turn).
 *
 * A commit that concerns many sets takes long. Therefore, commits are queued, and one thread at a time follows them
 * without the lock of the database, which committing threads need, and publishes each when its turn has come. Then it
 * marks its file pages at once, before others have the lock.
 *
 * A commit of a render refreshes nothing; but it can make sets void.
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
 *     wide         plan without keys: any row of each of its tables. Many renders share the group of a wide plan
 *     untracked    set that depends on data that cannot be tracked, so every commit concerns it
 *     whole        commit that concerns every render that has read the database
 *     stranger     connection that is attached in no process, so that the tables of its commits are unknown
 *
 * Locks: that of the index is locked before that of the pages. */
#include "data/sqlite/index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/page/topic.h"
#include "base/array.h"
#include "base/hash.h"
#include "base/log.h"
#include "data/sqlite/program.h"

enum {
  KEYED = 256, /* other tables share an entry */
  RECENT_MAX = 1024,
  RECENT_BYTES = 4 << 20,
  WIDE_BYTES = 64 << 10, /* beyond max_bytes, for sets of wide plans, and once more max_bytes */
  PAGES_MOST = 1 << 20,  /* file pages with entries: the first 4 GiB of a file as a rule */
  TABLE_BITS = 63,       /* each table is a bit; one more is for strangers */
  MANY_VALUES = 256      /* beyond the number of reads; with more, a commit is compared with all sets */
};

#define ALL_TABLES  ((UINT64_C(1) << TABLE_BITS) - 1)
#define OF_STRANGER (UINT64_C(1) << TABLE_BITS)

typedef vsi_read_set set;
typedef vsi_read_group group;

/* Kinds of keys, modulo 32. ROW: 32 times the column + 2 is added. */
enum { ROW = 1, TABLE, PAGE, UNTRACKED, KINDS = 32 };

/* The content of a set. Its arrays are borrowed. */
typedef struct plan {
  vsi_sqlite_use *uses; /* sorted */
  const uint32_t *pages;
  uint32_t uses_count, pages_count;
  bool is_exact, is_wide, is_untracked;
  bool was_refused, was_invalidated; /* by the bound max_bytes; by a commit */
} plan;

/* The data of a group. Those of a set are the uses of its keys. */
typedef struct shared {
  uint32_t uses_count, pages_count;
  bool is_exact, is_ranged, is_untracked;
  vsi_sqlite_use uses[]; /* of any row, sorted; then the numbers of the file pages */
} shared;

/* What a set has read, or a render without a set yet. */
typedef struct content {
  const shared *of;
  const vsi_sqlite_use *own;
  uint32_t own_count;
  bool is_exact, is_new; /* exact: and not void. new: it has no set yet */
  uint64_t since;        /* later commits may concern it */
} content;

/* A commit in the queue, and then in the ring. */
typedef struct followed {
  vsi_read_commit is; /* first */
  bool is_borrowed;   /* there was no memory for a copy */
  vsi_sqlite_commit of;
} followed;

/* A file page that renders have read or commits have written. */
typedef struct file_page {
  uint64_t at;     /* when the last commit that wrote it was published; 0: none */
  uint64_t owners; /* as bits of tables */
} file_page;

struct vsi_sqlite_index {
  vsi_reads reads; /* first; its lock guards all below */
  vestry_pages *pages;
  vsi_sqlite_tables *names;   /* of the tables, and of the database */
  vsi_siphash_key secret;     /* for hashes of values */
  struct vsi_read_ring queue; /* commits that are not followed yet */
  uint64_t queued, finished;  /* number of the last commit that was queued; that was followed to its end */
  bool is_following;          /* a thread follows a commit; it gives up the lock meanwhile */
  uint64_t seq;               /* of the last refresh */
  file_page *pages_of_file;   /* by number; the others share `rest`, and so do all without memory */
  size_t pages_count;
  file_page rest;
  uint64_t all_at;             /* when the last commit whose file pages are unknown was published */
  uint64_t void_tables;        /* as bits: tables of sets that may be void; renders have read them */
  uint64_t read;               /* tables that renders have read */
  uint64_t uprooted;           /* tables whose indexes have lost rows of inner file pages */
  uint64_t keyed[KEYED];       /* by table: columns by which sets look rows up, as in vsi_sqlite_use */
  bool has_coarse, has_ranged; /* there may be sets whose file pages were never known; that are ranged */
  vestry_sqlite_stats *stats;  /* borrowed; the index's lock guards those that it counts */
};

vsi_reads *vsi_sqlite_index_reads(vsi_sqlite_index *index) {
  return &index->reads;
}

/* ----------------------------------------------------------------------------------------------------- keys ------- */

static vsi_read_key row_key(uint32_t table, int32_t column, int64_t value) {
  return (vsi_read_key){.relation = (uint32_t)value,
                        .block = (uint32_t)((uint64_t)value >> 32),
                        .offset = (uint16_t)table,
                        .kind = (uint16_t)(ROW + KINDS * (column + 2))};
}

static vsi_read_key key_of(uint32_t number, uint16_t kind) {
  return (vsi_read_key){.relation = number, .kind = kind};
}

/* Users may choose the values by which rows are looked up. */
static uint64_t hash_key(const void *ctx, const vsi_read_key *key) {
  const vsi_sqlite_index *index = ctx;
  const uint64_t value = (uint64_t)key->block << 32 | key->relation, of = (uint32_t)key->offset << 16 | key->kind;
  return key->kind % KINDS == ROW ? vsi_siphash_1_3_words(index->secret, value, of, 0, 16)
                                  : vsi_hash_mix(vsi_hash_mix(0, value), of);
}

static content content_of(set *s) {
  group *g = s->group;
  const shared *of = vsi_read_group_data(g);
  return (content){of, vsi_read_set_data(s), s->places_count, of->is_exact && !g->has_turned, false, g->since};
}

static const uint32_t *pages_of(const shared *of) {
  return (const uint32_t *)&of->uses[of->uses_count];
}

/* --------------------------------------------------------------------------------------------------- topics ------- */

static void depend(const vsi_sqlite_index *index, vestry_render *render, uint64_t number) {
  char topic[VSI_READS_TOPIC_BYTES];
  (void)vsi_reads_topic("sqlite", index, number, topic);
  (void)vestry_render_topic(render, topic); /* an error stays in the render */
}

static bool is_used(void *ctx, uint64_t number) {
  const vsi_sqlite_index *index = ctx;
  char topic[VSI_READS_TOPIC_BYTES];
  bool has_topic;
  (void)vsi_reads_topic("sqlite", index, number, topic);
  (void)vestry_topic_fragments(index->pages, topic, &has_topic);
  return has_topic;
}

/* Return the reason of a refresh. number: receives the name of a file page */
static vestry_change change_of(const vsi_sqlite_index *index, const vsi_read_hit *of, char number[12]) {
  vestry_change is = {.kind = VESTRY_REFRESH_DATABASE, .at_ns = of->at_ns};
  if (of->key.kind == TABLE) {
    is.kind = VESTRY_REFRESH_TABLE;
    is.name = vsi_sqlite_tables_name(index->names, of->key.relation);
  } else if (of->key.kind == PAGE) {
    snprintf(number, 12, "%" PRIu32, of->key.relation);
    is.kind = VESTRY_REFRESH_DATABASE_PAGE;
    is.name = number;
  }
  return is;
}

static void hit(void *ctx, vsi_read_hit *hits, size_t count) {
  vsi_sqlite_index *index = ctx;
  vsi_used_topic topics[VSI_READS_HITS_MOST];
  char names[VSI_READS_HITS_MOST][VSI_READS_TOPIC_BYTES], numbers[VSI_READS_HITS_MOST][12];
  for (size_t i = 0; i < count; i++)
    topics[i] = (vsi_used_topic){.name = names[i],
                                 .len = vsi_reads_topic("sqlite", index, hits[i].number, names[i]),
                                 .change = change_of(index, &hits[i], numbers[i])};
  const uint64_t seq = vsi_pages_refresh_used(index->pages, topics, count);
  if (seq) index->seq = seq;
  for (size_t i = 0; i < count; i++) {
    hits[i].is_used = topics[i].is_used;
    if (topics[i].is_used) index->stats->refreshed_count += topics[i].fragments_count;
  }
}

/* ------------------------------------------------------------------------------------------------ file pages ------ */

/* If the tables of a commit are unknown, it refreshes the sets with a file page that it wrote, and void sets
 * whose data may be on such a file page. For this, the owners of each file page are known: the tables whose renders
 * have read it, and those whose commits, with known tables, wrote it. The data of a void set are on file pages that its
 * render has read, or on file pages that later commits of one of its tables wrote, because SQLite writes each file page
 * to which it moves rows. (A table that shares a bit with another one, and a file page that shares an entry, only add
 * owners.) So a void set is refreshed if it has read a table that owns a file page which the commit wrote. There are
 * three exceptions:
 * - If a row is removed from an inner file page of an index, its place is taken by the row before it. A row that does
 *   not exist, between the two, would then be found on a leaf that was not written. Therefore, void sets of tables
 *   with such a removal are also refreshed if the owner of a file page is uncertain: this process has neither read nor
 *   written it, or a stranger has written it.
 * - With auto_vacuum, and by a statement that changes something other than rows, a commit moves data of tables that it
 *   does not change. It makes all tables owners of what it writes.
 * - Sets whose file pages were never known are refreshed by each commit of a stranger.
 * A commit of a stranger adds no owner: it refreshes each set whose data it moves. */

static uint64_t table_bit(uint32_t table) {
  return UINT64_C(1) << table % TABLE_BITS;
}

/* Return the entry of a file page, and make one if it has none. File pages that share one have uncertain owners. */
static file_page *make_entry(vsi_sqlite_index *index, uint32_t number) {
  const size_t had = index->pages_count;
  if (number >= had && number < PAGES_MOST &&
      !VSI_ARRAY_RESERVE(index->reads.is.host, index->pages_of_file, had, index->pages_count, number + 1 - had))
    for (size_t i = had; i < index->pages_count; i++) index->pages_of_file[i] = index->rest;
  if (number < index->pages_count) return &index->pages_of_file[number];
  index->rest.owners |= OF_STRANGER;
  return &index->rest;
}

/* Note that a render has read file pages. */
static void note_read(vsi_sqlite_index *index, const plan *p) {
  uint64_t tables = p->is_untracked || !p->uses_count ? ALL_TABLES : 0;
  for (uint32_t i = 0; i < p->uses_count; i++) tables |= table_bit(p->uses[i].table);
  index->read |= tables;
  for (size_t i = 0; i < p->pages_count; i++) make_entry(index, p->pages[i])->owners |= tables;
}

/* Note that a commit, published then, has written file pages. Returns the tables that it may have changed. */
static uint64_t note_written(vsi_sqlite_index *index, const vsi_sqlite_commit *commit, uint64_t at) {
  const bool is_of_stranger = !commit->knows_tables && !commit->is_of_render;
  bool is_uncertain = false;
  uint64_t tables = commit->knows_tables || is_of_stranger ? 0 : ALL_TABLES;
  for (size_t i = 0; i < commit->uses_count && commit->knows_tables; i++) tables |= table_bit(commit->uses[i].table);
  if (commit->has_removed && commit->has_inner) index->uprooted |= tables;
  const uint64_t added = is_of_stranger ? OF_STRANGER : commit->is_rough ? ALL_TABLES : tables;
  for (size_t i = 0; i < commit->pages_count; i++) {
    file_page *entry = make_entry(index, commit->pages[i]);
    entry->at = at;
    if (commit->pages[i] != 1) { /* which has no rows */
      is_uncertain |= !entry->owners || entry->owners & OF_STRANGER;
      if (is_of_stranger) tables |= entry->owners;
      entry->owners |= added;
    }
    index->void_tables |= entry->owners & index->read;
  }
  if (!commit->knows_pages) {
    index->all_at = at;
    index->void_tables = ALL_TABLES;
  }
  return is_of_stranger && is_uncertain ? tables | index->uprooted : tables;
}

/* Return whether one of the file pages of reads was written later. ret_page: receives it */
static bool is_written(const vsi_sqlite_index *index, const shared *of, uint64_t since, uint32_t *ret_page) {
  for (uint32_t i = 0; i < of->pages_count; i++) {
    const uint32_t page = *ret_page = pages_of(of)[i];
    if ((page < index->pages_count ? &index->pages_of_file[page] : &index->rest)->at > since) return true;
  }
  return false;
}

/* ------------------------------------------------------------------------------------------------- verdicts ------- */

/* Return whether a later set may be in a group: whether none of its file pages was written. */
static bool is_current(const void *ctx, group *g) {
  const vsi_sqlite_index *index = ctx;
  const shared *of = vsi_read_group_data(g);
  uint32_t page;
  return !of->is_exact || (index->all_at <= g->since && !is_written(index, of, g->since, &page));
}

/* The effect of a commit on a set:
 * NOTHING     the commit does not concern the set
 * INVALIDATE  the commit refreshes nothing, but has written file pages of the set, so data of the set may be on other
 *             file pages now
 * REFRESH     the set's renders run again */
typedef enum verdict { NOTHING, INVALIDATE, REFRESH } verdict;

/* Return the changed table for which a commit concerns reads, considering only tables; NULL: none. */
static const vsi_sqlite_use *match(const vsi_sqlite_commit *commit, const content *r) {
  for (size_t i = 0; i < commit->uses_count && commit->knows_tables; i++)
    if (vsi_sqlite_uses_meet(r->of->uses, r->of->uses_count, &commit->uses[i], commit->keys, commit->keys_count) ||
        vsi_sqlite_uses_meet(r->own, r->own_count, &commit->uses[i], commit->keys, commit->keys_count))
      return &commit->uses[i];
  return NULL;
}

/* Return the reason of a refresh. If no changed table matches (every commit concerns the set, because not all its reads
 * are tracked), it is the first table that the commit changed; if none is known, a file page that it wrote. 0: none */
static vsi_read_key reason_of(const vsi_sqlite_commit *commit, const vsi_sqlite_use *matched, uint32_t page) {
  if (!matched && commit->knows_tables && commit->uses_count) matched = commit->uses;
  return matched ? key_of(matched->table, TABLE) : page ? key_of(page, PAGE) : (vsi_read_key){.kind = 0};
}

/* Return the bits of the tables of reads. */
static uint64_t bits_of(const content *r) {
  uint64_t bits = r->of->is_untracked || !(r->of->uses_count + r->own_count) ? ALL_TABLES : 0;
  for (uint32_t i = 0; i < r->of->uses_count; i++) bits |= table_bit(r->of->uses[i].table);
  for (uint32_t i = 0; i < r->own_count; i++) bits |= table_bit(r->own[i].table);
  return bits;
}

/* Return the effect of a commit, which has marked its file pages, on reads. A commit of a render refreshes nothing. If
 * it has written file pages of an exact set, the set is invalidated; one that is not ranged need not be, once it has a
 * group, because the group notices that.
 *  tables  that the commit may have changed, as far as void sets are concerned */
static verdict judge(const vsi_sqlite_index *index, const followed *c, uint64_t tables, const content *r,
                     vsi_read_key *ret_reason) {
  const vsi_sqlite_commit *commit = &c->of;
  const bool knows_pages = index->all_at <= r->since;
  uint32_t page = 0;
  if (!commit->is_whole && r->is_exact && knows_pages && !is_written(index, r->of, r->since, &page)) return NOTHING;
  const bool is_hit = is_written(index, r->of, c->is.published - 1, &page);
  const vsi_sqlite_use *matched = match(commit, r);
  *ret_reason = reason_of(commit, matched, is_hit ? page : 0);
  if (commit->is_whole) return REFRESH;
  if (!commit->knows_tables && knows_pages && r->of->pages_count && !(bits_of(r) & tables) && !is_hit) return NOTHING;
  if (!commit->is_of_render && (!commit->knows_tables || r->of->is_untracked || matched)) return REFRESH;
  return r->is_exact && (r->of->is_ranged || r->is_new) ? INVALIDATE : NOTHING;
}

/* -------------------------------------------------------------------------------------------------- commits ------- */

/* The walks of one commit. */
typedef struct walks {
  vsi_sqlite_index *index;
  const followed *c;
  uint64_t tables; /* that it may have changed, as bits */
} walks;

/* Note what later commits must know of the reads of sets. */
static void note_reads(vsi_sqlite_index *index, const content *r) {
  index->has_ranged |= r->of->is_ranged;
  index->has_coarse |= !r->of->is_exact && !r->of->pages_count;
  for (uint32_t i = 0; i < r->own_count; i++)
    index->keyed[r->own[i].table % KEYED] |= vsi_sqlite_key_column(r->own[i].column);
}

/* Judge the sets of the walk that has begun. */
static void judge_walked(walks *w) {
  vsi_sqlite_index *index = w->index;
  vsi_read_key reason;
  for (set *s; (s = vsi_reads_next(&index->reads)); vsi_reads_give_way(&index->reads)) {
    const content r = content_of(s);
    const verdict is = judge(index, w->c, w->tables, &r, &reason);
    if (index->reads.walk.is_all && is != REFRESH) note_reads(index, &r);
    if (is == INVALIDATE) vsi_reads_turn(&index->reads, s->group);
    if (is == REFRESH) vsi_reads_hit(&index->reads, s, reason, w->c->is.at_ns);
  }
}

static void judge_key(walks *w, vsi_read_key key) {
  vsi_reads *reads = &w->index->reads;
  vsi_reads_give_way(reads);
  if (!vsi_reads_may_have(reads, &key)) return;
  vsi_reads_walk_key(reads, &key);
  judge_walked(w);
}

static void judge_all(walks *w) {
  vsi_sqlite_index *index = w->index;
  memset(index->keyed, 0, sizeof index->keyed);
  index->has_coarse = index->has_ranged = false;
  vsi_reads_walk(&index->reads);
  judge_walked(w);
}

/* Judge the sets that look up one of some values. */
static void judge_run(walks *w, const vsi_sqlite_key *run) {
  for (int64_t value = run->key;; value++) {
    judge_key(w, row_key(run->table, run->column, value));
    if (value == run->last) return;
  }
}

/* Judge the sets that are found by a table, and to which a change of it may match: sets that have read any row, and
 * sets that look up a key of a changed row. */
static void judge_table(walks *w, const vsi_sqlite_use *changed) {
  const vsi_sqlite_commit *commit = &w->c->of;
  judge_key(w, key_of(changed->table, TABLE));
  for (size_t i = vsi_sqlite_keys_begin(commit->keys, commit->keys_count, changed->table);
       i < commit->keys_count && commit->keys[i].table == changed->table; i++)
    judge_run(w, &commit->keys[i]);
}

/* Return whether the keys of a changed table, by which sets look rows up, are not all known, or more than there are
 * reads. */
static bool exceeds_keys(const walks *w, const vsi_sqlite_use *changed) {
  const vsi_sqlite_commit *commit = &w->c->of;
  const uint64_t keyed = w->index->keyed[changed->table % KEYED];
  uint64_t values = 0;
  for (size_t i = vsi_sqlite_keys_begin(commit->keys, commit->keys_count, changed->table);
       i < commit->keys_count && commit->keys[i].table == changed->table; i++) {
    const uint64_t more = (uint64_t)commit->keys[i].last - (uint64_t)commit->keys[i].key;
    values += more < UINT32_MAX ? more + 1 : UINT32_MAX;
  }
  return keyed && (keyed & ~changed->known_columns || values > MANY_VALUES + w->index->reads.places.count);
}

/* Judge the sets that are found by tables. If the tables or keys of the commit are unknown, these are all sets, except
 * if no set of its tables can be void, or has read a file page that it wrote. */
static void judge_tables(walks *w) {
  vsi_sqlite_index *index = w->index;
  const vsi_sqlite_commit *commit = &w->c->of;
  bool needs_all = !commit->knows_tables && (index->has_coarse || index->void_tables & w->tables & ALL_TABLES);
  for (size_t i = 0; i < commit->uses_count && commit->knows_tables && !needs_all; i++)
    needs_all = exceeds_keys(w, &commit->uses[i]);
  if (needs_all) {
    judge_all(w);
    if (!commit->knows_tables) index->void_tables &= ~w->tables;
    return;
  }
  for (size_t i = 0; i < commit->uses_count && commit->knows_tables; i++) judge_table(w, &commit->uses[i]);
  judge_key(w, key_of(0, UNTRACKED)); /* which every commit concerns */
}

/* Publish a commit, and hit the sets that it concerns. */
static void follow_commit(vsi_sqlite_index *index, followed *c) {
  vsi_reads *reads = &index->reads;
  const vsi_sqlite_commit *commit = &c->of;
  const vestry_trace *former = vestry_trace_enter(commit->trace.is_sampled ? &commit->trace : NULL);
  index->is_following = true;
  vsi_reads_publish(reads, &c->is);
  (void)vsi_reads_shrink(reads);
  walks w = {.index = index, .c = c, .tables = note_written(index, commit, c->is.published)};
  if (commit->is_whole || (!commit->knows_pages && index->has_ranged)) {
    judge_all(&w);
  } else {
    for (size_t i = 0; i < commit->pages_count; i++) judge_key(&w, key_of(commit->pages[i], PAGE));
    if (!commit->is_of_render) judge_tables(&w);
  }
  if (!c->is.is_quiet) vsi_reads_hit_whole(reads, c->is.at_ns);
  vsi_reads_report(reads);
  index->finished++;
  index->is_following = false;
  (void)vestry_trace_enter(former);
  pthread_cond_broadcast(&reads->ended);
  vsi_reads_walked(reads, &c->is); /* it may be freed */
}

static void drop(void *ctx, vsi_read_commit *of) {
  const vsi_sqlite_index *index = ctx;
  if (!((followed *)of)->is_borrowed) vsi_free(index->reads.is.host, of);
}

/* Follow the queue up to a commit. */
static void follow_queue(vsi_sqlite_index *index, uint64_t last) {
  vsi_reads *reads = &index->reads;
  while (index->finished < last) {
    if (index->is_following) {
      if (reads->gives_way) pthread_cond_broadcast(&reads->ended);
      vsi_mutex_wait(&reads->lock, &reads->ended);
      continue;
    }
    vsi_read_commit *first = TAILQ_FIRST(&index->queue);
    TAILQ_REMOVE(&index->queue, first, in);
    follow_commit(index, (followed *)first);
  }
}

static void fill(followed *c, const vsi_sqlite_commit *commit, size_t bytes) {
  c->is =
      (vsi_read_commit){.at_ns = commit->at_ns, .bytes = bytes, .is_quiet = commit->is_of_render && !commit->is_whole};
  c->of = *commit;
}

void vsi_sqlite_index_commit(vsi_sqlite_index *index, const vsi_sqlite_commit *commit) {
  const size_t bytes = vsi_sqlite_commit_bytes_of(commit->uses_count, commit->keys_count, commit->pages_count);
  followed *made = vsi_alloc(index->reads.is.host, offsetof(followed, of) + bytes), here;
  if (made) {
    fill(made, commit, bytes);
    made->is_borrowed = false;
    vsi_sqlite_commit_take_arrays(&made->of);
  }
  vsi_reads_lock(&index->reads);
  if (made) {
    TAILQ_INSERT_TAIL(&index->queue, &made->is, in);
    index->queued++;
  } else {
    follow_queue(index, index->queued);
    index->queued++;
    fill(&here, commit, bytes);
    here.is_borrowed = true;
    follow_commit(index, &here);
    vsi_reads_forget(&index->reads); /* renders that run may need it */
  }
  vsi_reads_unlock(&index->reads);
}

void vsi_sqlite_index_follow(vsi_sqlite_index *index, uint64_t *ret_seq) {
  vsi_reads_lock(&index->reads);
  follow_queue(index, index->queued);
  if (ret_seq && index->seq > *ret_seq) *ret_seq = index->seq;
  vsi_reads_unlock(&index->reads);
}

/* -------------------------------------------------------------------------------------------------- renders ------- */

static plan plan_for(vsi_sqlite_recording *recording) {
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

/* Let a plan be followed by its tables; if it is already, make it wide. */
static void make_smaller(plan *p) {
  uint32_t count = 0;
  p->pages_count = 0;
  p->is_wide = !p->is_exact;
  p->is_exact = false;
  for (uint32_t i = 0; i < p->uses_count && p->is_wide; i++) { /* they are sorted */
    const vsi_sqlite_use use = p->uses[i];
    if (count && p->uses[count - 1].table == use.table)
      p->uses[count - 1].columns |= use.columns;
    else
      p->uses[count++] = (vsi_sqlite_use){.columns = use.columns, .table = use.table, .column = VSI_SQLITE_ANY_ROW};
  }
  if (p->is_wide) p->uses_count = count;
}

/* A plan as the content of a set, in memory that the caller frees. */
typedef struct built {
  vsi_read_content is;
  content r;
  shared *memory;
} built;

/* A plan is ranged if it must be found by its file pages, because some of its reads cannot be found by a key. false: no
 * memory */
static bool build(const vestry_host *host, const plan *p, built *b) {
  const size_t most = p->uses_count + (size_t)1, pages_bytes = (p->pages_count + 1) / 2 * sizeof(uint64_t),
               shared_bytes = sizeof(shared) + p->uses_count * sizeof(vsi_sqlite_use) + pages_bytes;
  shared *of = b->memory = vsi_calloc(
      host, 1, shared_bytes + most * sizeof(vsi_sqlite_use) + (2 * most + p->pages_count) * sizeof(vsi_read_key));
  if (!of) return false;
  vsi_sqlite_use *own = (vsi_sqlite_use *)((char *)of + shared_bytes);
  vsi_read_key *keys = (vsi_read_key *)(own + most), *any = keys + most + p->pages_count;
  size_t count = 0, any_count = 0;
  for (uint32_t i = 0; i < p->uses_count; i++) {
    const vsi_sqlite_use *use = &p->uses[i];
    if (use->column != VSI_SQLITE_ANY_ROW) {
      own[count] = *use;
      keys[count++] = row_key(use->table, use->column, use->key);
    } else {
      vsi_sqlite_use *to = &of->uses[of->uses_count++]; /* its padding is zero, because groups are compared by bytes */
      to->columns = use->columns;
      to->table = use->table;
      to->column = use->column;
      any[any_count++] = key_of(use->table, TABLE);
    }
  }
  if (p->is_untracked) any[any_count++] = key_of(0, UNTRACKED);
  of->pages_count = p->pages_count;
  of->is_exact = p->is_exact;
  of->is_untracked = p->is_untracked;
  of->is_ranged = p->is_exact && (any_count || !p->uses_count);
  if (p->pages_count) memcpy(&of->uses[of->uses_count], p->pages, p->pages_count * sizeof *p->pages);
  b->r = (content){.of = of, .own = own, .own_count = (uint32_t)count, .is_exact = p->is_exact, .is_new = true};
  for (size_t i = 0; i < any_count && !of->is_exact; i++) keys[count++] = any[i];
  for (uint32_t i = 0; i < p->pages_count && of->is_ranged; i++) keys[count++] = key_of(p->pages[i], PAGE);
  b->is = (vsi_read_content){.keys = keys,
                             .count = count,
                             .further = any,
                             .further_count = of->is_ranged ? any_count : 0,
                             .shared = of,
                             .shared_bytes = sizeof *of + of->uses_count * sizeof *of->uses + pages_bytes,
                             .bytes = b->r.own_count * sizeof *own};
  return true;
}

/* Compare reads with the commits that came while their render ran. ret_hit: receives the one that refreshes it. After a
 * commit with the verdict INVALIDATE, later ones are compared with the tables only. */
static verdict judge_recent(const vsi_sqlite_index *index, content *r, vsi_read_hit *ret_hit) {
  verdict worst = r->since <= index->reads.forgotten ? REFRESH : NOTHING;
  const vsi_read_commit *at;
  TAILQ_FOREACH(at, &index->reads.ring, in) {
    if (at->published <= r->since || worst == REFRESH) continue;
    const verdict is = judge(index, (const followed *)at, ALL_TABLES, r, &ret_hit->key);
    if (is > worst) worst = is;
    r->is_exact &= is != INVALIDATE;
    ret_hit->at_ns = at->at_ns;
  }
  return worst;
}

/* Enter the reads of a plan, which becomes less precise if a commit has invalidated it, or if there is no room. begun:
 * its ticket */
static vsi_read_entry enter_plan(vsi_sqlite_index *index, plan *p, uint64_t begun, vsi_read_hit *ret_hit) {
  vsi_read_entry entry = VSI_READS_LARGE;
  built b;
  set *s;
  for (bool is_first = true; entry == VSI_READS_LARGE; is_first = false, vsi_free(index->reads.is.host, b.memory)) {
    if (!build(index->reads.is.host, p, &b)) return VSI_READS_WHOLE;
    b.r.since = begun;
    const verdict is = is_first ? judge_recent(index, &b.r, ret_hit) : NOTHING;
    p->was_invalidated |= is == INVALIDATE;
    if (is == REFRESH) entry = VSI_READS_OVERTAKEN;
    if (is == NOTHING) entry = vsi_reads_enter(&index->reads, ret_hit->number, &b.is, p->is_wide, &s);
    p->was_refused |= is == NOTHING && entry == VSI_READS_LARGE;
    if (entry == VSI_READS_ENTERED) {
      if (b.is.bytes) memcpy(vsi_read_set_data(s), b.r.own, b.is.bytes);
      note_reads(index, &b.r);
    } else if (entry == VSI_READS_LARGE) {
      make_smaller(p);
    }
  }
  return entry;
}

/* Count a render that exceeds bounds, and log the first one of each.
 * is_bounded  its set is less precise because of a bound */
static void note_bounds(vsi_sqlite_index *index, const vsi_sqlite_recording *recording, const plan *p,
                        bool is_bounded) {
  const vestry_host *host = index->reads.is.host;
  const vsi_sqlite_promotion *promotion = &recording->uses.promotion;
  if (is_bounded && p->was_refused && !index->stats->over_bytes_count++)
    vsi_log(
        host, VESTRY_LOG_WARN,
        "vestry_sqlite_create, %s: the recorded reads have reached options.max_bytes, %zu, so commits render further "
        "pages also for other rows of their tables; set a larger max_bytes. Later ones are only counted "
        "(over_bytes_count)",
        index->names->path, index->reads.is.max_bytes);
  if (is_bounded && recording->is_over && !index->stats->over_pages_count++)
    vsi_log(host, VESTRY_LOG_WARN,
            "SQLite, %s: a render has read more than options.max_file_pages, %u, so commits render it also for other "
            "rows of its tables; add an index, or set a larger max_file_pages. Later ones are only counted "
            "(over_pages_count)",
            index->names->path, (unsigned)recording->max_file_pages);
  if (promotion->is && !index->stats->promoted_count++)
    vsi_log(
        host, VESTRY_LOG_WARN,
        "SQLite, %s: a render has looked up rows of the table %s by more than %d keys or parameters, by a statement "
        "whose program (EXPLAIN) has more than %d operations, or by a column behind its first %d, so each change of "
        "a row of this table renders it; show fewer rows, or in parts. Later ones are only counted "
        "(promoted_count)",
        index->names->path, vsi_sqlite_tables_name(index->names, promotion->table), VSI_SQLITE_KEYS_MAX,
        VSI_SQLITE_OPERATIONS_MAX, VSI_SQLITE_KEYED_COLUMNS);
  if (recording->ticket.at <= index->reads.forgotten && !index->stats->over_recent_count++)
    vsi_log(
        host, VESTRY_LOG_WARN,
        "SQLite, %s: more than %d commits, or %d bytes of their changes, came while a render ran, so it runs again; "
        "make its reads faster, or show fewer rows. Later ones are only counted (over_recent_count)",
        index->names->path, (int)RECENT_MAX, (int)RECENT_BYTES);
}

/* Enter a render whose reads are known, and end its ticket unless the result is WHOLE. ret_hit: receives the commit
 * that has overtaken it */
static vsi_read_entry enter(vsi_sqlite_index *index, vsi_sqlite_recording *recording, vsi_read_hit *ret_hit) {
  plan p = plan_for(recording);
  const bool was_exact = p.is_exact || recording->max_file_pages;
  vsi_reads_lock(&index->reads);
  note_read(index, &p);
  const vsi_read_entry entry = enter_plan(index, &p, recording->ticket.at, ret_hit);
  const bool is_bounded = entry != VSI_READS_WHOLE && (p.is_wide || (was_exact && !p.is_exact && !p.was_invalidated));
  index->stats->recorded_count++;
  index->stats->everything_count += entry == VSI_READS_WHOLE;
  index->stats->table_level_count += is_bounded;
  note_bounds(index, recording, &p, is_bounded);
  if (entry != VSI_READS_WHOLE) vsi_reads_end(&index->reads, &recording->ticket);
  vsi_reads_unlock(&index->reads);
  return entry;
}

static void count_whole(vsi_sqlite_index *index) {
  vsi_reads_lock(&index->reads);
  index->stats->recorded_count++;
  index->stats->everything_count++;
  vsi_reads_unlock(&index->reads);
}

void vsi_sqlite_index_enter(vsi_sqlite_index *index, vsi_sqlite_recording *recording) {
  if (!recording->has_read) {
    vsi_reads_leave(&index->reads, &recording->ticket);
    return;
  }
  vsi_read_hit of = {.number = vsi_reads_number(&index->reads)};
  vsi_read_entry entry = VSI_READS_WHOLE;
  depend(index, recording->render, of.number);
  if (recording->reads_all)
    count_whole(index);
  else
    entry = enter(index, recording, &of);
  if (entry == VSI_READS_WHOLE) {
    depend(index, recording->render, VSI_READS_EVERYTHING);
    entry = vsi_reads_enter_whole(&index->reads, &recording->ticket);
  }
  if (entry != VSI_READS_OVERTAKEN) return;
  char topic[VSI_READS_TOPIC_BYTES], number[12];
  const vestry_change change = change_of(index, &of, number);
  (void)vsi_reads_topic("sqlite", index, of.number, topic);
  (void)vestry_refresh_for(index->pages, topic, &change, NULL);
}

void vsi_sqlite_index_enter_all(vsi_sqlite_index *index, vestry_render *render) {
  count_whole(index);
  depend(index, render, VSI_READS_EVERYTHING);
  vsi_reads_add_whole(&index->reads);
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_sqlite_index_create(vestry_pages *pages, vsi_sqlite_tables *tables, vsi_siphash_key secret,
                                   size_t max_bytes, vestry_sqlite_stats *stats, vsi_sqlite_index **ret_index) {
  vsi_sqlite_index *index = vsi_calloc(tables->host, 1, sizeof *index);
  if (!index) return VESTRY_NO_MEMORY;
  index->pages = pages;
  index->names = tables;
  index->stats = stats;
  index->secret = secret;
  TAILQ_INIT(&index->queue);
  vsi_reads_init(&index->reads, &(vsi_reads_options){.host = tables->host,
                                                     .max_bytes = max_bytes,
                                                     .more_bytes = max_bytes + WIDE_BYTES,
                                                     .max_ring = RECENT_MAX,
                                                     .ring_bytes = RECENT_BYTES,
                                                     .own_kinds = 1 << ROW,
                                                     .hash = hash_key,
                                                     .hit = hit,
                                                     .is_used = is_used,
                                                     .drop = drop,
                                                     .is_current = is_current,
                                                     .ctx = index});
  *ret_index = index;
  return VESTRY_OK;
}

void vsi_sqlite_index_destroy(vsi_sqlite_index *index) {
  if (!index) return;
  const vestry_host *host = index->reads.is.host;
  for (vsi_read_commit *left; (left = TAILQ_FIRST(&index->queue)); vsi_free(host, left))
    TAILQ_REMOVE(&index->queue, left, in);
  vsi_reads_finish(&index->reads);
  vsi_free(host, index->pages_of_file);
  vsi_free(host, index);
}
