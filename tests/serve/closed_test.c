/* SPDX-License-Identifier: MIT */
/* E6: an effect for a closed connection does no harm: it returns CLOSED, is recorded as an error, and writes
 * nothing. */
#include "event/layout.h"
#include "serve/wire.h"
#include "vestry/dispatch.h"

static const char *const built_in[] = {"[\"patch-elements\", \"<p id='a'>\"]",
                                       "[\"patch-elements-seq\", [\"<p id='a'>\"]]", "[\"patch-signals\", {\"a\": 1}]",
                                       "[\"execute-script\", \"a()\"]"};

static void begin(site *w, wire *r) {
  site_begin(w, (vestry_options){0});
  *r = (wire){0};
  wire_plan(w, r, &(plan){.key = "a", .keep = true});
}

static void end(site *w, wire *r) {
  site_settle(w);
  wire_assert_text(r, ""); /* nothing has come through */
  vestry_stats stats = {0};
  vestry_stats_get(w->v, &stats);
  assert_int_equal(stats.accepted_count, 0);
  wires_end(w, r);
}

/* capability: E6 */
TEST_CASE(e6_effects_after_close_sse_are_refused_without_harm) {
  for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
    site w;
    wire r;
    char text[128];
    begin(&w, &r);
    snprintf(text, sizeof text, "[[\"close-sse\"], %s, [\"close-sse\"]]", built_in[i]);
    json_t *effects = json_loads(text, 0, NULL);
    vestry_dispatch_result result = {0};
    assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = ROOM("a")}, &result),
                     VESTRY_CLOSED);
    assert_int_equal(result.effects_count, 2);
    assert_int_equal(result.errors_count, 1);
    assert_int_equal(result.errors[0].error, VESTRY_CLOSED);
    assert_int_equal(
        vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.connection = r.connection}, &result),
        VESTRY_NOT_FOUND);
    assert_int_equal(result.effects_count + result.errors_count, 0);
    json_decref(effects);
    end(&w, &r);
  }
}

static vestry_err close_and_send(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  vestry_connection *const *connections = vestry_context_info(context)->connections;
  size_t count = vestry_context_info(context)->connections_count;
  for (size_t i = 0; i < count; i++) vestry_connection_close(connections[i], VESTRY_CAUSE_IDLE);
  vestry_event *event = NULL;
  assert_int_equal(vsi_event_comment(NULL, "late", &event), VESTRY_OK);
  vestry_err error = vestry_context_send(context, event);
  vestry_event_unref(event);
  *(vestry_err *)ctx = error;
  return error;
}

TEST_CASE(e6_context_send_to_closed_connections_is_refused_without_harm) {
  site w;
  wire r;
  vestry_err sent = VESTRY_OK;
  begin(&w, &r);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "late", close_and_send, &sent), VESTRY_OK);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("late")), VESTRY_CLOSED);
  assert_int_equal(sent, VESTRY_CLOSED);
  end(&w, &r);
}

/* capability: E6 */
TEST_CASE(e6_a_reply_to_a_closed_connection_is_refused_without_harm) {
  site w;
  wire r, late = {0};
  begin(&w, &r);
  vestry_connection_close(r.connection, VESTRY_CAUSE_CLOSED);
  wire_plan(&w, &late, &(plan){.connection = r.connection, .effects = "[[\"patch-signals\", {\"a\": 1}]]"});
  assert_int_equal(late.status, 410);
  assert_int_equal(late.opens, 0);
  end(&w, &r);
  wire_finish(&late);
}
