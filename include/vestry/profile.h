/* SPDX-License-Identifier: MIT */
/** Profiles: the encodings (compression) that an instance offers for its streams.
 *
 *  An instance has a list of profiles, and each request's Accept-Encoding selects one of them for its stream (RFC 9110,
 *  section 12.5.3, with q-values; among equals the first one in the list). Identity is always offered last.
 *
 *      static const vestry_profile offered[] = {{.ops = &vestry_profile_brotli}, {.ops = &vestry_profile_gzip}};
 *      vestry_create(&(vestry_options){.profiles = offered, .profiles_count = 2}, &v);
 *
 *  Every event is flushed when it is written; none is held back for a better ratio. All encoders allocate from the
 *  instance's host. If memory runs out, the process continues (libbrotlienc by itself would end it). An event that then
 *  cannot be compressed is framed: written without compression; a stream with its own encoder (VESTRY_PROFILE_PRIVATE)
 *  ends with cause ERROR. Each profile keeps up to 2.6 MB for encoders. */
#ifndef VESTRY_PROFILE_H
#define VESTRY_PROFILE_H

#include "vestry/host.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Owner of an encoder. */
typedef enum vestry_profile_mode {
  VESTRY_PROFILE_SHARED = 0, /**< the default: encoders do not belong to a stream. Each event is encoded once, as a
                                  segment that can follow any earlier output of a stream, and the segment is kept with
                                  the event for all streams. In a channel (vestry/channel.h) later events refer back to
                                  earlier ones; an event for one stream can refer back to the event before it
                                  (vestry_event_follow). An idle stream takes 64 bytes more than an unencoded one */
  VESTRY_PROFILE_PRIVATE     /**< an encoder for each stream, for the best compression ratio of events sent to this
                                  stream only. It takes memory (brotli: 0.6 MB, gzip: 0.3 MB), so the number of encoders
                                  is bounded (vestry_bounds.max_private_encoders_count); beyond it a stream is SHARED,
                                  or identity if the profile has no segments */
} vestry_profile_mode;

/** Purpose of an encoder. */
typedef enum vestry_encoder_kind {
  VESTRY_ENCODER_STREAM, /**< for the whole output of one stream */
  VESTRY_ENCODER_SEGMENT /**< for segments: the first may follow a primer or any complete output; each later one may
                              refer back to the earlier segments of this encoder, and to nothing before them */
} vestry_encoder_kind;

/** A coding and its settings. Plain data: streams with equal profiles share segments. */
typedef struct vestry_profile {
  const struct vestry_profile_ops *ops; /**< borrowed, must live as long as any instance and event; mandatory */
  vestry_profile_mode mode;
  uint32_t level;        /**< brotli: 2 to 9 [3]; gzip: 1 to 9 [6]; zero is the default in brackets. Up to 3, vestry
                              encodes events of at most 64 KiB that are not part of a channel's epoch itself, in less
                              time and memory than libbrotlienc, and about as short */
  uint32_t window_bits;  /**< brotli: 10 to 18 [16]; the stream begins with a comment of 2^window_bits bytes, which the
                              client decodes; gzip: 9 to 15 [15] */
  uint32_t memory_level; /**< gzip: 1 to 9 [8]; more memory, more speed */
  uint32_t stored_bytes; /**< an event up to this size, sent to one stream, is framed but not compressed [128] */
  void *ctx;             /**< context of a profile of the application; borrowed like ops */
} vestry_profile;

/** Receives the output of a profile. */
typedef struct vestry_sink vestry_sink;

/** Put output bytes into a sink; copied. data may be NULL if len is 0.
 *  Returns  OK | NO_MEMORY (and so does every later put); the profile's function then returns it
 *  Threads  that of the profile's function that received the sink, until that function returns */
VESTRY_API vestry_err vestry_sink_put(vestry_sink *sink, const void *data, size_t len);

/** Functions of a coding, for authors of profiles.
 *
 *  All functions are called on any thread, never two at once for one encoder, with no lock held. They must not block,
 *  and must not call vestry except vestry_sink_put. `profile` is always a result of `resolve`. After an error of a
 *  function, vestry does not use its encoder any more.
 *
 *  The functions from `primer` on are for shared streams. A profile without primer, store and end is PRIVATE only. A
 *  shared stream consists of the primer, then any sequence of outputs of segment encoders, `store`, `idle` and
 *  `follow`, then the end. An output of a segment encoder that refers back comes after all earlier outputs of this
 *  encoder, beginning with its first, and only outputs of `idle` may stand between them. An output of `follow` may
 *  stand wherever the decoded text ends with `previous`. The stream decodes to the text of the primer (comments of an
 *  event stream, or nothing) and then to the encoded events in their order. Each part can be decoded when it has
 *  arrived, without the parts after it. */
typedef struct vestry_profile_ops {
  /** Name of the coding in Accept-Encoding and Content-Encoding: a token in lower case, at most 31 bytes. */
  const char *coding;
  /** Fill in defaults and check the settings: OK | INVALID. profile: a copy, to be changed in place. */
  vestry_err (*resolve)(vestry_profile *profile);
  /** Make an encoder: OK | NO_MEMORY | UNSUPPORTED (that kind). */
  vestry_err (*create)(const vestry_profile *profile, const vestry_host *host, vestry_encoder_kind kind,
                       void **ret_encoder);
  /** Encode so that the output can be decoded at once. len > 0. */
  vestry_err (*encode)(void *encoder, const void *data, size_t len, vestry_sink *sink);
  /** End the stream of an encoder of kind STREAM; only destroy follows. */
  vestry_err (*finish)(void *encoder, vestry_sink *sink);
  /** Free an encoder. NULL is never passed. */
  void (*destroy)(void *encoder);
  /** Reset an encoder of kind SEGMENT, so that its next output is like its first. Returns false on failure. NULL: a new
   *  encoder is made each time. */
  bool (*reset)(void *encoder);

  /** Write the beginning of a shared stream. Called once for all streams. NULL: the profile is PRIVATE only. */
  vestry_err (*primer)(const vestry_profile *profile, const vestry_host *host, vestry_sink *sink);
  /** Write bytes that decode to nothing, for a heartbeat that leaves the members of a channel in sync. Called once for
   *  all streams. NULL: heartbeats are encoded like events. */
  vestry_err (*idle)(const vestry_profile *profile, vestry_sink *sink);
  /** Frame bytes without compression and without an encoder. len > 0. */
  vestry_err (*store)(const vestry_profile *profile, const void *data, size_t len, vestry_sink *sink);
  /** Compute the checksum for the end of a stream. `check` returns the checksum of one event. `combine` returns the
   *  checksum of a stream whose checksum was `stream` (0 after the primer) and that now gets an event of len bytes with
   *  the checksum `event`. Both must be quick. Set both or neither. */
  uint64_t (*check)(const void *data, size_t len);
  uint64_t (*combine)(uint64_t stream, uint64_t event, size_t len);
  /** Write the end of a shared stream. check: checksum of the whole stream; 0 without the functions above. */
  vestry_err (*end)(const vestry_profile *profile, uint64_t check, vestry_sink *sink);
  /** Encode data for a stream whose decoded text ends with previous, however that was encoded (vestry_event_follow).
   *  The output may refer back to previous, and to nothing before it. encoder: of kind SEGMENT, new or reset; it is
   *  reset or destroyed afterwards. Both len > 0. NULL, or an error: the event is encoded without reference to earlier
   *  ones. */
  vestry_err (*follow)(void *encoder, const void *previous, size_t previous_len, const void *data, size_t len,
                       vestry_sink *sink);
} vestry_profile_ops;

/** No encoding. If offered before others, it takes precedence when a client accepts both equally. */
VESTRY_API extern const vestry_profile_ops vestry_profile_identity;
/** gzip (RFC 1952), by zlib. Shared streams are raw deflate blocks in one gzip member. */
VESTRY_API extern const vestry_profile_ops vestry_profile_gzip;
/** br (RFC 7932), by libbrotlienc. Browsers accept it on https and on localhost only. */
VESTRY_API extern const vestry_profile_ops vestry_profile_brotli;

/** Maximum number of profiles in one list. All lists of an instance together can have 16 different profiles; a stream
 *  that needs another one gets 503. */
#define VESTRY_PROFILES_MAX 8

#ifdef __cplusplus
}
#endif
#endif
