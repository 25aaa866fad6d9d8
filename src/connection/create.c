/* SPDX-License-Identifier: MIT */
/* Creating a connection: its options with all defaults, and its struct. */
#include "connection/create.h"

#include "base/memory.h"
#include "base/options.h"
#include "base/refs.h"
#include "connection/runner.h"
#include "runtime/runtime.h"

enum { DEFAULT_QUEUED_COUNT = 1024, DEFAULT_HEARTBEAT_MS = 15000 };
#define DEFAULT_QUEUED_BYTES ((size_t)1 << 20)

vestry_err vsi_connection_options_resolve(const vestry_connection_options *options,
                                          const vestry_connection_options *defaults,
                                          vestry_connection_options *ret_options) {
  static const vestry_connection_options none = {0};
  vestry_connection_options own;
  if (VSI_OPTIONS_TAKE(vestry_connection_options, own, options)) return VESTRY_INVALID;
  if (!defaults) defaults = &none;
  vestry_connection_options made = {.size = sizeof made};
#define PICK(field, fallback) made.field = own.field ? own.field : defaults->field ? defaults->field : (fallback)
  PICK(max_queued_count, DEFAULT_QUEUED_COUNT);
  PICK(max_queued_bytes, DEFAULT_QUEUED_BYTES);
  PICK(full, VESTRY_FULL_CLOSE);
  PICK(heartbeat_ms, DEFAULT_HEARTBEAT_MS);
#undef PICK
  if (made.max_queued_count > VSI_QUEUE_MAX_COUNT || made.max_queued_bytes > VSI_QUEUE_MAX_BYTES) return VESTRY_INVALID;
  if (made.full < VESTRY_FULL_CLOSE || made.full > VESTRY_FULL_CONFLATE) return VESTRY_INVALID;
  *ret_options = made;
  return VESTRY_OK;
}

vestry_err vsi_connection_create(const vsi_environment *environment, const vestry_transport_ops *ops, void *transport,
                                 const vestry_connection_options *options, const vsi_connection_hooks *hooks,
                                 void *hooks_ctx, vestry_connection **ret_connection) {
  static const vsi_connection_hooks none = {.on_open = NULL};
  if (!ops || !VSI_OPS_ARE_KNOWN_GROWN(ops, vestry_transport_ops, name) || !ops->open || !ops->write || !ops->end ||
      !ops->release)
    return VESTRY_INVALID;
  const vestry_host *host = environment->host;
  vestry_connection *connection = vsi_calloc(host, 1, sizeof *connection);
  if (!connection) return VESTRY_NO_MEMORY;
  vsi_actor_init_held(&connection->actor, ops->wake ? &vsi_connection_dedicated : &vsi_connection_pooled,
                      &environment->runtime->pool);
  vsi_queue_init(&connection->queue);
  vsi_close_list_init(&connection->at_close);
  /* References: of the caller; of the connection's own lifetime, dropped by the runner; of the held actor. */
  VSI_REFS_INIT(&connection->refs, 3);
  atomic_init(&connection->state, VESTRY_STATE_OPENING);
  atomic_init(&connection->reporting, 0);
  connection->full = (uint8_t)options->full;
  connection->max_queued_count = options->max_queued_count;
  connection->max_queued_bytes = (uint32_t)options->max_queued_bytes;
  connection->heartbeat_ms = options->heartbeat_ms < UINT32_MAX ? (uint32_t)options->heartbeat_ms : UINT32_MAX;
  connection->ops = ops;
  connection->transport = transport;
  connection->hooks = hooks ? hooks : &none;
  connection->hooks_ctx = hooks_ctx;
  connection->opened_ns = vsi_now_ns(host);
  vsi_timer_init(&connection->timer, vsi_connection_timer_fired);
  connection->environment = environment;
  if (connection->full == VESTRY_FULL_CONFLATE && vsi_conflation_create(host, &connection->conflation)) {
    vsi_free(host, connection);
    return VESTRY_NO_MEMORY;
  }
  *ret_connection = connection;
  return VESTRY_OK;
}
