#include "adapter/web/routes.h"

#include "support/test.h"
#include "support/test_host.h"

static vestry_err one(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)reply, (void)app;
  return VESTRY_OK;
}

static vestry_err two(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)reply, (void)app;
  return VESTRY_FAILED;
}

static test_host th;
static vsi_web_routes routes;

static vestry_err add(const char *method, const char *path, vestry_handler_fn handler, vsi_web_route **ret_route,
                      bool *ret_new) {
  return vsi_web_routes_add(&routes, NULL, &th.host, method, path, handler, &th, ret_route, ret_new);
}

static void finds_by_method(void **state) {
  (void)state;
  test_host_init(&th);
  vsi_web_route *route = NULL, *same = NULL, *other = NULL;
  bool is_new = false;
  assert_int_equal(add("GET", "/a", one, &route, &is_new), VESTRY_OK);
  assert_true(is_new);
  assert_int_equal(add("POST", "/a", two, &same, &is_new), VESTRY_OK);
  assert_false(is_new);
  assert_ptr_equal(route, same);
  assert_int_equal(add("GET", "/a/b", two, &other, &is_new), VESTRY_OK);
  assert_true(is_new);
  assert_int_equal(add("GET", "/a", two, &same, &is_new), VESTRY_EXISTS);
  assert_true(vsi_web_route_find(route, "GET")->handler == one);
  assert_ptr_equal(vsi_web_route_find(route, "GET")->app, &th);
  assert_true(vsi_web_route_find(route, "HEAD")->handler == one);
  assert_true(vsi_web_route_find(route, "POST")->handler == two);
  assert_null(vsi_web_route_find(route, "get")); /* methods have case */
  assert_null(vsi_web_route_find(route, "PUT"));
  char allow[64];
  vsi_web_route_allow(route, allow, sizeof allow);
  assert_string_equal(allow, "POST, GET, HEAD");
  vsi_web_route_allow(route, allow, 10); /* whole names only */
  assert_string_equal(allow, "POST, GET");
  assert_int_equal(add("HEAD", "/a", two, &same, &is_new), VESTRY_OK);
  assert_true(vsi_web_route_find(route, "HEAD")->handler == two);
  vsi_web_route_allow(route, allow, sizeof allow);
  assert_string_equal(allow, "HEAD, POST, GET");
  vsi_web_routes_finish(&routes, &th.host);
  test_host_assert_clean(&th);
}

static void finds_by_path(void **state) {
  (void)state;
  test_host_init(&th);
  vsi_web_route *route = NULL, *below = NULL;
  bool is_new;
  assert_null(vsi_web_routes_find(&routes, "/a"));
  assert_int_equal(add("GET", "/a", one, &route, &is_new), VESTRY_OK);
  assert_int_equal(add("GET", "/a/b", two, &below, &is_new), VESTRY_OK);
  assert_ptr_equal(vsi_web_routes_find(&routes, "/a"), route);
  assert_ptr_equal(vsi_web_routes_find(&routes, "/a/b"), below);
  static const char *const others[] = {"", "/", "/A", "/a/", "/a/b/c", "/ab"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_null(vsi_web_routes_find(&routes, others[i]));
  vsi_web_routes_finish(&routes, &th.host);
  test_host_assert_clean(&th);
}

static void refuses_what_is_no_route(void **state) {
  (void)state;
  test_host_init(&th);
  vsi_web_route *route = NULL;
  bool is_new = false;
  static const char *const methods[] = {NULL, "", "GE T", "GET\r", "G\xc3\xa9T", "GET/"};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    assert_int_equal(add(methods[i], "/", one, &route, &is_new), VESTRY_INVALID);
  static const char *const paths[] = {NULL, "", "a", "*", "//", "/a/../b", "/a.", "/a\\b", "/\xff"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
    assert_int_equal(add("GET", paths[i], one, &route, &is_new), VESTRY_INVALID);
  assert_int_equal(add("GET", "/", NULL, &route, &is_new), VESTRY_INVALID);
  assert_null(route);
  assert_int_equal(add("M-SEARCH", "/", one, &route, &is_new), VESTRY_OK);
  vsi_web_routes_finish(&routes, &th.host);
  test_host_assert_clean(&th);
}

static vestry_err add_two(test_host *host, void *ctx) {
  (void)ctx;
  vsi_web_routes made = {NULL};
  vsi_web_route *route = NULL;
  bool is_new = false;
  vestry_err error = vsi_web_routes_add(&made, NULL, &host->host, "GET", "/a", one, NULL, &route, &is_new);
  if (!error) error = vsi_web_routes_add(&made, NULL, &host->host, "PUT", "/a", one, NULL, &route, &is_new);
  if (!error) error = vsi_web_routes_add(&made, NULL, &host->host, "PUT", "/b", one, NULL, &route, &is_new);
  vsi_web_routes_finish(&made, &host->host);
  return error;
}

static void survives_want_of_memory(void **state) {
  (void)state;
  test_host_fail_each(add_two, NULL, false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_by_method),
      cmocka_unit_test(finds_by_path),
      cmocka_unit_test(refuses_what_is_no_route),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
