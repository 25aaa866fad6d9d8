/* SPDX-License-Identifier: MIT */
/* Copies of requests, from which pages are rendered again and again. */
#include "app/page/copy.h"

#include <string.h>
#include <strings.h>

#include "app/session/session.h"
#include "base/memory.h"
#include "base/refs.h"
#include "event/query.h"
#include "instance/instance.h"

/* Headers that identify the client. Copies have them in addition to those that identify the user (vsi_user_headers).
 * Headers for framing and negotiation are not copied, because they concern only the original request. */
static const char *const client_headers[] = {"Host",
                                             "Accept-Language",
                                             "User-Agent",
                                             "Referer",
                                             "X-Forwarded-For",
                                             "X-Forwarded-Proto",
                                             "X-Forwarded-Host",
                                             "X-Request-Id",
                                             NULL};

_Static_assert(VESTRY_ROUTE_PARAMETERS_MAX <= UINT8_MAX && VSI_USER_HEADERS_MAX <= UINT8_MAX / 2,
               "they are counted in a byte");

struct vsi_request_copy {
  vsi_refs refs;
  uint32_t len, scope_len;
  uint16_t tally;
  uint8_t pairs_count, headers_count;
  vestry *v;
  struct vsi_session_user *user; /* a reference; NULL: no user is logged in */
  const char *signals;           /* a query with the signals only; "": the client sent none */
  /* In this order: path and query (the target); signals; the parameters of the path, each as name and value; headers,
   * each as name and value; scope. Each is terminated, except the scope. */
  char text[];
};

/* Copy the query without the parameters that contain signals; the first such parameter counts. Returns the length. to:
 * NULL: only compute it. */
static size_t without_signals(const char *query, char *to, vestry_slice *ret_signals) {
  size_t len = 0;
  *ret_signals = (vestry_slice){NULL, 0};
  for (const char *at = query; *at;) {
    size_t part = strcspn(at, "&");
    vestry_slice value;
    if (!vsi_query_find(at, part, "datastar", &value)) { /* vsi_query_find decodes escapes in names */
      if (!ret_signals->data) *ret_signals = (vestry_slice){at, part};
    } else if (part) {
      if (to && len) to[len] = '&';
      len += len > 0;
      if (to) memcpy(to + len, at, part);
      len += part;
    }
    at += part + (at[part] == '&');
  }
  return len;
}

static char *put(char *at, const char *bytes, size_t len) {
  if (len) memcpy(at, bytes, len);
  at[len] = '\0';
  return at + len + 1;
}

static char *put_text(char *at, const char *text) {
  return put(at, text, strlen(text));
}

/* The headers of a request that its copy contains: names and values. */
typedef struct kept {
  const char *texts[2 * (VSI_USER_HEADERS_MAX + sizeof client_headers / sizeof *client_headers)];
  size_t count; /* of texts */
} kept;

static void keep(kept *ret_kept, const vestry_request *req, const char *const *names) {
  for (; *names; names++) {
    const char *value = req->own->ops->header(req->own->server_request, *names);
    if (!value) continue;
    ret_kept->texts[ret_kept->count++] = *names;
    ret_kept->texts[ret_kept->count++] = value;
  }
}

static size_t room_for(const vestry_request *req, const kept *headers, vsi_copy_kind kind, size_t query_len,
                       size_t signals_len) {
  const vsi_values *path = &req->own->values[VESTRY_IN_PATH];
  size_t len = strlen(req->path) + 1 + query_len + 1;
  for (size_t i = 0; i < 2 * path->count; i++) len += strlen(path->pairs[i]) + 1;
  if (kind == VSI_COPY_SHARED) return len + 1;
  len += signals_len + 1 + req->scope.len;
  for (size_t i = 0; i < headers->count; i++) len += strlen(headers->texts[i]) + 1;
  return len;
}

vestry_err vsi_request_copy_create(const vestry_request *req, vsi_copy_kind kind, vsi_request_copy **ret_copy) {
  const vestry_host *host = req->v->host;
  (void)vestry_request_value(req, VESTRY_IN_PATH, ""); /* this call reads them */
  const vsi_values *path = &req->own->values[VESTRY_IN_PATH];
  if (path->error) return path->error;
  kept headers = {.count = 0};
  if (kind == VSI_COPY_PRIVATE) {
    vsi_request_is_asked_who(req);
    keep(&headers, req, client_headers);
    keep(&headers, req, vsi_user_headers);
  }
  vestry_slice signals;
  size_t query_len = without_signals(req->query, NULL, &signals);
  size_t room = room_for(req, &headers, kind, query_len, signals.len);
  vsi_request_copy *copy = room < UINT32_MAX ? vsi_calloc(host, 1, sizeof *copy + room) : NULL;
  if (!copy) return VESTRY_NO_MEMORY;
  VSI_REFS_INIT(&copy->refs, 1);
  copy->v = req->v;
  char *at = put_text(copy->text, req->path);
  (void)without_signals(req->query, at, &signals);
  at += query_len;
  *at++ = '\0';
  copy->signals = at;
  at = kind == VSI_COPY_PRIVATE ? put(at, signals.data, signals.len) : put(at, "", 0);
  for (size_t i = 0; i < 2 * path->count; i++) at = put_text(at, path->pairs[i]);
  copy->pairs_count = (uint8_t)path->count;
  if (kind == VSI_COPY_PRIVATE) {
    for (size_t i = 0; i < headers.count; i++) at = put_text(at, headers.texts[i]);
    copy->headers_count = (uint8_t)(headers.count / 2);
    copy->scope_len = (uint32_t)req->scope.len;
    if (req->scope.len) memcpy(at, req->scope.data, req->scope.len);
    copy->user = vsi_session_user_ref(vsi_session_user_of(req));
  }
  copy->len = (uint32_t)room;
  *ret_copy = copy;
  return VESTRY_OK;
}

vsi_request_copy *vsi_request_copy_ref(vsi_request_copy *copy) {
  VSI_REFS_TAKE(&copy->refs);
  return copy;
}

void vsi_request_copy_unref(vsi_request_copy *copy) {
  if (!copy || !VSI_REFS_DROP(&copy->refs)) return;
  vsi_session_user_unref(copy->user);
  vsi_free(copy->v->host, copy);
}

const char *vsi_request_copy_path(const vsi_request_copy *copy) {
  return copy->text;
}

const char *vsi_request_copy_query(const vsi_request_copy *copy) {
  return copy->text + strlen(copy->text) + 1;
}

vestry_slice vsi_request_copy_target(const vsi_request_copy *copy) {
  return (vestry_slice){copy->text, (size_t)(copy->signals - copy->text)};
}

size_t vsi_request_copy_bytes(const vsi_request_copy *copy) {
  return sizeof *copy + copy->len;
}

uint16_t vsi_request_copy_tally(const vsi_request_copy *copy) {
  return copy->tally;
}

void vsi_request_copy_set_tally(vsi_request_copy *copy, uint16_t tally) {
  copy->tally = tally;
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
  return vsi_request_copy_path(server_request);
}

static const char *query(void *server_request) {
  return vsi_request_copy_query(server_request);
}

static const char *header(void *server_request, const char *name) {
  const vsi_request_copy *copy = server_request;
  const char *at = headers_of(copy);
  for (size_t i = 0; i < copy->headers_count; i++, at = next(next(at)))
    if (strcasecmp(at, name) == 0) return next(at);
  return NULL;
}

static const char *peer(void *server_request) {
  (void)server_request;
  return "";
}

/* The other operations are called by vestry_serve only, which never receives a copy. */
static const vestry_request_ops copy_ops = {
    .method = method, .path = path, .query = query, .header = header, .peer = peer};

static vestry_err give_path(const vsi_request_copy *copy, vsi_values *values) {
  values->is_read = true;
  if (!copy->pairs_count) return VESTRY_OK;
  values->pairs = vsi_alloc(copy->v->host, 2 * copy->pairs_count * sizeof *values->pairs);
  if (!values->pairs) return VESTRY_NO_MEMORY;
  const char *at = pairs_of(copy);
  for (size_t i = 0; i < 2u * copy->pairs_count; i++, at = next(at)) values->pairs[i] = at;
  values->count = copy->pairs_count;
  return VESTRY_OK;
}

static vestry_err give_signals(const vsi_request_copy *copy, vestry_request *req) {
  vestry_signals_error why;
  if (!*copy->signals) return VESTRY_OK;
  return vestry_signals_parse_query(copy->v->host, copy->signals, strlen(copy->signals), &copy->v->signals,
                                    &req->signals, &why);
}

vestry_err vsi_request_copy_handle(vsi_request_copy *copy, vestry_reply *reply, vestry_handler_fn handler, void *app) {
  vestry_request req;
  vsi_request own;
  vsi_request_init(&req, &own, copy->v, &copy_ops, copy);
  const char *scope = headers_of(copy);
  for (size_t i = 0; i < 2u * copy->headers_count; i++) scope = next(scope);
  own.is_copy = true;
  if (copy->scope_len) memcpy(own.scope, scope, copy->scope_len);
  vsi_request_set_scope(&req, copy->scope_len);
  vsi_session *session = vsi_session_of(&req);
  if (session)
    session->user = copy->user; /* borrowed from the copy, which keeps the reference; so the extension of
                                              sessions does not finish this request */
  reply->v = copy->v;
  reply->scope = req.scope;
  vestry_err error = give_path(copy, &own.values[VESTRY_IN_PATH]);
  if (!error) error = give_signals(copy, &req);
  if (!error) error = handler(&req, reply, app);
  if (!error && reply->no_memory) error = VESTRY_NO_MEMORY;
  if (error && error == reply->refused) error = VESTRY_INVALID; /* the client did not cause this error */
  reply->scope = (vestry_scope){NULL, 0};
  vsi_request_finish(&req);
  return error;
}
