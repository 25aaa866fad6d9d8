/* SPDX-License-Identifier: MIT */
#include "app/guard/proof.h"

#include <stddef.h>
#include <string.h>

#include "app/session/session.h"
#include "base/ascii.h"
#include "base/log.h"
#include "http/routes/routes.h"
#include "instance/instance.h"

bool vsi_request_is_safe(const vestry_request *req) {
  static const char *const safe[] = {"GET", "HEAD", "OPTIONS", "QUERY", "TRACE"};
  for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
    if (strcmp(req->method, safe[i]) == 0) return true;
  return false;
}

vestry_err vsi_proof_find(const vestry_request *req, const char *header, const char *name, const char **ret_text,
                          vsi_proof_place *ret_place) {
  const char *text = vestry_request_header(req, header);
  vsi_proof_place place = VSI_PROOF_HEADER;
  if (!text) {
    text = vestry_request_value(req, VESTRY_IN_FORM, name);
    if (req->own->values[VESTRY_IN_FORM].error == VESTRY_NO_MEMORY) return VESTRY_NO_MEMORY;
    place = VSI_PROOF_FIELD;
  }
  bool has_query = strcmp(req->method, "GET") == 0 || strcmp(req->method, "DELETE") == 0;
  if (!text && !has_query) {
    text = json_string_value(json_object_get(req->signals, name));
    place = VSI_PROOF_SIGNAL;
  }
  if (!text) return VESTRY_NOT_FOUND;
  *ret_text = text;
  *ret_place = place;
  return VESTRY_OK;
}

/* Answer with the application's page for this status. false: it has none, or the page failed. */
static bool fill_page(const vestry_request *req, vestry_reply *reply, int status) {
  void *app;
  vestry_handler_fn page = vsi_request_is_of_script(req) ? NULL : vsi_routes_page(req->v->routes, status, &app);
  if (!page) return false;
  /* The cast is safe, because the server created the request, and it is not const. */
  vestry_request *request = (vestry_request *)(uintptr_t)req;
  request->error = status;
  vestry_err error = page(req, reply, app);
  request->error = 0;
  return !error && !reply->refused && reply->has_body;
}

vestry_err vsi_refuse_request(const vestry_request *req, vestry_reply *reply, int status, const char *sentence) {
  if (!req) return VESTRY_FAILED; /* the client is gone */
  vestry_err error = vestry_reply_status(reply, status);
  if (!error && fill_page(req, reply, status)) return VESTRY_FAILED;
  if (!error && vsi_request_is_of_script(req))
    error = vestry_reply_body(reply, "text/plain; charset=utf-8", sentence, strlen(sentence));
  else if (!error)
    error = vestry_reply_bodyf(reply,
                               "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
                               "<meta name=\"viewport\" content=\"width=device-width\"><title>%d</title>"
                               "<p>%s</p></html>",
                               status, sentence);
  if (!error) error = vestry_reply_header(reply, "Cache-Control", "no-store");
  return error ? error : VESTRY_FAILED;
}

/* ---- origins */

enum { AUTHORITY_MAX_BYTES = 255 + 6 };

/* Return the part after the scheme, and the default port of the scheme. NULL: neither http nor https. */
static const char *authority_of(const char *origin, const char **ret_port) {
  if (vsi_strncasecmp(origin, "http://", 7) == 0) {
    *ret_port = ":80";
    return origin + 7;
  }
  *ret_port = ":443";
  return vsi_strncasecmp(origin, "https://", 8) == 0 ? origin + 8 : NULL;
}

static bool is_name(char c) {
  return vsi_is_digit(c) || vsi_is_letter(c) || c == '-' || c == '.' || c == '_';
}

/* Return the length of the host in an authority; 0: it has no valid host. */
static size_t host_len(const char *text) {
  if (*text != '[') {
    size_t len = 0;
    while (is_name(text[len])) len++;
    return len;
  }
  size_t len = strspn(text + 1, "0123456789abcdefABCDEF:.");
  return len && text[len + 1] == ']' ? len + 2 : 0;
}

static bool is_authority(const char *text) {
  size_t len = strlen(text), at = len > AUTHORITY_MAX_BYTES ? 0 : host_len(text);
  if (!at) return false;
  if (!text[at]) return true;
  size_t digits = text[at] == ':' ? strspn(text + at + 1, "0123456789") : 0;
  return digits && digits <= 5 && at + 1 + digits == len;
}

bool vsi_origin_is_good(const char *origin) {
  const char *port, *authority = authority_of(origin, &port);
  return authority && is_authority(authority);
}

/* Return the length of an authority without the default port. */
static size_t len_without(const char *authority, const char *port) {
  size_t len = strlen(authority), port_len = strlen(port);
  return len > port_len && strcmp(authority + len - port_len, port) == 0 ? len - port_len : len;
}

static bool are_equal(const char *a, const char *b, const char *port) {
  size_t len = len_without(a, port);
  return len == len_without(b, port) && vsi_strncasecmp(a, b, len) == 0;
}

bool vsi_origin_is_host(const char *origin, const char *host) {
  const char *port, *authority = authority_of(origin, &port);
  return authority && is_authority(authority) && is_authority(host) && are_equal(authority, host, port);
}

bool vsi_origins_are_equal(const char *a, const char *b) {
  const char *port_a, *port_b;
  const char *of_a = authority_of(a, &port_a), *of_b = authority_of(b, &port_b);
  return of_a && of_b && strcmp(port_a, port_b) == 0 && are_equal(of_a, of_b, port_a);
}

/* ---- nonces */

/* The render of a shared page has no scope, so each request of its page would be rejected if it has one. */
vestry_err vsi_nonce_make(const vestry_request *req, const char *function, char text[VSI_SEAL_LEN + 1]) {
  if (!req) return VESTRY_INVALID;
  vsi_request_mark_private(req);
  if (req->own->is_shared && (req->v->scope || vsi_sessions_of(req->v)))
    return vsi_mistake(req->v->host, function,
                       "a shared page is rendered for all its users, and a nonce belongs to the session or scope of "
                       "one; serve a private page (vestry_page_handler) with a shared part");
  return vsi_seal_make(vsi_seals_of(req->v), req->v->host, VSI_SEAL_ONCE, vsi_seal_scope(req), NULL, text);
}

static bool is_more(const char *text) {
  size_t len = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
  return len && len <= VSI_NONCE_MORE_MAX && !text[len];
}

bool vsi_nonce_is_good(const vsi_seals *seals, vestry_scope scope, const char *text) {
  size_t len = strcspn(text, ".");
  return (!text[len] || is_more(text + len + 1)) && vsi_seal_is_good(seals, VSI_SEAL_ONCE, scope, NULL, text, len);
}
