/* SPDX-License-Identifier: MIT */
/* The place of a stream: one of the streams that the gate admits, and an entry of the watch. Both are taken and
 * released together. */
#include "adapter/microhttpd/place.h"

#include "adapter/microhttpd/adapter.h"

vestry_err vsi_microhttpd_place_take(vsi_microhttpd *adapter, vsi_microhttpd_key *ret_key) {
  if (!vsi_web_gate_take_place(&adapter->gate)) return VESTRY_LIMIT;
  vestry_err error = vsi_microhttpd_watch_reserve(&adapter->watch, ret_key);
  if (error) vsi_web_gate_give_place(&adapter->gate);
  return error;
}

void vsi_microhttpd_place_give(vsi_microhttpd *adapter, vsi_microhttpd_key key) {
  vsi_microhttpd_watch_release(&adapter->watch, key);
  vsi_web_gate_give_place(&adapter->gate);
}
