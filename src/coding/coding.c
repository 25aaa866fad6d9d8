/* SPDX-License-Identifier: MIT */
/* essay: the maximum number of encoders */
#include "coding/coding.h"

#include <string.h>

#include "base/memory.h"
#include "base/mutex.h"
#include "coding/delivery.h"

/* Codings: the write profiles in use, and the encoders that all streams of a coding share.
 *
 * The maximum number of encoders, which bounds their memory:
 * - one for each epoch, and one for each document that is encoded as a whole (reserved);
 * - VSI_SCRATCH_COUNT in each coding, because a thread that encodes an event standalone, or its difference, holds the
 *   semaphore (vsi_semaphore) of one of the coding's scratch encoders.
 *
 * Threads that need the same event wait for the same semaphore, so that the event is encoded once; a thread that comes
 * later finds the result. The memory that a scratch encoder keeps while nothing is encoded is bounded, too: gzip's
 * encoder, or the memory of brotli's (brotli_follow.h). */

/* ----------------------------------------------------------------------------------------------- segments ---- */

void vsi_sink_init(vsi_sink *sink, const vestry_host *host) {
  static const vsi_segment nothing = {.len = 0};
  vsi_buffer_init(&sink->buffer, host);
  vsi_buffer_append(&sink->buffer, &nothing, sizeof nothing); /* an error is kept in the buffer */
}

static void release(vsi_event_extra *extra) {
  vsi_segment_destroy((vsi_segment *)extra);
}

vestry_err vsi_sink_settle(vsi_sink *sink, vestry_err error, vsi_segment **ret_segment) {
  size_t len = 0;
  if (!error) error = sink->buffer.error;
  vsi_segment *segment = error ? NULL : (vsi_segment *)(void *)vsi_buffer_take_trimmed(&sink->buffer, &len);
  if (segment) {
    segment->extra.release = release;
    segment->host = sink->buffer.host;
    segment->len = len - sizeof *segment;
    *ret_segment = segment;
  } else if (!error) {
    error = VESTRY_NO_MEMORY;
  }
  vsi_buffer_finish(&sink->buffer);
  return error;
}

vestry_err vsi_encode_whole(const vestry_profile *profile, const vestry_host *host, vestry_slice text,
                            vsi_segment **ret_segment) {
  vsi_sink sink;
  vsi_sink_init(&sink, host);
  return vsi_sink_settle(&sink, profile->ops->whole(profile, host, text.data, text.len, &sink), ret_segment);
}

void vsi_segment_destroy(vsi_segment *segment) {
  if (segment) vsi_free(segment->host, segment);
}

/* ---------------------------------------------------------------------------------------------- the group ---- */

vestry_err vsi_codings_create(const vestry_host *host, vsi_codings **ret_codings) {
  vsi_codings *codings = vsi_calloc(host, 1, sizeof *codings);
  if (!codings) return VESTRY_NO_MEMORY;
  codings->host = host;
  atomic_init(&codings->free, VSI_DEFAULT_CHANNEL_ENCODERS);
  uint64_t number = 0;
  if (host->random(host->ctx, &number, sizeof number)) number = vsi_now_ns(host);
  atomic_init(&codings->next_number, number);
  vsi_mutex_init(&codings->lock, VSI_LOCK_CODINGS);
  *ret_codings = codings;
  return VESTRY_OK;
}

void vsi_codings_limit(vsi_codings *codings, uint32_t max_channel_count) {
  /* relaxed: nothing is reserved yet */
  if (max_channel_count) atomic_store_explicit(&codings->free, max_channel_count, memory_order_relaxed);
}

static void coding_destroy(vsi_coding *coding) {
  for (int i = 0; i < VSI_SCRATCH_COUNT; i++) {
    if (coding->scratch[i].encoder) coding->profile.ops->destroy(coding->scratch[i].encoder);
    vsi_semaphore_finish(&coding->scratch[i].semaphore);
  }
  vsi_segment_destroy(coding->primer);
  vsi_segment_destroy(coding->idle);
  vsi_free(coding->all->host, coding);
}

void vsi_codings_destroy(vsi_codings *codings) {
  if (!codings) return;
  for (uint32_t i = 0; i < codings->count; i++) coding_destroy(codings->codings[i]);
  vsi_mutex_finish(&codings->lock);
  vsi_free(codings->host, codings);
}

bool vsi_codings_reserve(vsi_codings *codings) {
  /* relaxed: a count of places; other operations publish the encoder in a place */
  uint32_t left = atomic_load_explicit(&codings->free, memory_order_relaxed);
  do
    if (!left) return false;
  while (!atomic_compare_exchange_weak_explicit(&codings->free, &left, left - 1, memory_order_relaxed,
                                                memory_order_relaxed));
  return true;
}

void vsi_codings_unreserve(vsi_codings *codings) {
  atomic_fetch_add_explicit(&codings->free, 1, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------------ making codings -------- */

vestry_err vsi_profile_resolve(const vestry_profile *profile, vestry_profile *ret_profile) {
  if (!profile || !profile->ops) return VESTRY_INVALID;
  vestry_profile made = *profile;
  vestry_err error = VESTRY_OK;
  if (!VSI_ENCODES || profile->ops == &vestry_profile_identity)
    error = made.level || made.window_bits || made.memory_level ? VESTRY_INVALID : VESTRY_OK;
  else
    error = made.ops->resolve(&made);
  if (!error) *ret_profile = made;
  return error;
}

/* Return whether segments of one profile can be sent to streams of the other. */
static bool is_same(const vestry_profile *a, const vestry_profile *b) {
  return a->ops == b->ops && a->level == b->level && a->window_bits == b->window_bits &&
         a->memory_level == b->memory_level && a->stored_bytes == b->stored_bytes;
}

static vestry_err make_parts(vsi_coding *coding, const vestry_host *host) {
  const vestry_profile *profile = &coding->profile;
  vsi_sink sink;
  vsi_sink_init(&sink, host);
  vestry_err error = vsi_sink_settle(&sink, profile->ops->primer(profile, host, &sink), &coding->primer);
  if (error || !profile->ops->idle.len) return error;
  vsi_sink_init(&sink, host);
  return vsi_sink_settle(&sink, vsi_sink_put(&sink, profile->ops->idle.data, profile->ops->idle.len), &coding->idle);
}

static vsi_coding *find_locked(vsi_codings *codings, const vestry_profile *profile) {
  for (uint32_t i = 0; i < codings->count; i++)
    if (is_same(&codings->codings[i]->profile, profile)) return codings->codings[i];
  return NULL;
}

/* Make a coding. Only the first stream of each profile waits for that; a primer takes about a millisecond. */
static vestry_err make_locked(vsi_codings *codings, const vestry_profile *profile, vsi_coding **ret_coding) {
  if (codings->count == VSI_CODINGS_MAX) return VESTRY_LIMIT;
  vsi_coding *made = vsi_calloc(codings->host, 1, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  made->all = codings;
  made->profile = *profile;
  made->index = codings->count;
  made->kind = strcmp(profile->ops->coding, "gzip") == 0 ? VSI_CODING_GZIP : VSI_CODING_BROTLI;
  for (int i = 0; i < VSI_SCRATCH_COUNT; i++) vsi_semaphore_init(&made->scratch[i].semaphore);
  vestry_err error = make_parts(made, codings->host);
  if (error)
    coding_destroy(made);
  else
    codings->codings[codings->count++] = *ret_coding = made;
  return error;
}

vestry_err vsi_coding_find(vsi_codings *codings, const vestry_profile *profile, vsi_coding **ret_coding) {
  vestry_profile resolved;
  vestry_err error = vsi_profile_resolve(profile, &resolved);
  if (error) return error;
  vsi_mutex_lock(&codings->lock);
  vsi_coding *found = find_locked(codings, &resolved);
  if (!found) error = make_locked(codings, &resolved, &found);
  vsi_mutex_unlock(&codings->lock);
  if (!error) *ret_coding = found;
  return error;
}

/* ---------------------------------------------------------------------------------------- encoding events --------- */

/* Make the segment of an event from its encoded bytes. error: the result of the encoding. */
static vestry_err take(const vsi_coding *coding, const vestry_event *event, vsi_sink *sink, vestry_err error,
                       vsi_segment **ret_segment) {
  vestry_slice plain = vestry_event_bytes(event);
  error = vsi_sink_settle(sink, error, ret_segment);
  if (error) return error;
  (*ret_segment)->profile = coding->profile;
  (*ret_segment)->plain_len = plain.len;
  if (coding->profile.ops->check) (*ret_segment)->check = coding->profile.ops->check(plain.data, plain.len);
  return VESTRY_OK;
}

/* Encode an event. before: the end of the stream's text, from which the difference is encoded; NULL: encode the event
 * without it. */
static vestry_err encode(const vsi_coding *coding, const vestry_host *host, void *encoder, const vestry_event *event,
                         const vestry_slice *before, vsi_segment **ret_segment) {
  const vestry_profile_ops *ops = coding->profile.ops;
  vestry_slice plain = vestry_event_bytes(event);
  vsi_sink sink;
  vsi_sink_init(&sink, host);
  vestry_err error = before ? ops->follow(encoder, before->data, before->len, plain.data, plain.len, &sink)
                            : ops->encode(encoder, plain.data, plain.len, &sink);
  return take(coding, event, &sink, error, ret_segment);
}

static void count_encode(vsi_codings *codings, vsi_encode_kind kind) {
  atomic_fetch_add_explicit(&codings->encodes[kind], 1, memory_order_relaxed);
}

uint64_t vsi_codings_encodes(const vsi_codings *codings, vsi_encode_kind kind) {
  return atomic_load_explicit(&codings->encodes[kind], memory_order_relaxed);
}

vestry_err vsi_coding_encode(const vsi_coding *coding, void *encoder, const vestry_event *event,
                             vsi_segment **ret_segment) {
  count_encode(coding->all, VSI_ENCODE_ALIGNED);
  return encode(coding, coding->all->host, encoder, event, NULL, ret_segment);
}

static vestry_err frame(const vsi_coding *coding, const vestry_event *event, vsi_segment **ret_segment) {
  vestry_slice plain = vestry_event_bytes(event);
  vsi_sink sink;
  vsi_sink_init(&sink, event->host);
  vestry_err error = coding->profile.ops->store(plain.data, plain.len, &sink);
  return take(coding, event, &sink, error, ret_segment);
}

static const vsi_segment *find_made(const vsi_coding *coding, const vestry_event *event) {
  for (vsi_event_extra *extra = vsi_event_extras(event); extra; extra = extra->next) {
    const vsi_segment *segment = (const vsi_segment *)extra;
    if (extra->release == release && is_same(&segment->profile, &coding->profile)) return segment;
  }
  return NULL;
}

/* Create an encoder whose outputs are single ones: it is reset before each, also before the first. */
static vestry_err create_scratch(const vsi_coding *coding, void **ret_encoder) {
  const vestry_profile_ops *ops = coding->profile.ops;
  vestry_err error = ops->create(&coding->profile, coding->all->host, ret_encoder);
  if (error || ops->reset(*ret_encoder)) return error;
  ops->destroy(*ret_encoder);
  return VESTRY_FAILED;
}

/* Encode with a scratch encoder whose semaphore is held. NULL: encoding failed. */
static vsi_segment *compress(vsi_coding *coding, vsi_scratch *scratch, const vestry_host *host,
                             const vestry_event *event, const vestry_slice *before) {
  const vestry_profile_ops *ops = coding->profile.ops;
  vsi_segment *segment = NULL;
  void *encoder = scratch->encoder;
  count_encode(coding->all, before ? VSI_ENCODE_FOLLOWED : VSI_ENCODE_ALONE);
  scratch->encoder = NULL;
  if (!encoder && create_scratch(coding, &encoder)) return NULL;
  vestry_err error = encode(coding, host, encoder, event, before, &segment);
  if (!error && ops->reset(encoder))
    scratch->encoder = encoder;
  else
    ops->destroy(encoder);
  return segment;
}

/* Choose a scratch encoder by the event's address. Its lowest bits are equal for all events, so they are not used. */
static vsi_scratch *scratch_of(vsi_coding *coding, const vestry_event *event) {
  return &coding->scratch[((uintptr_t)event >> 6 ^ (uintptr_t)event >> 12) % VSI_SCRATCH_COUNT];
}

/* Enter any scratch encoder, for a segment that is made for one stream and that no other thread looks for. The first
 * free encoder is taken, so that the others keep no memory. */
static vsi_scratch *enter_any(vsi_coding *coding, const vestry_event *event) {
  for (int i = 0; i < VSI_SCRATCH_COUNT; i++)
    if (vsi_semaphore_try(&coding->scratch[i].semaphore)) return &coding->scratch[i];
  vsi_scratch *scratch = scratch_of(coding, event);
  vsi_semaphore_enter(&scratch->semaphore);
  return scratch;
}

/* Write the end of a stream's text: an event, then heartbeats. Returns false when out of memory. */
static bool add_beats(vsi_buffer *text, const vestry_event *previous, const vestry_event *heartbeat, uint32_t beats) {
  vestry_slice first = vestry_event_bytes(previous), beat = vestry_event_bytes(heartbeat);
  if (!vsi_buffer_reserve(text, first.len + beats * beat.len)) return false;
  vsi_buffer_append(text, first.data, first.len);
  while (beats--) vsi_buffer_append(text, beat.data, beat.len);
  return !text->error;
}

vsi_segment *vsi_coding_follow(vsi_coding *coding, const vestry_event *event, const vestry_event *previous,
                               const vestry_event *heartbeat, uint32_t beats) {
  if (!coding->profile.ops->follow || vestry_event_bytes(event).len <= coding->profile.stored_bytes) return NULL;
  if (beats > VSI_HEARTBEATS_MOST) return NULL;
  vsi_segment *made = NULL;
  vsi_buffer text;
  vsi_buffer_init(&text, coding->all->host);
  vsi_scratch *scratch = enter_any(coding, event);
  if (!beats || add_beats(&text, previous, heartbeat, beats)) {
    vestry_slice before = beats ? (vestry_slice){text.data, text.len} : vestry_event_bytes(previous);
    made = compress(coding, scratch, coding->all->host, event, &before);
  }
  vsi_buffer_finish(&text);
  vsi_semaphore_leave(&scratch->semaphore);
  return made;
}

vestry_err vsi_coding_alone(vsi_coding *coding, vestry_event *event, const vsi_segment **ret_segment) {
  const vsi_segment *found = find_made(coding, event);
  vsi_segment *made = NULL;
  vsi_scratch *scratch = NULL;
  vestry_err error = VESTRY_OK;
  if (!found && vestry_event_bytes(event).len > coding->profile.stored_bytes) {
    scratch = scratch_of(coding, event);
    vsi_semaphore_enter(&scratch->semaphore);
    found = find_made(coding, event);
    if (!found) made = compress(coding, scratch, event->host, event, NULL);
  }
  /* If compression fails, for example without memory, the event is sent uncompressed. */
  if (!found && !made) error = frame(coding, event, &made);
  if (made) vsi_event_extra_add(event, &made->extra);
  if (scratch) vsi_semaphore_leave(&scratch->semaphore);
  if (!error) *ret_segment = found ? found : made;
  return error;
}
