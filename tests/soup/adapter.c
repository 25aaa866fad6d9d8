/* SPDX-License-Identifier: MIT */
#include "adapter.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { STEPS_AT_ONCE = 64, BUFFERED_BYTES = 65536 };

struct adapter {
  vestry *v;
  SoupServer *server;
  GMainContext *context;
  GSource *steps; /* on the descriptor of the instance's runtime */
  uint32_t streams, max_streams;
  uint64_t stalled_ms;
};

/* A request, while vestry_serve runs. */
typedef struct request {
  adapter *in;
  SoupServerMessage *of;
  char *target, *path, *peer;
  const char *query;
  int64_t body_length;
  GBytes *body; /* NULL: the body has not arrived */
  size_t body_read;
  struct stream *stream; /* NULL: none was opened */
} request;

/* A socket that was taken out of the server. It outlives its stream until all bytes are written. */
typedef struct socket_out {
  adapter *in;
  GIOStream *io;
  int descriptor;
  GByteArray *bytes; /* to be written */
  GSource *readable, *writable, *stalls;
  struct stream *stream; /* NULL: it has ended */
  gint64 moved_us;       /* time of the last write */
} socket_out;

/* A stream. Its functions run in the loop, but `release` runs on any thread, also after adapter_destroy. */
typedef struct stream {
  adapter *in;
  SoupServerMessage *of; /* a reference; NULL: it has no connection any more */
  GString *head;
  vestry_connection *connection; /* a reference; NULL: vestry_serve has not returned, or the stream has ended */
  socket_out *out;               /* NULL: not opened, or lost */
  bool is_chunked, waits;        /* waits: for room in `bytes` */
} stream;

/* ---- the request ------------------------------------------------------------------------------------------------- */

static const char *request_method(void *server_request) {
  return soup_server_message_get_method(((request *)server_request)->of);
}

static const char *request_path(void *server_request) {
  return ((request *)server_request)->path;
}

static const char *request_query(void *server_request) {
  return ((request *)server_request)->query;
}

static void request_each_header(void *server_request, void (*line)(void *ctx, const char *name, const char *value),
                                void *ctx) {
  SoupMessageHeadersIter at;
  const char *name, *value;
  soup_message_headers_iter_init(&at, soup_server_message_get_request_headers(((request *)server_request)->of));
  while (soup_message_headers_iter_next(&at, &name, &value)) line(ctx, name, value);
}

static const char *request_header(void *server_request, const char *wanted) {
  SoupMessageHeadersIter at; /* soup_message_headers_get_one returns the last line */
  const char *name, *value;
  soup_message_headers_iter_init(&at, soup_server_message_get_request_headers(((request *)server_request)->of));
  while (soup_message_headers_iter_next(&at, &name, &value))
    if (g_ascii_strcasecmp(name, wanted) == 0) return value;
  return NULL;
}

static const char *request_peer(void *server_request) {
  return ((request *)server_request)->peer;
}

static int64_t request_body_length(void *server_request) {
  return ((request *)server_request)->body_length;
}

static vestry_err request_read(void *server_request, void *buffer, size_t capacity, size_t *ret_len) {
  request *r = server_request;
  size_t len = 0;
  const char *bytes = r->body ? g_bytes_get_data(r->body, &len) : NULL;
  *ret_len = len - r->body_read < capacity ? len - r->body_read : capacity;
  if (*ret_len) memcpy(buffer, bytes + r->body_read, *ret_len);
  r->body_read += *ret_len;
  return VESTRY_OK;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static bool is_http11(SoupServerMessage *of) {
  return soup_server_message_get_http_version(of) == SOUP_HTTP_1_1;
}

static vestry_err request_respond(void *server_request, const vestry_response *response) {
  const request *r = server_request;
  SoupMessageHeaders *headers = soup_server_message_get_response_headers(r->of);
  soup_server_message_set_status(r->of, (guint)response->status, NULL);
  for (size_t i = 0; i < response->headers_count; i++)
    soup_message_headers_append(headers, response->headers[i].name, response->headers[i].value);
  if (response->status == 304 || response->status == 204)
    soup_message_headers_set_encoding(headers, SOUP_ENCODING_NONE);
  if (response->body_len)
    soup_message_body_append(soup_server_message_get_response_body(r->of), SOUP_MEMORY_COPY, response->body,
                             response->body_len);
  /* The bytes after a chunked body, and after one that was not read, are no request. */
  if (r->body_length < 0 || response->status == 503 || (r->body_length && !r->body) || !is_http11(r->of))
    soup_message_headers_replace(headers, "Connection", "close");
  return VESTRY_OK;
}

/* ---- the stream -------------------------------------------------------------------------------------------------- */

static GSource *watch(adapter *a, GSource *source, GSourceFunc call, void *ctx) {
  g_source_set_callback(source, call, ctx, NULL);
  g_source_attach(source, a->context);
  return source;
}

static void forget(GSource **source) {
  if (*source) g_source_destroy(*source), g_source_unref(*source);
  *source = NULL;
}

static void close_out(socket_out *out) {
  forget(&out->readable);
  forget(&out->writable);
  forget(&out->stalls);
  if (out->stream) out->stream->out = NULL;
  g_io_stream_close(out->io, NULL, NULL);
  g_object_unref(out->io);
  g_byte_array_unref(out->bytes);
  g_free(out);
}

static void lose(socket_out *out, vestry_cause cause) {
  vestry_connection *connection = out->stream ? out->stream->connection : NULL;
  close_out(out);
  if (connection) vestry_connection_close(connection, cause);
}

static gboolean on_writable(gint descriptor, GIOCondition what, gpointer ctx);

/* Write what the socket takes. false: it is lost, or was closed. */
static bool flush(socket_out *out) {
  while (out->bytes->len) {
    const ssize_t sent = send(out->descriptor, out->bytes->data, out->bytes->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (sent < 0) return lose(out, VESTRY_CAUSE_HANGUP), false;
    g_byte_array_remove_range(out->bytes, 0, (guint)sent);
    out->moved_us = g_get_monotonic_time();
  }
  if (!out->bytes->len && !out->stream) return close_out(out), false;
  if (out->bytes->len && !out->writable)
    out->writable = watch(out->in, g_unix_fd_source_new(out->descriptor, G_IO_OUT), G_SOURCE_FUNC(on_writable), out);
  if (!out->bytes->len) forget(&out->writable);
  return true;
}

static gboolean on_writable(gint descriptor, GIOCondition what, gpointer ctx) {
  socket_out *out = ctx;
  (void)descriptor, (void)what;
  if (!flush(out) || out->bytes->len || !out->stream || !out->stream->waits) return G_SOURCE_CONTINUE;
  out->stream->waits = false;
  vestry_connection_writable(out->stream->connection);
  return G_SOURCE_CONTINUE;
}

/* The peer of a stream sends nothing; bytes that it sends nevertheless are dropped. */
static gboolean on_readable(gint descriptor, GIOCondition what, gpointer ctx) {
  char bytes[512];
  (void)what;
  const ssize_t got = recv(descriptor, bytes, sizeof bytes, MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) lose(ctx, VESTRY_CAUSE_HANGUP);
  return G_SOURCE_CONTINUE;
}

static gboolean on_time(gpointer ctx) {
  socket_out *out = ctx;
  const gint64 still_us = g_get_monotonic_time() - out->moved_us;
  if (out->bytes->len && still_us / 1000 >= (gint64)out->in->stalled_ms) lose(out, VESTRY_CAUSE_STALLED);
  return G_SOURCE_CONTINUE;
}

static vestry_io stream_open(void *transport) {
  stream *s = transport;
  socket_out *out = g_new0(socket_out, 1);
  *out = (socket_out){.in = s->in, .stream = s, .moved_us = g_get_monotonic_time()};
  GSocket *socket = soup_server_message_get_socket(s->of);
  out->descriptor = socket ? g_socket_get_fd(socket) : -1;
  out->io = soup_server_message_steal_connection(s->of);
  g_clear_object(&s->of);
  if (!out->io) return g_free(out), VESTRY_IO_HANGUP;
  s->out = out;
  setsockopt(out->descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  out->bytes = g_byte_array_new();
  out->readable = watch(s->in, g_unix_fd_source_new(out->descriptor, G_IO_IN | G_IO_HUP | G_IO_ERR),
                        G_SOURCE_FUNC(on_readable), out);
  out->stalls = watch(s->in, g_timeout_source_new((guint)(s->in->stalled_ms / 4 + 1)), on_time, out);
  g_byte_array_append(out->bytes, (const guint8 *)s->head->str, (guint)s->head->len);
  return flush(out) ? VESTRY_IO_OK : VESTRY_IO_HANGUP;
}

static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  stream *s = transport;
  if (!s->out) return VESTRY_IO_HANGUP;
  GByteArray *bytes = s->out->bytes;
  const size_t room = bytes->len < BUFFERED_BYTES ? BUFFERED_BYTES - bytes->len : 0;
  size_t all = 0, taken = 0;
  for (size_t i = 0; i < count; i++) all += slices[i].len;
  const size_t most = all < room ? all : room;
  if (!bytes->len) s->out->moved_us = g_get_monotonic_time(); /* a stall begins with the first byte that waits */
  if (most && s->is_chunked) {
    char *line = g_strdup_printf("%zx\r\n", most);
    g_byte_array_append(bytes, (const guint8 *)line, (guint)strlen(line));
    g_free(line);
  }
  for (size_t i = 0; i < count && taken < most; i++) {
    const size_t part = slices[i].len < most - taken ? slices[i].len : most - taken;
    g_byte_array_append(bytes, slices[i].data, (guint)part);
    taken += part;
  }
  if (most && s->is_chunked) g_byte_array_append(bytes, (const guint8 *)"\r\n", 2);
  if (!flush(s->out)) return VESTRY_IO_HANGUP;
  *ret_written = taken;
  s->waits = taken < all;
  if (s->waits && !s->out->bytes->len) { /* there is room already */
    s->waits = false;
    vestry_connection_writable(s->connection);
    return VESTRY_IO_WOULD_BLOCK;
  }
  return s->waits ? VESTRY_IO_WOULD_BLOCK : VESTRY_IO_OK;
}

static void stream_end(void *transport, bool clean, vestry_cause cause) {
  stream *s = transport;
  (void)cause;
  s->in->streams--;
  if (!s->connection) return; /* still in vestry_serve, which answers the request otherwise */
  if (s->of) {                /* it was not opened */
    GIOStream *io = soup_server_message_steal_connection(s->of);
    if (io) g_io_stream_close(io, NULL, NULL), g_object_unref(io);
    g_clear_object(&s->of);
  }
  socket_out *out = s->out;
  if (out && clean) {
    if (s->is_chunked) g_byte_array_append(out->bytes, (const guint8 *)"0\r\n\r\n", 5);
    out->stream = NULL;
    s->out = NULL;
    flush(out);
  } else if (out) {
    close_out(out); /* without a final chunk, so the browser comes back */
  }
  s->connection = vestry_connection_unref(s->connection);
}

static void stream_release(void *transport) {
  stream *s = transport;
  g_clear_object(&s->of); /* of a stream that vestry_serve did not use */
  g_string_free(s->head, TRUE);
  g_free(s);
}

static const vestry_transport_ops stream_ops = {
    .open = stream_open, .write = stream_write, .end = stream_end, .release = stream_release, .name = "libsoup"};

static vestry_err request_open(void *server_request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                               void **ret_transport) {
  request *r = server_request;
  if (r->in->streams >= r->in->max_streams) return VESTRY_LIMIT;
  stream *s = r->stream = g_new0(stream, 1);
  *s = (stream){.in = r->in, .of = g_object_ref(r->of), .head = g_string_new(NULL), .is_chunked = is_http11(r->of)};
  g_string_printf(s->head, "HTTP/1.%d 200 OK\r\nConnection: close\r\n%s", s->is_chunked,
                  s->is_chunked ? "Transfer-Encoding: chunked\r\n" : "");
  for (size_t i = 0; i < head->headers_count; i++)
    g_string_append_printf(s->head, "%s: %s\r\n", head->headers[i].name, head->headers[i].value);
  g_string_append(s->head, "\r\n");
  r->in->streams++;
  *ret_ops = &stream_ops;
  *ret_transport = s;
  return VESTRY_OK;
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

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

/* Begin a request: check its head. false: it was answered 400. */
static bool begin(request *r, adapter *a, SoupServerMessage *of) {
  GUri *uri = soup_server_message_get_uri(of);
  const char *path = g_uri_get_path(uri), *query = g_uri_get_query(uri);
  GSocketAddress *address = soup_server_message_get_remote_address(of);
  *r = (request){.in = a, .of = of, .target = g_strconcat(path, query ? "?" : "", query, NULL)};
  r->path = g_malloc(strlen(r->target) + 2);
  r->peer = G_IS_INET_SOCKET_ADDRESS(address)
                ? g_inet_address_to_string(g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(address)))
                : g_strdup("");
  if (!g_uri_get_fragment(uri) && !vestry_target_read(r->target, r->path, &r->query) &&
      !vestry_head_check(&request_ops, r, is_http11(of), &r->body_length))
    return true;
  vestry_reject(a->v, VESTRY_REFUSAL_AMBIGUOUS);
  soup_server_message_set_status(of, 400, NULL);
  soup_message_headers_replace(soup_server_message_get_response_headers(of), "Connection", "close");
  return false;
}

static void end(request *r) {
  if (r->body) g_bytes_unref(r->body);
  g_free(r->target);
  g_free(r->path);
  g_free(r->peer);
}

static void serve(request *r) {
  vestry_connection *connection = NULL;
  vestry_err error = vestry_serve(r->in->v, &request_ops, r, NULL, NULL, &connection);
  if (connection) {
    soup_server_message_pause(r->of); /* until the stream takes the connection */
    r->stream->connection = connection;
  }
  if (error) soup_server_message_set_status(r->of, 500, NULL);
}

/* The head is complete. A body that is not wanted is answered before it arrives. */
static void on_head(SoupServer *server, SoupServerMessage *of, const char *path, GHashTable *query, gpointer ctx) {
  adapter *a = ctx;
  request r;
  (void)server, (void)path, (void)query;
  size_t most;
  if (begin(&r, a, of) && vestry_route_status(a->v, r.method, r.path, &most) == 200 && r.body_length > (int64_t)most)
    serve(&r);
  end(&r);
}

static void on_request(SoupServer *server, SoupServerMessage *of, const char *path, GHashTable *query, gpointer ctx) {
  request r;
  (void)server, (void)path, (void)query;
  if (begin(&r, ctx, of)) {
    r.body = soup_message_body_flatten(soup_server_message_get_request_body(of));
    serve(&r);
  }
  end(&r);
}

static gboolean step(gint descriptor, GIOCondition what, gpointer ctx) {
  vestry_runtime *runtime = vestry_parts_of(((adapter *)ctx)->v)->runtime;
  (void)descriptor, (void)what;
  for (int i = 0; i < STEPS_AT_ONCE && vestry_runtime_step(runtime); i++) continue;
  return G_SOURCE_CONTINUE;
}

vestry_err adapter_create(vestry *v, SoupServer *server, uint32_t max_streams, uint64_t stalled_ms,
                          adapter **ret_adapter) {
  int descriptor;
  vestry_err error = vestry_runtime_descriptor(vestry_parts_of(v)->runtime, &descriptor);
  if (error) return error;
  adapter *a = g_new0(adapter, 1);
  *a = (adapter){.v = v, .server = server, .max_streams = max_streams, .stalled_ms = stalled_ms};
  a->context = g_main_context_ref_thread_default();
  a->steps = watch(a, g_unix_fd_source_new(descriptor, G_IO_IN), G_SOURCE_FUNC(step), a);
  soup_server_add_early_handler(server, NULL, on_head, a, NULL);
  soup_server_add_handler(server, NULL, on_request, a, NULL);
  *ret_adapter = a;
  return VESTRY_OK;
}

void adapter_destroy(adapter *a) {
  if (vestry_is_forked(a->v)) return; /* its sockets are the parent's */
  (void)vestry_stop(a->v, 0);         /* steps the runtime, so all streams end */
  forget(&a->steps);
  g_main_context_unref(a->context);
  g_free(a);
}
