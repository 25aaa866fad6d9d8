/* SPDX-License-Identifier: MIT */
/* The contract of adapters, for an adapter of libsoup 3. */
#include <glib-unix.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter.h"
#include "vestry/testing/contract.h"
#include "vestry/vestry.h"

enum { MAX_STREAMS = 64, STALLED_MS = 300000 };

/* A server with its loop in a thread, which creates and destroys both. */
typedef struct server {
  vestry *v;
  adapter *adapter;
  SoupServer *soup;
  GMainLoop *loop;
  uint32_t max_streams;
  uint64_t stalled_ms;
  uint16_t port;
  int order[2];     /* a pipe: 'i' reports that the loop is idle, 'e' ends it */
  atomic_uint idle; /* number of reports */
  pthread_t thread;
} server;

static gboolean on_order(gint descriptor, GIOCondition what, gpointer ctx) {
  server *s = ctx;
  char order = 'e';
  (void)what;
  if (read(descriptor, &order, 1) == 1 && order == 'i')
    atomic_fetch_add(&s->idle, 1);
  else
    g_main_loop_quit(s->loop);
  return G_SOURCE_CONTINUE;
}

static void listen_locally(server *s) {
  GInetAddress *loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
  GSocketAddress *address = g_inet_socket_address_new(loopback, 0);
  soup_server_listen(s->soup, address, 0, NULL);
  GSList *uris = soup_server_get_uris(s->soup);
  if (uris) s->port = (uint16_t)g_uri_get_port(uris->data);
  g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
  g_object_unref(address);
  g_object_unref(loopback);
}

static void *run(void *argument) {
  server *s = argument;
  GMainContext *context = g_main_context_new();
  g_main_context_push_thread_default(context);
  s->loop = g_main_loop_new(context, FALSE);
  s->soup = soup_server_new("raw-paths", TRUE, NULL);
  GSource *orders = g_unix_fd_source_new(s->order[0], G_IO_IN);
  g_source_set_callback(orders, G_SOURCE_FUNC(on_order), s, NULL);
  g_source_attach(orders, context);
  if (!adapter_create(s->v, s->soup, s->max_streams, s->stalled_ms, &s->adapter)) listen_locally(s);
  atomic_fetch_add(&s->idle, 1);
  g_main_loop_run(s->loop);
  if (s->adapter) adapter_destroy(s->adapter);
  soup_server_disconnect(s->soup);
  while (g_main_context_iteration(context, FALSE)) continue;
  g_object_unref(s->soup);
  g_source_destroy(orders);
  g_source_unref(orders);
  g_main_loop_unref(s->loop);
  g_main_context_pop_thread_default(context);
  g_main_context_unref(context);
  return NULL;
}

static vestry_err start(vestry *v, const vestry_contract_settings *settings, void **ret_server, uint16_t *ret_port) {
  server *s = calloc(1, sizeof *s);
  if (!s || pipe(s->order)) return VESTRY_IO;
  s->v = v;
  s->max_streams = settings->max_streams ? settings->max_streams : MAX_STREAMS;
  s->stalled_ms = settings->stalled_ms ? settings->stalled_ms : STALLED_MS;
  if (pthread_create(&s->thread, NULL, run, s)) return VESTRY_IO;
  while (!atomic_load(&s->idle)) poll(NULL, 0, 1);
  *ret_server = s;
  *ret_port = s->port;
  return s->port ? VESTRY_OK : VESTRY_IO;
}

static void give(server *s, char order) {
  if (write(s->order[1], &order, 1) != 1) abort();
}

static uint64_t open_streams(vestry *v) {
  vestry_stats stats = {0};
  vestry_stats_get(v, &stats);
  return stats.open_count;
}

/* vestry_close makes vestry answer 503 and abort the streams; the loop ends them. */
static vestry_err stop(void *ctx, uint64_t timeout_ms) {
  server *s = ctx;
  if (vestry_is_forked(s->v)) return VESTRY_CLOSED;
  const unsigned before = atomic_load(&s->idle);
  const gint64 begun_us = g_get_monotonic_time();
  vestry_close(s->v);
  give(s, 'i');
  while (atomic_load(&s->idle) == before || open_streams(s->v)) {
    if ((uint64_t)(g_get_monotonic_time() - begun_us) / 1000 > timeout_ms) return VESTRY_TIMEOUT;
    poll(NULL, 0, 1);
  }
  return VESTRY_OK;
}

static void destroy(void *ctx) {
  server *s = ctx;
  if (vestry_is_forked(s->v)) return; /* the loop and the sockets are the parent's */
  give(s, 'e');
  pthread_join(s->thread, NULL);
  close(s->order[0]);
  close(s->order[1]);
  free(s);
}

/* libsoup warns of each client that has gone already. */
static void drop(const char *domain, GLogLevelFlags level, const char *text, void *ctx) {
  (void)domain, (void)level, (void)text, (void)ctx;
}

int main(int argc, char **argv) {
  g_log_set_handler("libsoup", G_LOG_LEVEL_WARNING, drop, NULL);
  static const char paths[] = "GLib normalizes paths, before the adapter sees them";
  static const char lines[] = "libsoup drops lines of a head that it cannot read";
  static const char chunks[] = "libsoup takes an invalid size of a chunk for the end of the body";
  static const char lengths[] = "libsoup waits for the body of an invalid length";
  static const char times[] = "libsoup has no time-out for a request that does not arrive";
  static const char bodies[] = "libsoup passes a body on when it is complete";
  static const char limits[] = "libsoup has its own limit of a head";
  static const vestry_contract_exception exceptions[] = {
      {"wire/ambiguous_paths_are_refused", paths},
      {"wire/request_of_unclear_length_is_refused", lengths},
      {"heads/invalid_content_length_gets_one_response", lengths},
      {"wire/contradictory_framing_is_refused", chunks},
      {"wire/malformed_chunks_are_refused", chunks},
      {"wire/trickling_body_gets_408", times},
      {"wire/rest_of_a_refused_body_times_out", times},
      {"wire/heads_announce_whether_the_connection_is_kept", "libsoup closes after a 400 without announcing it"},
      {"wire/not_modified_has_no_body_and_no_other_length", "libsoup does not send the length of a 304"},
      {"hostile/ambiguous_heads_get_400", lines},
      {"hostile/ambiguous_targets_are_refused", paths},
      {"hostile/encoded_slashes_do_not_separate_segments", paths},
      {"hostile/characters_that_browsers_encode_reach_the_handler", paths},
      {"hostile/spaces_in_request_lines_are_refused", lines},
      {"hostile/unfinished_bodies_do_not_block_small_requests", bodies},
      {"hostile/lost_clients_hold_no_place", "GLib lets ten clients wait to be accepted"},
      {"readings", lines},
      {"uploads", bodies},
      {"resumed", bodies},
      {"heads/large_form_gets_exactly_one_response", limits},
      {"heads/head_at_the_limit_is_served_and_above_refused", limits},
      {"heads/head_far_over_the_limit_gets_one_response", limits},
      {NULL, NULL},
  };
  const vestry_contract_adapter contract = {
      .name = "libsoup 3",
      .start = start,
      .stop = stop,
      .destroy = destroy,
      .exceptions = exceptions,
      .patience_s = 60,
      .has_one_loop = true,
      .always_keeps = true,
      .closes_streams = true,
      .closes_broken = true,
      .breaks_queries = true,
      .refuses_itself = true,
  };
  return vestry_contract_run(&contract, argc > 1 ? argv[1] : NULL) ? 1 : 0;
}
