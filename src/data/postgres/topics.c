/* SPDX-License-Identifier: MIT */
/* A connection that listens to a channel, and a thread that receives notifications.
 *
 * The server delivers notifications to a connection when the transaction's rows are visible
 * (https://www.postgresql.org/docs/current/sql-notify.html; see src/backend/commands/async.c).
 *
 * Notifications before LISTEN are not received. Therefore, every page is refreshed after it.
 *
 * A server delivers its own notifications only, so the receiver's server must be that of all connections of the pool
 * (pool.c). */
#include "data/postgres/topics.h"

#include <stdio.h>

#include "base/hex.h"
#include "base/log.h"

enum { SILENCE_MS = 10000, BACK_OFF_FIRST_MS = 50, BACK_OFF_MOST_MS = 1000 };

static const char lost[] = "the connection was lost";
static const char elsewhere[] = "the pool has reached another server";
static const char not_received[] =
    "notifications do not arrive; if a pooler uses transaction mode, connect to the server "
    "itself, or to a pooler in session mode";
static const char notify_sql[] = "SELECT pg_notify('vestry', $1)";

typedef vestry_postgres_topics topics;

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

static void take_all(topics *t) {
  for (PGnotify *notify; (notify = PQnotifies(t->db)) != NULL; PQfreemem(notify)) {
    if (strcmp(notify->relname, t->name) == 0)
      t->has_come = true;
    else if (vestry_refresh_here(t->pages, *notify->extra ? notify->extra : NULL, NULL))
      atomic_fetch_add_explicit(&t->refused_count, 1, memory_order_relaxed);
  }
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
  static const char sql[] = "SELECT pg_notify($1, '')";
  t->has_come = false;
  if (vsi_postgres_ask_own(call, t->db, "SELECT 1", 0, NULL)) return false;
  if (vestry_sql_run_alone(&t->pool->is, sql, VESTRY_LIST((const char *)t->name), NULL, NULL)) return true;
  const bool is_received = await_own(t, vsi_monotonic_in_ms(VSI_POSTGRES_ASK_MS)) || t->thread.is_over;
  if (!is_received && !has_strayed(t) && PQstatus(t->db) != CONNECTION_BAD) t->why = not_received;
  return is_received;
}

static void hang_up(topics *t) {
  PQfinish(t->db);
  t->db = NULL;
  atomic_store_explicit(&t->is_listening, false, memory_order_relaxed);
}

static vsi_call call_of(topics *t) {
  return (vsi_call){t->pool->is.host, "receiver of topics", t->pool->is.name, &t->failures};
}

static void begin(topics *t) {
  const vsi_call call = call_of(t);
  char listen_sql[sizeof t->name + 32];
  t->why = lost;
  if (vsi_postgres_connect(&call, t->pool->is.place, true, NULL, &t->db)) return;
  snprintf(listen_sql, sizeof listen_sql, "LISTEN vestry; LISTEN %s", t->name);
  if (vsi_postgres_pool_join(t->pool, &call, t->db, &t->server) ||
      vsi_postgres_ask_own(&call, t->db, listen_sql, 0, NULL) || !is_subscribed(t, &call)) {
    if (t->why != lost)
      vsi_log_repeated(call.host, call.repeated, 0, VESTRY_LOG_WARN, "%s, %s: %s", call.function, call.name, t->why);
    hang_up(t);
    return;
  }
  atomic_store_explicit(&t->is_listening, true, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&t->starts_count, 1, memory_order_relaxed))
    vsi_log_repeated(call.host, call.repeated, 0, VESTRY_LOG_INFO, "%s, %s: notifications arrive again", call.function,
                     call.name);
  (void)vestry_refresh_here(t->pages, NULL, NULL);
}

/* Receive until the connection is lost, or the receiver is destroyed. */
static void listen_on(topics *t) {
  const vsi_call call = call_of(t);
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
    vsi_log_repeated(call.host, call.repeated, 0, VESTRY_LOG_WARN,
                     "%s, %s: %s; every page is rendered again after reconnecting", call.function, call.name, t->why);
  hang_up(t);
}

static void *run(void *ctx) {
  topics *t = ctx;
  uint32_t back_off_ms = BACK_OFF_FIRST_MS;
  while (!t->thread.is_over) {
    if (t->db) {
      listen_on(t);
      back_off_ms = BACK_OFF_FIRST_MS;
    }
    if (!t->thread.is_over) (void)vsi_postgres_thread_wait(&t->thread, -1, back_off_ms);
    if (back_off_ms < BACK_OFF_MOST_MS) back_off_ms *= 2;
    if (!t->thread.is_over) begin(t);
  }
  if (t->db) hang_up(t);
  return NULL;
}

/* --------------------------------------------------------------------------------------------------- life --------- */

static vestry_err start(topics *t) {
  unsigned char bytes[16];
  if (vsi_postgres_thread_init(&t->thread)) return VESTRY_IO;
  if (t->pool->is.host->random(t->pool->is.host->ctx, bytes, sizeof bytes)) return VESTRY_IO;
  memcpy(t->name, "vestry_", 7);
  vsi_hex_write(t->name + 7, bytes, sizeof bytes);
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
  t->silence_ms = options.silence_ms ? options.silence_ms : SILENCE_MS;
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
  vsi_free(t->pool->is.host, t);
}
