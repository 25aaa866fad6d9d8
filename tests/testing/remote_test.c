/* SPDX-License-Identifier: MIT */
/* A page of the browser of tests, served through the network by a server that divides an event and closes a connection
 * without a response. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/test.h"
#include "vestry/testing/browser.h"

enum { HEAD_MAX = 8192, WAIT_MS = 60000 };

typedef struct server {
  int listener;
  pthread_t thread;
  sem_t goes_on;
  char requests[4][HEAD_MAX]; /* in the order of their connections */
  bool is_right;
} server;

static const char document[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
    "<!doctype html><body><main id=\"content\" data-signals:_once=\"'nonce'\" data-signals:text__ifmissing=\"''\" "
    "data-init=\"@get('/stream')\"><p id=\"count\">none</p><ul id=\"list\"></ul>"
    "<div id=\"part\" data-ignore-morph>kept</div></main>"
    "<input aria-label=\"Text\" data-bind:text><button "
    "data-on:click=\"@post('/act',{headers:{'X-Once':$_once+'.1'}})\">Act</button>";
static const char stream_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
static const char first_part[] = "event: datastar-patch-elements\ndata: elements <main id=\"content\" "
                                 "data-init=\"@get('/stream')\" data-signals:text__ifmissing=\"''\"><p id=\"count\">one"
                                 "</p><ul id=\"list\">";
static const char second_part[] = "<li id=\"a:b\">first</li><li id=\"c\">second</li></ul>"
                                  "<div id=\"part\" data-ignore-morph></div></main>\n\n";
static const char patches[] =
    "event: datastar-patch-elements\ndata: selector #content #count\ndata: elements <p id=\"count\">two</p>\n\n"
    "event: datastar-patch-elements\ndata: selector #content #list\ndata: mode append\ndata: elements "
    "<li>third</li>\n\n"
    "event: datastar-patch-elements\ndata: selector #content [id=\"a:b\"],#content #c\ndata: mode remove\n\n";
static const char last[] = "event: datastar-patch-elements\ndata: elements <p id=\"count\">three</p>\n\n";

/* Accept a connection, and read a request until its text contains its end. */
static int take_request(server *s, char text[HEAD_MAX], const char *end) {
  const int socket = accept(s->listener, NULL, NULL);
  size_t len = 0;
  text[0] = '\0';
  for (ssize_t got; socket >= 0 && len + 1 < HEAD_MAX && !strstr(text, end); text[len += (size_t)got] = '\0') {
    got = recv(socket, text + len, HEAD_MAX - 1 - len, 0);
    if (got <= 0) return socket;
  }
  return socket;
}

static bool put(int socket, const char *text) {
  return send(socket, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static void *serve(void *ctx) {
  server *s = ctx;
  int sockets[4];
  sockets[0] = take_request(s, s->requests[0], "\r\n\r\n");
  bool is_right = put(sockets[0], document);
  close(sockets[0]);
  sockets[1] = take_request(s, s->requests[1], "\r\n\r\n");
  is_right &= put(sockets[1], stream_head);
  sem_wait(&s->goes_on);
  is_right &= put(sockets[1], first_part);
  sem_wait(&s->goes_on);
  is_right &= put(sockets[1], second_part);
  sem_wait(&s->goes_on);
  is_right &= put(sockets[1], patches);
  sockets[2] = take_request(s, s->requests[2], "\"typed\"}");
  close(sockets[2]);
  sockets[3] = take_request(s, s->requests[3], "\"typed\"}");
  is_right &= put(sockets[3], "HTTP/1.1 204 No Content\r\n\r\n");
  close(sockets[3]);
  sem_wait(&s->goes_on);
  is_right &= put(sockets[1], last);
  close(sockets[1]);
  sockets[0] = take_request(s, s->requests[0], "\r\n\r\n");
  is_right &= put(sockets[0], "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
  close(sockets[0]);
  s->is_right = is_right;
  return NULL;
}

static uint16_t begin(server *s) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  memset(s, 0, sizeof *s);
  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(s->listener >= 0);
  assert_int_equal(bind(s->listener, (struct sockaddr *)&address, len), 0);
  assert_int_equal(listen(s->listener, 4), 0);
  assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &len), 0);
  assert_int_equal(sem_init(&s->goes_on, 0, 0), 0);
  assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
  return ntohs(address.sin_port);
}

static _Atomic(server *) ends; /* the server that sends the last bytes of its stream behind a look for them */

ssize_t __real_recv(int fd, void *to, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *to, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *to, size_t len, int flags) {
  const ssize_t got = __real_recv(fd, to, len, flags);
  const int error = errno;
  struct pollfd end = {.fd = fd, .events = POLLRDHUP};
  server *s = got < 0 && error == EAGAIN ? atomic_exchange(&ends, NULL) : NULL;
  if (s) sem_post(&s->goes_on);
  while (s && poll(&end, 1, -1) <= 0) continue;
  errno = error;
  return got;
}

/* Wait until the page has received something. */
static void await_bytes(vestry_browser_page *page) {
  bool arrived = false;
  assert_int_equal(vestry_browser_poll(&page, 1, WAIT_MS, &arrived), VESTRY_OK);
  assert_true(arrived);
}

/* capability: K11 */
TEST_CASE(divided_event_is_applied_when_it_is_complete) {
  static server s;
  vestry_browser *browser;
  vestry_browser_page *page;
  const vestry_browser_server at = {.port = begin(&s)};
  assert_int_equal(vestry_browser_connect(&at, &browser), VESTRY_OK);
  assert_int_equal(vestry_browser_open(browser, "/", &page), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(page, "Text", "typed"), VESTRY_OK);
  sem_post(&s.goes_on);
  await_bytes(page);
  assert_string_equal(vestry_browser_text(page), "none kept Act");
  sem_post(&s.goes_on);
  assert_int_equal(vestry_browser_wait(page, "one first second kept", WAIT_MS), VESTRY_OK);
  assert_string_equal(json_string_value(vestry_browser_signal(page, "text")), "typed");
  sem_post(&s.goes_on);
  assert_int_equal(vestry_browser_wait(page, "two third kept Act", WAIT_MS), VESTRY_OK);
  assert_int_equal(vestry_browser_press(page, "Act"), VESTRY_OK); /* its request is repeated */
  assert_int_equal(vestry_browser_status(page), 204);
  /* what arrives with the end of the stream counts */
  atomic_store(&ends, &s);
  assert_true(vestry_browser_shows(page, "three third kept Act"));
  /* its stream is opened again, and rejected */
  while (vestry_browser_status(page) != 503) {
    await_bytes(page);
    assert_non_null(vestry_browser_text(page));
  }
  vestry_browser_close(page);
  vestry_browser_destroy(browser);
  assert_int_equal(pthread_join(s.thread, NULL), 0);
  close(s.listener);
  sem_destroy(&s.goes_on);
  assert_true(s.is_right);
  assert_non_null(strstr(s.requests[2], "X-Once: nonce.1\r\n"));
  assert_string_equal(s.requests[2], s.requests[3]);
}
