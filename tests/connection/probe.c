/* SPDX-License-Identifier: MIT */
#include "connection/probe.h"

#include "base/memory.h"
#include "event/layout.h"

void probe_init(probe *p) {
  memset(p, 0, sizeof *p);
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->woken, NULL);
  vsi_buffer_init(&p->got, NULL);
}

void probe_finish(probe *p) {
  assert_int_equal(p->ends, 1);
  assert_int_equal(p->releases, 1);
  assert_int_equal(p->closed, 1);
  assert_int_equal(p->close_cause, p->end_cause);
  vsi_buffer_finish(&p->got);
  pthread_cond_destroy(&p->woken);
  pthread_mutex_destroy(&p->lock);
}

static vestry_io probe_open(void *transport) {
  probe *p = transport;
  p->opens++;
  return p->open_answer;
}

static vestry_io probe_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  probe *p = transport;
  pthread_mutex_lock(&p->lock);
  p->writes++;
  size_t room = p->write_answer == VESTRY_IO_OK ? SIZE_MAX : p->write_answer == VESTRY_IO_WOULD_BLOCK ? p->take : 0;
  size_t taken = 0;
  for (size_t i = 0; i < count && room; i++) {
    size_t len = slices[i].len < room ? slices[i].len : room;
    vsi_buffer_append(&p->got, slices[i].data, len);
    taken += len;
    room -= len;
  }
  if (p->write_answer == VESTRY_IO_WOULD_BLOCK) *ret_written = taken;
  vestry_io answer = p->write_answer;
  pthread_mutex_unlock(&p->lock);
  return answer;
}

static void probe_end(void *transport, bool clean, vestry_cause cause) {
  probe *p = transport;
  p->ends++;
  p->clean = clean;
  p->end_cause = cause;
}

static void probe_release(void *transport) {
  ((probe *)transport)->releases++;
}

static void probe_wake(void *transport) {
  probe *p = transport;
  pthread_mutex_lock(&p->lock);
  p->wake = true;
  pthread_cond_signal(&p->woken);
  pthread_mutex_unlock(&p->lock);
}

/* The bytes wait in the batch of the thread. */
static size_t probe_compose(void *transport, const vestry_slice *slices, size_t count, void *buffer, size_t room,
                            int *ret_descriptor) {
  probe *p = transport;
  size_t len = 0;
  *ret_descriptor = -1; /* probe_sent takes the bytes */
  for (size_t i = 0; i < count; i++) {
    if (slices[i].len > room - len) return 0;
    memcpy((char *)buffer + len, slices[i].data, slices[i].len);
    len += slices[i].len;
  }
  p->composed = (vestry_slice){buffer, len};
  return p->beyond ? room + p->beyond : len;
}

static vestry_io probe_sent(void *transport, int result, size_t *ret_written) {
  probe *p = transport;
  assert_int_equal(result, (int)p->composed.len);
  return probe_write(transport, &p->composed, 1, ret_written);
}

const vestry_transport_ops probe_pooled = {
    .open = probe_open,
    .write = probe_write,
    .end = probe_end,
    .release = probe_release,
    .name = "probe",
    .compose = probe_compose,
    .sent = probe_sent,
};
const vestry_transport_ops probe_dedicated = {
    .open = probe_open,
    .write = probe_write,
    .end = probe_end,
    .release = probe_release,
    .wake = probe_wake,
    .name = "probe",
    .compose = probe_compose, /* not called: only threads of the pool batch writes */
    .sent = probe_sent,
};

static void opened(vestry_connection *connection, void *ctx) {
  assert_int_not_equal(vestry_connection_look(connection).state, VESTRY_STATE_OPENING);
  ((probe *)ctx)->opened++;
}

static void closed(vestry_connection *connection, vestry_cause cause, void *ctx) {
  probe *p = ctx;
  assert_int_equal(vestry_connection_look(connection).state, VESTRY_STATE_CLOSED);
  assert_int_equal(p->ends, 1); /* the transport is gone when the hook runs */
  p->closed++;
  p->close_cause = cause;
}

const vsi_connection_hooks probe_hooks = {.on_open = opened, .on_close = closed};

void probe_assert_got(probe *p, const char *text) {
  assert_string_equal(vsi_buffer_terminate(&p->got), text);
}

vestry_connection_stats probe_stats(const vestry_connection *connection) {
  vestry_connection_stats s = {0};
  vestry_connection_stats_get(connection, &s);
  assert_int_equal(s.accepted_count, s.written_count + s.discarded_count + s.conflated_count + s.queued_count);
  assert_int_equal(s.accepted_bytes, s.written_bytes + s.discarded_bytes + s.conflated_bytes + s.queued_bytes);
  return s;
}

void bench_init(bench *b, uint32_t threads, const vestry_connection_options *defaults) {
  test_host_init(&b->th);
  vestry_runtime_options options = {.host = &b->th.host, .threads_count = threads};
  assert_int_equal(vestry_runtime_create(&options, &b->runtime), VESTRY_OK);
  assert_int_equal(vsi_group_create(b->runtime, defaults, &b->group), VESTRY_OK);
}

void bench_run(bench *b) {
  while (vestry_runtime_step(b->runtime)) continue;
}

void bench_finish(bench *b) {
  vsi_group_close(b->group);
  assert_int_equal(vsi_group_wait(b->group, 60000), VESTRY_OK);
  vsi_group_stats stats;
  vsi_group_stats_get(b->group, &stats);
  assert_int_equal(stats.open, 0);
  assert_int_equal(stats.opened, stats.open + stats.closed);
  assert_int_equal(stats.accepted, stats.written + stats.discarded + stats.conflated);
  assert_int_equal(stats.queued_bytes, 0);
  uint64_t causes = 0;
  for (int i = 0; i < VESTRY_CAUSE_COUNT; i++) causes += stats.closed_by_cause[i];
  assert_int_equal(causes, stats.closed);
  assert_int_equal(stats.closed_by_cause[VESTRY_CAUSE_NONE], 0);
  vestry_runtime_stop(b->runtime);
  vsi_group_unref(b->group);
  vestry_runtime_destroy(b->runtime);
  test_host_assert_clean(&b->th);
}

vestry_connection *bench_connect(bench *b, probe *p, const vestry_connection_options *options) {
  vestry_connection *connection = NULL;
  assert_int_equal(vsi_group_connect(b->group, &probe_pooled, p, options, &probe_hooks, p, &connection), VESTRY_OK);
  return connection;
}

vestry_event *bench_event(bench *b, const char *text) {
  vestry_event *event = NULL;
  assert_int_equal(vsi_event_comment(&b->th.host, text, &event), VESTRY_OK);
  return event;
}

vestry_err bench_send(bench *b, vestry_connection *connection, const char *text) {
  vestry_event *event = bench_event(b, text);
  vestry_err error = vestry_connection_send(connection, event);
  vestry_event_unref(event);
  return error;
}
