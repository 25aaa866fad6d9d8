/* SPDX-License-Identifier: MIT */
/* The functions of a coding. */
#ifndef VSI_CODING_OPS_H
#define VSI_CODING_OPS_H

#include "base/buffer.h"
#include "vestry/profile.h"

/* Receives output: room for a segment's head, then bytes. An error is kept in the buffer. */
typedef struct vsi_sink {
  vsi_buffer buffer;
} vsi_sink;

/* Put output bytes into a sink. data may be NULL if len is 0. OK | NO_MEMORY (and so does every later put) */
static inline vestry_err vsi_sink_put(vsi_sink *sink, const void *data, size_t len) {
  if (len) vsi_buffer_append(&sink->buffer, data, len);
  return sink->buffer.error;
}

/* All functions are called on any thread, never two at once for one encoder, with no lock held but, for `primer`, that
 * of the codings. `profile` is always a result of `resolve`. After an error of a function, its encoder is not used any
 * more.
 *
 * A stream consists of the primer, then any sequence of outputs of encoders, `store`, `idle` and `follow`, then the
 * end. An output of an encoder that refers back comes after all earlier outputs of this encoder, beginning with its
 * first, and only outputs of `idle` may stand between them. An output of `follow` may stand wherever the decoded text
 * ends with `previous`. The stream decodes to the text of the primer (comments of an event stream, or nothing) and then
 * to the encoded events in their order. Each part can be decoded when it has arrived, without the parts after it. */
struct vestry_profile_ops {
  /* Name in Accept-Encoding and Content-Encoding. */
  const char *coding;
  /* Fill in defaults and check the settings: OK | INVALID. profile: a copy, to be changed in place. NULL: identity, of
   * which no other function exists. */
  vestry_err (*resolve)(vestry_profile *profile);
  /* Make an encoder, whose first output may follow a primer or any complete output: OK | NO_MEMORY. */
  vestry_err (*create)(const vestry_profile *profile, const vestry_host *host, void **ret_encoder);
  /* Encode so that the output can be decoded at once. len > 0. */
  vestry_err (*encode)(void *encoder, const void *data, size_t len, vsi_sink *sink);
  void (*destroy)(void *encoder);
  /* Reset an encoder, so that its next output is like its first. Returns false on failure. */
  bool (*reset)(void *encoder);
  /* Write the beginning of a stream. Called once for all streams. */
  vestry_err (*primer)(const vestry_profile *profile, const vestry_host *host, vsi_sink *sink);
  /* Bytes that decode to nothing, for a heartbeat that leaves the members of a channel in sync. */
  vestry_slice idle;
  /* Frame bytes without compression and without an encoder. len > 0. */
  vestry_err (*store)(const void *data, size_t len, vsi_sink *sink);
  /* Compute the checksum for the end of a stream. `check` returns the checksum of one event. `combine` returns the
   * checksum of a stream whose checksum was `stream` (0 after the primer) and that now gets an event of len bytes with
   * the checksum `event`. NULL, both: none. */
  uint64_t (*check)(const void *data, size_t len);
  uint64_t (*combine)(uint64_t stream, uint64_t event, size_t len);
  /* Write the end of a stream. check: checksum of the whole stream; 0 without the functions above. */
  vestry_err (*end)(uint64_t check, vsi_sink *sink);
  /* Encode a text that is no stream, with the beginning and the end of the format. len > 0. */
  vestry_err (*whole)(const vestry_profile *profile, const vestry_host *host, const void *data, size_t len,
                      vsi_sink *sink);
  /* Encode data for a stream whose decoded text ends with previous, however that was encoded (vestry_event_follow). The
   * output may refer back to previous, and to nothing before it. encoder: new or reset; it is reset or destroyed
   * afterwards. Both len > 0. NULL, or an error: the event is encoded without reference to earlier ones. */
  vestry_err (*follow)(void *encoder, const void *previous, size_t previous_len, const void *data, size_t len,
                       vsi_sink *sink);
};

#endif
