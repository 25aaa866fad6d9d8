/* SPDX-License-Identifier: MIT */
/* The memory adapter: a server without a network.
 *
 * The caller holds an exchange, and so does the stream's transport while there is one; the last of them frees it. So a
 * caller may destroy an exchange while the pool is inside its stream, and a connection may outlive both.
 *
 * exchange->lock is innermost: no other function of vestry is called under it. An action of the client (becoming
 * writable, disconnecting) is decided under the lock, and passed to the connection after it is released. */
#include "vestry/testing/memory.h"

#include <string.h>

#include "base/ascii.h"
#include "base/memory.h"
#include "testing/exchange.h"

static vestry_memory_exchange *hold(vestry_memory_exchange *exchange) {
  VSI_REFS_TAKE(&exchange->refs);
  return exchange;
}

static void let_go(vestry_memory_exchange *exchange) {
  if (!VSI_REFS_DROP(&exchange->refs)) return;
  vsi_remote_destroy(exchange->remote, exchange->host);
  vsi_buffer_finish(&exchange->headers);
  vsi_buffer_finish(&exchange->received);
  vsi_mutex_finish(&exchange->lock);
  vsi_free(exchange->host, exchange);
}

/* ---- request ----------------------------------------------------------------------------------------------------- */

static const vestry_memory_call *call_of(void *server_request) {
  return ((vestry_memory_exchange *)server_request)->call;
}

static const char *request_method(void *server_request) {
  const char *method = call_of(server_request)->method;
  return method ? method : "GET";
}

static const char *request_path(void *server_request) {
  const char *path = call_of(server_request)->path;
  return path ? path : "/";
}

static const char *request_query(void *server_request) {
  return call_of(server_request)->query;
}

static const char *request_header(void *server_request, const char *name) {
  const vestry_memory_call *call = call_of(server_request);
  for (size_t i = 0; i < call->headers_count; i++)
    if (vsi_strcasecmp(call->headers[i].name, name) == 0) return call->headers[i].value;
  return call->datastar && vsi_strcasecmp(name, "Datastar-Request") == 0 ? "true" : NULL;
}

static void request_each_header(void *server_request, void (*line)(void *ctx, const char *name, const char *value),
                                void *ctx) {
  const vestry_memory_call *call = call_of(server_request);
  for (size_t i = 0; i < call->headers_count; i++) line(ctx, call->headers[i].name, call->headers[i].value);
}

static const char *request_peer(void *server_request) {
  const char *peer = call_of(server_request)->peer;
  return peer ? peer : "memory";
}

static int64_t request_body_length(void *server_request) {
  const vestry_memory_call *call = call_of(server_request);
  return call->no_length ? -1 : (int64_t)call->body_len + (call->body_error ? 1 : 0);
}

static vestry_err request_read(void *server_request, void *buffer, size_t capacity, size_t *ret_len) {
  vestry_memory_exchange *exchange = server_request;
  size_t left = exchange->call->body_len - exchange->body_read;
  if (!left && exchange->call->body_error) return exchange->call->body_error;
  size_t len = left < capacity ? left : capacity;
  if (len) memcpy(buffer, (const char *)exchange->call->body + exchange->body_read, len);
  exchange->body_read += len;
  *ret_len = len;
  return VESTRY_OK;
}

/* Store the headers of a response, or of a stream's head. They replace those of a head whose stream was not opened. OK
 * | NO_MEMORY */
static vestry_err keep_headers_locked(vestry_memory_exchange *exchange, const vestry_response *response) {
  vsi_buffer_clear(&exchange->headers);
  for (size_t i = 0; i < response->headers_count; i++) {
    const vestry_header *header = &response->headers[i];
    vsi_buffer_append(&exchange->headers, header->name, strlen(header->name) + 1);
    vsi_buffer_append(&exchange->headers, header->value, strlen(header->value) + 1);
  }
  return exchange->headers.error;
}

/* Reserve room for more bytes and the terminator. false: out of memory. */
static bool make_room_locked(vestry_memory_exchange *exchange, size_t more) {
  return more < SIZE_MAX && vsi_buffer_reserve(&exchange->received, more + 1) != NULL;
}

static vestry_err request_respond(void *server_request, const vestry_response *response) {
  vestry_memory_exchange *exchange = server_request;
  vsi_mutex_lock(&exchange->lock);
  vestry_err error = keep_headers_locked(exchange, response);
  size_t body_len = strcmp(request_method(exchange), "HEAD") == 0 ? 0 : response->body_len;
  if (!error && !make_room_locked(exchange, body_len)) error = VESTRY_NO_MEMORY;
  if (!error) {
    exchange->status = response->status;
    vsi_buffer_append(&exchange->received, response->body, body_len);
  }
  vsi_mutex_unlock(&exchange->lock);
  return error;
}

/* ---- stream ------------------------------------------------------------------------------------------------------ */

/* Result of any write in the client's mode; in READS and TRICKLES some bytes are accepted. */
static vestry_io io_of_locked(const vestry_memory_exchange *exchange) {
  switch (exchange->mode) {
  case VESTRY_MEMORY_READS:
  case VESTRY_MEMORY_TRICKLES: return VESTRY_IO_OK;
  case VESTRY_MEMORY_BLOCKS: return VESTRY_IO_WOULD_BLOCK;
  case VESTRY_MEMORY_STALLS: return VESTRY_IO_STALLED;
  case VESTRY_MEMORY_HANGS_UP: return VESTRY_IO_HANGUP;
  case VESTRY_MEMORY_FAILS: break;
  }
  return VESTRY_IO_ERROR;
}

static vestry_io stream_open(void *transport) {
  vestry_memory_exchange *exchange = transport;
  vsi_mutex_lock(&exchange->lock);
  vestry_io io = io_of_locked(exchange);
  if (io == VESTRY_IO_WOULD_BLOCK) io = VESTRY_IO_OK; /* the head always fits; only events wait */
  if (io == VESTRY_IO_OK) exchange->status = exchange->head_status;
  vsi_mutex_unlock(&exchange->lock);
  return io;
}

/* Accept all bytes, or in mode TRICKLES the first one. */
static vestry_io take_locked(vestry_memory_exchange *exchange, const vestry_slice *slices, size_t count,
                             size_t *ret_written) {
  size_t total = 0, limit = exchange->mode == VESTRY_MEMORY_TRICKLES ? 1 : SIZE_MAX;
  for (size_t i = 0; i < count; i++) {
    if (slices[i].len > SIZE_MAX - total) return VESTRY_IO_ERROR;
    total += slices[i].len;
  }
  size_t takes = total < limit ? total : limit;
  if (!make_room_locked(exchange, takes)) {
    exchange->received.error = VESTRY_OK; /* bytes received before stay readable */
    return VESTRY_IO_ERROR;
  }
  exchange->writes_count++;
  for (size_t i = 0, left = takes; left; i++) {
    size_t len = slices[i].len < left ? slices[i].len : left;
    vsi_buffer_append(&exchange->received, slices[i].data, len);
    left -= len;
  }
  if (takes == total) return VESTRY_IO_OK;
  *ret_written = takes;
  return VESTRY_IO_WOULD_BLOCK;
}

static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  vestry_memory_exchange *exchange = transport;
  vsi_mutex_lock(&exchange->lock);
  vestry_io io = io_of_locked(exchange);
  bool writable_at_once = false;
  if (io == VESTRY_IO_WOULD_BLOCK) {
    *ret_written = 0;
  } else if (io == VESTRY_IO_OK) {
    io = take_locked(exchange, slices, count, ret_written);
    writable_at_once = io == VESTRY_IO_WOULD_BLOCK;
  }
  vsi_mutex_unlock(&exchange->lock);
  /* The mode TRICKLES is set by vestry_memory_mode_set only, so the exchange has its connection by now. */
  if (writable_at_once) vestry_connection_writable(exchange->connection);
  return io;
}

/* A composed write is kept in the exchange until the batch is sent. */
static size_t stream_compose(void *transport, const vestry_slice *slices, size_t count, void *buffer, size_t room,
                             int *ret_descriptor) {
  (void)ret_descriptor; /* none: `sent` takes the bytes */
  vestry_memory_exchange *exchange = transport;
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    if (slices[i].len > room - len) return 0;
    memcpy((char *)buffer + len, slices[i].data, slices[i].len);
    len += slices[i].len;
  }
  exchange->composed = (vestry_slice){buffer, len};
  return len;
}

static vestry_io stream_sent(void *transport, int result, size_t *ret_written) {
  vestry_memory_exchange *exchange = transport;
  (void)result; /* all bytes: there is no socket */
  return stream_write(transport, &exchange->composed, 1, ret_written);
}

static void stream_end(void *transport, bool clean, vestry_cause cause) {
  (void)cause;
  vestry_memory_exchange *exchange = transport;
  vsi_mutex_lock(&exchange->lock);
  exchange->ended = true;
  exchange->ended_clean = clean;
  vsi_mutex_unlock(&exchange->lock);
}

static void stream_release(void *transport) {
  let_go(transport);
}

static const vestry_transport_ops stream_ops = {
    .open = stream_open,
    .write = stream_write,
    .end = stream_end,
    .release = stream_release,
    .wake = NULL, /* writes never block, so the pool runs the connection */
    .name = "memory",
    .compose = stream_compose,
    .sent = stream_sent,
};

static vestry_err request_open(void *server_request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                               void **ret_transport) {
  vestry_memory_exchange *exchange = server_request;
  if (exchange->call->no_room) return VESTRY_LIMIT;
  vsi_mutex_lock(&exchange->lock);
  vestry_err error = keep_headers_locked(exchange, head);
  exchange->head_status = head->status;
  vsi_mutex_unlock(&exchange->lock);
  if (error) return error;
  *ret_ops = &stream_ops;
  *ret_transport = hold(exchange);
  return VESTRY_OK;
}

static void request_room(void *server_request, uint32_t *ret_streams, uint32_t *ret_capacity) {
  const vestry_memory_call *call = call_of(server_request);
  *ret_streams = call->streams;
  *ret_capacity = call->capacity ? call->capacity : UINT32_MAX;
}

static const vestry_request_ops request_ops = {
    .method = request_method,
    .path = request_path,
    .query = request_query,
    .header = request_header,
    .each_header = request_each_header,
    .peer = request_peer,
    .body_length = request_body_length,
    .read = request_read,
    .respond = request_respond,
    .open = request_open,
    .room = request_room,
};

/* ---- public functions -------------------------------------------------------------------------------------------- */

vestry_memory_exchange *vsi_exchange_create(const vestry_host *host) {
  vestry_memory_exchange *exchange = vsi_calloc(host, 1, sizeof *exchange);
  if (!exchange) return NULL;
  exchange->host = host;
  VSI_REFS_INIT(&exchange->refs, 1);
  vsi_mutex_init(&exchange->lock, VSI_LOCK_EXCHANGE);
  vsi_buffer_init(&exchange->headers, host);
  vsi_buffer_init(&exchange->received, host);
  return exchange;
}

vestry_err vestry_memory_request(vestry *v, const vestry_memory_call *call, vestry_handler_fn handler, void *app,
                                 vestry_memory_exchange **ret_exchange) {
  vestry_memory_call own = call ? *call : (vestry_memory_call){0};
  vestry_memory_exchange *exchange = vsi_exchange_create(vestry_parts_of(v)->host);
  if (!exchange) return VESTRY_NO_MEMORY;
  exchange->call = &own;
  vestry_err error = vestry_serve(v, &request_ops, exchange, handler, app, &exchange->connection);
  exchange->call = NULL;
  if (error) {
    let_go(exchange);
    return error;
  }
  *ret_exchange = exchange;
  return VESTRY_OK;
}

void vestry_memory_destroy(vestry_memory_exchange *exchange) {
  if (!exchange) return;
  vestry_connection *connection = exchange->connection;
  if (connection) {
    vestry_memory_mode_set(exchange, VESTRY_MEMORY_HANGS_UP);
    vestry_connection_unref(connection);
  }
  let_go(exchange);
}

void vestry_memory_settle(vestry *v) {
  while (vestry_runtime_step(vestry_parts_of(v)->runtime)) continue;
}

const char *vestry_memory_header(vestry_memory_exchange *exchange, const char *name, size_t index) {
  const char *found = NULL;
  vsi_mutex_lock(&exchange->lock);
  const char *at = exchange->headers.data, *end = at ? at + exchange->headers.len : at;
  while (exchange->status && at < end && !found) {
    const char *value = at + strlen(at) + 1;
    if (vsi_strcasecmp(at, name) == 0 && !index--) found = value;
    at = value + strlen(value) + 1;
  }
  vsi_mutex_unlock(&exchange->lock);
  return found; /* headers do not change once there is a status */
}

vestry_memory_seen vestry_memory_look(vestry_memory_exchange *exchange) {
  vsi_mutex_lock(&exchange->lock);
  if (exchange->remote) vsi_remote_receive(exchange);
  vestry_memory_seen seen = {.status = exchange->status,
                             .received = {"", 0},
                             .writes_count = exchange->writes_count,
                             .connection = exchange->connection,
                             .ended = (exchange->connection || exchange->remote) && exchange->ended};
  seen.clean = seen.ended && exchange->ended_clean;
  if (exchange->received.len) {
    vsi_buffer_terminate(&exchange->received); /* cannot fail: make_room_locked has reserved room */
    seen.received = (vestry_slice){exchange->received.data, exchange->received.len};
  }
  vsi_mutex_unlock(&exchange->lock);
  return seen;
}

vestry_slice vestry_memory_since(vestry_memory_exchange *exchange) {
  vestry_slice all = vestry_memory_look(exchange).received;
  vsi_mutex_lock(&exchange->lock);
  size_t before = exchange->asked_len; /* vestry_memory_look sets it to 0 with bytes that it frees */
  exchange->asked_len = all.len;
  vsi_mutex_unlock(&exchange->lock);
  return (vestry_slice){(const char *)all.data + before, all.len - before};
}

vestry_err vsi_exchange_take(vestry_memory_exchange *exchange, vsi_buffer *ret_bytes) {
  vsi_mutex_lock(&exchange->lock);
  if (exchange->remote) vsi_remote_receive(exchange);
  const size_t more = exchange->received.len - exchange->asked_len;
  if (more) vsi_buffer_append(ret_bytes, exchange->received.data + exchange->asked_len, more);
  vsi_buffer_terminate(ret_bytes);
  if (!ret_bytes->error) exchange->asked_len += more;
  vsi_mutex_unlock(&exchange->lock);
  return ret_bytes->error;
}

void vsi_exchange_unread(vestry_memory_exchange *exchange, size_t bytes) {
  vsi_mutex_lock(&exchange->lock);
  exchange->asked_len -= bytes;
  vsi_mutex_unlock(&exchange->lock);
}

void vestry_memory_mode_set(vestry_memory_exchange *exchange, vestry_memory_mode mode) {
  vsi_mutex_lock(&exchange->lock);
  bool blocked = exchange->mode == VESTRY_MEMORY_BLOCKS && mode != VESTRY_MEMORY_BLOCKS;
  if (exchange->mode != VESTRY_MEMORY_HANGS_UP) exchange->mode = mode;
  vsi_mutex_unlock(&exchange->lock);
  if (!exchange->connection) return;
  if (mode == VESTRY_MEMORY_HANGS_UP)
    vestry_connection_close(exchange->connection, VESTRY_CAUSE_HANGUP);
  else if (blocked)
    vestry_connection_writable(exchange->connection);
}
