/* SPDX-License-Identifier: MIT */
/* vestry-bench postgres: the cost of pages over PostgreSQL, and the delay until they show a commit. It uses an existing
 * server, and creates its tables again in the schema vestry_bench of the given database. */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { SQL_BYTES = 512, SETTLE_MS = 3600000, MANY = 1 << 20, POOL_CONNECTIONS = 8 };

bool channels_complain(const char *what) {
  fprintf(stderr, "vestry-bench: postgres: %s\n", what);
  return false;
}

static bool is_well(vestry_err error) {
  return !error || channels_complain(vestry_strerror(error));
}

static PGconn *connect_to(const char *url) {
  PGconn *connection = PQconnectdb(url);
  if (PQstatus(connection) == CONNECTION_OK) return connection;
  channels_complain(PQerrorMessage(connection));
  PQfinish(connection);
  return NULL;
}

bool channels_own_schema(const char *url) {
  static const char sql[] = "SET client_min_messages = error; CREATE SCHEMA IF NOT EXISTS vestry_bench;"
                            " SELECT current_schema() = 'vestry_bench' AND current_schemas(false) = '{vestry_bench}'";
  char options[SQL_BYTES];
  const char *given = getenv("PGOPTIONS");
  snprintf(options, sizeof options, "%s -c search_path=vestry_bench", given ? given : "");
  setenv("PGOPTIONS", options, 1); /* for each further connection */
  PGconn *connection = connect_to(url);
  if (!connection) return false;
  PGresult *result = PQexec(connection, sql);
  const bool is_made = PQresultStatus(result) == PGRES_TUPLES_OK, is_own = is_made && *PQgetvalue(result, 0, 0) == 't';
  if (!is_made) channels_complain(PQerrorMessage(connection));
  if (is_made && !is_own)
    channels_complain("the tables would not be in the schema vestry_bench; use a --url without options");
  PQclear(result);
  PQfinish(connection);
  return is_own;
}

static bool run(PGconn *connection, const char *sql) {
  PGresult *result = PQexec(connection, sql);
  const ExecStatusType status = PQresultStatus(result);
  PQclear(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || channels_complain(PQerrorMessage(connection));
}

bool channels_run(channels *c, const char *sql) {
  return run(c->writer, sql);
}

uint64_t channels_chance(channels *c, uint64_t below) {
  return bench_random(&c->random) % below;
}

bool channels_insert(channels *c) {
  char sql[SQL_BYTES];
  const uint64_t channel = c->channel = channels_chance(c, c->is->channels);
  snprintf(
      sql, sizeof sql,
      "INSERT INTO message(channel, body) VALUES(%u, 'message %llu, as people write them in a chat of an afternoon')",
      (unsigned)channel, (unsigned long long)++c->written);
  if (!run(c->writer, sql)) return false;
  if (c->kept) {
    pthread_mutex_lock(&c->kept[channel].lock);
    c->kept[channel].is_current = false;
    pthread_mutex_unlock(&c->kept[channel].lock);
  }
  return true;
}

/* ---------------------------------------------------------------------------------------------- the database ------ */

bool channels_make(const channels_options *options) {
  char sql[2 * SQL_BYTES];
  PGconn *connection = connect_to(options->url);
  if (!connection) return false;
  snprintf(
      sql, sizeof sql,
      "CREATE TABLE message(channel int, id bigint GENERATED ALWAYS AS IDENTITY, body text, PRIMARY KEY(channel, id));"
      "CREATE TABLE seen(person int, channel int, id bigint, PRIMARY KEY(person, channel)) WITH (fillfactor = 80);"
      "INSERT INTO message(channel, body) SELECT i %% %llu, 'a message of about eighty bytes, as people write them in "
      "a chat of an afternoon' FROM generate_series(1, %llu) i ORDER BY random();"
      "INSERT INTO seen SELECT i / %d, i %% %d, 0 FROM generate_series(0, %llu) i ORDER BY random()",
      (unsigned long long)options->channels, (unsigned long long)(options->channels * options->messages), CHANNELS_SEEN,
      CHANNELS_SEEN, (unsigned long long)options->channels * CHANNELS_SEEN - 1);
  bool is_made = run(connection, "SET client_min_messages = error; DROP TABLE IF EXISTS message, seen") &&
                 run(connection, sql) && run(connection, "VACUUM (ANALYZE) message, seen");
  PQfinish(connection);
  return is_made;
}

/* ------------------------------------------------------------------------------------------------- pages ---------- */

static const char messages_sql[] = "SELECT id, body FROM message WHERE channel = $1 ORDER BY id DESC LIMIT 50";
static const char seen_sql[] = "SELECT channel, id FROM seen WHERE person = $1 ORDER BY channel";

static const char item_sql[] = "SELECT n, text FROM item WHERE id = $1";

typedef struct item {
  vestry_html *html;
  uint64_t n;
} item;

static void add_item(const vestry_sql_row *row, void *ctx) {
  item *of = ctx;
  of->n = (uint64_t)vestry_sql_integer(row, 0);
  vestry_html_add(of->html, "<p>%s %s</p>", vestry_sql_text(row, 0), vestry_sql_text(row, 1));
}

static void add_row(const vestry_sql_row *row, void *html) {
  vestry_html_add(html, "<p id=\"m%s\">%s</p>", vestry_sql_text(row, 0), vestry_sql_text(row, 1));
}

/* The least that pages can cost: one statement after each message, whose HTML all pages of the channel have. */
static vestry_err read_once(const channels *c, int64_t channel, vestry_html *html) {
  channels_kept *kept = &c->kept[channel];
  vestry_slice bytes;
  vestry_err error = VESTRY_OK;
  pthread_mutex_lock(&kept->lock);
  if (!kept->is_current) {
    vestry_html_clear(&kept->html);
    error = vestry_sql_run_alone(c->pool, messages_sql, VESTRY_LIST(channel), add_row, &kept->html);
    kept->is_current = !error;
  }
  if (!error) error = vestry_html_result(&kept->html, &bytes);
  if (!error) error = vestry_html_raw(html, bytes.data, bytes.len);
  pthread_mutex_unlock(&kept->lock);
  return error;
}

static vestry_err read_channel(const channels *c, int64_t channel, int64_t person, vestry_html *html) {
  vestry_sql_transaction *transaction;
  vestry_err error = VESTRY_OK;
  if (c->kept) return read_once(c, channel, html);
  if (c->database) {
    error = vestry_sql_read(c->pool, messages_sql, VESTRY_LIST(channel), add_row, html);
    if (!error && c->way.has_seen) error = vestry_sql_read(c->pool, seen_sql, VESTRY_LIST(person), add_row, html);
    return error;
  }
  error = vestry_sql_begin(c->pool, VESTRY_SQL_WRITE, &transaction);
  if (error) return error;
  error = vestry_sql_run(transaction, messages_sql, VESTRY_LIST(channel), add_row, html);
  if (!error && c->way.has_seen) error = vestry_sql_run(transaction, seen_sql, VESTRY_LIST(person), add_row, html);
  return vestry_sql_end(transaction, error);
}

static vestry_err show(vestry_render *render, vestry_html *html, void *app) {
  channels *c = app;
  const int64_t person = strtoll(render->request->query, NULL, 10);
  atomic_fetch_add_explicit(&c->renders, 1, memory_order_relaxed);
  vestry_render_begin(render, html);
  if (c->way.has_topics) (void)vestry_render_topicf(render, "channel/%d", (int)(person % (int64_t)c->is->channels));
  item of = {.html = html};
  vestry_err error = c->way.has_items ? vestry_sql_read(c->pool, item_sql, VESTRY_LIST(2 * person), add_item, &of)
                                      : read_channel(c, person % (int64_t)c->is->channels, person, html);
  if (!error || error == VESTRY_NOT_FOUND) error = vestry_render_end(render, html);
  if (of.n && of.n == atomic_load(&c->awaited)) atomic_store(&c->shown_ns, bench_now_ns());
  return error;
}

static bool keep_reads(channels *c) {
  c->kept = calloc(c->is->channels, sizeof *c->kept);
  for (uint64_t i = 0; c->kept && i < c->is->channels; i++) {
    pthread_mutex_init(&c->kept[i].lock, NULL);
    vestry_html_init(&c->kept[i].html, NULL);
  }
  return c->kept || channels_complain("no memory");
}

static void drop_reads(channels *c) {
  for (uint64_t i = 0; c->kept && i < c->is->channels; i++) {
    vestry_html_finish(&c->kept[i].html);
    pthread_mutex_destroy(&c->kept[i].lock);
  }
  free(c->kept);
}

bool channels_open(channels *c, const channels_options *options, const channels_way *way) {
  const vestry_bounds bounds = {.max_count = MANY};
  const vestry_options of_instance = {
      .store = "hash", .bounds = &bounds, .threads_count = way->threads_count ? 0 : VESTRY_THREADS_NONE};
  const vestry_pages_options of_pages = {
      .threads_count = way->threads_count, .interval_ms = 1, .max_requests_bytes = (size_t)4 << 30};
  const vestry_postgres_pool_options of_pool = {
      .host = way->host, .url = options->url, .connections_count = POOL_CONNECTIONS};
  vestry_page *page;
  *c = (channels){.is = options, .way = *way, .random = 7, .writer = connect_to(options->url)};
  if (!c->writer || (way->keeps_reads && !keep_reads(c)) || !is_well(vestry_create(&of_instance, &c->v)) ||
      !is_well(vestry_pages_create(c->v, &of_pages, &c->pages)) ||
      !is_well(vestry_page_create(c->pages, &(vestry_page_options){.render = show, .app = c}, &page)) ||
      !is_well(vestry_route(c->v, "GET", "/", vestry_page_handler, page)) ||
      !is_well(vestry_postgres_pool_create(&of_pool, &c->pool)))
    return false;
  if (!way->is_followed) return true;
  if (!is_well(vestry_postgres_create(c->pages, c->pool, NULL, &c->database))) return false;
  return vestry_postgres_level_get(c->database) == VESTRY_POSTGRES_READS || channels_complain("the level is not READS");
}

void channels_close(channels *c) {
  for (uint64_t i = 0; i < c->tabs_count; i++) vestry_memory_destroy(c->tabs[i]);
  free(c->tabs);
  if (c->v && !c->way.threads_count) vestry_memory_settle(c->v);
  vestry_postgres_destroy(c->database);
  if (c->v) vestry_stop(c->v, 0);
  vestry_pages_destroy(c->pages);
  if (c->v) vestry_destroy(c->v);
  vestry_sql_pool_destroy(c->pool);
  drop_reads(c);
  PQfinish(c->writer);
}

bool channels_settle(channels *c) {
  uint64_t seq = UINT64_MAX, renders;
  do { /* a commit may arrive during a render, which is then repeated */
    renders = atomic_load_explicit(&c->renders, memory_order_relaxed);
    if (c->database && !is_well(vestry_postgres_settle(c->database, SETTLE_MS, &seq))) return false;
    if (!is_well(vestry_pages_settle(c->pages, seq, SETTLE_MS))) return false;
  } while (c->database && renders != atomic_load_explicit(&c->renders, memory_order_relaxed));
  return true;
}

bool channels_show(channels *c, uint64_t pages) {
  c->tabs = calloc(pages, sizeof(vestry_memory_exchange *));
  for (; c->tabs && c->tabs_count < pages; c->tabs_count++) {
    char query[24];
    snprintf(query, sizeof query, "%llu", (unsigned long long)c->tabs_count);
    const vestry_memory_call call = {.query = query, .datastar = true};
    if (!is_well(vestry_memory_request(c->v, &call, NULL, NULL, &c->tabs[c->tabs_count]))) return false;
  }
  if (!c->tabs) return channels_complain("no memory");
  while (atomic_load_explicit(&c->renders, memory_order_relaxed) < pages)
    if (!channels_settle(c)) return false;
  return true;
}

bool channels_render_all(channels *c) {
  uint64_t seq;
  return is_well(vestry_refresh(c->pages, NULL, &seq)) && is_well(vestry_pages_settle(c->pages, seq, SETTLE_MS));
}

/* ------------------------------------------------------------------------------------------------ the command ----- */

bool channels_hold(const channels_options *options) {
  channels c;
  bool is_done = channels_open(&c, options, &(channels_way){.threads_count = 2, .is_followed = true}) &&
                 channels_show(&c, options->pages);
  if (is_done) {
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF) continue;
    vestry_postgres_stats stats = {0};
    is_done = channels_settle(&c);
    vestry_postgres_stats_get(c.database, &stats);
    printf("hold records=%llu read_bytes=%llu\n", (unsigned long long)stats.records_count,
           (unsigned long long)stats.read_bytes);
  }
  channels_close(&c);
  return is_done;
}

static const struct {
  const char *name;
  bool (*measure)(const channels_options *options);
} parts[] = {{"renders", channels_renders},   {"delay", channels_delay}, {"record", channels_record},
             {"follower", channels_follower}, {"many", channels_many},   {"polling", channels_polling},
             {"hold", channels_hold},         {"drop", channels_drop}};
enum { PARTS_COUNT = sizeof parts / sizeof *parts };

int bench_postgres(int argc, char **argv) {
  channels_options is = {.channels = 200, .messages = 500, .commits = 500, .turns = 21, .seconds = 10, .pages = 2000};
  const char *only = NULL;
  const bench_option options[] = {{"--url", &is.url, NULL, 0, 0},
                                  {"--only", &only, NULL, 0, 0},
                                  {"--channels", NULL, &is.channels, 1, 10000},
                                  {"--messages", NULL, &is.messages, 50, 10000},
                                  {"--commits", NULL, &is.commits, 1, 1000000},
                                  {"--turns", NULL, &is.turns, 1, 1000},
                                  {"--seconds", NULL, &is.seconds, 1, 3600},
                                  {"--pages", NULL, &is.pages, 1, 1000000},
                                  {"--database-pid", NULL, &is.database_pid, 1, INT32_MAX}};
  const int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  size_t part = 0;
  while (part < PARTS_COUNT && (!only || strcmp(only, parts[part].name) != 0)) part++;
  if (!is.url || part == PARTS_COUNT) {
    channels_complain(
        "--url is required; --only: expected renders, delay, record, follower, many, polling, hold or drop");
    return 2;
  }
  return !(channels_own_schema(is.url) && channels_make(&is) && parts[part].measure(&is));
}
