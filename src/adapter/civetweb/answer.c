/* SPDX-License-Identifier: MIT */
/* Complete answers of the civetweb adapter: the head is formatted into one buffer, and a short body is sent together
 * with it. */
#include "adapter/civetweb/answer.h"

#include <civetweb.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"

/* ON_STACK bounds the buffer on a worker's stack, because these stacks are small; it is enough for most heads, which
 * are shorter than 1 KiB. TOGETHER bounds the bodies that are sent with their heads. */
enum { ON_STACK = 2048, TOGETHER = 16384 };

typedef struct writer {
  char *buffer;
  size_t capacity, len; /* len: including text that did not fit */
} writer;

static void put(writer *to, const char *format, ...) VESTRY_PRINTF(2, 3);
static void put(writer *to, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t room = to->len < to->capacity ? to->capacity - to->len : 0;
  int len = vsnprintf(room ? to->buffer + to->len : NULL, room, format, arguments);
  va_end(arguments);
  if (len > 0) to->len += (size_t)len;
}

/* Write the Date header, with English names in every locale. */
static void put_date(writer *to, int64_t unix_s) {
  static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  time_t seconds = (time_t)unix_s;
  struct tm at;
  if (!gmtime_r(&seconds, &at)) return;
  put(to, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", days + at.tm_wday * 3, at.tm_mday,
      months + at.tm_mon * 3, at.tm_year + 1900, at.tm_hour, at.tm_min, at.tm_sec);
}

size_t vsi_civetweb_head_format(char *buffer, size_t capacity, const vestry_response *response,
                                vsi_civetweb_framing framing, bool keep_alive, int64_t unix_s) {
  writer to = {buffer, capacity, 0};
  put(&to, "HTTP/1.1 %d %s\r\n", response->status, mg_get_response_code_text(NULL, response->status));
  put_date(&to, unix_s);
  for (size_t i = 0; i < response->headers_count; i++)
    put(&to, "%s: %s\r\n", response->headers[i].name, response->headers[i].value);
  put(&to, "Connection: %s\r\n", keep_alive ? "keep-alive" : "close");
  switch (framing) {
  case VSI_CIVETWEB_LENGTH: put(&to, "Content-Length: %zu\r\n", response->body_len); break;
  case VSI_CIVETWEB_CHUNKED: put(&to, "Transfer-Encoding: chunked\r\n"); break;
  case VSI_CIVETWEB_NO_BODY:
  case VSI_CIVETWEB_UNTIL_CLOSE: break;
  }
  put(&to, "\r\n");
  return to.len;
}

int64_t vsi_civetweb_unix_s(void) {
  return (int64_t)time(NULL);
}

/* Write all bytes; one mg_write takes at most INT_MAX of them. */
static bool write_all(struct mg_connection *conn, const char *data, size_t len) {
  while (len) {
    size_t part = len < INT_MAX ? len : INT_MAX;
    if (mg_write(conn, data, part) != (int)part) return false;
    data += part;
    len -= part;
  }
  return true;
}

/* Return the framing of a status (RFC 9110). 204 and 304 have no body, and 304 must not have the length of another one.
 * 205 states that its body is empty. */
static vsi_civetweb_framing framing_of(int status) {
  return status == 204 || status == 304 ? VSI_CIVETWEB_NO_BODY : VSI_CIVETWEB_LENGTH;
}

/* Write a body from its file in pieces. The piece is allocated, because a worker's stack is too small for it. */
static bool write_file(const vsi_civetweb_request *request, vestry_body *body, size_t len) {
  const vestry_host *host = request->adapter->host;
  char *piece = vsi_alloc(host, VESTRY_BODY_PIECE_BYTES);
  bool written = piece != NULL;
  for (size_t at = 0, got = 0; written && at < len; at += got)
    written = !vestry_body_read(body, at, piece, VESTRY_BODY_PIECE_BYTES, &got) && write_all(request->conn, piece, got);
  vsi_free(host, piece);
  return written;
}

/* Write an answer. body: if not NULL, its bytes or file are sent, and the response's body is ignored. */
static vestry_err write_answer(vsi_civetweb_request *request, const vestry_response *response, vestry_body *body) {
  const vestry_host *host = request->adapter->host;
  vsi_civetweb_framing framing = framing_of(response->status);
  vsi_civetweb_deadlines_relieve(&request->adapter->deadlines);
  vsi_civetweb_request_answering(request);
  bool keep_alive = request->wants_alive && !request->must_close;
  int64_t unix_s = vsi_civetweb_unix_s();
  const char *bytes = body ? body->bytes : response->body;
  size_t body_len = framing == VSI_CIVETWEB_LENGTH && !request->is_head ? response->body_len : 0;
  size_t in_file = body && !bytes ? body_len : 0, in_memory = body_len - in_file;

  char small[ON_STACK], *text = small;
  size_t head_len = vsi_civetweb_head_format(small, sizeof small, response, framing, keep_alive, unix_s);
  /* A small body is sent together with its head: one write, one packet. */
  size_t together = in_memory <= TOGETHER ? in_memory : 0;
  if (head_len >= sizeof small || together > sizeof small - head_len) {
    text = vsi_calloc(host, 1, head_len + together + 1);
    if (!text) {
      vsi_civetweb_request_close(request);
      return VESTRY_NO_MEMORY;
    }
    vsi_civetweb_head_format(text, head_len + 1, response, framing, keep_alive, unix_s);
  }
  if (together) memcpy(text + head_len, bytes, together);
  request->status = response->status;
  bool written = write_all(request->conn, text, head_len + together);
  if (text != small) vsi_free(host, text);
  if (written && in_memory > together) written = write_all(request->conn, bytes, in_memory);
  if (written && in_file) written = write_file(request, body, in_file);
  if (written) return VESTRY_OK;
  vsi_civetweb_request_close(request);
  return VESTRY_IO;
}

vestry_err vsi_civetweb_respond(void *server_request, const vestry_response *response) {
  return write_answer(server_request, response, NULL);
}

vestry_err vsi_civetweb_respond_body(void *server_request, const vestry_response *response, vestry_body *body) {
  vsi_civetweb_request_sends(server_request, body ? body->held_bytes : 0);
  vestry_err error = write_answer(server_request, response, body);
  vsi_civetweb_request_sent(server_request);
  vestry_body_destroy(body);
  return error;
}

void vsi_civetweb_refuse(vsi_civetweb_request *request, int status, const char *name, const char *value) {
  const vestry_header header = {name, value};
  vsi_civetweb_respond(request,
                       &(vestry_response){.status = status, .headers = &header, .headers_count = name ? 1 : 0});
}
