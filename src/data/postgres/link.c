/* SPDX-License-Identifier: MIT */
/* A connection to a server, opened and used with time limits, with the settings on which this library depends. */
#include "data/postgres/link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"
#include "base/wait.h"

#define CONNECT_S "5"

/* Wait until the socket is readable or writable, or the time is over (false). */
static bool wait_for(PGconn *db, short events, uint64_t until_ns) {
  for (;;) {
    uint64_t now_ns = vsi_monotonic_ns();
    uint64_t left_ms = until_ns > now_ns ? (until_ns - now_ns + 999999) / 1000000 : 0;
    struct pollfd at = {.fd = PQsocket(db), .events = events};
    if (at.fd < 0) return false;
    int count = poll(&at, 1, left_ms < 60000 ? (int)left_ms : 60000);
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) return false;
    if (count == 0 && left_ms == 0) return false;
  }
}

/* Discard notices, which are for interactive use. */
static void drop_notice(void *ctx, const PGresult *result) {
  (void)ctx, (void)result;
}

/* Settings that a role or a database may have changed (ALTER ROLE … SET), and on which this library depends. bytea is
 * read in hex. The log omits literals, whose ends it finds according to the standard. A single statement is read
 * committed, and may write. Neither an error nor a pause ends the connection. */
static const char settings_sql[] =
    "SET bytea_output = hex; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on;"
    " SET exit_on_error = off; SET default_transaction_isolation = 'read committed';"
    " SET default_transaction_read_only = off; SET default_transaction_deferrable = off";
/* The same for the library's own connections: texts in no other style, names in no other schema, and no time limits
 * except those of this library. A stop of the server waits for a process that does not respond until
 * wal_sender_timeout, which is therefore a few seconds, or the server's own if that is less. */
static const char own_sql[] =
    "; SET search_path = pg_catalog; SET DateStyle = 'ISO, MDY'; SET TimeZone = 'UTC'; SET statement_timeout = 0;"
    " SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SELECT set_config(name, least(nullif("
    "setting::integer, 0), 5000)::text, false) FROM pg_settings WHERE name = 'wal_sender_timeout'";

vestry_err vsi_postgres_set(const vsi_call *call, PGconn *db, bool is_own, uint64_t until_ns) {
  char sql[sizeof settings_sql + sizeof own_sql + 96];
  const int version = PQserverVersion(db);
  snprintf(sql, sizeof sql, "%s%s%s%s", settings_sql, version >= 140000 ? "; SET idle_session_timeout = 0" : "",
           is_own ? own_sql : "", is_own && version >= 170000 ? "; SET transaction_timeout = 0" : "");
  PGresult *result = vsi_postgres_ask(db, sql, until_ns);
  vestry_err error = vsi_postgres_is_done(result) ? VESTRY_OK : vsi_postgres_fail(call, db, result, sql);
  PQclear(result);
  return error;
}

/* libpq tries several hosts one after the other, each for CONNECT_S, unless the URL has a connect_timeout. It counts
 * this time only in a call that blocks, but writes notices of PQconnectdbParams to stderr. Therefore the connection is
 * begun without blocking, gets its receiver of notices, and is begun again by PQreset. */
vestry_err vsi_postgres_connect(const vsi_call *call, const char *url, bool is_own, const char *replication,
                                PGconn **ret_db) {
  static const char *const words[] = {
      "client_encoding", "fallback_application_name", "connect_timeout", "dbname", "replication", NULL};
  const char *const values[] = {"UTF8", "vestry", CONNECT_S, url, replication, NULL};
  PGconn *db = PQconnectStartParams(words, values, 1);
  if (!db) return VESTRY_NO_MEMORY;
  PQsetNoticeReceiver(db, drop_notice, NULL);
  PQreset(db);
  vestry_err error = PQstatus(db) == CONNECTION_OK
                         ? vsi_postgres_set(call, db, is_own, vsi_monotonic_in_ms(VSI_POSTGRES_ASK_MS))
                         : vsi_postgres_fail(call, db, NULL, "cannot connect");
  if (error)
    PQfinish(db);
  else
    *ret_db = db;
  return error;
}

/* --------------------------------------------------------------------------------------------------- queries ------ */

/* Send everything that waits, and receive meanwhile. */
static bool flush(PGconn *db, uint64_t until_ns) {
  for (;;) {
    int left = PQflush(db);
    if (left <= 0) return left == 0;
    if (!wait_for(db, POLLIN | POLLOUT, until_ns) || !PQconsumeInput(db)) return false;
  }
}

PGresult *vsi_postgres_wait(PGconn *db, uint64_t until_ns) {
  PGresult *last = NULL;
  if (!flush(db, until_ns)) return NULL;
  for (;;) {
    while (PQisBusy(db))
      if (!wait_for(db, POLLIN, until_ns) || !PQconsumeInput(db)) {
        PQclear(last);
        return NULL;
      }
    PGresult *next = PQgetResult(db);
    if (!next) break;
    ExecStatusType status = PQresultStatus(next);
    bool is_copy = status == PGRES_COPY_OUT || status == PGRES_COPY_IN || status == PGRES_COPY_BOTH;
    PQclear(last);
    last = next;
    if (is_copy) break; /* the caller continues with it */
  }
  if (PQstatus(db) != CONNECTION_BAD) return last;
  PQclear(last);
  return NULL;
}

PGresult *vsi_postgres_ask(PGconn *db, const char *sql, uint64_t until_ns) {
  return PQsendQuery(db, sql) ? vsi_postgres_wait(db, until_ns) : NULL;
}

vestry_err vsi_postgres_ask_own(const vsi_call *call, PGconn *db, const char *sql, int columns, PGresult **ret_result) {
  PGresult *result = vsi_postgres_ask(db, sql, vsi_monotonic_in_ms(VSI_POSTGRES_ASK_MS));
  const bool is_whole = vsi_postgres_is_done(result) && (!columns || PQntuples(result)) && PQnfields(result) >= columns;
  vestry_err error = is_whole ? VESTRY_OK : vsi_postgres_fail(call, db, result, sql);
  if (is_whole && ret_result)
    *ret_result = result;
  else
    PQclear(result);
  return error;
}

bool vsi_postgres_is_lost(PGconn *db) {
  struct pollfd at = {.fd = PQsocket(db), .events = POLLIN};
  if (PQstatus(db) == CONNECTION_BAD || at.fd < 0) return true;
  /* A notice, or a setting that has changed; or the last message of a server, and then the end. */
  while (poll(&at, 1, 0) > 0)
    if (!PQconsumeInput(db) || PQstatus(db) == CONNECTION_BAD) return true;
  return false;
}

/* ----------------------------------------------------------------------------------------------------- threads ---- */

vestry_err vsi_postgres_thread_init(vsi_postgres_thread *t) {
  t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return t->wake < 0 ? VESTRY_IO : VESTRY_OK;
}

vestry_err vsi_postgres_thread_start(vsi_postgres_thread *t, const vestry_host *host, const char *name,
                                     void *(*run)(void *ctx), void *ctx) {
  vestry_err error = vsi_thread_start(host, &t->thread, name, run, ctx);
  t->is_running = !error;
  return error;
}

void vsi_postgres_thread_wake(const vsi_postgres_thread *t) {
  (void)eventfd_write(t->wake, 1);
}

void vsi_postgres_thread_stop(vsi_postgres_thread *t) {
  if (!t->is_running) return;
  t->is_over = true;
  vsi_postgres_thread_wake(t);
  pthread_join(t->thread, NULL);
  t->is_running = false;
}

void vsi_postgres_thread_finish(vsi_postgres_thread *t) {
  vsi_postgres_thread_stop(t);
  if (t->wake >= 0) close(t->wake);
}

vsi_postgres_event vsi_postgres_thread_wait(const vsi_postgres_thread *t, int fd, uint32_t ms) {
  struct pollfd at[] = {{.fd = t->wake, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
  eventfd_t count;
  const int ready = poll(at, 2, (int)ms);
  if (ready > 0 && at[0].revents) (void)eventfd_read(t->wake, &count);
  if (ready > 0 && at[1].revents) return VSI_POSTGRES_READABLE;
  return ready == 0 ? VSI_POSTGRES_TIMED_OUT : VSI_POSTGRES_WOKEN;
}
