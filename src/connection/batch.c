/* SPDX-License-Identifier: MIT */
#include "vestry/batch.h"

#include "base/array.h"
#include "base/memory.h"
#include "connection/queue.h"

struct vestry_batch {
  const vestry_host *host;
  vestry_event **events; /* a reference each */
  size_t count, room;
  vestry_err error; /* the first failure; OK: none */
};

vestry_err vestry_batch_create(const vestry_host *host, vestry_batch **ret_batch) {
  host = vsi_host(host);
  vestry_batch *batch = vsi_calloc(host, 1, sizeof *batch);
  if (!batch) return VESTRY_NO_MEMORY;
  batch->host = host;
  *ret_batch = batch;
  return VESTRY_OK;
}

void vestry_batch_clear(vestry_batch *batch) {
  while (batch->count) vestry_event_unref(batch->events[--batch->count]);
  batch->error = VESTRY_OK;
}

void vestry_batch_destroy(vestry_batch *batch) {
  if (!batch) return;
  vestry_batch_clear(batch);
  vsi_free(batch->host, batch->events);
  vsi_free(batch->host, batch);
}

size_t vestry_batch_count(const vestry_batch *batch) {
  return batch->count;
}

static vestry_err make_room(vestry_batch *batch) {
  if (batch->count >= VSI_QUEUE_MAX_COUNT) return VESTRY_TOO_LARGE; /* no queue holds more */
  return VSI_ARRAY_RESERVE(batch->host, batch->events, batch->count, batch->room, 1);
}

vestry_err vestry_batch_add(vestry_batch *batch, vestry_event *event) {
  if (!batch->error) batch->error = event ? make_room(batch) : VESTRY_INVALID;
  if (batch->error) return batch->error;
  batch->events[batch->count++] = vestry_event_ref(event);
  return VESTRY_OK;
}

/* Add what was made, if it was; drops it. */
static vestry_err add_made(vestry_batch *batch, vestry_err error, vestry_event *event) {
  if (!batch->error) batch->error = error;
  if (!batch->error) vestry_batch_add(batch, event);
  vestry_event_unref(event);
  return batch->error;
}

vestry_err vestry_batch_patch_elements(vestry_batch *batch, const char *html, size_t len,
                                       const vestry_elements_options *options) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_elements(batch->host, html, len, options, &event);
  return add_made(batch, error, event);
}

vestry_err vestry_batch_patch_signals_text(vestry_batch *batch, const char *json, size_t len,
                                           const vestry_signals_options *options) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_signals_text(batch->host, json, len, options, &event);
  return add_made(batch, error, event);
}

vestry_err vestry_batch_execute_script(vestry_batch *batch, const char *script, size_t len,
                                       const vestry_script_options *options) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_script(batch->host, script, len, options, &event);
  return add_made(batch, error, event);
}

/* A connection's mailbox takes a chain by one exchange (runtime/mailbox.c): that is what keeps others out. */
vestry_err vestry_batch_send(const vestry_batch *batch, vestry_connection *connection) {
  if (batch->error) return batch->error;
  if (!batch->count) return vestry_connection_is_open(connection) ? VESTRY_OK : VESTRY_CLOSED;
  return vestry_connection_send_all(connection, batch->events, batch->count);
}

vestry_err vestry_batch_send_each(const vestry_batch *batch, vestry_connection *const *connections, size_t count,
                                  size_t *ret_count) {
  vestry_err failure = batch->error;
  size_t accepted = 0;
  for (size_t i = 0; i < count && !batch->error; i++) {
    vestry_err error = vestry_batch_send(batch, connections[i]);
    if (!error)
      accepted++;
    else if (error != VESTRY_CLOSED && !failure)
      failure = error;
  }
  if (ret_count) *ret_count = accepted;
  if (failure) return failure;
  return accepted ? VESTRY_OK : VESTRY_CLOSED;
}
