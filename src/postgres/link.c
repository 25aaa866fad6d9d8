/* SPDX-License-Identifier: MIT */
#include "postgres/link.h"

#include <errno.h>
#include <poll.h>

#include "base/wait.h"
#include "postgres/hosts.h"

enum { PARAMETERS_MAX = 16 };

/* Whether the socket can be read, or written, before that time. */
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

static bool come_to(PGconn *db, uint64_t until_ns) {
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (next != PGRES_POLLING_OK) {
    if (next == PGRES_POLLING_FAILED) return false;
    if (!wait_for(db, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ns)) return false;
    next = PQconnectPoll(db);
  }
  return true;
}

/* words, values: libpq's parameters, a NULL at the end. OK | NO_MEMORY | LIMIT */
static vestry_err connect_once(const vsi_call *call, const char *const *words, const char *const *values,
                               uint64_t until_ns, PGconn **ret_db) {
  PGconn *db = PQconnectStartParams(words, values, 1);
  if (!db) return VESTRY_NO_MEMORY;
  vestry_err error = VESTRY_OK;
  if (PQstatus(db) == CONNECTION_BAD)
    error = vsi_postgres_fail(call, db, NULL, "it cannot be reached");
  else if (!come_to(db, until_ns))
    error = PQstatus(db) == CONNECTION_BAD
                ? vsi_postgres_fail(call, db, NULL, "it cannot be reached")
                : vsi_refuse(call, VESTRY_LIMIT, "it cannot be reached: no answer came in time");
  if (error)
    PQfinish(db);
  else
    *ret_db = db;
  return error;
}

/* libpq goes on to the next host when one refuses. One that says nothing would take all of the time: so each of them is
 * tried by itself, for its share. What the last one says is logged. */
static vestry_err connect_to_each(const vsi_call *call, const vsi_postgres_hosts *hosts, const char **words,
                                  const char **values, size_t count, uint64_t until_ns, PGconn **ret_db) {
  vestry_err error = VESTRY_LIMIT;
  vestry_host quiet = *call->host;
  quiet.log = NULL;
  for (size_t i = 0, left; (left = hosts->count - i) && error == VESTRY_LIMIT; i++) {
    const vsi_call of = {left > 1 ? &quiet : call->host, call->function, call->name};
    const uint64_t now_ns = vsi_monotonic_ns(), left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    vsi_postgres_hosts_choose(hosts, i, words + count, values + count);
    error = connect_once(&of, words, values, now_ns + left_ns / left, ret_db);
  }
  return error;
}

/* Notices are for people at a terminal. */
static void drop_notice(void *ctx, const PGresult *result) {
  (void)ctx, (void)result;
}

vestry_err vsi_postgres_connect(const vsi_call *call, const char *url, const char *name, const char *const *more_words,
                                const char *const *more_values, uint64_t until_ns, PGconn **ret_db) {
  const char *words[PARAMETERS_MAX] = {"client_encoding", "fallback_application_name", "dbname"};
  const char *values[PARAMETERS_MAX] = {"UTF8", name ? name : "vestry", url};
  size_t count = 3;
  for (; more_words && more_words[count - 3] && count + VSI_POSTGRES_HOST_WORDS + 1 < PARAMETERS_MAX; count++) {
    words[count] = more_words[count - 3];
    values[count] = more_values[count - 3];
  }
  vsi_postgres_hosts hosts;
  vsi_postgres_hosts_init(&hosts, url);
  vestry_err error = hosts.count > 1 ? connect_to_each(call, &hosts, words, values, count, until_ns, ret_db)
                                     : connect_once(call, words, values, until_ns, ret_db);
  vsi_postgres_hosts_finish(&hosts);
  if (!error) PQsetNoticeReceiver(*ret_db, drop_notice, NULL);
  return error;
}

/* All of what was sent has gone out; what comes meanwhile is taken. */
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
    if (is_copy) break; /* its caller goes on with it */
  }
  if (PQstatus(db) != CONNECTION_BAD) return last;
  PQclear(last);
  return NULL;
}

PGresult *vsi_postgres_ask(PGconn *db, const char *sql, uint64_t until_ns) {
  return PQsendQuery(db, sql) ? vsi_postgres_wait(db, until_ns) : NULL;
}

bool vsi_postgres_is_lost(PGconn *db) {
  struct pollfd at = {.fd = PQsocket(db), .events = POLLIN};
  if (PQstatus(db) == CONNECTION_BAD || at.fd < 0) return true;
  /* What comes is a notice, or a setting that has changed; or a server's last words, and then the end. */
  while (poll(&at, 1, 0) > 0)
    if (!PQconsumeInput(db) || PQstatus(db) == CONNECTION_BAD) return true;
  return false;
}
