/* SPDX-License-Identifier: MIT */
/* essay: peers that are gone, detected through the kernel */
/* The watch reads the kernel's table of sockets, and closes the streams whose peers are gone.
 *
 * civetweb notices that a peer is gone only when a write fails, which is the second write after it: with heartbeats
 * that takes half a minute. It gives no access to its sockets. But the kernel lists the sockets of a port to every
 * process, so a timer reads the list for all streams at once. A peer that has closed its side, or whose socket no
 * longer exists, has hung up, because browsers do not half-close. A peer that leaves bytes unacknowledged for too long
 * is lost.
 *
 * A round runs on a pool thread and blocks on nothing but memory. With cold caches it takes 2 ms, which is the walk
 * through the kernel's table of 262,144 chains, and 1 ms more for each 1,000 sockets. */
#include "adapter/civetweb/watch.h"

#include "base/log.h"
#include "base/memory.h"

struct vsi_civetweb_watch {
  const vestry_host *host;
  vsi_civetweb_dedicated *dedicated;
  vestry_timer *timer;
  uint64_t lost_ns;
  uint64_t now_ns; /* time of the round */
  bool warned;     /* of the rounds */
  vsi_civetweb_kernel kernel;
};

static void see(const vsi_civetweb_socket *socket, void *ctx) {
  vsi_civetweb_watch *watch = ctx;
  vsi_civetweb_dedicated_see(watch->dedicated, socket, watch->now_ns, watch->lost_ns);
}

static void look(vestry_timer *timer, void *ctx) {
  (void)timer;
  vsi_civetweb_watch *watch = ctx;
  if (!vsi_civetweb_dedicated_begin(watch->dedicated)) return;
  watch->now_ns = vsi_now_ns(watch->host);
  vestry_err error = vsi_civetweb_kernel_dump(&watch->kernel, VSI_CIVETWEB_CONNECTED, see, watch);
  /* A dump can miss a socket if a neighbour in the table is removed meanwhile. So a peer is gone only if two dumps miss
   * it. */
  if (!error && vsi_civetweb_dedicated_unseen(watch->dedicated))
    error = vsi_civetweb_kernel_dump(&watch->kernel, VSI_CIVETWEB_CONNECTED, see, watch);
  if (!error) {
    vsi_civetweb_dedicated_close(watch->dedicated);
  } else if (!watch->warned) {
    watch->warned = true;
    vsi_log(watch->host, VESTRY_LOG_WARN,
            "civetweb: cannot read the state of sockets from the kernel; lost peers may be detected later");
  }
}

typedef struct listeners {
  const vsi_civetweb_port *ports;
  size_t ports_count, found_count;
} listeners;

static void count_listener(const vsi_civetweb_socket *socket, void *ctx) {
  listeners *all = ctx;
  for (size_t i = 0; i < all->ports_count; i++)
    if (all->ports[i].number == socket->peer.server_port) {
      all->found_count++;
      return;
    }
}

/* Return whether the kernel shows the server's sockets. A missing socket is evidence only if it does; from another
 * network namespace, for example, it does not. Each port has at least one listening socket, so look for those. */
static bool is_told(vsi_civetweb_watch *watch, const vsi_civetweb_port *ports, size_t ports_count) {
  listeners all = {ports, ports_count, 0};
  return vsi_civetweb_kernel_dump(&watch->kernel, VSI_CIVETWEB_LISTENING, count_listener, &all) == VESTRY_OK &&
         all.found_count >= ports_count;
}

vestry_err vsi_civetweb_watch_create(vestry_runtime *runtime, const vestry_host *host,
                                     vsi_civetweb_dedicated *dedicated, const vsi_civetweb_port *ports,
                                     size_t ports_count, uint64_t watch_ms, uint64_t lost_ms,
                                     vsi_civetweb_watch **ret_watch) {
  vsi_civetweb_watch *watch = vsi_calloc(host, 1, sizeof *watch);
  if (!watch) return VESTRY_NO_MEMORY;
  watch->host = host;
  watch->dedicated = dedicated;
  watch->lost_ns = vsi_ms_to_ns(lost_ms);
  vsi_civetweb_kernel_init(&watch->kernel, ports, ports_count);
  if (!ports_count || !is_told(watch, ports, ports_count)) {
    vsi_log(host, VESTRY_LOG_WARN,
            "civetweb: the kernel does not report the state of the server's sockets; a lost peer is detected by the "
            "second heartbeat after the loss");
    vsi_civetweb_watch_destroy(watch);
    *ret_watch = NULL;
    return VESTRY_OK;
  }
  vestry_err error = vestry_timer_create(runtime, look, watch, &watch->timer);
  if (!error) error = vestry_timer_set(watch->timer, watch_ms, watch_ms);
  if (error) {
    vsi_civetweb_watch_destroy(watch);
    return error;
  }
  *ret_watch = watch;
  return VESTRY_OK;
}

void vsi_civetweb_watch_destroy(vsi_civetweb_watch *watch) {
  if (!watch) return;
  vestry_timer_destroy(watch->timer);
  vsi_civetweb_kernel_finish(&watch->kernel);
  vsi_free(watch->host, watch);
}
