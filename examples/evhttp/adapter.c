/* SPDX-License-Identifier: MIT */
#include "adapter.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

enum { STEPS_AT_ONCE = 64, BUFFERED_BYTES = 65536, UNREAD_BYTES = 4096 };

struct adapter {
  vestry *v;
  struct event *steps; /* on the descriptor of the instance's runtime */
  uint32_t streams, max_streams;
  struct timeval stalled;
};

/* A request, while vestry_serve runs. */
typedef struct request {
  adapter *in;
  struct evhttp_request *of;
  const char *method, *query;
  char *path, *peer;
  int64_t body_length;
  struct stream *stream; /* NULL: none was opened */
} request;

/* A stream. Its functions run in the loop, but `release` on any thread, also after adapter_destroy. */
typedef struct stream {
  adapter *in;
  struct evhttp_request *of;
  vestry_connection *connection; /* a reference; NULL: vestry_serve has not returned, or the stream has ended */
  bool is_lost;                  /* the peer is gone, and the server has freed all but the request */
  bool waits;                    /* for room in the server's buffer */
} stream;

static struct bufferevent *buffers_of(struct evhttp_request *of) {
  return evhttp_connection_get_bufferevent(evhttp_request_get_connection(of));
}

static const char *request_method(void *server_request) {
  return ((request *)server_request)->method;
}

static const char *request_path(void *server_request) {
  return ((request *)server_request)->path;
}

static const char *request_query(void *server_request) {
  return ((request *)server_request)->query;
}

static const char *request_header(void *server_request, const char *name) {
  const char *value = evhttp_find_header(((request *)server_request)->of->input_headers, name);
  return value ? value + strspn(value, " \t") : NULL; /* evhttp leaves tabs */
}

static void request_each_header(void *server_request, void (*line)(void *ctx, const char *name, const char *value),
                                void *ctx) {
  const struct evkeyval *at = TAILQ_FIRST(((request *)server_request)->of->input_headers);
  for (; at; at = TAILQ_NEXT(at, next)) line(ctx, at->key, at->value + strspn(at->value, " \t"));
}

static const char *request_peer(void *server_request) {
  return ((request *)server_request)->peer;
}

static int64_t request_body_length(void *server_request) {
  return ((request *)server_request)->body_length;
}

/* The server has received the whole body. */
static vestry_err request_read(void *server_request, void *buffer, size_t capacity, size_t *ret_len) {
  const int got = evbuffer_remove(((request *)server_request)->of->input_buffer, buffer, capacity);
  *ret_len = got > 0 ? (size_t)got : 0;
  return got < 0 ? VESTRY_IO : VESTRY_OK;
}

/* Begin an answer or a stream. false: no memory. The bytes after a chunked body are no request, because evhttp's parser
 * of chunks is not strict, and a connection of HTTP/1.0 is not kept. */
static bool add_headers(const request *r, const vestry_header *headers, size_t count, bool closes) {
  bool has_memory = true;
  for (size_t i = 0; i < count && has_memory; i++)
    has_memory = evhttp_add_header(r->of->output_headers, headers[i].name, headers[i].value) == 0;
  if (!closes && r->body_length >= 0 && r->of->minor) return has_memory;
  evhttp_remove_header(r->of->input_headers, "Connection"); /* by which evhttp would decide */
  return has_memory && evhttp_add_header(r->of->output_headers, "Connection", "close") == 0;
}

static vestry_err request_respond(void *server_request, const vestry_response *response) {
  const request *r = server_request;
  char length[24];
  struct evbuffer *body = evbuffer_new();
  bool has_memory = body && add_headers(r, response->headers, response->headers_count, response->status == 503);
  snprintf(length, sizeof length, "%zu", response->body_len);
  if (has_memory && r->of->type != EVHTTP_REQ_HEAD)
    has_memory = evbuffer_add(body, response->body, response->body_len) == 0;
  else if (has_memory && response->status != 204 && response->status != 304) /* evhttp would send the body */
    has_memory = evhttp_add_header(r->of->output_headers, "Content-Length", length) == 0;
  if (has_memory) evhttp_send_reply(r->of, response->status, NULL, body);
  if (body) evbuffer_free(body);
  return has_memory ? VESTRY_OK : VESTRY_NO_MEMORY;
}

/* The server has lost a connection, or its time-out for writes is over. It frees the connection, not the request. */
static void on_lost(struct evhttp_connection *of, void *ctx) {
  stream *s = ctx;
  char byte;
  const int descriptor = bufferevent_getfd(evhttp_connection_get_bufferevent(of));
  const bool is_there = recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  s->is_lost = true;
  vestry_connection_close(s->connection, is_there ? VESTRY_CAUSE_STALLED : VESTRY_CAUSE_HANGUP);
}

static void on_written(struct evhttp_connection *of, void *ctx) {
  stream *s = ctx;
  (void)of;
  if (s->waits) vestry_connection_writable(s->connection);
  s->waits = false;
}

static vestry_io stream_open(void *transport) {
  stream *s = transport;
  evhttp_connection_set_closecb(evhttp_request_get_connection(s->of), on_lost, s);
  evhttp_send_reply_start(s->of, 200, NULL);
  bufferevent_set_timeouts(buffers_of(s->of), NULL, &s->in->stalled); /* the peer of a stream need not send */
  bufferevent_setwatermark(buffers_of(s->of), EV_READ, 0, UNREAD_BYTES);
  return VESTRY_IO_OK;
}

static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  stream *s = transport;
  if (s->is_lost) return VESTRY_IO_HANGUP;
  struct evbuffer *chunk = evbuffer_new();
  const size_t held = evbuffer_get_length(bufferevent_get_output(buffers_of(s->of)));
  size_t room = held < BUFFERED_BYTES ? BUFFERED_BYTES - held : 0, taken = 0;
  bool has_memory = chunk != NULL, fits = true;
  for (size_t i = 0; i < count && has_memory && fits; i++) {
    const size_t part = slices[i].len < room - taken ? slices[i].len : room - taken;
    has_memory = evbuffer_add(chunk, slices[i].data, part) == 0;
    fits = part == slices[i].len;
    taken += part;
  }
  if (has_memory && taken) evhttp_send_reply_chunk_with_cb(s->of, chunk, on_written, s);
  if (chunk) evbuffer_free(chunk);
  s->waits = !fits;
  *ret_written = taken;
  return !has_memory ? VESTRY_IO_ERROR : fits ? VESTRY_IO_OK : VESTRY_IO_WOULD_BLOCK;
}

static void stream_end(void *transport, bool clean, vestry_cause cause) {
  stream *s = transport;
  (void)cause;
  s->in->streams--;
  if (!s->connection) return; /* still in vestry_serve, which answers the request otherwise */
  if (!s->is_lost) evhttp_connection_set_closecb(evhttp_request_get_connection(s->of), NULL, NULL);
  if (s->is_lost)
    evhttp_request_free(s->of);
  else if (clean)
    evhttp_send_reply_end(s->of);
  else
    evhttp_connection_free(evhttp_request_get_connection(s->of)); /* without a final chunk, so the browser comes back */
  s->connection = vestry_connection_unref(s->connection);
}

static const vestry_transport_ops stream_ops = {.open = stream_open,
                                                .write = stream_write,
                                                .end = stream_end,
                                                .release = free, /* `end` has freed everything else */
                                                .name = "evhttp"};

static vestry_err request_open(void *server_request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                               void **ret_transport) {
  request *r = server_request;
  if (r->in->streams >= r->in->max_streams) return VESTRY_LIMIT;
  r->stream = calloc(1, sizeof *r->stream);
  if (!r->stream || !add_headers(r, head->headers, head->headers_count, true)) return free(r->stream), VESTRY_NO_MEMORY;
  *r->stream = (stream){.in = r->in, .of = r->of};
  r->in->streams++;
  *ret_ops = &stream_ops;
  *ret_transport = r->stream;
  return VESTRY_OK;
}

static const vestry_request_ops request_ops = {.method = request_method,
                                               .path = request_path,
                                               .query = request_query,
                                               .header = request_header,
                                               .peer = request_peer,
                                               .body_length = request_body_length,
                                               .read = request_read,
                                               .respond = request_respond,
                                               .open = request_open,
                                               .each_header = request_each_header};

/* Return whether a head has one reading, for evhttp, too, which reads no body after most methods. */
static bool is_clear(request *r) {
  static const char *const methods[] = {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH"};
  static const unsigned with_body = EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_PATCH;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if ((unsigned)r->of->type == 1u << i) r->method = methods[i];
  return r->method && r->of->major == 1 && r->of->minor <= 1 && !vestry_target_read(r->of->uri, r->path, &r->query) &&
         !vestry_head_check(&request_ops, r, r->of->minor == 1, &r->body_length) &&
         (!r->body_length || (r->of->type & with_body));
}

/* Serve a request whose head and body are complete. */
static void on_request(struct evhttp_request *of, void *ctx) {
  request r = {.in = ctx, .of = of, .path = malloc(strlen(of->uri) + 2)};
  struct evhttp_connection *server_connection = evhttp_request_get_connection(of);
  vestry_connection *connection = NULL;
  vestry_err error = VESTRY_NO_MEMORY;
  ev_uint16_t port;
  evhttp_connection_get_peer(server_connection, &r.peer, &port);
  setsockopt(bufferevent_getfd(buffers_of(of)), IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  if (r.path && is_clear(&r)) {
    error = vestry_serve(r.in->v, &request_ops, &r, NULL, NULL, &connection);
    if (connection) r.stream->connection = connection; /* its reference */
  } else if (r.path) {
    vestry_reject(r.in->v, VESTRY_REFUSAL_AMBIGUOUS);
    if (add_headers(&r, NULL, 0, true)) evhttp_send_reply(of, 400, NULL, NULL), error = VESTRY_OK;
  }
  if (error) evhttp_connection_free(server_connection); /* no answer was sent */
  free(r.path);
}

static void step(evutil_socket_t descriptor, short what, void *ctx) {
  vestry_runtime *runtime = vestry_parts_of(((adapter *)ctx)->v)->runtime;
  (void)descriptor, (void)what;
  for (int i = 0; i < STEPS_AT_ONCE && vestry_runtime_step(runtime); i++) continue; /* then the server has its turn */
}

vestry_err adapter_create(vestry *v, struct event_base *base, struct evhttp *http, uint32_t max_streams,
                          unsigned stalled_ms, adapter **ret_adapter) {
  int descriptor;
  vestry_err error = vestry_runtime_descriptor(vestry_parts_of(v)->runtime, &descriptor);
  adapter *a = error ? NULL : calloc(1, sizeof *a);
  if (!a) return error ? error : VESTRY_NO_MEMORY;
  *a = (adapter){.v = v, .max_streams = max_streams};
  a->stalled = (struct timeval){stalled_ms / 1000, stalled_ms % 1000 * 1000};
  a->steps = event_new(base, descriptor, EV_READ | EV_PERSIST, step, a);
  if (!a->steps || event_add(a->steps, NULL)) {
    if (a->steps) event_free(a->steps);
    free(a);
    return VESTRY_NO_MEMORY;
  }
  evhttp_set_allowed_methods(http, 0x1ff); /* vestry answers 405 */
  evhttp_set_default_content_type(http, NULL);
  evhttp_set_gencb(http, on_request, a);
  *ret_adapter = a;
  return VESTRY_OK;
}

void adapter_destroy(adapter *a) {
  if (vestry_is_forked(a->v)) return; /* its sockets and its epoll are the parent's */
  (void)vestry_stop(a->v, 0);         /* steps the runtime, so all streams end */
  event_free(a->steps);
  free(a);
}
