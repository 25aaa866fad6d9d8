/* SPDX-License-Identifier: MIT */
/* Batches: events that are sent together, with no event of another sender in between. */
#include "vestry/batch.h"

#include "base/array.h"
#include "base/log.h"
#include "base/memory.h"
#include "connection/queue.h"
#include "connection/refusal.h"

typedef struct vsi_batch {
  vestry_batch seen;     /* the public part; first member */
  vestry_event **events; /* one reference to each */
  size_t room;
  vestry_err error; /* the first failure; OK: none */
} vsi_batch;

vestry_err vestry_batch_create(const vestry_host *host, vestry_batch **ret_batch) {
  host = vsi_host(host);
  vsi_batch *batch = vsi_calloc(host, 1, sizeof *batch);
  if (!batch) return VESTRY_NO_MEMORY;
  batch->seen.host = host;
  *ret_batch = &batch->seen;
  return VESTRY_OK;
}

void vestry_batch_destroy(vestry_batch *seen) {
  if (!seen) return;
  vsi_batch *batch = (vsi_batch *)seen;
  while (seen->count) vestry_event_unref(batch->events[--seen->count]);
  vsi_free(seen->host, batch->events);
  vsi_free(seen->host, batch);
}

static vestry_err make_room(vsi_batch *batch) {
  if (batch->seen.count >= VSI_QUEUE_MAX_COUNT) return VESTRY_TOO_LARGE; /* no queue holds more */
  return VSI_ARRAY_RESERVE(batch->seen.host, batch->events, batch->seen.count, batch->room, 1);
}

vestry_err vestry_batch_add(vestry_batch *seen, vestry_event *event) {
  vsi_batch *batch = (vsi_batch *)seen;
  if (!batch->error)
    batch->error = event ? make_room(batch) : vsi_mistake(seen->host, "vestry_batch_add", "the event is NULL");
  if (batch->error) return batch->error;
  batch->events[seen->count++] = vestry_event_ref(event);
  return VESTRY_OK;
}

vestry_err vestry_batch_add_made(vestry_batch *seen, vestry_err made, vestry_event *event) {
  vsi_batch *batch = (vsi_batch *)seen;
  if (!batch->error && made == VESTRY_INVALID) (void)vsi_event_refuse(seen->host, "vestry_batch_add_made");
  if (!batch->error) batch->error = made;
  if (!batch->error) vestry_batch_add(seen, event);
  if (!made) vestry_event_unref(event);
  return batch->error;
}

/* A queue accepts all events of a batch under its lock (connection/send.c), so no event of another sender comes in
 * between. */
vestry_err vestry_batch_send(const vestry_batch *seen, vestry_connection *connection) {
  const vsi_batch *batch = (const vsi_batch *)seen;
  if (batch->error) return batch->error;
  if (!seen->count) return vestry_connection_is_open(connection) ? VESTRY_OK : VESTRY_CLOSED;
  return vestry_connection_send_all(connection, batch->events, seen->count);
}
