/* SPDX-License-Identifier: MIT */
#include "application/world.h"

vestry_err world_create(test_host *th, vestry_application_options options, vestry_application **ret_app) {
  const vestry_options instance = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_forms_options forms = {0};
  const vestry_secret secret = {.secret = "0123456789abcdef0123456789abcdef", .secret_len = 32};
  options.insecure = true;
  options.instance = &instance;
  if (!options.forms) options.forms = &forms;
  if (!options.secret) options.secret = &secret;
  return vestry_application_create(&options, ret_app);
}

void world_open(world *w, vestry_application_options options, const char *path) {
  test_host_init(&w->th);
  w->page = NULL;
  assert_int_equal(world_create(&w->th, options, &w->app), VESTRY_OK);
  assert_int_equal(vestry_browser_create(w->app->instance, &w->ada), VESTRY_OK);
  if (!path) return;
  assert_int_equal(vestry_browser_open(w->ada, path, &w->page), VESTRY_OK);
  assert_int_equal(vestry_browser_status(w->page), 200);
}

void world_close(world *w) {
  if (w->page) vestry_browser_close(w->page);
  vestry_browser_destroy(w->ada);
  assert_int_equal(vestry_application_destroy(w->app), VESTRY_OK);
  test_host_assert_clean(&w->th);
}

void world_cut(const char *html, const char *before, const char *end, char *ret_text, size_t capacity) {
  const char *at = strstr(html, before);
  assert_non_null(at);
  at += strlen(before);
  snprintf(ret_text, capacity, "%.*s", (int)strcspn(at, end), at);
}

world_proofs world_proofs_in(const char *html) {
  world_proofs proofs;
  world_cut(html, "name=\"csrf\" value=\"", "\"", proofs.csrf, sizeof proofs.csrf);
  world_cut(html, "name=\"once\" value=\"", "\"", proofs.once, sizeof proofs.once);
  return proofs;
}

world_proofs world_proofs_at(world *w, const char *path) {
  vestry_memory_exchange *document;
  assert_int_equal(vestry_browser_get(w->ada, path, &document), VESTRY_OK);
  const world_proofs proofs = world_proofs_in(vestry_memory_look(document).received.data);
  vestry_memory_destroy(document);
  return proofs;
}
