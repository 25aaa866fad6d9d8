/* SPDX-License-Identifier: MIT */
/* Connections on their way from the acceptor to the threads of libmicrohttpd.
 *
 * If a thread of libmicrohttpd has no memory for a connection, it closes the connection without a report. Therefore
 * arrivals are tracked by the numbers of their descriptors. The old connection was closed if the same number is
 * accepted again, or if no descriptor with this number is open any more. (If the application itself opens a descriptor
 * with this number, the connection stays counted until that descriptor is closed.) */
#include "adapter/microhttpd/arrivals.h"

#include <fcntl.h>

#include "base/array.h"
#include "base/memory.h"
#include "base/wait.h"

void vsi_microhttpd_arrivals_init(vsi_microhttpd_arrivals *arrivals, const vestry_host *host) {
  arrivals->host = host;
  vsi_mutex_init(&arrivals->lock, VSI_LOCK_MICROHTTPD_ARRIVALS);
  pthread_cond_init(&arrivals->fewer, NULL);
}

void vsi_microhttpd_arrivals_finish(vsi_microhttpd_arrivals *arrivals) {
  if (!arrivals->host) return;
  vsi_free(arrivals->host, arrivals->is_on_way);
  pthread_cond_destroy(&arrivals->fewer);
  vsi_mutex_finish(&arrivals->lock);
}

static vestry_err grow_locked(vsi_microhttpd_arrivals *arrivals, size_t least) {
  size_t before = arrivals->room;
  vestry_err error = VSI_ARRAY_RESERVE(arrivals->host, arrivals->is_on_way, 0, arrivals->room, least);
  if (!error) memset(arrivals->is_on_way + before, 0, arrivals->room - before);
  return error;
}

static void mark_locked(vsi_microhttpd_arrivals *arrivals, size_t fd, bool is_on_way) {
  if (arrivals->is_on_way[fd] == is_on_way) return;
  arrivals->is_on_way[fd] = is_on_way;
  /* relaxed: the count is only a number */
  atomic_fetch_add_explicit(&arrivals->on_way, is_on_way ? 1 : UINT32_MAX, memory_order_relaxed);
  if (!is_on_way && arrivals->is_awaited) pthread_cond_signal(&arrivals->fewer);
}

vestry_err vsi_microhttpd_arrivals_enter(vsi_microhttpd_arrivals *arrivals, int fd) {
  size_t at = (size_t)fd;
  vsi_mutex_lock(&arrivals->lock);
  vestry_err error = at < arrivals->room ? VESTRY_OK : grow_locked(arrivals, at + 1);
  if (!error) mark_locked(arrivals, at, true);
  vsi_mutex_unlock(&arrivals->lock);
  return error;
}

void vsi_microhttpd_arrivals_leave(vsi_microhttpd_arrivals *arrivals, int fd) {
  vsi_mutex_lock(&arrivals->lock);
  if ((size_t)fd < arrivals->room) mark_locked(arrivals, (size_t)fd, false);
  vsi_mutex_unlock(&arrivals->lock);
}

uint32_t vsi_microhttpd_arrivals_count(const vsi_microhttpd_arrivals *arrivals) {
  return atomic_load_explicit(&arrivals->on_way, memory_order_relaxed);
}

void vsi_microhttpd_arrivals_wait(vsi_microhttpd_arrivals *arrivals, uint32_t most, uint64_t most_ms) {
  if (vsi_microhttpd_arrivals_count(arrivals) < most) return;
  uint64_t until_ns = vsi_monotonic_in_ms(most_ms);
  bool waiting = true;
  vsi_mutex_lock(&arrivals->lock);
  arrivals->is_awaited = true;
  while (waiting && vsi_microhttpd_arrivals_count(arrivals) >= most)
    waiting = vsi_wait_until(&arrivals->fewer, &arrivals->lock, until_ns);
  arrivals->is_awaited = false;
  vsi_mutex_unlock(&arrivals->lock);
}

void vsi_microhttpd_arrivals_sweep(vsi_microhttpd_arrivals *arrivals) {
  vsi_mutex_lock(&arrivals->lock);
  for (size_t fd = 0; fd < arrivals->room && vsi_microhttpd_arrivals_count(arrivals); fd++)
    if (arrivals->is_on_way[fd] && fcntl((int)fd, F_GETFD) < 0) mark_locked(arrivals, fd, false);
  vsi_mutex_unlock(&arrivals->lock);
}
