/* SPDX-License-Identifier: MIT */
/* Serving, from the request to the bytes of the answer. */
#include "serve/wire.h"
#include "vestry/registry.h"

static const char *const tick = "event: datastar-patch-signals\ndata: signals {\"n\":1}\n\n";
#define TICK "[\"patch-signals\", {\"n\": 1}]"

/* ------------------------------------------------------------------------------------------- plain requests ------- */

/* capability: B6 */
TEST_CASE(plain_request_gets_the_body_and_no_effects) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_request(&w, &r, planned, &(plan){.body = "<p>hi</p>", .key = "a", .keep = true, .effects = "[" TICK "]"});
  assert_int_equal(r.status, 200);
  wire_assert_text(&r, "<p>hi</p>");
  assert_true(wire_has_header(&r, "Content-Type: text/html; charset=utf-8"));
  assert_int_equal(r.opens, 0);
  wires_end(&w, &r);
}

static vestry_err tick_for_anybody(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_any_client(reply);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
}

TEST_CASE(any_client_opens_a_stream_for_plain_requests) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_request(&w, &r, tick_for_anybody, NULL);
  assert_int_equal(r.status, 200);
  assert_true(wire_has_header(&r, "Content-Type: text/event-stream"));
  assert_int_equal(wire_count(&r, "data: signals {\"n\":1}\n"), 1);
  assert_true(r.clean); /* and auto-close works as for a Datastar request */
  wires_end(&w, &r);
}

static vestry_err seven(const json_t *data, const json_t *args, json_t **ret_value, void *ctx) {
  *ret_value = json_integer(7);
  return VESTRY_OK;
}

/* The first and the last may have placeholders. Signals can come from a client, so they are never searched for one. */
static vestry_err seven_thrice(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_any_client(reply);
  vestry_err error =
      vestry_reply_effect(reply, VESTRY_LIST("patch-signals", VESTRY_OBJECT("first", VESTRY_LIST("seven"))));
  if (!error) error = vestry_reply_patch_signals(reply, VESTRY_OBJECT("second", VESTRY_LIST("seven")));
  if (!error)
    error = vestry_reply_effect(reply, VESTRY_LIST("patch-signals", VESTRY_OBJECT("third", VESTRY_LIST("seven"))));
  return error;
}

TEST_CASE(placeholders_in_reply_signals_are_not_expanded) {
  site w;
  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_registry_placeholder(vestry_parts_of(w.v)->registry, "seven", seven, NULL), VESTRY_OK);
  wire r = {0};
  wire_request(&w, &r, seven_thrice, NULL);
  assert_int_equal(wire_count(&r, "data: signals {\"first\":7}\n"), 1);
  assert_int_equal(wire_count(&r, "data: signals {\"second\":[\"seven\"]}\n"), 1);
  assert_int_equal(wire_count(&r, "data: signals {\"third\":7}\n"), 1);
  wires_end(&w, &r);
}

/* capability: B6 */
TEST_CASE(headers_of_the_handler_win) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_request(&w, &r, planned, &(plan){.body = "{}", .header = {"content-type", "application/json"}, .status = 201});
  assert_int_equal(r.status, 201);
  assert_string_equal(r.head, "content-type: application/json\n");
  wires_end(&w, &r);
}

/* capability: B6 */
TEST_CASE(datastar_request_without_effects_gets_plain_answer) {
  site w;
  site_begin(&w, (vestry_options){0});
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
  wires_end(&w, &nothing, &status, &body, &key_only);
}

/* -------------------------------------------------------------------------------------------- new streams --------- */

/* capability: B1, B3 */
TEST_CASE(new_stream_gets_head_effects_and_clean_end) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_plan(&w, &r, &(plan){.status = 500, .header = {"Set-Cookie", "a=b"}, .effects = "[" TICK "," TICK "]"});
  assert_int_equal(r.status, 200);
  assert_string_equal(r.head,
                      "Content-Type: text/event-stream\nCache-Control: no-cache, no-transform\nX-Accel-Buffering: no\n"
                      "Set-Cookie: a=b\n");
  assert_int_equal(wire_count(&r, tick), 2);
  assert_int_equal(r.writes, 1); /* everything queued goes into one write */
  assert_int_equal(r.ends, 1);
  assert_true(r.clean);
  assert_int_equal(r.cause, VESTRY_CAUSE_CLOSED);
  vestry_stats stats = {0};
  vestry_stats_get(w.v, &stats);
  assert_int_equal(store_stats_of(w.v).put_count, 0);
  wires_end(&w, &r);
}

SITE_CASE(handler_cannot_override_stream_headers) {
  static const char *const names[] = {"content-type", "Cache-Control", "x-accel-buffering", "Content-Encoding"};
  for (size_t i = 0; i < 4; i++) {
    wire r = {0};
    wire_plan(w, &r, &(plan){.header = {names[i], "text/x-other"}, .effects = "[" TICK "]"});
    assert_null(strstr(r.head, "text/x-other"));
    vestry_connection_unref(r.connection);
    r.connection = NULL;
    wire_finish(&r);
  }
}

/* capability: B5 */
TEST_CASE(auto_close_of_reply_overrides_keep_and_instance) {
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
    site w;
    site_begin(&w, (vestry_options){.keep_open = cases[i].keep_open});
    wire r = {0};
    wire_plan(&w, &r,
              &(plan){.key = "a", .keep = cases[i].keep, .auto_close = cases[i].auto_close, .effects = "[" TICK "]"});
    assert_int_equal(wire_count(&r, tick), 1);
    assert_int_equal(vestry_connection_is_open(r.connection), cases[i].stays);
    vestry_stats stats = {0};
    vestry_stats_get(w.v, &stats);
    assert_int_equal(store_stats_of(w.v).live_count,
                     cases[i].stays); /* only a stream that stays open and has a key is stored */
    assert_int_equal(store_stats_of(w.v).put_count, cases[i].stays);
    wires_end(&w, &r);
  }
}

/* capability: B5 */
TEST_CASE(auto_close_ends_stream_after_failed_effect) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_plan(&w, &r, &(plan){.effects = "[[\"nobody-knows\"]," TICK ",[\"patch-signals\"]]"});
  assert_int_equal(wire_count(&r, tick), 1);
  assert_int_equal(r.ends, 1);
  assert_true(r.clean);
  assert_int_equal(atomic_load(&w.th.log_lines), 2);
  assert_non_null(strstr(w.th.last_log, "effect patch-signals: INVALID: an argument is missing"));
  wires_end(&w, &r);
}

TEST_CASE(keep_without_effects_opens_a_stream) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a"});
  assert_true(r.head_written);
  assert_int_equal(r.ends, 0);
  wire_assert_text(&r, "");
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))),
                   VESTRY_OK);
  site_settle(&w);
  wire_assert_text(&r, tick);
  site_close(&w);
  assert_false(r.clean); /* so that the browser reconnects */
  assert_int_equal(r.cause, VESTRY_CAUSE_SHUTDOWN);
  wire_finish(&r);
}

TEST_CASE(dedicated_stream_is_run_by_its_thread) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {.dedicated = true};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a", .effects = "[" TICK "]"});
  assert_false(r.head_written);
  assert_true(r.wakes > 0);
  assert_int_equal(vestry_connection_run(r.connection), VESTRY_STATE_OPEN);
  wire_assert_text(&r, tick);
  vestry_connection_close(r.connection, VESTRY_CAUSE_CLOSED);
  assert_int_equal(vestry_connection_run(r.connection), VESTRY_STATE_CLOSED);
  wires_end(&w, &r);
}

/* capability: B1 */
TEST_CASE(reply_sets_the_limits_of_its_stream) {
  site w;
  site_begin(&w, (vestry_options){.connection = &(vestry_connection_options){.heartbeat_ms = 1000}});
  wire r = {0};
  wire_plan(&w, &r,
            &(plan){.keep = true,
                    .stream = {.max_queued_count = 2, .full = VESTRY_FULL_DROP},
                    .effects = "[" TICK "," TICK "," TICK "]"});
  assert_int_equal(wire_count(&r, tick), 2);
  assert_non_null(strstr(w.th.last_log, "patch-signals: FULL"));
  site_pass_ms(&w, 1001);
  assert_int_equal(wire_count(&r, ":\n\n"), 1); /* members that the reply left at zero have the instance's value */
  wires_end(&w, &r);
}

/* ---------------------------------------------------------------------------------------- existing streams -------- */

/* capability: A11, B4 */
TEST_CASE(stored_stream_gets_effects_and_request_gets_204) {
  site w;
  site_begin(&w, (vestry_options){0});
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
  wires_end(&w, &kept, &later);
}

/* capability: B3 */
TEST_CASE(connection_of_the_reply_overrides_its_key) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire a = {0}, b = {0}, later = {0};
  wire_plan(&w, &a, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &b, &(plan){.keep = true, .key = "b"});
  wire_plan(&w, &later, &(plan){.key = "a", .connection = b.connection, .effects = "[" TICK "]"});
  assert_int_equal(later.status, 204);
  wire_assert_text(&a, "");
  wire_assert_text(&b, tick);
  wires_end(&w, &a, &b, &later);
}

TEST_CASE(closed_connection_of_the_reply_gets_410) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire a = {0}, b = {0}, later = {0};
  wire_plan(&w, &a, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &b, &(plan){.keep = true, .key = "b"});
  wire_hang_up(&w, &b);
  wire_plan(&w, &later, &(plan){.key = "a", .connection = b.connection, .effects = "[" TICK "]"});
  assert_int_equal(later.status, 410);
  assert_int_equal(later.opens, 0);
  wire_assert_text(&a, "");
  wires_end(&w, &a, &b, &later);
}

/* capability: B3 */
TEST_CASE(closing_stored_stream_is_skipped) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {0};
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  /* The connection is closing and its runner has not run, so it is still stored. */
  vestry_connection_close(kept.connection, VESTRY_CAUSE_HANGUP);
  later.datastar = true;
  assert_int_equal(wire_serve(&w, &later, planned, &(plan){.key = "a", .effects = "[" TICK "]"}), VESTRY_OK);
  site_settle(&w);
  wire_assert_text(&later, tick);
  wires_end(&w, &kept, &later);
}

/* Closes the given connection: a hang-up between lookup and send. */
static vestry_err close_it(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  wire *victim = ctx;
  assert_true(vestry_context_info(context)->connections[0] == victim->connection);
  vestry_connection_close(victim->connection, VESTRY_CAUSE_HANGUP);
  return VESTRY_OK;
}

static vestry_err count_it(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  ++*(int *)ctx;
  return VESTRY_OK;
}

/* capability: C12 */
TEST_CASE(effects_of_a_reply_whose_stream_closes_get_503) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {0};
  int counted = 0;
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "close", close_it, &kept), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "count", count_it, &counted), VESTRY_OK);
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &later,
            &(plan){.key = "a",
                    .keep = true,
                    .policy = VESTRY_KEEP_REUSE,
                    .effects = "[[\"count\"],[\"close\"]," TICK "," TICK "]"});
  assert_int_equal(counted, 1); /* no effect runs twice */
  assert_int_equal(later.status, 503);
  assert_int_equal(later.opens, 0);
  assert_int_equal(wire_count(&kept, tick), 0);
  wires_end(&w, &kept, &later);
}

TEST_CASE(accepted_events_are_not_repeated_on_a_new_stream) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {0};
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "close", close_it, &kept), VESTRY_OK);
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &later, &(plan){.key = "a", .effects = "[" TICK ",[\"close\"]," TICK "]"});
  assert_int_equal(later.status, 204);
  assert_int_equal(later.opens, 0);
  wires_end(&w, &kept, &later);
}

TEST_CASE(close_sse_opens_no_new_stream) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {0};
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &later, &(plan){.key = "a", .effects = "[[\"close-sse\"]," TICK "]"});
  assert_int_equal(later.opens, 0);
  assert_int_equal(later.status, 503); /* its second effect had no connection */
  assert_true(kept.clean);
  assert_int_equal(kept.cause, VESTRY_CAUSE_CLOSED);
  wires_end(&w, &kept, &later);
}

TEST_CASE(stored_stream_closed_and_no_new_stream_gets_503) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {.open_error = VESTRY_LIMIT};
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "close", close_it, &kept), VESTRY_OK);
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &later, &(plan){.key = "a", .effects = "[[\"close\"]," TICK "," TICK "]"});
  assert_int_equal(later.status, 503);
  wires_end(&w, &kept, &later);
}

TEST_CASE(connection_of_the_reply_closed_by_effects_gets_410) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire kept = {0}, later = {0};
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "close", close_it, &kept), VESTRY_OK);
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &later, &(plan){.connection = kept.connection, .effects = "[[\"close\"]," TICK "]"});
  assert_int_equal(later.status, 410);
  assert_int_equal(later.opens, 0);
  wires_end(&w, &kept, &later);
}
