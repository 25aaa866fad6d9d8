/* SPDX-License-Identifier: MIT */
/* essay: which bytes a stream gets */
#include "coding/coder.h"

#include "base/memory.h"

/* Which bytes. A shared stream is a primer and then segments, and each segment is one of four:
 *
 * aligned     bytes number n of an epoch. They refer back to bytes 0 … n - 1 of it, at distances that hold only if
 *             exactly these came last. So a stream takes them if it stands in that epoch at n; then it stands at n + 1.
 *             Number 0 refers to nothing: any stream takes it, and by that stands in the epoch, at 1.
 * alone       the event by a fresh encoder, or framed without one. It refers to nothing before it: any stream takes it,
 *             and by that stands in no epoch.
 * following   what has changed since another event. It refers back into that one's text and to nothing before: a stream
 *             takes it if that is what it was written last, however it was encoded, and by that stands in no epoch.
 * idle        decodes to nothing, so that distances over it stay what they are: the stream stands where it stood.
 *
 * The decision is made when the runner takes the event out of the queue. It writes what it took in that order, or ends
 * the stream without another byte, so "taken" is as good as "written". What never came into the queue, because it was
 * full, or has left it, because it was conflated, was never taken: the next event of the epoch finds the stream one
 * late, and goes out alone. It needs not be told. In the same way an event that was to follow one that was never taken
 * goes out alone.
 *
 * Heartbeats that decode to something may have come between the two: they are all one event, so the text is known from
 * their number.
 *
 * What was written last is known by its number, and not by its address: no reference to it is held, since that would
 * keep the last event of every stream. The event that another one follows is held by that one, so its text is there; if
 * it was given up, for memory, there is nothing to follow. A following segment is made for one stream; when a second
 * one comes to the event, it has let go of the other. Where little of the page is as it was, the event is encoded alone
 * too, and the shorter is taken. */

enum { WORTH = 4 }; /* a change that is at most this part of its event is not compared */

_Static_assert(sizeof(vsi_coder) + sizeof(void *) <= 64, "an idle encoded stream costs 64 bytes more than a plain one");

vestry_err vsi_coder_create(vsi_coding *coding, vestry_profile_mode mode, vsi_coder **ret_coder) {
  const vestry_host *host = vsi_codings_host(coding->all);
  vsi_coder *coder = vsi_calloc(host, 1, sizeof *coder);
  if (!coder) return VESTRY_NO_MEMORY;
  coder->coding = coding;
  if (mode == VESTRY_PROFILE_PRIVATE) {
    vestry_err error = coding->profile.ops->create(&coding->profile, host, VESTRY_ENCODER_STREAM, &coder->encoder);
    if (error) {
      vsi_free(host, coder);
      return error;
    }
  }
  atomic_init(&coder->followed_count, 0);
  *ret_coder = coder;
  return VESTRY_OK;
}

void vsi_coder_finish(vsi_coder *coder) {
  if (!coder || !coder->encoder) return;
  coder->coding->profile.ops->destroy(coder->encoder);
  vsi_codings_unreserve(coder->coding->all, VESTRY_PROFILE_PRIVATE);
}

void vsi_coder_free(vsi_coder *coder) {
  if (coder) vsi_free(vsi_codings_host(coder->coding->all), coder);
}

vestry_slice vsi_coder_primer(const vsi_coder *coder) {
  if (coder->encoder) return (vestry_slice){NULL, 0};
  return (vestry_slice){coder->coding->primer->bytes, coder->coding->primer->len};
}

static void add_check(vsi_coder *coder, const vsi_segment *segment) {
  const vestry_profile_ops *ops = coder->coding->profile.ops;
  if (ops->combine) coder->check = ops->combine(coder->check, segment->check, segment->plain_len);
}

/* NULL: the stream is not aligned. */
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

/* What has changed since the event before; the caller's. NULL: another was written last, or it cannot be made. */
static vsi_segment *follow(const vsi_coder *coder, vestry_event *event, const vestry_event *heartbeat) {
  vestry_event *previous = vsi_event_take_previous(event);
  vsi_segment *made = NULL;
  if (previous && vsi_codings_number(coder->coding->all, previous) == coder->last)
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
    /* one writer, the runner; a mere count */
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

static vestry_err encode_shared(vsi_coder *coder, vsi_delivery *delivery, const vestry_event *heartbeat) {
  const vsi_segment *segment = take_aligned(coder, delivery->broadcast);
  if (!segment) {
    vestry_err error = encode_by_itself(coder, delivery, heartbeat, &segment);
    if (error) return error;
    coder->epoch = 0;
  }
  if (delivery->is_heartbeat) {
    coder->beats++;
  } else {
    coder->last = vsi_codings_number(coder->coding->all, delivery->event);
    coder->beats = 0;
  }
  add_check(coder, segment);
  delivery->wire = segment;
  return VESTRY_OK;
}

vestry_err vsi_coder_encode(vsi_coder *coder, vsi_delivery *delivery, const vestry_event *heartbeat) {
  if (coder->encoder) {
    vsi_segment *segment = NULL;
    vestry_err error = vsi_coding_encode(coder->coding, vsi_codings_host(coder->coding->all), VSI_ENCODE_PRIVATE,
                                         coder->encoder, delivery->event, &segment);
    delivery->wire = segment;
    delivery->owns_wire = true;
    return error;
  }
  if (!delivery->is_heartbeat || delivery->is_sign || !coder->coding->idle)
    return encode_shared(coder, delivery, heartbeat);
  delivery->wire = coder->coding->idle;
  return VESTRY_OK;
}

vestry_err vsi_coder_end(vsi_coder *coder, vsi_segment **ret_segment) {
  const vestry_profile_ops *ops = coder->coding->profile.ops;
  vestry_sink sink;
  vsi_sink_init(&sink, vsi_codings_host(coder->coding->all));
  vestry_err error =
      coder->encoder ? ops->finish(coder->encoder, &sink) : ops->end(&coder->coding->profile, coder->check, &sink);
  if (!error) error = vsi_sink_take(&sink, ret_segment);
  vsi_sink_finish(&sink);
  return error;
}
