/* SPDX-License-Identifier: MIT */
#include "guard/once_contract.h"

#include <stdlib.h>

const once_world *once_contract_world;
once_action once_contract_action;

enum { PATIENCE_MS = 600000 };
static const char secret[] = "thirty-two bytes that nobody knows";

/* ------------------------------------------------------------------------------------------------- a node --------- */

vestry_err once_page(const vestry_request *req, vestry_reply *reply, void *app) {
  once_nonce nonce;
  vestry_err error = vestry_once_nonce(req, nonce);
  return error ? error : vestry_reply_bodyf(reply, "%s", nonce);
}

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
  once_action *action = app;
  int done = atomic_fetch_add(&action->done, 1) + 1;
  if (action->inside) sem_post(action->inside);
  if (action->go) sem_wait(action->go);
  if (action->says) return action->says;
  if (action->streams) return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
  vestry_err error = vestry_reply_status(reply, 201);
  if (!error) error = vestry_reply_header(reply, "Location", "/made");
  char body[ONCE_BODY_LEN + ONCE_MORE_MAX];
  memset(body, 'x', sizeof body);
  body[snprintf(body, 12, "%d ", done)] = 'x';
  return error ? error : vestry_reply_body(reply, "text/plain", body, ONCE_BODY_LEN + action->more_len);
}

static const vestry_mounted routes[] = {{"GET", "/", once_page}, {"POST", "/act", act}};

void once_clear(void) {
  once_contract_action = (once_action){.done = 0};
  if (once_contract_world->clear) once_contract_world->clear();
}

void once_open(once_node *node, vestry_once_options options) {
  memset(node, 0, sizeof *node);
  site_begin_with(&node->on, (vestry_options){0}, (site_has){.secret = secret});
  if (once_contract_world->open) assert_int_equal(once_contract_world->open(node), VESTRY_OK);
  options.storage = node->ops;
  options.storage_ctx = node->ctx;
  assert_int_equal(vestry_once_create(node->on.v, &options, &node->once), VESTRY_OK);
  assert_int_equal(vestry_mount(node->on.v, "", routes, sizeof routes / sizeof *routes, &once_contract_action),
                   VESTRY_OK);
  assert_int_equal(vestry_guard(node->on.v, "/", vestry_once_guard, node->once), VESTRY_OK);
}

void once_close(once_node *node) {
  vestry_once_destroy(node->once);
  if (once_contract_world->close) once_contract_world->close(node);
  site_end(&node->on);
}

void once_nonce_of(once_node *node, once_nonce nonce) {
  wire r = {.path = "/"};
  wire_request(&node->on, &r, NULL, NULL);
  assert_int_equal(r.status, 200);
  snprintf(nonce, sizeof(once_nonce), "%s", r.text);
  wire_finish(&r);
}

static const char *answer_of(once_node *node, wire *r) {
  static _Thread_local char answer[64];
  assert_int_equal(wire_serve(&node->on, r, NULL, NULL), VESTRY_OK);
  snprintf(answer, sizeof answer, "%d%s %.2s", r->status, strstr(r->head, "Location: /made\n") ? " made" : "",
           r->text ? r->text : "");
  wire_finish(r);
  return answer;
}

const char *once_post(once_node *node, const char *nonce) {
  wire r = {.method = "POST", .path = "/act", .datastar = true, .headers = {{"X-Once", nonce}}};
  r.body = "{}";
  r.body_len = 2;
  return answer_of(node, &r);
}

const char *once_send(once_node *node, const char *nonce, const char *field) {
  char form[200];
  snprintf(form, sizeof form, "text=%s&once=%s", field, nonce);
  wire r = {.method = "POST",
            .path = "/act",
            .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
            .body = form,
            .body_len = strlen(form)};
  return answer_of(node, &r);
}

static size_t post_length(once_node *node, const char *nonce) {
  wire r = {.method = "POST", .path = "/act", .datastar = true, .headers = {{"X-Once", nonce}}};
  wire_request(&node->on, &r, NULL, NULL);
  assert_int_equal(r.status, 201);
  const size_t len = strlen(r.text);
  wire_finish(&r);
  return len;
}

/* -------------------------------------------------------------------------------------------------- nodes --------- */

typedef struct nodes {
  once_node own[2];
  once_node *one, *other; /* the same node if the world has only one */
} nodes;

static void begin(nodes *n) {
  once_clear();
  for (int i = 0; i < once_contract_world->nodes_count; i++)
    once_open(&n->own[i], (vestry_once_options){.wait_ms = PATIENCE_MS});
  n->one = n->own;
  n->other = &n->own[once_contract_world->nodes_count - 1];
}

static void end(nodes *n) {
  for (int i = 0; i < once_contract_world->nodes_count; i++) once_close(&n->own[i]);
}

#define NODES_CASE(name) TEST_CASE_WITH(name, nodes, n, begin(n), end(n))

NODES_CASE(repeat_at_each_node_gets_the_first_answer) {
  once_nonce nonce, next;
  once_nonce_of(n->one, nonce);
  assert_string_equal(once_post(n->one, nonce), "201 made 1 ");
  for (int i = 0; i < 3; i++) assert_string_equal(once_post(n->other, nonce), "201 made 1 ");
  once_nonce_of(n->one, next);
  assert_string_equal(once_post(n->other, next), "201 made 2 ");
  assert_string_equal(once_post(n->one, next), "201 made 2 ");
  assert_int_equal(once_contract_action.done, 2);
}

NODES_CASE(long_response_is_repeated_at_each_node) {
  once_nonce nonce;
  for (size_t len = 100; len <= 3200; len *= 2) {
    once_contract_action.more_len = len;
    once_nonce_of(n->one, nonce);
    for (int i = 0; i < 3; i++) assert_int_equal(post_length(i ? n->other : n->one, nonce), ONCE_BODY_LEN + len);
  }
  assert_int_equal(once_contract_action.done, 6);
}

NODES_CASE(same_nonce_with_another_form_gets_409) {
  once_nonce nonce;
  once_nonce_of(n->one, nonce);
  assert_string_equal(once_send(n->one, nonce, "milk"), "201 made 1 ");
  assert_string_equal(once_send(n->other, nonce, "milk"), "201 made 1 ");
  assert_string_equal(once_send(n->other, nonce, "eggs"), "409 <!");
  assert_int_equal(once_contract_action.done, 1);
}

NODES_CASE(action_that_failed_with_limit_runs_again) {
  once_nonce nonce;
  once_nonce_of(n->one, nonce);
  once_contract_action.says = VESTRY_LIMIT;
  assert_string_equal(once_post(n->one, nonce), "503 no");
  once_contract_action.says = VESTRY_OK;
  assert_string_equal(once_post(n->other, nonce), "201 made 2 ");
}

NODES_CASE(failed_or_streamed_action_does_not_run_again) {
  once_nonce nonce;
  once_nonce_of(n->one, nonce);
  once_contract_action.says = VESTRY_FAILED;
  assert_string_equal(once_post(n->one, nonce), "500 in");
  assert_string_equal(once_post(n->other, nonce), "500 in");
  assert_int_equal(once_contract_action.done, 1);
  once_contract_action.says = VESTRY_OK;
  once_contract_action.streams = true;
  once_nonce_of(n->one, nonce);
  wire r = {.method = "POST", .path = "/act", .datastar = true, .headers = {{"X-Once", nonce}}};
  wire_request(&n->one->on, &r, NULL, NULL);
  assert_int_equal(r.status, 200);
  wire_finish(&r);
  assert_string_equal(once_post(n->other, nonce), "204 ");
  assert_int_equal(once_contract_action.done, 2);
}

typedef struct submission {
  once_node *node;
  const char *nonce;
  char answer[64];
  sem_t *answered; /* NULL: a response 503 is repeated, as the client does */
} submission;

static void *submit(void *ctx) {
  submission *own = ctx;
  do snprintf(own->answer, sizeof own->answer, "%s", once_post(own->node, own->nonce));
  while (!own->answered && strncmp(own->answer, "503", 3) == 0);
  if (own->answered) sem_post(own->answered);
  return NULL;
}

/* The second submission arrives while the first runs, and gets the answer after the first has ended. */
NODES_CASE(submission_during_the_first_waits_for_its_answer) {
  once_nonce nonce;
  sem_t inside, go;
  pthread_t threads[2];
  sem_init(&inside, 0, 0);
  sem_init(&go, 0, 0);
  once_contract_action.inside = &inside;
  once_contract_action.go = &go;
  once_nonce_of(n->one, nonce);
  submission submissions[] = {{n->one, nonce, "", NULL}, {n->other, nonce, "", NULL}};
  assert_int_equal(pthread_create(&threads[0], NULL, submit, &submissions[0]), 0);
  sem_wait(&inside);
  assert_int_equal(pthread_create(&threads[1], NULL, submit, &submissions[1]), 0);
  sem_post(&go);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < 2; i++) assert_string_equal(submissions[i].answer, "201 made 1 ");
  assert_int_equal(once_contract_action.done, 1);
  sem_destroy(&inside);
  sem_destroy(&go);
}

/* Two actions run, and both are repeated. One repetition waits for its action; the other gets 503 while both run. */
NODES_CASE(one_repetition_waits_and_others_get_503) {
  once_nonce nonces[2];
  sem_t inside, go, ended, answered;
  sem_t *all[] = {&inside, &go, &ended, &answered};
  pthread_t threads[4];
  submission submissions[4];
  for (int i = 0; i < 4; i++) sem_init(all[i], 0, 0);
  once_contract_action.inside = &inside;
  once_contract_action.go = &go;
  for (int i = 0; i < 4; i++) {
    if (i < 2) once_nonce_of(n->one, nonces[i]);
    submissions[i] = (submission){i < 2 ? n->one : n->other, nonces[i % 2], "", i < 2 ? &ended : &answered};
    assert_int_equal(pthread_create(&threads[i], NULL, submit, &submissions[i]), 0);
    if (i < 2) sem_wait(&inside);
  }
  sem_wait(&answered);
  assert_int_equal(sem_trywait(&answered), -1);
  for (int i = 0; i < 2; i++) sem_post(&go);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  const int refused = strncmp(submissions[2].answer, "503", 3) == 0 ? 2 : 3;
  assert_string_equal(submissions[refused].answer, "503 no");
  assert_string_equal(submissions[5 - refused].answer, submissions[3 - refused].answer);
  assert_int_equal(once_contract_action.done, 2);
  for (int i = 0; i < 4; i++) sem_destroy(all[i]);
}

/* The action waits until its repetition is answered. */
TEST_CASE(repetition_waits_for_wait_ms_only) {
  once_node node;
  once_nonce nonce;
  sem_t inside, go;
  pthread_t thread;
  once_clear();
  sem_init(&inside, 0, 0);
  sem_init(&go, 0, 0);
  once_contract_action.inside = &inside;
  once_contract_action.go = &go;
  once_open(&node, (vestry_once_options){.wait_ms = 1});
  once_nonce_of(&node, nonce);
  submission first = {&node, nonce, "", NULL};
  assert_int_equal(pthread_create(&thread, NULL, submit, &first), 0);
  sem_wait(&inside);
  for (int i = 0; i < 2; i++) assert_string_equal(once_post(&node, nonce), "503 no");
  sem_post(&go);
  pthread_join(thread, NULL);
  assert_string_equal(first.answer, "201 made 1 ");
  assert_string_equal(once_post(&node, nonce), first.answer);
  sem_destroy(&inside);
  sem_destroy(&go);
  once_close(&node);
}

/* Threads submit the same nonce at all nodes at once, in 40 rounds. */
NODES_CASE(concurrent_submissions_of_one_nonce_run_once) {
  once_nonce nonce;
  for (int round = 1; round <= 40; round++) {
    pthread_t threads[4];
    submission submissions[4];
    char wanted[20];
    once_nonce_of(n->one, nonce);
    snprintf(wanted, sizeof wanted, "201 made %-2d", round);
    for (int i = 0; i < 4; i++) {
      submissions[i] = (submission){i % 2 ? n->other : n->one, nonce, "", NULL};
      assert_int_equal(pthread_create(&threads[i], NULL, submit, &submissions[i]), 0);
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++) assert_string_equal(submissions[i].answer, wanted);
    assert_int_equal(once_contract_action.done, round);
  }
}

/* Storage receives a hash of the fields, so no character of a field is interpreted. */
TEST_CASE(hostile_fields_are_distinguished) {
  static const char *const fields[] = {"%c3%a4", "a", "", "a%26once=b", "%27);DROP TABLE vestry_once;--", "%5cx00"};
  nodes n;
  once_nonce nonce;
  begin(&n);
  for (int i = 0; i < (int)(sizeof fields / sizeof *fields); i++) {
    char wanted[20];
    once_nonce_of(n.one, nonce);
    snprintf(wanted, sizeof wanted, "201 made %-2d", i + 1);
    assert_string_equal(once_send(n.one, nonce, fields[i]), wanted);
    assert_string_equal(once_send(n.other, nonce, fields[i]), wanted);
    assert_string_equal(once_send(n.other, nonce, fields[i ? 0 : 1]), "409 <!");
  }
  end(&n);
}

TEST_CASE(forged_nonces_get_403) {
  nodes n;
  once_nonce nonce;
  char bad[VESTRY_ONCE_NONCE_BYTES + 80];
  begin(&n);
  once_nonce_of(n.one, nonce);
  for (int i = 0; i < 64; i++) {
    snprintf(bad, sizeof bad, "%s", nonce);
    bad[i] = bad[i] == 'f' ? '0' : 'f';
    assert_string_equal(once_post(n.other, bad), "403 Th");
  }
  snprintf(bad, sizeof bad, "%s.%065d", nonce, 0); /* too long */
  assert_string_equal(once_post(n.other, bad), "403 Th");
  snprintf(bad, sizeof bad, "%s.a'b", nonce);
  assert_string_equal(once_post(n.other, bad), "403 Th");
  assert_int_equal(once_contract_action.done, 0);
  if (once_contract_world->count) assert_int_equal(once_contract_world->count(n.one), 0);
  assert_string_equal(once_post(n.one, nonce), "201 made 1 ");
  if (once_contract_world->count) assert_int_equal(once_contract_world->count(n.one), 1);
  end(&n);
}

int once_contract_run(const char *name) {
  return cases_run(name, NULL, NULL);
}
