/* SPDX-License-Identifier: MIT */
/* essay: a socket that libmicrohttpd is made to forget */
/* libmicrohttpd has no call that gives a socket away, but with calls that it documents it can be left with another one:
 *
 *   1  MHD_suspend_connection takes the descriptor out of its event loop;
 *   2  the socket gets a second descriptor, which is ours (F_DUPFD);
 *   3  the first one is made to name a socket without a peer (dup3): one for the whole adapter, never connected;
 *   4  MHD_resume_connection; the callback, asked again, says END_WITH_ERROR, and libmicrohttpd shuts down and closes
 *      that, and frees all that it had of the connection: 4.9 kB.
 *
 * In its epoll mode it visits a connection that the callback closed so once more, and frees it then, only when that is
 * the one that is silent for longest, or has a time-out of its own. So it gets one; otherwise the descriptor and the
 * memory stay with any connection that is idle.
 *
 * So the peer sees nothing of it, and an idle stream costs what vestry has of it. Without the suspension libmicrohttpd
 * would take a descriptor out of its epoll that is not in it, for which it ends the process. When there is no second
 * descriptor, this stream is closed for it and no other.
 *
 * What libmicrohttpd would do at the end is done here. A clean end is the final chunk, then the close; others are the
 * close alone. A socket that is closed with unread bytes is reset, and what was sent may never be seen: so what came is
 * read and thrown away first.
 *
 * The final chunk may find no room, when the peer reads slowly. Then the stream lingers (linger.c): its socket stays in
 * the watch. It holds its place, and a reference to the vestry connection so that its memory stays. */
#include "adapter/microhttpd/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter/microhttpd/adapter.h"
#include "adapter/microhttpd/linger.h"
#include "adapter/microhttpd/place.h"
#include "base/log.h"

enum { WASTE_BYTES = 4096, MOST_WASTE = 16 };

vestry_err vsi_microhttpd_handover_init(vsi_microhttpd *adapter) {
  if (adapter->is_tls) return VESTRY_OK;
  adapter->nobody = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  adapter->has_nobody = adapter->nobody >= 0;
  if (adapter->has_nobody) return VESTRY_OK;
  vsi_log(adapter->host, VESTRY_LOG_ERROR,
          "vestry_microhttpd_create: no descriptor is left: let there be more (ulimit -n)");
  return VESTRY_IO;
}

void vsi_microhttpd_handover_finish(vsi_microhttpd *adapter) {
  if (adapter->has_nobody) close(adapter->nobody);
  adapter->has_nobody = false;
}

/* ---- the hand-over ----------------------------------------------------------------------------------------------- */

static void no_descriptor(vsi_microhttpd_stream *stream) {
  vestry_turn_away(stream->adapter->v, VESTRY_REFUSAL_DESCRIPTORS);
  vsi_microhttpd_stream_lost(stream, VESTRY_CAUSE_ERROR);
}

ssize_t vsi_microhttpd_handover_take(vsi_microhttpd_stream *stream) {
  static const int off = 0;
  vsi_microhttpd *adapter = stream->adapter;
  struct MHD_Connection *conn = stream->conn;
  int theirs = stream->wire.fd, own = fcntl(theirs, F_DUPFD_CLOEXEC, 0);
  /* Whatever comes of it, the callback closes this connection. */
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_TIMEOUT);
  MHD_set_connection_option(conn, MHD_CONNECTION_OPTION_TIMEOUT, info->connection_timeout + 1);
  if (own < 0) {
    no_descriptor(stream);
    return MHD_CONTENT_READER_END_WITH_ERROR;
  }
  MHD_suspend_connection(conn);
  if (dup3(adapter->nobody, theirs, O_CLOEXEC) < 0) {
    close(own);
    no_descriptor(stream);
    MHD_resume_connection(conn);
    return 0;
  }
  setsockopt(own, IPPROTO_TCP, TCP_CORK, &off, sizeof off); /* the kernel was told that more follows the head */
  stream->wire.fd = own;
  /* instead of conn */
  stream->address = vsi_microhttpd_is_attached(adapter)
                        ? (vsi_address){0}
                        : vsi_microhttpd_socket_hand_over(vsi_microhttpd_socket_of(conn));
  bool is_watched = vsi_microhttpd_watch_add(&adapter->watch, stream->key, own);
  if (!vsi_microhttpd_stream_taken(stream, is_watched)) {
    /* No other thread looks at the state now. */
    uint8_t verdict = atomic_load_explicit(&stream->state, memory_order_relaxed);
    atomic_store_explicit(&stream->state, VSI_MICROHTTPD_OURS, memory_order_relaxed);
    vsi_microhttpd_handover_end(stream, verdict == VSI_MICROHTTPD_CLEAN);
  }
  MHD_resume_connection(conn);
  return 0;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void put_down(vsi_microhttpd_stream *stream) {
  char waste[WASTE_BYTES];
  vsi_microhttpd *adapter = stream->adapter;
  int fd = stream->wire.fd;
  shutdown(fd, SHUT_WR);
  for (int i = 0; i < MOST_WASTE && recv(fd, waste, sizeof waste, MSG_DONTWAIT) > 0; i++) continue;
  close(fd);
  if (!vsi_microhttpd_is_attached(adapter)) vsi_microhttpd_sockets_leave(&adapter->sockets, stream->address);
  vsi_microhttpd_place_give(adapter, stream->key);
}

void vsi_microhttpd_handover_over(vsi_microhttpd_stream *stream) {
  vestry_connection *connection = stream->connection;
  put_down(stream);
  vestry_connection_unref(connection);
}

void vsi_microhttpd_handover_end(vsi_microhttpd_stream *stream, bool clean) {
  vsi_microhttpd *adapter = stream->adapter;
  vsi_microhttpd_key key = stream->key;
  if (clean) vsi_microhttpd_wire_finish(&stream->wire);
  if (!vsi_microhttpd_wire_flush(&stream->wire)) {
    vestry_connection_ref(stream->connection);
    vsi_microhttpd_linger_begin(stream);
    if (vsi_microhttpd_watch_linger(&adapter->watch, key)) {
      /* A stop that did not find it lingering has shut the gate before. */
      return;
    }
    vestry_connection_unref(stream->connection); /* the runner holds one */
  }
  vsi_microhttpd_watch_remove(&adapter->watch, key);
  put_down(stream);
}
