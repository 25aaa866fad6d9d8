/* SPDX-License-Identifier: MIT */
/* Liveness and readiness: a probe that is delivered, a late one, a drain, and no memory. Probes change no counter. */
#include <semaphore.h>
#include <stdio.h>

#include "serve/wire.h"
#include "support/until.h"
#include "vestry/drain.h"
#include "vestry/ops/observe.h"

typedef struct suite {
  site on;
  vestry_observe *observe;
} suite;

static void begin(suite *s, vestry_options options) {
  site_begin(&s->on, options);
  const vestry_observe_options observe = {.trusts_loopback = true};
  assert_int_equal(vestry_observe_create(s->on.v, &observe, &s->observe), VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s->observe, "/observe"), VESTRY_OK);
}

static void end(suite *s) {
  vestry_observe_destroy(s->observe);
  site_end(&s->on);
}

/* Request a path without running ready work. The text is valid until the next call. */
static int request(suite *s, const char *path, const char **ret_text) {
  static char text[128];
  wire r = {.path = path, .peer = "127.0.0.1", .headers = {{"Host", "localhost"}}};
  wire_serve(&s->on, &r, NULL, NULL);
  assert_true(wire_has_header(&r, "Cache-Control: no-store"));
  snprintf(text, sizeof text, "%s", r.text ? r.text : "");
  const int status = r.status;
  wire_finish(&r);
  if (ret_text) *ret_text = text;
  return status;
}

static void assert_ready(suite *s, int status, const char *expected) {
  const char *text;
  assert_int_equal(request(s, "/observe/ready", &text), status);
  assert_string_equal(text, expected);
}

/* capability: H3 */
TEST_CASE(readiness_reports_the_previous_probe) {
  suite s;
  begin(&s, (vestry_options){.scope = NULL});
  assert_ready(&s, 200, "ready\n");
  test_host_advance_ms(&s.on.th, 999); /* the runtime does not run */
  assert_ready(&s, 200, "ready\n");
  test_host_advance_ms(&s.on.th, 1);
  assert_ready(&s, 503, "probe not delivered within 1000 ms\n");
  assert_ready(&s, 503, "probe not delivered within 1000 ms\n"); /* the same probe */
  site_settle(&s.on);
  assert_ready(&s, 200, "ready\n"); /* this request has begun the next probe */
  test_host_advance_ms(&s.on.th, 1000);
  assert_ready(&s, 503, "probe not delivered within 1000 ms\n");
  site_settle(&s.on);
  assert_ready(&s, 200, "ready\n");
  assert_int_equal(request(&s, "/observe/live", NULL), 200);
  vestry_stats stats = {0};
  vestry_stats_get(s.on.v, &stats);
  assert_int_equal(stats.opened_count + stats.accepted_count + stats.written_bytes + stats.queued_peak_bytes, 0);
  end(&s);
}

/* capability: H3 */
TEST_CASE(draining_instance_is_not_ready) {
  suite s;
  begin(&s, (vestry_options){.scope = NULL});
  assert_ready(&s, 200, "ready\n");
  assert_int_equal(vestry_drain(s.on.v, 1000), VESTRY_OK);
  assert_ready(&s, 503, "draining\n");
  assert_int_equal(request(&s, "/observe/live", NULL), 200);
  end(&s);
}

typedef struct place {
  sem_t is_inside, may_leave;
} place;

static void wait_inside(vestry_actor *actor, void *of) {
  place *at = of;
  sem_post(&at->is_inside);
  sem_wait(&at->may_leave);
}

/* capability: H3 */
TEST_CASE(instance_with_blocked_threads_is_not_ready) {
  suite s;
  place at;
  vestry_actor *actor;
  begin(&s, (vestry_options){.threads_count = 1});
  sem_init(&at.is_inside, 0, 0);
  sem_init(&at.may_leave, 0, 0);
  const vestry_actor_options options = {.run = wait_inside, .ctx = &at};
  vestry_runtime *runtime = vestry_parts_of(s.on.v)->runtime;
  assert_int_equal(vestry_actor_create(runtime, &options, &actor), VESTRY_OK);
  vestry_actor_notify(actor);
  sem_wait(&at.is_inside);
  assert_ready(&s, 503, "probe not delivered within 1000 ms\n");
  assert_ready(&s, 503, "probe not delivered within 1000 ms\n");
  sem_post(&at.may_leave);
  UNTIL(request(&s, "/observe/ready", NULL) == 200);
  vestry_actor_unref(actor);
  vestry_observe_destroy(s.observe);
  site_end(&s.on);
  sem_destroy(&at.is_inside);
  sem_destroy(&at.may_leave);
}

static vestry_err create_and_look(test_host *th, void *ctx) {
  vestry *v;
  vestry_observe *observe = NULL;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (error) return error;
  error = vestry_observe_create(v, &(vestry_observe_options){.trusts_loopback = true}, &observe);
  if (!error) error = vestry_observe_mount(observe, "/observe");
  site on = {.v = v};
  wire r = {.path = "/observe/ready", .peer = "127.0.0.1", .headers = {{"Host", "localhost"}}};
  if (!error) wire_serve(&on, &r, NULL, NULL);
  if (!error && r.status != 200) error = VESTRY_NO_MEMORY;
  vestry_observe_destroy(observe);
  vestry_destroy(v);
  wire_finish(&r);
  return error;
}

TEST_CASE(failed_allocation_is_not_ready) {
  test_host_fail_each(create_and_look, NULL, false);
}
