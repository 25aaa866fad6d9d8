/* SPDX-License-Identifier: MIT */
/* The oracle of exact refresh: random schemas, random pages over them, random commits (oracle.h). After each step
 * the true result of every page is computed anew and compared with the page; a difference is a miss. Needless
 * renders are counted by the kind of commit.
 *
 * VESTRY_SEED=1 VESTRY_COMMITS=100000 test_sqlite oracle does a long run, and prints its counts. With VESTRY_PEERS,
 * several processes follow the file in each world with a WAL.
 *
 * Each 400 steps (VESTRY_STEPS_A_WORLD) form a world with its own seed. Worlds with a thread that follows the
 * database all the time (VESTRY_LOOKED_COMMITS), and worlds whose bounds are so small that they are reached
 * (VESTRY_BOUNDED_COMMITS), come last. A commit is what SQLite counts as one: a step makes none, or several.
 * scripts/oracle continues from run to run, so that no world repeats. */
#include <stdlib.h>

#include "sqlite/level.h"
#include "sqlite/oracle.h"

enum { STEPS_A_WORLD = 400, COMMITS_SHORT = 2000, COMMITS_LOOKED = 800, COMMITS_BOUNDED = 1200 };

typedef enum circumstances { USUAL, LOOKED, BOUNDED } circumstances;

static const char *const kind_names[ORACLE_KINDS] = {"pages", "tables", "tables, rollback journal",
                                                     "tables, exclusive"};
static const char *const step_names[ORACLE_STEPS] = {"of attached ones", "of others", "of peers", "of several",
                                                     "of the schema"};

typedef struct tally {
  uint64_t commits, changed, rendered, missed, refreshed_whole;
  uint64_t too_many[ORACLE_STEPS];
} tally;

static void report_miss(const oracle_world *w, oracle_page *p, uint64_t seed, uint64_t step) {
  print_message("seed %llu (%s), step %llu: missed by page %td\n", (unsigned long long)seed, kind_names[w->kind],
                (unsigned long long)step, p - w->all);
  for (int i = 0; i < p->queries_count; i++)
    print_message("  reads %s [%c%d %c%d]: showed %llx, reads %llx, is %llx\n", p->queries[i].sql,
                  p->queries[i].value_types[0], p->queries[i].values[0], p->queries[i].value_types[1],
                  p->queries[i].values[1], (unsigned long long)p->queries[i].shown,
                  (unsigned long long)oracle_ask(w->db[ORACLE_READER], &p->queries[i], NULL),
                  (unsigned long long)oracle_ask(w->db[ORACLE_TRUTH], &p->queries[i], NULL));
  for (int i = 0; i < w->last_count; i++) print_message("  wrote %s\n", w->last_sql[i]);
}

/* Return whether every page shows its true result. */
static bool compare_pages(oracle_world *w, tally *t, uint64_t seed, uint64_t step, oracle_step kind) {
  bool is_true = true;
  for (int i = 0; i < w->pages_count; i++) {
    oracle_page *p = &w->all[i];
    uint64_t is = oracle_world_truth(w, p);
    t->rendered += p->renders;
    if (is != p->true_result)
      t->changed++;
    else
      t->too_many[kind] += p->renders;
    p->true_result = is;
    p->renders = 0;
    if (p->shown == is) continue;
    t->missed++;
    is_true = false;
    report_miss(w, p, seed, step);
  }
  return is_true;
}

static bool run_world(uint64_t seed, uint64_t steps, circumstances are, tally tallies[ORACLE_KINDS]) {
  oracle_world *w = malloc(sizeof *w);
  tally *t = &tallies[oracle_kind_of(seed)];
  bool is_true = true;
  assert_non_null(w);
  oracle_world_open(w, seed, are == LOOKED, are == BOUNDED);
  for (int i = 0; i < w->pages_count; i++) {
    w->all[i].true_result = oracle_world_truth(w, &w->all[i]);
    w->all[i].renders = 0;
  }
  for (uint64_t n = 0; n < steps && is_true; n++) {
    uint32_t before = oracle_world_number(w);
    oracle_step kind = oracle_commit(w);
    oracle_world_settle(w);
    uint32_t commits = oracle_world_number(w) - before;
    /* With exclusive locking SQLite counts the first commit only, and a change of the journal mode restarts the
     * numbers. */
    t->commits += w->is_alone || commits > 1000 ? 1 : commits;
    is_true = compare_pages(w, t, seed, n, kind);
  }
  t->refreshed_whole += oracle_world_close(w);
  free(w);
  return is_true;
}

static uint64_t from_environment(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text ? strtoull(text, NULL, 10) : otherwise;
}

static void say(const tally *t, const char *name) {
  uint64_t too_many = 0;
  for (int i = 0; i < ORACLE_STEPS; i++) too_many += t->too_many[i];
  print_message("%s: %llu commits, %llu results changed, %llu renders, of these %llu for nothing; whole %llu; missed "
                "%llu\n",
                name, (unsigned long long)t->commits, (unsigned long long)t->changed, (unsigned long long)t->rendered,
                (unsigned long long)too_many, (unsigned long long)t->refreshed_whole, (unsigned long long)t->missed);
  print_message("  for nothing, by commits");
  for (int i = 0; i < ORACLE_STEPS; i++)
    print_message("%s %s: %llu", i ? "," : "", step_names[i], (unsigned long long)t->too_many[i]);
  print_message("\n");
}

static uint64_t seed; /* of the next world */

static void run_worlds(uint64_t commits, circumstances are) {
  uint64_t steps = from_environment("VESTRY_STEPS_A_WORLD", STEPS_A_WORLD), done = 0;
  bool is_true = true, goes_on = getenv("VESTRY_GO_ON") != NULL;
  tally tallies[ORACLE_KINDS] = {{0}};
  assert_true(steps > 0);
  while (done < commits && (is_true || goes_on)) {
    is_true &= run_world(seed++, steps, are, tallies);
    done = 0;
    for (int i = 0; i < ORACLE_KINDS; i++) done += tallies[i].commits;
  }
  for (int i = 0; i < ORACLE_KINDS; i++)
    if (tallies[i].commits) say(&tallies[i], kind_names[i]);
  if (commits) print_message("next seed %llu\n", (unsigned long long)seed);
  if (!is_true) fail_msg("a page shows what is not");
}

/* capability: D21 */
TEST_CASE(random_commits_leave_all_pages_current) {
  run_worlds(from_environment("VESTRY_COMMITS", COMMITS_SHORT), USUAL);
}

/* A miss found here may not repeat with the same seed, because the timing of the following thread is not determined
 * by it. */
/* capability: D21 */
TEST_CASE(random_commits_beside_a_follower_leave_pages_current) {
  run_worlds(from_environment("VESTRY_LOOKED_COMMITS", COMMITS_LOOKED), LOOKED);
}

/* capability: D21 */
TEST_CASE(random_commits_over_small_bounds_leave_pages_current) {
  run_worlds(from_environment("VESTRY_BOUNDED_COMMITS", COMMITS_BOUNDED), BOUNDED);
}

int main(void) {
  oracle_process_start();
  seed = from_environment("VESTRY_SEED", 1);
  level_begin();
  int failed = cases_run("sqlite/oracle", NULL, NULL);
  oracle_process_stop();
  return failed;
}
