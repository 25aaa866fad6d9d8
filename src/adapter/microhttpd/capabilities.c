/* SPDX-License-Identifier: MIT */
/* The capability probe. Two daemons without threads, one strict and one not, receive heads over socket pairs. A head
 * that reaches the handler and is found plain there (head.c) can be read in only one way. */
#include "adapter/microhttpd/adapter.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter/microhttpd/head.h"
#include "base/log.h"
#include "http/target.h"

enum { TURNS = 8, SAMPLE_BYTES = 256 };

static const char *const plain_heads[] = {
    "GET /p HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /p HTTP/1.0\r\n\r\n",
    "GET /p?q HTTP/1.1\r\nHost:a\r\nX:\r\nY: 1 2\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d\r\nContent-Length: 3\r\nX: \r\n\r\nabc",
};

/* Each text follows a request line and a Host header; its last line ends the head. */
static const char *const odd_lines[] = {
    "X: 1\r\n 2\r\n\r\n", "X:\r\n 2\r\n\r\n",   "X: 1\r\n \r\n\r\n",   "X: 1\r\n\t2\r\nY: 1\r\n\r\n",
    "X: 1\n 2\r\n\r\n",   "X: 1\nY: 2\r\n\r\n", "X: 1 \nY: 2\r\n\r\n", "X: 1\n\r\n",
    ": v\r\n\r\n",        "X\r\n\r\n",          "X : 1\r\n\r\n",       "X: 1\rY: 2\r\n\r\n",
    "X: 1\r\n\n",
};

static const struct {
  const char *target;
  bool is_clear;
} targets[] = {{"/p", true},      {"/p/a%20b", true}, {"/p/a?q=%20&r", true}, {"/p?", true}, {"/p?q", true},
               {"/p%2Fa", false}, {"/p/%61", false},  {"/p/a%00b", false},    {"/%70", true}};

typedef struct probe {
  struct MHD_Daemon *daemon;
  bool measures, is_failed;
  size_t target_len;
  bool is_asked, is_plain, is_clear; /* the last head that was sent has reached the handler; that head can be read in
                                        only one way; its target can be read in only one way (head.c) */
} probe;

static void *begin(void *cls, const char *uri, struct MHD_Connection *conn) {
  (void)conn;
  ((probe *)cls)->target_len = strlen(uri);
  return NULL;
}

/* A head, for vestry_head_check. */
typedef struct head {
  struct MHD_Connection *conn;
  const char *method;
} head;

static const char *method_of(void *server_request) {
  return ((head *)server_request)->method;
}

static void each_header(void *server_request, void (*line)(void *ctx, const char *name, const char *value), void *ctx) {
  vsi_microhttpd_each_header(((head *)server_request)->conn, line, ctx);
}

static const vestry_request_ops head_ops = {.method = method_of, .each_header = each_header};

static enum MHD_Result look_at(void *cls, struct MHD_Connection *conn, const char *path, const char *method,
                               const char *version, const char *upload, size_t *upload_len, void **ctx) {
  (void)upload, (void)upload_len, (void)ctx;
  probe *p = cls;
  const vsi_microhttpd_line line = {method, path, version, p->target_len};
  head h = {conn, method};
  p->is_asked = true;
  p->is_plain = vsi_microhttpd_head_is_plain(conn, &line, p->measures) &&
                !vestry_head_check(&head_ops, &h, strcmp(version, "HTTP/1.1") == 0, NULL);
  const vsi_microhttpd_query query = vsi_microhttpd_query_write(conn, NULL);
  p->is_clear = vsi_path_is_plain(path) && vsi_microhttpd_target_is_clear(path, version, &query);
  return MHD_NO;
}

static void send_head(probe *p, const char *begin, const char *middle, const char *end) {
  char text[SAMPLE_BYTES];
  const int len = snprintf(text, sizeof text, "%s%s%s", begin, middle, end);
  const struct sockaddr address = {.sa_family = AF_UNIX};
  int pair[2];
  p->is_asked = p->is_plain = p->is_clear = false;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    p->is_failed = true;
    return;
  }
  if (send(pair[1], text, (size_t)len, MSG_NOSIGNAL) != len) p->is_failed = true;
  /* closes it on failure */
  if (MHD_add_connection(p->daemon, pair[0], &address, sizeof address) != MHD_YES) p->is_failed = true;
  char answer;
  for (int i = 0; i < TURNS && !p->is_failed && !p->is_asked; i++) {
    MHD_run(p->daemon);
    if (recv(pair[1], &answer, 1, 0) >= 0) break; /* answered or closed */
  }
  close(pair[1]);
  for (int i = 0; i < TURNS && !p->is_failed; i++) MHD_run(p->daemon); /* until it has closed the socket */
}

/* Send some heads. Returns whether each is read as expected: is_plain, or refused. */
static bool reads_all(probe *p, const char *begin, const char *const *texts, size_t count, bool is_plain) {
  for (size_t i = 0; i < count; i++) {
    send_head(p, begin, texts[i], "");
    if (p->is_plain != is_plain) return false;
  }
  return true;
}

static bool takes_plain(probe *p) {
  return reads_all(p, "", plain_heads, sizeof plain_heads / sizeof *plain_heads, true);
}

static bool refuses_odd(probe *p) {
  return reads_all(p, "GET /p HTTP/1.1\r\nHost: a\r\n", odd_lines, sizeof odd_lines / sizeof *odd_lines, false);
}

static bool keeps_targets(probe *p) {
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    send_head(p, "GET ", targets[i].target, " HTTP/1.1\r\nHost: a\r\n\r\n");
    if (p->is_clear != targets[i].is_clear) return false;
  }
  return true;
}

static bool start(probe *p, bool is_strict, bool measures) {
  *p = (probe){.measures = measures};
  /* epoll, because select has no room for high descriptors */
  p->daemon = MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET | MHD_USE_EPOLL, 0, NULL, NULL, look_at, p,
                               MHD_OPTION_STRICT_FOR_CLIENT, is_strict ? 1 : 0, MHD_OPTION_URI_LOG_CALLBACK, begin, p,
                               MHD_OPTION_END);
  return p->daemon != NULL;
}

/* End a probe. Returns whether all heads could be sent. */
static bool stop(probe *p) {
  MHD_stop_daemon(p->daemon);
  return !p->is_failed;
}

vestry_err vsi_microhttpd_capabilities_find(const vestry_host *host, vsi_microhttpd_capabilities *ret_capabilities) {
  vsi_microhttpd_capabilities found = {.refuses_odd = false};
  probe p;
  bool is_done = start(&p, true, false);
  if (is_done) {
    found.refuses_odd = takes_plain(&p) && refuses_odd(&p);
    is_done = stop(&p) && start(&p, false, true);
  }
  if (is_done) {
    found.keeps_heads = takes_plain(&p);
    found.finds_odd = found.keeps_heads && refuses_odd(&p);
    found.keeps_targets = keeps_targets(&p);
    is_done = stop(&p);
  }
  *ret_capabilities = found;
  if (is_done) return VESTRY_OK;
  vsi_log(host, VESTRY_LOG_ERROR,
          "vestry_microhttpd: cannot probe how libmicrohttpd %s reads heads: %s; raise the limit of descriptors "
          "(ulimit -n)",
          MHD_get_version(), strerror(errno));
  return VESTRY_IO;
}

vestry_err vsi_microhttpd_probe(vsi_microhttpd *adapter, bool is_strict, const char *advice) {
  vsi_microhttpd_capabilities found;
  vestry_err error = vsi_microhttpd_capabilities_find(adapter->host, &found);
  if (error) return error;
  const bool refuses = is_strict && found.refuses_odd;
  adapter->is_strict = found.refuses_odd || !found.finds_odd;
  adapter->measures_heads = !refuses && found.keeps_heads;
  adapter->attached.keeps_targets = found.keeps_targets;
  if (!refuses && !found.finds_odd)
    vsi_log(adapter->host, VESTRY_LOG_WARN,
            "libmicrohttpd %s accepts ambiguous request heads, and vestry cannot detect all of them; %s",
            MHD_get_version(), advice);
  return VESTRY_OK;
}
