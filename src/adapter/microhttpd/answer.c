/* SPDX-License-Identifier: MIT */
/* essay: exactly one response to a head that libmicrohttpd cannot process */
/* Responses that libmicrohttpd sends: vestry's responses as responses of libmicrohttpd, and the memory that their
 * bodies hold; and the responses that libmicrohttpd would send twice or not at all, which are sent here. */
#include "adapter/microhttpd/adapter.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/ascii.h"
#include "base/log.h"

/* ---------------------------------------------------------------------------------------- the memory of bodies ---- */

/* A client that requests large responses and reads nothing holds much memory. As with requests (socket.c), the sockets
 * of the responses that hold most are shut down; of responses of about the same size, the oldest first. libmicrohttpd
 * sees a hang-up, closes the connection, and frees the body. A response of HTTP/2 is reset alone. Until the body is
 * freed, its bytes already count as free (`going`). A thread cuts no more than was too much when it came. Otherwise it
 * would have to cut all that other threads add meanwhile, as long as an attack lasts. */
vsi_microhttpd_sendings *vsi_microhttpd_sendings_create(vestry *v) {
  const vestry_host *host = vestry_parts_of(v)->host;
  vsi_microhttpd_sendings *all = vsi_calloc(host, 1, sizeof *all);
  if (!all) return NULL;
  VSI_REFS_INIT(&all->refs, 1);
  all->v = v;
  all->host = host;
  vsi_loads_init(&all->loads);
  vsi_mutex_init(&all->loads_lock, VSI_LOCK_MICROHTTPD_SENDINGS);
  return all;
}

void vsi_microhttpd_sendings_unref(vsi_microhttpd_sendings *all) {
  if (!all || !VSI_REFS_DROP(&all->refs)) return;
  vsi_mutex_finish(&all->loads_lock);
  vsi_free(all->host, all);
}

void vsi_microhttpd_sendings_relieve(vsi_microhttpd_sendings *all, const vestry_response *response) {
  const uint64_t most = response->body_len ? vestry_response_bytes_excess(all->v) : 0;
  if (!most) return;
  vsi_mutex_lock(&all->loads_lock);
  uint64_t cut_bytes = 0;
  for (vsi_load *at; cut_bytes < most && vestry_response_bytes_excess(all->v) > all->going &&
                     (at = vsi_loads_largest(&all->loads));) {
    vsi_microhttpd_sending *largest = VSI_LOAD_OWNER(at, vsi_microhttpd_sending, load);
    const vsi_microhttpd_cut_ops *ops = largest->ops;
    void *owner = largest->owner;
    vsi_loads_file(&all->loads, at, &largest->place, 0);
    largest->is_cut = true;
    all->going += largest->body->held_bytes;
    cut_bytes += largest->body->held_bytes;
    vestry_response_cut(all->v);
    if (!ops) {
      shutdown(largest->fd, SHUT_RDWR);
      continue;
    }
    ops->hold(owner);
    vsi_mutex_unlock(&all->loads_lock);
    ops->cut(owner);
    vsi_mutex_lock(&all->loads_lock);
  }
  vsi_mutex_unlock(&all->loads_lock);
}

vsi_microhttpd_sending *vsi_microhttpd_sending_begin(vsi_microhttpd_sendings *all, int fd,
                                                     const vsi_microhttpd_cut_ops *ops, void *owner,
                                                     vestry_body *body) {
  vsi_microhttpd_sending *sending = vsi_calloc(all->host, 1, sizeof *sending);
  if (!sending) {
    vestry_body_destroy(body);
    return NULL;
  }
  VSI_REFS_TAKE(&all->refs);
  sending->all = all;
  sending->body = body;
  sending->fd = fd;
  sending->ops = ops;
  sending->owner = owner;
  vsi_mutex_lock(&all->loads_lock);
  vsi_loads_file(&all->loads, &sending->load, &sending->place, vsi_load_rank(body->held_bytes));
  vsi_mutex_unlock(&all->loads_lock);
  return sending;
}

/* The response is removed from the list first, so that it is not cut after its end. Its bytes count as `going` until
 * the body is freed. */
void vsi_microhttpd_sending_end(void *of) {
  vsi_microhttpd_sending *sending = of;
  if (!sending) return;
  vsi_microhttpd_sendings *all = sending->all;
  const size_t bytes = sending->body->held_bytes;
  vsi_mutex_lock(&all->loads_lock);
  vsi_loads_file(&all->loads, &sending->load, &sending->place, 0);
  const bool is_cut = sending->is_cut;
  vsi_mutex_unlock(&all->loads_lock);
  vestry_body_destroy(sending->body);
  if (is_cut) {
    vsi_mutex_lock(&all->loads_lock);
    all->going -= bytes;
    vsi_mutex_unlock(&all->loads_lock);
  }
  vsi_free(all->host, sending);
  vsi_microhttpd_sendings_unref(all);
}

/* ---------------------------------------------------------------------------------- responses of libmicrohttpd ---- */

/* Return whether a header is the Content-Length of a 304; libmicrohttpd writes that itself. */
static bool is_length(const vestry_header *header) {
  return vsi_strcasecmp(header->name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
}

/* libmicrohttpd rejects an empty value, so such a header is left out, which means the same to nearly all clients. */
vestry_err vsi_microhttpd_add_headers(struct MHD_Response *to, const vestry_response *response) {
  for (size_t i = 0; i < response->headers_count; i++) {
    if (is_length(&response->headers[i]) || !*response->headers[i].value) continue;
    errno = 0;
    if (MHD_add_response_header(to, response->headers[i].name, response->headers[i].value) == MHD_NO)
      return errno == ENOMEM ? VESTRY_NO_MEMORY : VESTRY_INVALID;
  }
  return VESTRY_OK;
}

static ssize_t read_nothing(void *cls, uint64_t at, char *buffer, size_t capacity) {
  (void)cls, (void)at, (void)buffer, (void)capacity;
  return MHD_CONTENT_READER_END_OF_STREAM;
}

/* Create a 304. Its Content-Length must be that of the 200, or absent (RFC 9110, 8.6), because caches believe it. For a
 * response without a body libmicrohttpd would send a length of 0. For a response of unknown length it sends no length,
 * but then closes the connection, or sends Transfer-Encoding, which confuses clients that wait for chunks;
 * MHD_RF_HTTP_1_0_COMPATIBLE_STRICT suppresses that header. */
static struct MHD_Response *create_unchanged(const vestry_response *response) {
  uint64_t len = MHD_SIZE_UNKNOWN;
  for (size_t i = 0; i < response->headers_count; i++)
    if (is_length(&response->headers[i])) len = strtoull(response->headers[i].value, NULL, 10);
  struct MHD_Response *made = MHD_create_response_from_callback(len, 1, read_nothing, NULL, NULL);
  if (made && len == MHD_SIZE_UNKNOWN) MHD_set_response_options(made, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
  return made;
}

static struct MHD_Response *create(const vestry_response *response) {
  if (response->status == 304) return create_unchanged(response);
  size_t len = response->status != 204 ? response->body_len : 0; /* RFC 9110, 6.4.1 */
  const void *body = len ? response->body : "";
  return MHD_create_response_from_buffer(len, (void *)(uintptr_t)body,
                                         len ? MHD_RESPMEM_MUST_COPY : MHD_RESPMEM_PERSISTENT);
}

/* The connection for which this thread has queued a response last, and the status of its refusal. */
static _Thread_local struct {
  const vsi_microhttpd *adapter;
  struct MHD_Connection *conn;
  unsigned status; /* sent if libmicrohttpd cannot send the response */
} queued;

void vsi_microhttpd_refused_queues(const vsi_microhttpd_request *request) {
  const bool is_large = vsi_microhttpd_head_size(request->conn) > request->adapter->max_head_bytes / 8;
  queued.adapter = request->adapter;
  queued.conn = request->conn;
  queued.status = request->refused ? (unsigned)request->refused : is_large ? 431 : 500;
}

void vsi_microhttpd_refused_forget(const struct MHD_Connection *conn) {
  if (queued.conn == conn) queued.conn = NULL;
}

/* Queue a response. made: taken; NULL: it could not be allocated. */
static vestry_err queue(vsi_microhttpd_request *request, const vestry_response *response, struct MHD_Response *made) {
  vsi_microhttpd_sendings_relieve(request->adapter->sendings, response);
  if (!made) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_microhttpd_add_headers(made, response);
  if (!error && request->socket->is_spent &&
      MHD_add_response_header(made, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_NO)
    error = VESTRY_NO_MEMORY;
  vsi_microhttpd_refused_queues(request);
  if (!error && MHD_queue_response(request->conn, (unsigned)response->status, made) == MHD_NO) error = VESTRY_IO;
  if (made != request->adapter->nothing)
    MHD_destroy_response(made); /* libmicrohttpd holds a reference while it sends */
  if (error == VESTRY_INVALID)
    vsi_log_repeated(
        request->adapter->host, &request->adapter->repeated, vsi_log_reason("header"), VESTRY_LOG_ERROR,
        "%.16s %.200s: libmicrohttpd rejects a header of the answer, and closes the connection without an answer",
        request->method, request->path);
  return error;
}

vestry_err vsi_microhttpd_respond(vsi_microhttpd_request *request, const vestry_response *response) {
  const bool is_bare = response->status == 204 && !response->headers_count && !request->socket->is_spent;
  return queue(request, response, is_bare ? request->adapter->nothing : create(response));
}

static ssize_t read_body(void *cls, uint64_t at, char *buffer, size_t capacity) {
  const vsi_microhttpd_sending *sending = cls;
  size_t len;
  if (vestry_body_read(sending->body, at, buffer, capacity, &len)) return MHD_CONTENT_READER_END_WITH_ERROR;
  return (ssize_t)len;
}

/* Create a response with a body, which it takes. libmicrohttpd can send files itself, but closes the descriptor
 * afterwards, so each response would need its own descriptor. */
static struct MHD_Response *create_with_body(vsi_microhttpd_sendings *sendings, int fd, const vestry_response *response,
                                             vestry_body *body) {
  const size_t len = response->body_len;
  if (!len || !body) {
    vestry_body_destroy(body);
    return !len ? MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT)
                : MHD_create_response_from_callback(len, 1, read_nothing, NULL, NULL);
  }
  const void *bytes = body->bytes;
  vsi_microhttpd_sending *sending = vsi_microhttpd_sending_begin(sendings, fd, NULL, NULL, body);
  if (!sending) return NULL;
  struct MHD_Response *made = bytes ? MHD_create_response_from_buffer_with_free_callback_cls(
                                          len, (void *)(uintptr_t)bytes, vsi_microhttpd_sending_end, sending)
                                    : MHD_create_response_from_callback(len, VESTRY_BODY_PIECE_BYTES, read_body,
                                                                        sending, vsi_microhttpd_sending_end);
  if (!made) vsi_microhttpd_sending_end(sending);
  return made;
}

vestry_err vsi_microhttpd_respond_body(vsi_microhttpd_request *request, const vestry_response *response,
                                       vestry_body *body) {
  return queue(request, response, create_with_body(request->adapter->sendings, request->socket->fd, response, body));
}

/* ---------------------------------------------------------------------------- refusals by libmicrohttpd itself ---- */

/* Refusals that libmicrohttpd decides by itself, and does not send exactly once.
 *
 * vestry itself refuses heads larger than max_head_bytes, when they are complete. In two other cases libmicrohttpd runs
 * out of the connection's memory by itself, and does not answer exactly once:
 *
 *   twice    0.9.75 copies the Cookie header, and makes a record of each cookie, after the head is complete. If there
 *            is no room for these, or if a Content-Length is no number, it queues an error, continues as if the request
 *            were valid, and writes the head of the error a second time.
 *   never    The request fits but the head of its response does not: libmicrohttpd closes the connection without a
 *            byte.
 *
 * Neither case has a callback, but both are logged on the connection's thread before anything is sent. Therefore the
 * response is written here, and the sending side of the socket is shut down. Then libmicrohttpd's own send fails, and
 * it closes. If a head does not fit while it is read, libmicrohttpd refuses it once, and that is left to it. If a query
 * has more parameters than there is memory for, this is detected here when the request line is there, because
 * libmicrohttpd ignores that error. */

enum { ANSWER_BYTES = 256, RECORD_BYTES = 64 };

static void answer(struct MHD_Connection *conn, unsigned status) {
  const int fd = vsi_microhttpd_fd_of(conn);
  gnutls_session_t session = vsi_microhttpd_tls_of(conn);
  char text[ANSWER_BYTES];
  const int len = snprintf(
      text, sizeof text, "HTTP/1.1 %u %s\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
      status, MHD_get_reason_phrase_for(status));
  if (len <= 0 || (size_t)len >= sizeof text) return;
  /* If the client's socket has no room even for this, the client gets nothing. */
  if (session)
    (void)!gnutls_record_send(session, text, (size_t)len);
  else
    (void)!send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
  shutdown(fd, SHUT_WR);
}

/* The parameters are counted because libmicrohttpd makes a record of each of them in the connection's memory. */
bool vsi_microhttpd_refused_line(const vsi_microhttpd *adapter, struct MHD_Connection *conn, const char *target) {
  size_t parameters = 1;
  for (const char *at = strchr(target, '?'); at; at = strchr(at + 1, '&')) parameters++;
  if (strlen(target) <= adapter->max_head_bytes &&
      parameters <= adapter->sockets.limits.memory_bytes / 2 / RECORD_BYTES)
    return false;
  answer(conn, 414);
  return true;
}

/* The requests of this thread whose heads were not shown to vestry yet, the latest first. */
static _Thread_local LIST_HEAD(, vsi_microhttpd_request) unshown;

void vsi_microhttpd_refused_awaits(vsi_microhttpd_request *request) {
  LIST_INSERT_HEAD(&unshown, request, in_unshown);
}

void vsi_microhttpd_refused_shown(vsi_microhttpd_request *request) {
  if (!request->in_unshown.le_prev) return;
  LIST_REMOVE(request, in_unshown);
  request->in_unshown.le_prev = NULL;
}

/* Return the connection of this thread whose head is complete but was not passed to vestry. libmicrohttpd reports the
 * size of complete heads only. */
static struct MHD_Connection *find_unshown(void) {
  vsi_microhttpd_request *at = LIST_FIRST(&unshown);
  while (at && !vsi_microhttpd_head_size(at->conn)) at = LIST_NEXT(at, in_unshown);
  return at ? at->conn : NULL;
}

void vsi_microhttpd_refused_look(vsi_microhttpd *adapter, const char *format, va_list arguments) {
  static const char refuses[] = "Error processing request (HTTP response code is %u", closes[] = "%s";
  va_list own;
  va_copy(own, arguments);
  struct MHD_Connection *conn = NULL;
  unsigned status = 0;
  if (strncmp(format, refuses, sizeof refuses - 1) == 0) {
    status = va_arg(own, unsigned);
    conn = find_unshown();
  } else if (strncmp(format, closes, sizeof closes - 1) == 0 && queued.adapter == adapter && queued.conn) {
    const char *why = va_arg(own, const char *);
    if (why && strstr(why, "failed to create response header")) conn = queued.conn, status = queued.status;
  }
  va_end(own);
  if (!conn) return;
  queued.conn = NULL;
  answer(conn, status);
}
