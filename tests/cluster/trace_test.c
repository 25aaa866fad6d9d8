/* SPDX-License-Identifier: MIT */
/* Traces that continue on other nodes, and malformed traces. */
#include "cluster/cluster/cluster.h" /* first, because its names differ */
#include "support/spans.h"

#include "base/trace.h"
#include "cluster/nodes.h"

#define TEXT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static spans reported;

/* Begin two nodes, record the spans of both, and put the thread into a trace. */
static void begin(nodes *n, vestry_trace *ret_said) {
  nodes_begin(n, 2, NULL);
  nodes_pass_ms(n, 2000);
  spans_begin(&reported, &n->th.host);
  assert_int_equal(vsi_trace_read(TEXT, strlen(TEXT), ret_said), VESTRY_OK);
}

/* capability: L12 */
TEST_CASE(trace_of_a_dispatch_continues_on_the_other_node) {
  nodes n;
  vestry_trace parent;
  begin(&n, &parent);
  node *a = &n.all[0], *b = &n.all[1];
  vestry_memory_exchange *stream = node_open(b, "x", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 1000);
  spans_begin(&reported, &n.th.host);
  uint32_t count;
  (void)vestry_trace_enter(&parent);
  assert_int_equal(node_dispatch(a, "x", "followed", &count), VESTRY_OK);
  (void)vestry_trace_enter(NULL);
  nodes_settle(&n);
  assert_int_equal(count_in(stream, "followed"), 1);
  const vestry_span *ask = spans_one(&reported, VESTRY_SPAN_REMOTE_REQUEST),
                    *written = spans_one(&reported, VESTRY_SPAN_WRITE);
  spans_assert_child(ask, &parent);
  assert_int_equal(ask->count, 1);
  assert_int_equal(ask->error, VESTRY_OK);
  const vestry_span *there = NULL;
  for (size_t i = 0; i < reported.count; i++)
    if (reported.all[i].kind == VESTRY_SPAN_DISPATCH &&
        memcmp(reported.all[i].parent_id, ask->trace.span_id, sizeof ask->trace.span_id) == 0)
      there = &reported.all[i];
  assert_non_null(there);
  spans_assert_child(there, &ask->trace);
  spans_assert_child(written, &there->trace);
  nodes_end(&n);
}

/* capability: L12 */
TEST_CASE(trace_of_refresh_and_event_continues_on_the_other_node) {
  nodes n;
  vestry_trace parent;
  begin(&n, &parent);
  node *a = &n.all[0], *b = &n.all[1];
  node_show(b);
  vestry_memory_exchange *member = node_join(b, "x");
  nodes_pass_ms(&n, 2000);
  spans_begin(&reported, &n.th.host);
  (void)vestry_trace_enter(&parent);
  assert_int_equal(vestry_refresh(a->pages, "room", NULL), VESTRY_OK);
  (void)vestry_trace_enter(NULL);
  nodes_pass_ms(&n, 1000);
  spans_assert_child(spans_one(&reported, VESTRY_SPAN_RENDER), &parent);
  /* The next refresh has no trace. */
  spans_begin(&reported, &n.th.host);
  assert_int_equal(vestry_refresh(a->pages, "room", NULL), VESTRY_OK);
  nodes_pass_ms(&n, 1000);
  const vestry_span *render = spans_one(&reported, VESTRY_SPAN_RENDER);
  assert_memory_not_equal(render->trace.trace_id, parent.trace_id, sizeof parent.trace_id);
  spans_begin(&reported, &n.th.host);
  (void)vestry_trace_enter(&parent);
  assert_int_equal(node_broadcast(a, "x", "to all"), VESTRY_OK);
  (void)vestry_trace_enter(NULL);
  nodes_settle(&n);
  assert_int_equal(count_in(member, "to all"), 1);
  spans_assert_child(spans_one(&reported, VESTRY_SPAN_WRITE), &parent);
  nodes_end(&n);
}

/* The body is shorter than the trace that it announces. */
HOST_CASE(message_without_its_announced_trace_is_malformed) {
  static const vsi_siphash_key key = {1, 2};
  const vestry_trace trace = {.trace_id = {1}, .span_id = {2}, .is_sampled = true};
  for (size_t len = 0; len < 40; len++) {
    vsi_buffer buffer;
    vsi_wire_message message = {.kind = VSI_WIRE_REFRESH, .flags = VSI_WIRE_TRACED, .epoch = 1}, opened;
    vsi_wire_begin(&buffer, &th->host);
    for (size_t i = 0; i < len; i++) vsi_wire_put(&buffer, i, 1);
    assert_int_equal(vsi_wire_seal(&buffer, key, &message), VESTRY_OK);
    vestry_err error = vsi_wire_open(buffer.data, buffer.len, key, &opened);
    assert_int_equal(error, len < VSI_WIRE_TRACE ? VESTRY_MALFORMED : VESTRY_OK);
    if (!error) assert_int_equal(opened.len, len - VSI_WIRE_TRACE);
    vsi_buffer_finish(&buffer);
    vsi_wire_begin(&buffer, &th->host);
    for (size_t i = 0; i < len; i++) vsi_wire_put(&buffer, i, 1);
    message.flags = vsi_wire_put_trace(&buffer, len % 2 ? &trace : NULL);
    assert_int_equal(vsi_wire_seal(&buffer, key, &message), VESTRY_OK);
    assert_int_equal(vsi_wire_open(buffer.data, buffer.len, key, &opened), VESTRY_OK);
    assert_int_equal(opened.len, len);
    assert_int_equal(opened.is_traced, len % 2);
    if (opened.is_traced) assert_memory_equal(opened.trace.span_id, trace.span_id, sizeof trace.span_id);
    vsi_buffer_finish(&buffer);
  }
}
