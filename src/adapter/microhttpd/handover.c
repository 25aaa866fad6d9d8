/* SPDX-License-Identifier: MIT */
/* essay: taking a socket away from libmicrohttpd */
/* Handing the socket of a stream over from libmicrohttpd to vestry.
 *
 * libmicrohttpd has no call that gives a socket away, but documented calls can exchange it:
 *
 *   1  MHD_suspend_connection takes the descriptor out of its event loop;
 *   2  F_DUPFD creates a second descriptor of the socket, which vestry keeps;
 *   3  dup3 makes the first descriptor refer to a placeholder, a socket that is never connected, one for the adapter;
 *   4  after MHD_resume_connection the callback returns END_WITH_ERROR. libmicrohttpd shuts down and closes the
 *      placeholder's descriptor, and frees the connection's memory: 4.9 kB.
 *
 * The memory is freed at the next visit of the connection. In its epoll mode, libmicrohttpd visits a connection that
 * was closed by the callback only if it is the longest silent one, or has its own timeout. Therefore the connection
 * gets such a timeout; otherwise descriptor and memory would remain as long as any connection is idle.
 *
 * The peer notices nothing, and an idle stream uses only vestry's memory. Without the suspension, libmicrohttpd would
 * try to remove the placeholder from its epoll, which does not contain it, and would end the process because of this
 * error. If no second descriptor can be created, only this stream is closed.
 *
 * vestry ends the connection in the place of libmicrohttpd. A clean end is the final chunk, then the close; any other
 * end is only the close. If a socket is closed with unread bytes, the connection is reset, and sent data may be lost.
 * Therefore the bytes that have arrived are read and discarded first.
 *
 * If the peer reads slowly, there may be no room for the final chunk. Then the stream lingers (linger.c): its socket
 * stays in the watch. The stream keeps its place, and a reference to the vestry connection so that its memory
 * remains. */
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
  adapter->placeholder = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  adapter->has_placeholder = adapter->placeholder >= 0;
  if (adapter->has_placeholder) return VESTRY_OK;
  vsi_log(adapter->host, VESTRY_LOG_ERROR,
          "vestry_microhttpd_create: no descriptor is left; raise the limit of descriptors (ulimit -n)");
  return VESTRY_IO;
}

void vsi_microhttpd_handover_finish(vsi_microhttpd *adapter) {
  if (adapter->has_placeholder) close(adapter->placeholder);
  adapter->has_placeholder = false;
}

/* ------------------------------------------------------------------------------------------------ the handover ---- */

static void no_descriptor(vsi_microhttpd_stream *stream) {
  vestry_turn_away(stream->adapter->v, VESTRY_REFUSAL_DESCRIPTORS);
  vsi_microhttpd_stream_lost(stream, VESTRY_CAUSE_ERROR);
}

ssize_t vsi_microhttpd_handover_take(vsi_microhttpd_stream *stream) {
  static const int off = 0;
  vsi_microhttpd *adapter = stream->adapter;
  struct MHD_Connection *conn = stream->conn;
  int theirs = stream->wire.fd, own = fcntl(theirs, F_DUPFD_CLOEXEC, 0);
  /* In any case the callback closes this connection. */
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_TIMEOUT);
  MHD_set_connection_option(conn, MHD_CONNECTION_OPTION_TIMEOUT, info->connection_timeout + 1);
  if (own < 0) {
    no_descriptor(stream);
    return MHD_CONTENT_READER_END_WITH_ERROR;
  }
  MHD_suspend_connection(conn);
  if (dup3(adapter->placeholder, theirs, O_CLOEXEC) < 0) {
    close(own);
    no_descriptor(stream);
    MHD_resume_connection(conn);
    return 0;
  }
  /* Without the cork the kernel sends the head, which it holds back for more bytes. */
  setsockopt(own, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
  stream->wire.fd = own;
  /* replaces conn */
  stream->address = vsi_microhttpd_is_attached(adapter)
                        ? (vsi_address){0}
                        : vsi_microhttpd_socket_hand_over(vsi_microhttpd_socket_of(conn));
  bool is_watched = vsi_microhttpd_watch_add(&adapter->watch, stream->key, own);
  if (!vsi_microhttpd_stream_taken(stream, is_watched)) {
    /* No other thread uses the state now. */
    uint8_t verdict = atomic_load_explicit(&stream->state, memory_order_relaxed);
    atomic_store_explicit(&stream->state, VSI_MICROHTTPD_OURS, memory_order_relaxed);
    vsi_microhttpd_handover_end(stream, verdict == VSI_MICROHTTPD_CLEAN);
  }
  MHD_resume_connection(conn);
  return 0;
}

/* ----------------------------------------------------------------------------------------------------- the end ---- */

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
      /* If a stop did not find this stream lingering, it has shut the gate before. */
      return;
    }
    vestry_connection_unref(stream->connection); /* the runner holds one */
  }
  vsi_microhttpd_watch_remove(&adapter->watch, key);
  put_down(stream);
}
