/* SPDX-License-Identifier: MIT */
/* A connection that listens to a channel, and a thread that receives notifications.
 *
 * The server puts the notifications of transactions into one queue for all channels, in the order of the commits. It
 * delivers them to a connection when the transaction's rows are visible
 * (https://www.postgresql.org/docs/current/sql-notify.html; see src/backend/commands/async.c). Therefore, to settle, a
 * node sends a unique number to a second channel. When this number arrives, the node has received everything committed
 * before.
 *
 * Notifications before LISTEN are not received. Therefore, every page is refreshed after it.
 *
 * A server delivers its own notifications only, so the receiver's server must be that of all connections of the pool
 * (pool.c). */
#include <inttypes.h>
#include <stdlib.h>

#include "base/hex.h"
#include "base/log.h"
#include "base/wait.h"
#include "data/postgres/pool.h"
#include "data/postgres/topics.h"

enum { SEND_AGAIN_MS = 500, SILENCE_MS = 10000, BACK_OFF_FIRST_MS = 50, BACK_OFF_MOST_MS = 1000, NAME_BYTES = 33 };

static const char lost[] = "the connection was lost";
static const char elsewhere[] = "the pool has reached another server";
static const char not_received[] =
    "notifications do not arrive; if a pooler uses transaction mode, connect to the server "
    "itself, or to a pooler in session mode";
static const char listen_sql[] = "LISTEN vestry; LISTEN vestry_settled";
static const char notify_sql[] = "SELECT pg_notify('vestry', $1)";
static const char settle_sql[] = "SELECT pg_notify('vestry_settled', $1)";

typedef vestry_postgres_topics topics;

struct vestry_postgres_topics {
  vestry_pages *pages;
  vsi_postgres_pool *pool;
  vestry_host quiet; /* the pool's host without a log, for retries */
  uint32_t silence_ms;
  char name[NAME_BYTES]; /* random: identifies this receiver when it settles */
  vsi_postgres_thread thread;
  uint64_t server; /* its start (VSI_POSTGRES_STARTED) */
  vsi_mutex lock;
  pthread_cond_t moved;
  /* Guarded by lock. */
  uint64_t sent, settled; /* numbers from 1: the last one sent, and the last one received */
  uint64_t seq;           /* of the last refresh */
  vsi_postgres_topics_stats stats;
  /* Belongs to the thread; before it starts, to vestry_postgres_topics_create. */
  PGconn *db;      /* NULL: not connected */
  bool has_come;   /* its own notification, sent as a check, has arrived */
  const char *why; /* reason why it stopped receiving */
  bool was_refused;
  vsi_repeated_log failures;
};

/* ---------------------------------------------------------------------------------------------- sending ----------- */

vestry_err vestry_postgres_refresh(vestry_sql_transaction *transaction, const char *topic) {
  if (!transaction) return VESTRY_INVALID;
  if (!vsi_postgres_conn_of(transaction) || (topic && !*topic))
    return vsi_mistake(transaction->pool->host, "vestry_postgres_refresh",
                       "the transaction is not of PostgreSQL, or the topic is empty; NULL stands for all pages");
  if (topic && strlen(topic) > VESTRY_PAGE_TOPIC_MAX_BYTES) {
    (void)vsi_mistake(transaction->pool->host, "vestry_postgres_refresh",
                      "the topic is longer than VESTRY_PAGE_TOPIC_MAX_BYTES");
    return VESTRY_TOO_LARGE;
  }
  return vestry_sql_run(transaction, notify_sql, VESTRY_LIST(topic ? topic : ""), NULL, NULL);
}

/* -------------------------------------------------------------------------------------------- receiving ----------- */

/* Refresh a topic; NULL: every page. */
static void refresh(topics *t, const char *topic, bool is_received) {
  uint64_t seq = 0;
  const vestry_err error = vestry_refresh_here(t->pages, topic, &seq);
  vsi_mutex_lock(&t->lock);
  if (!error) t->seq = seq;
  if (is_received) {
    t->stats.received_count++;
    if (error)
      t->stats.refused_count++;
    else
      t->stats.refreshed_count++;
  }
  vsi_mutex_unlock(&t->lock);
}

/* Process "NAME NUMBER"; other nodes send these, too. */
static void take_settled(topics *t, const char *text) {
  if (strncmp(text, t->name, NAME_BYTES - 1) != 0 || text[NAME_BYTES - 1] != ' ') return;
  const uint64_t number = strtoull(text + NAME_BYTES, NULL, 10);
  if (!number) t->has_come = true;
  vsi_mutex_lock(&t->lock);
  if (number > t->settled && number <= t->sent) t->settled = number;
  pthread_cond_broadcast(&t->moved);
  vsi_mutex_unlock(&t->lock);
}

static void take_all(topics *t) {
  for (PGnotify *notify; (notify = PQnotifies(t->db)) != NULL; PQfreemem(notify)) {
    if (strcmp(notify->relname, "vestry") == 0)
      refresh(t, *notify->extra ? notify->extra : NULL, true);
    else if (strcmp(notify->relname, "vestry_settled") == 0)
      take_settled(t, notify->extra);
  }
}

static void set_listening(topics *t, bool is_listening) {
  vsi_mutex_lock(&t->lock);
  t->stats.is_listening = is_listening;
  if (is_listening) t->stats.starts_count++;
  vsi_mutex_unlock(&t->lock);
}

static bool has_strayed(topics *t) {
  const bool has_strayed = vsi_postgres_pool_has_left(t->pool, t->server);
  if (has_strayed) t->why = elsewhere;
  return has_strayed;
}

/* Wait until its own notification arrives, or the time is over, or a connection of the pool has strayed. */
static bool await_own(topics *t, uint64_t until_ns) {
  for (;;) {
    take_all(t);
    const uint64_t now_ns = vsi_monotonic_ns();
    if (t->has_come || now_ns >= until_ns || t->thread.is_over || has_strayed(t)) return t->has_come;
    const uint32_t ms = (uint32_t)((until_ns - now_ns) / 1000000) + 1;
    if (vsi_postgres_thread_wait(&t->thread, PQsocket(t->db), ms) == VSI_POSTGRES_READABLE && !PQconsumeInput(t->db))
      return false;
  }
}

/* Check that notifications of another connection arrive. Through a pooler that has given the server's connection to
 * other clients nothing arrives, and there is no error. If the pool has no free connection, the result is unknown
 * (true). */
static bool is_subscribed(topics *t, const vsi_call *call) {
  char text[NAME_BYTES + 8];
  t->has_come = false;
  snprintf(text, sizeof text, "%s 0", t->name);
  if (vsi_postgres_ask_own(call, t->db, "SELECT 1", 0, NULL)) return false;
  if (vestry_sql_run_alone(&t->pool->is, settle_sql, VESTRY_LIST((const char *)text), NULL, NULL)) return true;
  const bool is_received = await_own(t, vsi_monotonic_in_ms(VSI_POSTGRES_ASK_MS)) || t->thread.is_over;
  if (!is_received && !has_strayed(t) && PQstatus(t->db) != CONNECTION_BAD) t->why = not_received;
  return is_received;
}

static void hang_up(topics *t) {
  PQfinish(t->db);
  t->db = NULL;
  set_listening(t, false);
}

static void begin(topics *t) {
  const vsi_call call = {t->was_refused ? &t->quiet : t->pool->is.host, "receiver of topics", t->pool->is.name,
                         &t->failures};
  const vestry_err error = vsi_postgres_connect(&call, t->pool->url, true, NULL, &t->db);
  const bool was_refused = t->was_refused;
  t->why = lost;
  t->was_refused = error || vsi_postgres_pool_join(t->pool, &call, t->db, &t->server) ||
                   vsi_postgres_ask_own(&call, t->db, listen_sql, 0, NULL) || !is_subscribed(t, &call);
  if (t->was_refused) {
    if (t->why != lost)
      vsi_log_repeated(call.host, call.repeated, 0, VESTRY_LOG_WARN, "%s, %s: %s", call.function, call.name, t->why);
    if (!error) hang_up(t);
    return;
  }
  set_listening(t, true);
  if (was_refused)
    vsi_log_repeated(t->pool->is.host, call.repeated, 0, VESTRY_LOG_INFO, "%s, %s: notifications arrive again",
                     call.function, call.name);
  refresh(t, NULL, false);
}

/* Receive until the connection is lost, or the receiver is destroyed. */
static void listen_on(topics *t) {
  const vsi_call call = {t->pool->is.host, "receiver of topics", t->pool->is.name, &t->failures};
  bool is_there = true;
  t->why = lost;
  while (is_there && !t->thread.is_over) {
    take_all(t); /* also notifications that came with a response */
    if (has_strayed(t)) break;
    const vsi_postgres_event event = vsi_postgres_thread_wait(&t->thread, PQsocket(t->db), t->silence_ms);
    if (event == VSI_POSTGRES_TIMED_OUT)
      is_there = is_subscribed(t, &call);
    else if (event == VSI_POSTGRES_READABLE)
      is_there = PQconsumeInput(t->db);
  }
  if (!t->thread.is_over)
    vsi_log_repeated(t->pool->is.host, call.repeated, 0, VESTRY_LOG_WARN,
                     "%s, %s: %s; every page is rendered again after reconnecting", call.function, call.name, t->why);
  hang_up(t);
}

static void *run(void *ctx) {
  topics *t = ctx;
  uint32_t back_off_ms = BACK_OFF_FIRST_MS;
  while (!t->thread.is_over) {
    if (t->db) {
      listen_on(t);
      t->was_refused = true; /* it has been logged */
      back_off_ms = BACK_OFF_FIRST_MS;
    }
    if (!t->thread.is_over) (void)vsi_postgres_thread_wait(&t->thread, -1, back_off_ms);
    if (back_off_ms < BACK_OFF_MOST_MS) back_off_ms *= 2;
    if (!t->thread.is_over) begin(t);
  }
  if (t->db) hang_up(t);
  return NULL;
}

/* ------------------------------------------------------------------------------------------------- settle --------- */

/* Send the number until it is received. A notification is lost while nothing listens, for example while the connection
 * is opened again, so it is repeated. */
static vestry_err settle(topics *t, const char *text, uint64_t number, uint64_t until_ns, uint64_t *ret_seq) {
  bool is_settled = false, is_in_time = true;
  vestry_err error = VESTRY_OK;
  while (!error && !is_settled && is_in_time) {
    const uint64_t again_ns = vsi_monotonic_in_ms(SEND_AGAIN_MS);
    error = vestry_sql_run_alone(&t->pool->is, settle_sql, VESTRY_LIST(text), NULL, NULL);
    is_in_time = vsi_monotonic_ns() < until_ns;
    vsi_mutex_lock(&t->lock);
    while (!error && t->settled < number &&
           vsi_wait_until(&t->moved, &t->lock, again_ns < until_ns ? again_ns : until_ns)) {
    }
    is_settled = t->settled >= number;
    if (is_settled) *ret_seq = t->seq;
    vsi_mutex_unlock(&t->lock);
  }
  return error || is_settled ? error : VESTRY_TIMEOUT;
}

vestry_err vsi_postgres_topics_settle(topics *t, uint64_t timeout_ms, uint64_t *ret_seq) {
  char text[NAME_BYTES + 24];
  uint64_t seq = 0;
  if (vsi_sql_own(&t->pool->is)) return VESTRY_INVALID;
  const uint64_t until_ns = vsi_monotonic_in_ms(timeout_ms);
  vsi_mutex_lock(&t->lock);
  const uint64_t number = ++t->sent;
  vsi_mutex_unlock(&t->lock);
  snprintf(text, sizeof text, "%s %" PRIu64, t->name, number);
  const vestry_err error = settle(t, text, number, until_ns, &seq);
  if (!error && ret_seq) *ret_seq = seq;
  return error;
}

/* --------------------------------------------------------------------------------------------------- life --------- */

static vestry_err start(topics *t) {
  unsigned char bytes[(NAME_BYTES - 1) / 2];
  if (vsi_postgres_thread_init(&t->thread)) return VESTRY_IO;
  if (t->pool->is.host->random(t->pool->is.host->ctx, bytes, sizeof bytes)) return VESTRY_IO;
  vsi_hex_write(t->name, bytes, sizeof bytes);
  if (!vsi_sql_own(&t->pool->is)) begin(t); /* otherwise the thread does it, with another connection */
  return vsi_postgres_thread_start(&t->thread, t->pool->is.host, "vestry-topics", run, t);
}

vestry_err vestry_postgres_topics_create(vestry_pages *pages, vestry_sql_pool *of,
                                         const vestry_postgres_topics_options *given, topics **ret_topics) {
  vsi_postgres_pool *pool = vsi_postgres_pool_of(of);
  if (!of) return VESTRY_INVALID;
  if (!pool || !pages || !ret_topics)
    return vsi_mistake(of->host, "vestry_postgres_topics_create",
                       "the pool is not of PostgreSQL, or pages or ret_topics is NULL");
  vestry_postgres_topics_options options = given ? *given : (vestry_postgres_topics_options){0};
  if (options.silence_ms > INT32_MAX)
    return vsi_mistake(pool->is.host, "vestry_postgres_topics_create", "options.silence_ms is too large");
  topics *t = vsi_calloc(pool->is.host, 1, sizeof *t);
  if (!t) return VESTRY_NO_MEMORY;
  t->pages = pages;
  t->pool = pool;
  t->quiet = *pool->is.host;
  t->quiet.log = NULL;
  t->silence_ms = options.silence_ms ? options.silence_ms : SILENCE_MS;
  vsi_mutex_init(&t->lock, VSI_LOCK_POSTGRES_TOPICS);
  pthread_cond_init(&t->moved, NULL);
  vestry_err error = start(t);
  if (error)
    vestry_postgres_topics_destroy(t);
  else
    *ret_topics = t;
  return error;
}

void vestry_postgres_topics_destroy(topics *t) {
  if (!t) return;
  vsi_postgres_thread_stop(&t->thread);
  vsi_postgres_thread_finish(&t->thread);
  PQfinish(t->db); /* NULL if its thread has run */
  pthread_cond_destroy(&t->moved);
  vsi_mutex_finish(&t->lock);
  vsi_free(t->pool->is.host, t);
}

vsi_postgres_topics_stats vsi_postgres_topics_stats_get(topics *t) {
  vsi_mutex_lock(&t->lock);
  const vsi_postgres_topics_stats stats = t->stats;
  vsi_mutex_unlock(&t->lock);
  return stats;
}
