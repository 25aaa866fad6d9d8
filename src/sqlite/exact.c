/* SPDX-License-Identifier: MIT */
/* Commits in their order, each with what is known of it: pages from the WAL, of any connection's; tables, if an
 * attached connection did, which has announced its number.
 *
 * In WAL mode a commit of unknown tables is followed by its pages alone, so what hooks say can only spare refreshes.
 * Otherwise there are tables alone, and what others commit refreshes everything.
 *
 * A commit that no hook was told of a row of (VACUUM and its kind) is followed by its pages alone, too. Where pages are
 * moved (auto_vacuum), a commit writes pages of tables that it does not change: sets that have them are void, as the
 * index says.
 *
 * A render that reads what another transaction has changed and not committed yet, on the same connection, is rare, and
 * not how it should be. It is made again when that transaction ends, either way. */
#include "sqlite/exact.h"

#include "base/list.h"

struct vsi_sqlite_record {
  vsi_sqlite_record *next;
  uint32_t number;
  bool changes_tabs;
  bool is_doubtful;         /* it may be another connection's */
  vsi_sqlite_commit commit; /* its uses, then its keys, are in the same allocation */
  vsi_sqlite_use uses[];
};

/* ------------------------------------------------------------------------------------------------ the renders ----- */

static void begin(vestry_render *render, void *ctx) {
  vsi_sqlite_exact *exact = ctx;
  uint64_t begun = vsi_sqlite_index_begin(exact->index);
  vsi_sqlite_recording *recording = vsi_calloc(exact->host, 1, sizeof *recording);
  if (!recording) { /* it will not be known what it reads */
    vsi_sqlite_index_enter_all(exact->index, render);
    return;
  }
  bool takes_pages = exact->records_pages && atomic_load_explicit(&exact->has_frames, memory_order_acquire);
  vsi_sqlite_reads_begin(recording, exact->host, exact, render, takes_pages ? exact->max_file_pages : 0);
  recording->begun = begun;
  recording->others = atomic_load_explicit(&exact->others, memory_order_seq_cst);
  recording->number = 1 + atomic_fetch_add_explicit(&exact->numbers, 1, memory_order_relaxed);
}

static void end(vestry_render *render, void *ctx) {
  vsi_sqlite_exact *exact = ctx;
  (void)render;
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(exact);
  if (!recording) {
    vsi_sqlite_index_end(exact->index);
    return;
  }
  if (recording->writer) exact->settle(recording->writer);
  vsi_sqlite_reads_end(recording);
  if (exact->records)
    vsi_sqlite_index_enter(exact->index, recording);
  else
    vsi_sqlite_index_end(exact->index);
  vsi_sqlite_reads_finish(recording);
  vsi_free(exact->host, recording);
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_sqlite_exact_init(vsi_sqlite_exact *exact, vestry_pages *pages, const vestry_host *host,
                                 const vestry_sqlite_options *options) {
  const vestry_render_observer observer = {.begin = begin, .end = end, .ctx = exact};
  exact->host = host;
  exact->pages = pages;
  exact->last = &exact->first;
  exact->records = options->level != VESTRY_SQLITE_TOPICS;
  exact->records_pages = (options->level == VESTRY_SQLITE_FILE_PAGES || options->level == VESTRY_SQLITE_DEFAULT) &&
                         vsi_sqlite_cache_is_recorded();
  exact->max_file_pages = options->max_file_pages;
  if (options->level == VESTRY_SQLITE_FILE_PAGES && !exact->records_pages) return VESTRY_UNSUPPORTED;
  vsi_sqlite_tables_init(&exact->tables, host);
  vestry_err error = vsi_sqlite_index_create(pages, host, options->max_bytes, &exact->index);
  if (!error) error = vestry_pages_observe(pages, &observer);
  exact->is_observing = !error;
  return error;
}

void vsi_sqlite_exact_finish(vsi_sqlite_exact *exact) {
  if (!exact->pages) return;
  if (exact->is_observing) (void)vestry_pages_unobserve(exact->pages, exact);
  VSI_LIST_FREE(exact->host, exact->first);
  vsi_sqlite_index_destroy(exact->index);
  if (exact->last) vsi_sqlite_tables_finish(&exact->tables);
  vsi_sqlite_frames_finish(&exact->frames);
}

vestry_err vsi_sqlite_exact_follow_wal(vsi_sqlite_exact *exact, sqlite3 *db, const _Atomic(uint32_t) *index) {
  if (!exact->records || atomic_load_explicit(&exact->has_frames, memory_order_relaxed)) return VESTRY_OK;
  vestry_err error = vsi_sqlite_frames_init(&exact->frames, exact->host, db, index);
  if (error) return error;
  atomic_store_explicit(&exact->has_frames, true, memory_order_release);
  vsi_sqlite_exact_whole(exact, NULL); /* a render of now has read what was committed in another way */
  return VESTRY_OK;
}

void vsi_sqlite_actor_init(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, sqlite3 *db) {
  vsi_sqlite_reader_init(&actor->reader, exact->host, db, exact, &exact->tables, &exact->generation, &exact->numbers,
                         exact->records_pages);
}

void vsi_sqlite_actor_finish(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor) {
  vsi_sqlite_reader_finish(&actor->reader);
  vsi_sqlite_changes_finish(exact->host, &actor->changes);
}

/* ---------------------------------------------------------------------------------------------------- hooks ------- */

void vsi_sqlite_actor_statement(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, sqlite3_stmt *statement,
                                const char *text) {
  if (actor->has_changes) {
    const vsi_sqlite_recording *recording = vsi_sqlite_reads_of(exact);
    if (recording && recording->number != actor->changer) actor->is_seen = true;
  }
  vsi_sqlite_reader_begins(&actor->reader, statement, text);
}

bool vsi_sqlite_actor_row(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, int operation, const char *table,
                          int64_t old_rowid, int64_t new_rowid) {
  const vsi_sqlite_recording *recording = vsi_sqlite_reads_of(exact);
  uint64_t changer = recording ? recording->number : 0;
  if (!actor->has_changes) actor->changer = changer;
  if (actor->changer != changer) actor->changer = 0; /* what is begun in a render and goes on outside is no render's */
  actor->has_changes = true;
  if (exact->records)
    vsi_sqlite_changes_row(&actor->changes, &exact->tables,
                           atomic_load_explicit(&exact->generation, memory_order_acquire), actor->reader.db, operation,
                           table, old_rowid, new_rowid);
  return changer;
}

void vsi_sqlite_exact_writes(vsi_sqlite_exact *exact, void *writer) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(exact);
  if (recording) recording->writer = writer;
}

void vsi_sqlite_exact_leaves(vsi_sqlite_exact *exact, const void *writer) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(exact);
  if (recording && recording->writer == writer) recording->writer = NULL;
}

void vsi_sqlite_actor_tab_begins(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(exact);
  if (!recording || !exact->records_pages || !vsi_sqlite_reader_knows_pages(&actor->reader)) {
    atomic_store_explicit(&exact->tabs_are_anywhere, true, memory_order_seq_cst);
    return;
  }
  recording->tab_pages = &exact->tab_pages;
  recording->has_new_tab_pages = false;
}

/* A thread that follows another connection's commit counts it and then looks whether a state is on its pages; one that
 * reads a state adds its pages and then looks what was counted: one of them sees the other. */
bool vsi_sqlite_actor_tab_ends(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(exact);
  if (!recording || !recording->tab_pages) return false;
  bool is_lost = !vsi_sqlite_reader_knows_pages(&actor->reader);
  if (is_lost) atomic_store_explicit(&exact->tabs_are_anywhere, true, memory_order_seq_cst);
  recording->tab_pages = NULL;
  return (recording->has_new_tab_pages || is_lost) &&
         atomic_load_explicit(&exact->others, memory_order_seq_cst) != recording->others;
}

static void clear(vsi_sqlite_actor *actor) {
  vsi_sqlite_changes_clear(&actor->changes);
  actor->changer = 0;
  actor->has_changes = actor->is_seen = actor->changes_tabs = false;
}

/* -------------------------------------------------------------------------------------------------- commits ------- */

/* What the columns of a transaction's changes mean is said by the schema of one generation. If that has passed, so has
 * what they mean. */
static bool knows_tables(const vsi_sqlite_exact *exact, const vsi_sqlite_changes *changes) {
  return !changes->are_unknown && changes->uses.count &&
         (changes->generation == atomic_load_explicit(&exact->generation, memory_order_relaxed));
}

static vsi_sqlite_record *make_record(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, uint32_t number,
                                      bool is_quiet) {
  vsi_sqlite_uses *uses = &actor->changes.uses;
  size_t uses_bytes = uses->count * sizeof *uses->uses, keys_count = actor->changes.keys_count;
  vsi_sqlite_record *made = vsi_calloc(exact->host, 1, sizeof *made + uses_bytes + keys_count * sizeof(vsi_sqlite_key));
  if (!made) { /* it is taken for another connection's */
    if (actor->changes_tabs) atomic_store_explicit(&exact->tabs_are_anywhere, true, memory_order_seq_cst);
    return NULL;
  }
  vsi_sqlite_uses_sort(uses);
  vsi_sqlite_keys_sort(actor->changes.keys, keys_count);
  vsi_sqlite_key *keys = (vsi_sqlite_key *)(void *)((char *)made->uses + uses_bytes);
  made->number = number;
  made->changes_tabs = actor->changes_tabs;
  made->commit = (vsi_sqlite_commit){.is_whole = actor->is_seen,
                                     .is_of_render = is_quiet || actor->changer,
                                     .knows_tables = knows_tables(exact, &actor->changes),
                                     .uses = made->uses,
                                     .uses_count = uses->count,
                                     .keys = keys,
                                     .keys_count = keys_count};
  if (uses->count) memcpy(made->uses, uses->uses, uses_bytes);
  if (keys_count) memcpy(keys, actor->changes.keys, keys_count * sizeof *keys);
  return made;
}

static void append(vsi_sqlite_exact *exact, vsi_sqlite_record *record) {
  *exact->last = record;
  exact->last = &record->next;
}

bool vsi_sqlite_exact_publish(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, uint32_t number, bool is_quiet,
                              bool is_whole, uint64_t *ret_seq) {
  bool has_frames = atomic_load_explicit(&exact->has_frames, memory_order_relaxed);
  if (!exact->records) {
    clear(actor);
    return false;
  }
  vsi_sqlite_record *record = make_record(exact, actor, number, is_quiet);
  clear(actor);
  if (has_frames && record) {
    append(exact, record);
    return true;
  }
  if (!has_frames && (is_whole || !record))
    vsi_sqlite_exact_whole(exact, ret_seq);
  else if (!has_frames)
    (void)vsi_sqlite_index_commit(exact->index, &record->commit, ret_seq);
  vsi_free(exact->host, record);
  return has_frames;
}

bool vsi_sqlite_exact_doubt(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, uint32_t number, uint64_t *ret_seq) {
  if (!exact->records || !atomic_load_explicit(&exact->has_frames, memory_order_relaxed)) {
    vsi_sqlite_exact_forget(exact, actor, ret_seq);
    return false;
  }
  vsi_sqlite_record *record = make_record(exact, actor, number, false);
  clear(actor);
  if (!record) return true;
  record->is_doubtful = true;
  record->commit.is_of_render = record->commit.knows_tables = false;
  append(exact, record);
  return true;
}

void vsi_sqlite_exact_forget(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, uint64_t *ret_seq) {
  if (actor->is_seen) vsi_sqlite_exact_whole(exact, ret_seq);
  clear(actor);
}

bool vsi_sqlite_exact_is_behind(const vsi_sqlite_exact *exact, uint32_t number) {
  return atomic_load_explicit(&exact->has_frames, memory_order_relaxed) && exact->frames.number != number;
}

void vsi_sqlite_exact_whole(vsi_sqlite_exact *exact, uint64_t *ret_seq) {
  const vsi_sqlite_commit all = {.is_whole = true};
  if (!exact->records) return;
  atomic_fetch_add_explicit(&exact->generation, 1, memory_order_acq_rel); /* before the commit counts */
  (void)vsi_sqlite_index_commit(exact->index, &all, ret_seq);
  (void)vestry_refresh_here(exact->pages, VSI_SQLITE_TABS_TOPIC, ret_seq);
}

/* One look at the WAL. */
typedef struct look {
  vsi_sqlite_exact *exact;
  vsi_sqlite_publish_fn publish;
  void *ctx;
  uint64_t *ret_seq, *ret_whole;
} look;

/* Take the record of a commit. Records before it are of no use any more; nor are doubtful records of the same number,
 * if one is certain. */
static vsi_sqlite_record *take_record(vsi_sqlite_exact *exact, uint32_t number) {
  vsi_sqlite_record *found = NULL;
  for (vsi_sqlite_record **at = &exact->first; *at;) {
    vsi_sqlite_record *record = *at;
    if ((int32_t)(record->number - number) > 0) {
      at = &record->next;
      continue;
    }
    *at = record->next;
    if (!record->next) exact->last = at;
    if (record->number == number && (!found || (found->is_doubtful && !record->is_doubtful))) {
      vsi_sqlite_record *former = found;
      found = record;
      record = former;
    } else if (record->number == number && record->is_doubtful && found->is_doubtful) {
      found->changes_tabs |= record->changes_tabs;
      found->commit.is_whole |= record->commit.is_whole;
    }
    vsi_free(exact->host, record);
  }
  return found;
}

/* Rows of states move to other pages by what this process writes; of what others write, only the pages are known. */
static void follow_tabs(vsi_sqlite_exact *exact, const vsi_sqlite_record *record, const vsi_sqlite_written *written,
                        uint64_t *ret_seq) {
  if (record) {
    for (size_t i = 0; record->changes_tabs && i < written->pages_count; i++)
      (void)vsi_sqlite_tab_pages_add(&exact->tab_pages, written->pages[i]);
    if (!record->is_doubtful) return;
  }
  atomic_fetch_add_explicit(&exact->others, 1, memory_order_seq_cst);
  bool is_met = atomic_load_explicit(&exact->tabs_are_anywhere, memory_order_seq_cst);
  for (size_t i = 0; !is_met && i < written->pages_count; i++)
    is_met = vsi_sqlite_tab_pages_have(&exact->tab_pages, written->pages[i]);
  if (is_met) (void)vestry_refresh_here(exact->pages, VSI_SQLITE_TABS_TOPIC, ret_seq);
}

static void follow_commit(const vsi_sqlite_written *written, void *ctx) {
  look *l = ctx;
  vsi_sqlite_exact *exact = l->exact;
  l->publish(written->number, l->ctx);
  vsi_sqlite_record *record = take_record(exact, written->number);
  follow_tabs(exact, record, written, l->ret_seq);
  vsi_sqlite_commit commit = record ? record->commit : (vsi_sqlite_commit){.is_whole = false};
  commit.knows_pages = true;
  commit.pages = written->pages;
  commit.pages_count = written->pages_count;
  if (written->has_schema || commit.is_whole) {
    vsi_sqlite_exact_whole(exact, l->ret_seq);
    ++*l->ret_whole;
  } else {
    (void)vsi_sqlite_index_commit(exact->index, &commit, l->ret_seq);
  }
  vsi_free(exact->host, record);
}

vestry_err vsi_sqlite_exact_follow(vsi_sqlite_exact *exact, vsi_sqlite_publish_fn publish, void *ctx, uint64_t *ret_seq,
                                   uint64_t *ret_whole) {
  look l = {exact, publish, ctx, ret_seq, ret_whole};
  uint32_t number;
  if (!atomic_load_explicit(&exact->has_frames, memory_order_relaxed)) return VESTRY_OK;
  vestry_err error = vsi_sqlite_frames_read(&exact->frames, follow_commit, &l, &number);
  if (error != VESTRY_NOT_FOUND) return error;
  vsi_sqlite_exact_whole(exact, ret_seq);
  ++*ret_whole;
  return VESTRY_OK;
}
