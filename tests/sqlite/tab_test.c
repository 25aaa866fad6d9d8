/* State of tabs: (scope, tab) → bytes, in the application's database. */
#include "sqlite/site.h"
#include "vestry/tab.h"

enum { TOKEN_BYTES = 100 };

/* What a tab's handler and render do. */
typedef struct act {
  site *s;
  vestry_err error;
  const char *write; /* NULL: none */
  size_t write_len;
  char read[128];
  size_t read_len, capacity;
  char token[TOKEN_BYTES]; /* of a tab that begins: what its signal says */
} act;

static vestry_err handle(const vestry_request *req, vestry_reply *reply, void *app) {
  act *a = app;
  char attributes[VESTRY_TAB_ATTRIBUTES_BYTES];
  if (!vestry_request_is_datastar(req)) {
    assert_int_equal(vestry_tab_attributes(req, reply, attributes, sizeof attributes), VESTRY_OK);
    const char *at = strstr(attributes, "('','");
    assert_non_null(at);
    snprintf(a->token, sizeof a->token, "%.*s", (int)strcspn(at + 5, "'"), at + 5);
  }
  if (a->write) {
    a->error = vestry_sqlite_tab_set(a->s->connection, req, a->write, a->write_len);
  } else {
    a->read_len = 0;
    memset(a->read, 0, sizeof a->read);
    a->error = vestry_sqlite_tab_get(a->s->connection, req, NULL, a->read, a->capacity, &a->read_len);
  }
  return vestry_reply_status(reply, 204);
}

/* A request of a tab's; token "": its first. */
static void ask(act *a, const char *cookie, const char *token) {
  char body[160];
  vestry_memory_exchange *exchange;
  const vestry_header headers[] = {{"Cookie", cookie}};
  snprintf(body, sizeof body, "{\"tabId\":\"%s\"}", token);
  const vestry_memory_call call = {.method = *token ? "POST" : "GET",
                                   .datastar = *token,
                                   .headers = headers,
                                   .headers_count = 1,
                                   .body = *token ? body : NULL,
                                   .body_len = *token ? strlen(body) : 0};
  assert_int_equal(vestry_memory_request(a->s->v, &call, handle, a, &exchange), VESTRY_OK);
  vestry_memory_settle(a->s->v);
  vestry_memory_destroy(exchange);
}

static vestry_err set(site *s, const char *cookie, const char *token, const void *data, size_t len) {
  act a = {.s = s, .write = data, .write_len = len};
  ask(&a, cookie, token);
  return a.error;
}

/* The state as text. */
static const char *get(site *s, const char *cookie, const char *token) {
  static act a;
  a = (act){.s = s, .capacity = sizeof a.read - 1};
  ask(&a, cookie, token);
  assert_int_equal(a.error, VESTRY_OK);
  return a.read;
}

static void begin(site *s, const char *cookie, char token[TOKEN_BYTES]) {
  act a = {.s = s, .capacity = 1};
  ask(&a, cookie, "");
  assert_int_equal(a.error, VESTRY_OK);
  assert_int_equal(a.read_len, 0);
  memcpy(token, a.token, TOKEN_BYTES);
}

static void a_state_is_read_as_it_was_written(void **state) {
  (void)state;
  site s;
  char one[TOKEN_BYTES], other[TOKEN_BYTES];
  site_open(&s, "wal", NULL);
  begin(&s, "u", one);
  begin(&s, "u", other);
  assert_int_equal(set(&s, "u", one, "draft", 5), VESTRY_OK);
  assert_string_equal(get(&s, "u", one), "draft");
  assert_string_equal(get(&s, "u", other), "");
  assert_int_equal(set(&s, "u", one, "a longer draft", 14), VESTRY_OK);
  assert_int_equal(set(&s, "u", other, "its own", 7), VESTRY_OK);
  assert_string_equal(get(&s, "u", one), "a longer draft");
  assert_string_equal(get(&s, "u", other), "its own");
  assert_int_equal(set(&s, "u", one, "", 0), VESTRY_OK);
  assert_string_equal(get(&s, "u", one), "");
  assert_int_equal(site_number(s.reader, "SELECT count(*) FROM vestry_tab"), 1);
  site_close(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_state_is_read_as_it_was_written),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
