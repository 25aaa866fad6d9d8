/* SPDX-License-Identifier: MIT */
/* The budget of answer bodies: reserved before memory is allocated, refused in time, and released however the reply
 * ends. */
#include <stdlib.h>
#include <string.h>

#include "http/reply.h"
#include "serve/wire.h"
#include "vestry/app/csp.h"
#include "vestry/app/files.h"
#include "vestry/app/once.h"
#include "vestry/html.h"
#include "vestry/routes.h"

enum { KB = 1024, MOST = 1024 * KB, LARGE = 600 * KB, LEFT = 300 * KB, SMALL = 500 };

/* An adapter that has taken a body, and sends it when the test requests it. */
static vestry_body *taken;
static bool holds;

static vestry_err take_body(void *server_request, const vestry_response *response, vestry_body *body) {
  vestry_response whole = *response;
  whole.body = body ? body->bytes : NULL;
  if (!whole.body) whole.body_len = 0;
  vestry_err error = wire_ops.respond(server_request, &whole);
  if (holds && body) {
    assert_null(taken);
    taken = body;
  } else {
    vestry_body_destroy(body);
  }
  return error;
}

typedef struct suite suite;
typedef vestry_err (*fill_fn)(suite *s, const vestry_request *req, vestry_reply *reply);

struct suite {
  site on;
  vestry_request_ops ops;
  char *bytes;   /* LARGE bytes, terminated */
  fill_fn fill;  /* the handler's function */
  fill_fn page;  /* the function of each error page */
  fill_fn guard; /* NULL: none */
  int done;
  vestry_err result; /* the error that the builder returned for the refused body */
  vestry_files *files;
  vestry_file table[1];
};

static uint64_t held(const suite *s) {
  vestry_stats stats = {0};
  vestry_stats_get(s->on.v, &stats);
  assert_true(stats.response_peak_bytes <= MOST);
  return stats.response_bytes;
}

static uint64_t rejected(const suite *s) {
  vestry_stats stats = {0};
  vestry_stats_get(s->on.v, &stats);
  return stats.rejected_count;
}

static vestry_err handle(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  s->done++;
  return s->fill(s, req, reply);
}

static vestry_err guard(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  return s->guard ? s->guard(s, req, reply) : VESTRY_OK;
}

static vestry_err show_error(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  return s->page ? s->page(s, req, reply) : VESTRY_FAILED;
}

static void begin(suite *s, bool takes_bodies) {
  static const int pages[] = {400, 404, 500, 503};
  *s = (suite){.ops = wire_ops, .bytes = malloc(LARGE + 1)};
  if (takes_bodies) s->ops.respond_body = take_body;
  assert_non_null(s->bytes);
  memset(s->bytes, 'b', LARGE);
  s->bytes[LARGE] = '\0';
  site_begin_with(&s->on, (vestry_options){.bounds = &(vestry_bounds){.max_all_responses_bytes = MOST}},
                  (site_has){.secret = "thirty-two bytes that nobody knows"});
  s->table[0] = (vestry_file){.path = "large.html", .bytes = s->bytes, .len = LARGE};
  const vestry_files_options files = {.embedded = s->table, .embedded_count = 1};
  assert_int_equal(vestry_files_create(&files, &s->files), VESTRY_OK);
  assert_int_equal(vestry_guard(s->on.v, "/", guard, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/", handle, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "POST", "/", handle, s), VESTRY_OK);
  for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
    assert_int_equal(vestry_error_page(s->on.v, pages[i], show_error, s), VESTRY_OK);
}

static void end(suite *s) {
  vestry_body_destroy(taken);
  taken = NULL;
  holds = false;
  assert_int_equal(held(s), 0);
  vestry_files_destroy(s->files);
  site_end(&s->on);
  free(s->bytes);
}

/* Return the status of the answer; 0: a stream, or the peer is lost. */
static int ask(suite *s, wire *r) {
  pthread_mutex_init(&r->lock, NULL);
  vestry_err error = vestry_serve(s->on.v, &s->ops, r, NULL, NULL, &r->connection);
  assert_int_equal(error, r->gone ? VESTRY_IO : VESTRY_OK);
  assert_int_equal(r->responds, r->connection ? 0 : 1);
  site_settle(&s->on);
  if (r->connection) wire_hang_up(&s->on, r);
  return r->status;
}

static int ask_for(suite *s, fill_fn fill) {
  wire r = {.path = "/"};
  s->fill = fill;
  int status = ask(s, &r);
  assert_int_equal(strstr(r.head, "Retry-After: ") != NULL, status == 503);
  wire_finish(&r);
  return status;
}

/* ---- handlers ---------------------------------------------------------------------------------------------------- */

static vestry_err put(suite *s, vestry_reply *reply, size_t len) {
  return vestry_reply_body(reply, NULL, s->bytes, len);
}

static vestry_err large(suite *s, const vestry_request *req, vestry_reply *reply) {
  return put(s, reply, LARGE);
}

static vestry_err left(suite *s, const vestry_request *req, vestry_reply *reply) {
  return put(s, reply, LEFT);
}

static vestry_err small(suite *s, const vestry_request *req, vestry_reply *reply) {
  return put(s, reply, SMALL);
}

/* Check that the builder returned LIMIT and allocated nothing. */
static vestry_err unmade(suite *s, vestry_reply *reply, vestry_err result, long before) {
  s->result = result;
  assert_int_equal(result, VESTRY_LIMIT);
  assert_int_equal(atomic_load(&s->on.th.allocations), before);
  assert_int_equal(held(s), LARGE); /* of the body that is being sent */
  assert_false(reply->has_body);
  return result;
}

static vestry_err large_body(suite *s, const vestry_request *req, vestry_reply *reply) {
  long before = atomic_load(&s->on.th.allocations);
  return unmade(s, reply, put(s, reply, LARGE), before);
}

static vestry_err large_json(suite *s, const vestry_request *req, vestry_reply *reply) {
  json_t *json = json_string(s->bytes);
  assert_non_null(json);
  long before = atomic_load(&s->on.th.allocations);
  vestry_err error = vestry_reply_json(reply, json);
  json_decref(json);
  return unmade(s, reply, error, before);
}

/* The builder's text belongs to the handler; the reply makes no second copy. */
static vestry_err large_html(suite *s, const vestry_request *req, vestry_reply *reply) {
  vestry_html html;
  vestry_html_init(&html, &s->on.th.host);
  vestry_html_add(&html, "<p>%s</p>", s->bytes);
  assert_int_equal(vestry_html_error(&html, NULL, NULL), VESTRY_OK);
  long before = atomic_load(&s->on.th.allocations);
  vestry_err error = vestry_reply_html(reply, &html);
  vestry_html_finish(&html);
  return unmade(s, reply, error, before);
}

static vestry_err large_format(suite *s, const vestry_request *req, vestry_reply *reply) {
  s->result = vestry_reply_bodyf(reply, "<p>%s</p>", s->bytes);
  assert_int_equal(s->result, VESTRY_LIMIT);
  return s->result;
}

/* A file is not read before it is sent, except for a document that gets a nonce. */
static vestry_err large_file(suite *s, const vestry_request *req, vestry_reply *reply) {
  s->result = VESTRY_LIMIT;
  return vestry_reply_file(req, reply, s->files, "large.html");
}

static vestry_err large_document(suite *s, const vestry_request *req, vestry_reply *reply) {
  vestry_err error = vestry_reply_csp(reply, &(vestry_csp){0});
  return error ? error : large_file(s, req, reply);
}

/* A handler that ignores all errors. */
static vestry_err large_blindly(suite *s, const vestry_request *req, vestry_reply *reply) {
  (void)large_body(s, req, reply);
  return VESTRY_OK;
}

static vestry_err large_or_own_error(suite *s, const vestry_request *req, vestry_reply *reply) {
  (void)vestry_reply_status(reply, 404);
  (void)large_body(s, req, reply);
  return VESTRY_NOT_FOUND;
}

static vestry_err large_or_small(suite *s, const vestry_request *req, vestry_reply *reply) {
  return large_body(s, req, reply) ? small(s, req, reply) : VESTRY_OK;
}

static vestry_err large_or_stream(suite *s, const vestry_request *req, vestry_reply *reply) {
  (void)large_body(s, req, reply);
  return vestry_reply_patch_elements(reply, "<p id=\"a\">");
}

/* The earlier body must not become the answer. */
static vestry_err small_then_large(suite *s, const vestry_request *req, vestry_reply *reply) {
  (void)small(s, req, reply);
  (void)large_body(s, req, reply);
  return VESTRY_OK;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* One body is being sent, and the budget has no room for another. */
static void fill_room(suite *s) {
  holds = true;
  assert_int_equal(ask_for(s, large), 200);
  assert_int_equal(held(s), LARGE);
  holds = false;
}

TEST_CASE(body_over_the_budget_is_not_built) {
  static const fill_fn kinds[] = {large_body,     large_json,    large_html,         large_format,    large_file,
                                  large_document, large_blindly, large_or_own_error, small_then_large};
  suite s;
  begin(&s, true);
  fill_room(&s);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    uint64_t before = rejected(&s);
    s.result = VESTRY_OK;
    int status = ask_for(&s, kinds[i]);
    if (status != (kinds[i] == large_or_own_error ? 404 : 503)) fail_msg("%zu: %d", i, status);
    assert_int_equal(s.result, VESTRY_LIMIT);
    assert_int_equal(rejected(&s) - before, status == 503);
    assert_int_equal(held(&s), LARGE);
  }
  /* small answers, and those without a body, are sent */
  assert_int_equal(ask_for(&s, left), 200);
  assert_int_equal(ask_for(&s, small), 200);
  assert_int_equal(ask_for(&s, large_or_small), 200);
  wire stream = {.path = "/", .datastar = true};
  s.fill = large_or_stream;
  assert_int_equal(ask(&s, &stream), 200);
  assert_int_equal(stream.opens, 1);
  wire_finish(&stream);
  vestry_body_destroy(taken);
  taken = NULL;
  assert_int_equal(ask_for(&s, large), 200);
  end(&s);
}

static vestry_err counted(suite *s, const vestry_request *req, vestry_reply *reply) {
  static const size_t lens[] = {LEFT, LARGE, 2 * KB, SMALL, 0, LARGE};
  for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) { /* the last body counts, and is the only one */
    assert_int_equal(put(s, reply, lens[i]), VESTRY_OK);
    assert_int_equal(held(s), lens[i] < KB ? 0 : lens[i]);
  }
  assert_int_equal(vestry_reply_body(reply, "a\nb", "x", 1), VESTRY_INVALID); /* unchanged */
  assert_int_equal(held(s), LARGE);
  return VESTRY_OK;
}

TEST_CASE(built_body_counts_against_the_budget) {
  for (int takes = 0; takes < 2; takes++) {
    suite s;
    begin(&s, takes);
    assert_int_equal(ask_for(&s, counted), 200);
    assert_int_equal(held(&s), 0);
    end(&s);
  }
}

/* Ways to end a reply with a large body: its room is released before an error page of the same size needs it, and
 * afterwards. */
static vestry_err fails(suite *s, const vestry_request *req, vestry_reply *reply) {
  (void)large(s, req, reply);
  return VESTRY_FAILED;
}

static vestry_err is_missing(suite *s, const vestry_request *req, vestry_reply *reply) {
  (void)large(s, req, reply);
  return VESTRY_NOT_FOUND;
}

static vestry_err has_no_body(suite *s, const vestry_request *req, vestry_reply *reply) {
  (void)vestry_reply_status(reply, 304);
  return large(s, req, reply);
}

static vestry_err is_a_stream(suite *s, const vestry_request *req, vestry_reply *reply) {
  (void)large(s, req, reply);
  return vestry_reply_patch_elements(reply, "<p id=\"a\">");
}

static vestry_err has_a_policy(suite *s, const vestry_request *req, vestry_reply *reply) {
  vestry_err error = vestry_reply_csp(reply, &(vestry_csp){0});
  return error ? error : large(s, req, reply);
}

static vestry_err counted_twice(suite *s, const vestry_request *req, vestry_reply *reply) {
  (void)left(s, req, reply);
  return large(s, req, reply);
}

static vestry_err large_page(suite *s, const vestry_request *req, vestry_reply *reply) {
  return vestry_reply_file(req, reply, s->files, "large.html");
}

/* The nonce of the policy cannot be inserted into an encoded document. */
static vestry_err has_no_document(suite *s, const vestry_request *req, vestry_reply *reply) {
  (void)vestry_reply_header(reply, "Content-Encoding", "br");
  return has_a_policy(s, req, reply);
}

TEST_CASE(each_end_of_a_reply_releases_its_bytes) {
  static const struct {
    fill_fn fill;
    int status;
    const char *method;
    bool datastar, gone, by_guard;
  } ways[] = {
      {large, 200, "GET", false, false, false},
      {large, 200, "HEAD", false, false, false},
      {large, 0, "GET", false, true, false},
      {large, 0, "HEAD", false, true, false},
      {fails, 500, "GET", false, false, false},
      {fails, 500, "GET", true, false, false},
      {is_missing, 404, "GET", false, false, false},
      {is_missing, 404, "HEAD", false, false, false},
      {has_no_body, 304, "GET", false, false, false},
      {is_a_stream, 200, "GET", true, false, false},
      {has_a_policy, 200, "GET", false, false, false},
      {has_a_policy, 200, "HEAD", false, false, false},
      {has_no_document, 500, "GET", false, false, false},
      {is_missing, 404, "GET", false, false, true},
      {fails, 500, "GET", false, false, true},
  };
  for (int takes = 0; takes < 2; takes++) {
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
      suite s;
      begin(&s, takes);
      s.page = large;
      s.guard = ways[i].by_guard ? ways[i].fill : NULL;
      s.fill = ways[i].fill;
      wire r = {.path = "/", .method = ways[i].method, .datastar = ways[i].datastar, .gone = ways[i].gone};
      int status = ask(&s, &r);
      if (status != ways[i].status) fail_msg("%zu: %d", i, status);
      /* the page was created */
      bool has_page = status >= 400 && !ways[i].datastar && strcmp(ways[i].method, "HEAD") != 0;
      if (has_page) assert_int_equal(r.text_len, LARGE);
      wire_finish(&r);
      assert_int_equal(held(&s), 0);
      assert_int_equal(rejected(&s), 0);
      end(&s);
    }
  }
}

/* An error page over the budget gets the answer of a reply over the budget, and is counted once. */
TEST_CASE(error_pages_share_the_budget) {
  suite s;
  begin(&s, true);
  fill_room(&s);
  s.page = large;
  assert_int_equal(ask_for(&s, is_missing), 503);
  assert_int_equal(rejected(&s), 1);
  assert_int_equal(ask_for(&s, large_body), 503);
  assert_int_equal(rejected(&s), 2);
  s.page = large_file;
  assert_int_equal(ask_for(&s, is_missing), 503);
  assert_int_equal(rejected(&s), 3);
  assert_int_equal(held(&s), LARGE);
  end(&s);
}

/* The action has run, although the budget had no room for its answer. */
static vestry_err reply_with_nonce(suite *s, const vestry_request *req, vestry_reply *reply) {
  char nonce[VESTRY_ONCE_NONCE_BYTES];
  assert_int_equal(vestry_once_nonce(req, nonce), VESTRY_OK);
  return vestry_reply_bodyf(reply, "%s", nonce);
}

static int act(suite *s, const char *nonce) {
  wire r = {.method = "POST", .path = "/", .headers = {{"X-Once", nonce}}, .body = "{}", .body_len = 2};
  s->fill = large_body;
  int status = ask(s, &r);
  wire_finish(&r);
  return status;
}

TEST_CASE(action_with_answer_over_the_budget_runs_once) {
  suite s;
  vestry_once *once;
  begin(&s, true);
  assert_int_equal(vestry_once_create(s.on.v, NULL, &once), VESTRY_OK);
  assert_int_equal(vestry_guard(s.on.v, "/", vestry_once_guard, once), VESTRY_OK);
  s.fill = reply_with_nonce;
  wire r = {.path = "/"};
  assert_int_equal(ask(&s, &r), 200);
  fill_room(&s);
  s.done = 0;
  assert_int_equal(act(&s, r.text), 503);
  assert_int_equal(act(&s, r.text), 503);
  assert_int_equal(s.done, 1);
  wire_finish(&r);
  vestry_once_destroy(once);
  end(&s);
}

/* Each allocation fails once: of a large answer, its policy and its error page. */
TEST_CASE(failed_allocation_releases_the_answer_bytes) {
  static const fill_fn kinds[] = {large, counted_twice, has_a_policy, large_document, large_page, is_missing};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    suite s;
    begin(&s, true);
    s.page = large;
    bool is_done = false;
    for (long fail = 0; !is_done; fail++) {
      wire r = {.path = "/"};
      s.fill = kinds[i];
      test_host_fail_in(&s.on.th, fail);
      int status = ask(&s, &r);
      is_done = !test_host_has_failed(&s.on.th);
      int best = kinds[i] == is_missing ? 404 : 200;
      if (status != best && (is_done || status != 500)) fail_msg("%zu, allocation %ld: %d", i, fail, status);
      wire_finish(&r);
      assert_int_equal(held(&s), 0);
    }
    assert_int_equal(rejected(&s), 0);
    end(&s);
  }
}

/* A connection has its share if it holds 1/32 of the mark, 7/8 of the budget, while all hold more than a half of it. */
TEST_CASE(share_is_used_while_memory_is_short) {
  enum { SHARE = MOST / 8 * 7 / 32 };
  suite s;
  begin(&s, true);
  holds = true;
  assert_false(vsi_response_share_is_used(s.on.v, MOST));
  assert_int_equal(ask_for(&s, left), 200);
  assert_false(vsi_response_share_is_used(s.on.v, LEFT));
  vestry_body_destroy(taken);
  taken = NULL;
  assert_int_equal(ask_for(&s, large), 200);
  assert_true(vsi_response_share_is_used(s.on.v, SHARE));
  assert_false(vsi_response_share_is_used(s.on.v, SHARE - 1));
  end(&s);
}
