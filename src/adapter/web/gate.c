/* SPDX-License-Identifier: MIT */
#include "adapter/web/gate.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/wait.h"
#include "instance/instance.h"

/* STEP_NS: how soon a stepped runtime is stepped again, because the server's threads may have given it work. SLOW_NS:
 * after this time the log has the reason of the wait; then after twice that, and so on. */
#define STEP_NS UINT64_C(5000000)
#define SLOW_NS UINT64_C(2000000000)

void vsi_web_gate_init(vsi_web_gate *gate, uint32_t capacity) {
  *gate = (vsi_web_gate){.capacity = capacity};
  vsi_mutex_init(&gate->lock, VSI_LOCK_GATE);
  pthread_cond_init(&gate->left, NULL);
}

void vsi_web_gate_finish(vsi_web_gate *gate) {
  pthread_cond_destroy(&gate->left);
  vsi_mutex_finish(&gate->lock);
}

bool vsi_web_gate_enter(vsi_web_gate *gate) {
  vsi_mutex_lock(&gate->lock);
  bool entered = !gate->stopping;
  gate->inside += entered;
  vsi_mutex_unlock(&gate->lock);
  return entered;
}

static void leave(vsi_web_gate *gate, uint32_t *counter) {
  vsi_mutex_lock(&gate->lock);
  --*counter;
  if (!gate->inside && !gate->streams) pthread_cond_broadcast(&gate->left);
  vsi_mutex_unlock(&gate->lock);
}

void vsi_web_gate_leave(vsi_web_gate *gate) {
  leave(gate, &gate->inside);
}

bool vsi_web_gate_take_place(vsi_web_gate *gate) {
  vsi_mutex_lock(&gate->lock);
  bool taken = !gate->stopping && gate->streams < gate->capacity;
  gate->streams += taken;
  vsi_mutex_unlock(&gate->lock);
  return taken;
}

void vsi_web_gate_give_place(vsi_web_gate *gate) {
  leave(gate, &gate->streams);
}

void vsi_web_gate_log_full(vsi_web_gate *gate, const vestry_host *host, const char *adapter, const char *remedy) {
  if (vsi_web_gate_is_shut(gate)) return;
  vsi_log_repeated(host, &gate->full, 0, VESTRY_LOG_WARN, "%s: a stream got 503, because all %u places are taken; %s",
                   adapter, gate->capacity, remedy);
}

bool vsi_web_gate_is_shut(vsi_web_gate *gate) {
  vsi_mutex_lock(&gate->lock);
  bool shut = gate->stopping;
  vsi_mutex_unlock(&gate->lock);
  return shut;
}

uint32_t vsi_web_gate_streams(vsi_web_gate *gate) {
  vsi_mutex_lock(&gate->lock);
  uint32_t streams = gate->streams;
  vsi_mutex_unlock(&gate->lock);
  return streams;
}

void vsi_web_gate_room(vsi_web_gate *gate, uint32_t *ret_streams, uint32_t *ret_capacity) {
  if (ret_streams) *ret_streams = vsi_web_gate_streams(gate);
  if (ret_capacity) *ret_capacity = gate->capacity;
}

void vsi_web_gate_shut(vsi_web_gate *gate) {
  vsi_mutex_lock(&gate->lock);
  gate->stopping = true;
  vsi_mutex_unlock(&gate->lock);
}

vestry_err vsi_web_gate_wait(vsi_web_gate *gate, vestry *v, uint64_t until_ns) {
  const bool is_stepped = vsi_runtime_is_stepped(v->runtime);
  const uint64_t begun_ns = vsi_monotonic_ns();
  uint64_t slow_ns = begun_ns + SLOW_NS;
  for (uint64_t now_ns = begun_ns;; now_ns = vsi_monotonic_ns()) {
    while (is_stepped && vestry_runtime_step(v->runtime) && vsi_monotonic_ns() < until_ns) continue;
    uint64_t next_ns = until_ns < slow_ns ? until_ns : slow_ns;
    if (is_stepped && next_ns > now_ns + STEP_NS) next_ns = now_ns + STEP_NS;
    vsi_mutex_lock(&gate->lock);
    bool waiting = true;
    while ((gate->inside || gate->streams) && waiting) waiting = vsi_wait_until(&gate->left, &gate->lock, next_ns);
    const uint32_t inside = gate->inside, streams = gate->streams;
    vsi_mutex_unlock(&gate->lock);
    if (!inside && !streams) return VESTRY_OK;
    now_ns = vsi_monotonic_ns();
    if (now_ns >= until_ns) return VESTRY_TIMEOUT;
    if (now_ns < slow_ns) continue;
    vsi_log(v->host, VESTRY_LOG_WARN,
            "server: its end waits for %" PRIu32 " requests and %" PRIu32 " streams since %" PRIu64
            " s: a handler, a hook or a write blocks, or the program's own server does not run meanwhile",
            inside, streams, (now_ns - begun_ns) / 1000000000);
    slow_ns = now_ns + (now_ns - begun_ns);
  }
}
