/* SPDX-License-Identifier: MIT */
/* A probe is a stream in a separate group, so that no counter of the instance includes it. Otherwise it is treated like
 * any stream of the instance: it has a queue, and the same threads run it and end it. Its event counts as delivered if
 * the transport, which discards all bytes, was given the whole event, and the stream ended cleanly.
 *
 * A late probe is kept, and the next check waits for it. So stuck threads do not cause more and more probes. Checks
 * that run at the same time may each begin a probe, MOST at most. */
#include <stdatomic.h>
#include <stdio.h>

#include "base/memory.h"
#include "ops/observe/inside.h"

enum { DEFAULT_WAIT_MS = 1000, MOST = 16 };

struct vsi_probe {
  vestry *v;
  vsi_group *group;
  vestry_event *event;
  uint32_t wait_ms;
  _Atomic(vestry_connection *) late; /* a reference; NULL: none. Taken and put back by exchanges: see swap_late */
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

vestry_err vsi_probe_create(vestry *v, uint32_t wait_ms, vsi_probe **ret_probe) {
  vsi_probe *probe = vsi_calloc(v->host, 1, sizeof *probe);
  if (!probe) return VESTRY_NO_MEMORY;
  probe->v = v;
  probe->wait_ms = wait_ms ? wait_ms : DEFAULT_WAIT_MS;
  atomic_init(&probe->late, NULL);
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
  vestry_connection_unref(atomic_load_explicit(&probe->late, memory_order_relaxed));
  if (probe->group) vsi_group_close(probe->group); /* its streams end when the runtime runs them, and then free it */
  vsi_group_unref(probe->group);
  vestry_event_unref(probe->event);
  vsi_free(probe->v->host, probe);
}

/* Create a stream with one event that ends after it. OK | LIMIT (too many are late) | NO_MEMORY */
static vestry_err begin(vsi_probe *probe, vestry_connection **ret_connection) {
  vsi_group_stats stats;
  vsi_group_stats_get(probe->group, &stats);
  if (stats.open >= MOST) return VESTRY_LIMIT;
  vestry_connection *connection = NULL;
  vestry_err error = vsi_group_connect(probe->group, &sink, NULL, NULL, NULL, NULL, &connection);
  if (error) return error;
  vsi_connection_start(connection);
  error = vestry_connection_send(connection, probe->event);
  vestry_connection_close(connection, error ? VESTRY_CAUSE_ERROR : VESTRY_CAUSE_CLOSED);
  if (error)
    vestry_connection_unref(connection);
  else
    *ret_connection = connection;
  return error;
}

static bool has_ended(const vestry_connection *connection) {
  return vsi_connection_state(connection) == VESTRY_STATE_CLOSED;
}

static bool is_delivered(const vestry_connection *connection) {
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(connection, &stats);
  return stats.cause == VESTRY_CAUSE_CLOSED && stats.written_count == 1;
}

static bool is_late(const vsi_probe *probe, const vestry_connection *connection) {
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(connection, &stats);
  const uint64_t now = vsi_now_ns(probe->v->host);
  return now >= vsi_add_saturating(stats.opened_ns, vsi_ms_to_ns(probe->wait_ms));
}

/* acq_rel: the thread that takes the stream sees it as the thread that put it back. */
static vestry_connection *swap_late(vsi_probe *probe, vestry_connection *connection) {
  return atomic_exchange_explicit(&probe->late, connection, memory_order_acq_rel);
}

/* Check a probe of this thread, and drop it or keep it for the next check. OK | TIMEOUT | FAILED (it was lost) */
static vestry_err judge(vsi_probe *probe, vestry_connection *connection, bool is_stepped) {
  if (has_ended(connection)) {
    const vestry_err error = is_delivered(connection) ? VESTRY_OK : VESTRY_FAILED;
    vestry_connection_unref(connection);
    if (is_stepped && !begin(probe, &connection)) vestry_connection_unref(swap_late(probe, connection));
    return error;
  }
  const bool is_pending = is_stepped && !is_late(probe, connection);
  vestry_connection_unref(swap_late(probe, connection));
  return is_pending ? VESTRY_OK : VESTRY_TIMEOUT;
}

static vestry_err deliver(vsi_probe *probe) {
  const bool is_stepped = vsi_runtime_is_stepped(probe->v->runtime);
  vestry_connection *connection = swap_late(probe, NULL);
  vestry_err error = connection ? VESTRY_OK : begin(probe, &connection);
  if (error) return error;
  if (!is_stepped) (void)vsi_group_wait(probe->group, probe->wait_ms); /* its result is not about this probe alone */
  return judge(probe, connection, is_stepped);
}

bool vsi_probe_is_ready(vsi_probe *probe, char *why, size_t room) {
  if (vsi_instance_is_closing(probe->v)) return snprintf(why, room, "closing\n"), false;
  if (vsi_instance_is_draining(probe->v)) return snprintf(why, room, "draining\n"), false;
  switch (deliver(probe)) {
  case VESTRY_OK: return snprintf(why, room, "ready\n"), true;
  case VESTRY_TIMEOUT: snprintf(why, room, "probe not delivered within %u ms\n", (unsigned)probe->wait_ms); break;
  case VESTRY_LIMIT: snprintf(why, room, "%d earlier probes not delivered yet\n", MOST); break;
  case VESTRY_NO_MEMORY: snprintf(why, room, "out of memory for a probe\n"); break;
  default: snprintf(why, room, "probe lost\n"); break;
  }
  return false;
}
