/* SPDX-License-Identifier: MIT */
/* E6: a send to a closed connection does no harm: it returns CLOSED, writes nothing, counts nothing as accepted, and
 * leaks nothing. */
#include "connection/probe.h"

/* All public functions that send to a connection. */
static vestry_err send_one(vestry_connection *c, vestry_event *event) {
  return vestry_connection_send(c, event);
}

static vestry_err send_all(vestry_connection *c, vestry_event *event) {
  vestry_event *events[3] = {event, event, event};
  return vestry_connection_send_all(c, events, 3);
}

static vestry_err patch_elements(vestry_connection *c, vestry_event *event) {
  return vestry_connection_patch_elements(c, "<p id=\"a\">", 10, NULL);
}

static vestry_err patch_signals(vestry_connection *c, vestry_event *event) {
  return vestry_connection_patch_signals(c, VESTRY_VALUES("{\"a\":1}"), NULL);
}

static vestry_err execute_script(vestry_connection *c, vestry_event *event) {
  return vestry_connection_effects(c, VESTRY_LIST("execute-script", "a()"));
}

static vestry_err (*const forms[])(vestry_connection *c, vestry_event *event) = {send_one, send_all, patch_elements,
                                                                                 patch_signals, execute_script};
enum { FORMS = sizeof forms / sizeof *forms };

/* Each of the functions is refused without any effect, in whatever state the connection is. */
static void assert_refused(bench *b, vestry_connection *c) {
  vestry_connection_stats before = {0}, after = {0};
  vestry_connection_stats_get(c, &before);
  vestry_event *event = bench_event(b, "late");
  long live = atomic_load(&b->th.live);
  for (int i = 0; i < FORMS; i++) assert_int_equal(forms[i](c, event), VESTRY_CLOSED);
  assert_int_equal(atomic_load(&b->th.live), live);
  vestry_event_unref(event);
  vestry_connection_stats_get(c, &after);
  assert_int_equal(after.accepted_count, before.accepted_count);
  assert_int_equal(after.refused_count, before.refused_count); /* this counter is for events that met a full queue */
  assert_int_equal(after.queued_count, before.queued_count);
  assert_int_equal(after.queued_bytes, before.queued_bytes);
  assert_int_equal(after.writes_count, before.writes_count);
  assert_int_equal(after.cause, before.cause);
}

/* capability: C12, E6 */
TEST_CASE(e6_sends_to_a_closed_connection_are_refused_without_harm) {
  for (int cause = VESTRY_CAUSE_NONE + 1; cause < VESTRY_CAUSE_COUNT; cause++)
    for (int opened = 0; opened < 2; opened++) {
      if (cause == VESTRY_CAUSE_DETACHED) continue; /* not the cause of an end */
      bench b;
      probe p;
      bench_init(&b, VESTRY_THREADS_NONE, NULL);
      probe_init(&p);
      vestry_connection *c = bench_connect(&b, &p, NULL);
      vestry_event *event = bench_event(&b, "early");
      if (opened) {
        vsi_connection_start(c);
        bench_run(&b);
        for (int i = 0; i < FORMS; i++) assert_int_equal(forms[i](c, event), VESTRY_OK);
        bench_run(&b);
      }
      vestry_event_unref(event);
      size_t len = p.got.len;
      vestry_connection_close(c, (vestry_cause)cause);
      assert_refused(&b, c); /* closing */
      if (!opened) vsi_connection_start(c);
      bench_run(&b);
      assert_int_equal(vestry_connection_look(c).state, VESTRY_STATE_CLOSED);
      assert_refused(&b, c); /* closed */
      bench_run(&b);
      assert_int_equal(p.got.len, len);
      assert_int_equal(vestry_connection_look(c).cause, cause);
      vestry_connection_unref(c);
      probe_finish(&p);
      bench_finish(&b);
    }
}

static void send_more(vestry_connection *connection, vestry_cause cause, void *ctx) {
  assert_refused(ctx, connection);
}

/* capability: E6 */
TEST_CASE(e6_sends_from_the_close_hook_are_refused_without_harm) {
  for (int abandoned = 0; abandoned < 2; abandoned++) {
    bench b;
    probe p;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    probe_init(&p);
    vestry_connection *c = NULL;
    static const vsi_connection_hooks hooks = {.on_close = send_more};
    assert_int_equal(vsi_group_connect(b.group, &probe_pooled, &p, NULL, &hooks, &b, &c), VESTRY_OK);
    if (abandoned) {
      vsi_connection_abandon(c, VESTRY_CAUSE_CLOSED);
    } else {
      vsi_connection_start(c);
      bench_run(&b);
      vestry_connection_close(c, VESTRY_CAUSE_HANGUP);
      bench_run(&b);
    }
    assert_refused(&b, c);
    vestry_connection_unref(c);
    bench_finish(&b);
    assert_int_equal(p.ends, 1);
    assert_int_equal(p.got.len, 0);
    vsi_buffer_finish(&p.got);
  }
}
