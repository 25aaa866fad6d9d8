/* SPDX-License-Identifier: MIT */
#include "adapter/web/gate.h"

#include "base/log.h"
#include "base/wait.h"

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

vestry_err vsi_web_gate_wait(vsi_web_gate *gate, uint64_t until_ns) {
  vsi_mutex_lock(&gate->lock);
  bool waiting = true;
  while ((gate->inside || gate->streams) && waiting) waiting = vsi_wait_until(&gate->left, &gate->lock, until_ns);
  bool empty = !gate->inside && !gate->streams;
  vsi_mutex_unlock(&gate->lock);
  return empty ? VESTRY_OK : VESTRY_TIMEOUT;
}
