/* SPDX-License-Identifier: MIT */
/* Complete answers: vestry's responses as responses of libmicrohttpd. */
#include "adapter/microhttpd/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "adapter/microhttpd/refused.h"
#include "base/log.h"

/* Return whether a header is the Content-Length of a 304; libmicrohttpd writes that itself. */
static bool is_length(const vestry_header *header) {
  return strcasecmp(header->name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
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

/* Queue a response. made: taken; NULL: it could not be allocated. */
static vestry_err queue(vsi_microhttpd_request *request, const vestry_response *response, struct MHD_Response *made,
                        bool closes) {
  vsi_microhttpd_sendings_relieve(request->adapter->sockets.sendings);
  if (!made) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_microhttpd_add_headers(made, response);
  if (!error && (closes || request->socket->is_spent) &&
      MHD_add_response_header(made, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_NO)
    error = VESTRY_NO_MEMORY;
  vsi_microhttpd_refused_queues(request);
  if (!error && MHD_queue_response(request->conn, (unsigned)response->status, made) == MHD_NO) error = VESTRY_IO;
  MHD_destroy_response(made); /* libmicrohttpd holds a reference while it sends */
  if (error == VESTRY_INVALID)
    vsi_log(request->adapter->host, VESTRY_LOG_ERROR,
            "%.16s %.200s: libmicrohttpd rejects a header of the answer, and closes the connection without an answer",
            request->method, request->path);
  return error;
}

vestry_err vsi_microhttpd_respond(void *server_request, const vestry_response *response) {
  return queue(server_request, response, create(response), false);
}

static void end_sending(void *cls) {
  vsi_microhttpd_sending_end(cls);
}

static ssize_t read_body(void *cls, uint64_t at, char *buffer, size_t capacity) {
  const vsi_microhttpd_sending *sending = cls;
  size_t len;
  if (vestry_body_read(sending->body, at, buffer, capacity, &len)) return MHD_CONTENT_READER_END_WITH_ERROR;
  return (ssize_t)len;
}

/* Create a response with a body, which it takes. libmicrohttpd can send files itself, but closes the descriptor
 * afterwards, so each answer would need its own descriptor. */
static struct MHD_Response *create_with_body(vsi_microhttpd_sendings *sendings, int fd, const vestry_response *response,
                                             vestry_body *body) {
  const size_t len = response->body_len;
  if (!len || !body) {
    vestry_body_destroy(body);
    return !len ? MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT)
                : MHD_create_response_from_callback(len, 1, read_nothing, NULL, NULL);
  }
  const void *bytes = body->bytes;
  vsi_microhttpd_sending *sending = vsi_microhttpd_sending_begin(sendings, fd, body);
  if (!sending) return NULL;
  struct MHD_Response *made =
      bytes
          ? MHD_create_response_from_buffer_with_free_callback_cls(len, (void *)(uintptr_t)bytes, end_sending, sending)
          : MHD_create_response_from_callback(len, VESTRY_BODY_PIECE_BYTES, read_body, sending, end_sending);
  if (!made) vsi_microhttpd_sending_end(sending);
  return made;
}

vestry_err vsi_microhttpd_respond_body(void *server_request, const vestry_response *response, vestry_body *body) {
  vsi_microhttpd_request *request = server_request;
  vsi_microhttpd_sendings *sendings = request->adapter->sockets.sendings;
  return queue(request, response, create_with_body(sendings, request->socket->fd, response, body), false);
}

vestry_err vsi_microhttpd_refuse(vsi_microhttpd_request *request, int status, const char *name, const char *value,
                                 bool closes) {
  const vestry_header header = {name, value};
  const vestry_response response = {.status = status, .headers = &header, .headers_count = name ? 1 : 0};
  return queue(request, &response, create(&response), closes);
}
