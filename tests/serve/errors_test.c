/* SPDX-License-Identifier: MIT */
/* The status and the log line of a request that fails. */
#include "event/layout.h"
#include "serve/wire.h"
#include "vestry/registry.h"

#define TICK "[\"patch-signals\", {\"n\": 1}]"

/* If several lines are logged, the first one gives the reason. */
static void (*plain_log)(void *ctx, vestry_log_level level, const char *line);
static char *first_log; /* 1,024 bytes */

static void keep_first(void *ctx, vestry_log_level level, const char *line) {
  if (!*first_log) snprintf(first_log, 1024, "%s", line);
  plain_log(ctx, level, line);
}

static const char *too_large_key(void) {
  static char text[1 << 20];
  memset(text, 'a', sizeof text - 1);
  return text;
}

/* Each case is a mistake of the program; the client's request is valid. */
static vestry_err err_itself(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_event *none = NULL;
  switch (*(const int *)app) {
  case 0: return vestry_reply_bodyf(reply, "<script src=%s></script>", "x");
  case 1: return vestry_reply_patch_elementsf(reply, "<p %s=1>", "x");
  case 2: return vestry_reply_patch_elements(reply, "<p>\xff</p>");
  case 3: return vestry_reply_patch_signals(reply, VESTRY_OBJECT("name", "\xff"));
  case 4: return vestry_reply_effect(reply, VESTRY_OBJECT("no", "list"));
  case 5: return vestry_reply_header(reply, "X-Name", "a\nb");
  case 6: return vestry_reply_status(reply, 99);
  case 7: return vestry_reply_key(reply, (const vestry_key[]){vestry_key_string(too_large_key())});
  case 8: return vsi_event_signals_text(NULL, "{no JSON}", 9, NULL, &none);
  case 9: return vestry_event_effect(NULL, VESTRY_LIST("dispatch-event", ""), &none);
  default: return vestry_reply_bodyf(reply, "<p>%s</p>", "\xff");
  }
}

#define ANSWERED "request: GET /some/where: answered 500: INVALID"

TEST_CASE(mistakes_of_the_program_get_500_and_are_logged) {
  /* The last two functions have no host whose log they could use. */
  static const char *const reasons[] = {"html: byte", "html: byte", "UTF-8",   "UTF-8",  "an effect must be a",
                                        "header",     "the status", "the key", ANSWERED, ANSWERED};
  const int count = sizeof reasons / sizeof *reasons;
  for (int i = 0; i <= count; i++) {
    site w;
    site_begin(&w, (vestry_options){0});
    wire r = {.datastar = true, .path = "/some/where"};
    char reason[1024] = "";
    first_log = reason;
    plain_log = w.th.host.log;
    w.th.host.log = keep_first;
    wire_request(&w, &r, err_itself, &i);
    if (i < count) {
      assert_int_equal(r.status, 500);
      assert_non_null(strstr(reason, reasons[i]));
      assert_non_null(strstr(w.th.last_log, ANSWERED));
    } else { /* no mistake: the HTML builder replaces the byte */
      assert_int_equal(r.status, 200);
      assert_non_null(strstr(r.text, "<p>\xef\xbf\xbd</p>"));
      assert_string_equal(reason, "");
    }
    wires_end(&w, &r);
  }
}

/* A client can repeat a request that fails. Paths, which it chooses, do not change the number of lines. */
TEST_CASE(failing_requests_are_logged_once_a_minute) {
  enum { REQUESTS = 100 };
  static const plan plans[] = {
      {.error = VESTRY_FAILED}, {.error = VESTRY_IO}, {.effects = "[[\"no-effect\"]]"}}; /* its dispatch is logged */
  site w;
  site_begin(&w, (vestry_options){0});
  for (size_t minute = 0; minute < 2; minute++) {
    const long lines = w.th.log_lines;
    for (size_t i = 0; i < REQUESTS; i++) {
      char path[32];
      plan p = plans[i % 3];
      snprintf(path, sizeof path, "/%zu", i);
      wire r = {.path = path, .datastar = true};
      wire_plan(&w, &r, &p);
      wire_finish(&r);
    }
    assert_in_range(w.th.log_lines - lines, 3, 4);
    test_host_advance_ms(&w.th, 60000);
  }
  assert_non_null(strstr(w.th.last_log, " times before)"));
  site_end(&w);
}

TEST_CASE(errors_of_handlers_map_to_statuses) {
  static const struct {
    vestry_err error;
    int status;
  } cases[] = {
      {VESTRY_INVALID, 500},   {VESTRY_MALFORMED, 400},   {VESTRY_NOT_FOUND, 404}, {VESTRY_EXISTS, 409},
      {VESTRY_TOO_LARGE, 413}, {VESTRY_LIMIT, 503},       {VESTRY_FULL, 503},      {VESTRY_NO_MEMORY, 500},
      {VESTRY_CLOSED, 500},    {VESTRY_UNSUPPORTED, 500}, {VESTRY_TIMEOUT, 500},   {VESTRY_IO, 500},
      {VESTRY_FAILED, 500},
  };
  site w;
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.retry_after_s = 7}});
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wire r = {0};
    wire_plan(&w, &r, &(plan){.error = cases[i].error, .body = "thrown away", .effects = "[" TICK "]"});
    assert_int_equal(r.status, cases[i].status);
    assert_true(wire_has_header(&r, "Content-Type: text/plain; charset=utf-8"));
    assert_int_equal(wire_has_header(&r, "Retry-After: 7"), r.status == 503);
    assert_null(strstr(r.text, "thrown away"));
    assert_true(r.text_len > 1 && r.text[r.text_len - 1] == '\n');
    assert_int_equal(r.opens, 0);
    wire_finish(&r);
  }
  vestry_stats stats = {0};
  vestry_stats_get(w.v, &stats);
  assert_int_equal(stats.requests_count, sizeof cases / sizeof *cases);
  assert_int_equal(stats.rejected_count, 2);
  site_end(&w);
}

/* Count the signals of the request, and add one. */
static vestry_err add_a_signal(const vestry_request *req, vestry_reply *reply, void *app) {
  *(size_t *)app = json_object_size(req->signals);
  assert_int_equal(json_object_set_new(req->signals, "secret", json_string("of Ann")), 0);
  return vestry_reply_status(reply, 204);
}

/* capability: B7 */
SITE_CASE(changed_signals_do_not_leak_into_other_requests) {
  static const char *const bodies[] = {"{}", "{}", "", ""};
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    size_t count = 99;
    wire r = {.datastar = true, .method = "POST", .body = bodies[i], .body_len = strlen(bodies[i])};
    wire_request(w, &r, add_a_signal, &count);
    assert_int_equal(r.status, 204);
    assert_int_equal(count, 0);
    wire_finish(&r);
  }
}

/* Keep the signals of the request. */
static vestry_err keep_signals(const vestry_request *req, vestry_reply *reply, void *app) {
  *(json_t **)app = json_incref(req->signals);
  return vestry_reply_status(reply, 204);
}

/* capability: B7 */
TEST_CASE(kept_signals_are_of_one_request) {
  enum { REQUESTS = 4 };
  json_t *kept[REQUESTS];
  site w;
  site_begin(&w, (vestry_options){0});
  for (size_t i = 0; i < REQUESTS; i++) {
    wire r = {.datastar = true, .method = "POST", .body = "{}", .body_len = 2};
    wire_request(&w, &r, keep_signals, &kept[i]);
    assert_int_equal(json_object_size(kept[i]), 0);
    assert_int_equal(json_object_set_new(kept[i], "secret", json_string("of Ann")), 0);
    wire_finish(&r);
  }
  site_end(&w);
  for (size_t i = 0; i < REQUESTS; i++) {
    assert_int_equal(kept[i]->refcount, 1);
    json_decref(kept[i]);
  }
}

TEST_CASE(stream_over_limit_gets_503) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {.open_error = VESTRY_LIMIT}, broken = {.open_error = VESTRY_UNSUPPORTED};
  wire_plan(&w, &r, &(plan){.effects = "[" TICK "]"});
  assert_int_equal(r.status, 503);
  assert_true(wire_has_header(&r, "Retry-After: 2"));
  wire_plan(&w, &broken, &(plan){.effects = "[" TICK "]"});
  assert_int_equal(broken.status, 500);
  vestry_stats stats = {0};
  vestry_stats_get(w.v, &stats);
  assert_int_equal(stats.rejected_count, 1);
  assert_int_equal(stats.opened_count, 0);
  wires_end(&w, &r, &broken);
}

TEST_CASE(a_closing_instance_answers_503) {
  site w;
  site_begin(&w, (vestry_options){0});
  vestry_close(w.v);
  wire r = {0}, plain = {0};
  wire_plan(&w, &r, &(plan){.effects = "[" TICK "]"});
  assert_int_equal(r.status, 503);
  wire_request(&w, &plain, planned, &(plan){.body = "x"});
  assert_int_equal(plain.status, 503);
  wires_end(&w, &r, &plain);
}

static vestry_err close_instance(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_close(req->v);
  return planned(req, reply, app);
}

TEST_CASE(closing_during_the_handler_opens_no_stream) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {.datastar = true};
  wire_request(&w, &r, close_instance, &(plan){.keep = true, .key = "a", .effects = "[" TICK "]"});
  assert_int_equal(r.status, 503);
  assert_int_equal(r.opens, 0);
  wires_end(&w, &r);
}

TEST_CASE(answer_to_a_lost_peer_returns_io) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {.gone = true}, failed = {.gone = true};
  assert_int_equal(wire_serve(&w, &r, planned, &(plan){.body = "x"}), VESTRY_IO);
  assert_int_equal(wire_serve(&w, &failed, planned, &(plan){.error = VESTRY_FAILED}), VESTRY_IO);
  wires_end(&w, &r, &failed);
}

TEST_CASE(hang_up_before_the_head_removes_the_stream) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {.open_io = VESTRY_IO_HANGUP};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a", .effects = "[" TICK "]"});
  assert_int_equal(r.ends, 1);
  assert_false(r.clean);
  vestry_stats stats = {0};
  vestry_stats_get(w.v, &stats);
  assert_int_equal(store_stats_of(w.v).live_count, 0);
  assert_int_equal(store_stats_of(w.v).removed_by_cause[VESTRY_CAUSE_HANGUP], 1);
  wires_end(&w, &r);
}

SITE_CASE(incomplete_request_ops_are_invalid) {
  wire r = {0};
  vestry_connection *untouched = (vestry_connection *)&r;
  vestry_request_ops ops = wire_ops;
  ops.open = NULL;
  assert_int_equal(vestry_serve(w->v, &ops, &r, planned, &(plan){0}, &untouched), VESTRY_INVALID);
  assert_int_equal(vestry_serve(w->v, NULL, &r, planned, &(plan){0}, &untouched), VESTRY_INVALID);
  assert_int_equal(w->th.log_lines, 2);
  assert_non_null(strstr(w->th.last_log, "vestry_serve: ops or ret_connection is NULL"));
  assert_ptr_equal(untouched, &r);
  assert_int_equal(r.responds, 0);
}

/* A handler that ignores all errors, like those in the introduction. */
static vestry_err ignore_errors(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)vestry_reply_key(reply, app);
  (void)vestry_reply_header(reply, "X-A", "b");
  (void)vestry_reply_body(reply, NULL, "text", 4);
  (void)vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
  return VESTRY_OK;
}

TEST_CASE(invalid_key_gets_500_and_runs_no_effect) {
  site w;
  site_begin(&w, (vestry_options){0});
  vestry_key bad = vestry_key_string(NULL);
  wire r = {.datastar = true}, plain = {0};
  wire_request(&w, &r, ignore_errors, &bad);
  assert_int_equal(r.status, 500);
  assert_int_equal(r.opens, 0);
  vestry_key large = vestry_key_string(too_large_key());
  wire_finish(&r);
  r = (wire){.datastar = true};
  wire_request(&w, &r, ignore_errors, &large);
  assert_int_equal(r.status, 500);               /* 413 would blame the client */
  wire_request(&w, &plain, ignore_errors, &bad); /* without effects, the invalid key has no consequence */
  assert_int_equal(plain.status, 200);
  wire_assert_text(&plain, "text");
  wires_end(&w, &r, &plain);
}

TEST_CASE(ignored_allocation_failure_gets_500) {
  const vestry_key *key = VESTRY_KEY("a");
  long number = 0;
  for (bool failed = true; failed; number++) {
    site w;
    site_begin(&w, (vestry_options){0});
    test_host_fail_in(&w.th, number);
    wire r = {0};
    wire_request(&w, &r, ignore_errors, (void *)key);
    failed = test_host_has_failed(&w.th);
    assert_int_equal(r.status, failed ? 500 : 200);
    wire_assert_text(&r, failed ? "internal error\n" : "text");
    wires_end(&w, &r);
  }
  assert_true(number > 4);
}
