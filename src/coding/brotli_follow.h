/* SPDX-License-Identifier: MIT */
/* The difference between two events, encoded as brotli, for a stream whose text ends with the first event; or a single
 * event, for any stream. */
#ifndef VSI_CODING_BROTLI_FOLLOW_H
#define VSI_CODING_BROTLI_FOLLOW_H

#include "coding/ops.h"

/* MAX_BYTES: longer events are UNSUPPORTED, which bounds the memory: about eleven times the size of the two texts.
 * KEPT_BYTES: the most that is kept of it; a page needs less. */
enum { VSI_BROTLI_FOLLOW_MAX_BYTES = 1 << 20, VSI_BROTLI_KEPT_BYTES = 640 << 10 };

/* The memory of an encoding, which is kept for the next one: an encoding that takes memory from the top of the heap
 * and returns it costs more than a short encoding does. One thread at a time. */
typedef struct vsi_brotli_room {
  vsi_buffer tables, commands;
} vsi_brotli_room;

static inline void vsi_brotli_room_init(vsi_brotli_room *room, const vestry_host *host) {
  vsi_buffer_init(&room->tables, host);
  vsi_buffer_init(&room->commands, host);
}

static inline void vsi_brotli_room_finish(vsi_brotli_room *room) {
  vsi_buffer_finish(&room->tables);
  vsi_buffer_finish(&room->commands);
}

/* Encode data for a stream whose window is full and has this number of bits, and whose text ends with previous;
 * previous_len 0: with anything. The output is flushed. OK | NO_MEMORY | UNSUPPORTED (too long) */
vestry_err vsi_brotli_follow(vsi_brotli_room *room, unsigned window_bits, const void *previous, size_t previous_len,
                             const void *data, size_t len, vsi_sink *sink);

#endif
