/* SPDX-License-Identifier: MIT */
/** Batches: several events sent as one, with nothing in between.
 *
 *      vestry_batch *batch;
 *      vestry_batch_create(NULL, &batch);
 *      vestry_batch_patch_elements(batch, "<ol id=\"list\"></ol>", 19, NULL);
 *      vestry_batch_patch_signals_text(batch, "{\"count\":0}", 11, NULL);
 *      vestry_err error = vestry_batch_send(batch, connection);      // or the first error of the calls above
 *      vestry_batch_destroy(batch);
 *
 *  A connection accepts all events of a batch or none. They arrive in the order of their addition, and no event of
 *  another sender comes between them; only a heartbeat's comment may. In the order of sends, a batch counts as one
 *  send. A batch that would not fit into the empty queue of a connection is TOO_LARGE. If an addition fails, later
 *  additions and sends return this first failure, so that an incomplete batch is not sent. */
#ifndef VESTRY_BATCH_H
#define VESTRY_BATCH_H

#include "vestry/connection.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Events to be sent together. One thread at a time may fill it; any number of threads may send it while no thread
 *  fills it. Its members are read-only. */
typedef struct vestry_batch {
  const vestry_host *host; /**< for events that are made for it */
  size_t count;            /**< number of events in it */
} vestry_batch;

/** Create an empty batch.
 *  host       borrowed while the batch and the events made with it live; NULL: default
 *  ret_batch  owned by the caller; untouched on failure
 *  Returns  OK | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_batch_create(const vestry_host *host, vestry_batch **ret_batch);
/** Drop the events of a batch and free it. NULL is accepted. Threads one at a time. */
VESTRY_API void vestry_batch_destroy(vestry_batch *batch);

/** Append an event to the batch.
 *  event    borrowed; a reference is taken on OK only
 *  Returns  OK | INVALID (NULL) | TOO_LARGE (a million events) | NO_MEMORY | the first failure of an earlier addition,
 *           which sticks: nothing is added
 *  Threads  one at a time; does not block */
VESTRY_API vestry_err vestry_batch_add(vestry_batch *batch, vestry_event *event);
/** Append a new event and drop the reference to it. An error in making it counts as a failed addition.
 *  made     result of the function of event.h or script.h that made the event
 *  event    a reference, taken in any case; ignored if made is an error
 *  Returns  made, if it is an error | as vestry_batch_add
 *  Threads  one at a time; does not block */
VESTRY_API vestry_err vestry_batch_add_made(vestry_batch *batch, vestry_err made, vestry_event *event);
/** Append elements: vestry_event_elements, then vestry_batch_add_made. Returns the error of either, also for the next
 *  functions. */
static inline vestry_err vestry_batch_patch_elements(vestry_batch *batch, const char *html, size_t len,
                                                     const vestry_elements_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_elements(batch->host, html, len, options, &event);
  return vestry_batch_add_made(batch, made, event);
}
/** Append signals of JSON text: vestry_event_signals_text, then vestry_batch_add_made. */
static inline vestry_err vestry_batch_patch_signals_text(vestry_batch *batch, const char *json, size_t len,
                                                         const vestry_signals_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_signals_text(batch->host, json, len, options, &event);
  return vestry_batch_add_made(batch, made, event);
}
/** Append a script: vestry_event_script, then vestry_batch_add_made. Events of other kinds are made by their own
 *  functions. */
static inline vestry_err vestry_batch_execute_script(vestry_batch *batch, const char *script, size_t len,
                                                     const vestry_script_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_script(batch->host, script, len, options, &event);
  return vestry_batch_add_made(batch, made, event);
}

/** Send a batch to one connection. The batch is unchanged, and may be sent again, also to others.
 *  Returns  as vestry_connection_send_all | OK for an empty batch, if the connection is open | the first failure of an
 *           addition: nothing was sent
 *  Threads  any, while no thread fills it; does not block */
VESTRY_API vestry_err vestry_batch_send(const vestry_batch *batch, vestry_connection *connection);

#ifdef __cplusplus
}
#endif
#endif
