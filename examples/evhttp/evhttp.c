/* SPDX-License-Identifier: MIT */
/* A program with a loop and a server of its own: all open pages show one number. evhttp [PORT] */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "vestry/vestry.h"

#define PORT_REMEDY "; choose another port: evhttp PORT, or end the program that listens there\n"

static vestry *v;

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  static const char html[] =
      "<!doctype html><title>evhttp</title><script type=\"module\" src=\"" VESTRY_DATASTAR_CDN_URL
      "\"></script><button data-signals:n=\"0\" data-init=\"@get('/live')\" data-text=\"$n\" "
      "data-on:click=\"@post('/more')\"></button>\n";
  (void)req, (void)ctx;
  return vestry_reply_body(reply, "text/html; charset=utf-8", html, sizeof html - 1);
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *n) {
  (void)req;
  vestry_reply_key(reply, VESTRY_KEY("pages"));
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", *(int *)n));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 1000);
}

static vestry_err more(const vestry_request *req, vestry_reply *reply, void *n) {
  (void)req, (void)reply;
  return vestry_dispatch(v, (vestry_scope){0}, VESTRY_KEY("pages"),
                         VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", ++*(int *)n)));
}

static void on_signal(evutil_socket_t number, short what, void *base) {
  (void)number, (void)what;
  vestry_close(v); /* from now on 503; browsers come back */
  event_base_loopexit(base, &(struct timeval){.tv_usec = 200000});
}

int main(int argc, char **argv) {
  const int port = argc > 1 ? atoi(argv[1]) : 8080;
  if (argc > 2 || port < 1 || port > UINT16_MAX) return fputs("Usage: evhttp [PORT]\n", stderr), 2;
  static int n;                /* the handlers run in one thread */
  (void)vestry_host_default(); /* before libevent opens descriptors: none of them gets the number of a closed stderr */
  adapter *a;
  struct event_base *base = event_base_new();
  struct evhttp *http = evhttp_new(base);
  struct event *ends = evsignal_new(base, SIGTERM, on_signal, base);
  struct event *breaks = evsignal_new(base, SIGINT, on_signal, base);
  if (vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v) || event_add(ends, NULL) ||
      event_add(breaks, NULL) || vestry_route(v, "GET", "/", page, NULL) || vestry_route(v, "GET", "/live", live, &n) ||
      vestry_route(v, "POST", "/more", more, &n) || adapter_create(v, base, http, 10000, 30000, &a))
    return fprintf(stderr, "evhttp: cannot start\n"), 1;
  if (evhttp_bind_socket(http, "127.0.0.1", (ev_uint16_t)port))
    return fprintf(stderr, "evhttp: cannot listen on 127.0.0.1:%d: %s" PORT_REMEDY, port, strerror(errno)), 1;
  printf("evhttp: http://127.0.0.1:%d\n", port), fflush(stdout);
  signal(SIGPIPE, SIG_IGN);
  evhttp_set_max_headers_size(http, 16384);
  evhttp_set_max_body_size(http, 1 << 20);
  evhttp_set_timeout(http, 30); /* for a head, a body and an answer that do not move */
  event_base_dispatch(base);
  adapter_destroy(a); /* before the server, which closes what is left */
  evhttp_free(http);
  vestry_destroy(v);
  event_free(ends);
  event_free(breaks);
  event_base_free(base);
  return 0;
}
