/* SPDX-License-Identifier: MIT */
/* essay: how commits to PostgreSQL are followed, and how following restarts */
/* A thread that follows the commits of a database. There are two connections: one receives the WAL; the other, `side`,
 * queries which transactions are visible. The changed keys of each commit go to the index (index.c), which finds the
 * renders that have read them. follower.h explains the states GOING, TRYING and REFUSED.
 *
 * A host name may lead to two servers. Both connections, and the application's, must lead to the same one; otherwise
 * the follower would follow commits to another database. The time at which the server was started shows this.
 *
 * If either connection ends, both are closed and opened again. Reasons are: the server was restarted; a standby has
 * replaced it; the WAL continues on another timeline; a segment was removed before it was read; the WAL cannot be read.
 * Following then restarts at the present position. Every page that has read anything is rendered once more, because the
 * commits in between are unknown.
 *
 * The order of a start is:
 * 1. find the position of the WAL;
 * 2. take a transaction number, for a transaction of the follower itself, by the same statement;
 * 3. read the WAL from that position.
 * So all records of a transaction with a later number are after that position.
 *
 * Other threads can wait for a position of the WAL. A position is announced to them after the index has received all
 * commits before it. So when they continue, the index has everything that was committed before their wait began. */
#include "data/postgres/follower.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/held_log.h"
#include "base/log.h"
#include "base/wait.h"
#include "data/postgres/transactions.h"

enum {
  BACK_OFF_FIRST_MS = 50,
  BACK_OFF_MOST_MS = 1000,
  REFUSED_MS = 10000,
  ALONE = 3, /* number of attempts in a row that must fail while other connections succeed. One is not enough: a server
                that has just started may refuse the follower and accept the next connection */
  IDLE_MS = 5000,
  /* Pauses between reads under constant load, because each read, and each query of what is visible, wakes two
   * processes. The longer one follows a read of much WAL, in which many commits share these costs. */
  BUSY_MS = 2,
  MUCH_MS = 4,
  MUCH_BYTES = 4096,
  BEHIND_BYTES =
      1 << 20, /* no pause with as much unread WAL, because the socket holds less than is written in a pause */
  /* First interval of the queries if a set of a render matches a commit that is not visible yet; it then doubles. */
  LOOK_MATCHED_MS = 1,
  LOOK_SOME_MS = 50, /* first interval if no set matches such a commit */
  LOOK_MOST_MS = 200,
  REPORT_EACH_MS = 10000, /* a server ends the connection after a minute without reports */
  MESSAGES_MAX = 64,      /* read at once */
  DATA_HEAD = 25,         /* of a message with WAL: its type, position, end, time */
  KEEP_ALIVE = 18,
  SINCE_S = 946684800,     /* seconds from 1970 to 2000 */
  DEFINITIONS_QUERIED = 64 /* if the definitions of more relations changed, they are not queried, and it is assumed that
                            one is a composite type */
};

/* The stream of the server's WAL: a connection for replication without a slot. It stores nothing on the server, and
 * confirms nothing, so that no commit ever waits for it. */
typedef struct stream {
  PGconn *db;
  vsi_postgres_wal wal;
  uint64_t end;             /* end of the server's WAL, according to its last message */
  uint64_t reported_at_ns;  /* when the position was reported to the server last */
  uint64_t received_at_ns;  /* when a message came last */
  uint64_t requested_at_ns; /* when a reply was requested since; 0: not requested */
} stream;

struct vsi_postgres_follower {
  vsi_postgres_follower_options is;
  const vestry_host *host;
  vsi_postgres_thread thread;
  _Atomic(uint64_t) server; /* its start; relaxed, as that of the pool */
  vsi_mutex lock;
  pthread_cond_t moved;
  /* Guarded by lock. */
  vsi_postgres_following state;
  uint64_t requested, answered; /* waits are numbered: the last one that began, and the last one that was served */
  uint64_t wanted;              /* the last position for which a thread waits */
  uint64_t place;               /* position: all WAL before it was followed */
  uint64_t behind_since_ns;     /* time since when there is WAL that was not read; 0: there is none */
  vestry_postgres_stats stats;  /* those of following */
  /* Belongs to the thread. */
  stream stream;
  PGconn *side;
  unsigned major;
  vsi_postgres_transactions transactions;
  vsi_postgres_catalog *catalogs;
  size_t catalogs_count;
  uint64_t from;                      /* position at which following began */
  uint64_t last_look_ns, last_new_ns; /* new: WAL came */
  uint32_t paused_ms;                 /* the pause after the last read; 0: none */
  uint32_t look_ms;
  bool was_refused;     /* the last start failed */
  unsigned alone_count; /* failed attempts in a row while other connections succeeded */
  vsi_repeated_log failures;
};

typedef vsi_postgres_follower follower;

static vsi_call call_of(follower *f) {
  return (vsi_call){f->host, "follower of commits", f->is.pool->is.name, &f->failures};
}

/* Return whether the pool has reached another server since the start. */
static bool has_strayed(const follower *f) {
  return vsi_postgres_pool_has_left(f->is.pool, atomic_load_explicit(&f->server, memory_order_relaxed));
}

/* Set the state. The owner is notified first, so that it knows the state when waiting threads continue. Other threads
 * only read it. */
static void set(follower *f, vsi_postgres_following is) {
  if (f->state != is) f->is.changed(f->is.ctx, is, f->major);
  vsi_mutex_lock(&f->lock);
  f->state = is;
  if (is == VSI_POSTGRES_GOING) f->stats.starts_count++;
  f->behind_since_ns = 0;
  f->stats.lag_bytes = 0;
  pthread_cond_broadcast(&f->moved);
  vsi_mutex_unlock(&f->lock);
}

/* ------------------------------------------------------------------------------------------------ stream ---------- */
/* Receiving the WAL by the server's protocol for replication: messages with WAL, and reports of the position. */

static uint64_t load(const char *at) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value = value << 8 | (unsigned char)at[i];
  return value;
}

static void store(char *at, uint64_t value) {
  for (int i = 7; i >= 0; i--, value >>= 8) at[i] = (char)value;
}

/* Return the time since 2000, as the server counts. pg_stat_replication shows it. */
static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)(now.tv_sec - SINCE_S) * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Report the read position as written. Flushed and applied stay 0, because this is no standby, and no commit waits for
 * it. wants_reply: request a reply */
static void report(stream *is, bool wants_reply) {
  char answer[34] = "r";
  is->reported_at_ns = vsi_monotonic_ns();
  store(answer + 1, is->wal.at);
  store(answer + 25, now_us());
  answer[sizeof answer - 1] = wants_reply;
  if (PQputCopyData(is->db, answer, sizeof answer) == 1) (void)PQflush(is->db);
}

/* Report the position to the server, if that is due. */
static void report_in_time(stream *is) {
  if (vsi_monotonic_ns() - is->reported_at_ns >= (uint64_t)REPORT_EACH_MS * 1000000) report(is, false);
}

/* Check for silence, after all messages that have come were read: request a reply if nothing has come for silence_ms.
 * The time since the request counts, because this process may have been suspended for long.
 *  ret_ms   time until the next call
 *  Returns  OK | TIMEOUT (no reply came within silence_ms; see wal.reason) */
static vestry_err check_silence(stream *is, uint32_t silence_ms, uint32_t *ret_ms) {
  const uint64_t now_ns = vsi_monotonic_ns();
  const uint64_t since_ns = is->requested_at_ns ? is->requested_at_ns : is->received_at_ns;
  const uint64_t passed_ms = (now_ns - since_ns) / 1000000;
  *ret_ms = silence_ms;
  if (passed_ms < silence_ms) {
    *ret_ms = silence_ms - (uint32_t)passed_ms;
  } else if (!is->requested_at_ns) {
    report(is, true);
    is->requested_at_ns = now_ns;
  } else {
    snprintf(is->wal.reason, sizeof is->wal.reason, "the server has sent nothing for %" PRIu32 " ms", silence_ms);
    return VESTRY_TIMEOUT;
  }
  return VESTRY_OK;
}

static vestry_err take_message(stream *is, const char *message, size_t len) {
  is->received_at_ns = vsi_monotonic_ns();
  is->requested_at_ns = 0;
  if (len >= KEEP_ALIVE && message[0] == 'k') {
    is->end = load(message + 1);
    if (message[KEEP_ALIVE - 1]) report(is, false);
    return VESTRY_OK;
  }
  if (len < DATA_HEAD || message[0] != 'w') return VESTRY_OK;
  is->end = load(message + 9);
  if (load(message + 1) == is->wal.at) return vsi_postgres_wal_feed(&is->wal, message + DATA_HEAD, len - DATA_HEAD);
  snprintf(is->wal.reason, sizeof is->wal.reason, "a part of the WAL is missing");
  return VESTRY_MALFORMED;
}

/* Read the messages that have come, without waiting.
 *  ret_more  there may be more: call again before waiting for the socket
 *  Returns   OK | CLOSED (the server has ended the stream; PQerrorMessage has the reason) | an error in the WAL, with
 *            wal.reason */
static vestry_err read_stream(stream *is, bool *ret_more) {
  vestry_err error = VESTRY_OK;
  *ret_more = false;
  if (!PQconsumeInput(is->db)) return VESTRY_CLOSED;
  for (int i = 0; i < MESSAGES_MAX && !error; i++) {
    char *message = NULL;
    int len = PQgetCopyData(is->db, &message, 1);
    if (len == 0) return VESTRY_OK;
    if (len < 0) return VESTRY_CLOSED;
    error = take_message(is, message, (size_t)len);
    PQfreemem(message);
  }
  *ret_more = true;
  return error;
}

/* ------------------------------------------------------------------------------------------------ queries --------- */

static vestry_err ask(follower *f, const char *sql, int columns, PGresult **ret_result) {
  const vsi_call call = call_of(f);
  return vsi_postgres_ask_own(&call, f->side, sql, columns, ret_result);
}

static uint32_t number_at(const PGresult *rows, int row, int column) {
  return (uint32_t)strtoul(PQgetvalue(rows, row, column), NULL, 10);
}

/* Pass a current snapshot to the index. */
static vestry_err look(follower *f) {
  vsi_postgres_snapshot snapshot;
  PGresult *row;
  vestry_err error = ask(f, "SELECT pg_current_snapshot()", 1, &row);
  if (error) return error;
  error = vsi_postgres_snapshot_read(&snapshot, f->host, PQgetvalue(row, 0, 0));
  PQclear(row);
  if (error) return error;
  const bool is_ring_full = vsi_postgres_index_see(f->is.index, &snapshot);
  vsi_postgres_snapshot_finish(&snapshot, f->host);
  f->last_look_ns = vsi_monotonic_ns();
  if (is_ring_full)
    vsi_log(f->host, VESTRY_LOG_WARN,
            "follower of commits, %s: renders take so long that not all commits since they began could be kept; such "
            "renders run again (see over_ring_count of vestry_postgres_stats)",
            f->is.pool->is.name);
  return VESTRY_OK;
}

/* ---------------------------------------------------------------------------------------------- beginning --------- */

/* The stream begins with a page, and so with records from before the start. The page may contain the record that has
 * caused this start, because a system table was rewritten; taken again, it would cause one start after the other until
 * the server has written another page. */
static vestry_err take_record(const vsi_postgres_record *record, void *ctx) {
  follower *f = ctx;
  return record->at < f->from ? VESTRY_OK : vsi_postgres_transactions_take(&f->transactions, record);
}

/* Pass on that entries of a leaf of an index have moved to another leaf (index.c). */
static vestry_err take_move(void *ctx, uint32_t relation, uint32_t from, uint32_t to) {
  const follower *f = ctx;
  return vsi_postgres_index_move(f->is.index, relation, from, to);
}

/* Find out whether one of the changed relations is a composite type. No page uses such a relation directly, but it may
 * use a column that has this type. The composite type existed before the commit, so a query finds it now. */
static vestry_err has_composite(follower *f, const vsi_postgres_keys *keys, bool *ret_has) {
  char sql[96];
  PGresult *rows;
  vestry_err error = VESTRY_OK;
  *ret_has = false;
  for (size_t i = 0, count = 0; i < keys->count && !*ret_has && !error; i++) {
    if (keys->keys[i].kind != VSI_POSTGRES_DEFINITION) continue;
    *ret_has = ++count > DEFINITIONS_QUERIED;
    snprintf(sql, sizeof sql, "SELECT FROM pg_class WHERE relkind = 'c' AND oid = %" PRIu32, keys->keys[i].relation);
    if (!*ret_has) error = ask(f, sql, 0, &rows);
    if (*ret_has || error) break;
    *ret_has = PQntuples(rows) > 0;
    PQclear(rows);
  }
  return error;
}

/* Count transactions with too many keys, and log the first one. */
static void note_over(follower *f) {
  if (!f->stats.over_transaction_keys_count)
    vsi_log(
        f->host, VESTRY_LOG_WARN,
        "follower of commits, %s: a transaction has written more parts of tables and indexes than "
        "max_transaction_keys (%zu) of vestry_postgres_options, so it renders all pages that have read the database; "
        "write less at once, or raise max_transaction_keys",
        f->is.pool->is.name, f->is.max_keys);
  vsi_mutex_lock(&f->lock);
  f->stats.over_transaction_keys_count += f->transactions.over_count;
  vsi_mutex_unlock(&f->lock);
  f->transactions.over_count = 0;
}

static vestry_err take_commit(void *ctx, uint32_t xid, vsi_postgres_keys *keys, bool is_all) {
  follower *f = ctx;
  if (f->transactions.over_count) note_over(f);
  vestry_err error = is_all ? VESTRY_OK : has_composite(f, keys, &is_all);
  return error ? error : vsi_postgres_index_commit(f->is.index, xid, keys, is_all);
}

/* Data of the server. UNSUPPORTED: it cannot be followed in its present state. */
typedef struct facts {
  uint32_t database, page_bytes, segment_bytes;
  uint64_t started; /* VSI_POSTGRES_STARTED */
  uint64_t at;      /* current position of the WAL */
  /* A transaction number that is larger than that of any other transaction with a number. The upper limit of a snapshot
   * would not do: it lies directly after the last transaction that has ended, and running transactions may have larger
   * numbers. */
  uint64_t number;
  const vsi_postgres_format *format;
} facts;

static vestry_err find_facts(follower *f, facts *ret_facts) {
  static const char sql[] =
      "SELECT current_setting('server_version_num'), pg_is_in_recovery(), (SELECT oid FROM pg_database WHERE datname = "
      "current_database()), (SELECT setting FROM pg_settings WHERE name = 'wal_block_size'), (SELECT setting FROM "
      "pg_settings WHERE name = 'wal_segment_size'), " VSI_POSTGRES_STARTED
      ", CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() - '0/0' END, CASE WHEN NOT "
      "pg_is_in_recovery() THEN pg_current_xact_id() END";
  const vsi_call call = call_of(f);
  PGresult *row;
  vestry_err error = vsi_postgres_connect(&call, f->is.pool->is.place, true, NULL, &f->side);
  if (!error) error = ask(f, sql, 8, &row);
  if (error) return error;
  f->major = number_at(row, 0, 0) / 10000;
  const bool is_standby = *PQgetvalue(row, 0, 1) == 't';
  *ret_facts = (facts){.database = number_at(row, 0, 2),
                       .page_bytes = number_at(row, 0, 3),
                       .segment_bytes = number_at(row, 0, 4),
                       .started = strtoull(PQgetvalue(row, 0, 5), NULL, 10),
                       .at = strtoull(PQgetvalue(row, 0, 6), NULL, 10),
                       .number = strtoull(PQgetvalue(row, 0, 7), NULL, 10),
                       .format = vsi_postgres_format_of(f->major)};
  PQclear(row);
  if (!ret_facts->format)
    return vsi_refuse(&call, VESTRY_UNSUPPORTED,
                      "the WAL format of PostgreSQL %u is not supported by this version of vestry", f->major);
  if (!is_standby) return VESTRY_OK;
  return vsi_refuse(
      &call, VESTRY_LIMIT,
      "the server is a standby; connect to the primary, or to several hosts with target_session_attrs=primary");
}

/* Find the system tables that were rewritten, because the numbers of their files do not show what they are. */
static vestry_err find_catalogs(follower *f) {
  static const char sql[] = "SELECT pg_relation_filenode(oid), oid FROM pg_class WHERE oid < 16384 AND "
                            "pg_relation_filenode(oid) >= 16384";
  PGresult *rows;
  vestry_err error = ask(f, sql, 0, &rows);
  if (error) return error;
  int count = PQntuples(rows);
  vsi_free(f->host, f->catalogs);
  f->catalogs_count = 0;
  f->catalogs = vsi_calloc(f->host, (size_t)count + 1, sizeof *f->catalogs);
  if (!f->catalogs) error = VESTRY_NO_MEMORY;
  for (int i = 0; i < count && !error; i++)
    f->catalogs[f->catalogs_count++] = (vsi_postgres_catalog){number_at(rows, i, 0), number_at(rows, i, 1)};
  PQclear(rows);
  return error;
}

static void begin_transactions(follower *f, const facts *is) {
  f->transactions.is = (vsi_postgres_transactions_options){.host = f->host,
                                                           .format = is->format,
                                                           .database = is->database,
                                                           .max_keys = f->is.max_keys,
                                                           .catalogs = f->catalogs,
                                                           .catalogs_count = f->catalogs_count,
                                                           .move = take_move,
                                                           .commit = take_commit,
                                                           .ctx = f};
}

/* Connect for replication. */
static vestry_err open_stream(follower *f, const facts *of) {
  const vsi_call call = call_of(f);
  uint64_t server;
  vestry_err error = vsi_postgres_connect(&call, f->is.pool->is.place, true, "database", &f->stream.db);
  if (!error) error = vsi_postgres_pool_join(f->is.pool, &call, f->stream.db, &server);
  if (error) return error;
  atomic_store_explicit(&f->server, server, memory_order_relaxed);
  if (of->started == server) return VESTRY_OK;
  return vsi_refuse(&call, VESTRY_LIMIT, "two connections have reached two different servers");
}

/* Start the stream, from the page that contains the position. */
static vestry_err start_stream(follower *f, const facts *of) {
  const vsi_call call = call_of(f);
  stream *is = &f->stream;
  const vsi_postgres_wal_options options = {.host = f->host,
                                            .format = of->format,
                                            .at = of->at & ~(uint64_t)(of->page_bytes - 1),
                                            .page_bytes = of->page_bytes,
                                            .segment_bytes = of->segment_bytes,
                                            .on_record = take_record,
                                            .ctx = f};
  char sql[96];
  if (vsi_postgres_wal_init(&is->wal, &options))
    return vsi_refuse(&call, VESTRY_IO, "the WAL has an invalid size of pages or segments");
  is->end = options.at;
  snprintf(sql, sizeof sql, "START_REPLICATION PHYSICAL %" PRIX32 "/%" PRIX32, (uint32_t)(options.at >> 32),
           (uint32_t)options.at);
  PGresult *result = vsi_postgres_ask(is->db, sql, vsi_monotonic_in_ms(VSI_POSTGRES_ASK_MS));
  const bool is_copy = PQresultStatus(result) == PGRES_COPY_BOTH;
  vestry_err error = is_copy ? VESTRY_OK : vsi_postgres_fail(&call, is->db, result, sql);
  PQclear(result);
  if (error) return error;
  is->received_at_ns = vsi_monotonic_ns();
  report(is, false);
  return VESTRY_OK;
}

static vestry_err begin(follower *f) {
  facts is = {0};
  vestry_err error = find_facts(f, &is);
  if (!error) error = open_stream(f, &is);
  if (!error) error = find_catalogs(f);
  if (error) return error;
  begin_transactions(f, &is);
  f->from = is.at;
  error = start_stream(f, &is);
  if (!error) vsi_postgres_index_start(f->is.index, is.number);
  return error;
}

static void end(follower *f) {
  if (f->stream.wal.is.host) vsi_postgres_wal_finish(&f->stream.wal);
  PQfinish(f->stream.db);
  f->stream = (stream){.db = NULL};
  PQfinish(f->side);
  f->side = NULL;
  vsi_postgres_transactions_finish(&f->transactions);
}

/* ------------------------------------------------------------------------------------------------ following ------- */

static uint64_t unread(const stream *is) {
  return is->end > is->wal.at ? is->end - is->wal.at : 0;
}

/* Announce the position to waiting threads, and that waits up to this number were served. */
static void report_position(follower *f, uint64_t requested) {
  vsi_postgres_wal *wal = &f->stream.wal;
  vsi_mutex_lock(&f->lock);
  f->stats.read_bytes += f->place && wal->at > f->place ? wal->at - f->place : 0;
  f->place = wal->at;
  if (f->place >= f->wanted) f->answered = requested;
  f->stats.records_count += wal->records_count;
  wal->records_count = 0;
  f->stats.lag_bytes = unread(&f->stream);
  if (!f->stats.lag_bytes)
    f->behind_since_ns = 0;
  else if (!f->behind_since_ns)
    f->behind_since_ns = vsi_monotonic_ns();
  vsi_mutex_unlock(&f->lock);
  pthread_cond_broadcast(&f->moved); /* unlocked, so that the woken threads need not wait again */
}

static uint64_t requested_of(follower *f, bool *ret_is_requested) {
  vsi_mutex_lock(&f->lock);
  uint64_t requested = f->requested;
  *ret_is_requested = requested != f->answered;
  vsi_mutex_unlock(&f->lock);
  return requested;
}

/* Query what is visible, if the index waits for something, and it is time. ret_ms: time until the next call. */
static vestry_err look_in_time(follower *f, bool is_new, bool is_requested, uint32_t *ret_ms) {
  vsi_postgres_waits waits = vsi_postgres_index_waits(f->is.index);
  *ret_ms = IDLE_MS;
  if (waits == VSI_POSTGRES_NOTHING) return VESTRY_OK;
  bool is_matched = waits == VSI_POSTGRES_MET;
  if (is_new && is_matched) f->look_ms = LOOK_MATCHED_MS;
  if (!is_matched && f->look_ms < LOOK_SOME_MS) f->look_ms = LOOK_SOME_MS;
  uint64_t passed_ms = (vsi_monotonic_ns() - f->last_look_ns) / 1000000;
  if ((is_requested && waits >= VSI_POSTGRES_RUNNING) || (is_new && is_matched) || passed_ms >= f->look_ms) {
    vestry_err error = look(f);
    if (error) return error;
    passed_ms = 0;
    f->look_ms = f->look_ms < LOOK_MOST_MS / 2 ? 2 * f->look_ms : LOOK_MOST_MS;
    waits = vsi_postgres_index_waits(f->is.index);
    if (waits == VSI_POSTGRES_NOTHING) return VESTRY_OK;
  }
  *ret_ms = (uint32_t)(f->look_ms - passed_ms) + 1;
  return VESTRY_OK;
}

/* Return the pause after a read: 0 unless WAL also came just before. new_bytes: its WAL */
static uint32_t pause_after(follower *f, uint64_t new_bytes) {
  const uint64_t now_ns = vsi_monotonic_ns(), passed_ns = now_ns - f->last_new_ns;
  if (!new_bytes) return 0;
  f->last_new_ns = now_ns;
  if (passed_ns >= (uint64_t)(f->paused_ms + BUSY_MS) * 1000000 || unread(&f->stream) >= BEHIND_BYTES) return 0;
  return new_bytes >= MUCH_BYTES ? MUCH_MS : BUSY_MS;
}

/* Wait until there is work. WAL that comes after a pause is read at once. */
static void rest(follower *f, uint32_t ms) {
  const int fd = f->paused_ms ? -1 : PQsocket(f->stream.db);
  (void)vsi_postgres_thread_wait(&f->thread, fd, f->paused_ms && f->paused_ms < ms ? f->paused_ms : ms);
}

/* Follow until it ends: is_over, or an error. */
static vestry_err follow(follower *f) {
  vestry_err error = VESTRY_OK;
  bool more = false;
  while (!error && !f->thread.is_over) {
    bool is_requested;
    uint32_t ms, silent_ms = 0;
    const uint64_t requested = requested_of(f, &is_requested), before = f->stream.wal.at;
    error = read_stream(&f->stream, &more);
    const uint64_t new_bytes = f->stream.wal.at - before;
    if (!error && has_strayed(f)) {
      snprintf(f->stream.wal.reason, sizeof f->stream.wal.reason, "the pool has reached another server");
      error = VESTRY_LIMIT;
    }
    if (!error) error = look_in_time(f, new_bytes > 0, is_requested, &ms);
    if (!error && !more) error = check_silence(&f->stream, f->is.silence_ms, &silent_ms);
    if (error) break;
    f->paused_ms = more ? 0 : pause_after(f, new_bytes);
    report_position(f, requested);
    report_in_time(&f->stream);
    if (!more) rest(f, ms < silent_ms ? ms : silent_ms);
  }
  return error;
}

/* The server, or a role of it, can end the connection again and again. */
static void log_end(follower *f, vestry_err error) {
  const char *why = error == VESTRY_CLOSED      ? PQerrorMessage(f->stream.db)
                    : *f->stream.wal.reason     ? f->stream.wal.reason
                    : error == VESTRY_NOT_FOUND ? "system tables were rewritten"
                                                : vestry_strerror(error);
  vsi_log_repeated(f->host, &f->failures, (uint32_t)error + 1, VESTRY_LOG_WARN,
                   "follower of commits, %s: restarting, and then all pages are rendered again: %s",
                   f->is.pool->is.name, *why ? why : "the connection was lost");
}

/* Follow after a successful start. Returns why it ended; OK: is_over. */
static vestry_err go(follower *f) {
  f->was_refused = false;
  f->look_ms = 0;
  vsi_mutex_lock(&f->lock);
  f->place = f->wanted = 0; /* positions of another server may be later */
  vsi_mutex_unlock(&f->lock);
  set(f, VSI_POSTGRES_GOING);
  vestry_err error = follow(f);
  if (error) log_end(f, error);
  set(f, VSI_POSTGRES_TRYING);
  return error;
}

/* Log why a start has failed. */
static void log_failure(follower *f, const vsi_held_log *why) {
  if (*why->line) vsi_log_repeated(f->host, &f->failures, 0, VESTRY_LOG_ERROR, "%s", why->line);
}

/* Return whether other connections succeed, because the follower got none. */
static bool is_pool_served(const follower *f) {
  return vestry_sql_run_alone(&f->is.pool->is, "SELECT 1", NULL, NULL, NULL) == VESTRY_OK;
}

/* The thread: start and follow, again and again, with pauses that double after each failure. Of failures in a row, the
 * first one is logged, and the one because of which the level changes. */
static void *run(void *ctx) {
  follower *f = ctx;
  uint32_t back_off_ms = BACK_OFF_FIRST_MS;
  while (!f->thread.is_over) {
    vsi_held_log why;
    vsi_log_hold(&why);
    bool was_there = begin(f) != VESTRY_OK && f->side;
    vsi_log_release(&why);
    if (!f->was_refused) log_failure(f, &why);
    bool is_going = !was_there && f->side;
    /* If other connections succeed again and again and the follower gets none, the server refuses the follower, for
     * example because of the connection limit of its role. So such attempts are counted. */
    if (!f->side && back_off_ms >= BACK_OFF_MOST_MS && f->state != VSI_POSTGRES_REFUSED)
      f->alone_count = is_pool_served(f) ? f->alone_count + 1 : 0;
    else
      f->alone_count = 0;
    was_there |= f->alone_count == ALONE;
    const vestry_err error = is_going ? go(f) : VESTRY_OK;
    if (is_going) back_off_ms = BACK_OFF_FIRST_MS;
    /* Two cases. The server was reached but could not be followed, twice in a row, so it is not one that is just
     * shutting down. Or its WAL is of a kind that can never be read here. */
    if ((was_there && f->was_refused) || error == VESTRY_UNSUPPORTED) {
      if (f->was_refused && f->state != VSI_POSTGRES_REFUSED) log_failure(f, &why);
      set(f, VSI_POSTGRES_REFUSED);
      back_off_ms = REFUSED_MS;
    }
    f->was_refused = !is_going;
    end(f);
    if (!f->thread.is_over) (void)vsi_postgres_thread_wait(&f->thread, -1, back_off_ms);
    if (back_off_ms < BACK_OFF_MOST_MS) back_off_ms *= 2;
  }
  return NULL;
}

/* --------------------------------------------------------------------------------------------------- others ------- */

vsi_postgres_following vsi_postgres_follower_settle(follower *f, uint64_t until_ns) {
  vsi_mutex_lock(&f->lock);
  while (f->state == VSI_POSTGRES_TRYING && vsi_wait_until(&f->moved, &f->lock, until_ns)) {
  }
  vsi_postgres_following is = f->state;
  vsi_mutex_unlock(&f->lock);
  return is;
}

/* Return whether all WAL before a position was followed, and no commit in it can concern a page that does not show it
 * yet. */
static bool has_followed(follower *f, uint64_t place) {
  vsi_mutex_lock(&f->lock);
  const bool has_read = f->state == VSI_POSTGRES_GOING && f->place >= place;
  vsi_mutex_unlock(&f->lock);
  return has_read && vsi_postgres_index_waits(f->is.index) <= VSI_POSTGRES_SOME;
}

vestry_err vsi_postgres_follower_wait(follower *f, uint64_t place, uint64_t until_ns) {
  bool is_in_time = true;
  if (!has_strayed(f) && has_followed(f, place)) return VESTRY_OK;
  vsi_mutex_lock(&f->lock);
  const uint64_t number = ++f->requested;
  if (place > f->wanted) f->wanted = place;
  vsi_postgres_thread_wake(&f->thread);
  while (is_in_time && (f->answered < number || f->place < place || f->state != VSI_POSTGRES_GOING))
    is_in_time = vsi_wait_until(&f->moved, &f->lock, until_ns);
  vsi_mutex_unlock(&f->lock);
  return is_in_time ? VESTRY_OK : VESTRY_TIMEOUT;
}

void vsi_postgres_follower_stats_get(follower *f, vestry_postgres_stats *stats) {
  vsi_mutex_lock(&f->lock);
  stats->is_following = f->state == VSI_POSTGRES_GOING;
  stats->starts_count = f->stats.starts_count;
  stats->records_count = f->stats.records_count;
  stats->read_bytes = f->stats.read_bytes;
  stats->lag_bytes = f->stats.lag_bytes;
  stats->over_transaction_keys_count = f->stats.over_transaction_keys_count;
  stats->lag_ms = f->behind_since_ns ? (vsi_monotonic_ns() - f->behind_since_ns) / 1000000 : 0;
  vsi_mutex_unlock(&f->lock);
}

vestry_err vsi_postgres_follower_create(const vsi_postgres_follower_options *options, follower **ret_follower) {
  follower *f = vsi_calloc(options->pool->is.host, 1, sizeof *f);
  if (!f) return VESTRY_NO_MEMORY;
  f->is = *options;
  f->host = options->pool->is.host;
  vsi_mutex_init(&f->lock, VSI_LOCK_POSTGRES_FOLLOWER);
  pthread_cond_init(&f->moved, NULL);
  vestry_err error = vsi_postgres_thread_init(&f->thread);
  if (!error) error = vsi_postgres_thread_start(&f->thread, f->host, "vestry-postgres", run, f);
  if (error)
    vsi_postgres_follower_destroy(f);
  else
    *ret_follower = f;
  return error;
}

void vsi_postgres_follower_stop(follower *f) {
  if (f) vsi_postgres_thread_stop(&f->thread);
}

void vsi_postgres_follower_destroy(follower *f) {
  if (!f) return;
  vsi_postgres_thread_finish(&f->thread);
  vsi_free(f->host, f->catalogs);
  pthread_cond_destroy(&f->moved);
  vsi_mutex_finish(&f->lock);
  vsi_free(f->host, f);
}
