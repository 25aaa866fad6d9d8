/* SPDX-License-Identifier: MIT */
/* essay: a token that is the same in each response */
/* A token is a MAC of the scope. Without sessions it also covers the text of the cookie, which is a seal; a site that
 * can neither read nor set the cookie cannot produce a matching pair. The token is the same in each response, so a
 * render has another content only if its data has changed. From the lengths of many compressed responses the BREACH
 * attack may guess a token. It is worth nothing to another site: browsers send Sec-Fetch-Site or Origin with each
 * unsafe request, scripts cannot set these headers, and the guard checks them first. */
#include "vestry/app/csrf.h"

#include <string.h>

#include "app/guard/proof.h"
#include "app/session/seal.h"
#include "app/session/session.h"
#include "base/held_log.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/cookie.h"
#include "instance/instance.h"

enum { MAX_ORIGINS = 64 };

/* Why a request is rejected. */
typedef enum refusal { OF_OTHER_SITE, WITHOUT_TOKEN, WITHOUT_COOKIE, OUT_OF_DATE } refusal;

struct vestry_csrf {
  vestry *v;
  const char *cookie;
  bool insecure;
  vsi_repeated_log refusals;
  size_t origins_count;
  char *origins[]; /* their texts follow in the same allocation */
};

vestry_err vestry_csrf_create(vestry *v, const vestry_csrf_options *given, vestry_csrf **ret_csrf) {
  if (!v) return VESTRY_INVALID;
  if (!ret_csrf) return vsi_mistake(v->host, "vestry_csrf_create", "ret_csrf is NULL");
  vestry_csrf_options options = given ? *given : (vestry_csrf_options){0};
  const size_t count = options.trusted_origins_count;
  if (count > MAX_ORIGINS || (count && !options.trusted_origins))
    return vsi_mistake(v->host, "vestry_csrf_create",
                       "too many trusted_origins, or trusted_origins_count is set without trusted_origins");
  size_t bytes = sizeof(vestry_csrf) + count * sizeof(char *);
  for (size_t i = 0; i < count; i++) {
    const char *origin = options.trusted_origins[i];
    if (!origin || !vsi_origin_is_good(origin))
      return vsi_mistake(v->host, "vestry_csrf_create",
                         "each trusted origin must be https://HOST or http://HOST, without a path");
    bytes += strlen(origin) + 1;
  }
  vestry_csrf *csrf = vsi_calloc(v->host, 1, bytes);
  if (!csrf) return VESTRY_NO_MEMORY;
  csrf->v = v;
  csrf->insecure = options.insecure;
  csrf->cookie = options.insecure ? "csrf" : "__Host-csrf";
  csrf->origins_count = count;
  char *text = (char *)&csrf->origins[count];
  for (size_t i = 0; i < count; i++) {
    size_t len = strlen(options.trusted_origins[i]) + 1;
    csrf->origins[i] = memcpy(text, options.trusted_origins[i], len);
    text += len;
  }
  *ret_csrf = csrf;
  return VESTRY_OK;
}

void vestry_csrf_destroy(vestry_csrf *csrf) {
  if (csrf) vsi_free(csrf->v->host, csrf);
}

/* ------------------------------------------------------------------------------------------- the token ------------ */

static bool take_cookie(const vestry_request *req, vestry_slice value, char text[VSI_SEAL_LEN + 1]) {
  if (!vsi_seal_is_good(vsi_seals_of(req->v), VSI_SEAL_CSRF_COOKIE, (vestry_scope){NULL, 0}, NULL, value.data,
                        value.len))
    return false;
  memcpy(text, value.data, value.len);
  text[value.len] = '\0';
  return true;
}

/* Read the text of the cookie, from the request or, if the reply sets it, from there. false: there is no valid one. */
static bool read_cookie(const vestry_csrf *csrf, const vestry_request *req, char text[VSI_SEAL_LEN + 1]) {
  const char *header = vestry_request_header(req, "Cookie");
  const vsi_sealed *own = vsi_sealed_of(req);
  if (!own) return false;
  vestry_slice value = {own->csrf_cookie, strlen(own->csrf_cookie)};
  if (value.len) return take_cookie(req, value, text);
  while (header && vsi_cookie_next(&header, csrf->cookie, &value))
    if (take_cookie(req, value, text)) return true;
  return false;
}

static vestry_err set_cookie(const vestry_csrf *csrf, const vestry_request *req, vestry_reply *reply,
                             char text[VSI_SEAL_LEN + 1]) {
  vestry_err error =
      vsi_seal_make(vsi_seals_of(req->v), req->v->host, VSI_SEAL_CSRF_COOKIE, (vestry_scope){NULL, 0}, NULL, text);
  if (!error)
    error =
        vestry_reply_cookie(reply, &(vestry_cookie){.name = csrf->cookie, .value = text, .insecure = csrf->insecure});
  if (!error) memcpy(vsi_sealed_of(req)->csrf_cookie, text, VSI_SEAL_LEN + 1);
  return error;
}

/* Return why a request can have no token, for the log; NULL: it can have one. */
static const char *why_none(const vestry_request *req, bool has_sessions) {
  if (req->own->is_shared)
    return "vestry_csrf_token: a shared page is rendered for all its users, and a token belongs to one; serve a "
           "private page (vestry_page_handler) with a shared part";
  if (has_sessions && !req->scope.len)
    return "vestry_csrf_token: the request of this error page failed before its session was known; omit the form if "
           "the scope of the request is empty";
  return NULL;
}

vestry_err vestry_csrf_token(vestry_csrf *csrf, const vestry_request *req, vestry_reply *reply,
                             char token[VESTRY_CSRF_TOKEN_BYTES]) {
  char cookie[VSI_SEAL_LEN + 1];
  const char *more = NULL;
  vestry_err error = VESTRY_OK;
  if (!csrf) return VESTRY_INVALID;
  if (!req || !reply || !token)
    return vsi_mistake(csrf->v->host, "vestry_csrf_token",
                       "req, reply or token is NULL; a part has no request, so put the token into its page");
  vsi_request_mark_private(req);
  const bool has_sessions = vsi_sessions_of(req->v);
  const char *why = why_none(req, has_sessions);
  if (why) return vsi_reply_refuse(reply, VESTRY_INVALID, why);
  const vsi_seals *seals = vsi_seals_of(req->v);
  if (!seals) return VESTRY_NO_MEMORY;
  if (!has_sessions) {
    /* The reply of a stream's render sets no cookie. So a browser that has none gets a token that is never valid, but
     * is the same in each render. */
    *cookie = '\0';
    if (!read_cookie(csrf, req, cookie) && !req->own->is_copy) error = set_cookie(csrf, req, reply, cookie);
    more = cookie;
  }
  if (!error) vsi_seal_name(seals, VSI_SEAL_CSRF, vsi_seal_scope(req), more, token);
  return error;
}

/* OK | NOT_FOUND, with the reason | NO_MEMORY */
static vestry_err check_token(const vestry_csrf *csrf, const vestry_request *req, refusal *ret_why) {
  const char *token;
  vsi_proof_place place;
  char cookie[VSI_SEAL_LEN + 1];
  vestry_err error = vsi_proof_find(req, "X-CSRF-Token", "csrf", &token, &place);
  *ret_why = WITHOUT_TOKEN;
  if (error) return error;
  const bool has_sessions = vsi_sessions_of(req->v);
  *ret_why = WITHOUT_COOKIE;
  if (!has_sessions && !read_cookie(csrf, req, cookie)) return VESTRY_NOT_FOUND;
  const char *more = has_sessions ? NULL : cookie;
  bool is_good = vsi_seal_is_name(vsi_seals_of(req->v), VSI_SEAL_CSRF, vsi_seal_scope(req), more, token);
  *ret_why = OUT_OF_DATE;
  return is_good ? VESTRY_OK : VESTRY_NOT_FOUND;
}

/* ------------------------------------------------------------------------------------------- the guard ------------ */

static bool is_trusted(const vestry_csrf *csrf, const char *origin) {
  for (size_t i = 0; origin && i < csrf->origins_count; i++)
    if (vsi_origins_are_equal(csrf->origins[i], origin)) return true;
  return false;
}

static bool is_from_here(const vestry_csrf *csrf, const vestry_request *req) {
  const char *site = vestry_request_header(req, "Sec-Fetch-Site");
  const char *origin = vestry_request_header(req, "Origin"), *host = vestry_request_header(req, "Host");
  if (site && (strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0)) return true;
  if (is_trusted(csrf, origin)) return true;
  if (site) return false;
  return !origin || (host && vsi_origin_is_host(origin, host));
}

/* Log a rejected request, for the developer of its page. At most once a minute for each reason, because any client can
 * send such requests. */
static void log_refusal(vestry_csrf *csrf, const vestry_request *req, refusal why) {
  static const char *const reasons[] = {
      "the request came from a page of another site (vestry_csrf_options.trusted_origins)",
      "there is no token (field csrf, header X-CSRF-Token, signal csrf)",
      "there is a token, but not its cookie; over plain http, set vestry_csrf_options.insecure",
      "the token is of another session, or from before a restart without vestry_secret_set"};
  vsi_log_repeated(csrf->v->host, &csrf->refusals, (uint32_t)why + 1,
                   why == OUT_OF_DATE ? VESTRY_LOG_INFO : VESTRY_LOG_WARN, "csrf: %.16s %.200s: %s", req->method,
                   req->path, reasons[why]);
}

vestry_err vestry_csrf_guard(const vestry_request *req, vestry_reply *reply, void *app) {
  static const char *const sentences[] = {
      "This request came from a page of another site, and was rejected.",
      "This request has no proof that it came from a page of this site (a token), so it was rejected.",
      "This request came without the cookie of its page, so it was rejected. Allow cookies, and reload the page.",
      "This page is out of date, so its request was rejected. Reload it, and try again."};
  vestry_csrf *csrf = app;
  refusal why = OF_OTHER_SITE;
  if (vsi_request_is_safe(req)) return VESTRY_OK;
  if (is_from_here(csrf, req)) {
    vestry_err error = check_token(csrf, req, &why);
    if (error != VESTRY_NOT_FOUND) return error;
  }
  log_refusal(csrf, req, why);
  return vsi_refuse_request(req, reply, 403, sentences[why]);
}
