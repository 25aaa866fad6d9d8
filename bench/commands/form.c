/* SPDX-License-Identifier: MIT */
/* vestry-bench form: the cost of storing typed text. Tabs send the content of their form in turn, as pages do half a
 * second after a change begins. A message is timed from the request to its answer, on one thread: reading the form, the
 * tab's seal, storing, JSON. Then each form is submitted: the transaction writes one row, with and without clearing the
 * form. All of this runs in memory, and in a database. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "vestry/app/input.h"
#include "vestry/app/tab.h"
#include "vestry/data/sqlite.h"
#include "vestry/testing/memory.h"

enum { PATH_MOST = 300, SEALED_BYTES = 65, HEAD_BYTES = 300 };

typedef struct bench {
  vestry *v;
  vestry_forms *forms;
  vestry_sql_pool *pool; /* NULL: in memory */
  vestry_forms_storage *stored;
  char path[PATH_MOST];
  char (*tabs)[SEALED_BYTES];
  char *body;
  uint64_t *took_ns;
  uint64_t tabs_count, rounds, bytes, number;
} bench;

static vestry_err show(const vestry_request *req, vestry_reply *reply, void *app) {
  char attributes[VESTRY_TAB_ATTRIBUTES_BYTES];
  (void)app;
  vestry_err error = vestry_tab_attributes(req, reply, attributes, sizeof attributes);
  return error ? error : vestry_reply_bodyf(reply, "%-s", attributes);
}

static vestry_err submit(const vestry_request *req, vestry_reply *reply, bench *b, bool clears) {
  vestry_sql_transaction *transaction;
  vestry_err error = VESTRY_OK;
  if (b->pool) {
    error = vestry_sql_begin(b->pool, VESTRY_SQL_WRITE, &transaction);
    if (error) return error;
    error = vestry_sql_run(transaction, "INSERT INTO report(title) VALUES('sent')", NULL, NULL, NULL);
  }
  if (!error && clears) error = vestry_forms_clear(b->forms, req, "report");
  if (b->pool) error = vestry_sql_end(transaction, error);
  return error ? error : vestry_reply_status(reply, 204);
}

static vestry_err submit_bare(const vestry_request *req, vestry_reply *reply, void *app) {
  return submit(req, reply, app, false);
}

static vestry_err submit_and_clear(const vestry_request *req, vestry_reply *reply, void *app) {
  return submit(req, reply, app, true);
}

static bool ask(bench *b, const char *path, int wanted) {
  const vestry_header headers[] = {{"Content-Type", "application/x-www-form-urlencoded"}};
  const vestry_memory_call call = {.method = "POST",
                                   .path = path,
                                   .headers = headers,
                                   .headers_count = 1,
                                   .body = b->body,
                                   .body_len = strlen(b->body)};
  vestry_memory_exchange *answer;
  if (vestry_memory_request(b->v, &call, NULL, NULL, &answer)) return false;
  bool is_well = vestry_memory_look(answer).status == wanted;
  vestry_memory_destroy(answer);
  return is_well;
}

/* Send the message of a tab; all messages have the same length but different content. */
static bool say(bench *b, const char *tab) {
  int len = snprintf(b->body, HEAD_BYTES,
                     "tabId=%s&form=report&generation=9999999999999&number=%" PRIu64 "&v.text=", tab, ++b->number);
  snprintf(b->body + len, b->bytes + 1, "%0*" PRIu64, (int)b->bytes, b->number);
  return ask(b, "/kept", 200);
}

static bool send_it(bench *b, const char *tab, const char *path) {
  snprintf(b->body, HEAD_BYTES, "tabId=%s", tab);
  return ask(b, path, 204);
}

static bool make_tabs(bench *b) {
  for (uint64_t i = 0; i < b->tabs_count; i++) {
    vestry_memory_exchange *answer;
    if (vestry_memory_request(b->v, NULL, NULL, NULL, &answer)) return false;
    const char *at = strstr(vestry_memory_look(answer).received.data, "take() || '");
    if (at) snprintf(b->tabs[i], SEALED_BYTES, "%.64s", at + 11);
    vestry_memory_destroy(answer);
    if (!at || !say(b, b->tabs[i])) return false;
  }
  return true;
}

static int by_size(const void *a, const void *b) {
  uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
  return left < right ? -1 : left > right;
}

/* Return the number of file pages that the pool has written; one thread always gets the same connection. */
static int64_t pages_written(const bench *b) {
  vestry_sql_transaction *transaction;
  int now = 0, most;
  if (!b->pool || vestry_sql_begin(b->pool, VESTRY_SQL_READ, &transaction)) return 0;
  sqlite3_db_status(vestry_sqlite_handle(transaction), SQLITE_DBSTATUS_CACHE_WRITE, &now, &most, 0);
  (void)vestry_sql_end(transaction, VESTRY_OK);
  return now;
}

/* Measure an operation. path: NULL: messages. */
static bool measure(bench *b, const char *name, const char *what, const char *path, uint64_t rounds) {
  uint64_t all_ns = 0;
  const int64_t before = pages_written(b);
  for (uint64_t i = 0; i < rounds; i++) {
    const char *tab = b->tabs[i * 7919 % b->tabs_count];
    uint64_t began = bench_now_ns();
    if (!(path ? send_it(b, tab, path) : say(b, tab))) return false;
    b->took_ns[i] = bench_now_ns() - began;
    all_ns += b->took_ns[i];
  }
  qsort(b->took_ns, rounds, sizeof *b->took_ns, by_size);
  printf("form where=%s what=%s us=%.1f p90=%.1f p99=%.1f a_second=%.0f pages=%.2f rounds=%" PRIu64 "\n", name, what,
         (double)b->took_ns[rounds / 2] / 1e3, (double)b->took_ns[rounds * 9 / 10] / 1e3,
         (double)b->took_ns[rounds * 99 / 100] / 1e3, (double)rounds * 1e9 / (double)all_ns,
         (double)(pages_written(b) - before) / (double)rounds, rounds);
  return true;
}

static vestry_err create(bench *b, const char *setup) {
  static const vestry_input fields[] = {{.name = "text"}};
  vestry_forms_options options = {.max_per_scope_count = b->tabs_count, .max_bytes = (size_t)1 << 30};
  vestry_err error = vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &b->v);
  const vestry_sqlite_pool_options file = {
      .path = b->path, .schema = "CREATE TABLE report(title TEXT)", .schema_version = 1, .setup = setup};
  if (!error && setup) error = vestry_sqlite_pool_create(&file, &b->pool);
  if (!error && setup) error = vestry_sql_forms_create(b->pool, &b->stored);
  options.storage = b->stored;
  if (!error) error = vestry_forms_create(b->v, &options, &b->forms);
  if (!error) error = vestry_forms_add(b->forms, "report", fields, 1);
  if (!error) error = vestry_route(b->v, "GET", "/", show, NULL);
  if (!error) error = vestry_route(b->v, "POST", "/bare", submit_bare, b);
  if (!error) error = vestry_route(b->v, "POST", "/sent", submit_and_clear, b);
  return error ? error : vestry_route(b->v, "POST", "/kept", vestry_forms_handler, b->forms);
}

static void finish(bench *b) {
  static const char *const ends[] = {"", "-wal", "-shm"};
  char path[PATH_MOST + 8];
  vestry_forms_destroy(b->forms);
  vestry_sql_forms_destroy(b->stored);
  if (b->v) vestry_stop(b->v, 0);
  vestry_destroy(b->v);
  vestry_sql_pool_destroy(b->pool);
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s%s", b->path, ends[i]);
    unlink(path);
  }
}

/* Run the benchmark. setup: of the database; NULL: in memory. */
static bool run(const bench *given, const char *name, const char *setup) {
  bench b = *given;
  vestry_err error = create(&b, setup);
  if (error) fprintf(stderr, "vestry-bench: form: %s\n", vestry_strerror(error));
  bool is_well = !error && make_tabs(&b) && measure(&b, name, "letter", NULL, b.rounds) &&
                 measure(&b, name, "submit", "/bare", b.rounds / 4) &&
                 measure(&b, name, "clear", "/sent", b.rounds / 4);
  if (!error && !is_well) fprintf(stderr, "vestry-bench: form: a request got an unexpected response\n");
  finish(&b);
  return is_well;
}

int bench_form(int argc, char **argv) {
  const char *folder = "/tmp";
  bench b = {.tabs_count = 1000, .rounds = 20000, .bytes = 500};
  const bench_option options[] = {{"--folder", &folder, NULL, 0, 0},
                                  {"--tabs", NULL, &b.tabs_count, 1, 100000},
                                  {"--rounds", NULL, &b.rounds, 100, 1000000},
                                  {"--bytes", NULL, &b.bytes, 20, 60000}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  snprintf(b.path, sizeof b.path, "%s/vestry-bench-%d-form.db", folder, (int)getpid());
  b.tabs = calloc(b.tabs_count, sizeof *b.tabs);
  b.body = malloc(HEAD_BYTES + b.bytes + 1);
  b.took_ns = calloc(b.rounds, sizeof *b.took_ns);
  bool is_well = b.tabs && b.body && b.took_ns && run(&b, "memory", NULL) &&
                 run(&b, "database", "PRAGMA synchronous = NORMAL") && run(&b, "synced", "PRAGMA synchronous = FULL");
  free(b.tabs);
  free(b.body);
  free(b.took_ns);
  return !is_well;
}
