/* SPDX-License-Identifier: MIT */
/* The instance: creation, its effects and hooks, its end. */
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "serve/wire.h"
#include "support/asleep.h"
#include "support/until.h"
#include "vestry/app/session.h"
#include "vestry/registry.h"
#include "vestry/server.h"

#define TICK "[\"patch-signals\", {\"n\": 1}]"

/* Creation is refused, and one log line names the reason. */
static void must_refuse(vestry_options options, vestry_err wanted, const char *said) {
  site w;
  test_host_init(&w.th);
  assert_int_equal(site_try(&w, options, (site_has){.secret = NULL}), wanted);
  assert_null(w.v);
  assert_true(w.th.log_lines > 0);
  assert_non_null(strstr(w.th.last_log, "vestry_create: "));
  if (!strstr(w.th.last_log, said)) fail_msg("it does not say \"%s\": %s", said, w.th.last_log);
  test_host_assert_clean(&w.th);
}

/* capability: A7 */
TEST_CASE(options_are_checked) {
  site w;
  test_host_init(&w.th);
  assert_int_equal(vestry_create(NULL, NULL), VESTRY_INVALID);
  must_refuse((vestry_options){.store = "no-such"}, VESTRY_NOT_FOUND, "store");
  must_refuse((vestry_options){.bounds = &(vestry_bounds){.max_body_bytes = SIZE_MAX}}, VESTRY_INVALID,
              "max_body_bytes");
  must_refuse((vestry_options){.bounds = &(vestry_bounds){.max_body_bytes = 8, .max_request_bytes = 16}},
              VESTRY_INVALID, "raise max_request_bytes");
  must_refuse((vestry_options){.connection = &(vestry_connection_options){.max_queued_count = 2000000}}, VESTRY_INVALID,
              "options.connection->max_queued_count is 2000000, but must be from 1 to 1000000");
  must_refuse((vestry_options){.connection = &(vestry_connection_options){.max_queued_bytes = (size_t)2 << 30}},
              VESTRY_INVALID, "options.connection->max_queued_bytes is 2147483648");
  must_refuse((vestry_options){.connection = &(vestry_connection_options){.full = 17}}, VESTRY_INVALID,
              "options.connection->full is 17");
  must_refuse((vestry_options){.threads_count = 257}, VESTRY_INVALID,
              "options.threads_count is 257, but must be from 1 to 256");
  must_refuse((vestry_options){.bounds = &(vestry_bounds){.max_epoch_bytes = UINT64_MAX}}, VESTRY_INVALID,
              "options.bounds->max_epoch_bytes");
  must_refuse((vestry_options){.bounds = &(vestry_bounds){.max_per_stream_count = 65536}}, VESTRY_INVALID,
              "options.bounds->max_per_stream_count is 65536, but must be from 1 to 65535");
  must_refuse((vestry_options){.bounds = &(vestry_bounds){.max_values_count = 1000001}}, VESTRY_INVALID,
              "options.bounds->max_values_count");
  must_refuse((vestry_options){.profiles_count = 1}, VESTRY_INVALID, "profiles");
  for (int missing = 0; missing < 3; missing++) {
    vestry *v = NULL;
    vestry_host host = w.th.host;
    if (missing == 0) host.reallocate = NULL;
    if (missing == 1) host.now_ns = NULL;
    if (missing == 2) host.random = NULL;
    assert_int_equal(vestry_create(&(vestry_options){.host = &host}, &v), VESTRY_INVALID);
    assert_null(v);
    assert_non_null(strstr(w.th.last_log, "options.host: reallocate, now_ns and random must be set"));
  }
  atomic_store(&w.th.fail_random, true);
  assert_int_equal(site_try(&w, (vestry_options){0}, (site_has){.secret = NULL}), VESTRY_IO);
  assert_null(w.v);
  test_host_assert_clean(&w.th);
}

/* A larger body would get 503 with Retry-After, without end. */
TEST_CASE(default_body_limit_fits_into_the_bytes_of_all_requests) {
  static const struct {
    size_t request_bytes, body_bytes;
  } rows[] = {{1600, 700}, {2 << 20, (2 << 20) / 16 * 7}, {3 << 20, 1 << 20}, {0, 1 << 20}, {SIZE_MAX, 1 << 20}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    site w;
    site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_request_bytes = rows[i].request_bytes}});
    assert_int_equal(vestry_parts_of(w.v)->max_body_bytes, rows[i].body_bytes);
    site_end(&w);
  }
}

static vestry_err create_one(test_host *th, void *ctx) {
  vestry_options options = *(vestry_options *)ctx;
  options.host = &th->host;
  options.threads_count = VESTRY_THREADS_NONE;
  vestry *v = NULL;
  vestry_err error = vestry_create(&options, &v);
  if (error) assert_null(v);
  vestry_destroy(v);
  return error;
}

TEST_CASE(creation_survives_every_allocation_failure) {
  test_host_fail_each(create_one, &(vestry_options){0}, false);
  test_host_fail_each(create_one, &(vestry_options){.store = "hash"}, false);
}

HOST_CASE(an_instance_can_share_a_runtime) {
  vestry_runtime *runtime;
  assert_int_equal(vestry_runtime_create(
                       &(vestry_runtime_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &runtime),
                   VESTRY_OK);
  vestry *v;
  assert_int_equal(vestry_create(&(vestry_options){.runtime = runtime}, &v), VESTRY_OK);
  assert_ptr_equal(vestry_parts_of(v)->runtime, runtime);
  assert_ptr_equal(vestry_parts_of(v)->host, &th->host); /* the runtime's host, if none is given */
  assert_non_null(vestry_parts_of(v)->store);
  vestry_destroy(v);
  vestry_runtime_destroy(runtime);
  vestry_destroy(NULL);
}

SITE_CASE(registration_checks_arguments) {
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "x", NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_intercept(vestry_parts_of(w->v)->registry, NULL), VESTRY_INVALID);
}

/* ---------------------------------------------------------------------------------------- hooks and effects ------- */

typedef struct notes {
  char text[1024];
  vestry *v;
} notes;

static void note(notes *n, const char *text) {
  strncat(n->text, text, sizeof n->text - strlen(n->text) - 1);
}

static void own_open(vestry_connection *connection, void *ctx) {
  assert_int_equal(vestry_connection_look(connection).state, VESTRY_STATE_OPEN);
  note(ctx, "own-open ");
}
static void own_close(vestry_connection *connection, vestry_cause cause, void *ctx) {
  note(ctx, "own-close:");
  note(ctx, vestry_cause_name(cause));
  note(ctx, " ");
}
static void all_open(vestry_connection *connection, void *ctx) {
  note(ctx, "all-open ");
}
static void all_close(vestry_connection *connection, vestry_cause cause, void *ctx) {
  note(ctx, "all-close ");
}

static vestry_err connection_effect(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  vestry_connection *connection = vestry_context_info(context)->connections[0];
  assert_int_equal(vestry_context_info(context)->connections_count, 1);
  assert_int_equal(json_array_size(args), 1);
  assert_int_equal(json_integer_value(json_array_get(args, 0)), vestry_connection_look(connection).id);
  assert_null(vestry_context_info(context)->request);
  assert_int_equal(vestry_context_info(context)->scope.len, 3);
  note(ctx, "connection ");
  return VESTRY_OK;
}

static vestry_err closed_effect(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  vestry_connection *connection = vestry_context_info(context)->connections[0];
  assert_int_equal(json_integer_value(json_array_get(args, 0)), vestry_connection_look(connection).id);
  assert_int_equal(vestry_context_info(context)->scope.len, 3);
  note(ctx, "sse-closed:");
  note(ctx, json_string_value(json_array_get(args, 1)));
  note(ctx, " ");
  return VESTRY_OK;
}

static vestry_err closing(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  note(ctx, "[ ");
  return VESTRY_OK;
}
static vestry_err closed(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  note(ctx, "] ");
  return VESTRY_OK;
}

static vestry_err always_ann(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  memcpy(buffer, "ann", 3);
  *ret_len = 3;
  return VESTRY_OK;
}

static void begin_noting(site *w, notes *n) {
  site_begin(
      w, (vestry_options){.scope = always_ann,
                          .hooks = &(vestry_connection_hooks){.on_open = all_open, .on_close = all_close, .ctx = n}});
  n->v = w->v;
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "connection", connection_effect, n),
                   VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "sse-closed", closed_effect, n), VESTRY_OK);
  assert_int_equal(vestry_registry_intercept(vestry_parts_of(w->v)->registry,
                                             &(vestry_interceptor){"close", VESTRY_PHASE_CLOSE, closing, closed, n}),
                   VESTRY_OK);
}

/* capability: B2, C9 */
TEST_CASE(hooks_of_open_and_close_run_in_order) {
  site w;
  notes n = {.text = ""};
  begin_noting(&w, &n);
  wire r = {0};
  wire_plan(&w, &r, &(plan){.keep = true, .hooks = {.on_open = own_open, .on_close = own_close, .ctx = &n}});
  assert_string_equal(n.text, "own-open all-open connection ");
  n.text[0] = '\0';
  wire_hang_up(&w, &r);
  assert_string_equal(n.text, "[ own-close:hangup all-close sse-closed:hangup ] ");
  assert_int_equal(atomic_load(&w.th.log_lines), 0);
  wires_end(&w, &r);
}

/* capability: B2 */
TEST_CASE(close_hooks_run_for_a_stream_that_never_opened) {
  site w;
  notes n = {.text = ""};
  begin_noting(&w, &n);
  wire r = {.open_io = VESTRY_IO_HANGUP};
  wire_plan(&w, &r, &(plan){.keep = true, .hooks = {.on_open = own_open, .on_close = own_close, .ctx = &n}});
  assert_string_equal(n.text, "[ own-close:hangup all-close sse-closed:hangup ] ");
  wires_end(&w, &r);
}

static vestry_err refuse(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  return vestry_context_refuse(context, VESTRY_EXISTS);
}

TEST_CASE(abandoned_stream_runs_hooks_but_no_effects) {
  site w;
  notes n = {.text = ""};
  begin_noting(&w, &n);
  assert_int_equal(vestry_registry_intercept(vestry_parts_of(w.v)->registry,
                                             &(vestry_interceptor){"refuse", VESTRY_PHASE_CONNECT, NULL, refuse, NULL}),
                   VESTRY_OK);
  wire r = {0};
  wire_plan(&w, &r, &(plan){.keep = true, .hooks = {.on_open = own_open, .on_close = own_close, .ctx = &n}});
  assert_int_equal(r.status, 409);
  assert_string_equal(n.text, "[ own-close:closed all-close ] ");
  wires_end(&w, &r);
}

/* C9: a refused event is reported to the on_error hook of the reply and then to the instance's, on every path. */
typedef struct verdicts {
  vestry_verdict own, all;
  int own_told, all_told;
  vestry_err last;
} verdicts;

static vestry_verdict own_error(vestry_connection *connection, vestry_err error, void *ctx) {
  verdicts *v = ctx;
  assert_int_equal(v->all_told, v->own_told++); /* the reply's hook runs first */
  v->last = error;
  return v->own;
}

static vestry_verdict all_error(vestry_connection *connection, vestry_err error, void *ctx) {
  verdicts *v = ctx;
  v->all_told++;
  assert_int_equal(error, v->last);
  return v->all;
}

/* capability: C9 */
TEST_CASE(c9_on_error_of_reply_and_instance) {
  static const struct {
    vestry_verdict own, all;
    bool goes_on;
  } rows[] = {
      {VESTRY_VERDICT_DEFAULT, VESTRY_VERDICT_DEFAULT, false},
      {VESTRY_VERDICT_DEFAULT, VESTRY_VERDICT_GO_ON, true},
      {VESTRY_VERDICT_GO_ON, VESTRY_VERDICT_CLOSE, true},
      {VESTRY_VERDICT_CLOSE, VESTRY_VERDICT_GO_ON, false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    site w;
    verdicts v = {.own = rows[i].own, .all = rows[i].all};
    site_begin(&w, (vestry_options){.hooks = &(vestry_connection_hooks){.on_error = all_error, .ctx = &v},
                                    .connection = &(vestry_connection_options){.max_queued_count = 1}});
    wire r = {0};
    wire_plan(&w, &r, &(plan){.keep = true, .key = "a", .hooks = {.on_error = own_error, .ctx = &v}});
    vestry_err error = vestry_dispatch(w.v, NOWHERE, ROOM("a"),
                                       VESTRY_LIST(VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1)),
                                                   VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 2))));
    assert_int_equal(error, VESTRY_FULL);
    assert_int_equal(v.own_told, 1);
    assert_int_equal(v.all_told, 1);
    site_settle(&w);
    assert_int_equal(wire_count(&r, "{\"n\":1}"), rows[i].goes_on ? 1 : 0); /* an abort discards the queue */
    assert_int_equal(r.cause, rows[i].goes_on ? VESTRY_CAUSE_NONE : VESTRY_CAUSE_FULL);
    wires_end(&w, &r);
  }
}

/* A page's close notifies another page: hooks dispatch by key and by connection, also during the stop. */
static void tell_the_others(vestry_connection *connection, vestry_cause cause, void *ctx) {
  notes *n = ctx;
  vestry_err error = vestry_dispatch(n->v, NOWHERE, ROOM("b"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("left", 1)));
  note(n, vestry_err_name(error));
  note(n, " ");
}

/* capability: C9 */
TEST_CASE(hooks_may_dispatch) {
  site w;
  notes n = {.text = ""};
  site_begin(&w, (vestry_options){.hooks = &(vestry_connection_hooks){.on_close = tell_the_others, .ctx = &n}});
  n.v = w.v;
  wire a = {0}, b = {0}, c = {0};
  wire_plan(&w, &a, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &b, &(plan){.keep = true, .key = "b"});
  wire_plan(&w, &c, &(plan){.keep = true, .key = "c"});
  wire_hang_up(&w, &a);
  assert_string_equal(n.text, "OK ");
  assert_int_equal(wire_count(&b, "{\"left\":1}"), 1);
  site_close(&w); /* b and c end, and their hooks find no connection */
  assert_string_equal(n.text, "OK CLOSED CLOSED ");
  wire_finish(&a);
  wire_finish(&b);
  wire_finish(&c);
}

/* ------------------------------------------------------------------------------------------------ re-entry -------- */

typedef struct purger {
  site *w;
  wire *next; /* served from inside the hook */
  int purges;
} purger;

static void serve_from_purge(const vestry_purged *purged, void *ctx) {
  purger *p = ctx;
  p->purges++;
  char key[64];
  size_t len;
  assert_int_equal(vestry_key_format(purged->key, purged->key_len, key, sizeof key, &len), VESTRY_OK);
  if (p->purges > 1) return;
  assert_string_equal(key, "[\"room\",\"a\"]");
  assert_int_equal(purged->cause, VESTRY_CAUSE_REPLACED);
  assert_int_equal(
      vestry_dispatch(p->w->v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("purged", 1))),
      VESTRY_OK); /* the one that displaced it */
  assert_int_equal(
      vestry_store_remove(vestry_parts_of(p->w->v)->store, NOWHERE, ROOM("none"), VESTRY_CAUSE_REMOVED, NULL),
      VESTRY_NOT_FOUND);
  p->next->datastar = true;
  assert_int_equal(wire_serve(p->w, p->next, planned, &(plan){.keep = true, .key = "b"}), VESTRY_OK);
}

/* capability: A10 */
TEST_CASE(purge_hook_may_serve_and_dispatch) {
  site w;
  wire a = {0}, b = {0}, next = {0};
  purger p = {&w, &next, 0};
  site_begin(&w, (vestry_options){.purge = serve_from_purge, .purge_ctx = &p});
  wire_plan(&w, &a, &(plan){.keep = true, .key = "a", .policy = VESTRY_KEEP_REPLACE});
  wire_plan(&w, &b, &(plan){.keep = true, .key = "a", .policy = VESTRY_KEEP_REPLACE});
  assert_int_equal(p.purges, 1);
  assert_int_equal(wire_count(&b, "{\"purged\":1}"), 1);
  assert_true(vestry_connection_is_open(next.connection));
  site_close(&w);
  assert_int_equal(p.purges, 3);
  wire_finish(&a);
  wire_finish(&b);
  wire_finish(&next);
}

typedef struct clock_face {
  vestry *v;
  int n;
  vestry_err last;
} clock_face;

static void on_timer(vestry_timer *timer, void *ctx) {
  clock_face *c = ctx;
  c->last = vestry_dispatch(c->v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", ++c->n)));
}

/* capability: B14 */
TEST_CASE(timers_dispatch_without_a_request) {
  site w;
  site_begin(&w, (vestry_options){0});
  clock_face c = {.v = w.v};
  vestry_timer *timer;
  assert_int_equal(vestry_timer_create(vestry_parts_of(w.v)->runtime, on_timer, &c, &timer), VESTRY_OK);
  assert_int_equal(vestry_timer_set(timer, 1000, 1000), VESTRY_OK);
  wire r = {0};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a"});
  for (int i = 1; i <= 3; i++) {
    site_pass_ms(&w, 1001);
    assert_int_equal(c.n, i);
    assert_int_equal(c.last, VESTRY_OK);
  }
  assert_int_equal(wire_count(&r, "event: datastar-patch-signals"), 3);
  assert_int_equal(wire_count(&r, "{\"n\":3}"), 1);
  wire_hang_up(&w, &r);
  site_pass_ms(&w, 1001);
  assert_int_equal(c.last, VESTRY_NOT_FOUND);
  vestry_timer_destroy(timer);
  wires_end(&w, &r);
}

/* -------------------------------------------------------------------------------------------------- the end ------- */

TEST_CASE(close_stop_and_destroy_end_the_instance) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire a = {0}, dedicated = {.dedicated = true};
  wire_plan(&w, &a, &(plan){.keep = true, .key = "a", .effects = "[" TICK "]"});
  wire_plan(&w, &dedicated, &(plan){.keep = true, .key = "b", .effects = "[" TICK "]"});
  vestry_connection_run(dedicated.connection);
  vestry_close(w.v);
  vestry_close(w.v);
  assert_false(vestry_connection_is_open(a.connection));
  const vestry_key *key = ROOM("late");
  assert_int_equal(
      vestry_store_put(vestry_parts_of(w.v)->store, NOWHERE, key, a.connection, VESTRY_KEEP_REPLACE, 0, NULL),
      VESTRY_CLOSED);
  assert_int_equal(a.ends, 0);                           /* close does not wait */
  assert_int_equal(vestry_stop(w.v, 0), VESTRY_TIMEOUT); /* the dedicated one needs its thread */
  assert_int_equal(a.cause, VESTRY_CAUSE_SHUTDOWN);
  assert_false(a.clean);
  assert_int_equal(vestry_connection_run(dedicated.connection), VESTRY_STATE_CLOSED);
  assert_int_equal(vestry_stop(w.v, 0), VESTRY_OK);
  vestry_stats stats = {0};
  vestry_stats_get(w.v, &stats);
  assert_int_equal(stats.closed_by_cause[VESTRY_CAUSE_SHUTDOWN], 2);
  assert_int_equal(store_stats_of(w.v).removed_by_cause[VESTRY_CAUSE_SHUTDOWN], 2);
  assert_int_equal(stats.requests_count, 2);
  assert_int_equal(stats.written_count, 2);
  wires_end(&w, &a, &dedicated);
}

/* A reference that an application keeps too long delays the release of its memory, not the end of the instance. */
TEST_CASE(references_outlive_the_instance) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a"});
  site_close(&w);
  assert_int_equal(vestry_connection_look(r.connection).cause, VESTRY_CAUSE_SHUTDOWN);
  assert_int_equal(vestry_connection_patch_signals(r.connection, VESTRY_VALUES("{}"), NULL), VESTRY_CLOSED);
  assert_int_equal(r.releases, 0);
  wire_finish(&r);
  test_host_assert_clean(&w.th);
}

/* capability: E2 */
SITE_CASE(instance_exposes_its_heartbeat) {
  assert_int_equal(vestry_parts_of(w->v)->heartbeat_ms, 15000);
  site_end(w);
  site_begin(w, (vestry_options){.connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS}});
  assert_true(vestry_parts_of(w->v)->heartbeat_ms == VESTRY_NEVER_MS);
}

/* capability: F4 */
TEST_CASE(f4_queue_budget_is_enforced_and_counted) {
  site w;
  wire a = {.write_io = VESTRY_IO_WOULD_BLOCK}, b = {0};
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_queued_bytes = 16384},
                                  .connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS,
                                                                             .max_queued_bytes = 1 << 20}});
  wire_plan(&w, &a, &(plan){.key = "a", .keep = true, .auto_close = -1});
  wire_plan(&w, &b, &(plan){.key = "b", .keep = true, .auto_close = -1});
  char text[1001];
  memset(text, 'x', 1000);
  text[1000] = '\0';
  vestry_stats stats = {0};
  for (int i = 0; i < 20; i++) {
    (void)vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("console-log", text));
    assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("b"), VESTRY_LIST("console-log", text)), VESTRY_OK);
    site_settle(&w);
    vestry_stats_get(w.v, &stats);
    assert_true(stats.queued_bytes <= 16384 * 7 / 8);
  }
  assert_int_equal(a.cause, VESTRY_CAUSE_BUDGET);
  assert_int_equal(stats.closed_by_cause[VESTRY_CAUSE_BUDGET], 1);
  assert_int_equal(store_stats_of(w.v).removed_by_cause[VESTRY_CAUSE_BUDGET], 1);
  assert_int_equal(stats.queued_bytes, 0);
  assert_true(stats.queued_peak_bytes > 16384 / 2 && stats.queued_peak_bytes <= 16384);
  assert_int_equal(stats.refused_count, 0);
  assert_int_equal(wire_count(&b, text), 20);
  wires_end(&w, &a, &b);
}

/* Without a bound of its own, a stream gets at most half of what all may queue: it ends by its own bound. */
TEST_CASE(queue_of_a_stream_is_bounded_by_half_of_all) {
  static const struct {
    size_t all, own;
    vestry_err at_half, beyond;
  } rows[] = {{40000, 0, VESTRY_OK, VESTRY_TOO_LARGE},
              {40000, 30000, VESTRY_OK, VESTRY_OK}, /* set by the application */
              {0, 0, VESTRY_OK, VESTRY_OK}};
  static char text[25000];
  memset(text, 'x', sizeof text);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    site w;
    wire r = {0};
    site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_queued_bytes = rows[i].all},
                                    .connection = &(vestry_connection_options){.max_queued_bytes = rows[i].own,
                                                                               .full = VESTRY_FULL_DROP}});
    wire_plan(&w, &r, &(plan){.key = "a", .keep = true});
    assert_int_equal(vestry_connection_patch_elements(r.connection, text, 19000, NULL), rows[i].at_half);
    site_settle(&w);
    assert_int_equal(vestry_connection_patch_elements(r.connection, text, 25000, NULL), rows[i].beyond);
    site_settle(&w);
    wires_end(&w, &r);
  }
}

/* A handler that steps runs other streams, and its own opens after vestry_serve. */
static vestry_err step_here(const vestry_request *req, vestry_reply *reply, void *app) {
  wire *const *two = app;
  vestry_connection_effects(two[0]->connection, VESTRY_LIST("send-event", "n", "x"));
  while (vestry_runtime_step(vestry_parts_of(req->v)->runtime)) continue;
  assert_int_equal(wire_count(two[0], "data: x"), 1);
  assert_false(two[1]->head_written);
  vestry_reply_key(reply, VESTRY_KEY("own"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

TEST_CASE(stream_of_a_handler_that_steps_opens_after_it) {
  site w;
  wire other = {0}, own = {.datastar = true};
  site_begin(&w, (vestry_options){0});
  wire_plan(&w, &other, &(plan){.key = "a", .keep = true});
  assert_int_equal(wire_serve(&w, &own, step_here, (wire *[]){&other, &own}), VESTRY_OK);
  assert_false(own.head_written);
  site_settle(&w);
  assert_true(own.head_written);
  wires_end(&w, &other, &own);
}

/* ---- the end of a run -------------------------------------------------------------------------------------------- */

static vestry_err start_nothing(vestry *v, const vestry_server_options *options, vestry_server **ret_server) {
  static vestry_server nothing;
  nothing = (vestry_server){0};
  *ret_server = &nothing;
  return VESTRY_OK;
}

static vestry_err stop_nothing(vestry_server *server, uint64_t timeout_ms) {
  return VESTRY_OK;
}

static void destroy_nothing(vestry_server *server) {}

static void room_of_nothing(vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity) {
  *ret_streams = *ret_capacity = 0;
}

static const vestry_server_adapter nothing_adapter = {.name = "nothing",
                                                      .start = start_nothing,
                                                      .stop = stop_nothing,
                                                      .destroy = destroy_nothing,
                                                      .room = room_of_nothing};

static void *end_again_and_again(void *ctx) {
  _Atomic(bool) *stops = ctx;
  while (!atomic_load(stops)) vestry_server_end();
  return NULL;
}

/* An end may come at any time, also while its run returns. The descriptor that is made next often has the number of the
 * one that was closed last. */
TEST_CASE(late_end_writes_to_no_other_descriptor) {
  enum { ENDERS = 4, RUNS = 1000 };
  site w;
  pthread_t enders[ENDERS];
  _Atomic(bool) stops = false;
  int foreign = 0;
  site_begin(&w, (vestry_options){0});
  for (int i = 0; i < ENDERS; i++) assert_int_equal(pthread_create(&enders[i], NULL, end_again_and_again, &stops), 0);
  for (int i = 0; i < RUNS && !foreign; i++) {
    assert_int_equal(vestry_server_run(w.v, &nothing_adapter, NULL), VESTRY_OK);
    const int other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(other >= 0);
    sched_yield();
    uint64_t written;
    foreign += read(other, &written, sizeof written) > 0;
    close(other);
  }
  atomic_store(&stops, true);
  for (int i = 0; i < ENDERS; i++) pthread_join(enders[i], NULL);
  assert_int_equal(foreign, 0);
  site_end(&w);
}

typedef struct run_end {
  pid_t runner; /* the thread of the run */
  _Atomic(bool) was_asked;
} run_end;

static void *end_later(void *ctx) {
  run_end *end = ctx;
  UNTIL(is_asleep(end->runner));
  atomic_store(&end->was_asked, true);
  vestry_server_end();
  return NULL;
}

static void begin_end_later(vestry_server *server, void *ctx) {
  pthread_t thread;
  ((run_end *)ctx)->runner = gettid();
  assert_int_equal(pthread_create(&thread, NULL, end_later, ctx), 0);
  pthread_detach(thread);
}

SITE_CASE(end_before_a_run_does_not_end_it) {
  for (int i = 0; i < 3; i++) {
    run_end end = {.was_asked = false};
    vestry_server_end();
    const vestry_server_options options = {.on_ready = begin_end_later, .ctx = &end};
    assert_int_equal(vestry_server_run(w->v, &nothing_adapter, &options), VESTRY_OK);
    assert_true(atomic_load(&end.was_asked));
  }
}

SITE_CASE(drain_time_of_a_run_is_bounded) {
  const vestry_server_options options = {.drain_ms = VESTRY_DRAIN_MAX_MS + 1};
  assert_int_equal(vestry_server_run(w->v, &nothing_adapter, &options), VESTRY_INVALID);
  assert_string_equal(w->th.last_log, "vestry_server_run: drain_ms is 86400001, but must be from 1 to 86400000");
}
