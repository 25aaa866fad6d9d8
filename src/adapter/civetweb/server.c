/* SPDX-License-Identifier: MIT */
/* A civetweb server created through vestry/server.h, and stopping any civetweb server without its delay of two
 * seconds. */
#include <civetweb.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter/civetweb/adapter.h"
#include "adapter/web/policy.h"
#include "base/held_log.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "vestry/civetweb.h"

enum { THREADS = 1024, THREADS_LEAST = 128, MOST_STREAMS = 100000, STOP_MS = 1000, HEAD_BYTES = 16384 };
enum { DOORS_MAX = 64, KNOCK_MS = 20, HOST_BYTES = 256 };

/* ------------------------------------------------------------------------------------------- stopping a server ---- */

/* mg_stop sets a flag and waits until the accepting thread sees it. That thread sleeps in a poll of two seconds, which
 * ends at once when a client connects. So while mg_stop waits, another thread connects to each port and closes. The
 * thread first waits for KNOCK_MS, so that mg_stop has set the flag: if civetweb accepts a client before, and no worker
 * takes it before, civetweb never closes the client's descriptor. */

typedef struct knocking {
  struct addrinfo *doors[DOORS_MAX]; /* addresses at which a client reaches the ports */
  size_t doors_count;
  int done; /* an eventfd, written when the server has stopped */
} knocking;

static void knock(const struct addrinfo *at) {
  int client = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (client < 0) return;
  /* The result does not matter: either the server no longer listens, or its thread was woken. */
  int connected = connect(client, at->ai_addr, at->ai_addrlen);
  (void)connected;
  close(client);
}

static void *keep_knocking(void *argument) {
  const knocking *all = argument;
  struct pollfd done = {.fd = all->done, .events = POLLIN};
  while (poll(&done, 1, KNOCK_MS) <= 0)
    for (size_t i = 0; i < all->doors_count; i++) knock(all->doors[i]);
  return NULL;
}

/* Get the host part of an entry of listening_ports; "" if it has none: "8080", "+8080", "10.0.0.1:80", "[::1]:80s",
 * "localhost:80". */
static void read_host(const char *entry, size_t len, char host[HOST_BYTES]) {
  snprintf(host, HOST_BYTES, "%.*s", (int)len, entry);
  char *colon = strrchr(host, ':');
  size_t host_len = colon ? (size_t)(colon - host) : 0;
  host[host_len] = '\0';
  if (host_len < 2 || host[0] != '[' || host[host_len - 1] != ']') return;
  memmove(host, host + 1, host_len - 2);
  host[host_len - 2] = '\0';
}

/* Find the addresses of all ports: the port's own, or the loopback address. A connection to the address of all
 * interfaces reaches this machine. civetweb starts only if it could open every entry of its list, so the ports are in
 * the order of the entries. */
static void find_doors(knocking *all, const struct mg_context *server) {
  struct mg_server_port ports[DOORS_MAX];
  int ports_count = mg_get_server_ports(server, DOORS_MAX, ports);
  const char *entry = mg_get_option(server, "listening_ports");
  for (int i = 0; i < ports_count; i++) {
    entry += strspn(entry, " \t,");
    size_t len = strcspn(entry, " \t,");
    char host[HOST_BYTES], service[16];
    read_host(entry, len, host);
    snprintf(service, sizeof service, "%d", ports[i].port);
    const struct addrinfo hints = {.ai_family = ports[i].protocol == 3 ? AF_INET6 : AF_INET,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV};
    if (getaddrinfo(*host ? host : NULL, service, &hints, &all->doors[all->doors_count]) == 0) all->doors_count++;
    entry += len;
  }
}

void vestry_civetweb_stop_server(struct mg_context *server) {
  if (!server) return;
  knocking all = {.done = eventfd(0, EFD_CLOEXEC)};
  find_doors(&all, server);
  pthread_t thread;
  /* Without the thread the stop takes two seconds. */
  const bool knocks = all.done >= 0 && !vsi_thread_start(NULL, &thread, "vestry-knock", keep_knocking, &all);
  mg_stop(server);
  if (knocks) {
    eventfd_write(all.done, 1);
    pthread_join(thread, NULL);
  }
  if (all.done >= 0) close(all.done);
  for (size_t i = 0; i < all.doors_count; i++) freeaddrinfo(all.doors[i]);
}

/* ------------------------------------------------------------------------------------------ a server of vestry ---- */

typedef struct own_server {
  vestry_server base;
  vestry *v;
  const vestry_host *host;
  vestry_civetweb_options options;
  struct mg_context *server;
  vestry_server *inside; /* NULL: its creation failed */
  vestry_err error;      /* of the adapter's creation */
  atomic_bool started, complained;
  vsi_repeated_log repeated; /* lines of civetweb, which clients can cause */
} own_server;

/* Return the error number in a message of civetweb: "cannot bind to 127.0.0.1:80: 13 (Permission denied)". */
static int errno_in(const char *message) {
  const char *number = strstr(message, ": ");
  return number ? (int)strtol(number + 2, NULL, 10) : 0;
}

static int log_message(const struct mg_connection *conn, const char *message) {
  own_server *own = mg_get_user_data(mg_get_context(conn));
  if (!own) return 1;
  /* Only the first line contains the reason of a failed start; the following lines only report the failure. */
  bool is_first = !atomic_exchange(&own->complained, true), is_up = atomic_load(&own->started);
  if (!is_first && !is_up) return 1;
  const char *helps = strncmp(message, "cannot ", 7) == 0 ? vsi_web_listen_advice(errno_in(message)) : "";
  if (is_up)
    vsi_log_repeated(own->host, &own->repeated, 0, VESTRY_LOG_WARN, "civetweb: %s", message);
  else
    vsi_log(own->host, VESTRY_LOG_ERROR, "vestry_server_civetweb: %s%s%s", message, *helps ? "; " : "", helps);
  return 1;
}

/* Called when civetweb listens, but answers no request yet. */
static void add_vestry(const struct mg_context *context) {
  own_server *own = mg_get_user_data(context);
  own->error = vestry_civetweb_create(own->v, (struct mg_context *)(uintptr_t)context, &own->options, &own->inside);
}

static void destroy(vestry_server *server) {
  own_server *own = (own_server *)server;
  if (vsi_server_may_wait(own->v, "vestry_server_destroy")) return; /* a parent's threads belong to the parent */
  if (own->inside) (void)vestry_server_stop(own->inside, STOP_MS);
  vestry_civetweb_stop_server(own->server);
  vestry_server_destroy(own->inside);
  vsi_free(own->host, own);
}

/* Return the number of threads, each of which is a stream. Without a wish it is as many as the descriptors permit. */
static uint32_t count_threads(const vestry_server_options *options) {
  if (options->threads_count) return options->threads_count;
  if (!options->max_streams) return vsi_civetweb_threads_possible(THREADS_LEAST, THREADS);
  uint32_t count = options->max_streams + 1;
  while (count - vsi_civetweb_reserve(0, count) < options->max_streams) count++;
  return count;
}

static vestry_err listen_on(own_server *own, const vestry_server_options *options) {
  char place[64], threads[16], head[24], why[256];
  bool is_six = strchr(options->address, ':');
  snprintf(place, sizeof place, is_six ? "[%s]:%u" : "%s:%u", options->address, options->port);
  snprintf(threads, sizeof threads, "%u", count_threads(options));
  snprintf(head, sizeof head, "%zu", options->max_head_bytes ? options->max_head_bytes : HEAD_BYTES);
  /* clang-format off */
  const char *const settings[] = {
      "listening_ports", place,
      "num_threads", threads, /* each stream has a thread for its life */
      "connection_queue", threads,
      "listen_backlog", "4096", /* if it is full, a client waits a second */
      "decode_url", "no", /* decoding would lose the path as sent */
      "enable_auth_domain_check", "no", /* otherwise "GET http://HOST/" gets no answer if HOST is not mydomain.com */
      "tcp_nodelay", "1", /* otherwise small patches wait for 40 ms */
      "max_request_size", head,
      "request_timeout_ms", "10000", /* maximum stall of a client */
      NULL};
  /* clang-format on */
  vestry_err error = vestry_civetweb_check(settings, why, sizeof why);
  if (error == VESTRY_LIMIT && !options->threads_count && !options->max_streams) { /* the number is only the default */
    snprintf(threads, sizeof threads, "%u", THREADS_LEAST);
    error = vestry_civetweb_check(settings, why, sizeof why);
  }
  if (error) {
    vsi_log(own->host, VESTRY_LOG_ERROR, "vestry_server_civetweb: %s", why);
    return error;
  }
  const struct mg_callbacks callbacks = {
      .log_message = log_message, .init_context = add_vestry, .http_error = vestry_civetweb_http_error};
  own->server = mg_start(&callbacks, own, (const char **)(uintptr_t)settings);
  if (!own->server) return VESTRY_IO;
  atomic_store(&own->started, true);
  struct mg_server_port bound;
  if (mg_get_server_ports(own->server, 1, &bound) == 1) own->base.port = (uint16_t)bound.port;
  return own->error;
}

static vestry_err start(vestry *v, const vestry_server_options *options, vestry_server **ret_server) {
  const vestry_host *host = vestry_parts_of(v)->host;
  if (options->unix_path || options->tls_key) {
    vsi_log(host, VESTRY_LOG_ERROR,
            "civetweb: this adapter supports neither UNIX sockets nor TLS; use libmicrohttpd, or a proxy");
    return VESTRY_UNSUPPORTED;
  }
  const vsi_option_range max_streams = {"max_streams", options->max_streams, 1, MOST_STREAMS};
  if (vsi_option_ranges_check(host, "vestry_server_civetweb", &max_streams, 1)) return VESTRY_INVALID;
  own_server *own = vsi_calloc(host, 1, sizeof *own);
  if (!own) return VESTRY_NO_MEMORY;
  own->base = (vestry_server){.adapter = &vestry_server_civetweb};
  own->v = v;
  own->host = host;
  own->options = (vestry_civetweb_options){.max_per_address = options->max_per_address, .answers_all = true};
  vestry_err error = listen_on(own, options);
  if (error)
    destroy(&own->base);
  else
    *ret_server = &own->base;
  return error;
}

static vestry_err stop(vestry_server *server, uint64_t timeout_ms) {
  return vestry_server_stop(((own_server *)server)->inside, timeout_ms);
}

static void room(vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vestry_server_room(((own_server *)server)->inside, ret_streams, ret_capacity);
}

const vestry_server_adapter vestry_server_civetweb = {
    .name = "civetweb",
    .start = start,
    .stop = stop,
    .destroy = destroy,
    .room = room,
};
