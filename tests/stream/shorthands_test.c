/* C2, C3: the forms that format and send, each to the byte that its event has. */
#include "stream/probe.h"

static vestry_connection *c;
static vestry_event *event;

static vestry_err send_remove(void) {
  return vestry_connection_remove_elements(c, "#a", NULL);
}
static vestry_err make_remove(void) {
  return vestry_event_remove(NULL, "#a", NULL, &event);
}
static const char *const paths[] = {"user.name", "x"};
static vestry_err send_remove_signals(void) {
  return vestry_connection_remove_signals(c, paths, 2, NULL);
}
static vestry_err make_remove_signals(void) {
  return vestry_event_remove_signals(NULL, paths, 2, NULL, &event);
}
static const vestry_script_options script = {.keep = true};
static vestry_err send_log(void) {
  return vestry_connection_console_log(c, "ab", 1, &script);
}
static vestry_err make_log(void) {
  return vestry_event_console_log(NULL, "ab", 1, &script, &event);
}
static vestry_err send_error(void) {
  return vestry_connection_console_error(c, "ab", 2, &script);
}
static vestry_err make_error(void) {
  return vestry_event_console_error(NULL, "ab", 2, &script, &event);
}
static vestry_err send_redirect(void) {
  return vestry_connection_redirect(c, "/there", &script);
}
static vestry_err make_redirect(void) {
  return vestry_event_redirect(NULL, "/there", &script, &event);
}
static vestry_err send_replace(void) {
  return vestry_connection_replace_url(c, "?there", &script);
}
static vestry_err make_replace(void) {
  return vestry_event_replace_url(NULL, "?there", &script, &event);
}
static const vestry_custom_event_options custom = {.selector = "li", .no_bubbles = true};
static vestry_err send_custom(void) {
  return vestry_connection_dispatch_event(c, "saved", "[1]", 3, &custom);
}
static vestry_err make_custom(void) {
  return vestry_event_custom(NULL, "saved", "[1]", 3, &custom, &event);
}
static vestry_err send_prefetch(void) {
  return vestry_connection_prefetch(c, paths, 2, &script);
}
static vestry_err make_prefetch(void) {
  return vestry_event_prefetch(NULL, paths, 2, &script, &event);
}

static void c2_c3_forms_send_their_events(void **state) {
  (void)state;
  static const struct {
    vestry_err (*send)(void), (*make)(void);
  } forms[] = {
      {send_remove, make_remove},     {send_remove_signals, make_remove_signals},
      {send_log, make_log},           {send_error, make_error},
      {send_redirect, make_redirect}, {send_replace, make_replace},
      {send_custom, make_custom},     {send_prefetch, make_prefetch},
  };
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
