/* SPDX-License-Identifier: MIT */
/** Write profiles: how the bytes of a stream are encoded on their way to the client.
 *
 *  An instance is given the profiles that it offers, and each request's Accept-Encoding decides which one its stream
 *  gets (RFC 9110, section 12.5.3, with q-values; of equals the first offered). Identity is always offered last.
 *
 *      static const vestry_profile offered[] = {{.ops = &vestry_profile_brotli}, {.ops = &vestry_profile_gzip}};
 *      vestry_create(&(vestry_options){.profiles = offered, .profiles_count = 2}, &v);
 *
 *  SHARED, the default: no encoder belongs to a stream. Each event is encoded once, as a segment that can follow
 *  whatever a stream was sent before, and is kept with the event for all streams that take it; a channel
 *  (vestry/channel.h) lets later events refer back to earlier ones. What is sent to one stream alone can refer back to
 *  what was sent before it (vestry_event_follow). An idle stream costs 64 bytes more than a plain one.
 *  PRIVATE: an encoder for each stream, for the best ratio of what is sent to one alone. It costs what the coding costs
 *  (brotli: 0.6 MB, gzip: 0.3 MB), so their number is bounded (vestry_bounds.max_private_encoders_count); beyond it a
 *  stream is SHARED, or identity if the profile knows no segments.
 *
 *  Every event is flushed when it is written; nothing is held back for a better ratio.
 *
 *  Memory: all encoders use the instance's host, and want of memory is NO_MEMORY, wherever it strikes (libbrotlienc by
 *  itself would end the process); what cannot be compressed then is framed. Each profile keeps up to 2.6 MB. */
#ifndef VESTRY_PROFILE_H
#define VESTRY_PROFILE_H

#include "vestry/host.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Whose encoder it is. */
typedef enum vestry_profile_mode {
  VESTRY_PROFILE_SHARED = 0, /**< no stream's own: segments are spliced */
  VESTRY_PROFILE_PRIVATE     /**< the stream's own */
} vestry_profile_mode;

/** What an encoder is made for. */
typedef enum vestry_encoder_kind {
  VESTRY_ENCODER_STREAM, /**< a stream from its first byte to its last */
  VESTRY_ENCODER_SEGMENT /**< pieces that may follow a primer and anything flushed, each but the first referring back at
                              most to the pieces before it that this encoder made */
} vestry_encoder_kind;

/** A coding and its settings. Plain data: segments are shared between streams whose profiles are equal. */
typedef struct vestry_profile {
  const struct vestry_profile_ops *ops; /**< borrowed, must live as long as any instance and event; mandatory */
  vestry_profile_mode mode;
  uint32_t level;        /**< brotli: 2 to 9 [3]; gzip: 1 to 9 [6]; zero is the default in brackets */
  uint32_t window_bits;  /**< brotli: 10 to 18 [16]: its first bytes make the client decode a comment of so many bits'
                              bytes; gzip: 9 to 15 [15] */
  uint32_t memory_level; /**< gzip: 1 to 9 [8], memory for speed */
  uint32_t stored_bytes; /**< an event up to this size, sent to one stream, is framed but not compressed [128] */
  void *ctx;             /**< of an application's own profile; borrowed like ops */
} vestry_profile;

/** Takes what a profile puts out. */
typedef struct vestry_sink vestry_sink;

/** Put bytes out; copied. data may be NULL if len is 0.
 *  Returns  OK | NO_MEMORY (and so does every later put). A member that is told so returns it
 *  Threads  that of the member that was handed the sink, until it returns */
VESTRY_API vestry_err vestry_sink_put(vestry_sink *sink, const void *data, size_t len);

/** A coding. For those who write profiles of their own.
 *
 *  All members: called on any thread, never two at once for one encoder; no lock held; must not block, and must not
 *  call vestry but for vestry_sink_put. "profile" has been through resolve. What a member returns other than OK ends
 *  the use of its encoder.
 *
 *  The shared members describe how segments are spliced. Without primer, store and end a profile is PRIVATE only. With
 *  them this must hold: primer, then any sequence of outputs of segment encoders (where outputs of one encoder that
 *  refer back directly follow its earlier ones, from its first), store and idle, then end, is a stream that decodes to
 *  the primer's own text (comments of an event stream, or nothing) and then to what was encoded, in that order; and
 *  each of the parts can be decoded when it has come, without what follows. An output of follow may come wherever the
 *  decoded text ends with its previous. */
typedef struct vestry_profile_ops {
  size_t size; /**< sizeof(vestry_profile_ops), or 0 */
  /** Content coding as it stands in Accept-Encoding and Content-Encoding: a token in lower case, at most 31 bytes. */
  const char *coding;
  /** Fill in defaults and check the settings: OK | INVALID. profile: a copy, to be changed in place. */
  vestry_err (*resolve)(vestry_profile *profile);
  /** Make an encoder: OK | NO_MEMORY | UNSUPPORTED (that kind). */
  vestry_err (*create)(const vestry_profile *profile, const vestry_host *host, vestry_encoder_kind kind,
                       void **ret_encoder);
  /** Encode so that what was put out can be decoded at once. len > 0. */
  vestry_err (*encode)(void *encoder, const void *data, size_t len, vestry_sink *sink);
  /** End the stream of an encoder of kind STREAM; only destroy follows. */
  vestry_err (*finish)(void *encoder, vestry_sink *sink);
  /** Free it. NULL is never passed. */
  void (*destroy)(void *encoder);
  /** An encoder of kind SEGMENT: forget what it has seen, so that its next output can follow anything. false: it could
   *  not. NULL: a new encoder is made each time. */
  bool (*reset)(void *encoder);

  /** What a shared stream starts with. Made once for all. NULL: the profile is PRIVATE only. */
  vestry_err (*primer)(const vestry_profile *profile, const vestry_host *host, vestry_sink *sink);
  /** Bytes that decode to nothing, for a heartbeat: it does not come between a channel's events. Made once. NULL:
   *  heartbeats are encoded like events. */
  vestry_err (*idle)(const vestry_profile *profile, vestry_sink *sink);
  /** Frame bytes without an encoder. len > 0. */
  vestry_err (*store)(const vestry_profile *profile, const void *data, size_t len, vestry_sink *sink);
  /** A checksum that the end of a stream needs: of one event; and of a stream that had `stream` (0 after the primer)
   *  and now gets an event of len bytes that has `event`. Must be quick. Both or neither. */
  uint64_t (*check)(const void *data, size_t len);
  uint64_t (*combine)(uint64_t stream, uint64_t event, size_t len);
  /** What ends a shared stream. check: of all of it; 0 without the members above. */
  vestry_err (*end)(const vestry_profile *profile, uint64_t check, vestry_sink *sink);
  /** Encode for a stream whose text ends with previous, whatever that was encoded as (vestry_event_follow). May refer
   *  back to previous, and to nothing before it. encoder: of kind SEGMENT, new or reset; is reset or destroyed
   *  afterwards. Both len > 0. NULL, or what is not OK: the event is encoded without regard to what was before. */
  vestry_err (*follow)(void *encoder, const void *previous, size_t previous_len, const void *data, size_t len,
                       vestry_sink *sink);
} vestry_profile_ops;

/** No encoding. Offered before others it takes precedence where a client likes both equally. */
VESTRY_API extern const vestry_profile_ops vestry_profile_identity;
/** gzip (RFC 1952), by zlib. Shared streams are raw deflate blocks in one gzip member. */
VESTRY_API extern const vestry_profile_ops vestry_profile_gzip;
/** br (RFC 7932), by libbrotlienc. Browsers offer it on https and on localhost only. */
VESTRY_API extern const vestry_profile_ops vestry_profile_brotli;

/** Profiles in one list at most. */
#define VESTRY_PROFILES_MAX 8

#ifdef __cplusplus
}
#endif
#endif
