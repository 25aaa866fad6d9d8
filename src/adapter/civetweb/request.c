#include "adapter/civetweb/request.h"

#include <civetweb.h>
#include <string.h>
#include <strings.h>

#include "adapter/civetweb/answer.h"
#include "adapter/civetweb/stream.h"
#include "adapter/web/framing.h"
#include "adapter/web/host.h"
#include "adapter/web/policy.h"

/* Of a body that nobody wanted: civetweb may skip so much before the next request on the connection; beyond it the
 * connection is closed. Then so much is still taken, and for so long, as closing a socket with unread bytes resets it,
 * and the client might lose the answer that told it why. */
enum { SKIP_BYTES = 64 * 1024, LINGER_BYTES = 4 * 1024 * 1024, LINGER_PIECE = 4096 };
#define LINGER_NS UINT64_C(2000000000)

/* Whether a comma-separated list names a token, in any case. */
static bool list_names(const char *list, const char *token) {
  size_t len = strlen(token);
  while (*list) {
    list += strspn(list, " \t,");
    size_t span = strcspn(list, " \t,;");
    if (span == len && strncasecmp(list, token, len) == 0) return true;
    list += strcspn(list, ",");
  }
  return false;
}

/* What civetweb itself will do after the handler; our Connection header has to agree with it. */
static bool wants_alive(const vsi_civetweb_request *request) {
  if (!request->adapter->keep_alive) return false;
  const char *connection = mg_get_header(request->conn, "Connection");
  return connection ? list_names(connection, "keep-alive") : request->is_http11;
}

void vsi_civetweb_request_init(vsi_civetweb_request *request, vestry_civetweb *adapter, struct mg_connection *conn,
                               const struct mg_request_info *info) {
  *request = (vsi_civetweb_request){.adapter = adapter, .conn = conn, .info = info};
  request->is_head = strcmp(info->request_method, "HEAD") == 0;
  request->is_http11 = strcmp(info->http_version, "1.1") == 0;
  request->wants_alive = wants_alive(request);
  request->is_chunked = mg_get_header(conn, "Transfer-Encoding") != NULL;
  /* civetweb's content_length is -1 too when there is no body at all */
  request->body_left = !request->is_chunked && info->content_length > 0 ? info->content_length : 0;
  request->body_ended = !request->is_chunked && !request->body_left;
  const char *expect = mg_get_header(conn, "Expect");
  request->expects = request->is_http11 && !request->body_ended && expect && list_names(expect, "100-continue");
}

bool vsi_civetweb_request_is_framed(const vsi_civetweb_request *request) {
  vsi_web_framing framing = {NULL, NULL, false};
  for (int i = 0; i < request->info->num_headers; i++)
    vsi_web_framing_see(&framing, request->info->http_headers[i].name, request->info->http_headers[i].value);
  return vsi_web_framing_is_clear(&framing, request->is_http11);
}

void vsi_civetweb_request_close(vsi_civetweb_request *request) {
  request->must_close = true;
  mg_disable_connection_keep_alive(request->conn);
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static const char *request_method(void *server_request) {
  return ((vsi_civetweb_request *)server_request)->info->request_method;
}

static const char *request_path(void *server_request) {
  return ((vsi_civetweb_request *)server_request)->info->local_uri;
}

static const char *request_query(void *server_request) {
  return ((vsi_civetweb_request *)server_request)->info->query_string;
}

static const char *request_header(void *server_request, const char *name) {
  const vsi_civetweb_request *request = server_request;
  if (vsi_web_hides_header(request->is_head, name)) return NULL;
  return mg_get_header(request->conn, name);
}

static const char *request_peer(void *server_request) {
  return ((vsi_civetweb_request *)server_request)->info->remote_addr;
}

static int64_t request_body_length(void *server_request) {
  const vsi_civetweb_request *request = server_request;
  if (request->is_chunked) return -1;
  return request->info->content_length > 0 ? request->info->content_length : 0;
}

/* A body that broke off: whatever follows on the connection is no request. */
static vestry_err break_off(vsi_civetweb_request *request, uint64_t since_ns) {
  request->body_ended = true;
  vsi_civetweb_request_close(request);
  uint64_t passed = vsi_web_now_ns(request->adapter->host) - since_ns;
  return passed >= request->adapter->request_timeout_ns ? VESTRY_TIMEOUT : VESTRY_IO;
}

static vestry_err request_read(void *server_request, void *buffer, size_t capacity, size_t *ret_len) {
  vsi_civetweb_request *request = server_request;
  if (request->body_ended || !capacity) {
    *ret_len = 0;
    return VESTRY_OK;
  }
  uint64_t since = vsi_web_now_ns(request->adapter->host);
  if (request->expects) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    request->expects = false;
    if (mg_write(request->conn, go_on, sizeof go_on - 1) != (int)sizeof go_on - 1) return break_off(request, since);
  }
  if (!request->is_chunked && (uint64_t)capacity > (uint64_t)request->body_left) capacity = (size_t)request->body_left;
  int got = mg_read(request->conn, buffer, capacity);
  /* 0 is the end of a chunked body; of any other, which ends by its length, it is mg_read's word for a time-out. */
  if (got < 0 || (got == 0 && !request->is_chunked)) return break_off(request, since);
  request->body_left -= request->is_chunked ? 0 : got;
  request->body_ended = request->is_chunked ? got == 0 : request->body_left == 0;
  *ret_len = (size_t)got;
  return VESTRY_OK;
}

const vestry_request_ops vsi_civetweb_request_ops = {
    .version = VESTRY_REQUEST_OPS_VERSION,
    .method = request_method,
    .path = request_path,
    .query = request_query,
    .header = request_header,
    .peer = request_peer,
    .body_length = request_body_length,
    .read = request_read,
    .respond = vsi_civetweb_respond,
    .open = vsi_civetweb_open,
};

void vsi_civetweb_request_answering(vsi_civetweb_request *request) {
  if (request->body_ended) return;
  if (!request->is_chunked && !request->expects && request->body_left <= SKIP_BYTES) return;
  request->lingers = !request->expects; /* who was not told to go on sends nothing */
  vsi_civetweb_request_close(request);
}

void vsi_civetweb_request_finish(vsi_civetweb_request *request) {
  if (!request->lingers) return;
  const vestry_host *host = request->adapter->host;
  uint64_t until = vsi_web_now_ns(host) + LINGER_NS;
  char piece[LINGER_PIECE];
  for (size_t taken = 0, got; taken < LINGER_BYTES && vsi_web_now_ns(host) < until; taken += got)
    if (request_read(request, piece, sizeof piece, &got) != VESTRY_OK || got == 0) return;
}
