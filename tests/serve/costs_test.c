/* SPDX-License-Identifier: MIT */
/* capability: P1 */
/* Allocations that small programs count on. */
#include <stdlib.h>

#include "registry/notes.h"
#include "vestry/dispatch.h"

enum { CREATE_MOST = 40, DISPATCH_MOST = 2, ROUNDS = 10 };

static long json_allocations; /* one thread */

static void *count_json(size_t size) {
  json_allocations++;
  return malloc(size);
}

static long allocations_of(const site *w) {
  return atomic_load(&w->th.allocations) + json_allocations;
}

static void creating_takes_at_most_40_allocations(void **state) {
  (void)state;
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
  (void)list;
  return vestry_dispatch(v, (vestry_scope){0}, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", n)));
}

static vestry_err dispatch_elements(vestry *v, int n, json_t *list) {
  (void)n, (void)list;
  return vestry_dispatch(v, (vestry_scope){0}, ROOM("a"), VESTRY_LIST("patch-elements", "<p id=\"p\">1</p>"));
}

static vestry_err dispatch_list(vestry *v, int n, json_t *list) {
  (void)n;
  return vestry_dispatch_with(v, list, &(vestry_dispatch_options){.key = ROOM("a")}, NULL);
}

/* One for the event, and one for its delivery to the stream; also with an interceptor, if the list is made already. */
static void dispatch_takes_two_allocations(void **state) {
  (void)state;
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(creating_takes_at_most_40_allocations),
      cmocka_unit_test(dispatch_takes_two_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
