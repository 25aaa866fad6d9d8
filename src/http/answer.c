/* SPDX-License-Identifier: MIT */
/* Responses that are not streams: a reply as a complete response, and the responses to errors. */
#include "http/answer.h"

#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/encoding.h"
#include "http/routes/routes.h"
#include "instance/instance.h"

int vsi_status_of(vestry *v, vestry_err error) {
  switch (error) {
  case VESTRY_MALFORMED: return 400;
  case VESTRY_NOT_FOUND: return 404;
  case VESTRY_EXISTS: return 409;
  case VESTRY_TOO_LARGE: return 413;
  case VESTRY_LIMIT:
  case VESTRY_FULL: return 503;
  case VESTRY_CLOSED: return vsi_instance_is_closing(v) ? 503 : 500;
  default: return 500;
  }
}

static const char *words_of_error(int status) {
  switch (status) {
  case 400: return "bad request";
  case 404: return "not found";
  case 405: return "this path does not have this method";
  case 406: return "no acceptable encoding for the stream";
  case 408: return "the request took too long";
  case 409: return "already in use";
  case 410: return "the stream has ended";
  case 413: return "the request is too large";
  case 503: return "no capacity now, try again later";
  default: return "internal error";
  }
}

static vestry_err respond(const vestry_request *req, int status, const vestry_header *headers, size_t headers_count,
                          const void *body, size_t body_len) {
  const vestry_response response = {status, headers, headers_count, body, body_len};
  if (req->own->watcher) req->own->watcher->answered(req->own->watcher, req, &response);
  return req->own->ops->respond(req->own->server_request, &response) ? VESTRY_IO : VESTRY_OK;
}

/* Answer with the application's page for the status, plus one header. true: the request was answered, with the result
 * in *ret_error; false: there is no such page, or it failed. */
static bool answer_page(const vestry_request *req, int status, const vestry_header *more, vestry_err *ret_error) {
  void *app;
  vestry_handler_fn page = vsi_routes_page(req->v->routes, status, &app);
  if (!page || vsi_request_is_of_script(req) || req->error) return false;
  vestry_request *asks = (vestry_request *)(uintptr_t)req; /* cast: its owner has it without const */
  vestry_reply reply;
  vsi_reply_init(&reply, req->v->host);
  reply.v = reply.room.v = req->v;
  reply.status = status;
  asks->error = status;
  vestry_err error = page(req, &reply, app);
  bool has_no_room = reply.no_room && (!error || error == VESTRY_LIMIT) && status != 503;
  bool made = !error && !reply.no_memory && !reply.refused && reply.has_body && !reply.no_room &&
              (!more->name || !vestry_reply_header(&reply, more->name, more->value));
  if (made) *ret_error = vsi_answer_reply(req, &reply);
  if (has_no_room) *ret_error = vsi_answer_error(req, VESTRY_LIMIT);
  asks->error = 0;
  vsi_reply_finish(&reply);
  return made || has_no_room;
}

/* Answer with a line of text. text NULL: the default text of the status. more: a header, or none. */
static vestry_err answer_line(const vestry_request *req, int status, const char *text, vestry_header more) {
  vestry_err error = VESTRY_OK;
  if (status >= 400 && answer_page(req, status, &more, &error)) return error;
  char body[192];
  snprintf(body, sizeof body, "%s\n", text ? text : words_of_error(status));
  const vestry_header headers[] = {{"Content-Type", "text/plain; charset=utf-8"}, {"Cache-Control", "no-store"}, more};
  return respond(req, status, headers, more.name ? 3 : 2, body, strlen(body));
}

vestry_err vsi_answer_status(const vestry_request *req, int status, const char *text) {
  char retry_after[16];
  snprintf(retry_after, sizeof retry_after, "%u", (unsigned)vsi_instance_retry_after_s(req->v));
  return answer_line(req, status, text, (vestry_header){status == 503 ? "Retry-After" : NULL, retry_after});
}

vestry_err vsi_answer_unrouted(const vestry_request *req, const char *allow) {
  const vestry_header header = {*allow ? "Allow" : NULL, allow};
  bool asks_only = strcmp(req->method, "OPTIONS") == 0;
  if (asks_only && (*allow || strcmp(req->path, "*") == 0)) return respond(req, 204, &header, *allow != 0, NULL, 0);
  return answer_line(req, *allow ? 405 : 404, NULL, header);
}

/* Count and log an error. Returns its status. */
static int note_error(const vestry_request *req, vestry_err error) {
  int status = vsi_status_of(req->v, error);
  /* relaxed: only a count. Counted once, even if its error page is rejected, too */
  if (status == 503 && req->error != 503) atomic_fetch_add_explicit(&req->v->rejected, 1, memory_order_relaxed);
  if (status == 500)
    vsi_log_repeated(req->v->host, &req->v->repeated, vsi_log_reason("500") + (uint32_t)error, VESTRY_LOG_ERROR,
                     "request: %.16s %.200s: answered 500: %s, %s", req->method, req->path, vestry_err_name(error),
                     vestry_strerror(error));
  return status;
}

vestry_err vsi_answer_error(const vestry_request *req, vestry_err error) {
  return vsi_answer_status(req, note_error(req, error), NULL);
}

vestry_err vsi_reply_error(const vestry_request *req, vestry_reply *reply, vestry_err error) {
  const int status = note_error(req, error);
  const char *words = words_of_error(status);
  char retry_after[16];
  snprintf(retry_after, sizeof retry_after, "%u", (unsigned)vsi_instance_retry_after_s(req->v));
  vestry_err failure = vestry_reply_status(reply, status);
  if (!failure) failure = vestry_reply_body(reply, "text/plain; charset=utf-8", words, strlen(words));
  if (!failure) failure = vestry_reply_header(reply, "Cache-Control", "no-store");
  if (!failure && status == 503) failure = vestry_reply_header(reply, "Retry-After", retry_after);
  return failure ? failure : error;
}

vestry_err vsi_answer_nothing(const vestry_request *req) {
  return respond(req, 204, NULL, 0, NULL, 0);
}

/* Give the reply's body to the adapter. *ret_body NULL: the reply has no body, or the request is a HEAD. OK | LIMIT |
 * NO_MEMORY */
static vestry_err give_plain_body(const vestry_request *req, vestry_reply *reply, vestry_body **ret_body) {
  *ret_body = NULL;
  if (req->own->is_head || !reply->body_len) return VESTRY_OK;
  vsi_body_source source = reply->rest;
  source.bytes = reply->body;
  vestry_err error = vsi_body_create(&reply->room, &source, reply->body_len, ret_body);
  if (error) return error;
  reply->body = NULL;
  reply->rest.file = NULL;
  return VESTRY_OK;
}

vestry_err vsi_answer_instead(const vestry_request *req, vestry_reply *reply, vestry_err error) {
  vsi_reply_drop_body(reply);
  return vsi_answer_error(req, error);
}

static vestry_err respond_with_body(const vestry_request *req, int status, const vestry_header *headers,
                                    size_t headers_count, vestry_reply *reply) {
  const bool takes = req->own->ops->respond_body;
  vestry_body *body = NULL;
  vestry_err error = req->own->watcher || (!takes && reply->rest.file) ? vsi_reply_load(reply) : VESTRY_OK;
  const char *bytes = reply->body ? reply->body : reply->rest.borrowed;
  if (!error && !takes) return respond(req, status, headers, headers_count, bytes, reply->body_len);
  if (!error) error = give_plain_body(req, reply, &body);
  if (error) return vsi_answer_instead(req, reply, error);
  vestry_response response = {status, headers, headers_count, bytes, reply->body_len};
  if (req->own->watcher) req->own->watcher->answered(req->own->watcher, req, &response);
  response.body = NULL;
  if (!body) vsi_reply_drop_body(reply); /* HEAD */
  return req->own->ops->respond_body(req->own->server_request, &response, body) ? VESTRY_IO : VESTRY_OK;
}

/* Return whether caches must not store this response. They must not if the page depends on the user, unless the handler
 * has set Cache-Control; and in any case if the response sets a cookie or contains a nonce. */
static bool is_private(const vestry_request *req, const vestry_reply *reply) {
  const bool is_ones_own = reply->has_nonce || vsi_reply_header_find(reply, "Set-Cookie");
  vsi_caching caching = vsi_reply_caching(reply);
  if (caching == VSI_CACHING_UNSET) return req->own->is_personal || is_ones_own;
  return caching != VSI_CACHING_NONE && is_ones_own;
}

/* Warn if the Datastar client gets text/javascript, because the client turns it into an inline script. In the page, a
 * strict policy blocks that script without a report to the server, and the client never finishes the action. */
static void warn_of_script(const vestry_request *req, const vestry_reply *reply, int status) {
  const vestry_header *given = vsi_reply_header_find(reply, "Content-Type");
  const char *type = given ? given->value : reply->body_type;
  if (!req->is_datastar || status != 200 || !type || vsi_strncasecmp(type, "text/javascript", 15) != 0) return;
  vsi_log_repeated(
      req->v->host, &req->v->repeated, vsi_log_reason("text/javascript"), VESTRY_LOG_WARN,
      "request: %.16s %.200s: answered the Datastar client with text/javascript, an inline script: a policy "
      "without 'unsafe-inline' blocks it, and the client's action never finishes; use effects, patches or "
      "vestry_reply_redirect",
      req->method, req->path);
}

/* The number of headers that vsi_answer_reply adds, and the number for which no memory is allocated. */
enum { OWN_HEADERS = 3, FEW_HEADERS = 8 };

vestry_err vsi_answer_reply(const vestry_request *req, vestry_reply *reply) {
  int status = reply->status ? reply->status : reply->has_body ? 200 : 204;
  bool has_body = reply->has_body && status != 204 && status != 205 && status != 304;
  bool says_len = reply->knows_len && status == 304;
  vestry_err error = reply->document.apply ? reply->document.apply(req, reply, status, has_body) : VESTRY_OK;
  if (!error && has_body && reply->encodes) error = vsi_encoding_apply(req, reply);
  if (error) return vsi_answer_instead(req, reply, error);
  vestry_header few[FEW_HEADERS], *headers = few;
  if (reply->headers_count + OWN_HEADERS > FEW_HEADERS)
    headers = vsi_alloc(reply->host, (reply->headers_count + OWN_HEADERS) * sizeof *headers);
  if (!headers) return vsi_answer_instead(req, reply, VESTRY_NO_MEMORY);
  if (!has_body) vsi_reply_drop_body(reply);
  if (has_body) warn_of_script(req, reply, status);
  size_t count = 0;
  char len[24];
  if (says_len) {
    snprintf(len, sizeof len, "%zu", reply->len);
    headers[count++] = (vestry_header){"Content-Length", len};
  }
  if (has_body && !vsi_reply_header_find(reply, "Content-Type"))
    headers[count++] = (vestry_header){"Content-Type", reply->body_type};
  const bool keeps_private = is_private(req, reply);
  if (keeps_private) headers[count++] = (vestry_header){"Cache-Control", "private, no-store"};
  for (size_t i = 0; i < reply->headers_count; i++)
    if (!keeps_private || vsi_strcasecmp(reply->headers[i].name, "Cache-Control") != 0)
      headers[count++] = reply->headers[i];
  error =
      has_body ? respond_with_body(req, status, headers, count, reply) : respond(req, status, headers, count, NULL, 0);
  if (headers != few) vsi_free(reply->host, headers);
  return error;
}

/* Return whether a header of the reply is dropped because streams have their own. Content-Encoding is dropped because
 * each stream determines its compression itself, so the application's value would be wrong. */
static bool is_of_streams(const char *name) {
  static const char *const names[] = {"Content-Type", "Cache-Control", "X-Accel-Buffering", "Content-Encoding", NULL};
  return vsi_is_listed(name, names);
}

vestry_err vsi_stream_headers(const vestry_reply *reply, const char *coding, bool vary, vestry_header **ret_headers,
                              size_t *ret_count) {
  static const vestry_header own[] = {
      {"Content-Type", "text/event-stream"}, {"Cache-Control", "no-cache, no-transform"}, {"X-Accel-Buffering", "no"}};
  enum { OWN = sizeof own / sizeof *own, OF_CODING = 2 };
  vestry_header *headers = vsi_alloc(reply->host, (reply->headers_count + OWN + OF_CODING) * sizeof *headers);
  if (!headers) return VESTRY_NO_MEMORY;
  memcpy(headers, own, sizeof own);
  size_t count = OWN;
  if (VSI_ENCODES && coding) headers[count++] = (vestry_header){"Content-Encoding", coding};
  /* This is in addition to a Vary header of the reply, because the header is a list. */
  if (VSI_ENCODES && vary) headers[count++] = (vestry_header){"Vary", "Accept-Encoding"};
  for (size_t i = 0; i < reply->headers_count; i++)
    if (!is_of_streams(reply->headers[i].name)) headers[count++] = reply->headers[i];
  *ret_headers = headers;
  *ret_count = count;
  return VESTRY_OK;
}
