/* SPDX-License-Identifier: MIT */
/* Requests with the same nonce: the first is in the table, and the others wait for its result. A storage whose calls
 * fail receives the ends of runs later. */
#include "app/guard/once_table.h"

#include "guard/once_contract.h"
#include "instance/instance.h"
#include "support/site.h"

typedef struct suite {
  site on;
  vsi_once_table table;
} suite;

static const vestry_scope ann = {"ann", 3}, bob = {"bob", 3};

static void begin(suite *s, size_t max_count) {
  const vestry_once_options options = {.lifetime_ms = 1000,
                                       .max_count = max_count,
                                       .max_per_scope_count = 100,
                                       .max_response_bytes = 100,
                                       .max_all_responses_bytes = 1000,
                                       .retries_ms = 10};
  memset(s, 0, sizeof *s);
  site_begin(&s->on, (vestry_options){0});
  assert_int_equal(vsi_once_table_init(&s->table, s->on.v, &options), VESTRY_OK);
}

static void end(suite *s) {
  vsi_once_table_finish(&s->table);
  site_end(&s->on);
}

static vsi_once_record *made(suite *s) {
  vsi_once_record *record = vsi_once_record_create(&s->table, &s->table.users);
  assert_non_null(record);
  return record;
}

TEST_CASE(waiting_requests_get_the_result_of_the_first) {
  static const vsi_once_progress ends[] = {VSI_ONCE_ANSWERED, VSI_ONCE_FORGOTTEN, VSI_ONCE_FAILED};
  for (int i = 0; i < 3; i++) {
    suite s;
    vsi_once_record *there = NULL;
    begin(&s, 10);
    vsi_once_record *first = made(&s), *other = made(&s);
    assert_int_equal(vsi_once_table_put(&s.table, ann, "nonce", first, &there), VESTRY_OK);
    assert_null(there);
    assert_int_equal(vsi_once_table_put(&s.table, ann, "nonce", other, &there), VESTRY_OK);
    assert_ptr_equal(there, first);
    assert_int_equal(s.table.users.count, 1);
    if (ends[i] == VSI_ONCE_FAILED) first->error = VESTRY_LIMIT;
    if (ends[i] != VSI_ONCE_ANSWERED) vsi_once_record_remove(first);
    vsi_once_record_settle(first, ends[i]);
    vsi_once_record_unref(first);
    assert_int_equal(vsi_once_record_wait(there), ends[i]);
    assert_int_equal(there->error, ends[i] == VSI_ONCE_FAILED ? VESTRY_LIMIT : VESTRY_OK);
    vsi_once_record_unref(there);
    assert_int_equal(vsi_once_table_put(&s.table, ann, "nonce", other, &there), VESTRY_OK);
    assert_int_equal(there != NULL, ends[i] == VSI_ONCE_ANSWERED);
    vsi_once_record_unref(there);
    vsi_once_record_unref(other);
    end(&s);
  }
}

static vestry_err put_of_person(suite *s, uint64_t person, int number) {
  char nonce[16];
  vsi_once_record *record = vsi_once_record_create(&s->table, &s->table.anonymous), *there = NULL;
  assert_non_null(record);
  record->person = person;
  snprintf(nonce, sizeof nonce, "%d", number);
  vestry_err error = vsi_once_table_put(&s->table, (vestry_scope){nonce, strlen(nonce)}, nonce, record, &there);
  vsi_once_record_unref(record);
  return error;
}

/* Hashes of persons are odd. Any number of them is counted, each by itself. */
TEST_CASE(full_person_shares_its_bound_with_no_other) {
  suite s;
  begin(&s, 10000);
  s.table.anonymous.max_count = 9000;
  s.table.anonymous.max_per_person = 3;
  for (int i = 0; i < 5; i++) assert_int_equal(put_of_person(&s, 1, i), i < 3 ? VESTRY_OK : VESTRY_LIMIT);
  for (int i = 1; i <= 2100; i++) assert_int_equal(put_of_person(&s, (uint64_t)i << 2 | 1, 10 + i), VESTRY_OK);
  assert_int_equal(put_of_person(&s, 1, 5), VESTRY_LIMIT);
  assert_int_equal(put_of_person(&s, 0, 6), VESTRY_OK);
  end(&s);
}

static bool keeps_response(suite *s, uint64_t person, int number, vsi_once_record **ret_record) {
  static const char body[80];
  char nonce[16];
  vsi_once_record *record = made(s), *there = NULL;
  record->person = person;
  snprintf(nonce, sizeof nonce, "n%d", number);
  assert_int_equal(vsi_once_table_put(&s->table, (vestry_scope){nonce, strlen(nonce)}, nonce, record, &there),
                   VESTRY_OK);
  vsi_once_response_keep(&record->response, &s->table.users.responses,
                         &(vestry_response){.status = 201, .body = body, .body_len = sizeof body});
  vsi_once_record_settle(record, VSI_ONCE_ANSWERED);
  assert_int_equal(record->response.status, 201);
  *ret_record = record;
  return record->response.bytes != NULL;
}

/* A quarter of 1,000 bytes is three responses of 80. */
TEST_CASE(person_has_at_most_a_quarter_of_the_bytes) {
  suite s;
  vsi_once_record *records[9];
  begin(&s, 100);
  for (int i = 0; i < 5; i++) assert_int_equal(keeps_response(&s, 1, i, &records[i]), i < 3);
  for (int i = 5; i < 8; i++) assert_true(keeps_response(&s, (uint64_t)i << 2 | 1, i, &records[i]));
  assert_int_equal(s.table.users.responses.bytes, 6 * 80);
  vsi_once_record_remove(records[0]); /* its bytes are free for the same person */
  assert_true(keeps_response(&s, 1, 8, &records[8]));
  for (int i = 0; i < 9; i++) vsi_once_record_unref(records[i]);
  end(&s);
}

/* Equal nonces of two scopes are two entries. An entry younger than retries_ms is not evicted. */
TEST_CASE(full_table_evicts_only_entries_older_than_retries_ms) {
  suite s;
  vsi_once_record *there = NULL;
  begin(&s, 2);
  vsi_once_record *first = made(&s), *second = made(&s), *third = made(&s);
  assert_int_equal(vsi_once_table_put(&s.table, ann, "nonce", first, &there), VESTRY_OK);
  assert_int_equal(vsi_once_table_put(&s.table, bob, "nonce", second, &there), VESTRY_OK);
  assert_null(there);
  assert_int_equal(vsi_once_table_put(&s.table, ann, "next", third, &there), VESTRY_LIMIT);
  vsi_once_record_unref(third);
  test_host_advance_ms(&s.on.th, 10);
  third = made(&s);
  assert_int_equal(vsi_once_table_put(&s.table, ann, "next", third, &there), VESTRY_OK);
  assert_null(there);
  assert_true(first->has_left);
  assert_false(second->has_left);
  assert_int_equal(s.table.users.count, 2);
  vsi_once_record_unref(first);
  vsi_once_record_unref(second);
  vsi_once_record_unref(third);
  end(&s);
}

/* ---------------------------------------------------------------------------------- a storage that fails ---------- */

/* A storage of one submission. */
static struct {
  char run[40]; /* the run that has it; "": none */
  bool is_done;
  unsigned char answer[ONCE_MORE_MAX];
  size_t len, capacity; /* capacity: the largest that begin has had */
  int running, lost,
      failing; /* the next calls of begin: another run has it; its answer is lost. Of finish and forget */
  vestry_once_found lost_found; /* the result that a lost answer leaves */
} stub;

static vestry_err begin_stub(void *ctx, const vestry_once_submission *submission, vestry_once_found *ret_found,
                             void *answer, size_t capacity, size_t *ret_len) {
  *ret_found = VESTRY_ONCE_RUNNING;
  if (stub.running-- > 0) return VESTRY_OK;
  if (!*stub.run) snprintf(stub.run, sizeof stub.run, "%s", submission->run);
  *ret_found = stub.lost_found;
  if (stub.lost-- > 0) return VESTRY_IO;
  *ret_found = strcmp(stub.run, submission->run) == 0 ? VESTRY_ONCE_NEW : VESTRY_ONCE_UNKNOWN;
  if (capacity > stub.capacity) stub.capacity = capacity;
  if (!stub.is_done) return VESTRY_OK;
  *ret_len = stub.len;
  memcpy(answer, stub.answer, stub.len < capacity ? stub.len : capacity);
  *ret_found = VESTRY_ONCE_DONE;
  return VESTRY_OK;
}

static vestry_err finish_stub(void *ctx, const vestry_once_submission *submission, const void *answer, size_t len) {
  if (stub.failing-- > 0) return VESTRY_IO;
  assert_true(len <= sizeof stub.answer);
  memcpy(stub.answer, answer, stub.len = len);
  stub.is_done = true;
  return VESTRY_OK;
}

static vestry_err forget_stub(void *ctx, const vestry_once_submission *submission) {
  if (stub.failing-- > 0) return VESTRY_IO;
  if (!stub.is_done && strcmp(stub.run, submission->run) == 0) *stub.run = '\0';
  return VESTRY_OK;
}

static vestry_err open_stub(once_node *node) {
  static const vestry_once_storage_ops ops = {.begin = begin_stub, .finish = finish_stub, .forget = forget_stub};
  static uint64_t others;
  node->on.th.seed = ++others << 32; /* no two nodes have the same random numbers */
  node->ops = &ops;
  return VESTRY_OK;
}

static void clear_stub(void) {
  memset(&stub, 0, sizeof stub);
  stub.lost_found = VESTRY_ONCE_NEW;
}

static const once_world in_a_stub = {.nodes_count = 1, .clear = clear_stub, .open = open_stub};

static void open_one(once_node *node, once_nonce nonce) {
  once_clear();
  once_open(node, (vestry_once_options){0});
  once_nonce_of(node, nonce);
}

/* The storage has stored the submission, and its answer is lost, also after it has first reported another run. */
/* capability: D18 */
TEST_CASE(submission_with_an_unanswered_begin_runs_when_repeated) {
  for (int i = 0; i < 4; i++) {
    once_node node;
    once_nonce nonce;
    open_one(&node, nonce);
    stub.running = i % 2;
    stub.lost = 1;
    stub.lost_found = i / 2 ? VESTRY_ONCE_RUNNING : VESTRY_ONCE_NEW;
    assert_string_equal(once_post(&node, nonce), "500 in");
    for (int again = 0; again < 2; again++) assert_string_equal(once_post(&node, nonce), "201 made 1 ");
    once_close(&node);
  }
}

/* No request follows, and the process ends cleanly. The next process has the answer. */
/* capability: D18 */
TEST_CASE(end_of_a_run_is_stored_without_further_requests) {
  for (int by_timer = 0; by_timer < 2; by_timer++) {
    once_node node;
    once_nonce nonce;
    open_one(&node, nonce);
    stub.failing = 1;
    assert_string_equal(once_post(&node, nonce), "201 made 1 ");
    assert_false(stub.is_done);
    if (by_timer) site_pass_ms(&node.on, 5000);
    assert_int_equal(stub.is_done, by_timer);
    once_close(&node);
    assert_true(stub.is_done);
    once_open(&node, (vestry_once_options){0});
    assert_string_equal(once_post(&node, nonce), "201 made 1 ");
    once_close(&node);
  }
}

/* A new submission needs little memory for a response, whatever max_response_bytes is, and a stored one what it has. */
TEST_CASE(memory_for_a_stored_response_fits_its_length) {
  const vestry_once_options options = {.max_response_bytes = sizeof stub.answer - 100};
  const size_t lens[] = {10, 4000, sizeof stub.answer - 400};
  for (int i = 0; i < 3; i++) {
    once_node node;
    once_nonce nonce;
    once_clear();
    once_open(&node, options);
    once_nonce_of(&node, nonce);
    once_contract_action.more_len = lens[i];
    assert_string_equal(once_post(&node, nonce), "201 made 1 ");
    assert_int_equal(stub.capacity, 512);
    assert_true(stub.len > lens[i]);
    once_close(&node);
    once_open(&node, options);
    assert_string_equal(once_post(&node, nonce), "201 made 1 ");
    assert_int_equal(stub.capacity, stub.len > 512 ? stub.len : 512);
    once_close(&node);
  }
}

/* Each retry of a client fails, and the log has one line until the storage works again. */
/* capability: D18 */
TEST_CASE(storage_that_is_down_is_logged_once) {
  once_node node;
  once_nonce nonce;
  open_one(&node, nonce);
  stub.failing = stub.lost = 4;
  for (int i = 0; i < 4; i++) assert_string_equal(once_post(&node, nonce), "500 in");
  assert_int_equal(node.on.th.log_lines, 1 + 1); /* the first answer is logged, too */
  stub.failing = 0;
  assert_string_equal(once_post(&node, nonce), "201 made 1 ");
  assert_int_equal(node.on.th.log_lines, 1 + 1);
  assert_non_null(strstr(node.on.th.last_log, "works again in the storage: of 4 failed calls, 4 were made again"));
  once_close(&node);
}

int main(void) {
  once_contract_world = &in_a_stub;
  return cases_run("guard/once_table", NULL, NULL);
}
