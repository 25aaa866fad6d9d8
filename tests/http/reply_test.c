/* SPDX-License-Identifier: MIT */
#include "base/ascii.h"
#include "http/reply.h"

#include <stdlib.h>

#include "support/locale.h"
#include "support/reply_effects.h"
#include "support/test.h"
#include "support/test_host.h"

/* capability: B1 */
TEST_CASE(headers_are_checked) {
  static const struct {
    const char *name, *value;
    vestry_err error;
  } cases[] = {
      {"X-A", "b", VESTRY_OK},
      {"X-A", "", VESTRY_OK},
      {"X-A", "tab\tand \xc3\xa4", VESTRY_OK},
      {"a!#$%&'*+-.^_`|~9Z", "b", VESTRY_OK},
      {"Set-Cookie", "a=b; Path=/; HttpOnly", VESTRY_OK},
      {NULL, "b", VESTRY_INVALID},
      {"X-A", NULL, VESTRY_INVALID},
      {"", "b", VESTRY_INVALID},
      {"X A", "b", VESTRY_INVALID},
      {"X-A:", "b", VESTRY_INVALID},
      {"X-\xc3\xa4", "b", VESTRY_INVALID},
      {"X-A\r\nX-B", "b", VESTRY_INVALID},
      {"X-A", "b\r\nSet-Cookie: c=d", VESTRY_INVALID},
      {"X-A", "b\rc", VESTRY_INVALID},
      {"X-A", "b\nc", VESTRY_INVALID},
      {"X-A", "b\x01", VESTRY_INVALID},
      {"X-A", "b\x7f", VESTRY_INVALID},
      {"Content-Length", "0", VESTRY_INVALID},
      {"transfer-encoding", "chunked", VESTRY_INVALID},
      {"Connection", "close", VESTRY_INVALID},
      {"Keep-Alive", "1", VESTRY_INVALID},
      {"Trailer", "X", VESTRY_INVALID},
      {"UPGRADE", "h2c", VESTRY_INVALID},
      {"TE", "trailers", VESTRY_INVALID},
      {"Date", "now", VESTRY_INVALID},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    test_host th;
    test_host_init(&th);
    vestry_reply reply;
    vsi_reply_init(&reply, &th.host);
    assert_int_equal(vestry_reply_header(&reply, cases[i].name, cases[i].value), cases[i].error);
    assert_int_equal(reply.headers_count, cases[i].error ? 0 : 1);
    vsi_reply_finish(&reply);
    test_host_assert_clean(&th);
  }
}

/* In a Turkish locale, I is not the capital of i. */
/* capability: B1 */
TEST_CASE(header_names_do_not_depend_on_the_locale) {
  test_locale locale;
  if (!test_locale_begin(&locale, "tr_TR")) TEST_SKIP("the definitions of locales are not installed");
  vestry_reply reply;
  vsi_reply_init(&reply, vestry_host_default());
  assert_int_equal(vestry_reply_header(&reply, "TRAILER", "X"), VESTRY_INVALID);
  assert_int_equal(vestry_reply_header(&reply, "KEEP-ALIVE", "1"), VESTRY_INVALID);
  assert_int_equal(vestry_reply_header(&reply, "CACHE-CONTROL", "PRIVATE"), VESTRY_OK);
  assert_int_equal(vsi_reply_caching(&reply), VSI_CACHING_NONE);
  assert_string_equal(vsi_strcasestr("SELECT SET_CONFIG('a')", "set_config"), "SET_CONFIG('a')");
  assert_null(vsi_strcasestr("SELECT SET_CONFI", "set_config"));
  assert_true(vsi_is_word((vestry_slice){"GZIP, br", 4}, "gzip"));
  assert_false(vsi_is_word((vestry_slice){"gzip", 4}, "gzi") || vsi_is_word((vestry_slice){"gzi", 3}, "gzip"));
  vsi_reply_finish(&reply);
  test_locale_end(&locale);
}

#define REPLY_CASE(name)                                                                                               \
  TEST_CASE_WITH(name, vestry_reply, reply, vsi_reply_init(reply, vestry_host_default()), vsi_reply_finish(reply))

REPLY_CASE(repeated_headers_are_kept_except_content_type) {
  char value[] = "first";
  for (int i = 0; i < 20; i++) assert_int_equal(vestry_reply_header(reply, "X-A", value), VESTRY_OK);
  assert_int_equal(vestry_reply_header(reply, "Content-Type", "a/b"), VESTRY_OK);
  assert_int_equal(vestry_reply_header(reply, "content-type", "c/d"), VESTRY_OK);
  value[0] = 'x'; /* copied */
  assert_int_equal(reply->headers_count, 21);
  assert_string_equal(vsi_reply_header_find(reply, "x-a")->value, "first");
  assert_string_equal(vsi_reply_header_find(reply, "CONTENT-TYPE")->value, "c/d");
  assert_null(vsi_reply_header_find(reply, "X-B"));
}

/* capability: B1 */
REPLY_CASE(status_and_body_are_checked) {
  static const int bad[] = {-1, 0, 100, 199, 600, 1000};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(vestry_reply_status(reply, bad[i]), VESTRY_INVALID);
  assert_int_equal(reply->status, 0);
  assert_int_equal(vestry_reply_status(reply, 200), VESTRY_OK);
  assert_int_equal(vestry_reply_status(reply, 599), VESTRY_OK);
  assert_int_equal(reply->status, 599);
  assert_int_equal(vestry_reply_body(reply, NULL, NULL, 1), VESTRY_INVALID);
  assert_int_equal(vestry_reply_body(reply, "text/plain\r\nX: y", "a", 1), VESTRY_INVALID);
  assert_false(reply->has_body);
  assert_int_equal(vestry_reply_body(reply, NULL, NULL, 0), VESTRY_OK);
  assert_true(reply->has_body);
  assert_int_equal(vestry_reply_body(reply, "text/plain", "a\0b", 3), VESTRY_OK);
  assert_int_equal(reply->body_len, 3);
  assert_memory_equal(reply->body, "a\0b", 3);
  assert_string_equal(reply->body_type, "text/plain");
}

/* capability: B1 */
REPLY_CASE(reply_effects_need_a_name) {
  assert_false(vsi_reply_is_stream(reply));
  assert_int_equal(vestry_reply_effect(reply, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_reply_effect(reply, VESTRY_LIST((const char *)NULL)), VESTRY_INVALID);
  assert_int_equal(vestry_reply_effect(reply, VESTRY_OBJECT("a", 1)), VESTRY_INVALID);
  assert_int_equal(vestry_reply_effect(reply, &(const vestry_value){.type = VESTRY_VALUE_LIST}), VESTRY_INVALID);
  assert_int_equal(vestry_reply_effect(reply, VESTRY_LIST(1)), VESTRY_INVALID);
  assert_int_equal(vestry_reply_effect(reply, VESTRY_LIST("\xff")), VESTRY_INVALID);
  assert_int_equal(vestry_reply_effect(reply, VESTRY_VALUES((json_t *)NULL)), VESTRY_INVALID);
  json_t *text = json_string("x");
  assert_int_equal(vestry_reply_effect(reply, VESTRY_VALUES(text)), VESTRY_INVALID);
  json_decref(text);
  assert_int_equal(vestry_reply_patch_signals(reply, VESTRY_LIST(1)), VESTRY_INVALID);
  assert_int_equal(vestry_reply_patch_signals(reply, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_reply_patch_elements(reply, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_reply_patch_elements(reply, "\xc3"), VESTRY_INVALID);
  assert_int_equal(vestry_reply_effect(reply, VESTRY_LIST("execute-script", (const char *)NULL)), VESTRY_INVALID);
  assert_false(vsi_reply_is_stream(reply));
  assert_false(reply->no_memory);

  assert_int_equal(vestry_reply_effect(reply, VESTRY_LIST("a", 1)), VESTRY_OK);
  assert_int_equal(vestry_reply_patch_signals(reply, VESTRY_OBJECT("x", VESTRY_OBJECT("y", VESTRY_TRUE))), VESTRY_OK);
  assert_int_equal(vestry_reply_patch_elements(reply, "<p>\"</p>"), VESTRY_OK);
  assert_int_equal(vestry_reply_effect(reply, VESTRY_LIST("execute-script", "f()")), VESTRY_OK);
  assert_true(vsi_reply_is_stream(reply));
  json_t *effects = reply_effects(reply);
  char *dump = json_dumps(effects, JSON_COMPACT);
  assert_string_equal(dump, "[[\"a\",1],[\"patch-signals\",{\"x\":{\"y\":true}}],[\"patch-elements\",\"<p>\\\"</p>\"],"
                            "[\"execute-script\",\"f()\"]]");
  /* they are created */
  for (size_t i = 0; i < 4; i++) assert_int_equal(reply->effects[i].event != NULL, i == 1 || i == 2);
  free(dump);
  json_decref(effects);
}

TEST_CASE(effect_reference_is_taken_on_success_only) {
  vestry_reply reply;
  vsi_reply_init(&reply, vestry_host_default());
  json_t *good = json_pack("[s]", "a"), *bad = json_pack("[i]", 1);
  assert_int_equal(vestry_reply_effect(&reply, VESTRY_VALUES(good)), VESTRY_OK);
  assert_int_equal(vestry_reply_effect(&reply, VESTRY_VALUES(bad)), VESTRY_INVALID);
  assert_int_equal(good->refcount, 2);
  assert_int_equal(bad->refcount, 1);
  vsi_reply_finish(&reply);
  assert_int_equal(good->refcount, 1);
  json_decref(good);
  json_decref(bad);
}

TEST_CASE(key_error_is_kept_until_a_valid_key) {
  vestry_reply reply;
  vsi_reply_init(&reply, vestry_host_default());
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &reply.v), VESTRY_OK);
  assert_int_equal(vestry_reply_key(&reply, (const vestry_key[]){vestry_key_string(NULL)}), VESTRY_INVALID);
  assert_int_equal(reply.key_error, VESTRY_INVALID);
  assert_null(reply.key);
  assert_int_equal(vestry_reply_key(&reply, VESTRY_KEY("a", 1)), VESTRY_OK);
  assert_int_equal(reply.key_error, VESTRY_OK);
  assert_int_equal(vestry_reply_key(&reply, VESTRY_KEY("b")), VESTRY_OK);
  unsigned char encoded[64];
  size_t len;
  assert_int_equal(vestry_key_encode(VESTRY_KEY("b"), encoded, sizeof encoded, &len), VESTRY_OK);
  assert_int_equal(reply.key->len - reply.key->key_offset, len);
  assert_memory_equal(reply.key->data + reply.key->key_offset, encoded, len);
  /* A valid first key does not repair an invalid further one, which the stream would lack. */
  assert_int_equal(vestry_reply_add_key(&reply, reply.scope, (const vestry_key[]){vestry_key_string(NULL)}, 0),
                   VESTRY_INVALID);
  assert_int_equal(vestry_reply_key(&reply, VESTRY_KEY("b")), VESTRY_OK);
  assert_int_equal(reply.more_key_error, VESTRY_INVALID);
  assert_int_equal(vestry_reply_add_key(&reply, reply.scope, VESTRY_KEY("c"), 0), VESTRY_OK);
  assert_int_equal(reply.more_key_error, VESTRY_INVALID);
  vestry *v = reply.v;
  vsi_reply_finish(&reply);
  vestry_destroy(v);
}

/* capability: B1 */
HOST_CASE(keep_and_stream_options_are_checked) {
  vestry_reply reply;
  vsi_reply_init(&reply, &th->host);
  assert_int_equal(vestry_reply_keep(&reply, (vestry_keep_policy)9, 0), VESTRY_INVALID);
  assert_string_equal(th->last_log, "reply: vestry_reply_keep: the policy is none of vestry_keep_policy");
  assert_false(reply.keep);
  assert_int_equal(reply.policy, VESTRY_KEEP_REUSE);
  assert_int_equal(vestry_reply_keep(&reply, VESTRY_KEEP_MANY, 3), VESTRY_OK);
  assert_int_equal(reply.many_count, 3);
  assert_int_equal(vestry_reply_stream(&reply, NULL), VESTRY_INVALID);
  assert_int_equal(
      vestry_reply_stream(
          &reply, &(vestry_stream_options){.connection = &(vestry_connection_options){.max_queued_count = 2000000}}),
      VESTRY_INVALID);
  assert_int_equal(
      vestry_reply_stream(
          &reply, &(vestry_stream_options){.connection = &(vestry_connection_options){.full = (vestry_full_policy)7}}),
      VESTRY_INVALID);
  assert_int_equal(
      vestry_reply_stream(&reply,
                          &(vestry_stream_options){.connection = &(vestry_connection_options){.max_queued_count = 5}}),
      VESTRY_OK);
  assert_int_equal(reply.stream.max_queued_count, 5);
  const vestry_connection_hooks hooks = {.ctx = &reply};
  assert_int_equal(vestry_reply_stream(&reply, &(vestry_stream_options){.hooks = &hooks}), VESTRY_OK);
  assert_int_equal(reply.stream.max_queued_count, 5); /* unchanged since the earlier call */
  assert_ptr_equal(reply.hooks.ctx, &reply);
  vestry_stream_options half = {.hooks = &(vestry_connection_hooks){.ctx = NULL}, .profiles_count = 1};
  assert_int_equal(vestry_reply_stream(&reply, &half), VESTRY_INVALID); /* and none of its members is used */
  assert_int_equal(reply.stream.max_queued_count, 5);
  assert_ptr_equal(reply.hooks.ctx, &reply);
  assert_int_equal(vestry_reply_connection(&reply, NULL), VESTRY_INVALID);
  assert_string_equal(th->last_log,
                      "reply: vestry_reply_connection: the connection is NULL, or belongs to another instance");
  vsi_reply_finish(&reply);
}

REPLY_CASE(html_sets_the_body_or_the_error) {
  vestry_html html;
  vestry_html_init(&html, NULL);
  vestry_html_add(&html, "<p>%s</p>", "a < b");
  assert_int_equal(vestry_reply_html(reply, &html), VESTRY_OK);
  vestry_html_clear(&html); /* copied */
  vestry_html_add(&html, "<p>another %s", "text");
  assert_string_equal(reply->body, "<p>a &lt; b</p>");
  assert_string_equal(reply->body_type, "text/html; charset=utf-8");
  assert_int_equal(reply->refused, VESTRY_OK);
  vestry_html_add(&html, "<p %s>", "onclick");
  assert_int_equal(vestry_reply_html(reply, &html), VESTRY_INVALID);
  assert_int_equal(reply->refused, VESTRY_INVALID);
  assert_int_equal(vestry_reply_html(reply, NULL), VESTRY_INVALID);
  vestry_html_finish(&html);
}

TEST_CASE(cookies_are_checked) {
  char at_most[4096 + 1], too_long[4097 + 1], long_path[1026 + 1];
  memset(at_most, 'v', sizeof at_most), memset(too_long, 'v', sizeof too_long),
      memset(long_path, '/', sizeof long_path);
  at_most[4095] = too_long[4096] = long_path[1025] = '\0'; /* and a name of one byte */
  const struct {
    vestry_cookie cookie;
    const char *header; /* NULL: refused */
  } cases[] = {
      {{.name = "a", .value = "b"}, "a=b; Path=/; Secure; HttpOnly; SameSite=Lax"},
      {{.name = "a"}, "a=; Path=/; Secure; HttpOnly; SameSite=Lax"},
      {{.name = "__Host-a", .value = "b", .path = "/"}, "__Host-a=b; Path=/; Secure; HttpOnly; SameSite=Lax"},
      {{.name = "__Secure-a", .domain = "a-1.example", .path = "/b", .for_scripts = true},
       "__Secure-a=; Path=/b; Domain=a-1.example; Secure; SameSite=Lax"},
      {{.name = "a", .max_age_s = 60, .insecure = true, .same_site = VESTRY_SAME_SITE_STRICT},
       "a=; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"},
      {{.name = "a", .same_site = VESTRY_SAME_SITE_NONE}, "a=; Path=/; Secure; HttpOnly; SameSite=None"},
      {{.name = "a", .remove = true}, "a=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"},
      {{.name = NULL}, NULL},
      {{.name = ""}, NULL},
      {{.name = "a b"}, NULL},
      {{.name = "a=b"}, NULL},
      {{.name = "a;b"}, NULL},
      {{.name = "a\r\nX"}, NULL},
      {{.name = "\xc3\xa4"}, NULL},
      {{.name = "a", .value = "b c"}, NULL},
      {{.name = "a", .value = "b; Domain=evil.example"}, NULL},
      {{.name = "a", .value = "b\r\nSet-Cookie: c=d"}, NULL},
      {{.name = "a", .value = "\"b\""}, NULL},
      {{.name = "a", .value = "b,c"}, NULL},
      {{.name = "a", .value = "b\\"}, NULL},
      {{.name = "a", .value = "\x7f"}, NULL},
      {{.name = "a", .value = "\xc3\xa4"}, NULL},
      {{.name = "a", .value = too_long}, NULL},
      {{.name = "a", .path = ""}, NULL},
      {{.name = "a", .path = "b"}, NULL},
      {{.name = "a", .path = "/; Domain=evil.example"}, NULL},
      {{.name = "a", .path = "/ "}, NULL},
      {{.name = "a", .path = long_path}, NULL},
      {{.name = "a", .domain = ""}, NULL},
      {{.name = "a", .domain = ".example"}, NULL},
      {{.name = "a", .domain = "a..b"}, NULL},
      {{.name = "a", .domain = "a."}, NULL},
      {{.name = "a", .domain = "a; Secure"}, NULL},
      {{.name = "a", .max_age_s = -1}, NULL},
      {{.name = "a", .value = "b", .remove = true}, NULL},
      {{.name = "a", .max_age_s = 1, .remove = true}, NULL},
      {{.name = "a", .same_site = (vestry_same_site)3}, NULL},
      {{.name = "a", .same_site = VESTRY_SAME_SITE_NONE, .insecure = true}, NULL},
      {{.name = "__Secure-a", .insecure = true}, NULL},
      {{.name = "__host-a", .insecure = true}, NULL},
      {{.name = "__HOST-a", .domain = "example"}, NULL},
      {{.name = "__Host-a", .path = "/b"}, NULL},
  };
  vestry_reply reply;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    vsi_reply_init(&reply, vestry_host_default());
    assert_int_equal(vestry_reply_cookie(&reply, &cases[i].cookie), cases[i].header ? VESTRY_OK : VESTRY_INVALID);
    assert_int_equal(reply.headers_count, cases[i].header ? 1 : 0);
    if (cases[i].header) assert_string_equal(reply.headers[0].value, cases[i].header);
    vsi_reply_finish(&reply);
  }
  vsi_reply_init(&reply, vestry_host_default());
  assert_int_equal(vestry_reply_cookie(&reply, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_reply_cookie(&reply, &(vestry_cookie){.name = "a", .value = at_most}), VESTRY_OK);
  vsi_reply_finish(&reply);
}

/* A handler that ignores all errors: the reply records what vestry must not perform. */
static vestry_err fill_blindly(test_host *th, void *ctx) {
  vestry_reply reply;
  vsi_reply_init(&reply, &th->host);
  reply.v = ctx;
  for (int i = 0; i < 10; i++) (void)vestry_reply_header(&reply, "X-A", "b");
  (void)vestry_reply_header(&reply, "Content-Type", "a/b");
  (void)vestry_reply_header(&reply, "Content-Type", "a/b");
  (void)vestry_reply_cookie(&reply, &(vestry_cookie){.name = "a", .value = "b", .max_age_s = 1});
  (void)vestry_reply_body(&reply, NULL, "a", 1);
  (void)vestry_reply_body(&reply, NULL, "b", 1);
  (void)vestry_reply_key(&reply, VESTRY_KEY("a", 1));
  (void)vestry_reply_key(&reply, VESTRY_KEY("a", 2));
  (void)vestry_reply_redirect(&reply, 303, "/a");
  reply.is_datastar = true;
  (void)vestry_reply_redirect(&reply, 303, "/a");
  bool no_memory = reply.no_memory;
  vsi_reply_finish(&reply);
  return no_memory ? VESTRY_NO_MEMORY : VESTRY_OK;
}

TEST_CASE(reply_keeps_allocation_errors) {
  vestry *v; /* on its own host: only the reply's allocations shall fail */
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v), VESTRY_OK);
  test_host_fail_each(fill_blindly, v, false);
  vestry_destroy(v);
}

REPLY_CASE(values_become_effects_and_signals) {
  assert_int_equal(vestry_reply_effect(reply, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_reply_effect(reply, VESTRY_LIST(1)), VESTRY_INVALID);
  assert_int_equal(vestry_reply_effect(reply, VESTRY_OBJECT("a", 1)), VESTRY_INVALID);
  assert_int_equal(vestry_reply_effect(reply, VESTRY_LIST("\xff")), VESTRY_INVALID);
  assert_int_equal(vestry_reply_patch_signals(reply, VESTRY_LIST("a")), VESTRY_INVALID);
  assert_int_equal(vestry_reply_patch_signals(reply, VESTRY_OBJECT("a", (const char *)NULL)), VESTRY_INVALID);
  assert_false(vsi_reply_is_stream(reply));
  assert_int_equal(vestry_reply_effect(reply, VESTRY_LIST("counter/add", 10, "n")), VESTRY_OK);
  const int64_t large = INT64_C(1) << 40;
  assert_int_equal(vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", large, "on", VESTRY_TRUE)), VESTRY_OK);
  json_t *effects = reply_effects(reply);
  char *dump = json_dumps(effects, JSON_COMPACT);
  assert_string_equal(dump, "[[\"counter/add\",10,\"n\"],[\"patch-signals\",{\"n\":1099511627776,\"on\":true}]]");
  free(dump);
  json_decref(effects);
}

/* capability: K8 */
TEST_CASE(redirects_check_address_and_status) {
  static const char *const bad[] = {"",    "javascript:alert(1)", " JavaScript:x", "data:text/html,x", "/a\r\nX: y",
                                    "\t/a"};
  for (int is_datastar = 0; is_datastar < 2; is_datastar++) {
    vestry_reply reply;
    vsi_reply_init(&reply, vestry_host_default());
    reply.is_datastar = is_datastar;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
      assert_int_equal(vestry_reply_redirect(&reply, 303, bad[i]), VESTRY_INVALID);
    assert_int_equal(vestry_reply_redirect(&reply, 303, NULL), VESTRY_INVALID);
    static const int statuses[] = {200, 300, 304, 305, 306, 309, 404};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
      assert_int_equal(vestry_reply_redirect(&reply, statuses[i], "/a"), VESTRY_INVALID);
    assert_int_equal(vestry_reply_redirect(&reply, 303, "/a?b='</script>\"&c"), VESTRY_OK);
    if (is_datastar) {
      assert_int_equal(reply.status, 200);
      assert_string_equal(reply.body_type, "text/html; charset=utf-8");
      assert_string_equal(vsi_reply_header_find(&reply, "datastar-selector")->value, "body");
      assert_string_equal(vsi_reply_header_find(&reply, "datastar-mode")->value, "append");
      static const char body[] = "<i hidden data-init=\"setTimeout(() => window.location.href = "
                                 "'/a?b=\\x27\\x3c/script\\x3e\\x22\\x26c'); el.remove()\"></i>";
      assert_int_equal(reply.body_len, sizeof body - 1);
      assert_memory_equal(reply.body, body, sizeof body - 1);
    } else {
      assert_int_equal(reply.status, 303);
      assert_string_equal(vsi_reply_header_find(&reply, "location")->value, "/a?b='</script>\"&c");
      assert_false(reply.has_body);
    }
    vsi_reply_finish(&reply);
  }
}

REPLY_CASE(json_sets_the_body) {
  json_t *json = json_pack("{s:[i,n,s]}", "a", 1, "é");
  assert_int_equal(vestry_reply_json(reply, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_reply_json(reply, json), VESTRY_OK);
  assert_string_equal(reply->body_type, "application/json");
  assert_string_equal(reply->body, "{\"a\":[1,null,\"é\"]}");
  assert_int_equal(json->refcount, 1);
  json_decref(json);
}
