/* SPDX-License-Identifier: MIT */
/* A probe is a stream in a separate group, so that no counter of the instance includes it. Otherwise it is treated like
 * any stream of the instance: it has a queue, and the same threads run it and end it. Its event counts as delivered if
 * the transport, which discards all bytes, was given the whole event, and the stream has ended.
 *
 * A check begins a probe only if none is open, and waits for the open one otherwise. So stuck threads do not cause more
 * and more probes. */
#include <stdatomic.h>

#include "base/memory.h"
#include "ops/observe/inside.h"

enum { WAIT_MS = 1000 };

struct vsi_probe {
  vestry *v;
  vsi_group *group;
  vestry_event *event;
  /* relaxed: each value is used alone */
  _Atomic(uint64_t) begun_ns;   /* when the last probe was begun */
  _Atomic(uint64_t) lost_count; /* events that were discarded, as of the last check */
};

/* ------------------------------------------------------------------------------------------ transport ------------- */

static vestry_io sink_open(void *transport) {
  (void)transport;
  return VESTRY_IO_OK;
}
static vestry_io sink_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  (void)transport, (void)slices, (void)count, (void)ret_written;
  return VESTRY_IO_OK;
}
static void sink_end(void *transport, bool clean, vestry_cause cause) {
  (void)transport, (void)clean, (void)cause;
}
static void sink_release(void *transport) {
  (void)transport;
}
static const vestry_transport_ops sink = {
    .open = sink_open, .write = sink_write, .end = sink_end, .release = sink_release};

/* ------------------------------------------------------------------------------------------------- probe ---------- */

vestry_err vsi_probe_create(vestry *v, vsi_probe **ret_probe) {
  vsi_probe *probe = vsi_calloc(v->host, 1, sizeof *probe);
  if (!probe) return VESTRY_NO_MEMORY;
  probe->v = v;
  vestry_err error = vestry_event_effect(v->host, VESTRY_LIST("send-event", "probe"), &probe->event);
  const vestry_connection_options quiet = {.heartbeat_ms = VESTRY_NEVER_MS};
  if (!error) error = vsi_group_create(v->runtime, &quiet, &probe->group);
  if (error)
    vsi_probe_destroy(probe);
  else
    *ret_probe = probe;
  return error;
}

void vsi_probe_destroy(vsi_probe *probe) {
  if (!probe) return;
  if (probe->group) vsi_group_close(probe->group); /* its streams end when the runtime runs them, and then free it */
  vsi_group_unref(probe->group);
  vestry_event_unref(probe->event);
  vsi_free(probe->v->host, probe);
}

/* Create a stream with one event that ends after it. */
static vestry_err begin_probe(vsi_probe *probe) {
  vestry_connection *connection;
  vestry_err error = vsi_group_connect(probe->group, &sink, NULL, NULL, NULL, NULL, &connection);
  if (error) return error;
  atomic_store_explicit(&probe->begun_ns, vsi_now_ns(probe->v->host), memory_order_relaxed);
  vsi_connection_start(connection);
  error = vestry_connection_send(connection, probe->event);
  vestry_connection_close(connection, error ? VESTRY_CAUSE_ERROR : VESTRY_CAUSE_CLOSED);
  vestry_connection_unref(connection);
  return error;
}

/* Check that a probe is delivered; on a stepped runtime, which does not run meanwhile, that the previous one was, or is
 * not late. OK | TIMEOUT | FAILED (it was lost) | NO_MEMORY */
static vestry_err check_delivery(vsi_probe *probe) {
  vsi_group_stats stats;
  vsi_group_stats_get(probe->group, &stats);
  const bool was_open = stats.open > 0;
  const uint64_t begun_count = stats.opened + !was_open;
  vestry_err error = was_open ? VESTRY_OK : begin_probe(probe);
  if (error) return error;
  const uint64_t begun_ns = atomic_load_explicit(&probe->begun_ns, memory_order_relaxed);
  bool is_late = was_open && vsi_now_ns(probe->v->host) >= vsi_add_saturating(begun_ns, vsi_ms_to_ns(WAIT_MS));
  if (!vsi_runtime_is_stepped(probe->v->runtime)) {
    (void)vsi_group_wait(probe->group, WAIT_MS); /* its result is also about probes that other checks begin */
    vsi_group_stats_get(probe->group, &stats);
    is_late = stats.closed < begun_count;
  }
  if (is_late) return VESTRY_TIMEOUT;
  const uint64_t lost_count = atomic_exchange_explicit(&probe->lost_count, stats.discarded, memory_order_relaxed);
  return lost_count == stats.discarded ? VESTRY_OK : VESTRY_FAILED;
}

const char *vsi_probe_check(vsi_probe *probe) {
  if (vsi_instance_is_closing(probe->v)) return "closing\n";
  if (vsi_instance_is_draining(probe->v)) return "draining\n";
  switch (check_delivery(probe)) {
  case VESTRY_OK: return NULL;
  case VESTRY_TIMEOUT: return "probe not delivered within 1000 ms\n";
  case VESTRY_NO_MEMORY: return "out of memory for a probe\n";
  default: return "probe lost\n";
  }
}
