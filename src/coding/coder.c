/* SPDX-License-Identifier: MIT */
/* essay: the bytes that a stream gets for an event */
#include "coding/coder.h"

#include "base/memory.h"

/* The bytes of an event. A stream is a primer followed by segments, and each segment has one of four types:
 *
 * aligned    In sync: number n of an epoch. It refers back to segments 0 … n - 1 of the epoch, at distances that are
 *            valid only if exactly these came last. A stream can take it if its position is n in this epoch; then its
 *            position is n + 1. Number 0 refers to nothing: any stream can take it, and enters the epoch at position 1.
 * alone      Standalone: the event from a fresh encoder, or framed without compression. It refers to nothing before it:
 *            any stream can take it, and leaves its epoch.
 * following  The difference from another event. It refers back to the text of that event and to nothing before it. A
 *            stream can take it if that event was written last, in any encoding, and leaves its epoch.
 * idle       Decodes to nothing, so distances across it stay valid. The stream keeps its position.
 *
 * The type is chosen when the runner takes the event out of the queue. The runner writes the taken events in this
 * order, or ends the stream without another byte, so "taken" implies "written". An event that never entered the queue
 * (because it was full) or has left it (because a later one superseded it) was never taken. The next event of the epoch
 * then finds the stream one position behind and is written standalone; no notification is needed. In the same way, an
 * event that should follow one that was never taken is written standalone.
 *
 * Heartbeats that decode to text may have come between the two events. All heartbeats of a stream are the same event,
 * so the text is known from their number.
 *
 * The event written last is identified by its number and not by its address, because no reference to it is held: that
 * would keep the last event of every stream in memory. An event that follows a previous event holds a reference to it,
 * so the text of the previous event exists. If that reference was dropped to save memory, there is nothing to follow. A
 * following segment is made for one stream; when a second stream comes to the event, the previous event has been
 * dropped. If little of the page is unchanged, the event is also encoded standalone, and the shorter one is used. */

/* A difference that is at most 1 / WORTH as long as its event is not compared with the standalone encoding. */
enum { WORTH = 4 };

_Static_assert(sizeof(vsi_coder) + sizeof(void *) <= 64, "an idle encoded stream costs 64 bytes more than a plain one");

vestry_err vsi_coder_create(vsi_coding *coding, vsi_coder **ret_coder) {
  vsi_coder *coder = vsi_calloc(coding->all->host, 1, sizeof *coder);
  if (!coder) return VESTRY_NO_MEMORY;
  coder->coding = coding;
  *ret_coder = coder;
  return VESTRY_OK;
}

void vsi_coder_free(vsi_coder *coder) {
  if (coder) vsi_free(coder->coding->all->host, coder);
}

vestry_slice vsi_coder_primer(const vsi_coder *coder) {
  return (vestry_slice){coder->coding->primer->bytes, coder->coding->primer->len};
}

static void add_check(vsi_coder *coder, const vsi_segment *segment) {
  const vestry_profile_ops *ops = coder->coding->profile.ops;
  if (ops->combine) coder->check = ops->combine(coder->check, segment->check, segment->plain_len);
}

/* Return the segment of an event for a stream in sync; NULL: the stream is not in sync. */
static const vsi_segment *take_aligned(vsi_coder *coder, const vsi_broadcast *broadcast) {
  const vsi_lane_bytes *lane = broadcast ? vsi_broadcast_lane(broadcast, coder->coding) : NULL;
  if (!lane) return NULL;
  if (lane->sequence && (coder->epoch != lane->epoch->id || coder->sequence != lane->sequence)) {
    atomic_fetch_add_explicit(&lane->epoch->alone, 1, memory_order_relaxed);
    return NULL;
  }
  coder->epoch = lane->epoch->id;
  coder->sequence = lane->sequence + 1;
  return lane->aligned;
}

/* Encode the difference from the previous event; owned by the caller. NULL: another event was written last, or the
 * encoding fails. */
static vsi_segment *follow(const vsi_coder *coder, vestry_event *event, const vestry_event *heartbeat) {
  vestry_event *previous = vsi_event_take_previous(event);
  vsi_segment *made = NULL;
  if (previous && vsi_event_number(previous, &coder->coding->all->next_number) == coder->last)
    made = vsi_coding_follow(coder->coding, event, previous, heartbeat, coder->beats);
  vestry_event_unref(previous);
  return made;
}

static vestry_err encode_by_itself(vsi_coder *coder, vsi_delivery *delivery, const vestry_event *heartbeat,
                                   const vsi_segment **ret_segment) {
  vsi_segment *change = follow(coder, delivery->event, heartbeat);
  const vsi_segment *alone = NULL;
  if (!change || change->len > change->plain_len / WORTH) {
    vestry_err error = vsi_coding_alone(coder->coding, delivery->event, &alone);
    if (error && !change) return error;
  }
  if (change && (!alone || change->len <= alone->len)) {
    /* relaxed: a counter, which only the runner writes */
    uint32_t count = atomic_load_explicit(&coder->followed_count, memory_order_relaxed);
    atomic_store_explicit(&coder->followed_count, count + 1, memory_order_relaxed);
    delivery->owns_wire = true;
    *ret_segment = change;
  } else {
    vsi_segment_destroy(change);
    *ret_segment = alone;
  }
  return VESTRY_OK;
}

vestry_err vsi_coder_encode(vsi_coder *coder, vsi_delivery *delivery, const vestry_event *heartbeat) {
  if (delivery->is_heartbeat && !delivery->is_sign && coder->coding->idle) {
    delivery->wire = coder->coding->idle;
    return VESTRY_OK;
  }
  const vsi_segment *segment = take_aligned(coder, delivery->broadcast);
  if (!segment) {
    vestry_err error = encode_by_itself(coder, delivery, heartbeat, &segment);
    if (error) return error;
    coder->epoch = 0;
  }
  if (delivery->is_heartbeat) {
    coder->beats++;
  } else {
    coder->last = vsi_event_number(delivery->event, &coder->coding->all->next_number);
    coder->beats = 0;
  }
  add_check(coder, segment);
  delivery->wire = segment;
  return VESTRY_OK;
}

vestry_err vsi_coder_end(vsi_coder *coder, vsi_segment **ret_segment) {
  vsi_sink sink;
  vsi_sink_init(&sink, coder->coding->all->host);
  return vsi_sink_settle(&sink, coder->coding->profile.ops->end(coder->check, &sink), ret_segment);
}
