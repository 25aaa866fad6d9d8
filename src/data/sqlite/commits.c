/* SPDX-License-Identifier: MIT */
/* Commits in their order, each with its known changes: file pages from the WAL, for commits of any connection; tables,
 * if an attached connection made the commit and has announced its number.
 *
 * In WAL mode a commit with unknown tables is followed by its file pages alone, so the data from hooks can only reduce
 * the number of refreshes. In other modes only tables are known, and commits of other connections refresh everything.
 *
 * A commit for which no hook was called for a row (for example VACUUM) is followed by its file pages alone, too. If
 * file pages are moved (auto_vacuum), a commit writes file pages of tables that it does not change; sets with these
 * file pages are invalidated, as index.c explains.
 *
 * A render can read uncommitted changes of another transaction on the same connection. This is rare, and a mistake of
 * the application. The render runs again when that transaction ends, whether it is committed or not. */
#include "data/sqlite/commits.h"

#include "base/list.h"

struct vsi_sqlite_record {
  TAILQ_ENTRY(vsi_sqlite_record) in;
  uint32_t number;
  bool changes_tabs;
  bool is_doubtful;         /* it may belong to another connection */
  vestry_trace trace;       /* the trace of the transaction */
  vsi_sqlite_commit commit; /* its uses, and then its keys, are in the same allocation */
  vsi_sqlite_use uses[];
};

/* ------------------------------------------------------------------------------------------------ the renders ----- */

static void begin(vestry_render *render, void *ctx) {
  vsi_sqlite_commits *commits = ctx;
  uint64_t begun = vsi_sqlite_index_begin(commits->index);
  vsi_sqlite_recording *recording = vsi_calloc(commits->host, 1, sizeof *recording);
  if (!recording) { /* its reads will not be known */
    vsi_sqlite_index_enter_all(commits->index, render);
    return;
  }
  bool takes_pages = commits->records_pages && atomic_load_explicit(&commits->has_frames, memory_order_acquire);
  vsi_sqlite_reads_begin(recording, commits->host, commits, render, takes_pages ? commits->max_file_pages : 0);
  recording->begun = begun;
  recording->others = atomic_load_explicit(&commits->others, memory_order_seq_cst);
  recording->number = 1 + atomic_fetch_add_explicit(&commits->numbers, 1, memory_order_relaxed);
}

static void end(vestry_render *render, void *ctx) {
  vsi_sqlite_commits *commits = ctx;
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(commits);
  if (!recording) {
    vsi_sqlite_index_end(commits->index);
    return;
  }
  if (recording->wants_again) vestry_render_again(render);
  if (recording->writer) commits->settle(recording->writer);
  vsi_sqlite_reads_end(recording);
  if (commits->records)
    vsi_sqlite_index_enter(commits->index, recording);
  else
    vsi_sqlite_index_end(commits->index);
  vsi_sqlite_reads_finish(recording);
  vsi_free(commits->host, recording);
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_sqlite_commits_init(vsi_sqlite_commits *commits, vestry_pages *pages, const vestry_host *host,
                                   const vestry_sqlite_options *options) {
  const vestry_render_observer observer = {.begin = begin, .end = end, .settle = commits->look, .ctx = commits};
  commits->host = host;
  commits->pages = pages;
  TAILQ_INIT(&commits->made);
  commits->records = options->level != VESTRY_SQLITE_TOPICS;
  commits->records_pages = (options->level == VESTRY_SQLITE_FILE_PAGES || options->level == VESTRY_SQLITE_DEFAULT) &&
                           vsi_sqlite_cache_is_recorded();
  commits->max_file_pages = options->max_file_pages;
  if (options->level == VESTRY_SQLITE_FILE_PAGES && !commits->records_pages) return VESTRY_UNSUPPORTED;
  vsi_sqlite_tables_init(&commits->tables, host);
  vestry_err error = vsi_sqlite_index_create(pages, host, &commits->tables, options->max_bytes, &commits->index);
  if (!error) error = vestry_pages_observe(pages, &observer);
  commits->is_observing = !error;
  return error;
}

void vsi_sqlite_commits_finish(vsi_sqlite_commits *commits) {
  if (!commits->pages) return;
  if (commits->is_observing) (void)vestry_pages_unobserve(commits->pages, commits);
  for (vsi_sqlite_record *record; (record = TAILQ_FIRST(&commits->made)) != NULL; vsi_free(commits->host, record))
    TAILQ_REMOVE(&commits->made, record, in);
  vsi_sqlite_index_destroy(commits->index);
  vsi_sqlite_tables_finish(&commits->tables);
  vsi_sqlite_frames_finish(&commits->frames);
}

vestry_err vsi_sqlite_commits_follow_wal(vsi_sqlite_commits *commits, sqlite3 *db, const _Atomic(uint32_t) *index) {
  if (!commits->records || atomic_load_explicit(&commits->has_frames, memory_order_relaxed)) return VESTRY_OK;
  vestry_err error = vsi_sqlite_frames_init(&commits->frames, commits->host, db, index);
  if (error) return error;
  atomic_store_explicit(&commits->has_frames, true, memory_order_release);
  vsi_sqlite_commits_whole(commits, NULL); /* a current render has read commits of the former mode */
  return VESTRY_OK;
}

/* ---------------------------------------------------------------------------------------------------- hooks ------- */

void vsi_sqlite_transaction_read(vsi_sqlite_transaction *transaction, const vsi_sqlite_commits *commits) {
  if (!transaction->has_changes) return;
  const vsi_sqlite_recording *recording = vsi_sqlite_reads_of(commits);
  if (recording && recording->number != transaction->changer) transaction->is_seen = true;
}

bool vsi_sqlite_transaction_row(vsi_sqlite_transaction *transaction, vsi_sqlite_commits *commits, void *writer,
                                const vsi_sqlite_row *row) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(commits);
  uint64_t changer = recording ? recording->number : 0;
  if (recording) recording->writer = writer;
  if (!transaction->has_changes) transaction->changer = changer;
  if (transaction->changer != changer)
    transaction->changer = 0; /* begun in a render, continued outside: not of a render */
  transaction->has_changes = true;
  if (commits->records)
    vsi_sqlite_changes_row(&transaction->changes, &commits->tables,
                           atomic_load_explicit(&commits->generation, memory_order_acquire), row);
  return changer;
}

void vsi_sqlite_commits_leaves(vsi_sqlite_commits *commits, const void *writer) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(commits);
  if (recording && recording->writer == writer) recording->writer = NULL;
}

void vsi_sqlite_commits_tab_begins(vsi_sqlite_commits *commits, const vsi_sqlite_reader *reader) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(commits);
  if (!recording || !commits->records_pages || !vsi_sqlite_reader_knows_pages(reader)) {
    atomic_store_explicit(&commits->tabs_are_anywhere, true, memory_order_seq_cst);
    return;
  }
  recording->tab_pages = &commits->tab_pages;
  recording->has_new_tab_pages = false;
}

/* A thread that follows a commit of another connection first counts it and then checks whether a state is on its file
 * pages. A thread that reads a state first adds its file pages and then checks the count. So at least one of the
 * threads sees the other. */
bool vsi_sqlite_commits_tab_ends(vsi_sqlite_commits *commits, const vsi_sqlite_reader *reader) {
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(commits);
  if (!recording || !recording->tab_pages) return false;
  bool is_lost = !vsi_sqlite_reader_knows_pages(reader);
  if (is_lost) atomic_store_explicit(&commits->tabs_are_anywhere, true, memory_order_seq_cst);
  recording->tab_pages = NULL;
  return (recording->has_new_tab_pages || is_lost) &&
         atomic_load_explicit(&commits->others, memory_order_seq_cst) != recording->others;
}

static void clear(vsi_sqlite_transaction *transaction) {
  vsi_sqlite_changes_clear(&transaction->changes);
  transaction->changer = 0;
  transaction->has_changes = transaction->is_seen = transaction->changes_tabs = false;
  transaction->trace.is_sampled = false;
}

/* -------------------------------------------------------------------------------------------------- commits ------- */

/* Return whether the changed tables are known. The meaning of column numbers depends on the generation of the schema;
 * if that has passed, they are unknown. */
static bool knows_tables(const vsi_sqlite_commits *commits, const vsi_sqlite_changes *changes) {
  return !changes->are_unknown && changes->uses.count &&
         (changes->generation == atomic_load_explicit(&commits->generation, memory_order_relaxed));
}

static vsi_sqlite_record *make_record(vsi_sqlite_commits *commits, vsi_sqlite_transaction *transaction, uint32_t number,
                                      unsigned traits) {
  vsi_sqlite_uses *uses = &transaction->changes.uses;
  size_t uses_bytes = uses->count * sizeof *uses->uses, keys_count = transaction->changes.keys_count;
  vsi_sqlite_record *made =
      vsi_calloc(commits->host, 1, sizeof *made + uses_bytes + keys_count * sizeof(vsi_sqlite_key));
  if (!made) { /* it is treated as another connection's */
    if (transaction->changes_tabs) atomic_store_explicit(&commits->tabs_are_anywhere, true, memory_order_seq_cst);
    return NULL;
  }
  vsi_sqlite_uses_sort(uses);
  vsi_sqlite_keys_sort(transaction->changes.keys, keys_count);
  vsi_sqlite_key *keys = (vsi_sqlite_key *)(void *)((char *)made->uses + uses_bytes);
  bool is_doubtful = traits & VSI_SQLITE_DOUBTFUL;
  made->number = number;
  made->changes_tabs = transaction->changes_tabs;
  made->is_doubtful = is_doubtful;
  made->trace = transaction->trace;
  made->commit =
      (vsi_sqlite_commit){.is_whole = transaction->is_seen,
                          .is_of_render = !is_doubtful && (traits & VSI_SQLITE_QUIET || transaction->changer),
                          .knows_tables = !is_doubtful && knows_tables(commits, &transaction->changes),
                          .uses = made->uses,
                          .uses_count = uses->count,
                          .keys = keys,
                          .keys_count = keys_count,
                          .at_ns = vestry_change_now_ns(commits->pages)};
  if (uses->count) memcpy(made->uses, uses->uses, uses_bytes);
  if (keys_count) memcpy(keys, transaction->changes.keys, keys_count * sizeof *keys);
  return made;
}

bool vsi_sqlite_commits_add(vsi_sqlite_commits *commits, vsi_sqlite_transaction *transaction, uint32_t number,
                            unsigned traits, uint64_t *ret_seq) {
  bool has_frames = vsi_sqlite_commits_have_frames(commits);
  if (!commits->records || (traits & VSI_SQLITE_DOUBTFUL && !has_frames)) {
    vsi_sqlite_commits_forget(commits, transaction, ret_seq);
    return false;
  }
  vsi_sqlite_record *record = make_record(commits, transaction, number, traits);
  clear(transaction);
  if (has_frames && record) {
    TAILQ_INSERT_TAIL(&commits->made, record, in);
    return true;
  }
  if (!has_frames && (traits & VSI_SQLITE_WHOLE || !record))
    vsi_sqlite_commits_whole(commits, ret_seq);
  else if (!has_frames)
    (void)vsi_sqlite_index_commit(commits->index, &record->commit, ret_seq);
  vsi_free(commits->host, record);
  return has_frames;
}

void vsi_sqlite_commits_forget(vsi_sqlite_commits *commits, vsi_sqlite_transaction *transaction, uint64_t *ret_seq) {
  if (transaction->is_seen) vsi_sqlite_commits_whole(commits, ret_seq);
  clear(transaction);
}

void vsi_sqlite_commits_whole(vsi_sqlite_commits *commits, uint64_t *ret_seq) {
  const vsi_sqlite_commit all = {.is_whole = true};
  if (!commits->records) return;
  atomic_fetch_add_explicit(&commits->generation, 1, memory_order_acq_rel); /* before the commit counts */
  (void)vsi_sqlite_index_commit(commits->index, &all, ret_seq);
  const vestry_change change = {.kind = VESTRY_REFRESH_DATABASE};
  (void)vestry_refresh_for(commits->pages, VSI_SQLITE_TABS_TOPIC, &change, ret_seq);
}

/* One check of the WAL. */
typedef struct look {
  vsi_sqlite_commits *commits;
  vsi_sqlite_publish_fn publish;
  void *ctx;
  uint64_t *ret_seq, *ret_whole;
  uint64_t at_ns; /* start of the check, as the time of other connections' commits; 0: no observer */
} look;

/* Take the record of a commit. Earlier records are no longer needed; nor are doubtful records of the same number, if
 * one is certain. */
static vsi_sqlite_record *take_record(vsi_sqlite_commits *commits, uint32_t number) {
  vsi_sqlite_record *found = NULL;
  for (vsi_sqlite_record *record, *next = TAILQ_FIRST(&commits->made); (record = next) != NULL;) {
    next = TAILQ_NEXT(record, in);
    if ((int32_t)(record->number - number) > 0) continue;
    TAILQ_REMOVE(&commits->made, record, in);
    if (record->number == number && (!found || (found->is_doubtful && !record->is_doubtful))) {
      vsi_sqlite_record *former = found;
      found = record;
      record = former;
    } else if (record->number == number && record->is_doubtful && found->is_doubtful) {
      found->changes_tabs |= record->changes_tabs;
      found->commit.is_whole |= record->commit.is_whole;
    }
    vsi_free(commits->host, record);
  }
  return found;
}

/* Refresh the states of tabs. If this process writes, the file pages to which states move are known; if another one
 * writes, only the written file pages are known. */
static void follow_tabs(const look *l, const vsi_sqlite_record *record, const vsi_sqlite_written *written) {
  vsi_sqlite_commits *commits = l->commits;
  if (record) {
    for (size_t i = 0; record->changes_tabs && i < written->pages_count; i++)
      (void)vsi_sqlite_tab_pages_add(&commits->tab_pages, written->pages[i]);
    if (!record->is_doubtful) return;
  }
  atomic_fetch_add_explicit(&commits->others, 1, memory_order_seq_cst);
  bool is_met = atomic_load_explicit(&commits->tabs_are_anywhere, memory_order_seq_cst);
  for (size_t i = 0; !is_met && i < written->pages_count; i++)
    is_met = vsi_sqlite_tab_pages_have(&commits->tab_pages, written->pages[i]);
  if (!is_met) return;
  const vestry_change change = {.kind = VESTRY_REFRESH_TABLE, .name = "vestry_tab", .at_ns = l->at_ns};
  (void)vestry_refresh_for(commits->pages, VSI_SQLITE_TABS_TOPIC, &change, l->ret_seq);
}

static void follow_commit(const vsi_sqlite_written *written, void *ctx) {
  look *l = ctx;
  vsi_sqlite_commits *commits = l->commits;
  l->publish(l->ctx, (vsi_sqlite_number){written->number, true});
  vsi_sqlite_record *record = take_record(commits, written->number);
  const vestry_trace *former = vestry_trace_enter(record ? &record->trace : NULL);
  follow_tabs(l, record, written);
  vsi_sqlite_commit commit = record ? record->commit : (vsi_sqlite_commit){.at_ns = l->at_ns};
  commit.knows_pages = true;
  commit.pages = written->pages;
  commit.pages_count = written->pages_count;
  if (written->has_schema || commit.is_whole) {
    vsi_sqlite_commits_whole(commits, l->ret_seq);
    ++*l->ret_whole;
  } else {
    (void)vsi_sqlite_index_commit(commits->index, &commit, l->ret_seq);
  }
  (void)vestry_trace_enter(former);
  vsi_free(commits->host, record);
}

vestry_err vsi_sqlite_commits_follow(vsi_sqlite_commits *commits, uint32_t last, vsi_sqlite_publish_fn publish,
                                     void *ctx, uint64_t *ret_seq, uint64_t *ret_whole) {
  look l = {commits, publish, ctx, ret_seq, ret_whole, 0};
  uint32_t number;
  if (!vsi_sqlite_commits_have_frames(commits) || commits->frames.number == last) return VESTRY_OK;
  l.at_ns = vestry_change_now_ns(commits->pages);
  vestry_err error = vsi_sqlite_frames_read(&commits->frames, follow_commit, &l, &number);
  if (error != VESTRY_NOT_FOUND) return error;
  vsi_sqlite_commits_whole(commits, ret_seq);
  ++*ret_whole;
  return VESTRY_OK;
}
