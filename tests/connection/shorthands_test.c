/* SPDX-License-Identifier: MIT */
/* C2, C3: each function that formats and sends writes exactly the bytes of its event. */
#include "connection/probe.h"

static vestry_connection *c;
static vestry_event *event;

static vestry_err send_remove(void) {
  return vestry_connection_remove_elements(c, "#a", NULL);
}
static vestry_err make_remove(void) {
  return vestry_event_remove(NULL, "#a", NULL, &event);
}
static vestry_err send_signals(void) {
  return vestry_connection_patch_signals(c, VESTRY_OBJECT("n", INT64_MAX, "t", "x"), NULL);
}
static vestry_err make_signals(void) {
  return vestry_event_signals_text(NULL, "{\"n\":9223372036854775807,\"t\":\"x\"}", 33, NULL, &event);
}
static const vestry_script_options script = {.keep = true};
static vestry_err send_redirect(void) {
  return vestry_connection_redirect(c, "/there", &script);
}
static vestry_err make_redirect(void) {
  return vestry_event_redirect(NULL, "/there", &script, &event);
}
static void c2_c3_forms_send_their_events(void **state) {
  static const struct {
    vestry_err (*send)(void), (*make)(void);
  } forms[] = {{send_remove, make_remove}, {send_signals, make_signals}, {send_redirect, make_redirect}};
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    assert_int_equal(forms[i].send(), VESTRY_OK);
    bench_run(&b);
    assert_int_equal(forms[i].make(), VESTRY_OK);
    vestry_slice bytes = vestry_event_bytes(event);
    assert_int_equal(p.got.len, bytes.len);
    assert_memory_equal(p.got.data, bytes.data, bytes.len);
    vestry_event_unref(event);
    vsi_buffer_clear(&p.got);
  }
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) assert_int_equal(forms[i].send(), VESTRY_CLOSED);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(c2_c3_forms_send_their_events)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
