/* SPDX-License-Identifier: MIT */
/* The wire format: the contract, and the specifics of civetweb: its own paths, kept connections, requests that are too
 * large. */
#include <civetweb.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "adapter/civetweb/adapter.h"
#include "adapter/civetweb/request.h"
#include "civetweb/server.h"
#include "event/layout.h"
#include "support/test.h"
#include "testing/contract/client.h"

static vsi_server s;

TEST_CASE(heads_of_answers_are_formatted) {
  const vestry_header headers[] = {{"X-One", "1"}, {"X-Two", "zwei"}};
  const vestry_response response = {404, headers, 2, "abc", 3};
  char head[512];
  size_t len = vsi_civetweb_head_format(head, sizeof head, &response, "Content-Length: 3\r\n", true, 784111777);
  assert_string_equal(head, "HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-One: 1\r\n"
                            "X-Two: zwei\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n");
  assert_int_equal(len, strlen(head));
  /* Like snprintf: bytes that do not fit are counted, not written. */
  for (size_t room = 0; room <= len + 1; room++) {
    char cut[512];
    memset(cut, '#', sizeof cut);
    assert_int_equal(vsi_civetweb_head_format(cut, room, &response, "Content-Length: 3\r\n", true, 784111777), len);
    for (size_t i = room; i < sizeof cut; i++) assert_int_equal(cut[i], '#');
    if (room == len + 1) assert_string_equal(cut, head);
  }
  const vestry_response stream = {.status = 200};
  vsi_civetweb_head_format(head, sizeof head, &stream, "Transfer-Encoding: chunked\r\n", false, 0);
  assert_string_equal(head, "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: close\r\n"
                            "Transfer-Encoding: chunked\r\n\r\n");
  vsi_civetweb_head_format(head, sizeof head, &stream, "", false, 951782400);
  assert_string_equal(head, "HTTP/1.1 200 OK\r\nDate: Tue, 29 Feb 2000 00:00:00 GMT\r\nConnection: close\r\n\r\n");
}

/* ---- methods and paths ------------------------------------------------------------------------------------------- */

static int own_handler(struct mg_connection *conn, void *ctx) {
  mg_printf(conn, "HTTP/1.1 299 Own\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  return 299;
}

TEST_CASE(other_paths_are_served_by_the_server) {
  server_start(&s, NULL);
  mg_set_request_handler(civetweb_of(&s)->context, "/echo/below", own_handler, NULL);
  /* which is called after it */
  assert_int_equal(vestry_route(s.v, "GET", "/echo/below", vsi_server_echo, NULL), VESTRY_OK);
  assert_int_equal(vsi_server_status_of(&s, "GET /echo/below HTTP/1.1\r\nHost: a\r\n\r\n"), 299);
  assert_int_equal(vsi_server_status_of(&s, "GET /echo2 HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(vsi_server_status_of(&s, "GET /ECHO HTTP/1.1\r\nHost: a\r\n\r\n"),
                   404); /* civetweb would match it */
  assert_int_equal(vsi_server_status_of(&s, "GET /ECH%6f HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  vsi_server_stop(&s);
}

/* civetweb would treat them as patterns; routes do not. */
TEST_CASE(route_paths_are_not_patterns) {
  server_start(&s, NULL);
  static const char *const paths[] = {"/a*", "/b$", "/c|d"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
    assert_int_equal(vestry_route(s.v, "GET", paths[i], vsi_server_echo, NULL), VESTRY_OK);
  assert_int_equal(vsi_server_status_of(&s, "GET /a* HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  assert_int_equal(vsi_server_status_of(&s, "GET /ab HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(vsi_server_status_of(&s, "GET /b$ HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  assert_int_equal(vsi_server_status_of(&s, "GET /c|d HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  assert_int_equal(vsi_server_status_of(&s, "GET /d HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  vsi_server_stop(&s);
}

/* ---- QUERY ------------------------------------------------------------------------------------------------------- */

TEST_CASE(query_is_refused_and_logged) {
  server_start(&s, NULL);
  if (vsi_civetweb_takes_query(mg_version())) { /* then it is served like any other method */
    assert_int_equal(vestry_route(s.v, "QUERY", "/ask", vsi_server_echo, NULL), VESTRY_OK);
    vsi_server_stop(&s);
    return;
  }
  assert_int_equal(vestry_route(s.v, "QUERY", "/ask", vsi_server_echo, NULL), VESTRY_UNSUPPORTED);
  assert_int_equal(atomic_load(&s.th.log_lines), 2); /* the reason, by the adapter; and the route, by the routes */
  assert_non_null(strstr(s.th.last_log, "refused QUERY /ask"));
  assert_int_equal(vestry_route(s.v, "POST", "/ask", vsi_server_echo, NULL), VESTRY_OK);
  for (int i = 0; i < 2; i++) {
    const long lines = atomic_load(&s.th.log_lines);
    vsi_client c;
    vsi_client_ask(&c, s.port, "QUERY", "/ask", "Content-Length: 2\r\n");
    vsi_client_sendf(&c, "{}");
    assert_int_equal(vsi_client_status(&c), 501);
    vsi_client_close(&c);
    assert_int_equal(atomic_load(&s.th.log_lines) - lines, i == 0); /* it is logged once */
  }
  assert_non_null(strstr(s.th.last_log, "answered a QUERY request with 501"));
  /* Other unreadable requests get 400 as usual. */
  assert_int_equal(vsi_server_status_of(&s, "QUERIES /ask HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  vsi_server_stop(&s);
}

TEST_CASE(later_civetweb_versions_take_query) {
  static const char *const versions[] = {"1.15", "1.16", "1.17", "1.9", "0.99", ""};
  static const char *const later[] = {"1.18", "1.20-dev", "2.0", "2"};
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) assert_false(vsi_civetweb_takes_query(versions[i]));
  for (size_t i = 0; i < sizeof later / sizeof *later; i++) assert_true(vsi_civetweb_takes_query(later[i]));
}

/* ---- kept connections -------------------------------------------------------------------------------------------- */

TEST_CASE(pipelined_requests_are_answered_in_order) {
  server_start(&s, &(server_settings){.keep_alive = true});
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  vsi_client_sendf(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
                       "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo"
                       "DELETE /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nskip"
                       "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
                       "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
  static const char *const bodies[] = {"one", "two", "this path does not have this method\n", "nothing"};
  for (int i = 0; i < 4; i++) {
    vsi_client_finish(&c, false);
    assert_int_equal(vsi_client_status(&c), i == 2 ? 405 : 200);
    assert_string_equal(c.body, bodies[i]);
    vsi_client_next(&c);
  }
  assert_int_equal(vsi_client_status(&c), 200);
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  vestry_connection *connection = vsi_recorder_connection(&s.recorder, 0);
  vsi_server_patch(connection, "{\"a\":1}");
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  vsi_client_read_all(&c); /* it ends the connection */
  assert_true(c.complete);
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

/* Whatever civetweb treats as trailers: 1.15 closes after some of them, 1.16 after none. */
TEST_CASE(connection_closes_after_a_chunked_request) {
  static const char *const trailers[] = {"", "X: y\r\n", "X: y\n\n", " \r\n", "no colon\r\n"};
  server_start(&s, &(server_settings){.keep_alive = true});
  for (size_t i = 0; i < sizeof trailers / sizeof *trailers; i++) {
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_sendf(
        &c,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n%s\r\n"
        "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
        trailers[i]);
    vsi_client_finish(&c, false);
    if (vsi_client_status(&c) == 200) assert_string_equal(c.body, "two");
    assert_string_equal(vsi_client_header(&c, "Connection"), "close");
    vsi_client_read_all(&c);
    assert_null(strstr(c.text + 10, "HTTP/1.1"));
    vsi_client_close(&c);
  }
  vsi_server_stop(&s);
}

TEST_CASE(aborted_stream_closes_its_connection) {
  server_start(&s, &(server_settings){.keep_alive = true});
  vsi_client c;
  vestry_connection *connection = vsi_server_open(&s, &c);
  vsi_client_sendf(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"); /* gets no answer */
  vestry_connection_close(connection, VESTRY_CAUSE_EXPIRED);
  vsi_client_read_all(&c);
  assert_false(c.complete);
  assert_null(strstr(c.text, "nothing"));
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

/* capability: C10 */
TEST_CASE(batch_is_written_as_one_chunk) {
  server_start(&s, NULL);
  vsi_client c;
  vestry_connection *connection = vsi_server_open(&s, &c);
  assert_string_equal(vsi_client_header(&c, "Connection"), "close");
  vestry_event *events[50];
  for (int i = 0; i < 50; i++)
    assert_int_equal(vsi_event_signals_text(&s.th.host, "{\"a\":1}", 7, NULL, &events[i]), VESTRY_OK);
  assert_int_equal(vestry_connection_send_all(connection, events, 50), VESTRY_OK);
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  vsi_client_read_all(&c);
  assert_true(c.complete);
  assert_int_equal(c.chunks_count, 1);
  assert_int_equal(c.body_len, 50 * strlen("event: datastar-patch-signals\ndata: signals {\"a\":1}\n\n"));
  for (int i = 0; i < 50; i++) vestry_event_unref(events[i]);
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

TEST_CASE(connection_close_of_the_client_is_honoured) {
  server_start(&s, &(server_settings){.keep_alive = true});
  vsi_client c;
  vsi_client_ask(&c, s.port, "GET", "/stream", "Datastar-Request: true\r\nConnection: close\r\n");
  assert_string_equal(vsi_client_header(&c, "Connection"), "close");
  assert_string_equal(vsi_client_header(&c, "Transfer-Encoding"), "chunked");
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  vestry_connection_close(vsi_recorder_connection(&s.recorder, 0), VESTRY_CAUSE_CLOSED);
  vsi_client_read_all(&c);
  assert_true(c.complete);
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

/* ---- malformed requests ------------------------------------------------------------------------------------------ */

/* Write a head with this number of headers, beside Host, whose values have this number of digits. */
static size_t write_head(char *to, size_t size, int count, int digits) {
  size_t len = (size_t)snprintf(to, size, "GET /echo HTTP/1.1\r\nHost: a\r\n");
  for (int i = 0; i < count; i++) len += (size_t)snprintf(to + len, size - len, "X-%d: %0*d\r\n", i, digits, 0);
  return len + (size_t)snprintf(to + len, size - len, "\r\n");
}

/* civetweb has room for 64 headers. */
TEST_CASE(heads_over_limit_are_refused) {
  static const struct { int count, digits, status; } cases[] = {{100, 1000, 431}, {200, 1, 400}, {60, 1, 200}};
  static char head[200000];
  server_start(&s, NULL);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const size_t len = write_head(head, sizeof head, cases[i].count, cases[i].digits);
    vestry_stats stats = {0};
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_send(&c, head, len);
    assert_int_equal(vsi_client_status(&c), cases[i].status);
    vsi_client_read_all(&c);
    assert_null(strstr(c.text + 1, "HTTP/1."));
    vestry_stats_get(s.v, &stats);
    assert_int_equal(stats.requests_count, cases[i].status == 200);
    vsi_client_close(&c);
  }
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

TEST_CASE(refused_client_may_finish_sending) {
  server_start(&s, NULL);
  static char body[2 << 20];
  vsi_client c;
  vsi_client_connect(&c, s.port, true);
  vsi_client_sendf(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2097152\r\n\r\n");
  vsi_client_send(&c, body, sizeof body);
  assert_false(c.unsent); /* a reset could discard the answer */
  assert_int_equal(vsi_client_status(&c), 413);
  vsi_client_read_all(&c);
  assert_true(c.complete);
  assert_false(c.reset);
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

/* ---- the descriptor of a client that is gone --------------------------------------------------------------------- */

static _Atomic(unsigned long) looks; /* calls of getpeername in this program */

int __real_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len) {
  atomic_fetch_add(&looks, 1);
  return __real_getpeername(fd, address, len);
}

/* The socket of a client that has reset its connection is not found, and the search for it is bounded by the open
 * descriptors, not by the limit of the process. */
TEST_CASE(search_for_a_reset_client_is_short) {
  enum { RESETS = 50, MOST = 1000 };
  struct rlimit before, high;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  high = (struct rlimit){before.rlim_max, before.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &high), 0);
  server_start(&s, NULL);
  const unsigned long earlier = atomic_load(&looks);
  for (int i = 0; i < RESETS; i++) {
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_send(&c, "\x01\r\n\r\n", 5); /* it has no method */
    vsi_client_abort(&c);
  }
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s); /* so that all searches are over */
  assert_true(atomic_load(&looks) - earlier < RESETS * MOST);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void) {
  return (int)vestry_contract_run(&civetweb_contract, "hostile,wire") +
         (int)vestry_contract_run(&civetweb_raw_contract, "hostile") + cases_run("civetweb on its wire", NULL, NULL);
}
