/* SPDX-License-Identifier: MIT */
/* The structs of the HTTP/2 adapter, and the functions that its files share:
 *
 *   lifecycle.c   an adapter: its options, its start and end
 *   tls.c         sessions of TLS; which protocol a connection begins with
 *   loop.c        threads that wait for sockets; deadlines
 *   session.c     a connection: one thread at a time reads and writes it
 *   input.c       bytes of the client, before nghttp2 reads them
 *   frames.c      nghttp2's callbacks
 *   data.c        DATA frames that the server sends: their order, and the client's windows
 *   request.c     a request: its head, its body, serving it
 *   body.c        bodies in pieces, whose writers block
 *   answer.c      responses
 *   stream.c      streams of events: vestry's transport */
#ifndef VSI_H2_ADAPTER_H
#define VSI_H2_ADAPTER_H

#include <gnutls/gnutls.h>
#include <nghttp2/nghttp2.h>
#include <sys/queue.h>

#include "adapter/microhttpd/adapter.h"
#include "base/load.h"
#include "vestry/h2.h"

typedef struct vsi_h2 vsi_h2;
typedef struct vsi_h2_session vsi_h2_session;
typedef struct vsi_h2_stream vsi_h2_stream;

/* A session whose requests hold less than LEAST_CUT is not cut for others. FIELD: the bytes that a field of a head
 * counts beside its name and value. */
enum {
  VSI_H2_RECORD_BYTES = 16384,
  VSI_H2_WINDOW_BYTES = 65535,
  VSI_H2_WIDE_BYTES = 512 << 10,
  VSI_H2_LEAST_CUT_BYTES = 32 << 10
};
enum { VSI_H2_FIELD_BYTES = 32 };

/* ------------------------------------------------------------------------------------------------------ a loop ---- */

TAILQ_HEAD(vsi_h2_sessions, vsi_h2_session);

/* A thread with the sessions that it reads. */
typedef struct vsi_h2_loop {
  vsi_h2 *adapter;
  int epoll, bell; /* bell: an eventfd that ends the thread, and makes it look at `stops` */
  pthread_t thread;
  bool is_started;
  /* Sessions with requests to serve, used by the thread: those that had none before, and the others. */
  struct vsi_h2_sessions fresh, busy;
  vsi_mutex loop_lock;             /* innermost */
  struct vsi_h2_sessions sessions; /* guarded by loop_lock; only the thread removes one */
} vsi_h2_loop;

struct vsi_h2 {
  vestry_server base; /* first member */
  /* Constant. */
  vestry *v;
  const vestry_host *host;
  vsi_microhttpd *inner; /* accepts connections, serves those of HTTP/1.1, and has the gate for both */
  vestry_server *inner_server;
  vsi_tls *tls;                          /* owned; NULL: plain */
  char **names;                          /* ended by NULL; NULL: all names are served */
  uint64_t request_ns, idle_ns, lost_ns; /* UINT64_MAX: never */
  unsigned lost_ms;                      /* TCP_USER_TIMEOUT; 0: the system's */
  uint64_t look_ns;                      /* interval of looking at deadlines */
  uint32_t most_streams;                 /* of a session */
  size_t max_head_bytes;
  const vestry_request_ops *ops;
  const vsi_microhttpd_cut_ops *cut_ops; /* of responses */
  nghttp2_session_callbacks *callbacks;
  nghttp2_option *option;
  vsi_h2_loop *loops;
  uint32_t loops_count;
  _Atomic(uint32_t) next_loop; /* relaxed */
  _Atomic(bool) is_over;       /* the threads end */
  _Atomic(bool) is_stopping;   /* sessions send GOAWAY */

  vsi_mutex loads_lock; /* innermost */
  vsi_loads loads;      /* guarded by loads_lock, as is the next member: sessions by the bytes of their requests */
  uint64_t going;       /* bytes of sessions that were cut and have not ended */
};

/* Make the loops, which take sessions; and start their threads. OK | NO_MEMORY | IO (logged) */
vestry_err vsi_h2_loops_make(vsi_h2 *adapter, uint32_t count);
vestry_err vsi_h2_loops_start(vsi_h2 *adapter);
/* End the threads, and all sessions. The acceptor is closed. */
void vsi_h2_loops_finish(vsi_h2 *adapter);
/* Implements vsi_microhttpd_feeder.take. */
bool vsi_h2_loop_take(void *adapter, int fd, const struct sockaddr *address);
/* Make the threads look at their sessions soon, because the adapter is stopping. */
void vsi_h2_loops_wake(vsi_h2 *adapter);
/* Abort all streams of HTTP/2 with a cause, and the responses that wait too long. Threads any. */
void vsi_h2_loops_close_streams(vsi_h2 *adapter, vestry_cause cause);

/* --------------------------------------------------------------------------------------------------------- TLS ---- */

/* Begin the server's side of a session. NULL: no memory. */
gnutls_session_t vsi_h2_tls_begin(vsi_h2 *adapter, int fd);

typedef enum vsi_h2_hello { VSI_H2_HELLO_PART, VSI_H2_HELLO_H2, VSI_H2_HELLO_H1 } vsi_h2_hello;
/* Return what the first bytes of a connection begin: HTTP/2, HTTP/1.1, or too few bytes to know. The bytes are
 * overwritten. */
vsi_h2_hello vsi_h2_hello_read(uint8_t *bytes, size_t len, bool is_tls);

/* --------------------------------------------------------------------------------------------------- a request ---- */

/* A head to send, and a body. */
typedef struct vsi_h2_answer {
  int status;
  bool has_body;                   /* bytes follow the head, or a stream */
  bool goes_away;                  /* the connection is to end after this response */
  uint64_t len, at;                /* of the body */
  size_t held;                     /* memory of the body, in answers_bytes of the session */
  char *bytes;                     /* a copy of the body; owned; NULL: none */
  vsi_microhttpd_sending *sending; /* its body; owned; NULL: none */
  size_t count;                    /* of the fields */
  char fields[];                   /* a name, a NUL, a value and a NUL each */
} vsi_h2_answer;

/* A request until it is answered. */
typedef struct vsi_h2_request {
  char *head; /* fields: a name, a NUL, a value and a NUL each; owned */
  size_t head_len, head_capacity;
  size_t listed; /* size of the head as SETTINGS_MAX_HEADER_LIST_SIZE counts it */
  const char *method, *target, *authority, *scheme;
  char *path; /* decoded; owned */
  const char *query;
  int refused;      /* status of the response; 0: serve it */
  bool is_complete; /* its body has ended */
  bool is_head;     /* the method is HEAD */
  bool is_routed;   /* there was a route for it when its head was checked */
  bool no_memory;
  int64_t body_length; /* -1: unknown */
  size_t max_body_bytes;
  char *body; /* as received; owned */
  size_t body_len, body_capacity, body_read;
  uint64_t begun_ns; /* when the head began to arrive, or a part of the body in pieces */
  bool is_late;      /* its body took too long; of a body in pieces, guarded by the session's lock */

  /* Of a body in pieces (body.c). */
  vsi_h2_stream *stream;
  vestry_receiving *receiving;
  vsi_microhttpd_errand errand;
  bool is_begun;           /* its writer has begun; used by the errand, apart from what a lock guards */
  size_t passed;           /* bytes since begun_ns */
  size_t window;           /* memory for its bytes that wait: as many as the client may send ahead */
  size_t taken;            /* bytes that its writer took since the window was widened */
  size_t waiting_capacity; /* guarded by the session's lock, as are `body` and the next members: of `body` */
  bool is_running;         /* an errand is queued, or runs */
  bool is_ended;           /* the last bytes have arrived */
  bool is_done;            /* it is answered, or given up */
} vsi_h2_request;

/* What a body in pieces leaves to do when its stream is closed. */
typedef enum vsi_h2_left { VSI_H2_LEFT_NOTHING, VSI_H2_LEFT_ERRAND, VSI_H2_LEFT_REQUEST } vsi_h2_left;
typedef enum vsi_h2_body_event { VSI_H2_BODY_ENDED, VSI_H2_BODY_LATE } vsi_h2_body_event;

/* ---------------------------------------------------------------------------------------------------- a stream ---- */

/* Where a stream is that has bytes to send. */
typedef enum vsi_h2_place { VSI_H2_AWAY, VSI_H2_IN_LINE, VSI_H2_WAITS_WINDOW, VSI_H2_WAITS_SHARE } vsi_h2_place;

/* A stream of HTTP/2: a request, and then its response or its stream of events. */
struct vsi_h2_stream {
  vsi_refs refs; /* the wire's (until nghttp2 closes it); the transport's; one while it is in a list or an errand */
  int32_t id;
  vsi_h2_session *session;          /* a reference */
  LIST_ENTRY(vsi_h2_stream) in_all; /* guarded by session->lock; of the wire */
  STAILQ_ENTRY(vsi_h2_stream) in_dirty;
  vsi_h2_request *request;       /* owned; NULL: answered */
  vsi_h2_answer *answer;         /* owned; guarded by lock until it is submitted, then the turn's */
  vestry_connection *connection; /* guarded by lock: a reference, from begin to the end; NULL: none */
  char *out;                     /* guarded by lock, as are the next members: bytes to send; owned */
  uint16_t out_len, out_at;
  uint32_t consumed;     /* bytes of the body that were taken: the client may send as many */
  uint32_t since_s;      /* when its unsent bytes began to wait, or moved last, rounded up; 0: none wait */
  uint8_t reset_code;    /* of NGHTTP2_… */
  uint8_t lingers;       /* number of looks before it is reset, so that its client has read its last bytes; 0: none */
  bool is_dirty : 1;     /* in session->dirty */
  bool is_gone : 1;      /* nghttp2 has closed it */
  bool is_answered : 1;  /* a response, or the head of a stream, was given */
  bool is_submitted : 1; /* …and passed to nghttp2 */
  bool has_ended : 1;    /* its end follows the bytes */
  bool resets : 1;       /* it is to be reset */
  bool waits : 1;        /* the connection waits for room */
  bool is_begun : 1;     /* vestry_serve has returned its connection */
  bool is_over : 1;      /* `end` was called */
  bool is_urgent : 1;    /* it is reset without sending its bytes first */
  bool continues : 1;    /* a 100 Continue is to be sent */
  bool body_is_done : 1; /* …and its request can be freed */
  bool is_counted : 1;   /* in the memory for requests */

  bool is_stream;          /* a stream of events; constant when it is answered */
  bool is_arriving;        /* its request is incomplete; used with the turn */
  bool is_pieces;          /* its body is in pieces; constant after the head, as is the next member */
  bool is_action;          /* the method is neither GET nor HEAD */
  uint8_t place : 3;       /* vsi_h2_place; used with the turn, as are all members below (data.c) */
  uint8_t line : 5;        /* of session->lines, while it is in one */
  uint8_t urgency : 3;     /* that the client requests */
  bool is_incremental : 1; /* …as well: it can use a part of the response */
  bool is_finished : 1;    /* all of it is sent */
  int32_t window;          /* bytes that its client lets it send; below 0 after SETTINGS */
  uint32_t unread;         /* sent bytes that its client has not acknowledged */
  union {
    STAILQ_ENTRY(vsi_h2_stream) in_ready; /* until it is answered */
    TAILQ_ENTRY(vsi_h2_stream) in_line;   /* while it has bytes to send */
  };
};

/* --------------------------------------------------------------------------------------------------- a session ---- */

/* UPDATE: a whole WINDOW_UPDATE. */
enum { VSI_H2_FRAME_HEAD_BYTES = 9, VSI_H2_UPDATE_BYTES = VSI_H2_FRAME_HEAD_BYTES + 4 };

/* Read a number of 32 bits; the length and the stream of a frame (RFC 9113, 4.1), whose own head is there. */
static inline uint32_t vsi_h2_number_at(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}
static inline uint32_t vsi_h2_length_of(const uint8_t *frame) {
  return vsi_h2_number_at(frame) >> 8;
}
static inline int32_t vsi_h2_id_of(const uint8_t *frame) {
  return (int32_t)(vsi_h2_number_at(frame + 5) & INT32_MAX);
}
/* Write the head of a frame. */
static inline void vsi_h2_frame_put(uint8_t *to, size_t len, uint8_t type, uint8_t flags, int32_t id) {
  const uint32_t stream = (uint32_t)id;
  to[0] = (uint8_t)(len >> 16), to[1] = (uint8_t)(len >> 8), to[2] = (uint8_t)len;
  to[3] = type, to[4] = flags;
  to[5] = (uint8_t)(stream >> 24), to[6] = (uint8_t)(stream >> 16), to[7] = (uint8_t)(stream >> 8);
  to[8] = (uint8_t)stream;
}

/* Progress in what the client sends. */
typedef struct vsi_h2_input {
  uint32_t left;                      /* bytes of the current frame that have not arrived */
  uint8_t start_len;                  /* of start */
  uint8_t start[VSI_H2_UPDATE_BYTES]; /* the beginning of a frame, as far as it has arrived */
  bool has_begun : 1;                 /* a frame has come */
  bool is_in_head : 1;                /* nghttp2 has got a head without its end: CONTINUATION must follow */
  bool is_read : 1;                   /* nghttp2 reports the fields of the head (frames.c) */
  size_t listed;                      /* size of the head as SETTINGS_MAX_HEADER_LIST_SIZE counts it */
} vsi_h2_input;

typedef enum vsi_h2_phase { VSI_H2_BEGINS, VSI_H2_SHAKES, VSI_H2_OPEN, VSI_H2_GIVEN } vsi_h2_phase;

STAILQ_HEAD(vsi_h2_dirty, vsi_h2_stream);
TAILQ_HEAD(vsi_h2_line, vsi_h2_stream);
enum { VSI_H2_LINES = 16 };

/* The priority that a client requests (RFC 9218). */
typedef struct vsi_h2_priority {
  uint8_t urgency; /* from 0, the most urgent, to 7 */
  bool is_incremental;
} vsi_h2_priority;

/* A time in which a session serves no requests, because a response was cut (request.c). */
typedef struct vsi_h2_rest {
  uint64_t until_ns; /* 0: none */
  uint64_t sent;     /* bytes that the session had sent when it began */
} vsi_h2_rest;

/* Functions of session.c that its streams call. Threads any; no lock is held. */
typedef struct vsi_h2_session_ops {
  /* Send what the streams have, unless another thread is inside, which then does so. */
  void (*pump)(vsi_h2_session *session);
  /* Write the record of an event for a batch, if nothing else is to be sent on the session. Returns its length, and
   * keeps the turn until `sent`; 0: not possible. */
  size_t (*compose)(vsi_h2_stream *stream, const vestry_slice *slices, size_t count, void *record, size_t room);
  /* Take the result of a send of the batch: a number of bytes, or the negative errno. Then pump. */
  void (*sent)(vsi_h2_session *session, int result);
} vsi_h2_session_ops;

/* A connection. */
struct vsi_h2_session {
  vsi_refs refs; /* the loop's, and one of each stream */
  const vestry_host *host;
  vsi_h2 *adapter; /* until the session ends */
  const struct vsi_h2_session_ops *ops;
  vsi_h2_loop *loop;
  TAILQ_ENTRY(vsi_h2_session) in; /* guarded by the loop's lock, as is the next member */
  bool has_left;                  /* it is not in the loop's list any more */
  int fd;
  vsi_h2_phase phase; /* used by the loop's thread, as are the next members */
  uint64_t since_ns;  /* its accept, or when it had a stream last, as seen by a look */
  bool is_patient;    /* TCP_USER_TIMEOUT is that of a response */
  uint64_t last_turn; /* of its errands; guarded by the lock of the writer pool */
  TAILQ_ENTRY(vsi_h2_session) in_line;
  struct vsi_h2_sessions *line; /* of the loop: where it waits to be served; NULL: it does not */
  vsi_address address;
  _Atomic(size_t) held_bytes; /* of its requests, as counted by the instance; relaxed */
  vsi_load load;              /* guarded by the adapter's loads_lock, as are the next members */
  vsi_load_place place;
  uint64_t going;       /* its bytes when it was cut */
  _Atomic(bool) is_cut; /* it is being cut, or has ended; relaxed: `sheds` is under a lock */
  char peer[INET6_ADDRSTRLEN];
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } from;

  /* The turn: the thread inside uses the next members, nghttp2 and the socket (session.c). */
  vsi_semaphore turn;
  nghttp2_session *frames; /* NULL: not begun, or ended */
  void *frame_buffer;      /* nghttp2's, from mmap (frames.c); NULL: none, or from malloc */
  size_t frame_buffer_len;
  gnutls_session_t tls; /* NULL: plain */
  char *unsent;         /* bytes, encrypted with TLS, that the socket did not take; owned */
  size_t unsent_len;
  char *record; /* where the next record goes instead of the socket: a batch of the runtime; NULL: nowhere */
  size_t record_len, record_room;
  _Atomic(uintptr_t) holder;              /* the thread that keeps the turn until its batch is sent; 0: none. Relaxed */
  int error;                              /* errno of its end */
  struct vsi_h2_line lines[VSI_H2_LINES]; /* streams that may send, in their order (data.c) */
  struct vsi_h2_line sharing;             /* streams that wait for their share of the window */
  uint32_t lines_used;                    /* a bit for each line: it is not empty */
  uint32_t urgent_bytes;                  /* that the first line has sent while others waited */
  uint8_t favoured;                       /* the line that was last let pass */
  bool share_grows;                       /* the streams in `sharing` may have got room */
  bool has_control;                       /* nghttp2 has frames to send */
  vsi_h2_priority early;                  /* of the last PRIORITY_UPDATE of a stream that had not begun */
  int32_t early_id;                       /* the stream; 0: none */
  int32_t said_id;                        /* a stream whose end both sides have sent; the last closed one, or 0 */
  int32_t window, first_window;           /* bytes that the client lets the server send; …at first on a stream */
  uint32_t unread;                        /* sent bytes that it has not acknowledged */
  uint32_t streams_unread;                /* …on the open streams */
  bool waives_share;                      /* the stream that sends next may exceed its share */
  _Atomic(uint64_t) sent;                 /* all bytes of DATA; relaxed */
  vsi_h2_input input;
  bool is_blocked;                    /* the socket is full */
  uint64_t blocked_ns;                /* since when it takes nothing; 0: it has taken bytes since the last look */
  bool is_watched;                    /* for room */
  bool is_leaving;                    /* its client is sent the last GOAWAY */
  uint64_t leaving_ns;                /* when its client was sent the first one; 0: it was not */
  bool is_broken;                     /* it can neither be read nor written */
  STAILQ_HEAD(, vsi_h2_stream) ready; /* requests to serve; only the loop's thread changes it */
  uint32_t arriving_count;            /* streams whose request is incomplete */
  uint32_t tokens;                    /* of control frames that may come */
  uint64_t tokens_ns;

  vsi_mutex lock;                     /* innermost */
  LIST_HEAD(, vsi_h2_stream) streams; /* guarded by lock, as are the next members */
  struct vsi_h2_dirty dirty;          /* streams with something for the turn's thread */
  _Atomic(uint32_t) streams_count;    /* written under lock; relaxed */
  uint32_t waiting_count;             /* streams with unsent bytes */
  uint32_t answers_count;             /* …of a response */
  uint32_t lingering_count;
  uint64_t first_id;             /* id of its first stream of events; 0: none yet */
  size_t out_bytes;              /* bytes that all streams hold */
  vsi_h2_rest rests[2];          /* after responses to GET and HEAD were cut, and after others (is_action) */
  bool is_crowded;               /* requests wait, because its responses hold their share of the memory */
  bool is_dead;                  /* it has ended */
  bool sheds;                    /* the thread with the turn is to end its incomplete requests */
  _Atomic(size_t) answers_bytes; /* memory of its responses; relaxed, as is the next member */
  _Atomic(bool) has_stalled;     /* its client took no bytes of a stream until the time of the stream was over */
};

/* Return whether this thread keeps the turn. */
static inline bool vsi_h2_session_is_held(const vsi_h2_session *session) {
  /* relaxed: only this thread stores its own number */
  return atomic_load_explicit(&session->holder, memory_order_relaxed) == (uintptr_t)pthread_self();
}

/* Put a stream into the list of streams that have something to send. */
static inline void vsi_h2_session_mark_locked(vsi_h2_stream *stream) {
  if (stream->is_dirty || stream->session->is_dead) return;
  stream->is_dirty = true;
  VSI_REFS_TAKE(&stream->refs);
  STAILQ_INSERT_TAIL(&stream->session->dirty, stream, in_dirty);
}

/* Note that it has unsent bytes that wait (since now), or none. */
static inline void vsi_h2_stream_wait_locked(vsi_h2_stream *stream, bool waits) {
  vsi_h2_session *session = stream->session;
  if (waits == (stream->since_s != 0)) return;
  stream->since_s = waits ? (uint32_t)(vsi_now_ns(session->host) / (1000 * VSI_NS_PER_MS)) + 1 : 0;
  session->waiting_count += waits ? 1 : UINT32_MAX;
  if (!stream->is_stream) session->answers_count += waits ? 1 : UINT32_MAX;
}

/* Reset a stream whose bytes are sent, at the second look from now on. Chromium drops received bytes that its page has
 * not read yet when a reset arrives, and the last ones may be the delay of a drain. */
static inline void vsi_h2_stream_linger_locked(vsi_h2_stream *stream) {
  enum { LOOKS = 2 };
  if (stream->lingers || stream->is_gone) return;
  stream->lingers = LOOKS;
  stream->session->lingering_count++;
}

/* session.c */

/* Create a session for a connection. NULL: no memory. */
vsi_h2_session *vsi_h2_session_create(vsi_h2 *adapter, int fd, const struct sockaddr *address);
void vsi_h2_session_unref(vsi_h2_session *session);
/* Handle an event of the socket, or the time, on the loop's thread. false: the session is over, and the caller ends
 * it. */
bool vsi_h2_session_visit(vsi_h2_session *session);
/* Look at its deadlines, on the loop's thread. false: as above */
bool vsi_h2_session_look(vsi_h2_session *session, uint64_t now_ns);
/* Close the streams, and reset the responses, whose bytes wait too long for a client that does not read. Threads
 * any. */
void vsi_h2_session_look_at_waiting(vsi_h2_session *session, uint64_t now_ns);
/* End a session: its streams, and its connection unless it was given to HTTP/1.1. Drops the loop's reference. */
void vsi_h2_session_end(vsi_h2_session *session);

/* input.c */
/* Take bytes of the client, with the turn. false: the session is over. */
bool vsi_h2_input_take(vsi_h2_session *session, const uint8_t *bytes, size_t len);

/* frames.c */
vestry_err vsi_h2_frames_init(vsi_h2 *adapter);
void vsi_h2_frames_finish(vsi_h2 *adapter);
/* Begin HTTP/2 in a session. OK | NO_MEMORY */
vestry_err vsi_h2_frames_begin(vsi_h2_session *session);
/* Do what a stream wants, which was taken from the list of marked streams, with the turn. */
void vsi_h2_frames_apply(vsi_h2_session *session, vsi_h2_stream *stream);
/* End a stream that nghttp2 has closed, with the turn. Drops the wire's reference. */
void vsi_h2_frames_close(vsi_h2_stream *stream, vestry_cause cause);
/* Begin to end a session, with the turn: requests that are on their way are still served. */
void vsi_h2_frames_leave(vsi_h2_session *session);
/* Queue the last GOAWAY once, with the turn. Requests that have arrived are still served. */
void vsi_h2_frames_left(vsi_h2_session *session);
/* Put the maximum number of streams into the frame that nghttp2 begins with; other frames stay as they are. */
void vsi_h2_frames_limit(const vsi_h2_session *session, uint8_t *frame);

/* data.c */
void vsi_h2_data_begin(vsi_h2_session *session);
/* Take a WINDOW_UPDATE. false: nghttp2 shall take it, because it is invalid, or of a stream that is not open. */
bool vsi_h2_data_update(vsi_h2_session *session, const uint8_t *frame);
/* Note that the client's SETTINGS may have changed the windows of streams. */
void vsi_h2_data_set_window(vsi_h2_session *session);
/* Note that a stream whose head is sent has bytes to send, or its end. */
void vsi_h2_data_put(vsi_h2_stream *stream);
/* Note that a stream has nothing to send any more, and that nothing of it is read any more. */
void vsi_h2_data_remove(vsi_h2_stream *stream);
/* Take the value of a PRIORITY_UPDATE; id: of a stream, which may begin later. */
void vsi_h2_data_prioritize(vsi_h2_session *session, int32_t id, const char *text, size_t len);
/* Set the priority of a stream whose head is complete. text: of its Priority field; NULL: none. */
void vsi_h2_data_settle_priority(vsi_h2_stream *stream, const char *text);
/* Write DATA frames, if all of nghttp2's frames are sent. capacity: VSI_H2_RECORD_BYTES, or less if some of them are
 * used. Returns the number of bytes; 0: no frame can be sent, or the next one needs more room. */
size_t vsi_h2_data_write(vsi_h2_session *session, void *to, size_t capacity);
/* Write an event as one frame, if its stream and the session have nothing else to send. Returns the number of bytes; 0:
 * not possible. */
size_t vsi_h2_data_compose(vsi_h2_stream *stream, const vestry_slice *slices, size_t count, uint8_t *to,
                           size_t capacity);
/* Note that nghttp2 closes a stream. */
void vsi_h2_data_closes(const vsi_h2_stream *stream);
/* Return whether a frame of nghttp2 only announces an end that the client knows from a DATA frame. */
bool vsi_h2_data_has_said(const vsi_h2_session *session, const uint8_t *frame);

/* request.c */
/* Set the functions that vestry calls on requests, and those that end responses. */
void vsi_h2_request_init(vsi_h2 *adapter);
void vsi_h2_request_free(vsi_h2_stream *stream);
/* Add a field of the head, with the turn. */
void vsi_h2_request_field(vsi_h2_stream *stream, const uint8_t *name, size_t name_len, const uint8_t *value,
                          size_t value_len);
/* The head is complete. has_body: bytes follow. Returns whether to serve it now. */
bool vsi_h2_request_begin(vsi_h2_stream *stream, bool has_body);
/* Return whether the client waits for a 100 Continue. */
bool vsi_h2_request_expects(vsi_h2_stream *stream);
/* Take bytes of the body, with the turn. Returns whether to serve it now. */
bool vsi_h2_request_take(vsi_h2_stream *stream, const uint8_t *data, size_t len);
/* Answer a request whose body does not arrive in time, with the turn. */
void vsi_h2_request_late(vsi_h2_stream *stream);
/* Stop waiting for the rest of a request, with the turn. Returns whether it was incomplete. */
bool vsi_h2_request_settle(vsi_h2_stream *stream);
/* Note that a request is complete, or that no more of it is awaited, with the turn. */
void vsi_h2_request_arrived(vsi_h2_stream *stream);
/* Serve a request on the loop's thread, without the turn. */
void vsi_h2_request_serve(vsi_h2_stream *stream);
/* Serve requests of a session for a short time, at least one, on the loop's thread. Returns whether more can be
 * served. */
bool vsi_h2_request_serve_ready(vsi_h2_session *session);
/* Take the result of vestry_serve or vestry_receive_end. connection: a reference, which is taken; NULL: none. A request
 * that got no response is reset. */
void vsi_h2_request_served(vsi_h2_stream *stream, vestry_connection *connection);

/* body.c */
/* Begin to receive a body in pieces, with the turn. OK | NOT_FOUND: the route takes none | NO_MEMORY | LIMIT */
vestry_err vsi_h2_body_begin(vsi_h2_stream *stream);
/* Take bytes of it, with the turn. */
void vsi_h2_body_take(vsi_h2_stream *stream, const uint8_t *data, size_t len);
/* Note that the last bytes have arrived, or that they are late, with the turn. */
void vsi_h2_body_wake(vsi_h2_stream *stream, vsi_h2_body_event event);
/* Note that the stream was closed, under the session's lock; then do what is left, with the turn. */
vsi_h2_left vsi_h2_body_break_locked(vsi_h2_stream *stream);
void vsi_h2_body_broken(vsi_h2_stream *stream, vsi_h2_left left);
/* Note that its writer has taken bytes, with the turn: the client may send as many again, or more. */
void vsi_h2_body_taken(vsi_h2_stream *stream, size_t len);
/* Run the errand on this thread, because no other could be started. */
void vsi_h2_body_run(vsi_h2_stream *stream);
/* Free a request that is done. */
void vsi_h2_body_free(vsi_h2_stream *stream);

/* answer.c */
vestry_err vsi_h2_respond(void *server_request, const vestry_response *response);
vestry_err vsi_h2_respond_body(void *server_request, const vestry_response *response, vestry_body *body);
/* Answer with a status and no body. */
vestry_err vsi_h2_refuse(vsi_h2_stream *stream, int status);
/* Make the head of a response. NULL: no memory. */
vsi_h2_answer *vsi_h2_answer_create(const vsi_h2_stream *stream, const vestry_response *response, bool has_length);
/* Read bytes of the body, with the turn: their number, or -1: they cannot be read. */
ssize_t vsi_h2_answer_read(vsi_h2_answer *answer, uint8_t *buffer, size_t capacity);
void vsi_h2_answer_free(vsi_h2_session *session, vsi_h2_answer *answer);

/* stream.c */
/* Reserve memory for requests of a session. If all requests together hold too much, cut the sessions whose requests
 * hold most: their incomplete requests are reset. false: the bound is reached, which is counted. Threads any. */
bool vsi_h2_request_bytes_take(vsi_h2_session *session, size_t bytes);
/* Reserve memory that a session can do without: false if all requests hold more than a quarter of theirs. Threads
 * any. */
bool vsi_h2_request_bytes_take_spare(vsi_h2_session *session, size_t bytes);
/* Give it back, also after the session has ended. Threads any. */
void vsi_h2_request_bytes_give(vsi_h2_session *session, size_t bytes);
/* Note that a session was cut and goes_on, or that it ends and must not be cut any more. */
void vsi_h2_request_bytes_settle(vsi_h2_session *session, bool goes_on);
/* Create a stream that begins to arrive, with the turn; its wire's reference belongs to the session. NULL: no memory,
 * or none for requests. */
vsi_h2_stream *vsi_h2_stream_create(vsi_h2_session *session, int32_t id);
/* Note that a stream does not count in the memory for requests any more. Threads any. */
void vsi_h2_stream_uncount(vsi_h2_stream *stream);
/* Mark it to be sent a 100 Continue, because its client waits for it; a turn sends it. */
void vsi_h2_stream_invite(vsi_h2_stream *stream);
/* Mark it to be reset, under the session's lock; a turn resets it. */
void vsi_h2_stream_reset_locked(vsi_h2_stream *stream, uint32_t code);
/* Free its unsent bytes. */
void vsi_h2_stream_drop_locked(vsi_h2_stream *stream);
/* Free the body of a request that was received whole. */
void vsi_h2_request_forget_body(vsi_h2_session *session, vsi_h2_request *request);
void vsi_h2_stream_unref(vsi_h2_stream *stream);
vestry_err vsi_h2_stream_open(void *server_request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                              void **ret_transport);

#endif
