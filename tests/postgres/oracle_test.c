/* SPDX-License-Identifier: MIT */
/* The oracle of exact refresh over PostgreSQL: random pages, random transactions of several clients. What a commit is,
 * and what is checked when, oracle.h says. A page that does not show what is true is a miss. How many were rendered for
 * nothing is counted.
 *
 *     VESTRY_SEED=1 VESTRY_COMMITS=100000 VESTRY_LEVEL=reads test_postgres_oracle     a long run
 *
 * Each 1,600 steps are a world of their own, with the next seed. scripts/oracle postgres goes from run to run. */
#include <inttypes.h>
#include <stdlib.h>

#include "postgres/oracle.h"

enum { STEPS_A_WORLD = 1600, STEPS_AN_APPLICATION = 400, PACES = 4, COMMITS_SHORT = 600 };

typedef struct tally {
  uint64_t commits, changed, rendered, too_many, missed;
} tally;

static void explain(const oracle_world *w, const oracle_page *page, uint64_t seed, int step) {
  print_message("seed %" PRIu64 ", step %d: missed by page %td, which reads in a transaction of the kind %d%s%s\n",
                seed, step, page - w->all, (int)page->kind, page->runs ? ", runs" : "",
                page->catches ? ", catches" : "");
  for (size_t i = 0; i < 2; i++)
    if (*page->sql[i]) print_message("  reads %s\n", page->sql[i]);
  fputs(w->history, stdout); /* print_message() cuts it off */
}

/* What a page shows is what is. */
static bool judge(oracle_world *w, tally *t, uint64_t seed, int step) {
  uint64_t is[ORACLE_PAGES];
  uint64_t missed = t->missed;
  if (!oracle_world_settle(w)) {
    print_message("seed %" PRIu64 ", step %d: it never settles: %s\n", seed, step, w->on.th.last_log);
    fputs(w->history, stdout);
    t->missed++;
    return false;
  }
  oracle_world_ask(w, is);
  for (size_t i = 0; i < w->pages_count; i++) {
    oracle_page *page = &w->all[i];
    t->rendered += page->renders;
    if (is[i] == page->is)
      t->too_many += page->renders;
    else
      t->changed++;
    page->is = is[i];
    page->renders = 0;
    if (page->shown == is[i]) continue;
    t->missed++;
    explain(w, page, seed, step);
  }
  w->history[0] = '\0';
  return t->missed == missed;
}

/* A client's next step; or something happens to the follower. */
static void step_on(oracle_world *w) {
  uint32_t how = oracle_random(w, 400);
  if (how == 0)
    oracle_world_cut(w);
  else if (how < 5)
    oracle_world_pause(w);
  else if (how < 8)
    site_pass_ms(&w->on, (uint64_t)1 << oracle_random(w, 28)); /* three days at most */
  else if (how == 8)
    oracle_world_crash(w);
  else
    oracle_write(w);
  w->is_inside = oracle_random(w, 4) == 0;
  w->is_cut = oracle_random(w, 50) == 0;
}

/* Judged in one of so many steps, if there was a commit. */
static uint32_t choose_pace(oracle_world *w) {
  static const uint32_t by_reads[PACES] = {4, 16, 32, 64}, by_tables[PACES] = {1, 2, 4, 8};
  const uint32_t at = oracle_random(w, PACES);
  return w->level == VESTRY_POSTGRES_READS ? by_reads[at] : by_tables[at];
}

static bool run_application(oracle_world *w, tally *t, uint64_t seed, int step) {
  const uint32_t pace = choose_pace(w);
  bool is_true = judge(w, t, seed, step);
  uint64_t judged = w->commits;
  for (const int last = step + STEPS_AN_APPLICATION; step < last && is_true; step++) {
    step_on(w);
    if (w->commits == judged || oracle_random(w, pace)) continue;
    judged = w->commits;
    is_true = judge(w, t, seed, step);
  }
  w->is_inside = w->is_cut = false;
  is_true = is_true && judge(w, t, seed, step);
  if (!is_true || oracle_random(w, 12)) return is_true;
  is_true = oracle_world_refuse(w);
  if (is_true) return judge(w, t, seed, step);
  print_message("seed %" PRIu64 ", step %d: missed by pages of a server that cannot be followed\n", seed, step);
  t->missed++;
  return false;
}

static bool run_world(uint64_t seed, vestry_postgres_level level, tally *t) {
  static oracle_world w;
  oracle_world_open(&w, seed, level);
  bool is_true = run_application(&w, t, seed, 0);
  for (int step = STEPS_AN_APPLICATION; step < STEPS_A_WORLD && is_true; step += STEPS_AN_APPLICATION) {
    oracle_world_restart(&w);
    is_true = run_application(&w, t, seed, step);
  }
  t->commits += w.commits;
  oracle_world_close(&w);
  return is_true;
}

static uint64_t number_of(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text ? strtoull(text, NULL, 10) : otherwise;
}

static void run_level(vestry_postgres_level level, const char *name) {
  const char *only = getenv("VESTRY_LEVEL");
  if (only && strcmp(only, name) != 0) return;
  tally t = {0};
  uint64_t seed = number_of("VESTRY_SEED", 1), commits = number_of("VESTRY_COMMITS", COMMITS_SHORT);
  bool is_true = true;
  while (t.commits < commits && is_true) is_true = run_world(seed++, level, &t);
  print_message("%s: %" PRIu64 " commits, %" PRIu64 " results changed, %" PRIu64 " renders, of these %" PRIu64
                " for nothing; whole 0; missed %" PRIu64 "; next seed %" PRIu64 "\n",
                name, t.commits, t.changed, t.rendered, t.too_many, t.missed, seed);
  assert_true(is_true && t.changed > 0);
}

/* capability: M1 */
static void no_commit_is_missed_by_reads(void **state) {
  (void)state;
  run_level(VESTRY_POSTGRES_READS, "reads");
}

/* capability: M2 */
static void no_commit_is_missed_by_tables(void **state) {
  (void)state;
  run_level(VESTRY_POSTGRES_TABLES, "tables");
}

static int open_server(void **state) {
  (void)state;
  postgres_server_init(shop_server(), 0);
  postgres_server_start(shop_server(), oracle_settings);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_commit_is_missed_by_reads),
      cmocka_unit_test(no_commit_is_missed_by_tables),
  };
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cmocka_run_group_tests(tests, open_server, shop_close_server);
}
