/* SPDX-License-Identifier: MIT */
/* A connection to a server, opened and used with time limits. It also checks that the connection leads to a single
 * process of the server, and makes the settings on which this library depends. */
#include "data/postgres/link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"
#include "base/wait.h"

enum { PROBES = 4, PROBE_MS = 250 };

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

static bool come_to(PGconn *db, uint64_t until_ns) {
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (next != PGRES_POLLING_OK) {
    if (next == PGRES_POLLING_FAILED) return false;
    if (!wait_for(db, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ns)) return false;
    next = PQconnectPoll(db);
  }
  return true;
}

/* Discard notices, which are for interactive use. */
static void drop_notice(void *ctx, const PGresult *result) {
  (void)ctx, (void)result;
}

/* Open a connection. words, values: libpq's parameters, ended by a NULL. OK | NO_MEMORY | LIMIT */
static vestry_err dial(const vsi_call *call, const char *const *words, const char *const *values, uint64_t until_ns,
                       PGconn **ret_db) {
  PGconn *db = PQconnectStartParams(words, values, 1);
  if (!db) return VESTRY_NO_MEMORY;
  PQsetNoticeReceiver(db, drop_notice, NULL); /* first, because libpq writes those of connecting to stderr */
  vestry_err error = VESTRY_OK;
  if (PQstatus(db) == CONNECTION_BAD)
    error = vsi_postgres_fail(call, db, NULL, "cannot connect");
  else if (!come_to(db, until_ns))
    error = PQstatus(db) == CONNECTION_BAD
                ? vsi_postgres_fail(call, db, NULL, "cannot connect")
                : vsi_refuse(call, VESTRY_LIMIT,
                             "cannot connect: the server did not respond in time; check its address, and "
                             "whether a firewall drops the connection");
  if (error)
    PQfinish(db);
  else
    *ret_db = db;
  return error;
}

/* ----------------------------------------------------------------------------------------- the backend ------------ */

static const char backend_sql[] = "SELECT " VSI_POSTGRES_BACKEND;

/* Take a row with the number of a process. 0: there is none */
static int take_backend(PGresult *row) {
  const int pid = PQntuples(row) == 1 ? (int)strtol(PQgetvalue(row, 0, 0), NULL, 10) : 0;
  PQclear(row);
  return pid;
}

/* Return the number of the server's process to which the connection leads now. 0: no response. */
static int find_backend(PGconn *db, uint64_t until_ns) {
  return take_backend(vsi_postgres_ask(db, backend_sql, until_ns));
}

typedef enum sharing { SHARING_NONE, SHARING_FOUND, SHARING_UNKNOWN } sharing;

/* Find out whether a pooler gives each transaction another backend. A backend is the server's process behind a
 * connection. Through such a pooler, two idle connections have the same backend, or one of them has another backend
 * when it is queried again. If all backends are busy, the second connection waits for one. A pooler that shares
 * backends gives it the one that the first connection does not use, and serves the first connection after it.
 * Therefore, if the first connection is served each time, and the second one never, their pooler does not share. */
static sharing find_sharing(PGconn *db, PGconn *second, int pid, uint64_t until_ns) {
  for (int i = 0; i < PROBES; i++) {
    const uint64_t soon_ns = vsi_monotonic_in_ms(PROBE_MS);
    const bool is_waiting = PQtransactionStatus(second) == PQTRANS_ACTIVE;
    if (!is_waiting && !PQsendQuery(second, backend_sql)) return SHARING_UNKNOWN;
    const int other = take_backend(vsi_postgres_wait(second, soon_ns < until_ns ? soon_ns : until_ns));
    const int own = other == pid ? pid : find_backend(db, until_ns);
    if (!own || PQstatus(second) == CONNECTION_BAD) return SHARING_UNKNOWN;
    if (other == pid || own != pid) return SHARING_FOUND;
  }
  return SHARING_NONE;
}

/* Check that no other client shares the connection's backend. A server reports the process that serves a connection
 * when it is opened; a pooler invents a number. */
static vestry_err check_backend(const vsi_call *call, const char *const *words, const char *const *values,
                                uint64_t until_ns, PGconn *db) {
  PGconn *second = NULL;
  vestry_host quiet = *call->host;
  quiet.log = NULL;
  const vsi_call of = {&quiet, call->function, call->name, NULL};
  const int pid = find_backend(db, until_ns);
  if (!pid) return vsi_postgres_fail(call, db, NULL, "the server does not report which process serves this connection");
  if (pid == PQbackendPID(db)) return VESTRY_OK;
  const vestry_err error = dial(&of, words, values, until_ns, &second);
  if (error == VESTRY_NO_MEMORY) return error;
  const sharing is = error ? SHARING_UNKNOWN : find_sharing(db, second, pid, until_ns);
  PQfinish(second);
  if (is == SHARING_UNKNOWN)
    return vsi_refuse(call, VESTRY_LIMIT,
                      "a pooler did not serve two connections in time, so it is unknown whether it shares connections "
                      "to the server; connecting is tried again; if this remains, raise the pooler's limits "
                      "(PgBouncer: max_client_conn, default_pool_size)");
  return is ? vsi_refuse(call, VESTRY_UNSUPPORTED,
                         "a pooler gives each transaction another connection to the server (PgBouncer: pool_mode = "
                         "transaction or statement), so prepared statements, settings and LISTEN would be shared "
                         "with other clients; connect to the server itself, or to a pooler in session mode")
            : VESTRY_OK;
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

/* Open a connection and check it. As dial; UNSUPPORTED: a pooler that is not a connection to one server */
static vestry_err connect_once(const vsi_call *call, const char *const *words, const char *const *values, bool is_own,
                               uint64_t until_ns, PGconn **ret_db) {
  PGconn *db = NULL;
  vestry_err error = dial(call, words, values, until_ns, &db);
  if (error) return error;
  error = check_backend(call, words, values, until_ns, db);
  if (!error) error = vsi_postgres_set(call, db, is_own, until_ns);
  if (error)
    PQfinish(db);
  else
    *ret_db = db;
  return error;
}

/* ------------------------------------------------------------------------------------------------------ hosts ----- */

static const char *const host_words[VSI_POSTGRES_HOST_WORDS] = {"host", "hostaddr", "port"};

/* Split a list in place: each comma ends a part. NULL: no parts. */
static vsi_postgres_parts split(char *text) {
  vsi_postgres_parts is = {text, text && *text};
  for (char *at = text; at && *at; at++) {
    if (*at != ',') continue;
    *at = '\0';
    is.count++;
  }
  return is;
}

void vsi_postgres_hosts_init(vsi_postgres_hosts *hosts, const char *url) {
  *hosts = (vsi_postgres_hosts){.options = PQconninfoParse(url, NULL)};
  for (const PQconninfoOption *at = hosts->options; at && at->keyword; at++)
    for (size_t i = 0; i < VSI_POSTGRES_HOST_WORDS; i++)
      if (strcmp(at->keyword, host_words[i]) == 0) hosts->parts[i] = split(at->val);
  const size_t names_count = hosts->parts[0].count, addresses_count = hosts->parts[1].count;
  hosts->count = names_count > addresses_count ? names_count : addresses_count;
  for (size_t i = 0; i < VSI_POSTGRES_HOST_WORDS; i++) /* lists of different lengths: libpq reports the mistake */
    if (hosts->parts[i].count > 1 && hosts->parts[i].count != hosts->count) hosts->count = 0;
}

void vsi_postgres_hosts_finish(vsi_postgres_hosts *hosts) {
  PQconninfoFree(hosts->options);
  *hosts = (vsi_postgres_hosts){.count = 0};
}

/* Return a part. A single part applies to all hosts; otherwise there is one for each. */
static const char *part_of(const vsi_postgres_parts *is, size_t i) {
  const char *at = is->first;
  if (!is->count) return NULL;
  for (size_t left = is->count > 1 ? i : 0; left; left--) at += strlen(at) + 1;
  return at;
}

void vsi_postgres_hosts_choose(const vsi_postgres_hosts *hosts, size_t i, const char **ret_words,
                               const char **ret_values) {
  for (size_t n = 0; n < VSI_POSTGRES_HOST_WORDS; n++) {
    ret_words[n] = host_words[n];
    ret_values[n] = part_of(&hosts->parts[n], i);
  }
}

/* Try the hosts one after the other. libpq continues with the next host if one rejects the connection, but a silent
 * host would use all of the time. Therefore, each host is tried separately, for its share of the time. The failure of
 * the last one is logged. */
static vestry_err connect_to_each(const vsi_call *call, const vsi_postgres_hosts *hosts, const char **words,
                                  const char **values, size_t count, bool is_own, uint64_t until_ns, PGconn **ret_db) {
  vestry_err error = VESTRY_LIMIT;
  vestry_host quiet = *call->host;
  quiet.log = NULL;
  for (size_t i = 0, left; (left = hosts->count - i) && error == VESTRY_LIMIT; i++) {
    const vsi_call of = {left > 1 ? &quiet : call->host, call->function, call->name, call->repeated};
    const uint64_t now_ns = vsi_monotonic_ns(), left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    vsi_postgres_hosts_choose(hosts, i, words + count, values + count);
    error = connect_once(&of, words, values, is_own, now_ns + left_ns / left, ret_db);
  }
  return error;
}

vestry_err vsi_postgres_connect(const vsi_call *call, const char *url, bool is_own, const char *replication,
                                uint64_t until_ns, PGconn **ret_db) {
  enum { COUNT = 4 };
  const char *words[COUNT + VSI_POSTGRES_HOST_WORDS + 1] = {"client_encoding", "fallback_application_name", "dbname",
                                                            "replication"};
  const char *values[COUNT + VSI_POSTGRES_HOST_WORDS + 1] = {"UTF8", "vestry", url, replication};
  vsi_postgres_hosts hosts;
  vsi_postgres_hosts_init(&hosts, url);
  vestry_err error = hosts.count > 1 ? connect_to_each(call, &hosts, words, values, COUNT, is_own, until_ns, ret_db)
                                     : connect_once(call, words, values, is_own, until_ns, ret_db);
  vsi_postgres_hosts_finish(&hosts);
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

/* Check a result. doing: a statement, or its name, for the log */
static vestry_err take_result(const vsi_call *call, PGconn *db, PGresult *result, const char *doing, int columns,
                              PGresult **ret_result) {
  const bool is_whole = vsi_postgres_is_done(result) && (!columns || PQntuples(result)) && PQnfields(result) >= columns;
  vestry_err error = is_whole ? VESTRY_OK : vsi_postgres_fail(call, db, result, doing);
  if (is_whole && ret_result)
    *ret_result = result;
  else
    PQclear(result);
  return error;
}

vestry_err vsi_postgres_ask_own(const vsi_call *call, PGconn *db, const char *sql, int columns, PGresult **ret_result) {
  PGresult *result = vsi_postgres_ask(db, sql, vsi_monotonic_in_ms(VSI_POSTGRES_ASK_MS));
  return take_result(call, db, result, sql, columns, ret_result);
}

vestry_err vsi_postgres_ask_prepared(const vsi_call *call, PGconn *db, const char *name, int columns,
                                     PGresult **ret_result) {
  const bool is_sent = PQsendQueryPrepared(db, name, 0, NULL, NULL, NULL, 0);
  PGresult *result = is_sent ? vsi_postgres_wait(db, vsi_monotonic_in_ms(VSI_POSTGRES_ASK_MS)) : NULL;
  return take_result(call, db, result, name, columns, ret_result);
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
