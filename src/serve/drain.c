/* SPDX-License-Identifier: MIT */
/* essay: sending all streams away evenly, so that they come back evenly */
/* Draining.
 *
 * Pace. The timer uses the clock and not the number of its calls: of N streams, N × elapsed / window must be gone, and
 * each tick sends away the streams that are missing from this number. So late ticks lose nothing, and no second exceeds
 * its share by more than the share of one tick. Streams that end by themselves leave their share unused, so the drain
 * is over sooner, but never faster.
 *
 * Return of clients. The client of the k-th stream is to return at the time (end of the window + pause + window ×
 * frac(k φ)), where φ is the golden ratio. Multiples of φ modulo 1 are spread evenly for any count (Knuth, The Art of
 * Computer Programming, vol. 3, section 6.4). So clients that left together do not come back together, and clients that
 * come back in the same second left at many different times. No randomness is needed, and a test can measure the
 * evenness.
 *
 * Threads. The drain is published once and lives as long as the instance. Only the timer changes the pace, and it never
 * runs on two threads at once; other threads read constants and atomics. */
#include "vestry/drain.h"

#include "base/log.h"
#include "base/memory.h"
#include "connection/send.h"
#include "event/layout.h"
#include "instance/elsewhere.h"
#include "serve/inside.h"

/* Number of ticks of a window, so that one tick's share is small compared with a second's. */
enum { TICKS = 256, MAX_TICK_MS = 50, SHORTEST_RETURN_MS = 1000 };
#define GOLDEN UINT32_C(2654435769) /* 2^32 / φ */

typedef struct vsi_drain {
  vestry *v;
  vestry_timer *timer;
  uint64_t begun_ns, window_ms, tick_ms;
  _Atomic(uint64_t) streams_count, sent_count; /* relaxed: counters only */
  /* Used by the timer only. */
  vsi_group_walk walk;
  uint64_t met_count;
  uint64_t left_ms; /* rest of the window at this tick */
  uint32_t number;  /* of the next stream */
} vsi_drain;

static vsi_drain *drain_of(vestry *v) {
  return atomic_load_explicit(&v->drain, memory_order_acquire); /* pairs with the exchange in vestry_drain */
}

static uint64_t elapsed_ms(const vsi_drain *drain) {
  uint64_t now_ns = vsi_now_ns(drain->v->host);
  return now_ns > drain->begun_ns ? (now_ns - drain->begun_ns) / VSI_NS_PER_MS : 0;
}

static uint64_t pause_ms(const vsi_drain *drain) {
  return (uint64_t)drain->v->retry_after_s * 1000;
}

static void send_off(vestry_connection *connection, void *ctx) {
  vsi_drain *drain = ctx;
  if (!vestry_connection_is_open(connection)) return;
  uint64_t spread_ms = drain->window_ms < SHORTEST_RETURN_MS ? SHORTEST_RETURN_MS : drain->window_ms;
  uint64_t place = drain->number++ * GOLDEN; /* modulo 2^32 */
  uint64_t retry_ms = drain->left_ms + pause_ms(drain) + ((spread_ms * place) >> 32);
  if (vsi_connection_send_off(connection, vsi_browser_ms(retry_ms)))
    atomic_fetch_add_explicit(&drain->sent_count, 1, memory_order_relaxed);
}

/* The function of the timer: close the streams that must be gone by now. The last tick is at the end of the window. */
static void send_some_off(vestry_timer *timer, void *ctx) {
  vsi_drain *drain = ctx;
  uint64_t elapsed = elapsed_ms(drain), window = drain->window_ms;
  uint64_t total = atomic_load_explicit(&drain->streams_count, memory_order_relaxed);
  drain->left_ms = elapsed < window ? window - elapsed : 0;
  uint64_t due = elapsed < window ? total / window * elapsed + total % window * elapsed / window : total;
  if (due > drain->met_count) {
    size_t limit = (size_t)(due - drain->met_count);
    size_t met = vsi_group_walk_on(drain->v->group, &drain->walk, limit, send_off, drain);
    drain->met_count += met;
    if (met < limit) drain->met_count = total; /* the others have ended by themselves */
  }
  if (drain->met_count >= total)
    (void)vestry_timer_set(timer, VESTRY_NEVER_MS, 0);
  else if (drain->left_ms && drain->left_ms < drain->tick_ms)
    (void)vestry_timer_set(timer, drain->left_ms, drain->tick_ms); /* so that the last tick is at the end of the
                                                                      window */
}

static void free_drain(vsi_drain *drain) {
  vestry_timer_destroy(drain->timer);
  vsi_group_walk_end(drain->v->group, &drain->walk);
  vsi_free(drain->v->host, drain);
}

static vestry_err create_drain(vestry *v, uint64_t window_ms, vsi_drain **ret_drain) {
  vsi_drain *drain = vsi_calloc(v->host, 1, sizeof *drain);
  if (!drain) return VESTRY_NO_MEMORY;
  drain->v = v;
  drain->window_ms = window_ms;
  drain->tick_ms = window_ms / TICKS < 1 ? 1 : window_ms / TICKS > MAX_TICK_MS ? MAX_TICK_MS : window_ms / TICKS;
  drain->begun_ns = vsi_now_ns(v->host);
  vestry_err error = vestry_timer_create(v->runtime, send_some_off, drain, &drain->timer);
  if (error) {
    vsi_free(v->host, drain);
    return error;
  }
  vsi_group_walk_begin(v->group, &drain->walk);
  *ret_drain = drain;
  return VESTRY_OK;
}

vestry_err vestry_drain(vestry *v, uint64_t window_ms) {
  if (!v) return VESTRY_INVALID;
  const vsi_option_range window = {"window_ms", window_ms, 0, VESTRY_DRAIN_MAX_MS};
  if (vsi_option_ranges_check(v->host, "vestry_drain", &window, 1)) return VESTRY_INVALID;
  if (vsi_instance_is_closing(v)) return VESTRY_CLOSED;
  vsi_drain *drain, *none = NULL;
  vestry_err error = create_drain(v, window_ms, &drain);
  if (error) return error;
  /* release pairs with drain_of, and with vsi_instance_is_draining */
  if (!atomic_compare_exchange_strong_explicit(&v->drain, &none, drain, memory_order_release, memory_order_relaxed)) {
    free_drain(drain);
    return VESTRY_EXISTS;
  }
  atomic_store_explicit(&v->drain_ends_ns, drain->begun_ns + window_ms * VSI_NS_PER_MS, memory_order_relaxed);
  /* From now on the group refuses streams; those accepted before are counted. */
  atomic_store_explicit(&drain->streams_count, vsi_group_refuse(v->group), memory_order_relaxed);
  error = vestry_timer_set(drain->timer, 0, drain->tick_ms); /* the timer's lock publishes the values set above */
  const vsi_elsewhere *elsewhere = vsi_instance_elsewhere(v);
  if (elsewhere) elsewhere->drains(elsewhere->ctx);
  return error;
}

vestry_err vestry_drain_wait(vestry *v, uint64_t timeout_ms) {
  if (!v) return VESTRY_INVALID;
  if (!drain_of(v)) return vsi_mistake(v->host, "vestry_drain_wait", "call vestry_drain first");
  return vsi_group_wait(v->group, timeout_ms);
}

void vsi_drain_stats(vestry *v, vestry_stats *stats) {
  const vsi_drain *drain = drain_of(v);
  if (!drain) return;
  stats->drain_has_begun = true;
  stats->drain_elapsed_ms = elapsed_ms(drain);
  stats->drain_streams_count = atomic_load_explicit(&drain->streams_count, memory_order_relaxed);
  stats->drain_sent_count = atomic_load_explicit(&drain->sent_count, memory_order_relaxed);
}

void vsi_drain_destroy(vestry *v) {
  vsi_drain *drain = drain_of(v);
  if (drain) free_drain(drain);
}
