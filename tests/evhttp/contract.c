/* SPDX-License-Identifier: MIT */
/* The contract of adapters, for the adapter of examples/evhttp. */
#include <event2/event.h>
#include <event2/http.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include "adapter.h"
#include "vestry/testing/contract.h"
#include "vestry/vestry.h"

enum { MAX_STREAMS = 64, SILENT_MS = 600000, STALLED_MS = 300000, BODY_BYTES = 1 << 20, HEAD_BYTES = 16384 };

/* A server with its loop in a thread. */
typedef struct server {
  vestry *v;
  adapter *adapter;
  struct event_base *base;
  struct evhttp *http;
  struct event *orders;
  int order[2];     /* a pipe: 'i' reports that the loop is idle, 'e' ends it */
  atomic_uint idle; /* number of reports */
  pthread_t thread;
} server;

static void on_order(evutil_socket_t descriptor, short what, void *ctx) {
  server *s = ctx;
  char order = 'e';
  (void)what;
  if (read(descriptor, &order, 1) == 1 && order == 'i')
    atomic_fetch_add(&s->idle, 1);
  else
    event_base_loopbreak(s->base);
}

static void *run(void *ctx) {
  event_base_dispatch(((server *)ctx)->base);
  return NULL;
}

static void give(server *s, char order) {
  if (write(s->order[1], &order, 1) != 1) abort();
}

static uint16_t listen_on_free_port(struct evhttp *http) {
  struct sockaddr_in at;
  socklen_t len = sizeof at;
  struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
  if (!bound || getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&at, &len)) return 0;
  return ntohs(at.sin_port);
}

static vestry_err start(vestry *v, const vestry_contract_settings *settings, void **ret_server, uint16_t *ret_port) {
  server *s = calloc(1, sizeof *s);
  const uint64_t silent_ms = settings->silent_ms ? settings->silent_ms : SILENT_MS;
  const uint64_t stalled_ms = settings->stalled_ms ? settings->stalled_ms : STALLED_MS;
  const struct timeval silent = {.tv_sec = (time_t)(silent_ms / 1000),
                                 .tv_usec = (suseconds_t)(silent_ms % 1000 * 1000)};
  if (!s || pipe(s->order)) return VESTRY_IO;
  s->v = v;
  s->base = event_base_new();
  s->http = evhttp_new(s->base);
  s->orders = event_new(s->base, s->order[0], EV_READ | EV_PERSIST, on_order, s);
  event_add(s->orders, NULL);
  evhttp_set_max_body_size(s->http, (ev_ssize_t)(settings->max_body_bytes ? settings->max_body_bytes : BODY_BYTES));
  evhttp_set_max_headers_size(s->http, (ev_ssize_t)(settings->max_head_bytes ? settings->max_head_bytes : HEAD_BYTES));
  evhttp_set_timeout_tv(s->http, &silent);
  vestry_err error = adapter_create(v, s->base, s->http, settings->max_streams ? settings->max_streams : MAX_STREAMS,
                                    (unsigned)stalled_ms, &s->adapter);
  *ret_port = listen_on_free_port(s->http);
  *ret_server = s;
  return error || pthread_create(&s->thread, NULL, run, s) ? VESTRY_IO : VESTRY_OK;
}

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t open_streams(const vestry *v) {
  vestry_stats stats = {0};
  vestry_stats_get((vestry *)(uintptr_t)v, &stats);
  return stats.open_count;
}

/* vestry_close makes vestry answer 503 and abort the streams; the loop ends them. */
static vestry_err stop(void *ctx, uint64_t timeout_ms) {
  server *s = ctx;
  if (vestry_is_forked(s->v)) return VESTRY_CLOSED;
  const unsigned before = atomic_load(&s->idle);
  const uint64_t begun_ms = now_ms();
  vestry_close(s->v);
  give(s, 'i');
  for (;;) {
    const bool is_over = atomic_load(&s->idle) != before && !open_streams(s->v);
    if (is_over) return VESTRY_OK;
    if (now_ms() - begun_ms > timeout_ms) return VESTRY_TIMEOUT;
    poll(NULL, 0, 1);
  }
}

static void destroy(void *ctx) {
  server *s = ctx;
  if (vestry_is_forked(s->v)) return; /* the loop and the sockets are the parent's */
  give(s, 'e');
  pthread_join(s->thread, NULL);
  adapter_destroy(s->adapter);
  evhttp_free(s->http);
  event_free(s->orders);
  event_base_free(s->base);
  close(s->order[0]);
  close(s->order[1]);
  free(s);
}

/* Folded lines are joined, a NUL ends a value, chunks may have odd sizes (the connection closes after them), and blanks
 * around the version are skipped. */
static bool is_blind_to(const char *text, size_t len) {
  const char *version = memmem(text, len, " HTTP/", 6);
  const bool is_odd = version && text + len - version > 10 && version[9] != '\r' && version[9] != '\n';
  return is_odd || memmem(text, len, "\n ", 2) || memmem(text, len, "\n\t", 2) || memchr(text, '\0', len) ||
         memmem(text, len, "chunked", 7);
}

int main(int argc, char **argv) {
  static const vestry_contract_exception exceptions[] = {
      {"wire/trickling_body_gets_408", "evhttp limits the time between two reads, not the time of a body"},
      {"wire/rest_of_a_refused_body_times_out", "evhttp limits the time between two reads, not the time of a body"},
      {"hostile/spaces_in_request_lines_are_refused", "evhttp skips blanks after the version"},
      {"hostile/unfinished_bodies_do_not_block_small_requests", "vestry does not see bodies before their end"},
      {"heads/head_at_the_limit_is_served_and_above_refused", "evhttp does not count the ends of lines"},
      {"uploads", "evhttp passes a body on when it is complete"},
      {"resumed", "evhttp passes a body on when it is complete"},
      {NULL, NULL},
  };
  const vestry_contract_adapter contract = {
      .name = "evhttp",
      .start = start,
      .stop = stop,
      .destroy = destroy,
      .exceptions = exceptions,
      .patience_s = 60,
      .has_one_loop = true,
      .closes_broken = true,
      .always_keeps = true,
      .closes_streams = true,
      .takes_feeds = true,
      .joins_folds = true,
      .cuts_at_nul = true,
      .refuses_itself = true,
      .is_blind_to = is_blind_to,
  };
  return vestry_contract_run(&contract, argc > 1 ? argv[1] : NULL) ? 1 : 0;
}
