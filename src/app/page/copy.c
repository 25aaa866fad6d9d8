/* SPDX-License-Identifier: MIT */
/* Copies of requests, from which pages are rendered again and again. */
#include "app/page/copy.h"

#include <string.h>

#include "app/session/session.h"
#include "base/ascii.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "event/query.h"
#include "instance/instance.h"

/* Headers that identify the client. Copies have them in addition to those that identify the user (vsi_user_headers).
 * Headers for framing and negotiation are not copied, because they concern only the original request. */
static const vsi_header_name client_headers[] = {"Host",
                                                 "Accept-Language",
                                                 "User-Agent",
                                                 "Referer",
                                                 "X-Forwarded-For",
                                                 "X-Forwarded-Proto",
                                                 "X-Forwarded-Host",
                                                 "X-Request-Id"};
enum { CLIENT_HEADERS_COUNT = sizeof client_headers / sizeof *client_headers };

_Static_assert(VESTRY_ROUTE_PARAMETERS_MAX <= UINT8_MAX && VSI_USER_HEADERS_COUNT <= UINT8_MAX / 2,
               "they are counted in a byte");

static void put(vsi_buffer *text, const char *one) {
  vsi_buffer_append(text, one, strlen(one) + 1);
}

/* Append the query without the parameters that contain signals; the first such parameter counts. */
static void put_query(vsi_buffer *text, const char *query, vestry_slice *ret_signals) {
  const size_t from = text->len;
  *ret_signals = (vestry_slice){"", 0};
  for (const char *at = query; *at;) {
    size_t part = strcspn(at, "&");
    vestry_slice value;
    if (!vsi_query_find(at, part, "datastar", &value)) { /* vsi_query_find decodes escapes in names */
      if (!ret_signals->len) *ret_signals = (vestry_slice){at, part};
    } else if (part) {
      if (text->len > from) vsi_buffer_append_char(text, '&');
      vsi_buffer_append(text, at, part);
    }
    at += part + (at[part] == '&');
  }
  vsi_buffer_append_char(text, '\0');
}

/* The headers of a request that are copied, by their indices in the lists. */
typedef struct present {
  bool client[CLIENT_HEADERS_COUNT], user[VSI_USER_HEADERS_COUNT];
} present;

static void note_header(void *ctx, const char *name, const char *value) {
  present *is = ctx;
  const vsi_header_name *user = vsi_user_header(name);
  (void)value;
  if (user) is->user[user - vsi_user_headers] = true;
  for (size_t i = 0; i < CLIENT_HEADERS_COUNT; i++)
    if (vsi_strcasecmp(name, client_headers[i]) == 0) is->client[i] = true;
}

/* Append headers, each as name and value. is_present: by index, whether the request has it. Returns their number. */
static size_t put_headers(vsi_buffer *text, const vestry_request *req, const vsi_header_name *names, size_t names_count,
                          const bool *is_present) {
  size_t count = 0;
  for (size_t i = 0; i < names_count; i++) {
    const char *value = is_present[i] ? vestry_request_header(req, names[i]) : NULL;
    if (!value) continue;
    put(text, names[i]);
    put(text, value);
    count++;
  }
  return count;
}

/* Append the headers that identify the client or the user. Returns their number. A request has few headers and the
 * lists have many names, so the headers of the request are looked up in the lists. */
static size_t put_known_headers(vsi_buffer *text, const vestry_request *req) {
  const vestry_request_ops *ops = req->own->ops;
  present is = {.client = {false}};
  if (ops->each_header)
    ops->each_header(req->own->server_request, note_header, &is);
  else
    memset(&is, true, sizeof is);
  return put_headers(text, req, client_headers, CLIENT_HEADERS_COUNT, is.client) +
         put_headers(text, req, vsi_user_headers, VSI_USER_HEADERS_COUNT, is.user);
}

/* Append the data of which the copy consists. ret: its members that describe the data, except for `signals`. */
static void put_request(vsi_buffer *text, const vestry_request *req, vsi_copy_kind kind, vsi_request_copy *ret,
                        size_t *ret_signals_at) {
  const vsi_values *path = &req->own->values[VESTRY_IN_PATH];
  vestry_slice signals;
  put(text, req->path);
  put_query(text, req->query, &signals);
  *ret_signals_at = text->len;
  if (kind == VSI_COPY_PRIVATE) vsi_buffer_append(text, signals.data, signals.len);
  vsi_buffer_append_char(text, '\0');
  for (size_t i = 0; i < 2 * path->count; i++) put(text, path->pairs[i]);
  ret->pairs_count = (uint8_t)path->count;
  if (kind == VSI_COPY_SHARED) return;
  vsi_request_mark_private(req);
  ret->headers_count = (uint8_t)put_known_headers(text, req);
  const vsi_session *session = vsi_session_of(req);
  ret->has_guest = session && *session->guest.name;
  if (ret->has_guest) put(text, session->guest.name);
  ret->scope_len = (uint32_t)req->scope.len;
  if (req->scope.len) vsi_buffer_append(text, req->scope.data, req->scope.len);
}

vestry_err vsi_request_copy_create(const vestry_request *req, vsi_copy_kind kind, vsi_request_copy **ret_copy) {
  vsi_request_copy is = {.v = req->v, .is_shared = kind == VSI_COPY_SHARED};
  vsi_request_copy *copy = NULL;
  vsi_buffer text;
  size_t signals_at;
  (void)vestry_request_value(req, VESTRY_IN_PATH, ""); /* this call reads the parameters of the path */
  if (req->own->values[VESTRY_IN_PATH].error) return req->own->values[VESTRY_IN_PATH].error;
  vsi_buffer_init(&text, req->v->host);
  put_request(&text, req, kind, &is, &signals_at);
  if (!text.error && text.len < UINT32_MAX - sizeof *copy) copy = vsi_alloc(req->v->host, sizeof *copy + text.len);
  if (copy) {
    *copy = is;
    VSI_REFS_INIT(&copy->refs, 1);
    copy->bytes = (uint32_t)(sizeof *copy + text.len);
    copy->user = kind == VSI_COPY_PRIVATE ? vsi_session_user_of(req) : NULL;
    if (copy->user) vsi_session_record_ref(copy->user);
    memcpy(copy->path, text.data, text.len);
    copy->signals = copy->path + signals_at;
    *ret_copy = copy;
  }
  vsi_buffer_finish(&text);
  return copy ? VESTRY_OK : VESTRY_NO_MEMORY;
}

vsi_request_copy *vsi_request_copy_ref(vsi_request_copy *copy) {
  VSI_REFS_TAKE(&copy->refs);
  return copy;
}

void vsi_request_copy_unref(vsi_request_copy *copy) {
  if (!copy || !VSI_REFS_DROP(&copy->refs)) return;
  vsi_session_record_unref(copy->user);
  vsi_free(copy->v->host, copy);
}

/* ---------------------------------------------------------------------- operations of a server's request ---------- */

static const char *next(const char *text) {
  return text + strlen(text) + 1;
}

static const char *pairs_of(const vsi_request_copy *copy) {
  return next(copy->signals);
}

static const char *headers_of(const vsi_request_copy *copy) {
  const char *at = pairs_of(copy);
  for (size_t i = 0; i < 2u * copy->pairs_count; i++) at = next(at);
  return at;
}

static const char *method(void *server_request) {
  (void)server_request;
  return "GET";
}

static const char *path(void *server_request) {
  return ((const vsi_request_copy *)server_request)->path;
}

static const char *query(void *server_request) {
  return vsi_request_copy_query(server_request);
}

static const char *header(void *server_request, const char *name) {
  const vsi_request_copy *copy = server_request;
  const char *at = headers_of(copy);
  for (size_t i = 0; i < copy->headers_count; i++, at = next(next(at)))
    if (vsi_strcasecmp(at, name) == 0) return next(at);
  return NULL;
}

static const char *peer(void *server_request) {
  (void)server_request;
  return "";
}

/* The other operations are called by vestry_serve only, which never receives a copy. */
static const vestry_request_ops copy_ops = {
    .method = method, .path = path, .query = query, .header = header, .peer = peer};

static vestry_err give_signals(const vsi_request_copy *copy, vestry_request *req) {
  vestry_signals_error why;
  if (!*copy->signals) return VESTRY_OK;
  return vsi_signals_parse_query(copy->v->host, copy->signals, strlen(copy->signals), &copy->v->signals, &req->signals,
                                 &why);
}

vestry_err vsi_request_copy_handle(vsi_request_copy *copy, vestry_reply *reply, vestry_handler_fn handler, void *app) {
  vestry_request req;
  vsi_request own;
  vsi_request_init(&req, &own, copy->v, &copy_ops, copy);
  const char *scope = headers_of(copy);
  for (size_t i = 0; i < 2u * copy->headers_count; i++) scope = next(scope);
  vsi_session *session = vsi_session_of(&req);
  if (copy->has_guest) {
    memcpy(session->guest.name, scope, sizeof session->guest.name);
    scope = next(scope);
  }
  own.is_copy = true;
  own.is_shared = copy->is_shared;
  if (copy->scope_len) memcpy(own.scope, scope, copy->scope_len);
  vsi_request_set_scope(&req, copy->scope_len);
  /* Borrowed: the copy keeps the reference, and this request is not passed to the `finish` of extensions. */
  if (session) session->user = copy->user;
  reply->v = copy->v;
  reply->scope = req.scope;
  const char *path = pairs_of(copy);
  vestry_err error = vsi_request_set_values(&req, VESTRY_IN_PATH,
                                            (vestry_slice){path, (size_t)(headers_of(copy) - path)}, copy->pairs_count);
  if (!error) error = give_signals(copy, &req);
  if (!error) error = handler(&req, reply, app);
  if (!error && reply->no_memory) error = VESTRY_NO_MEMORY;
  if (error && error == reply->refused) error = VESTRY_INVALID; /* the client did not cause this error */
  reply->scope = (vestry_scope){NULL, 0};
  vsi_request_finish(&req);
  return error;
}
