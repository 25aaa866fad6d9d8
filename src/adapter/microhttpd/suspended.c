/* SPDX-License-Identifier: MIT */
/* Streams on TLS connections.
 *
 * A TLS session cannot be taken out of libmicrohttpd, so the connection stays there, suspended: libmicrohttpd neither
 * reads from its socket nor writes to it, no timeout runs, and it is not closed. From then on vestry writes records
 * through the session (MHD_CONNECTION_INFO_GNUTLS_SESSION). At the end the connection is resumed, and the callback,
 * called for the second and last time, returns the kind of end. After END_OF_STREAM libmicrohttpd sends the final chunk
 * and closes; after END_WITH_ERROR it closes without one. The connection of libmicrohttpd is alive when end() runs,
 * because it is suspended until end() resumes it.
 *
 * To find the connections to resume, libmicrohttpd looks at every suspended connection of the thread. */
#include "adapter/microhttpd/suspended.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "adapter/microhttpd/adapter.h"

/* Add the stream to the watch before it is OURS, so that the first write can wait for room. Until then the watch can
 * report only that the peer is gone. */
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
  /* release: pairs with the reader's load */
  atomic_store_explicit(&stream->state, clean ? VSI_MICROHTTPD_CLEAN : VSI_MICROHTTPD_ABORTED, memory_order_release);
  MHD_resume_connection(conn);
}
