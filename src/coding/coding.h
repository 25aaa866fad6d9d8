/* SPDX-License-Identifier: MIT */
/* Codings: the profiles that a group's streams use, resolved, with what all streams of one share; and the bounds on
 * encoders. */
#ifndef VSI_CODING_CODING_H
#define VSI_CODING_CODING_H

#include <stdatomic.h>

#include "base/turnstile.h"
#include "coding/segment.h"

/* Different codings in one group; scratch encoders of one coding. */
enum { VSI_HEARTBEATS_MOST = 240 }; /* an hour's, by default, that an event can follow another one across */
enum { VSI_CODINGS_MAX = 16, VSI_SCRATCH_COUNT = 4, VSI_CODING_NAME_BYTES = 31 };

typedef struct vsi_codings vsi_codings;

/* Codings as metrics tell them apart, whatever profiles there are. */
typedef enum vsi_coding_kind {
  VSI_CODING_IDENTITY, /* plain streams, too */
  VSI_CODING_BROTLI,
  VSI_CODING_GZIP,
  VSI_CODING_OTHER,
  VSI_CODING_KINDS_COUNT
} vsi_coding_kind;

/* What an event was encoded for. */
typedef enum vsi_encode_kind {
  VSI_ENCODE_ALONE,    /* to follow anything: once for all streams */
  VSI_ENCODE_ALIGNED,  /* for a channel's members, after its last event */
  VSI_ENCODE_FOLLOWED, /* for one stream: what has changed since its last event */
  VSI_ENCODE_PRIVATE,  /* for one stream, by an encoder of its own */
  VSI_ENCODE_KINDS_COUNT
} vsi_encode_kind;

/* Makes segments for streams that need one alone; kept if it can be reset. */
typedef struct vsi_scratch {
  vsi_turnstile turnstile;
  void *encoder; /* used inside the turnstile alone; NULL: none is kept */
} vsi_scratch;

typedef struct vsi_coding {
  vsi_codings *all;
  vestry_profile profile; /* resolved; its mode is SHARED, whatever its streams are */
  uint32_t index;         /* below VSI_CODINGS_MAX */
  vsi_coding_kind kind;
  vsi_segment *primer; /* NULL: no shared streams */
  vsi_segment *idle;   /* NULL: heartbeats are events */
  vsi_scratch scratch[VSI_SCRATCH_COUNT];
} vsi_coding;

vestry_err vsi_codings_create(const vestry_host *host, vsi_codings **ret_codings);
/* Other bounds than the defaults, before anything is reserved; zero: the default stays. */
void vsi_codings_limit(vsi_codings *codings, uint32_t max_private_count, uint32_t max_channel_count);
/* No thread uses a coding any more. NULL is accepted. */
void vsi_codings_destroy(vsi_codings *codings);

/* 64 brotli encoders are 36 MB. */
enum { VSI_DEFAULT_PRIVATE_ENCODERS = 64, VSI_DEFAULT_CHANNEL_ENCODERS = 64 };

/* Check and complete a profile: OK | INVALID. */
vestry_err vsi_profile_resolve(const vestry_profile *profile, vestry_profile *ret_profile);

/* The coding of a profile, made when it is asked for first; lives as long as the group. Any thread.
 * OK | INVALID | LIMIT (too many different ones) | NO_MEMORY | what a member of the profile says */
vestry_err vsi_coding_find(vsi_codings *codings, const vestry_profile *profile, vsi_coding **ret_coding);

/* A place among the encoders of channels or of private streams: false, none is free. Any thread. */
bool vsi_codings_reserve(vsi_codings *codings, vestry_profile_mode mode);
void vsi_codings_unreserve(vsi_codings *codings, vestry_profile_mode mode);

/* An event encoded so that it can follow anything: made once and kept with the event, as long as that lives.
 * Any thread that holds a reference to the event; may wait for others to encode the same or another event.
 * OK | NO_MEMORY | what a member of the profile says. */
vestry_err vsi_coding_alone(vsi_coding *coding, vestry_event *event, const vsi_segment **ret_segment);

/* What has changed in an event since another one that a stream was written before it, with nothing but a heartbeat so
 * many times in between. Returns the caller's, of the codings' host; NULL: it is too short, or the heartbeats are too
 * many, or it cannot be made. Any thread that holds references to all; may wait for others to encode. */
vsi_segment *vsi_coding_follow(vsi_coding *coding, const vestry_event *event, const vestry_event *previous,
                               const vestry_event *heartbeat, uint32_t beats);

/* Run an encoder over an event. kind: ALIGNED or PRIVATE. ret_segment: the caller's. */
vestry_err vsi_coding_encode(const vsi_coding *coding, const vestry_host *host, vsi_encode_kind kind, void *encoder,
                             const vestry_event *event, vsi_segment **ret_segment);

/* How often events were encoded so far. Any thread. */
VESTRY_API uint64_t vsi_codings_encodes(const vsi_codings *codings, vsi_encode_kind kind);

/* A number that no other epoch of the group has; from 1. */
uint64_t vsi_codings_epoch(vsi_codings *codings);
/* The number of an event, by which it is known when it may be gone. Of another group's it is as good as never the same:
 * each begins at a random one of 2^64. Never 0. Any thread. */
uint64_t vsi_codings_number(vsi_codings *codings, vestry_event *event);

const vestry_host *vsi_codings_host(const vsi_codings *codings);

#endif
