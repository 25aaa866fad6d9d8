/* SPDX-License-Identifier: MIT */
/* capability: P1 */
/* Allocations and memory that small programs count on. */
#include <stdlib.h>

#include "registry/notes.h"
#include "serve/wire.h"
#include "vestry/dispatch.h"

enum { CREATE_MOST = 40, DISPATCH_MOST = 1, POST_MOST = 1, ROUNDS = 10 };

static long json_allocations; /* one thread */

static void *count_json(size_t size) {
  json_allocations++;
  return malloc(size);
}

static long allocations_of(const site *w) {
  return atomic_load(&w->th.allocations) + json_allocations;
}

TEST_CASE(creating_takes_at_most_40_allocations) {
  json_set_alloc_funcs(count_json, free);
  const vestry_bounds *const bounds[] = {NULL, VESTRY_BOUNDS_DEVICE};
  for (size_t i = 0; i < 2; i++) {
    site w;
    json_allocations = 0;
    test_host_init(&w.th);
    const vestry_options options = {.host = &w.th.host, .threads_count = VESTRY_THREADS_NONE, .bounds = bounds[i]};
    assert_int_equal(vestry_create(&options, &w.v), VESTRY_OK);
    assert_in_range(allocations_of(&w), 1, CREATE_MOST);
    assert_int_equal(vestry_destroy(w.v), VESTRY_OK);
    test_host_assert_clean(&w.th);
  }
  json_set_alloc_funcs(malloc, free);
}

typedef vestry_err (*dispatch_fn)(vestry *v, int n, json_t *list);

static vestry_err dispatch_signals(vestry *v, int n, json_t *list) {
  return vestry_dispatch(v, (vestry_scope){0}, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", n)));
}

static vestry_err dispatch_elements(vestry *v, int n, json_t *list) {
  return vestry_dispatch(v, (vestry_scope){0}, ROOM("a"), VESTRY_LIST("patch-elements", "<p id=\"p\">1</p>"));
}

static vestry_err dispatch_list(vestry *v, int n, json_t *list) {
  return vestry_dispatch_with(v, list, &(vestry_dispatch_options){.key = ROOM("a")}, NULL);
}

/* One for the event, which has room for its delivery; also with an interceptor, if the list is made already. */
TEST_CASE(dispatch_takes_one_allocation) {
  static const struct {
    dispatch_fn dispatch;
    bool is_intercepted;
  } cases[] = {{dispatch_signals, false}, {dispatch_elements, false}, {dispatch_list, false}, {dispatch_list, true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    site w;
    wire r = {0};
    notes n = {""};
    noter o = {&n, "o", false};
    json_set_alloc_funcs(count_json, free);
    site_begin(&w, (vestry_options){0});
    wire_plan(&w, &r, &(plan){.keep = true, .key = "a"});
    if (cases[i].is_intercepted) intercept(&w, &o, VESTRY_PHASE_EFFECT);
    json_t *list = json_of("[[\"patch-signals\", {\"n\": 1}]]");
    for (int round = 0; round < ROUNDS; round++) {
      const long before = allocations_of(&w);
      assert_int_equal(cases[i].dispatch(w.v, round, list), VESTRY_OK);
      assert_in_range(allocations_of(&w) - before, 1, DISPATCH_MOST);
      site_settle(&w);
    }
    assert_int_equal(wire_count(&r, "event: "), ROUNDS);
    json_decref(list);
    wires_end(&w, &r);
    json_set_alloc_funcs(malloc, free);
  }
}

static vestry_err patch_signals(const vestry_request *req, vestry_reply *reply, void *app) {
  const int n = 1;
  vestry_reply_key(reply, ROOM("a"));
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", n));
}

static vestry_err patch_elements(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, ROOM("a"));
  return vestry_reply_patch_elements(reply, "<p id=\"p\">1</p>");
}

/* One for the event. The first request without signals also makes their empty object, which the later ones use. */
TEST_CASE(post_takes_one_allocation) {
  static const vestry_handler_fn handlers[] = {patch_signals, patch_elements};
  static const char *const bodies[] = {"{}", ""};
  site w;
  wire r = {0};
  json_set_alloc_funcs(count_json, free);
  site_begin(&w, (vestry_options){0});
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a"});
  for (int round = -1; round < ROUNDS; round++) {
    wire post = {.datastar = true, .method = "POST", .body = bodies[round & 1], .body_len = strlen(bodies[round & 1])};
    const long before = allocations_of(&w);
    assert_int_equal(wire_serve(&w, &post, handlers[round / 2 & 1], NULL), VESTRY_OK);
    if (round >= 0) assert_in_range(allocations_of(&w) - before, 1, POST_MOST);
    assert_int_equal(post.status, 204);
    site_settle(&w);
    wire_finish(&post);
  }
  assert_int_equal(wire_count(&r, "event: "), 1 + ROUNDS);
  wires_end(&w, &r);
  json_set_alloc_funcs(malloc, free);
}

/* ---- the bound of memory ----------------------------------------------------------------------------------------- */

enum { STALLED = 300, LAPS = 6, LARGEST = 9000, ALL_BYTES = 512 << 10, EACH_COUNT = 6, EACH_BYTES = 10 << 10 };
enum { MAKING_BYTES = 3 * LARGEST + 4096 }; /* an event while it is made, or a request */

/* Dispatch an event of one of several kinds and sizes to a stream. None names a state. */
static void dispatch_unlike(site *w, const char *name, unsigned n) {
  static const int sizes[] = {10, 300, 2500, LARGEST};
  static char xs[LARGEST + 1];
  memset(xs, 'x', LARGEST);
  const char *text = xs + LARGEST - sizes[n / 3 % 4];
  char member[24], element[LARGEST + 64];
  snprintf(member, sizeof member, "n%u", n);
  snprintf(element, sizeof element, "<p id=\"p%u\">%s</p>", n, text);
  if (n % 3 == 0)
    (void)vestry_dispatch(w->v, NOWHERE, ROOM(name), VESTRY_LIST("console-log", text));
  else if (n % 3 == 1)
    (void)vestry_dispatch(w->v, NOWHERE, ROOM(name), VESTRY_LIST("patch-elements", element));
  else
    (void)vestry_dispatch(w->v, NOWHERE, ROOM(name), VESTRY_LIST("patch-signals", VESTRY_OBJECT(member, text)));
}

static vestry_verdict stay_open(vestry_connection *connection, vestry_err error, void *ctx) {
  return VESTRY_VERDICT_GO_ON;
}

typedef struct stalled {
  char names[STALLED][8];
  wire r[STALLED];
} stalled;

static void open_stalled(site *w, stalled *s, size_t i, vestry_on_error_fn on_error) {
  snprintf(s->names[i], sizeof s->names[i], "s%zu", i);
  s->r[i] = (wire){.write_io = VESTRY_IO_WOULD_BLOCK};
  wire_plan(w, &s->r[i], &(plan){.key = s->names[i], .keep = true, .hooks = {.on_error = on_error}});
}

static void end_stalled(site *w, stalled *s) {
  for (size_t i = 0; i < STALLED; i++) vestry_connection_close(s->r[i].connection, VESTRY_CAUSE_HANGUP);
  site_settle(w);
  for (size_t i = 0; i < STALLED; i++) wire_finish(&s->r[i]);
}

/* The bytes that the host has allocated are compared, not those that the instance counts. Clients that never read
 * connect again after their stream was closed. */
/* capability: P4 */
TEST_CASE(p4_memory_of_stalled_streams_has_a_bound_with_each_policy) {
  static const struct {
    vestry_full_policy full;
    vestry_on_error_fn on_error;
    size_t event_bytes; /* the cost of an event beside its bytes: vestry_stats.queued_bytes */
  } policies[] = {{VESTRY_FULL_CLOSE, NULL, 192}, {VESTRY_FULL_DROP, NULL, 192}, {VESTRY_FULL_CLOSE, stay_open, 192}};
  static stalled s;
  for (size_t p = 0; p < sizeof policies / sizeof *policies; p++)
    for (int is_of_each = 0; is_of_each < 2; is_of_each++) { /* the bound: of all streams together, or of each */
      const vestry_connection_options each = {.full = policies[p].full,
                                              .heartbeat_ms = VESTRY_NEVER_MS,
                                              .max_queued_count = is_of_each ? EACH_COUNT : 0,
                                              .max_queued_bytes = is_of_each ? EACH_BYTES : 0};
      const size_t bound =
          is_of_each ? STALLED * (EACH_BYTES + EACH_COUNT * policies[p].event_bytes) : (size_t)ALL_BYTES;
      site w;
      site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_queued_bytes = is_of_each ? SIZE_MAX : ALL_BYTES},
                                      .connection = &each});
      w.th.host.log = NULL;
      for (size_t i = 0; i < STALLED; i++) open_stalled(&w, &s, i, policies[p].on_error);
      end_stalled(&w, &s); /* the tables of the instance have their size now */
      const size_t before = w.th.bytes;
      for (size_t i = 0; i < STALLED; i++) open_stalled(&w, &s, i, policies[p].on_error);
      const size_t idle = w.th.bytes;
      w.th.max_bytes = idle;
      for (unsigned n = 0; n < LAPS * STALLED; n++) {
        const size_t i = n % STALLED;
        if (!vestry_connection_is_open(s.r[i].connection)) {
          site_settle(&w);
          wire_finish(&s.r[i]);
          open_stalled(&w, &s, i, policies[p].on_error);
        }
        dispatch_unlike(&w, s.names[i], n + n / STALLED);
        assert_in_range(w.th.bytes, 0, idle + bound);
        if (n % 64 == 0) site_settle(&w); /* seldom, so that senders also fill the last eighth */
      }
      assert_in_range(w.th.max_bytes, idle + bound / 3, idle + bound + MAKING_BYTES);
      vestry_stats stats = {0};
      vestry_stats_get(w.v, &stats);
      assert_true(stats.closed_by_cause[VESTRY_CAUSE_BUDGET] + stats.closed_by_cause[VESTRY_CAUSE_FULL] +
                      stats.refused_count >
                  STALLED);
      end_stalled(&w, &s);
      assert_in_range(w.th.bytes, 0, before);
      site_end(&w);
    }
}
