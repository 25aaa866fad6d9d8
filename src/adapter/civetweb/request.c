/* SPDX-License-Identifier: MIT */
/* A request of civetweb: checking its head, and reading or skipping its body. */
#include "adapter/civetweb/request.h"

#include <civetweb.h>
#include <string.h>

#include "base/ascii.h"
#include "base/memory.h"

/* An unwanted body of up to SKIP_BYTES is skipped, and the connection stays open. After a longer body the connection is
 * closed. Before the close, up to LINGER_BYTES are read. Closing a socket with unread bytes would reset it, and the
 * client might lose the response that explains why. */
enum { SKIP_BYTES = 64 * 1024, LINGER_BYTES = 4 * 1024 * 1024, LINGER_PIECE = 4096 };

/* Return whether a comma-separated list contains a token, in any case. */
static bool list_names(const char *list, const char *token) {
  size_t len = strlen(token);
  while (*list) {
    list += strspn(list, " \t,");
    size_t span = strcspn(list, " \t,");
    if (span == len && vsi_strncasecmp(list, token, len) == 0) return true;
    list += strcspn(list, ",");
  }
  return false;
}

/* Return whether civetweb will keep the connection open after the handler, because vestry's Connection header must
 * agree with that. civetweb parses the list loosely; where vestry's header promises a close,
 * vsi_civetweb_request_answers makes civetweb close. civetweb closes if the client requests an upgrade. After a
 * chunked body, 1.15 closes if there are trailers, and 1.16 continues after the bytes that it takes for trailers.
 * vestry sees neither, so it always closes after a chunked body, because a server and a proxy may disagree where the
 * next request begins. */
static bool wants_alive(const vsi_civetweb_request *request) {
  if (!request->adapter->settings.keep_alive || request->is_chunked) return false;
  const char *connection = mg_get_header(request->conn, "Connection");
  if (!connection) return request->is_http11;
  return list_names(connection, "keep-alive") && !list_names(connection, "close") &&
         !vsi_strcasestr(connection, "upgrade");
}

void vsi_civetweb_request_init(vsi_civetweb_request *request, vsi_civetweb *adapter, struct mg_connection *conn,
                               const char *path) {
  const struct mg_request_info *info = mg_get_request_info(conn);
  *request = (vsi_civetweb_request){.adapter = adapter, .conn = conn, .info = info, .path = path};
  request->has_peer = vsi_civetweb_peer_parse(info->remote_addr, info->remote_port, info->server_port, &request->peer);
  request->is_head = strcmp(info->request_method, "HEAD") == 0;
  request->is_http11 = strcmp(info->http_version, "1.1") == 0;
  request->is_chunked = mg_get_header(conn, "Transfer-Encoding") != NULL;
  request->wants_alive = wants_alive(request);
  /* civetweb's content_length is -1, too, if there is no body at all */
  request->body_left = !request->is_chunked && info->content_length > 0 ? info->content_length : 0;
  request->body_ended = !request->is_chunked && !request->body_left;
  const char *expect = mg_get_header(conn, "Expect");
  request->expects = request->is_http11 && !request->body_ended && expect && list_names(expect, "100-continue");
}

void vsi_civetweb_request_close(vsi_civetweb_request *request) {
  request->must_close = true;
  mg_disable_connection_keep_alive(request->conn);
}

/* ---------------------------------------------------------------------------------------------------- the body ---- */

static void clear_deadline(vsi_civetweb_request *request) {
  vsi_civetweb_deadline_clear(&request->adapter->deadlines, &request->deadline);
}

/* Set a deadline. A peer without an IP address has none; it is bounded only by civetweb's timeout for each byte. */
static void set_deadline(vsi_civetweb_request *request, uint64_t timeout_ns, size_t response_bytes) {
  clear_deadline(request);
  uint64_t due_ns = vsi_add_saturating(vsi_now_ns(request->adapter->host), timeout_ns);
  if (request->has_peer && (response_bytes || due_ns < UINT64_MAX))
    vsi_civetweb_deadline_set(&request->adapter->deadlines, &request->deadline, &request->peer, due_ns, response_bytes);
}

static bool is_overdue(const vsi_civetweb_request *request) {
  return request->deadline.is_set && vsi_now_ns(request->adapter->host) >= request->deadline.due_ns;
}

/* End a body that broke off. The following bytes on the connection are not a request, so it is closed. */
static vestry_err break_off(vsi_civetweb_request *request, uint64_t since_ns) {
  bool late = is_overdue(request);
  request->body_ended = true;
  clear_deadline(request);
  vsi_civetweb_request_close(request);
  if (request->deadline.going) return VESTRY_LIMIT;
  uint64_t passed = vsi_now_ns(request->adapter->host) - since_ns;
  return late || passed >= vsi_ms_to_ns(request->adapter->settings.request_timeout_ms) ? VESTRY_TIMEOUT : VESTRY_IO;
}

/* Read one piece of a body that has not ended. *ret_len 0: it has ended now. */
static vestry_err read_piece(vsi_civetweb_request *request, void *buffer, size_t capacity, size_t *ret_len) {
  uint64_t since = vsi_now_ns(request->adapter->host);
  /* Checked here as well, because mg_read does not block while bytes keep arriving. */
  if (is_overdue(request)) return break_off(request, since);
  if (request->expects) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    request->expects = false;
    if (mg_write(request->conn, go_on, sizeof go_on - 1) != (int)sizeof go_on - 1) return break_off(request, since);
  }
  if (!request->is_chunked && (uint64_t)capacity > (uint64_t)request->body_left) capacity = (size_t)request->body_left;
  int got = mg_read(request->conn, buffer, capacity);
  /* 0 is the end of a chunked body. A body with a length ends by it, and for such a body mg_read returns 0 on a
   * timeout. */
  if (got < 0 || (got == 0 && !request->is_chunked)) return break_off(request, since);
  request->body_left -= request->is_chunked ? 0 : got;
  request->body_ended = request->is_chunked ? got == 0 : request->body_left == 0;
  if (request->body_ended) clear_deadline(request);
  *ret_len = (size_t)got;
  return VESTRY_OK;
}

vestry_err vsi_civetweb_request_read(void *server_request, void *buffer, size_t capacity, size_t *ret_len) {
  vsi_civetweb_request *request = server_request;
  if (request->body_ended || !capacity) {
    *ret_len = 0;
    return VESTRY_OK;
  }
  if (!request->deadline.is_set) {
    set_deadline(request, request->adapter->body_ns, 0);
    if (request->is_received && request->deadline.is_set)
      vsi_civetweb_deadline_holds(&request->adapter->deadlines, &request->deadline, request->held_bytes);
  }
  vestry_err error = read_piece(request, buffer, capacity, ret_len);
  if (error || request->body_ended) return error;
  if (!request->is_received) {
    request->body_bytes += *ret_len;
    vsi_civetweb_deadline_holds(&request->adapter->deadlines, &request->deadline, request->body_bytes);
  } else if ((request->piece_bytes += *ret_len) >= VESTRY_RECEIVE_BYTES) {
    request->piece_bytes = 0;
    clear_deadline(request); /* the next piece has its own deadline */
  }
  return VESTRY_OK;
}

void vsi_civetweb_request_receives(void *server_request, size_t held_bytes) {
  vsi_civetweb_request *request = server_request;
  request->is_received = true;
  request->held_bytes = held_bytes;
}

/* -------------------------------------------------------------------------------------------------- the response -- */

void vsi_civetweb_request_answers(vsi_civetweb_request *request, size_t response_bytes) {
  clear_deadline(request);
  if (response_bytes) set_deadline(request, UINT64_MAX, response_bytes);
  if (!request->wants_alive) vsi_civetweb_request_close(request);
  if (request->body_ended) return;
  request->lingers = !request->expects; /* a client that waits for 100 Continue sends nothing */
  if (request->lingers && !request->is_chunked && request->body_left <= SKIP_BYTES) return;
  vsi_civetweb_request_close(request);
}

void vsi_civetweb_request_finish(vsi_civetweb_request *request) {
  clear_deadline(request);
  if (!request->lingers) return;
  set_deadline(request, request->adapter->linger_ns, 0);
  char piece[LINGER_PIECE];
  vestry_err error = VESTRY_OK;
  for (size_t taken = 0; !error && !request->body_ended && taken < LINGER_BYTES;) {
    size_t got = 0;
    error = read_piece(request, piece, sizeof piece, &got);
    taken += got;
  }
  if (error == VESTRY_TIMEOUT) vestry_reject(request->adapter->v, VESTRY_REFUSAL_DEADLINE);
  if (!request->body_ended) vsi_civetweb_request_close(request);
  clear_deadline(request);
}
