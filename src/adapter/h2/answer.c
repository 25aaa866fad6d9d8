/* SPDX-License-Identifier: MIT */
/* Responses: the fields of their heads, and their bodies, which are copied if vestry only lends them. Bodies count as
 * those of libmicrohttpd do: if all of them hold too much memory, the largest are reset, without their siblings. */
#include "adapter/h2/adapter.h"

#include <stdio.h>
#include <time.h>

#include "base/ascii.h"
#include "base/field.h"

/* ---------------------------------------------------------------------------------------------------- the head ---- */

static char *add_text(char *to, const char *text, bool is_name) {
  for (; *text; text++) *to++ = is_name ? vsi_lower(*text) : *text;
  *to = '\0';
  return to + 1;
}

static char *add_field(vsi_h2_answer *answer, char *to, const char *name, const char *value) {
  answer->count++;
  return add_text(add_text(to, name, true), value, false);
}

static size_t size_of(const char *name, const char *value) {
  return strlen(name) + strlen(value) + 2;
}

static bool has_no_body(int status) {
  return status == 204 || status == 304;
}

/* Return whether the client shall come back on a new connection, which may reach another server: this one stops, or has
 * no place for a stream. A 503 for want of memory concerns its own request. */
static bool goes_away(const vsi_h2_stream *stream, int status) {
  return status == 503 && !stream->request->refused && !vestry_response_bytes_excess(stream->session->adapter->v);
}

vsi_h2_answer *vsi_h2_answer_create(const vsi_h2_stream *stream, const vestry_response *response, bool has_length) {
  char length[24], date[VSI_HTTP_DATE_BYTES];
  size_t bytes = 0;
  snprintf(length, sizeof length, "%zu", response->body_len);
  if (!vsi_http_date_write((int64_t)time(NULL), date)) *date = '\0';
  has_length &= !has_no_body(response->status); /* a 304 may have the length among its headers */
  for (size_t i = 0; i < response->headers_count; i++)
    bytes += size_of(response->headers[i].name, response->headers[i].value);
  bytes += size_of("content-length", length) + size_of("date", date);
  vsi_h2_answer *answer = vsi_calloc(stream->session->host, 1, sizeof *answer + bytes);
  if (!answer) return NULL;
  answer->status = response->status;
  answer->goes_away = goes_away(stream, response->status);
  char *to = answer->fields;
  for (size_t i = 0; i < response->headers_count; i++)
    to = add_field(answer, to, response->headers[i].name, response->headers[i].value);
  if (has_length) to = add_field(answer, to, "content-length", length);
  if (*date) (void)add_field(answer, to, "date", date);
  return answer;
}

void vsi_h2_answer_free(vsi_h2_session *session, vsi_h2_answer *answer) {
  if (!answer) return;
  vsi_microhttpd_sending_end(answer->sending);
  vsi_free(session->host, answer->bytes);
  atomic_fetch_sub_explicit(&session->answers_bytes, answer->held, memory_order_relaxed); /* only a sum */
  vsi_free(session->host, answer);
}

/* ---------------------------------------------------------------------------------------------------- the body ---- */

ssize_t vsi_h2_answer_read(vsi_h2_answer *answer, uint8_t *buffer, size_t capacity) {
  const uint64_t left = answer->len - answer->at;
  size_t len = left < capacity ? (size_t)left : capacity;
  vestry_body *body = answer->sending ? answer->sending->body : NULL;
  const char *bytes = body ? body->bytes : answer->bytes;
  if (bytes)
    memcpy(buffer, bytes + answer->at, len);
  else if (vestry_body_read(body, answer->at, buffer, len, &len))
    return -1;
  answer->at += len;
  return (ssize_t)len;
}

/* Give an answer to the stream: OK | IO (the stream is closed). answer: taken; NULL: there was no memory. */
static vestry_err give(vsi_h2_stream *stream, vsi_h2_answer *answer) {
  vsi_h2_session *session = stream->session;
  if (!answer) return VESTRY_NO_MEMORY;
  answer->has_body = answer->len != 0;
  answer->held = answer->sending ? answer->sending->body->held_bytes : answer->len;
  atomic_fetch_add_explicit(&session->answers_bytes, answer->held, memory_order_relaxed); /* only a sum */
  vsi_mutex_lock(&session->lock);
  const bool is_gone = stream->is_gone;
  if (!is_gone) {
    stream->answer = answer;
    stream->is_answered = true;
    vsi_h2_stream_wait_locked(stream, answer->has_body);
    vsi_h2_session_mark_locked(stream);
  }
  vsi_mutex_unlock(&session->lock);
  if (is_gone) {
    vsi_h2_answer_free(session, answer);
    return VESTRY_IO;
  }
  session->ops->pump(session);
  return VESTRY_OK;
}

vestry_err vsi_h2_respond(void *server_request, const vestry_response *response) {
  vsi_h2_stream *stream = server_request;
  const vestry_host *host = stream->session->host;
  vsi_h2_answer *answer = vsi_h2_answer_create(stream, response, true);
  vsi_microhttpd_sendings_relieve(stream->session->adapter->inner->sendings, response);
  if (!answer || !response->body_len || stream->request->is_head || has_no_body(response->status))
    return give(stream, answer);
  answer->bytes = vsi_alloc(host, response->body_len);
  if (!answer->bytes) {
    vsi_h2_answer_free(stream->session, answer);
    return VESTRY_NO_MEMORY;
  }
  memcpy(answer->bytes, response->body, response->body_len);
  answer->len = response->body_len;
  return give(stream, answer);
}

vestry_err vsi_h2_respond_body(void *server_request, const vestry_response *response, vestry_body *body) {
  vsi_h2_stream *stream = server_request;
  vsi_microhttpd_sendings *sendings = stream->session->adapter->inner->sendings;
  vsi_h2_answer *answer = vsi_h2_answer_create(stream, response, true);
  vsi_microhttpd_sendings_relieve(sendings, response);
  if (!answer || !body || !response->body_len) {
    vestry_body_destroy(body);
    return give(stream, answer);
  }
  answer->sending = vsi_microhttpd_sending_begin(sendings, -1, stream->session->adapter->cut_ops, stream, body);
  if (!answer->sending) {
    vsi_h2_answer_free(stream->session, answer);
    return VESTRY_NO_MEMORY;
  }
  answer->len = response->body_len;
  return give(stream, answer);
}

vestry_err vsi_h2_refuse(vsi_h2_stream *stream, int status) {
  const vestry_header headers[] = {{"Cache-Control", "no-store"}, {"Retry-After", VSI_WEB_RETRY_AFTER_S}};
  return vsi_h2_respond(
      stream, &(vestry_response){.status = status, .headers = headers, .headers_count = status == 503 ? 2 : 1});
}
