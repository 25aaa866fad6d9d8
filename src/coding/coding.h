/* SPDX-License-Identifier: MIT */
/* Codings: the resolved profiles of a group's streams, with the data that all streams of a coding share; segments, and
 * the sink that profiles fill; and the limits on encoders. */
#ifndef VSI_CODING_CODING_H
#define VSI_CODING_CODING_H

#include <stdatomic.h>

#include "base/mutex.h"
#include "coding/ops.h"
#include "event/extras.h"

/* Encoded bytes with the data that a stream needs to use them. */
typedef struct vsi_segment {
  vsi_event_extra extra;   /* first member: a standalone segment is kept with its event */
  const vestry_host *host; /* the host of its memory */
  vestry_profile profile;  /* of a kept segment: the profile for which it was encoded */
  uint64_t check;          /* of the decoded text (vestry_profile_ops.check) */
  size_t plain_len;        /* length of the decoded text */
  size_t len;
  char bytes[];
} vsi_segment;

/* Collect the output of a profile. vsi_sink_settle returns it as a segment, to be freed with vsi_segment_destroy, whose
 * check and plain_len the caller sets. It frees the sink in any case. error: the result of the profile's function; if
 * it is not OK, vsi_sink_settle returns it, and there is no segment. OK | error | NO_MEMORY */
void vsi_sink_init(vsi_sink *sink, const vestry_host *host);
vestry_err vsi_sink_settle(vsi_sink *sink, vestry_err error, vsi_segment **ret_segment);

/* Encode a whole text, which is no stream of events, as a segment without check and plain_len. profile: resolved, not
 * identity. OK | NO_MEMORY | errors of the profile */
VESTRY_API vestry_err vsi_encode_whole(const vestry_profile *profile, const vestry_host *host, vestry_slice text,
                                       vsi_segment **ret_segment);

/* Free a segment. NULL is accepted. */
VESTRY_API void vsi_segment_destroy(vsi_segment *segment);

/* Maximum numbers of heartbeats and of codings in one group; number of scratch encoders of one coding. */
enum { VSI_HEARTBEATS_MOST = 240 }; /* between an event and the one that follows it; an hour by default */
enum { VSI_CODINGS_MAX = 16, VSI_SCRATCH_COUNT = 4 };

/* Kinds of codings that metrics distinguish. */
typedef enum vsi_coding_kind {
  VSI_CODING_IDENTITY, /* includes plain streams */
  VSI_CODING_BROTLI,
  VSI_CODING_GZIP,
  VSI_CODING_KINDS_COUNT
} vsi_coding_kind;

/* Kinds of encoding an event. */
typedef enum vsi_encode_kind {
  VSI_ENCODE_ALONE,    /* standalone: once for all streams */
  VSI_ENCODE_ALIGNED,  /* in sync: for a channel's members, referring to earlier events of the epoch */
  VSI_ENCODE_FOLLOWED, /* the difference from the last event, for one stream */
  VSI_ENCODE_KINDS_COUNT
} vsi_encode_kind;

/* Makes standalone segments and differences. */
typedef struct vsi_scratch {
  vsi_semaphore semaphore;
  void *encoder; /* used while the semaphore is held; NULL: none is kept */
} vsi_scratch;

typedef struct vsi_codings vsi_codings;

typedef struct vsi_coding {
  vsi_codings *all;
  vestry_profile profile; /* resolved */
  uint32_t index;         /* below VSI_CODINGS_MAX */
  vsi_coding_kind kind;
  vsi_segment *primer, *idle; /* NULL idle, in tests only: heartbeats are encoded like events */
  vsi_scratch scratch[VSI_SCRATCH_COUNT];
} vsi_coding;

/* The codings of a group, and their bounds. */
struct vsi_codings {
  const vestry_host *host;
  _Atomic(uint32_t) free;       /* number of free places for encoders of epochs and documents */
  _Atomic(uint64_t) last_epoch; /* number of the last epoch; from 1. Relaxed: only the value matters */
  /* vsi_event_number: it identifies an event even after it was freed. Events of different groups practically never have
   * the same number, because each group begins at a random one of 2^64. */
  _Atomic(uint64_t) next_number;
  _Atomic(uint64_t) encodes[VSI_ENCODE_KINDS_COUNT]; /* relaxed: counters; their cost is small beside microseconds of
                                                        encoding */
  vsi_mutex lock;                                    /* innermost */
  uint32_t count;                                    /* guarded by lock, like the array, which only grows */
  vsi_coding *codings[VSI_CODINGS_MAX];
};

vestry_err vsi_codings_create(const vestry_host *host, vsi_codings **ret_codings);
/* Set another maximum number of encoders than the default, before one is reserved; zero: the default. */
void vsi_codings_limit(vsi_codings *codings, uint32_t max_channel_count);
/* Destroy all codings, after all threads have stopped using them. NULL is accepted. */
void vsi_codings_destroy(vsi_codings *codings);

enum { VSI_DEFAULT_CHANNEL_ENCODERS = 64 }; /* 64 brotli encoders take 36 MB */

/* Check and complete a profile: OK | INVALID. */
vestry_err vsi_profile_resolve(const vestry_profile *profile, vestry_profile *ret_profile);

/* Get the coding of a profile, which is created at the first request and lives as long as the group. Any thread. OK |
 * INVALID | LIMIT (too many different ones) | NO_MEMORY | error of a function of the coding */
vestry_err vsi_coding_find(vsi_codings *codings, const vestry_profile *profile, vsi_coding **ret_coding);

/* Reserve a place among the encoders of channels and documents. Returns false if none is free. Any thread. */
bool vsi_codings_reserve(vsi_codings *codings);
void vsi_codings_unreserve(vsi_codings *codings);

/* Encode an event standalone, once; the segment is kept with the event for its lifetime. Any thread that holds a
 * reference to the event; may wait for other threads that encode the same or another event. OK | NO_MEMORY | error of a
 * function of the profile. */
vestry_err vsi_coding_alone(vsi_coding *coding, vestry_event *event, const vsi_segment **ret_segment);

/* Encode an event as the difference from a previous event, for a stream to which the previous one was written last,
 * followed by this number of heartbeats. Returns a segment in the codings' host memory, owned by the caller; NULL: the
 * event is too short, there are too many heartbeats, or encoding fails. Any thread that holds references to all; may
 * wait for other threads that encode. */
vsi_segment *vsi_coding_follow(vsi_coding *coding, const vestry_event *event, const vestry_event *previous,
                               const vestry_event *heartbeat, uint32_t beats);

/* Run the encoder of an epoch over an event. ret_segment: owned by the caller. */
vestry_err vsi_coding_encode(const vsi_coding *coding, void *encoder, const vestry_event *event,
                             vsi_segment **ret_segment);

/* Return the number of encodings so far. Any thread. */
VESTRY_API uint64_t vsi_codings_encodes(const vsi_codings *codings, vsi_encode_kind kind);

#endif
