/* SPDX-License-Identifier: MIT */
/* The counter's contract, on the wire: counter_test PROGRAM [ADAPTER] */
#include "support/test.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "examples/client.h"
#include "examples/process.h"
#include "support/tries.h"
#include "vestry/event.h"

static struct process counter; /* of the running test */

static void start(const char *const *arguments) {
  process_start(&counter, arguments);
}
#define START(...)    start((const char *const[]){__VA_ARGS__, NULL})
#define START_PLAIN() start((const char *const[]){NULL})

static int finish(void **state) {
  if (counter.pid > 0) process_stop(&counter, SIGTERM);
  return 0;
}

static int clean_up(void **state) {
  process_kill(&counter);
  return 0;
}

/* Open a stream for a session, and wait until it is open. */
static size_t subscribe(struct client *client, const char *session) {
  client_call(client, counter.port, &(struct call){.method = "PUT", .path = "/", .session = session, .body = "{}"});
  assert_int_equal(client_status(client), 200);
  assert_string_equal(client_header(client, "Content-Type"), "text/event-stream");
  return client_expect(client, 0, "\"running\":true");
}

/* Send a request whose answer is a status only. */
static int perform(const char *method, const char *path, const char *session) {
  return call_status(counter.port, &(struct call){.method = method, .path = path, .session = session});
}

/* ----------------------------------------------------------------------------------- the page, the session -------- */

/* capability: C8 */
TEST_CASE(page_has_policy_and_session_cookie) {
  START("--datastar-version", VESTRY_DATASTAR_VERSION); /* the CDN's, even if the build was given a file */
  struct client client;
  client_call(&client, counter.port, &(struct call){.method = "GET", .path = "/", .plain = true});
  assert_int_equal(client_status(&client), 200);
  assert_string_equal(client_header(&client, "Content-Type"), "text/html; charset=utf-8");
  assert_non_null(client_header(&client, "Content-Security-Policy"));
  const char *cookie = client_header(&client, "Set-Cookie");
  assert_non_null(strstr(cookie, "; HttpOnly"));
  assert_non_null(strstr(cookie, "; SameSite=Lax"));
  assert_non_null(strstr(cookie, "; Path=/"));
  client_read_all(&client);
  assert_non_null(strstr(client.text, "src=\"" VESTRY_DATASTAR_CDN_URL "\""));
  assert_non_null(strstr(client.text, "data-signals:counter=\"0\" data-signals:running=\"false\""));
  assert_null(strstr(client_body(&client), "{{"));
  client_close(&client, false);
  assert_int_equal(perform("GET", "/datastar.js", NULL), 404);

  client_call(&client, counter.port, &(struct call){.method = "HEAD", .path = "/", .plain = true});
  assert_int_equal(client_status(&client), 200);
  client_read_all(&client);
  assert_string_equal(client_body(&client), "");
  client_close(&client, false);
}

TEST_CASE(invalid_session_cookies_are_replaced) {
  START_PLAIN();
  char first[COOKIE_LEN + 1], second[COOKIE_LEN + 1];
  new_session(counter.port, first);
  new_session(counter.port, second);
  assert_string_not_equal(first, second);
  static const struct {
    const char *value;
    bool valid;
  } cases[] = {{"-0123456789abcdef0123456789abcdef", true},
               {"-0123456789ABCDEF0123456789ABCDEF", false},
               {"0123456789abcdef0123456789abcdef", false},
               {"-0123456789abcdef0123456789abcde", false},
               {"-0123456789abcdef0123456789abcdef0", false},
               {"-0123456789abcdef0123456789abcdeg", false},
               {"", false},
               {"../../../../../../../../../../etc", false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct client client;
    client_call(&client, counter.port,
                &(struct call){.method = "GET", .path = "/", .plain = true, .session = cases[i].value});
    assert_int_equal(client_status(&client), 200);
    if (cases[i].valid != (client_header(&client, "Set-Cookie") == NULL)) fail_msg("cookie '%s'", cases[i].value);
    client_close(&client, false);
  }
}

TEST_CASE(page_shows_the_state_of_the_session) {
  START_PLAIN();
  char session[COOKIE_LEN + 1];
  new_session(counter.port, session);
  struct client stream, page;
  subscribe(&stream, session);
  assert_int_equal(perform("POST", "/jump", session), 204);
  client_call(&page, counter.port, &(struct call){.method = "GET", .path = "/", .plain = true, .session = session});
  client_read_all(&page);
  assert_non_null(strstr(page.text, "data-signals:running=\"true\""));
  assert_non_null(strstr(page.text, "data-signals:counter=\"1")); /* 10, or more by now */
  client_close(&page, false);
  client_close(&stream, false);
}

TEST_CASE(client_is_served_from_a_file) {
  char path[] = "counter-client-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, "let x = '{{counter}}'\n", 22), 22);
  close(fd);
  START("--datastar-file", path);
  unlink(path); /* the program has read it */
  struct client client;
  client_call(&client, counter.port, &(struct call){.method = "GET", .path = "/datastar.js", .plain = true});
  assert_int_equal(client_status(&client), 200);
  assert_string_equal(client_header(&client, "Content-Type"), "text/javascript; charset=utf-8");
  client_read_all(&client);
  assert_string_equal(client_body(&client), "let x = '{{counter}}'\n");
  client_close(&client, false);
  client_call(&client, counter.port, &(struct call){.method = "GET", .path = "/", .plain = true});
  client_expect(&client, 0, "src=\"/datastar.js\"");
  const char *policy = client_header(&client, "Content-Security-Policy");
  assert_non_null(strstr(policy, "script-src 'self' 'nonce-"));
  assert_null(strstr(policy, "unsafe"));
  client_close(&client, false);
}

TEST_CASE(older_client_version_can_be_selected) {
  static const char url[] = "https://cdn.jsdelivr.net/gh/starfederation/datastar@v1.0.2/bundles/datastar.js";
  START("--datastar-version", "1.0.2");
  struct client client;
  client_call(&client, counter.port, &(struct call){.method = "GET", .path = "/", .plain = true});
  client_expect(&client, 0, url);
  const char *policy = client_header(&client, "Content-Security-Policy");
  assert_non_null(strstr(policy, url));
  assert_non_null(strstr(policy, "'unsafe-eval'"));
  assert_null(strstr(policy, "unsafe-inline"));
  client_close(&client, false);
}

/* ------------------------------------------------------------------------------------------- streams -------------- */

TEST_CASE(stream_counts_jumps_and_stops) {
  START_PLAIN();
  char session[COOKIE_LEN + 1], other[COOKIE_LEN + 1];
  new_session(counter.port, session);
  new_session(counter.port, other);
  struct client stream, bystander;
  subscribe(&bystander, other);
  uint64_t before = now_ms();
  size_t seen = subscribe(&stream, session);
  assert_string_equal(client_header(&stream, "X-Accel-Buffering"), "no");
  assert_non_null(strstr(client_header(&stream, "Cache-Control"), "no-"));
  seen = client_expect(&stream, seen, "\"counter\":1,");
  seen = client_expect(&stream, seen, "\"counter\":2,");
  seen = client_expect(&stream, seen, "\"counter\":3,");
  uint64_t took = now_ms() - before;
  if (took < 2990) fail_msg("three ticks in %u ms", (unsigned)took);

  assert_int_equal(perform("POST", "/jump", session), 204);
  seen = client_expect(&stream, seen, "\"counter\":13,\"handled\":\"");
  char handled[17] = "", again[17] = "";
  assert_int_equal(sscanf(stream.text + seen, "%16[0-9a-f]\"", handled), 1);
  assert_int_equal(perform("POST", "/jump", session), 204);
  seen = client_expect(&stream, seen, "\"handled\":\"");
  assert_int_equal(sscanf(stream.text + seen, "%16[0-9a-f]\"", again), 1);
  assert_string_not_equal(handled, again);

  assert_int_equal(perform("DELETE", "/", session), 204);
  client_expect(&stream, seen, "\"counter\":0,\"running\":false");
  client_read_all(&stream);
  assert_true(client_ended_cleanly(&stream)); /* the browser does not reconnect */
  client_close(&stream, false);
  assert_int_equal(perform("DELETE", "/", session), 204); /* there is no stream left to stop */

  client_expect(&bystander, 0, "\"counter\":4,"); /* no other event reached this stream */
  assert_null(strstr(bystander.text, "handled"));
  assert_null(strstr(bystander.text, "false"));
  client_close(&bystander, false);

  subscribe(&stream, session);
  client_expect(&stream, 0, "\"counter\":0,\"running\":true");
  client_close(&stream, false);
}

TEST_CASE(jump_without_a_stream_counts) {
  START_PLAIN();
  char session[COOKIE_LEN + 1];
  new_session(counter.port, session);
  struct client client;
  for (int counted = 10; counted <= 20; counted += 10) {
    char wanted[32];
    snprintf(wanted, sizeof wanted, "\"counter\":%d,\"handled\":\"", counted);
    client_call(&client, counter.port, &(struct call){.method = "POST", .path = "/jump", .session = session});
    assert_int_equal(client_status(&client), 200);
    assert_string_equal(client_header(&client, "Content-Type"), "text/event-stream");
    client_read_all(&client);
    assert_non_null(strstr(client.text, wanted));
    assert_true(client_ended_cleanly(&client));
    client_close(&client, false);
  }
  json_t *keys = keys_of(counter.port);
  assert_int_equal(json_array_size(json_object_get(keys, "keys")), 0);
  json_decref(keys);
}

/* A fifth more requests than the maximum number of counters, in one connection; the stranger's is the least recently
 * used. */
TEST_CASE(deleting_creates_no_counter) {
  if (strcmp(process_adapter, "civetweb") == 0) TEST_SKIP("it ends the connection with each response");
  START_PLAIN();
  char stranger[COOKIE_LEN + 1], request[256];
  struct client client;
  new_session(counter.port, stranger);
  client_call(&client, counter.port, &(struct call){.method = "POST", .path = "/jump", .session = stranger});
  client_read_all(&client);
  client_close(&client, false);
  client_connect(&client, counter.port, false);
  size_t answered = 0;
  for (int i = 1; i <= 12000; i++) {
    int len = snprintf(request, sizeof request,
                       "DELETE / HTTP/1.1\r\nHost: 127.0.0.1\r\nDatastar-Request: true\r\n"
                       "Cookie: vestry_session=-%0*x\r\nContent-Length: 0\r\n\r\n",
                       (int)COOKIE_LEN - 1, i);
    client_send(&client, request, (size_t)len);
    for (int left = i % 100 ? 0 : 100; left > 0; left--) answered = client_expect(&client, answered, "HTTP/1.1 204 ");
  }
  client_close(&client, false);
  client_call(&client, counter.port, &(struct call){.method = "GET", .path = "/", .plain = true, .session = stranger});
  client_read_all(&client);
  assert_non_null(strstr(client.text, "data-signals:counter=\"10\""));
  client_close(&client, false);
}

TEST_CASE(requests_without_cookie_get_separate_sessions) {
  START_PLAIN();
  struct client first, second;
  subscribe(&first, NULL);
  assert_non_null(client_header(&first, "Set-Cookie")); /* its own session */
  subscribe(&second, NULL);
  json_t *keys = keys_of(counter.port);
  assert_int_equal(json_array_size(json_object_get(keys, "keys")), 2);
  json_decref(keys);
  client_close(&first, false);
  client_close(&second, false);
}

/* capability: A6 */
TEST_CASE(keys_lists_streams_without_session_ids) {
  START_PLAIN();
  char session[COOKIE_LEN + 1];
  new_session(counter.port, session);
  struct client tabs[3];
  for (int i = 0; i < 3; i++) subscribe(&tabs[i], session);
  json_t *keys = keys_of(counter.port), *entry = json_array_get(json_object_get(keys, "keys"), 0);
  char *text = json_dumps(keys, 0), *key = json_dumps(json_object_get(entry, "key"), JSON_COMPACT);
  const char *scope = json_string_value(json_object_get(entry, "scope"));
  assert_int_equal(json_array_size(json_object_get(keys, "keys")), 1);
  assert_string_equal(key, "[\"counter\",1]");
  assert_int_equal(json_integer_value(json_object_get(entry, "connections")), 3);
  assert_memory_not_equal(scope, session, 8); /* the scope is the hash of the id */
  assert_true(strlen(scope) < COOKIE_LEN / 2);
  assert_null(strstr(text, session));
  assert_int_equal(json_integer_value(json_object_get(keys, "opened")), 3);
  assert_int_equal(json_integer_value(json_object_get(keys, "open")), 3);
  assert_int_equal(json_integer_value(json_object_get(keys, "closed")), 0);
  assert_true(json_is_object(json_object_get(keys, "causes")));
  free(text);
  free(key);
  json_decref(keys);
  assert_int_equal(perform("DELETE", "/", session), 204);
  keys_expect(counter.port, "closed", 3);
  keys_expect(counter.port, "causes.closed", 3);
  keys_expect(counter.port, "open", 0);
  for (int i = 0; i < 3; i++) client_close(&tabs[i], false);
}

/* ------------------------------------------------------------------------------------------- policies ------------- */

TEST_CASE(policy_many_sends_to_all_tabs) {
  START("--policy", "many");
  char session[COOKIE_LEN + 1];
  new_session(counter.port, session);
  struct client tabs[12];
  for (int i = 0; i < 12; i++) subscribe(&tabs[i], session);
  assert_int_equal(perform("POST", "/jump", session), 204);
  for (int i = 0; i < 12; i++) {
    size_t jumped = client_expect(&tabs[i], 0, "handled");
    client_expect(&tabs[i], jumped, "\"running\":true"); /* a tick */
    client_close(&tabs[i], false);
  }
}

TEST_CASE(policy_replace_ends_the_older_stream) {
  START("--policy", "replace");
  char session[COOKIE_LEN + 1];
  new_session(counter.port, session);
  struct client first, second;
  subscribe(&first, session);
  size_t seen = subscribe(&second, session);
  client_read_all(&first);
  assert_true(client_ended_cleanly(&first)); /* it must not reconnect and replace the other one */
  client_expect(&second, seen, "\"running\":true");
  keys_expect(counter.port, "causes.replaced", 1);
  client_close(&first, false);
  client_close(&second, false);
}

TEST_CASE(policy_reuse_keeps_the_first_stream) {
  START("--policy=reuse", "--store=hash");
  char session[COOKIE_LEN + 1];
  new_session(counter.port, session);
  struct client first;
  size_t seen = subscribe(&first, session);
  assert_int_equal(perform("PUT", "/", session), 204);
  client_expect(&first, seen, "\"running\":true"); /* the first stream receives the events of the second request */
  keys_expect(counter.port, "opened", 1);
  client_close(&first, false);
}

TEST_CASE(policy_reject_answers_409) {
  START("--policy", "reject");
  char session[COOKIE_LEN + 1];
  new_session(counter.port, session);
  struct client first;
  size_t seen = subscribe(&first, session);
  assert_int_equal(perform("PUT", "/", session), 409);
  client_expect(&first, seen, "\"running\":true");
  keys_expect(counter.port, "open", 1);
  client_close(&first, false);
}

/* --------------------------------------------------------------------------------------- bounds, departures ------- */

/* capability: A5 */
TEST_CASE(lru_store_evicts_the_least_recently_used) {
  START("--store", "lru", "--max", "2");
  counter.warning = "the least recently used stream ends";
  char session[3][COOKIE_LEN + 1];
  struct client streams[3];
  for (int i = 0; i < 3; i++) {
    new_session(counter.port, session[i]);
    subscribe(&streams[i], session[i]);
  }
  keys_expect(counter.port, "causes.size", 1);
  keys_expect(counter.port, "open", 2);
  int aborted = 0;
  for (int i = 0; i < 3; i++) {
    assert_int_equal(perform("DELETE", "/", session[i]), 204);
    client_read_all(&streams[i]);
    aborted += !client_ended_cleanly(&streams[i]);
    client_close(&streams[i], false);
  }
  assert_int_equal(aborted, 1);
}

TEST_CASE(full_hash_store_answers_503) {
  START("--store", "hash", "--max", "1");
  char session[2][COOKIE_LEN + 1];
  new_session(counter.port, session[0]);
  new_session(counter.port, session[1]);
  struct client stream;
  size_t seen = subscribe(&stream, session[0]);
  assert_int_equal(perform("PUT", "/", session[1]), 503);
  client_expect(&stream, seen, "\"running\":true");
  client_close(&stream, false);
}

/* capability: A3 */
TEST_CASE(idle_stream_is_closed_on_time) {
  START("--idle-ms", "300");
  struct client stream;
  subscribe(&stream, NULL);
  client_read_all(&stream); /* without requests: the clock closes it, between two ticks */
  assert_false(client_ended_cleanly(&stream));
  client_close(&stream, false);
  keys_expect(counter.port, "causes.idle", 1);
  keys_expect(counter.port, "open", 0);
}

/* capability: E2 */
TEST_CASE(heartbeats_are_sent) {
  START("--heartbeat-ms", "150");
  struct client stream;
  size_t seen = subscribe(&stream, NULL);
  client_expect(&stream, seen, ":\n\n");
  client_close(&stream, false);
}

TEST_CASE(stream_without_a_free_thread_gets_503) {
  if (strcmp(process_adapter, "civetweb") != 0) TEST_SKIP("threads bound streams with civetweb only");
  START("--threads", "4");
  counter.warning = "a stream got 503, because all 2 places are taken";
  struct client first, second, third;
  subscribe(&first, NULL);
  subscribe(&second, NULL);
  client_call(&third, counter.port, &(struct call){.method = "PUT", .path = "/"});
  assert_int_equal(client_status(&third), 503);
  assert_non_null(client_header(&third, "Retry-After"));
  client_close(&third, false);
  keys_expect(counter.port, "open", 2); /* other requests are still served */
  client_close(&first, true);
  keys_expect(counter.port, "open", 1);
  subscribe(&third, NULL);
  client_close(&second, false);
  client_close(&third, false);
}

TEST_CASE(lost_clients_are_removed) {
  START("--heartbeat-ms", "600000"); /* so that no heartbeat detects the ends */
  struct client streams[6];
  for (int i = 0; i < 6; i++) subscribe(&streams[i], NULL);
  keys_expect(counter.port, "open", 6);
  for (int i = 0; i < 6; i++) client_close(&streams[i], i % 2);
  keys_expect(counter.port, "open", 0);
  keys_expect(counter.port, "causes.hangup", 6);
  json_t *keys = keys_of(counter.port);
  assert_int_equal(json_array_size(json_object_get(keys, "keys")), 0);
  json_decref(keys);
}

/* ----------------------------------------------------------------------------------------- bad requests ----------- */

TEST_CASE(invalid_requests_do_not_affect_others) {
  START_PLAIN();
  enum { LARGE = 1024 * 1024 };
  char session[COOKIE_LEN + 1], *large = malloc(LARGE + 2);
  assert_non_null(large);
  memset(large, ' ', LARGE + 1);
  large[LARGE + 1] = '\0';
  new_session(counter.port, session);
  struct client stream, bad;
  size_t seen = subscribe(&stream, session);
  const struct {
    int status;
    struct call call;
  } cases[] = {
      {404, {.method = "GET", .path = "/nothing"}},
      {404, {.method = "POST", .path = "/jump/further"}},
      {405, {.method = "PATCH", .path = "/"}},
      {405, {.method = "POST", .path = "/"}},
      {405, {.method = "GET", .path = "/jump"}},
      {405, {.method = "DELETE", .path = "/keys"}},
      {413, {.method = "POST", .path = "/jump", .body = large}},
      {413, {.method = "PUT", .path = "/", .body = large}},
      {413, {.method = "POST", .path = "/jump", .plain = true, .body = large}},
      {400, {.method = "POST", .path = "/jump", .body = "{\"counter\":"}},
      {400, {.method = "PUT", .path = "/", .body = "[]"}},
      {400, {.method = "PUT", .path = "/", .body = "{}{}"}},
      {400, {.method = "DELETE", .path = "/?datastar=%7B"}},
      {400, {.method = "DELETE", .path = "/?datastar=%zz"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct call call = cases[i].call;
    call.session = session;
    client_call(&bad, counter.port, &call);
    if (client_status(&bad) != cases[i].status)
      fail_msg("%s %s: %d, not %d", call.method, call.path, client_status(&bad), cases[i].status);
    if (cases[i].status == 405) assert_non_null(client_header(&bad, "Allow"));
    client_close(&bad, false);
  }
  /* Refused where the adapter sees it; civetweb itself does not know such a path. */
  client_call(&bad, counter.port, &(struct call){.method = "GET", .path = "/../../etc/passwd"});
  assert_true(client_status(&bad) == 400 || client_status(&bad) == 404);
  client_close(&bad, false);
  large[LARGE] = '\0'; /* exactly the limit */
  memcpy(large, "{}", 2);
  struct call most = {.method = "POST", .path = "/jump", .session = session, .body = large};
  assert_int_equal(call_status(counter.port, &most), 204);
  free(large);
  client_connect(&bad, counter.port, false);
  client_send(&bad, "\x16\x03\x01 this is no HTTP\r\n\r\n", 24);
  client_read_all(&bad);
  client_close(&bad, false);

  seen = client_expect(&stream, seen, "handled"); /* the one that was accepted */
  client_expect(&stream, seen, "\"running\":true");
  keys_expect(counter.port, "open", 1);
  keys_expect(counter.port, "closed", 0);
  client_close(&stream, false);
}

/* ----------------------------------------------------------------------------------------- start and stop --------- */

/* A client that subscribes and reads nothing, while the session receives far more than the client's sockets hold. */
static void stall(struct client *client) {
  static const char session[] = "-00000000000000000000000000000001";
  static const char put[] = "PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nDatastar-Request: true\r\n"
                            "Cookie: vestry_session=-00000000000000000000000000000001\r\nContent-Length: 2\r\n\r\n{}";
  client_connect(client, counter.port, true);
  client_send(client, put, sizeof put - 1);
  keys_expect(counter.port, "opened", 1);
  for (int i = 0; i < 900; i++) assert_int_equal(perform("POST", "/jump", session), 204);
}

/* The last resort ends the process while its threads still run: thread sanitizer must neither report this nor wait a
 * second at exit. */
static void allow_threads_left(void) {
  char options[1024];
  const char *before = getenv("TSAN_OPTIONS");
  snprintf(options, sizeof options, "%s:report_thread_leaks=0:atexit_sleep_ms=0", before ? before : "");
  setenv("TSAN_OPTIONS", options, 1);
}

static double seconds_to_stop(int signal_number) {
  START_PLAIN();
  struct client stalled, stream, silent;
  stall(&stalled);
  subscribe(&stream, NULL);
  client_connect(&silent, counter.port, false); /* has sent no request */
  double took_s = (double)process_stop(&counter, signal_number) / 1000;
  client_read_all(&stream);
  assert_false(client_ended_cleanly(&stream)); /* aborted: the browser reconnects */
  client_close(&stalled, false);
  client_close(&stream, false);
  client_close(&silent, false);
  return took_s;
}

/* capability: K5 */
TEST_CASE(signals_end_the_program_in_time) {
  allow_threads_left();
  BELOW_S(2, seconds_to_stop(SIGTERM));
  BELOW_S(2, seconds_to_stop(SIGINT));
}

/* Clients such as curl do not send Datastar-Request, and are served nevertheless. */
TEST_CASE(any_client_is_served) {
  START_PLAIN();
  char session[COOKIE_LEN + 1];
  new_session(counter.port, session);
  struct client stream;
  client_call(&stream, counter.port, &(struct call){.method = "PUT", .path = "/", .plain = true, .session = session});
  size_t at = client_expect(&stream, 0, "\"running\":true");
  struct call jump = {.method = "POST", .path = "/jump", .plain = true, .session = session};
  assert_int_equal(call_status(counter.port, &jump), 204);
  client_expect(&stream, at, "\"handled\"");
  struct call malformed = {.method = "POST", .path = "/jump", .plain = true, .session = session, .body = "{"};
  assert_int_equal(call_status(counter.port, &malformed), 400);
  client_close(&stream, false);
}

static double seconds_to_stop_streams(void) {
  START_PLAIN();
  struct client streams[8];
  for (int i = 0; i < 8; i++) subscribe(&streams[i], NULL);
  double took_s = (double)process_stop(&counter, SIGTERM) / 1000;
  for (int i = 0; i < 8; i++) client_close(&streams[i], false);
  return took_s;
}

/* The last resort, which closes connections that do not end, takes at least a second. */
TEST_CASE(program_stops_quickly_without_stalled_clients) {
  BELOW_S(1, seconds_to_stop_streams());
}

TEST_CASE(sessions_survive_a_restart) {
  START_PLAIN();
  char session[COOKIE_LEN + 1];
  struct client stream;
  new_session(counter.port, session);
  subscribe(&stream, session);
  process_stop(&counter, SIGTERM);
  client_close(&stream, false);
  START_PLAIN();
  size_t seen = subscribe(&stream, session);
  assert_null(client_header(&stream, "Set-Cookie")); /* the existing one is accepted */
  client_expect(&stream, seen, "\"counter\":1,");
  client_close(&stream, false);
}

static size_t lines_of(const char *text) {
  size_t count = 0;
  for (; *text; text++) count += *text == '\n';
  return count;
}

TEST_CASE(invalid_options_are_refused) {
  static const char *const bad[][5] = {{"--port", "65536"},
                                       {"--port", "-1"},
                                       {"--port", "80a"},
                                       {"--port", ""},
                                       {"--port", " 80"},
                                       {"--port", "0x50"},
                                       {"--port", "99999999999999999999999"},
                                       {"--port"},
                                       {"--store", "tree"},
                                       {"--max", "0"},
                                       {"--max", "1e3"},
                                       {"--idle-ms", "0"},
                                       {"--idle-ms", "soon"},
                                       {"--heartbeat-ms", "1.5"},
                                       {"--threads", "0"},
                                       {"--threads", "2"},
                                       {"--threads", "100000"},
                                       {"--adapter", "apache"},
                                       {"--adapter", "microhttpd", "--threads", "257"},
                                       {"--certificate", "/nonexistent/pair.pem"},
                                       {"--certificate", "/dev/null"},
                                       {"--certificate", "/proc/self/status"},
                                       {"--policy", "any"},
                                       {"--policy", ""},
                                       {"--datastar-file", "/nonexistent/datastar.js"},
                                       {"--datastar-file", "/"},
                                       {"--datastar-file", "/dev/null"},
                                       {"--datastar-version", "latest"},
                                       {"--datastar-version", "1.0"},
                                       {"--datastar-version", "1.0.2\"><script>"},
                                       {"--datastar-version", "0.9.9"},
                                       {"--colour", "red"},
                                       {"-x"},
                                       {"8080"},
                                       {"--port", "0", "extra"}};
  char out[4096], err[4096];
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    int status = process_run(bad[i], out, err);
    if (status != 2 || *out || lines_of(err) != 1 || strncmp(err, "counter: ", 9) != 0)
      fail_msg("%s %s: status %d, out '%s', err '%s'", bad[i][0], bad[i][1] ? bad[i][1] : "", status, out, err);
  }
  assert_int_equal(process_run((const char *const[]){"--help", NULL}, out, err), 0);
  assert_string_equal(err, "");
  static const char *const names[] = {"--port",    "--store",       "--max",    "--idle-ms",       "--heartbeat-ms",
                                      "--adapter", "--threads",     "--policy", "--datastar-file", "--datastar-version",
                                      "--help",    "--certificate", "--no-tls"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) assert_non_null(strstr(out, names[i]));
}

/* capability: K5 */
TEST_CASE(port_in_use_ends_the_program) {
  START_PLAIN();
  char port[16], out[4096], err[4096];
  snprintf(port, sizeof port, "%u", counter.port);
  assert_int_equal(process_run((const char *const[]){"--port", port, "--adapter", process_adapter, NULL}, out, err), 1);
  assert_string_equal(out, "");
  assert_in_range(lines_of(err), 1, 2); /* the program's line; libmicrohttpd logs the reason, too */
  assert_non_null(strstr(err, port));
}

int main(int argc, char **argv) {
  if (argc != 2 && argc != 3) {
    fprintf(stderr, "usage: %s PROGRAM [ADAPTER]\n", argv[0]);
    return 2;
  }
  process_path = argv[1];
  if (argc == 3) process_adapter = argv[2];
  return test_cases_run(&cases_of_file, "examples/counter", (test_fixture){NULL, clean_up},
                        (test_fixture){clean_up, finish});
}
