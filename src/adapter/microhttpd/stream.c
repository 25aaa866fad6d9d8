/* SPDX-License-Identifier: MIT */
/* essay: the thread that owns a stream's socket */
/* The owner of the socket (stream.h defines the states):
 *
 *                 reader                 end
 *        HEAD ------------------> OURS --------+---> closed (plain)
 *         |  \                                 |           reader
 *         |   \-------------> CLEAN/ABORTED <--+ (TLS) ------------> libmicrohttpd's
 *         |     end                                    end() does nothing in GONE
 *         +---> GONE
 *           freed, or the reader could not take it
 *
 * `reader` and `freed` run on libmicrohttpd's thread of the connection. `end` and writes run on any thread that runs
 * the vestry connection, one at a time. Therefore HEAD is left by a compare-and-swap: one side wins, and the other sees
 * the new state. Only `end` leaves OURS. The socket is used in OURS only.
 *
 * Other threads read from the socket of an open stream how many bytes its peer has not acknowledged. They do so in
 * OURS, under a lock that `end` takes before anything else, so that the descriptor cannot be reused meanwhile. */
#include "adapter/microhttpd/stream.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

bool vsi_microhttpd_stream_taken(vsi_microhttpd_stream *stream, bool is_watched) {
  uint8_t state = VSI_MICROHTTPD_HEAD;
  /* release: the writer sees the wire; acquire: this thread sees the verdict */
  if (!atomic_compare_exchange_strong_explicit(&stream->state, &state, VSI_MICROHTTPD_OURS, memory_order_acq_rel,
                                               memory_order_acquire))
    return false;
  /* The stream may end from here on, on another thread; but its answer is freed on this one. */
  if (is_watched)
    vestry_connection_writable(stream->connection);
  else
    vestry_connection_close(stream->connection, VESTRY_CAUSE_ERROR);
  return true;
}

void vsi_microhttpd_stream_lost(vsi_microhttpd_stream *stream, vestry_cause cause) {
  uint8_t state = VSI_MICROHTTPD_HEAD;
  /* release, acquire: as in ended */
  if (atomic_compare_exchange_strong_explicit(&stream->state, &state, VSI_MICROHTTPD_GONE, memory_order_acq_rel,
                                              memory_order_acquire))
    vestry_connection_close(stream->connection, cause);
}

int64_t vsi_microhttpd_stream_unacknowledged(vsi_microhttpd_stream *stream) {
  int bytes = -1;
  vsi_spin_lock_take(&stream->asking, VSI_LOCK_MICROHTTPD_ASKING);
  /* acquire: pairs with taken */
  bool is_ours = atomic_load_explicit(&stream->state, memory_order_acquire) == VSI_MICROHTTPD_OURS;
  if (is_ours && !stream->has_ended && ioctl(stream->wire.fd, SIOCOUTQ, &bytes) != 0) bytes = -1;
  vsi_spin_lock_give(&stream->asking);
  return bytes;
}

static void ask_no_more(vsi_microhttpd_stream *stream) {
  vsi_spin_lock_take(&stream->asking, VSI_LOCK_MICROHTTPD_ASKING);
  stream->has_ended = true;
  vsi_spin_lock_give(&stream->asking);
}

bool vsi_microhttpd_stream_ended(vsi_microhttpd_stream *stream, bool clean) {
  ask_no_more(stream);
  uint8_t state = VSI_MICROHTTPD_HEAD, ended = clean ? VSI_MICROHTTPD_CLEAN : VSI_MICROHTTPD_ABORTED;
  /* release: pairs with the reader's load; acquire: pairs with taken and lost */
  return !atomic_compare_exchange_strong_explicit(&stream->state, &state, ended, memory_order_acq_rel,
                                                  memory_order_acquire) &&
         state == VSI_MICROHTTPD_OURS;
}
