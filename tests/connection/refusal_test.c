/* SPDX-License-Identifier: MIT */
/* C9, C12: a failed send is reported to the on_error hook, which decides what happens; the hook never runs after
 * on_close. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "connection/connection.h"
#include "connection/probe.h"

/* The errors that the hook received, and the verdict that it returns. */
typedef struct listener {
  vestry_verdict verdict;
  int reported;
  vestry_err last;
} listener;

static vestry_verdict listen(vestry_connection *connection, vestry_err error, void *ctx) {
  listener *l = ctx;
  assert_true(vestry_connection_is_open(connection));
  l->reported++;
  l->last = error;
  return l->verdict;
}

/* A connection whose queue holds two events and 12 bytes, and the listener of its errors. */
typedef struct stage {
  bench b;
  vsi_group *group;
  vestry_connection *c;
  listener l;
} stage;

static probe *const no_probe = NULL;
static _Atomic(size_t) ends, releases;

static vestry_io open_ok(void *transport) {
  return VESTRY_IO_OK;
}
static vestry_io write_ok(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  return VESTRY_IO_OK;
}
static void count_end(void *transport, bool clean, vestry_cause cause) {
  ends++;
}
static void count_release(void *transport) {
  releases++;
}
static const vestry_transport_ops sink = {
    .open = open_ok, .write = write_ok, .end = count_end, .release = count_release};

static const vsi_connection_hooks listening = {.on_error = listen};

/* hooks: NULL: none. Their context is ctx, or the stage's listener. */
static void stage_begin_with(stage *s, vestry_full_policy full, const vsi_connection_hooks *hooks, void *ctx) {
  memset(s, 0, sizeof *s);
  ends = releases = 0;
  bench_init(&s->b, VESTRY_THREADS_NONE, NULL);
  vestry_connection_options options = {.max_queued_count = 2, .max_queued_bytes = 12, .full = full};
  assert_int_equal(vsi_group_create(s->b.runtime, &options, &s->group), VESTRY_OK);
  assert_int_equal(vsi_group_connect(s->group, &sink, no_probe, NULL, hooks, ctx ? ctx : &s->l, &s->c), VESTRY_OK);
  vsi_connection_start(s->c);
}

static void stage_begin(stage *s, vestry_full_policy full) {
  stage_begin_with(s, full, &listening, NULL);
}

static void stage_end(stage *s, vestry_cause cause) {
  assert_int_equal(vestry_connection_look(s->c).cause, cause);
  vestry_connection_close(s->c, VESTRY_CAUSE_CLOSED);
  bench_run(&s->b);
  assert_int_equal(vestry_connection_look(s->c).state, VESTRY_STATE_CLOSED);
  int reported = s->l.reported;
  assert_int_equal(bench_send(&s->b, s->c, "x"), VESTRY_CLOSED); /* on_close has reported it */
  assert_int_equal(s->l.reported, reported);
  vestry_connection_unref(s->c);
  assert_int_equal(ends, 1);
  assert_int_equal(releases, 1);
  vsi_group_close(s->group);
  vsi_group_unref(s->group);
  bench_finish(&s->b);
}

static void fill(stage *s) {
  assert_int_equal(bench_send(&s->b, s->c, "a"), VESTRY_OK);
  assert_int_equal(bench_send(&s->b, s->c, "b"), VESTRY_OK);
}

/* capability: C9 */
TEST_CASE(c9_on_error_decides_on_full) {
  static const struct {
    vestry_full_policy policy;
    vestry_verdict verdict;
    vestry_cause cause;
  } rows[] = {
      {VESTRY_FULL_CLOSE, VESTRY_VERDICT_DEFAULT, VESTRY_CAUSE_FULL},
      {VESTRY_FULL_CLOSE, VESTRY_VERDICT_GO_ON, VESTRY_CAUSE_NONE},
      {VESTRY_FULL_CLOSE, VESTRY_VERDICT_CLOSE, VESTRY_CAUSE_FULL},
      {VESTRY_FULL_CLOSE, (vestry_verdict)77, VESTRY_CAUSE_FULL},
      {VESTRY_FULL_DROP, VESTRY_VERDICT_DEFAULT, VESTRY_CAUSE_NONE},
      {VESTRY_FULL_DROP, VESTRY_VERDICT_GO_ON, VESTRY_CAUSE_NONE},
      {VESTRY_FULL_DROP, VESTRY_VERDICT_CLOSE, VESTRY_CAUSE_FULL},
      {VESTRY_FULL_DROP, (vestry_verdict)77, VESTRY_CAUSE_NONE},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    stage s;
    stage_begin(&s, rows[i].policy);
    s.l.verdict = rows[i].verdict;
    fill(&s);
    assert_int_equal(s.l.reported, 0);
    assert_int_equal(bench_send(&s.b, s.c, "c"), VESTRY_FULL);
    assert_int_equal(s.l.reported, 1);
    assert_int_equal(s.l.last, VESTRY_FULL);
    vestry_connection_stats stats = probe_stats(s.c);
    assert_int_equal(stats.refused_count, 1);
    stage_end(&s, rows[i].cause);
  }
}

TEST_CASE(c9_on_error_decides_on_other_errors) {
  static char too_large[VESTRY_EVENT_MAX_BYTES + 1];
  memset(too_large, 'a', sizeof too_large);
  for (int verdict = VESTRY_VERDICT_DEFAULT; verdict <= VESTRY_VERDICT_CLOSE; verdict++) {
    vestry_cause cause = verdict == VESTRY_VERDICT_CLOSE ? VESTRY_CAUSE_ERROR : VESTRY_CAUSE_NONE;
    for (int way = 0; way < 5; way++) {
      stage s;
      stage_begin(&s, VESTRY_FULL_CLOSE);
      s.l.verdict = (vestry_verdict)verdict;
      vestry_event *event = bench_event(&s.b, "a");
      vestry_event *three[] = {event, event, event};
      vestry_err error = VESTRY_OK, expected = way < 3 ? VESTRY_TOO_LARGE : VESTRY_NO_MEMORY;
      if (way >= 3) test_host_fail_in(&s.b.th, 0);
      switch (way) {
      case 0: error = vestry_connection_patch_elements(s.c, "longer than 12 bytes", 20, NULL); break;
      case 1: error = vestry_connection_send_all(s.c, three, 3); break;
      case 2: error = vestry_connection_patch_elements(s.c, too_large, sizeof too_large, NULL); break;
      case 3: error = vestry_connection_send_all(s.c, three, 2); break; /* no memory for the second delivery */
      case 4:
        error = vestry_connection_patch_signals(s.c, VESTRY_VALUES("{}"), NULL);
        break; /* no memory for the event */
      }
      assert_int_equal(error, expected);
      assert_int_equal(s.l.reported, 1);
      assert_int_equal(s.l.last, expected);
      vestry_event_unref(event);
      stage_end(&s, cause);
    }
  }
}

/* Mistakes of the caller are only returned. */
TEST_CASE(c9_invalid_calls_do_not_run_on_error) {
  stage s;
  stage_begin(&s, VESTRY_FULL_CLOSE);
  s.l.verdict = VESTRY_VERDICT_CLOSE;
  assert_int_equal(vestry_connection_patch_signals(s.c, VESTRY_VALUES("alert(1)"), NULL), VESTRY_INVALID);
  assert_int_equal(vestry_connection_effects(s.c, VESTRY_LIST("redirect", "javascript:x")), VESTRY_INVALID);
  assert_int_equal(vestry_connection_send_all(s.c, NULL, 0), VESTRY_INVALID);
  assert_int_equal(s.l.reported, 0);
  stage_end(&s, VESTRY_CAUSE_NONE);
}

TEST_CASE(c9_full_policy_decides_without_hook) {
  for (int drop = 0; drop < 2; drop++) {
    stage s;
    stage_begin_with(&s, drop ? VESTRY_FULL_DROP : VESTRY_FULL_CLOSE, NULL, NULL);
    fill(&s);
    assert_int_equal(vestry_connection_patch_elements(s.c, "longer than 12 bytes", 20, NULL), VESTRY_TOO_LARGE);
    assert_int_equal(vestry_connection_look(s.c).cause, VESTRY_CAUSE_NONE);
    assert_int_equal(bench_send(&s.b, s.c, "c"), VESTRY_FULL);
    stage_end(&s, drop ? VESTRY_CAUSE_NONE : VESTRY_CAUSE_FULL);
  }
}

/* A hook that closes the connection itself, with its own cause. */
static vestry_verdict close_as_idle(vestry_connection *connection, vestry_err error, void *ctx) {
  assert_true(vestry_connection_close(connection, VESTRY_CAUSE_IDLE));
  return VESTRY_VERDICT_CLOSE;
}

TEST_CASE(c9_on_error_may_close_with_its_own_cause) {
  stage s;
  static const vsi_connection_hooks hooks = {.on_error = close_as_idle};
  stage_begin_with(&s, VESTRY_FULL_CLOSE, &hooks, NULL);
  fill(&s);
  assert_int_equal(bench_send(&s.b, s.c, "c"), VESTRY_FULL);
  stage_end(&s, VESTRY_CAUSE_IDLE);
}

/* ------------------------------------------------------------------------------------------- not after close ---- */

/* The runner arrives while a hook runs: it stops, and runs again when the hook has returned. */
typedef struct interrupted {
  stage *s;
  int inside, closed;
} interrupted;

static vestry_verdict run_meanwhile(vestry_connection *connection, vestry_err error, void *ctx) {
  interrupted *i = ctx;
  vestry_connection_close(connection, VESTRY_CAUSE_SIZE);
  bench_run(&i->s->b);
  assert_int_equal(i->closed, 0);
  assert_int_equal(ends, 0);
  i->inside++;
  return VESTRY_VERDICT_DEFAULT;
}

static void note_close(vestry_connection *connection, vestry_cause cause, void *ctx) {
  interrupted *i = ctx;
  assert_int_equal(i->inside, 1);
  i->closed++;
}

TEST_CASE(c9_on_close_waits_for_on_error) {
  stage s;
  interrupted i = {.s = &s};
  static const vsi_connection_hooks hooks = {.on_error = run_meanwhile, .on_close = note_close};
  stage_begin_with(&s, VESTRY_FULL_CLOSE, &hooks, &i);
  fill(&s);
  assert_int_equal(bench_send(&s.b, s.c, "c"), VESTRY_FULL);
  assert_int_equal(i.closed, 0);
  bench_run(&s.b); /* the return of the hook notifies the runner */
  assert_int_equal(i.closed, 1);
  stage_end(&s, VESTRY_CAUSE_SIZE);
}

/* Senders are refused all the time while the connection is closed, and on_close frees the context of the hooks. A
 * sanitizer detects a hook that runs later. */
enum { SENDERS = 3, ROUNDS = 60 };

typedef struct context {
  int closed;
  _Atomic(int) reported;
} context;

static vestry_verdict count_reported(vestry_connection *connection, vestry_err error, void *ctx) {
  context *c = ctx;
  assert_int_equal(c->closed, 0);
  atomic_fetch_add(&c->reported, 1);
  return VESTRY_VERDICT_GO_ON;
}

static void free_context(vestry_connection *connection, vestry_cause cause, void *ctx) {
  context *c = ctx;
  c->closed = 1;
  free(c);
}

typedef struct flood {
  bench *b;
  vestry_connection *connection;
  _Atomic(int) *refused;
} flood;

static void *send_until_closed(void *argument) {
  flood *f = argument;
  for (;;) {
    vestry_err error = vestry_connection_patch_elements(f->connection, "longer than 12 bytes", 20, NULL);
    if (error == VESTRY_CLOSED) return NULL;
    assert_int_equal(error, VESTRY_TOO_LARGE);
    atomic_fetch_add(f->refused, 1);
  }
}

/* capability: C9 */
TEST_CASE(c9_on_error_never_runs_after_on_close) {
  bench b;
  bench_init(&b, 2, &(vestry_connection_options){.max_queued_bytes = 12, .heartbeat_ms = VESTRY_NEVER_MS});
  for (int round = 0; round < ROUNDS; round++) {
    context *c = calloc(1, sizeof *c);
    assert_non_null(c);
    vestry_connection *connection = NULL;
    static const vsi_connection_hooks hooks = {.on_error = count_reported, .on_close = free_context};
    assert_int_equal(vsi_group_connect(b.group, &sink, no_probe, NULL, &hooks, c, &connection), VESTRY_OK);
    bool abandon = round % 3 == 0;
    if (!abandon) vsi_connection_start(connection);
    _Atomic(int) refused;
    atomic_init(&refused, 0);
    pthread_t ids[SENDERS];
    flood f = {&b, connection, &refused};
    for (int i = 0; i < SENDERS; i++) assert_int_equal(pthread_create(&ids[i], NULL, send_until_closed, &f), 0);
    while (atomic_load(&refused) < SENDERS * 10) continue;
    if (abandon)
      vsi_connection_abandon(connection, VESTRY_CAUSE_CLOSED);
    else
      vestry_connection_close(connection, round % 2 ? VESTRY_CAUSE_CLOSED : VESTRY_CAUSE_SIZE);
    for (int i = 0; i < SENDERS; i++) pthread_join(ids[i], NULL);
    vestry_connection_unref(connection);
  }
  assert_int_equal(vsi_group_wait(b.group, 60000), VESTRY_OK);
  bench_finish(&b);
}
