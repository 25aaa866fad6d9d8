/* SPDX-License-Identifier: MIT */
/* Jobs without memory, with payloads and texts of any bytes and any size, and in a table of a later version. */
#include <math.h>

#include "jobs/contract.h"

/* ------------------------------------------------------------------------------------------ without memory ------- */

static vestry_err error_of_function; /* first error of the function's calls */

static void note(vestry_err error) {
  if (!error_of_function) error_of_function = error;
}

static void report_and_finish(crew *c, crew_node *n, vestry_job *job) {
  if (job->period_at_ms) return;
  note(vestry_job_progress(job, 0.5, "half"));
  if (!error_of_function) note(crew_finish(n, job, VESTRY_OK));
}

static void see_row(const vestry_job_row *row, void *ctx) {
  *(int64_t *)ctx = row->id;
}

static vestry_err open_without_memory(crew *c, const vestry_host *host) {
  vestry_err error = crew_open_node(c, &c->nodes[0], host, (vestry_jobs_options){.poll_ms = 60000}, false);
  return error ? error : vestry_jobs_every(c->nodes[0].jobs, "tick", 10000, 0, crew_work, &c->nodes[0]);
}

/* The first node of a database makes its tables. */
static vestry_err make_tables(test_host *th, void *ctx) {
  crew *c = ctx;
  crew_begin(c);
  const vestry_err error = open_without_memory(c, &th->host);
  crew_close_node(&c->nodes[0]);
  assert_int_equal(crew_open_node(c, &c->nodes[1], &c->th.host, (vestry_jobs_options){0}, false), VESTRY_OK);
  assert_int_equal(crew_try(&c->nodes[1], (vestry_job_order){0}, NULL), VESTRY_OK);
  assert_true(crew_step(&c->nodes[1]));
  crew_close_node(&c->nodes[1]);
  test_host_assert_clean(&c->th);
  crew_of()->remove();
  return error;
}

/* Order a job, run it and the scheduled one, and look at it. */
static vestry_err use_node(crew *c, crew_node *n, const vestry_host *host) {
  bool has_run = true;
  int64_t id = 0;
  const vestry_job_order order = {.key = "k", .unique = VESTRY_JOB_UNIQUE_OPEN, .payload = {"bytes", 5}};
  vestry_err error = open_without_memory(c, host);
  if (!error) error = crew_try(n, order, NULL);
  const int calls = atomic_load(&c->calls);
  while (!error && has_run) error = vestry_jobs_step(n->jobs, &has_run);
  assert_true(error || atomic_load(&c->calls) > calls);
  if (!error) error = error_of_function;
  if (!error) error = vestry_jobs_list(n->jobs, "work", VESTRY_JOB_ANY, 0, 1, see_row, &id);
  if (!error && vestry_jobs_retry(n->jobs, id) == VESTRY_NO_MEMORY) error = VESTRY_NO_MEMORY;
  return error;
}

/* Data written during an allocation failure does not block later operations, and committed jobs run. */
static vestry_err use_node_and_recover(test_host *th, void *ctx) {
  crew *c = ctx;
  error_of_function = VESTRY_OK;
  c->meanwhile = report_and_finish;
  const vestry_err error = use_node(c, &c->nodes[0], &th->host);
  crew_close_node(&c->nodes[0]);
  c->meanwhile = NULL;
  crew_pass(INT64_C(10) * CREW_LEASE_MS);
  while (crew_step(&c->nodes[1])) continue;
  assert_int_equal(crew_number(&c->nodes[1], "SELECT count(*) FROM vestry_job WHERE key = 'k' AND state <> 'done'"), 0);
  assert_int_equal(crew_try(&c->nodes[1], (vestry_job_order){0}, NULL), VESTRY_OK);
  assert_true(crew_step(&c->nodes[1]));
  return error;
}

static vestry_err start_and_remove(test_host *th, void *ctx) {
  crew *c = ctx;
  int64_t id;
  assert_int_equal(crew_try(&c->nodes[1], (vestry_job_order){.delay_ms = 100000}, &id), VESTRY_OK);
  vestry_err error = crew_open_node(c, &c->nodes[0], &th->host, (vestry_jobs_options){.poll_ms = 60000}, false);
  if (!error) error = vestry_jobs_start(c->nodes[0].jobs);
  if (!error) error = vestry_jobs_remove(c->nodes[0].jobs, id);
  crew_close_node(&c->nodes[0]);
  return error;
}

/* capability: L7, M3 */
TEST_CASE(allocation_failure_is_returned_and_loses_no_job) {
  static crew c;
  test_host_fail_every(crew_of()->fail_step, make_tables, &c, true);
  crew_begin(&c);
  assert_int_equal(crew_open_node(&c, &c.nodes[1], &c.th.host, (vestry_jobs_options){0}, false), VESTRY_OK);
  test_host_fail_every(crew_of()->fail_step, use_node_and_recover, &c, true);
  test_host_fail_every(crew_of()->fail_step, start_and_remove, &c, true);
  crew_close_node(&c.nodes[1]);
  test_host_assert_clean(&c.th);
  crew_of()->remove();
}

/* ------------------------------------------------------------------------------------------------- payloads ------ */

/* capability: L7, M3 */
TEST_CASE(payload_holds_any_bytes) {
  static unsigned char large[1 << 20];
  unsigned char all[256];
  for (size_t i = 0; i < sizeof all; i++) all[i] = (unsigned char)i;
  for (size_t i = 0; i < sizeof large; i++) large[i] = (unsigned char)(i * 7 + i / 251);
  const vestry_slice payloads[] = {{NULL, 0},
                                   {"", 0},
                                   {"\0", 1},
                                   {"\0\xff\0", 3},
                                   {"one\ntwo\r\nthree\r\r\n\n", 18},
                                   {"\xff\xfe\xc3(\xed\xa0\x80\xf4\x90\x80\x80", 11}, /* not UTF-8 */
                                   {"\\x00\\\\'\"%s%n$1?1", 17},
                                   {all, sizeof all},
                                   {large, sizeof large}};
  crew c;
  crew_open(&c, (vestry_jobs_options){.max_payload_bytes = sizeof large});
  for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
    const vestry_slice is = payloads[i];
    const size_t shown = is.len < CREW_SEEN_BYTES ? is.len : CREW_SEEN_BYTES - 1;
    int64_t id = crew_enqueue(&c, (vestry_job_order){.payload = is});
    const crew_row row = crew_look(&c.nodes[1], id);
    assert_int_equal(row.row.payload.len, is.len);
    if (is.len) assert_memory_equal(row.payload, is.data, shown);
    assert_true(crew_step(&c.nodes[1]));
    assert_int_equal(c.seen_len, is.len);
    if (is.len) assert_memory_equal(c.seen, is.data, shown);
  }
  crew_close(&c);
}

/* ---------------------------------------------------------------------------------------------------- texts ------ */

/* capability: L7, M3 */
TEST_CASE(kinds_and_keys_hold_any_utf8) {
  static const char *const texts[] = {"'); DROP TABLE vestry_job; --",
                                      "unknown \"\\{,}",
                                      "NULL",
                                      "a\r\nb\n",
                                      "%s%n%s",
                                      "\xe2\x82\xac \xf0\x9f\x98\x80",
                                      " ",
                                      "\\",
                                      "{}",
                                      "\x01\x1f\x7f"};
  enum { COUNT = sizeof texts / sizeof *texts };
  crew c;
  int64_t ids[COUNT], id;
  crew_open(&c, (vestry_jobs_options){0});
  crew_node *n = &c.nodes[0];
  for (int i = 0; i < COUNT; i++) {
    assert_int_equal(vestry_jobs_on(n->jobs, texts[i], crew_work, n), VESTRY_OK);
    ids[i] = crew_enqueue(&c, (vestry_job_order){.kind = texts[i], .key = texts[i]});
  }
  for (int i = 0; i < COUNT; i++) {
    assert_int_equal(crew_try(n, (vestry_job_order){.kind = texts[i], .key = texts[i]}, &id), VESTRY_EXISTS);
    assert_int_equal(id, ids[i]);
    assert_string_equal(crew_look(n, id).key, texts[i]);
    assert_false(crew_step(&c.nodes[1])); /* it has no function for that kind */
    assert_true(crew_step(n));
  }
  assert_false(crew_step(n));
  assert_int_equal(atomic_load(&c.calls), COUNT);
  crew_close(&c);
}

static void explain_badly(crew *c, crew_node *n, vestry_job *job) {
  char text[300];
  memset(text, 'x', sizeof text);
  memcpy(text + 253, "\xe2\x82\xac", 4); /* cut in the middle of a character */
  text[3] = '\xff';
  vestry_job_explain(job, text);
  memset(text, 'y', sizeof text);
  text[VESTRY_JOB_TEXT_MAX_BYTES] = '\0';
  assert_int_equal(vestry_job_progress(job, NAN, text), VESTRY_OK);
  assert_int_equal(vestry_job_progress(job, 0.5, "\xff"), VESTRY_INVALID);
  text[VESTRY_JOB_TEXT_MAX_BYTES] = 'y';
  text[VESTRY_JOB_TEXT_MAX_BYTES + 1] = '\0';
  assert_int_equal(vestry_job_progress(job, 0.5, text), VESTRY_TOO_LARGE);
}

/* capability: L7, M3 */
CREW_CASE(error_text_is_cut_and_long_progress_is_rejected) {
  int64_t id = crew_enqueue(c, (vestry_job_order){0});
  c->meanwhile = explain_badly;
  c->answers[0] = VESTRY_IO;
  assert_true(crew_step(&c->nodes[0]));
  assert_int_equal(atomic_load(&c->outcomes[0]), VESTRY_JOB_ENDED_AGAIN);
  const crew_row is = crew_look(&c->nodes[1], id);
  assert_int_equal(strlen(is.error), 253);
  assert_int_equal(is.error[3], '?');
  assert_int_equal(strlen(is.said), VESTRY_JOB_TEXT_MAX_BYTES);
  assert_true(is.row.progress == 0);
}

/* ---------------------------------------------------------------------------------------------------- sizes ------ */

static char xs[400];

/* Return a text of `count` x. */
static const char *x(size_t count) {
  memset(xs, 'x', sizeof xs - 1);
  return xs + sizeof xs - 1 - count;
}

/* capability: L7, M3 */
TEST_CASE(invalid_orders_are_rejected) {
  crew c;
  crew_open(&c, (vestry_jobs_options){.max_payload_bytes = 10});
  const struct {
    vestry_job_order order;
    vestry_err error;
  } cases[] = {{{.payload = {x(11), 11}}, VESTRY_TOO_LARGE},
               {{.payload = {x(11), SIZE_MAX}}, VESTRY_TOO_LARGE},
               {{.payload = {NULL, 1}}, VESTRY_INVALID},
               {{.payload = {x(10), 10}}, VESTRY_OK},
               {{.kind = ""}, VESTRY_INVALID},
               {{.kind = "m\xe4il"}, VESTRY_INVALID}, /* not UTF-8: rejected for each database, not only by one */
               {{.key = "\xff"}, VESTRY_INVALID},
               {{.kind = x(VESTRY_JOB_KIND_MAX_BYTES + 1)}, VESTRY_INVALID},
               {{.kind = x(VESTRY_JOB_KIND_MAX_BYTES)}, VESTRY_OK},
               {{.key = ""}, VESTRY_INVALID},
               {{.key = x(VESTRY_JOB_KEY_MAX_BYTES + 1)}, VESTRY_INVALID},
               {{.key = x(VESTRY_JOB_KEY_MAX_BYTES)}, VESTRY_OK},
               {{.unique = (vestry_job_unique)3}, VESTRY_INVALID},
               {{.delay_ms = UINT64_MAX, .not_before_ms = INT64_MAX, .max_attempts = UINT32_MAX}, VESTRY_OK},
               {{.not_before_ms = INT64_MIN}, VESTRY_OK}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(crew_try(&c.nodes[0], cases[i].order, NULL), cases[i].error);
  while (crew_step(&c.nodes[0])) continue;
  assert_int_equal(atomic_load(&c.calls), 3);
  assert_int_equal(vestry_jobs_step(NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_job_progress(NULL, 0, NULL), VESTRY_INVALID);
  assert_true(vestry_job_is_over(NULL));
  crew_close(&c);
}

/* capability: L7, M3 */
TEST_CASE(invalid_options_are_rejected) {
  static const vestry_jobs_options wrong[] = {{.threads_count = 257},
                                              {.lease_ms = 9},
                                              {.poll_ms = 60001},
                                              {.max_payload_bytes = VESTRY_JOB_PAYLOAD_MAX_BYTES + 1}};
  crew c;
  crew_node n = {0};
  crew_open(&c, (vestry_jobs_options){0});
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(crew_open_node(&c, &n, &c.th.host, wrong[i], false), VESTRY_INVALID);
    assert_null(n.jobs);
    crew_close_node(&n);
  }
  crew_close(&c);
}

/* capability: L7, M3 */
CREW_CASE(table_of_a_later_version_is_rejected) {
  crew_node n = {0};
  crew_do(&c->nodes[0], "UPDATE vestry_schema SET version = 9 WHERE part = 'job'");
  assert_int_equal(crew_open_node(c, &n, &c->th.host, (vestry_jobs_options){0}, false), VESTRY_IO);
  assert_null(n.jobs);
  assert_non_null(strstr(c->th.last_log, "_jobs_create, "));
  assert_non_null(strstr(c->th.last_log, "have version 9"));
  crew_close_node(&n);
}

int jobs_contract_run_hostile(void) {
  return cases_run("jobs_contract_hostile", NULL, NULL);
}
