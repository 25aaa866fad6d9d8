/* SPDX-License-Identifier: MIT */
/* The oracle of exact refresh over PostgreSQL: random pages, and random transactions of several clients. oracle.h
 * defines commits and checks. A page that does not show the true result is a miss. Needless renders are counted.
 *
 * VESTRY_SEED=1 VESTRY_COMMITS=100000 VESTRY_LEVEL=reads test_postgres_oracle does a long run, otherwise a short one.
 *
 * Each 1,600 steps form a world with its own seed. `scripts/oracle postgres` continues from run to run. */
#include <inttypes.h>
#include <stdlib.h>

#include "postgres/oracle.h"

enum { STEPS_A_WORLD = 1600, STEPS_AN_APPLICATION = 400, STEPS_OF_A_SHORT_RUN = 150, PACES = 4 };

/* Why renders ran: a key that a commit wrote; a start of following (all); a commit during the render (overtaken); a
 * conflict; none of these, such as a topic or a failure (other); the page reads in a transaction of its own that may
 * write, so each commit renders it (own). */
enum { OTHER = 7, OWN, REASONS };
static const char *const reasons[REASONS] = {"row",       "leaf",     "table", "definition", "all",
                                             "overtaken", "conflict", "other", "own"};

typedef struct tally {
  uint64_t commits, changed, rendered, too_many, missed;
  uint64_t counted[REASONS]; /* of the application, up to the last check */
  double for_nothing[REASONS];
} tally;

/* Distribute the needless renders since the last check, without those of OWN, among the reasons of all renders. */
static void note_reasons(const oracle_world *w, tally *t, uint64_t rendered, uint64_t too_many) {
  vestry_postgres_stats is = {0};
  vestry_postgres_stats_get(w->database, &is);
  const uint64_t now[REASONS] = {is.refreshed_by_row,    is.refreshed_by_leaf, is.refreshed_by_table,
                                 is.refreshed_by_schema, is.refreshed_by_all,  is.overtaken_count,
                                 is.again_count};
  uint64_t since[REASONS] = {0}, sum = 0;
  for (size_t i = 0; i < OTHER; i++) sum += since[i] = now[i] - t->counted[i];
  memcpy(t->counted, now, sizeof now);
  since[OTHER] = rendered > sum ? rendered - sum : 0;
  for (size_t i = 0; i <= OTHER && too_many; i++)
    t->for_nothing[i] += (double)too_many * (double)since[i] / (double)(sum + since[OTHER]);
}

static void report_miss(const oracle_world *w, const oracle_page *page, uint64_t seed, int step) {
  print_message("seed %" PRIu64 ", step %d: missed by page %td, which reads in a transaction of the kind %d%s%s\n",
                seed, step, page - w->all, (int)page->kind, page->runs ? ", runs" : "",
                page->catches ? ", catches" : "");
  for (size_t i = 0; i < 2; i++)
    if (*page->sql[i]) print_message("  reads %s\n", page->sql[i]);
  fputs(w->history, stdout); /* print_message() truncates it */
}

/* Compare each page's content with its true result. */
static bool compare_pages(oracle_world *w, tally *t, uint64_t seed, int step) {
  uint64_t is[ORACLE_PAGES];
  uint64_t rendered = 0, too_many = 0;
  const uint64_t missed = t->missed;
  if (!oracle_world_settle(w)) {
    print_message("seed %" PRIu64 ", step %d: it never settles: %s\n", seed, step, w->on.th.last_log);
    fputs(w->history, stdout);
    t->missed++;
    return false;
  }
  oracle_world_ask(w, is);
  for (size_t i = 0; i < w->pages_count; i++) {
    oracle_page *page = &w->all[i];
    const uint64_t needless = is[i] == page->is ? page->renders : 0;
    t->rendered += page->renders;
    t->too_many += needless;
    t->changed += is[i] != page->is;
    if (page->kind == VESTRY_SQL_WRITE) t->for_nothing[OWN] += (double)needless;
    if (page->kind != VESTRY_SQL_WRITE) rendered += page->renders, too_many += needless;
    page->is = is[i];
    page->renders = 0;
    if (page->shown == is[i]) continue;
    t->missed++;
    report_miss(w, page, seed, step);
  }
  note_reasons(w, t, rendered, too_many);
  w->history[0] = '\0';
  return t->missed == missed;
}

/* Run a client's next step, or disturb the follower. */
static void run_step(oracle_world *w) {
  uint32_t how = oracle_random(w, 400);
  if (how == 0)
    oracle_world_cut(w);
  else if (how < 5)
    oracle_world_pause(w);
  else if (how < 8)
    site_pass_ms(&w->on, (uint64_t)1 << oracle_random(w, 28)); /* three days at most */
  else if (how == 8)
    oracle_world_crash(w);
  else if (how == 9)
    oracle_end_sessions(w);
  else if (how < 34)
    oracle_strangers_step(w);
  else
    oracle_write(w);
  w->is_inside = oracle_random(w, 4) == 0;
  w->is_cut = oracle_random(w, 50) == 0;
}

/* Choose the pace: the pages are compared in one of that many steps, if there was a commit. */
static uint32_t choose_pace(oracle_world *w) {
  static const uint32_t by_reads[PACES] = {4, 16, 32, 64}, by_tables[PACES] = {1, 2, 4, 8};
  const uint32_t at = oracle_random(w, PACES);
  return w->level == VESTRY_POSTGRES_READS ? by_reads[at] : by_tables[at];
}

static bool run_application(oracle_world *w, tally *t, uint64_t seed, int step, int last) {
  const uint32_t pace = choose_pace(w);
  memset(t->counted, 0, sizeof t->counted);
  note_reasons(w, t, 0, 0);
  bool is_true = compare_pages(w, t, seed, step);
  uint64_t judged = w->commits;
  for (; step < last && is_true; step++) {
    run_step(w);
    if (w->commits == judged || oracle_random(w, pace)) continue;
    judged = w->commits;
    is_true = compare_pages(w, t, seed, step);
  }
  w->is_inside = w->is_cut = false;
  is_true = is_true && compare_pages(w, t, seed, step);
  if (!is_true || oracle_random(w, 12)) return is_true;
  is_true = oracle_world_refuse(w);
  if (is_true) return compare_pages(w, t, seed, step);
  print_message("seed %" PRIu64 ", step %d: missed by pages of a server that cannot be followed\n", seed, step);
  t->missed++;
  return false;
}

static bool run_world(uint64_t seed, vestry_postgres_level level, bool is_bounded, int steps, tally *t) {
  static oracle_world w;
  oracle_world_open(&w, seed, level, is_bounded);
  bool is_true = true;
  for (int step = 0; step < steps && is_true; step += STEPS_AN_APPLICATION) {
    if (step > 0) oracle_world_restart(&w);
    const int last = step + STEPS_AN_APPLICATION;
    is_true = run_application(&w, t, seed, step, last < steps ? last : steps);
  }
  t->commits += w.commits;
  oracle_world_close(&w);
  return is_true;
}

static uint64_t number_of(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text ? strtoull(text, NULL, 10) : otherwise;
}

static void run_level(vestry_postgres_level level, bool is_bounded, const char *name) {
  const char *only = getenv("VESTRY_LEVEL");
  if (only && strcmp(only, name) != 0) return;
  tally t = {0};
  uint64_t seed = number_of("VESTRY_SEED", 1), commits = number_of("VESTRY_COMMITS", 1);
  bool is_true = true;
  const int steps = getenv("VESTRY_COMMITS") ? STEPS_A_WORLD : STEPS_OF_A_SHORT_RUN;
  while (t.commits < commits && is_true) is_true = run_world(seed++, level, is_bounded, steps, &t);
  print_message("%s: %" PRIu64 " commits, %" PRIu64 " results changed, %" PRIu64 " renders, of these %" PRIu64
                " for nothing; whole 0; missed %" PRIu64 "; next seed %" PRIu64 "\n",
                name, t.commits, t.changed, t.rendered, t.too_many, t.missed, seed);
  print_message("  for nothing, by reason");
  for (size_t i = 0; i < REASONS; i++) print_message("%s %s: %.0f", i ? "," : "", reasons[i], t.for_nothing[i]);
  print_message("\n");
  assert_true(is_true && t.changed > 0);
}

/* capability: M1 */
TEST_CASE(random_commits_by_reads_leave_all_pages_current) {
  run_level(VESTRY_POSTGRES_READS, false, "reads");
}

/* capability: M2 */
TEST_CASE(random_commits_by_tables_leave_all_pages_current) {
  run_level(VESTRY_POSTGRES_TABLES, false, "tables");
}

/* capability: M1 */
TEST_CASE(random_commits_beyond_the_bounds_leave_all_pages_current) {
  run_level(VESTRY_POSTGRES_READS, true, "bounds");
}

static int open_server(void **state) {
  shop_start_server(oracle_settings);
  postgres_server_run(shop_server(), "ALTER ROLE site SET lock_timeout = 1");
  return 0;
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/oracle", open_server, shop_close_server);
}
