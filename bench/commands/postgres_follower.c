/* SPDX-License-Identifier: MIT */
/* The cost of the follower of commits: processor time of its thread for each MB of WAL, compared with a thread that
 * receives the WAL and drops it; and memory with many read sets. */
#include <endian.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "memory.h"
#include "postgres.h"

enum { EACH = 100 };
#define DROPPER "bench-drop"

/* Insert rows in separate transactions, which do not wait for the disk. */
static bool insert_aside(channels *c) {
  for (uint64_t i = 0; i < EACH; i++)
    if (!channels_run(c,
                      "INSERT INTO aside(t) VALUES('a row of about eighty bytes, as people write them in a chat of an "
                      "afternoon')"))
      return false;
  return true;
}

/* Insert rows that pages show, in separate transactions. */
static bool insert_each(channels *c) {
  for (uint64_t i = 0; i < EACH; i++)
    if (!channels_insert(c)) return false;
  return true;
}

/* Insert many rows in one transaction, with two indexes. */
static bool insert_many(channels *c) {
  return channels_run(c,
                      "INSERT INTO bulk SELECT i, i * 7919 % 100000, repeat('t', 50) FROM generate_series(1, 20000) i");
}

static bool measure(channels *c, const char *name, bool (*write)(channels *c), uint64_t times) {
  vestry_postgres_stats before = {0}, after = {0};
  vestry_postgres_stats_get(c->database, &before);
  const uint64_t cpu_ns = bench_threads_cpu_ns(POSTGRES_FOLLOWER);
  for (uint64_t i = 0; i < times; i++)
    if (!write(c) || !channels_settle(c)) return false;
  vestry_postgres_stats_get(c->database, &after);
  const double ms = (double)(bench_threads_cpu_ns(POSTGRES_FOLLOWER) - cpu_ns) / 1e6,
               mb = (double)(after.read_bytes - before.read_bytes) / 1e6;
  printf("follower load=%s mb=%.2f records=%" PRIu64 " cpu_ms=%.2f ms_a_mb=%.2f refreshed=%" PRIu64 "\n", name, mb,
         after.records_count - before.records_count, ms, ms / mb, after.refreshed_count - before.refreshed_count);
  return true;
}

static bool measure_cpu(const channels_options *options) {
  channels c;
  const uint64_t times = (options->commits + EACH - 1) / EACH;
  const bool is_done =
      channels_open(&c, options, &(channels_way){.is_followed = true}) && channels_show(&c, options->channels) &&
      channels_run(&c,
                   "SET client_min_messages = error; DROP TABLE IF EXISTS bulk, aside; CREATE TABLE aside(id bigint "
                   "GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t text); CREATE TABLE bulk(id int PRIMARY "
                   "KEY, a int, t text); CREATE INDEX ON bulk(a); SET synchronous_commit = off") &&
      measure(&c, "aside", insert_aside, times) && measure(&c, "shown", insert_each, times) &&
      measure(&c, "bulk", insert_many, 1) && channels_run(&c, "DROP TABLE bulk, aside");
  channels_close(&c);
  return is_done;
}

static bool measure_memory(const channels_options *options) {
  channels c;
  const int64_t before = bench_counted_bytes();
  bool is_done = channels_open(&c, options, &(channels_way){.is_followed = true, .host = bench_counting_host()}) &&
                 channels_show(&c, options->pages);
  if (is_done) {
    vestry_postgres_stats stats = {0};
    vestry_postgres_stats_get(c.database, &stats);
    printf("memory sets=%zu mb=%.2f sets_mb=%.2f coarse=%" PRIu64 "\n", stats.sets_count,
           (double)(bench_counted_bytes() - before) / 1e6, (double)stats.sets_bytes / 1e6, stats.table_level_count);
  }
  channels_close(&c);
  return is_done;
}

/* --------------------------------------------------------------------------------------------------- the floor ---- */

PGconn *channels_receive(const char *url) {
  static const char *const words[] = {"dbname", "replication", NULL};
  const char *values[] = {url, "true", NULL};
  char sql[96];
  PGconn *db = PQconnectdbParams(words, values, 1);
  PGresult *system = PQexec(db, "IDENTIFY_SYSTEM");
  snprintf(sql, sizeof sql, "START_REPLICATION PHYSICAL %s",
           PQntuples(system) == 1 ? PQgetvalue(system, 0, 2) : "of no server");
  PGresult *started = PQexec(db, sql);
  const bool is_started = PQresultStatus(started) == PGRES_COPY_BOTH;
  PQclear(system);
  PQclear(started);
  if (is_started) return db;
  (void)channels_complain(PQerrorMessage(db));
  PQfinish(db);
  return NULL;
}

/* Receive the WAL that has come, by libpq as the follower does, and drop it. Then wait as the follower does under
 * constant load, so that the server sends the same pieces. It does not wait if the server has a megabyte more. Returns
 * the number of bytes; -1: the connection is lost. */
static int64_t receive(PGconn *db) {
  enum { HEAD = 25, BUSY_MS = 2, MUCH_MS = 4, MUCH_BYTES = 4096, BEHIND_BYTES = 1 << 20 };
  int64_t bytes = 0;
  uint64_t places[2] = {0, 0}; /* of the last message, and the end of the server's WAL */
  char *message;
  int len = -1;
  if (!PQconsumeInput(db)) return -1;
  for (; (len = PQgetCopyData(db, &message, 1)) > 0; PQfreemem(message)) {
    if (len >= HEAD) memcpy(places, message + 1, sizeof places);
    bytes += len;
  }
  const bool is_behind = be64toh(places[1]) - be64toh(places[0]) >= BEHIND_BYTES;
  const long ms = bytes < MUCH_BYTES ? BUSY_MS : MUCH_MS;
  if (!is_behind) nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
  return len < 0 ? -1 : bytes;
}

bool channels_drop(const channels_options *options) {
  uint64_t sum = 0;
  PGconn *db = channels_receive(options->url);
  if (!db) return false;
  struct pollfd at[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = PQsocket(db), .events = POLLIN}};
  puts("ready");
  fflush(stdout);
  while (poll(at, 2, -1) >= 0 && !at[0].revents) {
    const int64_t bytes = receive(db);
    if (bytes < 0) break;
    sum += (uint64_t)bytes;
  }
  printf("drop read_bytes=%" PRIu64 "\n", sum);
  PQfinish(db);
  return true;
}

/* A thread that does the same. */
typedef struct dropper {
  PGconn *db;
  atomic_bool is_over;
  _Atomic(uint64_t) bytes;
} dropper;

static void *drop(void *ctx) {
  dropper *is = ctx;
  struct pollfd at = {.fd = PQsocket(is->db), .events = POLLIN};
  pthread_setname_np(pthread_self(), DROPPER);
  while (!atomic_load(&is->is_over)) {
    if (poll(&at, 1, 100) <= 0) continue;
    const int64_t bytes = receive(is->db);
    if (bytes < 0) break;
    is->bytes += (uint64_t)bytes;
  }
  return NULL;
}

/* The floor of rows that pages show: the same rows are inserted, and their WAL is dropped. */
static bool measure_floor(const channels_options *options) {
  channels c;
  pthread_t thread;
  dropper is = {.db = channels_receive(options->url)};
  bool is_done = is.db && channels_open(&c, options, &(channels_way){.is_followed = false});
  if (is_done && channels_run(&c, "SET synchronous_commit = off") && !pthread_create(&thread, NULL, drop, &is)) {
    bench_sleep_ms(200); /* WAL of before */
    const uint64_t cpu_ns = bench_threads_cpu_ns(DROPPER), bytes = is.bytes;
    for (uint64_t i = 0; i < options->commits && is_done; i += EACH) is_done = insert_each(&c);
    is_done = is_done && channels_run(&c, "SET synchronous_commit = on") && channels_insert(&c); /* all are sent */
    bench_sleep_ms(200);
    const double ms = (double)(bench_threads_cpu_ns(DROPPER) - cpu_ns) / 1e6, mb = (double)(is.bytes - bytes) / 1e6;
    atomic_store(&is.is_over, true);
    pthread_join(thread, NULL);
    printf("follower load=dropped mb=%.2f cpu_ms=%.2f ms_a_mb=%.2f\n", mb, ms, ms / mb);
  } else {
    is_done = false;
  }
  if (is.db) channels_close(&c);
  PQfinish(is.db);
  return is_done;
}

bool channels_follower(const channels_options *options) {
  return measure_cpu(options) && measure_floor(options) && measure_memory(options);
}
