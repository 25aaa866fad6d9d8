/* SPDX-License-Identifier: MIT */
/* essay: one thread at a time in a session of HTTP/2 */
/* A session: a connection, and the thread inside it.
 *
 * Any thread may write a stream, and many streams share one nghttp2 session, one TLS session and one socket. A lock
 * around these would make a sender wait while another one encrypts and writes. Therefore a sender only leaves its bytes
 * with its stream, puts the stream into the list `dirty` (under a lock that is held for some instructions), and tries
 * to take the turn. The thread that has the turn passes all marked streams to nghttp2, and sends the frames, several
 * in a TLS record and a system call. A sender that does not get the turn goes on: the other thread sends its bytes.
 *
 *   sender  ── bytes into stream->out, stream into dirty ── turn? ──no──> goes on
 *                                                             │ yes
 *                                                             └> apply dirty streams, send, give the turn back, look
 *                                                                at dirty once more
 *
 * No bytes are left behind. A sender whose try fails has marked its stream before; the other thread looks at the list
 * after it has given the turn back. If the sender's mark comes after that look, its try comes after the turn was given
 * back, and only fails because a third thread has the turn, which looks later.
 *
 * The loop's thread waits for the turn, because it must read. It waits for a few writes at most, since none of them
 * blocks. Handlers run on this thread, without the turn, and sessions take turns for them (loop.c).
 *
 * With batched sends (runtime/sends.c), a worker of the runtime marks the streams of a whole batch first, and then
 * takes the turn once for all of them (stream.c: compose and sent). If a session has only one or two streams, there is
 * nothing to put together. Then, with TLS, compose takes the turn and writes the record into the batch, and keeps the
 * turn until the batch is sent, some hundred microseconds later, because the records of a connection must be sent in
 * their order. So the sends of many connections are one system call. The loop's thread may wait that long; the worker
 * never waits for a turn meanwhile (vsi_h2_session_is_held).
 *
 * If the socket has no room, the bytes of records that are already encrypted wait in `unsent`. Until the socket has
 * room, no more frames are taken from nghttp2, so a peer that does not read costs at most two records. */
#include "adapter/h2/adapter.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"

enum { PEEKED_BYTES = 16384 + 5, READS = 4 };
enum { UNSENT_BYTES = 128 << 10, MOST_UNSENT = 64 << 10 };

/* Time for which the client of a response may take no bytes of it after a stop, and while its session waits to serve
 * requests. */
#define STOPPED_NS UINT64_C(5000000000)
#define HURRY_NS   UINT64_C(2000000000)
/* Time for which a client that is sent GOAWAY may not answer. */
#define LEAVE_NS UINT64_C(1000000000)

/* -------------------------------------------------------------------------------------------------------- life ---- */

static void pump(vsi_h2_session *session);
static size_t compose(vsi_h2_stream *stream, const vestry_slice *slices, size_t count, void *record, size_t room);
static void take_result(vsi_h2_session *session, int result);
static const vsi_h2_session_ops ops = {pump, compose, take_result};

static socklen_t address_len(const struct sockaddr *address) {
  return address->sa_family == AF_INET    ? sizeof(struct sockaddr_in)
         : address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(sa_family_t);
}

vsi_h2_session *vsi_h2_session_create(vsi_h2 *adapter, int fd, const struct sockaddr *address) {
  vsi_h2_session *session = vsi_calloc(adapter->host, 1, sizeof *session);
  if (!session) return NULL;
  VSI_REFS_INIT(&session->refs, 1);
  session->host = adapter->host;
  session->adapter = adapter;
  session->ops = &ops;
  session->fd = fd;
  session->since_ns = vsi_now_ns(adapter->host);
  session->address = vsi_address_of(address);
  memcpy(&session->from, address, address_len(address));
  if (address->sa_family == AF_INET)
    (void)inet_ntop(AF_INET, &session->from.in.sin_addr, session->peer, sizeof session->peer);
  else if (address->sa_family == AF_INET6)
    (void)inet_ntop(AF_INET6, &session->from.in6.sin6_addr, session->peer, sizeof session->peer);
  vsi_semaphore_init(&session->turn);
  STAILQ_INIT(&session->ready);
  vsi_mutex_init(&session->lock, VSI_LOCK_H2_SESSION);
  LIST_INIT(&session->streams);
  STAILQ_INIT(&session->dirty);
  return session;
}

/* ----------------------------------------------------------------------------------------------------- sending ---- */

/* Note that the connection is gone. The loop's thread, which ends the session, is woken by the shutdown. */
static void break_off(vsi_h2_session *session, int error) {
  if (session->is_broken) return;
  session->is_broken = true;
  session->error = error;
  shutdown(session->fd, SHUT_RDWR);
}

/* Keep bytes for which the socket has no room. A client that reads nothing, and makes GnuTLS answer it, cannot let them
 * grow. */
static bool keep(vsi_h2_session *session, const char *data, size_t len) {
  char *grown = NULL;
  if (session->unsent_len + len <= MOST_UNSENT)
    grown = vsi_realloc(session->host, session->unsent, session->unsent_len + len);
  if (!grown) {
    errno = ENOMEM;
    return false;
  }
  memcpy(grown + session->unsent_len, data, len);
  session->unsent = grown;
  session->unsent_len += len;
  return true;
}

/* Send bytes as they are: plain, or encrypted. Those that the socket does not take wait in `unsent`. Implements
 * gnutls_push_func, which takes all bytes: otherwise GnuTLS would keep a record that blocks, and its bytes would be
 * lost when the client updates its keys meanwhile. */
static ssize_t push(gnutls_transport_ptr_t of, const void *data, size_t len) {
  vsi_h2_session *session = of;
  ssize_t sent = 0;
  if (session->record) {
    if (len > session->record_room - session->record_len) {
      errno = EMSGSIZE;
      return -1;
    }
    memcpy(session->record + session->record_len, data, len);
    session->record_len += len;
    return (ssize_t)len;
  }
  if (!session->unsent) {
    sent = send(session->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return -1;
    if (sent > 0) session->blocked_ns = 0;
    if (sent == (ssize_t)len) return sent;
    session->is_blocked = true;
    if (sent < 0) sent = 0;
  }
  return keep(session, (const char *)data + sent, len - (size_t)sent) ? (ssize_t)len : -1;
}

/* Send frames. GnuTLS takes one record at a time, whose size the client limits (RFC 8449; RFC 6066, 4). */
static void put(vsi_h2_session *session, const void *data, size_t len) {
  const char *at = data;
  while (len && !session->is_broken) {
    errno = 0;
    const ssize_t taken = session->tls ? gnutls_record_send(session->tls, at, len) : push(session, at, len);
    if (taken > 0)
      at += taken, len -= (size_t)taken;
    else if (taken != GNUTLS_E_INTERRUPTED)
      break_off(session, errno);
  }
}

/* Send what waits from an earlier time. Returns whether nothing waits any more. */
static bool send_rest(vsi_h2_session *session) {
  while (session->unsent && !session->is_blocked && !session->is_broken) {
    const ssize_t sent = send(session->fd, session->unsent, session->unsent_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      session->is_blocked = errno == EAGAIN;
      if (errno != EAGAIN && errno != EINTR) break_off(session, errno);
      continue;
    }
    session->unsent_len -= (size_t)sent;
    session->blocked_ns = 0;
    memmove(session->unsent, session->unsent + sent, session->unsent_len);
    if (session->unsent_len) continue;
    vsi_free(session->host, session->unsent);
    session->unsent = NULL;
  }
  return !session->is_blocked && !session->is_broken;
}

/* Frames that are sent in one record. */
typedef struct frames_batch {
  char bytes[VSI_H2_RECORD_BYTES];
  size_t used;
} frames_batch;

static void send_batch(vsi_h2_session *session, frames_batch *batch) {
  put(session, batch->bytes, batch->used);
  batch->used = 0;
}

/* Add all frames that nghttp2 has, as far as the socket has room. */
static void add_control(vsi_h2_session *session, frames_batch *batch) {
  const uint8_t *data;
  ssize_t len = 0;
  session->has_control = false;
  if (!nghttp2_session_want_write(session->frames)) return;
  while (!session->is_blocked && !session->is_broken && (len = nghttp2_session_mem_send(session->frames, &data)) > 0) {
    if (vsi_h2_data_has_said(session, data)) continue;
    if (batch->used + (size_t)len > sizeof batch->bytes) send_batch(session, batch);
    if ((size_t)len > sizeof batch->bytes) {
      put(session, data, (size_t)len);
    } else {
      memcpy(batch->bytes + batch->used, data, (size_t)len);
      vsi_h2_frames_limit(session, (uint8_t *)batch->bytes + batch->used);
      batch->used += (size_t)len;
    }
  }
  if (len < 0) break_off(session, ENOMEM);
}

/* Return whether nghttp2 has sent a last GOAWAY. It drops later heads of responses, so their DATA must not follow. */
static bool has_terminated(const vsi_h2_session *session) {
  return !nghttp2_session_want_read(session->frames);
}

/* Send all frames, as far as the socket has room: first those of nghttp2, because the head of a response must precede
 * its DATA. */
static void send_frames(vsi_h2_session *session) {
  frames_batch batch;
  batch.used = 0;
  if (!session->frames || !send_rest(session)) return;
  for (bool is_done = false; !is_done;) {
    add_control(session, &batch);
    if (session->is_blocked || session->is_broken) break;
    const size_t room = sizeof batch.bytes - batch.used;
    const size_t len = has_terminated(session) ? 0 : vsi_h2_data_write(session, batch.bytes + batch.used, room);
    batch.used += len;
    is_done = !len && !batch.used && !session->has_control;
    if (!len) send_batch(session, &batch);
  }
  send_batch(session, &batch);
}

/* ------------------------------------------------------------------------------------------------------- turns ---- */

/* Reset a request that has not arrived completely, or one whose response is_unread. Returns whether it was not reset
 * before. Its memory is freed at once, except that of a body in pieces, whose writer may use it. */
static bool shed_request(vsi_h2_stream *stream, bool is_unread) {
  vsi_mutex_lock(&stream->session->lock);
  const bool fits = is_unread ? stream->is_answered && !stream->is_stream : stream->is_arriving && !stream->is_answered;
  const bool is_shed = fits && !stream->resets;
  if (is_shed) vsi_h2_stream_reset_locked(stream, NGHTTP2_ENHANCE_YOUR_CALM);
  vsi_mutex_unlock(&stream->session->lock);
  if (!is_shed) return false;
  vestry_reject(stream->session->adapter->v, VESTRY_REFUSAL_BUDGET);
  if (is_unread || stream->is_pieces) return true;
  (void)vsi_h2_request_settle(stream);
  vsi_h2_request_free(stream);
  return true;
}

/* Only a thread with the turn changes the list. */
static bool shed_requests(vsi_h2_session *session, bool are_unread) {
  bool found = false;
  for (vsi_h2_stream *at = LIST_FIRST(&session->streams); at; at = LIST_NEXT(at, in_all))
    found |= shed_request(at, are_unread);
  return found;
}

/* End the incomplete requests of a session that was cut, because its requests hold most memory; and if they still hold
 * much, those whose responses are not read. Streams of events, and requests that are being served, go on. If nothing
 * can be ended, the session ends. */
static void shed(vsi_h2_session *session) {
  vsi_mutex_lock(&session->lock);
  const bool sheds = session->sheds && session->frames && !session->is_broken;
  session->sheds = false;
  vsi_mutex_unlock(&session->lock);
  if (!sheds) return;
  bool goes_on = shed_requests(session, false);
  /* relaxed: only a sum */
  if (atomic_load_explicit(&session->held_bytes, memory_order_relaxed) >= VSI_H2_LEAST_CUT_BYTES)
    goes_on |= shed_requests(session, true);
  if (goes_on) {
    vsi_h2_request_bytes_settle(session, true);
    return;
  }
  vestry_reject(session->adapter->v, VESTRY_REFUSAL_BUDGET);
  break_off(session, 0);
}

/* Apply all marked streams. A stream stays marked until it is applied, so it is in one list at a time. */
static void apply_dirty(vsi_h2_session *session) {
  struct vsi_h2_dirty all = STAILQ_HEAD_INITIALIZER(all);
  vsi_mutex_lock(&session->lock);
  STAILQ_CONCAT(&all, &session->dirty);
  vsi_mutex_unlock(&session->lock);
  for (vsi_h2_stream *at; (at = STAILQ_FIRST(&all)) != NULL; vsi_h2_stream_unref(at)) {
    STAILQ_REMOVE_HEAD(&all, in_dirty);
    vsi_h2_frames_apply(session, at);
  }
}

static bool is_dirty(vsi_h2_session *session) {
  vsi_mutex_lock(&session->lock);
  const bool found = !STAILQ_EMPTY(&session->dirty) || session->sheds;
  vsi_mutex_unlock(&session->lock);
  return found;
}

static bool is_finished(const vsi_h2_session *session) {
  return session->is_broken || (session->frames && !session->unsent && !nghttp2_session_want_read(session->frames) &&
                                !nghttp2_session_want_write(session->frames));
}

/* Watch the socket from now on for bytes, and for room. */
static void watch(vsi_h2_session *session, bool wants_room) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (wants_room ? EPOLLOUT : 0), .data.ptr = session};
  (void)epoll_ctl(session->loop->epoll, EPOLL_CTL_MOD, session->fd, &event);
}

static void watch_room(vsi_h2_session *session) {
  if (session->is_blocked == session->is_watched) return;
  session->is_watched = session->is_blocked;
  watch(session, session->is_watched);
}

/* Do the work of a turn. */
static void work(vsi_h2_session *session) {
  do {
    shed(session);
    apply_dirty(session);
    send_frames(session);
  } while (is_dirty(session));
  watch_room(session);
}

static void pump(vsi_h2_session *session) {
  while (is_dirty(session) && vsi_semaphore_try(&session->turn)) {
    work(session);
    /* The loop's thread ends the session. */
    if (session->frames && !session->is_broken && is_finished(session)) shutdown(session->fd, SHUT_RD);
    vsi_semaphore_leave(&session->turn);
  }
}

/* ----------------------------------------------------------------------------------------------------- batches ---- */

static size_t compose(vsi_h2_stream *stream, const vestry_slice *slices, size_t count, void *record, size_t room) {
  /* SEALED_MORE: maximum number of bytes that TLS adds to the frame, 32 to each record. A client may limit records to
   * 512 bytes, and its update of keys needs a record, too. */
  enum { FRAME_BYTES = 2048, SEALED_MORE = 6 * 32, FEW = 2 };
  vsi_h2_session *session = stream->session;
  uint8_t frame[FRAME_BYTES];
  /* The record is read again if the socket does not take all of it. Without TLS, it may equal that of another session:
   * then both share the other one's bytes, and the place of this one is overwritten (runtime/sends.c). */
  if (!session->tls) return 0;
  /* A session with more streams sends the frames of all of them in one record. relaxed: any number will do */
  if (atomic_load_explicit(&session->streams_count, memory_order_relaxed) > FEW) return 0;
  if (room <= SEALED_MORE || !vsi_semaphore_try(&session->turn)) return 0;
  const bool is_quiet = session->frames && !session->is_broken && !session->is_blocked && !session->unsent &&
                        !nghttp2_session_want_write(session->frames) && !has_terminated(session);
  const size_t most = room - SEALED_MORE < sizeof frame ? room - SEALED_MORE : sizeof frame;
  const size_t len = is_quiet ? vsi_h2_data_compose(stream, slices, count, frame, most) : 0;
  session->record = len ? record : NULL;
  session->record_room = room;
  session->record_len = 0;
  put(session, frame, len);
  if (len && !session->is_broken) {
    atomic_store_explicit(&session->holder, (uintptr_t)pthread_self(), memory_order_relaxed); /* see is_held */
    return session->record_len;
  }
  session->record = NULL;
  vsi_semaphore_leave(&session->turn);
  pump(session);
  return 0;
}

static void take_result(vsi_h2_session *session, int result) {
  if (vsi_h2_session_is_held(session)) {
    const size_t taken = result > 0 ? (size_t)result : 0;
    if (result < 0 && result != -EAGAIN && result != -EINTR)
      break_off(session, -result);
    else if ((session->is_blocked = taken < session->record_len) &&
             !keep(session, session->record + taken, session->record_len - taken))
      break_off(session, ENOMEM);
    session->record = NULL;
    watch_room(session);
    atomic_store_explicit(&session->holder, 0, memory_order_relaxed); /* see is_held */
    vsi_semaphore_leave(&session->turn);
  }
  pump(session);
}

/* ----------------------------------------------------------------------------------------------------- reading ---- */

/* Read from the socket and pass the bytes to nghttp2, with the turn. */
static void read_frames(vsi_h2_session *session) {
  uint8_t bytes[VSI_H2_RECORD_BYTES];
  for (int i = 0; i < READS && !session->is_broken; i++) {
    errno = 0;
    if (atomic_load_explicit(&session->is_cut, memory_order_relaxed)) return; /* first, its requests are reset */
    const ssize_t len = session->tls ? gnutls_record_recv(session->tls, bytes, sizeof bytes)
                                     : recv(session->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (len > 0) {
      if (!vsi_h2_input_take(session, bytes, (size_t)len)) {
        send_frames(session); /* perhaps a GOAWAY with the reason */
        break_off(session, 0);
      }
    } else if (session->tls ? len == GNUTLS_E_AGAIN : len < 0 && errno == EAGAIN) {
      return;
    } else if (session->tls ? len != GNUTLS_E_INTERRUPTED : !len || errno != EINTR) {
      break_off(session, len ? errno : 0);
    }
  }
}

/* Read and write. */
static bool turn_over(vsi_h2_session *session, bool reads) {
  vsi_semaphore_enter(&session->turn);
  session->is_blocked = false;
  if (reads) read_frames(session);
  work(session);
  const bool is_over = is_finished(session);
  vsi_semaphore_leave(&session->turn);
  pump(session);
  return !is_over;
}

/* ----------------------------------------------------------------------------------------------- the beginning ---- */

static bool begin_frames(vsi_h2_session *session) {
  static const int unsent_bytes = UNSENT_BYTES;
  const unsigned lost_ms = session->adapter->lost_ms;
  setsockopt(session->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes, sizeof unsent_bytes);
  if (lost_ms) setsockopt(session->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_ms, sizeof lost_ms);
  session->phase = VSI_H2_OPEN;
  session->since_ns = vsi_now_ns(session->host);
  return !vsi_h2_frames_begin(session);
}

/* Return whether the client has ended its side. Behind bytes that are only looked at, recv does not reveal this. */
static bool has_hung_up(const vsi_h2_session *session) {
  struct pollfd at = {.fd = session->fd, .events = POLLRDHUP};
  return poll(&at, 1, 0) > 0;
}

/* Look at the first bytes, and decide which protocol they begin. */
static bool begin(vsi_h2_session *session) {
  static const int on = 1;
  uint8_t bytes[PEEKED_BYTES];
  const ssize_t len = recv(session->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
  if (len <= 0) return len < 0 && (errno == EAGAIN || errno == EINTR);
  const bool is_tls = session->adapter->tls != NULL;
  const vsi_h2_hello hello = vsi_h2_hello_read(bytes, (size_t)len, is_tls);
  if (hello == VSI_H2_HELLO_PART && (size_t)len < sizeof bytes) return !has_hung_up(session);
  if (hello != VSI_H2_HELLO_H2) {
    session->phase = VSI_H2_GIVEN;
    return false;
  }
  watch(session, false);
  setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* also for the handshake */
  if (!is_tls) return begin_frames(session);
  session->tls = vsi_h2_tls_begin(session->adapter, session->fd);
  session->phase = VSI_H2_SHAKES;
  if (!session->tls) return false;
  gnutls_transport_set_ptr2(session->tls, (gnutls_transport_ptr_t)(intptr_t)session->fd, session);
  gnutls_transport_set_push_function(session->tls, push);
  return true;
}

static bool shake(vsi_h2_session *session) {
  int error;
  session->is_blocked = false;
  (void)send_rest(session);
  do error = gnutls_handshake(session->tls);
  while (error == GNUTLS_E_INTERRUPTED || error == GNUTLS_E_WARNING_ALERT_RECEIVED);
  watch_room(session);
  if (error == GNUTLS_E_AGAIN) return true;
  if (!error) return begin_frames(session);
  (void)gnutls_alert_send_appropriate(session->tls, error); /* for the client's log */
  session->is_broken = true;
  return false;
}

bool vsi_h2_session_visit(vsi_h2_session *session) {
  if (session->phase == VSI_H2_BEGINS && !begin(session)) return false;
  if (session->phase == VSI_H2_SHAKES && !shake(session)) return false;
  return session->phase != VSI_H2_OPEN || turn_over(session, true);
}

/* --------------------------------------------------------------------------------------------------- deadlines ---- */

/* Return whether a time is over that began at since_ns; most_ns UINT64_MAX: never. */
static bool is_over(uint64_t since_ns, uint64_t now_ns, uint64_t most_ns) {
  return now_ns > since_ns && now_ns - since_ns > most_ns;
}

/* Return the time for which a stream's client may take none of the bytes that wait for it. */
static uint64_t patience_ns(const vsi_h2_stream *stream) {
  const vsi_h2 *adapter = stream->session->adapter;
  if (stream->connection) return adapter->lost_ns;
  /* relaxed: only a flag */
  const bool is_stopping = atomic_load_explicit(&adapter->is_stopping, memory_order_relaxed);
  const uint64_t most_ns = stream->session->is_crowded ? HURRY_NS : is_stopping ? STOPPED_NS : UINT64_MAX;
  return adapter->idle_ns < most_ns ? adapter->idle_ns : most_ns;
}

/* Decide about a stream whose bytes wait. Returns the connection to close as STALLED, with a reference. */
static vestry_connection *judge_waiting_locked(vsi_h2_stream *stream, uint64_t now_ns) {
  const bool runs = stream->connection != NULL;
  if (!stream->since_s || !is_over(stream->since_s * 1000 * VSI_NS_PER_MS, now_ns, patience_ns(stream))) return NULL;
  vsi_h2_stream_wait_locked(stream, false);
  atomic_store_explicit(&stream->session->has_stalled, true, memory_order_relaxed); /* only a flag */
  if (runs) return vestry_connection_ref(stream->connection);
  vsi_h2_stream_reset_locked(stream, NGHTTP2_CANCEL);
  return NULL;
}

void vsi_h2_session_look_at_waiting(vsi_h2_session *session, uint64_t now_ns) {
  enum { AT_ONCE = 64 };
  vestry_connection *stalled[AT_ONCE];
  size_t count = 0;
  vsi_mutex_lock(&session->lock);
  if (session->waiting_count)
    for (vsi_h2_stream *at = LIST_FIRST(&session->streams); at && count < AT_ONCE; at = LIST_NEXT(at, in_all)) {
      stalled[count] = judge_waiting_locked(at, now_ns);
      count += stalled[count] != NULL;
    }
  vsi_mutex_unlock(&session->lock);
  for (size_t i = 0; i < count; i++) {
    vestry_connection_close(stalled[i], VESTRY_CAUSE_STALLED);
    vestry_connection_unref(stalled[i]);
  }
  pump(session);
}

/* Look at the streams that are to be reset. */
static void look_at_lingering(vsi_h2_session *session) {
  vsi_mutex_lock(&session->lock);
  if (session->lingering_count)
    for (vsi_h2_stream *at = LIST_FIRST(&session->streams); at; at = LIST_NEXT(at, in_all)) {
      if (!at->lingers || --at->lingers) continue;
      session->lingering_count--;
      vsi_h2_stream_reset_locked(at, at->reset_code);
    }
  vsi_mutex_unlock(&session->lock);
}

/* End the session of a client whose head does not arrive in time. */
static void give_up(vsi_h2_session *session) {
  vestry_reject(session->adapter->v, VESTRY_REFUSAL_DEADLINE);
  nghttp2_session_terminate_session(session->frames, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* Look at the requests that have not arrived completely, with the turn. */
static void look_at_requests(vsi_h2_session *session, uint64_t now_ns) {
  vsi_h2_stream *next;
  if (!session->arriving_count) return;
  /* Only a thread with the turn changes the list. */
  for (vsi_h2_stream *at = LIST_FIRST(&session->streams); at; at = next) {
    next = LIST_NEXT(at, in_all);
    if (!at->is_arriving || !is_over(at->request->begun_ns, now_ns, session->adapter->request_ns)) continue;
    if (at->request->path)
      vsi_h2_request_late(at);
    else
      give_up(session);
  }
}

/* Return whether all streams are reset at once. */
static bool has_only_resets(vsi_h2_session *session) {
  vsi_mutex_lock(&session->lock);
  const vsi_h2_stream *at = LIST_FIRST(&session->streams);
  while (at && at->resets && at->is_urgent) at = LIST_NEXT(at, in_all);
  vsi_mutex_unlock(&session->lock);
  return !at;
}

/* End a session, with the turn, whose socket takes nothing for too long, not even the resets of its streams or a
 * GOAWAY. TCP would end it if it has a time-out. */
static void look_at_blocked(vsi_h2_session *session, uint64_t now_ns) {
  if (!session->blocked_ns || !session->is_blocked) session->blocked_ns = session->is_blocked ? now_ns : 0;
  if (!session->is_blocked) return;
  if (is_over(session->blocked_ns, now_ns, session->adapter->idle_ns) && has_only_resets(session))
    break_off(session, 0);
}

/* TCP_USER_TIMEOUT also ends a connection whose client only pauses. So it is lost_ms only while no response is sent. */
static void set_patience(vsi_h2_session *session) {
  const vsi_h2 *adapter = session->adapter;
  vsi_mutex_lock(&session->lock);
  const bool is_patient = session->answers_count != 0;
  vsi_mutex_unlock(&session->lock);
  if (is_patient == session->is_patient || !adapter->lost_ms || adapter->lost_ns >= adapter->idle_ns) return;
  session->is_patient = is_patient;
  const uint64_t idle_ms = adapter->idle_ns / VSI_NS_PER_MS;
  const unsigned most_ms = is_patient ? idle_ms < INT_MAX ? (unsigned)idle_ms : INT_MAX : adapter->lost_ms;
  setsockopt(session->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &most_ms, sizeof most_ms);
}

bool vsi_h2_session_look(vsi_h2_session *session, uint64_t now_ns) {
  vsi_h2 *adapter = session->adapter;
  if (session->phase != VSI_H2_OPEN) {
    if (!is_over(session->since_ns, now_ns, adapter->request_ns)) return true;
    vestry_reject(adapter->v, VESTRY_REFUSAL_DEADLINE);
    return false;
  }
  vsi_semaphore_enter(&session->turn);
  /* relaxed: only a flag */
  if (atomic_load_explicit(&adapter->is_stopping, memory_order_relaxed)) vsi_h2_frames_leave(session);
  /* A client that let a stream's time pass has no further time without streams. */
  const bool has_stalled = atomic_load_explicit(&session->has_stalled, memory_order_relaxed);
  if (!LIST_EMPTY(&session->streams))
    session->since_ns = now_ns;
  else if (has_stalled || is_over(session->since_ns, now_ns, adapter->idle_ns))
    vsi_h2_frames_leave(session);
  if (session->leaving_ns && is_over(session->leaving_ns, now_ns, LEAVE_NS)) vsi_h2_frames_left(session);
  look_at_blocked(session, now_ns);
  look_at_requests(session, now_ns);
  vsi_semaphore_leave(&session->turn);
  vsi_h2_session_look_at_waiting(session, now_ns);
  look_at_lingering(session);
  set_patience(session);
  return turn_over(session, false);
}

/* ----------------------------------------------------------------------------------------------------- its end ---- */

static void put_down(vsi_h2_session *session) {
  if (session->tls) {
    if (!session->is_broken) (void)gnutls_bye(session->tls, GNUTLS_SHUT_WR);
    gnutls_deinit(session->tls);
    session->tls = NULL;
  }
  vsi_free(session->host, session->unsent);
  session->unsent = NULL;
  vsi_microhttpd_sockets_linger(&session->adapter->inner->sockets, session->fd, session->address);
}

void vsi_h2_session_end(vsi_h2_session *session) {
  vsi_h2 *adapter = session->adapter;
  const bool is_given = session->phase == VSI_H2_GIVEN;
  vsi_semaphore_enter(&session->turn);
  const vestry_cause cause = session->error ? vsi_microhttpd_verdict(session->fd, session->error) : VESTRY_CAUSE_HANGUP;
  /* The adapter ends: the client learns which requests were served. */
  if (session->frames && !session->is_broken && !has_terminated(session)) {
    vsi_h2_frames_left(session);
    send_frames(session);
  }
  (void)epoll_ctl(session->loop->epoll, EPOLL_CTL_DEL, session->fd, NULL);
  if (session->frames) nghttp2_session_del(session->frames);
  session->frames = NULL;
  vsi_h2_request_bytes_settle(session, false);
  for (vsi_h2_stream *at; (at = LIST_FIRST(&session->streams)) != NULL;) vsi_h2_frames_close(at, cause);
  vsi_mutex_lock(&session->lock);
  session->is_dead = true;
  vsi_mutex_unlock(&session->lock);
  work(session); /* which only drops the marks */
  for (vsi_h2_stream *at; (at = STAILQ_FIRST(&session->ready)) != NULL; vsi_h2_stream_unref(at)) {
    STAILQ_REMOVE_HEAD(&session->ready, in_ready);
    vsi_h2_request_serve(at); /* which only frees it, because it is closed */
  }
  if (!is_given) put_down(session);
  vsi_semaphore_leave(&session->turn);
  if (is_given) {
    vsi_microhttpd_sockets_leave(&adapter->inner->sockets, session->address);
    vsi_microhttpd_give(adapter->inner, session->fd, &session->from.any, address_len(&session->from.any));
  }
  vsi_h2_session_unref(session);
}
