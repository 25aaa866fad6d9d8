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
 *  cannot be compressed is framed: written without compression. Each profile keeps up to 2.6 MB for encoders. */
#ifndef VESTRY_PROFILE_H
#define VESTRY_PROFILE_H

#include "vestry/host.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A coding of this library. */
typedef struct vestry_profile_ops vestry_profile_ops;

/** A coding and its settings. Plain data: streams with equal profiles share the encodings of an event. Each event is
 *  encoded once, as a segment that can follow any earlier output of a stream, and the segment is kept with the event
 *  for all streams. In a channel (vestry/channel.h) later events refer back to earlier ones; an event for one stream
 *  can refer back to the event before it (vestry_event_follow). An idle stream takes 64 bytes more than an unencoded
 *  one. */
typedef struct vestry_profile {
  const vestry_profile_ops *ops; /**< one of the codings below; mandatory */
  uint32_t level;        /**< brotli: 2 to 9 [3]; gzip: 1 to 9 [6]; zero is the default in brackets. Up to 3, vestry
                              encodes events of at most 64 KiB that are not part of a channel's epoch itself, in less
                              time and memory than libbrotlienc, and about as short */
  uint32_t window_bits;  /**< brotli: 10 to 18 [16]; the stream begins with a comment of 2^window_bits bytes, which the
                              client decodes; gzip: 9 to 15 [15] */
  uint32_t memory_level; /**< gzip: 1 to 9 [8]; more memory, more speed */
  uint32_t stored_bytes; /**< an event up to this size, sent to one stream, is framed but not compressed [128] */
} vestry_profile;

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
