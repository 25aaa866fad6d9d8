/* SPDX-License-Identifier: MIT */
/* Serving, from the request to the bytes. */
#include "serve/world.h"
#include "vestry/registry.h"

static const char *const tick = "event: datastar-patch-signals\ndata: signals {\"n\":1}\n\n";
#define TICK "[\"patch-signals\", {\"n\": 1}]"

/* ------------------------------------------------------------------------------------------- plain requests ------- */

static void an_ordinary_request_gets_the_body_and_no_effects(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_request(&w, &r, planned, &(plan){.body = "<p>hi</p>", .key = "a", .keep = true, .effects = "[" TICK "]"});
  assert_int_equal(r.status, 200);
  wire_assert_text(&r, "<p>hi</p>");
  assert_true(wire_has_header(&r, "Content-Type: text/html; charset=utf-8"));
  assert_int_equal(r.opens, 0);
  world_end(&w);
  wire_finish(&r);
  test_host_assert_clean(&w.th);
}

static vestry_err tick_for_anybody(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  (void)app;
  vestry_reply_any_client(reply);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
}

static void a_stream_for_any_client(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_request(&w, &r, tick_for_anybody, NULL);
  assert_int_equal(r.status, 200);
  assert_true(wire_has_header(&r, "Content-Type: text/event-stream"));
  assert_int_equal(wire_count(&r, "data: signals {\"n\":1}\n"), 1);
  assert_true(r.clean); /* and auto-close as for a Datastar request */
  world_end(&w);
  wire_finish(&r);
}

static vestry_err seven(const json_t *data, const json_t *args, json_t **ret_value, void *ctx) {
  (void)data, (void)args, (void)ctx;
  *ret_value = json_integer(7);
  return VESTRY_OK;
}

/* The first and the last may have placeholders; in signals, which may be a client's, none is looked for. */
static vestry_err seven_thrice(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  (void)app;
  vestry_reply_any_client(reply);
  vestry_err error =
      vestry_reply_effect(reply, VESTRY_LIST("patch-signals", VESTRY_OBJECT("first", VESTRY_LIST("seven"))));
  if (!error) error = vestry_reply_patch_signals(reply, VESTRY_OBJECT("second", VESTRY_LIST("seven")));
  if (!error)
    error = vestry_reply_effect(reply, VESTRY_LIST("patch-signals", VESTRY_OBJECT("third", VESTRY_LIST("seven"))));
  return error;
}

static void signals_of_a_reply_name_no_placeholders(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_registry_placeholder(vestry_parts_of(w.v)->registry, "seven", seven, NULL), VESTRY_OK);
  wire r = {0};
  wire_request(&w, &r, seven_thrice, NULL);
  assert_int_equal(wire_count(&r, "data: signals {\"first\":7}\n"), 1);
  assert_int_equal(wire_count(&r, "data: signals {\"second\":[\"seven\"]}\n"), 1);
  assert_int_equal(wire_count(&r, "data: signals {\"third\":7}\n"), 1);
  world_end(&w);
  wire_finish(&r);
}

static void the_handlers_own_headers_win(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_request(&w, &r, planned, &(plan){.body = "{}", .header = {"content-type", "application/json"}, .status = 201});
  assert_int_equal(r.status, 201);
  assert_string_equal(r.head, "content-type: application/json\n");
  world_end(&w);
  wire_finish(&r);
}

static void a_datastar_request_without_effects_is_a_plain_one(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire nothing = {0}, status = {0}, body = {0}, key_only = {0};
  wire_plan(&w, &nothing, &(plan){0});
  assert_int_equal(nothing.status, 204);
  wire_plan(&w, &status, &(plan){.status = 404, .body = "no"});
  assert_int_equal(status.status, 404);
  wire_assert_text(&status, "no");
  wire_plan(&w, &body, &(plan){.status = 204, .body = "dropped"});
  assert_int_equal(body.status, 204);
  wire_assert_text(&body, "");
  assert_string_equal(body.head, "");
  wire_plan(&w, &key_only, &(plan){.key = "a"});
  assert_int_equal(key_only.status, 204);
  assert_int_equal(key_only.opens, 0);
  world_end(&w);
  wire_finish(&nothing);
  wire_finish(&status);
  wire_finish(&body);
  wire_finish(&key_only);
}

/* -------------------------------------------------------------------------------------------- new streams --------- */

static void a_new_stream_gets_head_effects_and_a_clean_end(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_plan(&w, &r, &(plan){.status = 500, .header = {"Set-Cookie", "a=b"}, .effects = "[" TICK "," TICK "]"});
  assert_int_equal(r.status, 200);
  assert_string_equal(r.head,
                      "Content-Type: text/event-stream\nCache-Control: no-cache, no-transform\nX-Accel-Buffering: no\n"
                      "Set-Cookie: a=b\n");
  assert_int_equal(wire_count(&r, tick), 2);
  assert_int_equal(r.writes, 1); /* what waits is one write */
  assert_int_equal(r.ends, 1);
  assert_true(r.clean);
  assert_int_equal(r.cause, VESTRY_CAUSE_CLOSED);
  vestry_stats stats = {0};
  vestry_stats_get(w.v, &stats);
  assert_int_equal(store_stats_of(w.v).put_count, 0);
  world_end(&w);
  wire_finish(&r);
  test_host_assert_clean(&w.th);
}

static void a_stream_keeps_its_own_headers(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  static const char *const names[] = {"content-type", "Cache-Control", "x-accel-buffering", "Content-Encoding"};
  for (size_t i = 0; i < 4; i++) {
    wire r = {0};
    wire_plan(&w, &r, &(plan){.header = {names[i], "text/x-other"}, .effects = "[" TICK "]"});
    assert_null(strstr(r.head, "text/x-other"));
    vestry_connection_unref(r.connection);
    r.connection = NULL;
    wire_finish(&r);
  }
  world_end(&w);
}

static void auto_close_per_reply_over_keep_over_the_instance(void **state) {
  (void)state;
  static const struct {
    bool keep_open, keep;
    int auto_close;
    bool stays;
  } cases[] = {
      {false, false, 0, false}, {true, false, 0, true},  {false, true, 0, true},  {true, true, 0, true},
      {false, false, 1, false}, {true, false, 1, false}, {false, true, 1, false}, {true, true, 1, false},
      {false, false, -1, true}, {true, false, -1, true}, {false, true, -1, true}, {true, true, -1, true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    world w;
    world_begin(&w, (vestry_options){.keep_open = cases[i].keep_open});
    wire r = {0};
    wire_plan(&w, &r,
              &(plan){.key = "a", .keep = cases[i].keep, .auto_close = cases[i].auto_close, .effects = "[" TICK "]"});
    assert_int_equal(wire_count(&r, tick), 1);
    assert_int_equal(vestry_connection_is_open(r.connection), cases[i].stays);
    vestry_stats stats = {0};
    vestry_stats_get(w.v, &stats);
    assert_int_equal(store_stats_of(w.v).live_count,
                     cases[i].stays); /* what stays open and has a key is kept, nothing else */
    assert_int_equal(store_stats_of(w.v).put_count, cases[i].stays);
    world_end(&w);
    wire_finish(&r);
    test_host_assert_clean(&w.th);
  }
}

static void auto_close_also_when_an_effect_fails(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_plan(&w, &r, &(plan){.effects = "[[\"nobody-knows\"]," TICK ",[\"patch-signals\"]]"});
  assert_int_equal(wire_count(&r, tick), 1);
  assert_int_equal(r.ends, 1);
  assert_true(r.clean);
  assert_int_equal(atomic_load(&w.th.log_lines), 2);
  assert_non_null(strstr(w.th.last_log, "effect patch-signals: INVALID: an argument is missing"));
  world_end(&w);
  wire_finish(&r);
}

static void keep_without_effects_opens_a_stream(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a"});
  assert_true(r.head_written);
  assert_int_equal(r.ends, 0);
  wire_assert_text(&r, "");
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))),
                   VESTRY_OK);
  world_settle(&w);
  wire_assert_text(&r, tick);
  world_end(&w);
  assert_false(r.clean); /* so that the browser comes back */
  assert_int_equal(r.cause, VESTRY_CAUSE_SHUTDOWN);
  wire_finish(&r);
}

static void a_parked_stream_is_run_by_who_got_it(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire r = {.parked = true};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a", .effects = "[" TICK "]"});
  assert_false(r.head_written);
  assert_true(r.wakes > 0);
  assert_int_equal(vestry_connection_run(r.connection), VESTRY_STATE_OPEN);
  wire_assert_text(&r, tick);
  vestry_connection_close(r.connection, VESTRY_CAUSE_CLOSED);
  assert_int_equal(vestry_connection_run(r.connection), VESTRY_STATE_CLOSED);
  world_end(&w);
  wire_finish(&r);
}

static void a_reply_sets_the_bounds_of_its_stream(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){.connection = &(vestry_connection_options){.heartbeat_ms = 1000}});
  wire r = {0};
  wire_plan(&w, &r,
            &(plan){.keep = true,
                    .stream = {.max_queued_count = 2, .full = VESTRY_FULL_DROP},
                    .effects = "[" TICK "," TICK "," TICK "]"});
  assert_int_equal(wire_count(&r, tick), 2);
  assert_non_null(strstr(w.th.last_log, "patch-signals: FULL"));
  test_host_advance_ms(&w.th, 1001);
  world_settle(&w);
  assert_int_equal(wire_count(&r, ":\n\n"), 1); /* what the reply left at zero is the instance's */
  world_end(&w);
  wire_finish(&r);
}

/* ---------------------------------------------------------------------------------------- existing streams -------- */

static void a_stored_connection_gets_the_effects_and_the_request_204(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {0};
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &later,
            &(plan){.key = "a",
                    .status = 500,
                    .body = "ignored",
                    .header = {"X-A", "b"},
                    .auto_close = 1,
                    .effects = "[" TICK "]"});
  assert_int_equal(later.status, 204);
  assert_string_equal(later.head, "");
  wire_assert_text(&later, "");
  assert_int_equal(later.opens, 0);
  wire_assert_text(&kept, tick);
  assert_true(vestry_connection_is_open(kept.connection));
  world_end(&w);
  wire_finish(&kept);
  wire_finish(&later);
  test_host_assert_clean(&w.th);
}

static void the_replys_own_connection_comes_first(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire a = {0}, b = {0}, later = {0};
  wire_plan(&w, &a, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &b, &(plan){.keep = true, .key = "b"});
  wire_plan(&w, &later, &(plan){.key = "a", .connection = b.connection, .effects = "[" TICK "]"});
  assert_int_equal(later.status, 204);
  wire_assert_text(&a, "");
  wire_assert_text(&b, tick);
  world_end(&w);
  wire_finish(&a);
  wire_finish(&b);
  wire_finish(&later);
}

static void a_closed_connection_of_the_replys_own_is_410_and_nobody_elses_business(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire a = {0}, b = {0}, later = {0};
  wire_plan(&w, &a, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &b, &(plan){.keep = true, .key = "b"});
  wire_hang_up(&w, &b);
  wire_plan(&w, &later, &(plan){.key = "a", .connection = b.connection, .effects = "[" TICK "]"});
  assert_int_equal(later.status, 410);
  assert_int_equal(later.opens, 0);
  wire_assert_text(&a, "");
  world_end(&w);
  wire_finish(&a);
  wire_finish(&b);
  wire_finish(&later);
}

static void a_closed_stored_connection_is_passed_over(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {0};
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  /* Closing, its runner has not run: it is still in the store. */
  vestry_connection_close(kept.connection, VESTRY_CAUSE_HANGUP);
  later.datastar = true;
  assert_int_equal(wire_serve(&w, &later, planned, &(plan){.key = "a", .effects = "[" TICK "]"}), VESTRY_OK);
  world_settle(&w);
  wire_assert_text(&later, tick);
  world_end(&w);
  wire_finish(&kept);
  wire_finish(&later);
}

/* Closes what it is told to: the hang-up that comes between finding and sending. */
static vestry_err close_it(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)args;
  wire *victim = ctx;
  assert_true(vestry_context_info(context)->connections[0] == victim->connection);
  vestry_connection_close(victim->connection, VESTRY_CAUSE_HANGUP);
  return VESTRY_OK;
}

static vestry_err count_it(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)context, (void)args;
  ++*(int *)ctx;
  return VESTRY_OK;
}

static void effects_are_not_lost_when_the_stored_connection_dies_under_them(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {0};
  int counted = 0;
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "close", close_it, &kept), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "count", count_it, &counted), VESTRY_OK);
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &later,
            &(plan){.key = "a",
                    .keep = true,
                    .policy = VESTRY_PUT_REUSE,
                    .effects = "[[\"count\"],[\"close\"]," TICK "," TICK "]"});
  assert_int_equal(counted, 1); /* no effect is run twice */
  assert_int_equal(later.responds, 0);
  assert_int_equal(wire_count(&later, tick), 2);
  assert_int_equal(wire_count(&kept, tick), 0);
  assert_true(vestry_connection_is_open(later.connection));
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))),
                   VESTRY_OK);
  world_settle(&w);
  assert_int_equal(wire_count(&later, tick), 3); /* and it is kept */
  world_end(&w);
  wire_finish(&kept);
  wire_finish(&later);
  test_host_assert_clean(&w.th);
}

static void what_was_accepted_before_is_not_repeated(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {0};
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "close", close_it, &kept), VESTRY_OK);
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &later, &(plan){.key = "a", .effects = "[" TICK ",[\"close\"]," TICK "]"});
  assert_int_equal(later.status, 204);
  assert_int_equal(later.opens, 0);
  world_end(&w);
  wire_finish(&kept);
  wire_finish(&later);
}

static void close_sse_means_it(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {0};
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &later, &(plan){.key = "a", .effects = "[[\"close-sse\"]," TICK "]"});
  assert_int_equal(later.opens, 0);
  assert_int_equal(later.status, 503); /* its second effect went nowhere */
  assert_true(kept.clean);
  assert_int_equal(kept.cause, VESTRY_CAUSE_CLOSED);
  world_end(&w);
  wire_finish(&kept);
  wire_finish(&later);
}

static void nobody_left_and_no_room_is_503(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {.open_error = VESTRY_LIMIT};
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "close", close_it, &kept), VESTRY_OK);
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &later, &(plan){.key = "a", .effects = "[[\"close\"]," TICK "," TICK "]"});
  assert_int_equal(later.status, 503);
  world_end(&w);
  wire_finish(&kept);
  wire_finish(&later);
}

static void own_connection_that_dies_under_the_effects_is_410(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {0};
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "close", close_it, &kept), VESTRY_OK);
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &later, &(plan){.connection = kept.connection, .effects = "[[\"close\"]," TICK "]"});
  assert_int_equal(later.status, 410);
  assert_int_equal(later.opens, 0);
  world_end(&w);
  wire_finish(&kept);
  wire_finish(&later);
}

/* ------------------------------------------------------------------------------------------------- errors --------- */

/* Of several lines the first says why. */
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

/* One mistake of the program's own each; the client sent nothing that is wrong. */
static vestry_err err_itself(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_event *none = NULL;
  (void)req;
  switch (*(const int *)app) {
  case 0: return vestry_reply_bodyf(reply, "<script src=%s></script>", "x");
  case 1: return vestry_reply_patch_elementsf(reply, "<p %s=1>", "x");
  case 2: return vestry_reply_patch_elements(reply, "<p>\xff</p>");
  case 3: return vestry_reply_patch_signals(reply, VESTRY_OBJECT("name", "\xff"));
  case 4: return vestry_reply_effect(reply, VESTRY_OBJECT("no", "list"));
  case 5: return vestry_reply_header(reply, "X-Name", "a\nb");
  case 6: return vestry_reply_status(reply, 99);
  case 7: return vestry_reply_key(reply, (const vestry_key[]){vestry_key_string(too_large_key())});
  case 8: return vestry_event_signals_text(NULL, "{no JSON}", 9, NULL, &none);
  case 9: return vestry_event_custom(NULL, "name", "no JSON", 7, NULL, &none);
  default: return vestry_reply_bodyf(reply, "<p>%s</p>", "\xff");
  }
}

static void mistakes_of_the_program_are_500_and_logged(void **state) {
  (void)state;
  static const char *const reasons[] = {
      "html: byte", "html: byte", "UTF-8", "UTF-8", "an effect is a", "header", "the status", "the key", "", "", NULL};
  for (int i = 0; i < (int)(sizeof reasons / sizeof *reasons); i++) {
    world w;
    world_begin(&w, (vestry_options){0});
    wire r = {.datastar = true, .path = "/some/where"};
    char reason[1024] = "";
    first_log = reason;
    plain_log = w.th.host.log;
    w.th.host.log = keep_first;
    wire_request(&w, &r, err_itself, &i);
    if (reasons[i]) { /* the last is put right by the builder of HTML */
      assert_int_equal(r.status, 500);
      assert_non_null(strstr(reason, reasons[i]));
      assert_non_null(strstr(w.th.last_log, "GET /some/where: answered 500: INVALID"));
    } else if (r.status != 200) {
      assert_int_equal(r.status, 500);
    }
    world_end(&w);
    wire_finish(&r);
  }
}

static void errors_of_handlers_have_their_status(void **state) {
  (void)state;
  static const struct {
    vestry_err error;
    int status;
  } cases[] = {
      {VESTRY_INVALID, 500},   {VESTRY_MALFORMED, 400},   {VESTRY_NOT_FOUND, 404}, {VESTRY_EXISTS, 409},
      {VESTRY_TOO_LARGE, 413}, {VESTRY_LIMIT, 503},       {VESTRY_FULL, 503},      {VESTRY_NO_MEMORY, 500},
      {VESTRY_CLOSED, 500},    {VESTRY_UNSUPPORTED, 500}, {VESTRY_TIMEOUT, 500},   {VESTRY_IO, 500},
      {VESTRY_FAILED, 500},
  };
  world w;
  world_begin(&w, (vestry_options){.retry_after_s = 7});
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
  world_end(&w);
}

static void no_room_for_a_stream_is_503(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
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
  world_end(&w);
  wire_finish(&r);
  wire_finish(&broken);
}

static void a_closing_instance_answers_503(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  vestry_close(w.v);
  wire r = {0}, plain = {0};
  wire_plan(&w, &r, &(plan){.effects = "[" TICK "]"});
  assert_int_equal(r.status, 503);
  wire_request(&w, &plain, planned, &(plan){.body = "x"});
  assert_int_equal(plain.status, 503);
  world_end(&w);
  wire_finish(&r);
  wire_finish(&plain);
}

static vestry_err close_instance(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_close(req->v);
  return planned(req, reply, app);
}

static void an_instance_that_closes_during_the_handler_opens_nothing(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire r = {.datastar = true};
  wire_request(&w, &r, close_instance, &(plan){.keep = true, .key = "a", .effects = "[" TICK "]"});
  assert_int_equal(r.status, 503);
  assert_int_equal(r.opens, 0);
  world_end(&w);
  wire_finish(&r);
}

static void a_peer_that_is_gone_is_io(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire r = {.gone = true}, failed = {.gone = true};
  assert_int_equal(wire_serve(&w, &r, planned, &(plan){.body = "x"}), VESTRY_IO);
  assert_int_equal(wire_serve(&w, &failed, planned, &(plan){.error = VESTRY_FAILED}), VESTRY_IO);
  world_end(&w);
  wire_finish(&r);
  wire_finish(&failed);
}

static void a_stream_whose_peer_is_gone_before_the_head(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire r = {.open_io = VESTRY_IO_HANGUP};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a", .effects = "[" TICK "]"});
  assert_int_equal(r.ends, 1);
  assert_false(r.clean);
  vestry_stats stats = {0};
  vestry_stats_get(w.v, &stats);
  assert_int_equal(store_stats_of(w.v).live_count, 0);
  assert_int_equal(store_stats_of(w.v).removed_by_cause[VESTRY_CAUSE_HANGUP], 1);
  world_end(&w);
  wire_finish(&r);
}

static void incomplete_ops_are_invalid(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  wire r = {0};
  vestry_connection *untouched = (vestry_connection *)&r;
  vestry_request_ops ops = wire_ops;
  ops.size = offsetof(vestry_request_ops, respond_body) - 1; /* less than when it was frozen */
  assert_int_equal(vestry_serve(w.v, &ops, &r, planned, &(plan){0}, &untouched), VESTRY_INVALID);
  ops = wire_ops;
  ops.open = NULL;
  assert_int_equal(vestry_serve(w.v, &ops, &r, planned, &(plan){0}, &untouched), VESTRY_INVALID);
  assert_int_equal(vestry_serve(w.v, NULL, &r, planned, &(plan){0}, &untouched), VESTRY_INVALID);
  assert_ptr_equal(untouched, &r);
  assert_int_equal(r.responds, 0);
  world_end(&w);
}

/* A handler that looks at no error, as those of the introduction. */
static vestry_err ignore_errors(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  (void)vestry_reply_key(reply, app);
  (void)vestry_reply_header(reply, "X-A", "b");
  (void)vestry_reply_body(reply, NULL, "text", 4);
  (void)vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
  return VESTRY_OK;
}

static void a_refused_key_is_not_performed_without(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
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
  wire_request(&w, &plain, ignore_errors, &bad); /* where there are no effects it does not matter */
  assert_int_equal(plain.status, 200);
  wire_assert_text(&plain, "text");
  world_end(&w);
  wire_finish(&r);
  wire_finish(&plain);
}

static void handlers_may_leave_want_of_memory_to_vestry(void **state) {
  (void)state;
  const vestry_key *key = VESTRY_KEY("a");
  long number = 0;
  for (bool failed = true; failed; number++) {
    world w;
    world_begin(&w, (vestry_options){0});
    test_host_fail_in(&w.th, number);
    wire r = {0};
    wire_request(&w, &r, ignore_errors, (void *)key);
    failed = test_host_has_failed(&w.th);
    assert_int_equal(r.status, failed ? 500 : 200);
    wire_assert_text(&r, failed ? "internal error\n" : "text");
    world_end(&w);
    wire_finish(&r);
  }
  assert_true(number > 4);
}

/* -------------------------------------------------------------------------------------------- data of a stream ---- */

/* It is destroyed once, and nobody is told of it later. */
typedef struct datum {
  _Atomic(int) destroyed;
  int given, opened, closed, dispatched;
} datum;

static void datum_destroy(void *data) {
  atomic_fetch_add(&((datum *)data)->destroyed, 1);
}

static datum *datum_of(vestry_connection *connection) {
  datum *d = vestry_connection_data(connection);
  assert_int_equal(atomic_load(&d->destroyed), 0);
  return d;
}

static void datum_opened(vestry_connection *connection, void *ctx) {
  (void)ctx;
  datum_of(connection)->opened++;
}

static void datum_closed(vestry_connection *connection, vestry_cause cause, void *ctx) {
  (void)cause, (void)ctx;
  datum_of(connection)->closed++;
}

static vestry_err datum_dispatched(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)args, (void)ctx;
  vestry_connection *const *connections = vestry_context_info(context)->connections;
  size_t count = vestry_context_info(context)->connections_count;
  for (size_t i = 0; i < count; i++) datum_of(connections[i])->dispatched++;
  return VESTRY_OK;
}

static void data_lives_as_long_as_the_stream_is_held(void **state) {
  (void)state;
  for (int with_hooks = 0; with_hooks < 2; with_hooks++) {
    world w;
    world_begin(&w, (vestry_options){0});
    assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "note", datum_dispatched, NULL), VESTRY_OK);
    datum d = {0};
    plan p = {.key = "a", .keep = true, .effects = "[[\"note\"]]", .data = &d, .destroy = datum_destroy};
    if (with_hooks) p.hooks = (vestry_connection_hooks){.on_open = datum_opened, .on_close = datum_closed};
    wire r = {0}, none = {0};
    wire_plan(&w, &r, &p);
    wire_plan(&w, &none, &(plan){.key = "b", .keep = true});
    assert_null(vestry_connection_data(none.connection));
    assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("note")), VESTRY_OK);
    wire_hang_up(&w, &r);
    assert_int_equal(d.dispatched, 2);
    assert_int_equal(d.opened, with_hooks);
    assert_int_equal(d.closed, with_hooks);
    assert_ptr_equal(datum_of(r.connection), &d); /* it has ended, but is held */
    world_end(&w);
    assert_int_equal(atomic_load(&d.destroyed), 0); /* past the instance, too */
    wire_finish(&r);
    wire_finish(&none);
    assert_int_equal(atomic_load(&d.destroyed), 1);
    test_host_assert_clean(&w.th);
  }
}

static void data_without_a_stream_is_destroyed_when_the_request_is_answered(void **state) {
  (void)state;
  const plan keep = {.key = "a", .keep = true};
  const struct {
    plan reply;
    bool is_plain;
    int status;
  } cases[] = {
      {{.key = "a", .effects = "[" TICK "]"}, false, 204},
      {{.key = "a", .keep = true, .policy = VESTRY_PUT_REUSE}, false, 204},
      {{.key = "a", .keep = true, .policy = VESTRY_PUT_REJECT}, false, 409},
      {{.error = VESTRY_NOT_FOUND}, false, 404},
      {{.error = VESTRY_NO_MEMORY}, false, 500},
      {{.body = "text"}, true, 200},
      {{.status = 422, .body = "text"}, false, 422},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    world w;
    world_begin(&w, (vestry_options){0});
    wire first = {0}, r = {.datastar = !cases[i].is_plain};
    wire_plan(&w, &first, &keep);
    datum d = {0};
    plan p = cases[i].reply;
    p.data = &d;
    p.destroy = datum_destroy;
    wire_request(&w, &r, planned, &p);
    assert_int_equal(r.status, cases[i].status);
    assert_int_equal(atomic_load(&d.destroyed), 1);
    world_end(&w);
    wire_finish(&r);
    wire_finish(&first);
    assert_int_equal(atomic_load(&d.destroyed), 1);
  }
}

static vestry_err two_data(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  datum *data = app;
  vestry_reply_data(reply, &data[0], datum_destroy);
  vestry_reply_data(reply, &data[1], datum_destroy);
  assert_int_equal(atomic_load(&data[0].destroyed), 1);
  return vestry_reply_keep(reply, VESTRY_PUT_REPLACE, 0);
}

static void of_several_data_the_last_stays(void **state) {
  (void)state;
  world w;
  world_begin(&w, (vestry_options){0});
  datum data[2] = {0};
  wire r = {.datastar = true};
  wire_request(&w, &r, two_data, data);
  assert_ptr_equal(datum_of(r.connection), &data[1]);
  world_end(&w);
  wire_finish(&r);
  assert_int_equal(atomic_load(&data[0].destroyed), 1);
  assert_int_equal(atomic_load(&data[1].destroyed), 1);
}

/* ------------------------------------------------------------------------------------------------- memory --------- */

typedef struct memory_case {
  plan reply;
  wire request;
  bool is_second; /* a stream is under the key already */
} memory_case;

static vestry_err planned_with_data(const vestry_request *req, vestry_reply *reply, void *app) {
  ((datum *)((const plan *)app)->data)->given++;
  return planned(req, reply, app);
}

/* Serve with allocation number `number` failing; false: none failed. Whatever fails, the request is answered or its
 * stream runs, somebody is told, and the counters add up. */
static bool serve_failing(const memory_case *c, long number) {
  world w;
  world_begin(&w, (vestry_options){.connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS}});
  wire first = {0}, r = c->request;
  datum d = {0};
  plan reply = c->reply;
  reply.data = &d;
  reply.destroy = datum_destroy;
  if (c->is_second) wire_plan(&w, &first, &(plan){.keep = true, .key = "a"});
  test_host_fail_in(&w.th, number);
  r.datastar = true;
  assert_int_equal(wire_serve(&w, &r, planned_with_data, &reply), VESTRY_OK);
  world_settle(&w);
  bool failed = test_host_has_failed(&w.th);
  bool told = atomic_load(&w.th.log_lines) > 0;
  assert_int_equal(told, failed);
  if (!failed && !r.responds) assert_int_equal(wire_count(&r, "event: "), 1);
  if (!failed && r.responds) assert_in_range(r.status, 200, 204);
  world_end(&w);
  wire_finish(&r);
  if (c->is_second) wire_finish(&first);
  assert_int_equal(atomic_load(&d.destroyed), d.given); /* once, if the handler was reached */
  test_host_assert_clean(&w.th);
  return failed;
}

static void serving_survives_every_allocation_failure(void **state) {
  (void)state;
  static const char long_key[] =
      "a key that does not fit into the room that stores have on their stack for keys, since it is longer than the two "
      "hundred and fifty-six bytes which they spend on it, so that they must ask for memory to look it up, which can "
      "fail, and then the request must be refused rather than served";
  memory_case cases[] = {
      {.reply = {.keep = true, .key = "a", .effects = "[" TICK "]", .header = {"X-A", "b"}}, .request = {0}},
      {.reply = {.keep = true, .key = long_key, .policy = VESTRY_PUT_MANY, .effects = "[" TICK "]"}, .request = {0}},
      {.reply = {.keep = true, .key = long_key, .policy = VESTRY_PUT_REUSE, .effects = "[" TICK "]"}, .request = {0}},
      {.reply = {.effects = "[[\"patch-elements-seq\",[\"<p>a</p>\",\"<p>b</p>\"]]]"}, .request = {0}},
      {.reply = {.key = "a", .effects = "[" TICK "]"}, .is_second = true},
      {.reply = {.key = "a", .keep = true, .effects = "[" TICK "]"}, .is_second = true},
      {.reply = {.key = "a", .keep = true, .policy = VESTRY_PUT_MANY, .effects = "[" TICK "]"}, .is_second = true},
      {.reply = {.body = "text", .header = {"X-A", "b"}},
       .request = {.method = "POST", .body = "{\"a\":[1,2,3]}", .body_len = 13}},
      {.reply = {.body = "text"}, .request = {.query = "datastar=%7B%22a%22%3A1%7D"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    long number = 0;
    while (serve_failing(&cases[i], number)) number++;
    assert_true(number > 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_ordinary_request_gets_the_body_and_no_effects),
      cmocka_unit_test(a_stream_for_any_client),
      cmocka_unit_test(the_handlers_own_headers_win),
      cmocka_unit_test(a_datastar_request_without_effects_is_a_plain_one),
      cmocka_unit_test(a_new_stream_gets_head_effects_and_a_clean_end),
      cmocka_unit_test(a_stream_keeps_its_own_headers),
      cmocka_unit_test(auto_close_per_reply_over_keep_over_the_instance),
      cmocka_unit_test(auto_close_also_when_an_effect_fails),
      cmocka_unit_test(keep_without_effects_opens_a_stream),
      cmocka_unit_test(a_parked_stream_is_run_by_who_got_it),
      cmocka_unit_test(a_reply_sets_the_bounds_of_its_stream),
      cmocka_unit_test(a_stored_connection_gets_the_effects_and_the_request_204),
      cmocka_unit_test(the_replys_own_connection_comes_first),
      cmocka_unit_test(a_closed_connection_of_the_replys_own_is_410_and_nobody_elses_business),
      cmocka_unit_test(a_closed_stored_connection_is_passed_over),
      cmocka_unit_test(effects_are_not_lost_when_the_stored_connection_dies_under_them),
      cmocka_unit_test(what_was_accepted_before_is_not_repeated),
      cmocka_unit_test(close_sse_means_it),
      cmocka_unit_test(nobody_left_and_no_room_is_503),
      cmocka_unit_test(own_connection_that_dies_under_the_effects_is_410),
      cmocka_unit_test(mistakes_of_the_program_are_500_and_logged),
      cmocka_unit_test(errors_of_handlers_have_their_status),
      cmocka_unit_test(no_room_for_a_stream_is_503),
      cmocka_unit_test(a_closing_instance_answers_503),
      cmocka_unit_test(an_instance_that_closes_during_the_handler_opens_nothing),
      cmocka_unit_test(a_peer_that_is_gone_is_io),
      cmocka_unit_test(a_stream_whose_peer_is_gone_before_the_head),
      cmocka_unit_test(incomplete_ops_are_invalid),
      cmocka_unit_test(a_refused_key_is_not_performed_without),
      cmocka_unit_test(handlers_may_leave_want_of_memory_to_vestry),
      cmocka_unit_test(data_lives_as_long_as_the_stream_is_held),
      cmocka_unit_test(data_without_a_stream_is_destroyed_when_the_request_is_answered),
      cmocka_unit_test(of_several_data_the_last_stays),
      cmocka_unit_test(signals_of_a_reply_name_no_placeholders),
      cmocka_unit_test(serving_survives_every_allocation_failure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
