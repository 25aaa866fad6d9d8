/* SPDX-License-Identifier: MIT */
/* C11: streams are closed on every path. */
#include "connection/connection.h"
#include "connection/probe.h"

typedef struct stage {
  bench b;
  probe p;
  vestry_connection *c;
} stage;

static void stage_begin(stage *s) {
  bench_init(&s->b, VESTRY_THREADS_NONE, NULL);
  probe_init(&s->p);
  s->c = bench_connect(&s->b, &s->p, NULL);
  vsi_connection_start(s->c);
}

/* The stream has ended with this cause and this text, and its users have dropped their references. */
static void stage_end(stage *s, vestry_cause cause, const char *text) {
  assert_int_equal(vestry_connection_look(s->c).cause, cause);
  bench_run(&s->b);
  assert_int_equal(vestry_connection_look(s->c).state, VESTRY_STATE_CLOSED);
  assert_int_equal(s->p.clean, vsi_cause_is_clean(cause));
  probe_assert_got(&s->p, text);
  vestry_connection_unref(s->c);
  assert_int_equal(s->p.releases, 1);
  probe_finish(&s->p);
  bench_finish(&s->b);
}

/* capability: C11 */
TEST_CASE(c11_leave_closes_and_clears_the_pointer) {
  stage s;
  stage_begin(&s);
  vestry_connection *mine = vestry_connection_ref(s.c);
  vestry_connection_leave(&mine);
  assert_null(mine);
  vestry_connection_leave(&mine);
  stage_end(&s, VESTRY_CAUSE_CLOSED, "");
}

#ifdef VESTRY_CLOSED_AT_END
static vestry_err leave_by(stage *s, int path) {
  VESTRY_CLOSED_AT_END vestry_connection *stream = vestry_connection_ref(s->c);
  assert_int_equal(bench_send(&s->b, stream, "1"), VESTRY_OK);
  if (path == 0) return VESTRY_FAILED;
  for (; path == 1;) {
    VESTRY_CLOSED_AT_END vestry_connection *none = NULL;
    if (none == NULL) goto out;
  }
  assert_int_equal(bench_send(&s->b, stream, "2"), VESTRY_OK);
out:
  return VESTRY_OK;
}

/* capability: C11 */
TEST_CASE(c11_scoped_variable_closes_on_every_path) {
  for (int path = 0; path < 3; path++) {
    stage s;
    stage_begin(&s);
    assert_int_equal(leave_by(&s, path), path ? VESTRY_OK : VESTRY_FAILED);
    stage_end(&s, VESTRY_CAUSE_CLOSED, path == 2 ? ": 1\n\n: 2\n\n" : ": 1\n\n");
  }
}
#endif
