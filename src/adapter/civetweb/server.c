/* SPDX-License-Identifier: MIT */
/* Stopping a civetweb server without its delay of two seconds.
 *
 * mg_stop sets a flag and waits until the accepting thread sees it. That thread sleeps in a poll of two seconds, which
 * ends at once when a client connects. So while mg_stop waits, another thread connects to each port and closes. It
 * starts a moment after mg_stop was called, because civetweb never closes the descriptor of a client that is accepted
 * before the flag is set and is not taken by a worker before that. */
#include <arpa/inet.h>
#include <civetweb.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread.h"
#include "base/wait.h"
#include "vestry/civetweb.h"

enum { DOORS_MAX = 64, KNOCK_MS = 20 };

typedef struct door {
  struct sockaddr_storage address;
  socklen_t len;
} door;

typedef struct knocking {
  door doors[DOORS_MAX];
  size_t doors_count;
  vsi_mutex lock;
  pthread_cond_t done;
  bool is_done; /* guarded by lock */
} knocking;

static void knock(const door *at) {
  int client = socket(at->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (client < 0) return;
  /* The result does not matter: either the server no longer listens, or its thread was woken. */
  int connected = connect(client, (const struct sockaddr *)&at->address, at->len);
  (void)connected;
  close(client);
}

static void *keep_knocking(void *argument) {
  knocking *all = argument;
  vsi_mutex_lock(&all->lock);
  while (!all->is_done) {
    (void)vsi_wait_until(&all->done, &all->lock, vsi_monotonic_in_ms(KNOCK_MS));
    if (all->is_done) break;
    vsi_mutex_unlock(&all->lock);
    for (size_t i = 0; i < all->doors_count; i++) knock(&all->doors[i]);
    vsi_mutex_lock(&all->lock);
  }
  vsi_mutex_unlock(&all->lock);
  return NULL;
}

/* Get the host part of an entry of listening_ports; "" if it has none: "8080", "+8080", "10.0.0.1:80", "[::1]:80s",
 * "localhost:80". */
static void read_host(const char *entry, size_t len, char *host, size_t capacity) {
  size_t begin = 0, end = len;
  while (end && entry[end - 1] != ':') end--;
  if (end) end--; /* the colon */
  if (end >= 2 && entry[0] == '[' && entry[end - 1] == ']') {
    begin++;
    end--;
  }
  snprintf(host, capacity, "%.*s", (int)(end - begin), entry + begin);
}

/* Find the address at which a client reaches a port: the port's own, or the loopback address if it listens on all. */
static bool find_door(const char *host, const struct mg_server_port *port, door *ret_door) {
  int family = port->protocol == 3 ? AF_INET6 : AF_INET;
  const char *loopback = family == AF_INET6 ? "::1" : "127.0.0.1";
  if (!*host || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) host = loopback;
  char service[16];
  snprintf(service, sizeof service, "%d", port->port);
  const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
  struct addrinfo *found = NULL;
  if (getaddrinfo(host, service, &hints, &found) != 0) return false;
  memcpy(&ret_door->address, found->ai_addr, found->ai_addrlen);
  ret_door->len = found->ai_addrlen;
  freeaddrinfo(found);
  return true;
}

/* Find the addresses of all ports. civetweb starts only if it could open every entry of its list, so the ports are in
 * the order of the entries. */
static void find_doors(knocking *all, const struct mg_context *server) {
  struct mg_server_port ports[DOORS_MAX];
  int ports_count = mg_get_server_ports(server, DOORS_MAX, ports);
  const char *entry = mg_get_option(server, "listening_ports");
  for (int i = 0; i < ports_count; i++) {
    entry += strspn(entry, " \t,");
    size_t len = strcspn(entry, " \t,");
    char host[256];
    read_host(entry, len, host, sizeof host);
    if (find_door(host, &ports[i], &all->doors[all->doors_count])) all->doors_count++;
    entry += len;
  }
}

void vestry_civetweb_stop_server(struct mg_context *server) {
  if (!server) return;
  knocking all = {.doors_count = 0};
  find_doors(&all, server);
  vsi_mutex_init(&all.lock, VSI_LOCK_CIVETWEB_KNOCKS);
  pthread_cond_init(&all.done, NULL);
  pthread_t thread;
  bool knocks =
      !vsi_thread_start(NULL, &thread, "vestry-knock", keep_knocking, &all); /* otherwise the stop takes 2 s */
  mg_stop(server);
  vsi_mutex_lock(&all.lock);
  all.is_done = true;
  pthread_cond_signal(&all.done);
  vsi_mutex_unlock(&all.lock);
  if (knocks) pthread_join(thread, NULL);
  pthread_cond_destroy(&all.done);
  vsi_mutex_finish(&all.lock);
}
