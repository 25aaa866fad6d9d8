/* SPDX-License-Identifier: MIT */
/* A TLS session cannot be taken out of libmicrohttpd, so the connection stays there, suspended: nothing is read from
 * its socket or written to it, no time-out runs, it is not closed. From then on vestry writes records through the
 * session (MHD_CONNECTION_INFO_GNUTLS_SESSION). At the end the connection is resumed, and the callback, asked for the
 * second and last time, says how it ends: END_OF_STREAM makes libmicrohttpd send the final chunk and close;
 * END_WITH_ERROR makes it close without one. end() finds the connection of libmicrohttpd alive: it is suspended until
 * end() resumes it.
 *
 * To find which are to be resumed, libmicrohttpd looks at every suspended connection of the thread. */
#include "adapter/microhttpd/suspended.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "adapter/microhttpd/adapter.h"

/* It is in the watch before it is ours, so that the first write can ask for room; what the watch says until then is
 * only that the peer has gone. */
ssize_t vsi_microhttpd_suspended_take(vsi_microhttpd_stream *stream) {
  static const int off = 0;
  vsi_microhttpd_watch *watch = &stream->adapter->watch;
  struct MHD_Connection *conn = stream->conn;
  setsockopt(stream->wire.fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off); /* libmicrohttpd has corked it */
  MHD_suspend_connection(conn);
  bool is_watched = vsi_microhttpd_watch_add(watch, stream->key, stream->wire.fd);
  if (vsi_microhttpd_stream_taken(stream, is_watched)) return 0;
  vsi_microhttpd_watch_remove(watch, stream->key);
  MHD_resume_connection(conn);
  return 0;
}

void vsi_microhttpd_suspended_end(vsi_microhttpd_stream *stream, bool clean) {
  struct MHD_Connection *conn = stream->conn;
  vsi_microhttpd_watch_remove(&stream->adapter->watch, stream->key);
  /* release pairs with the reader's look */
  atomic_store_explicit(&stream->state, clean ? VSI_MICROHTTPD_CLEAN : VSI_MICROHTTPD_ABORTED, memory_order_release);
  MHD_resume_connection(conn);
}
