/* SPDX-License-Identifier: MIT */
/* Headers of a request: whether all of them have one reading (vestry_head_check), and the values that handlers read. */
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/field.h"
#include "base/memory.h"
#include "http/receiver.h"
#include "http/request.h"

/* ------------------------------------------------------------------------------------------------- one reading ---- */

/* The headers that frame a body, and whether any header is ambiguous. Borrowed from the server. */
typedef struct framing {
  const char *host, *length, *encoding;
  bool is_unclear;
} framing;

/* Return whether a text is a length: at most 18 digits and nothing else, so that no arithmetic overflows, and no other
 * server reads "12abc" as 12. */
static bool is_length_value(const char *text) {
  size_t digits = strspn(text, "0123456789");
  return digits >= 1 && digits <= 18 && text[digits] == '\0';
}

/* Return whether a text is a host with an optional port; it is empty for a target without a host. */
static bool is_host(const char *text) {
  return text[strcspn(text, " \t,/\\?#@")] == '\0';
}

static void note_framing(void *ctx, const char *name, const char *value) {
  framing *f = ctx;
  if (!vsi_is_token(name) || !vsi_is_field_value(value)) f->is_unclear = true;
  if (vsi_strcasecmp(name, "Host") == 0) {
    if (f->host || !is_host(value)) f->is_unclear = true;
    f->host = value;
  } else if (vsi_strcasecmp(name, "Content-Length") == 0) {
    if (!is_length_value(value) || (f->length && strcmp(f->length, value) != 0)) f->is_unclear = true;
    f->length = value;
  } else if (vsi_strcasecmp(name, "Transfer-Encoding") == 0) {
    if (f->encoding || vsi_strcasecmp(value, "chunked") != 0) f->is_unclear = true;
    f->encoding = value;
  }
}

/* RFC 9112, 3.2: HTTP/1.1 requires one Host. 6.1 and 6.3: a length together with an encoding is a sign of smuggling;
 * HTTP/1.0 has no encodings. */
static bool is_clear_text(const framing *f, bool is_http11) {
  if (f->is_unclear || (is_http11 && !f->host)) return false;
  return !f->encoding || (!f->length && is_http11);
}

vestry_err vestry_head_check(const vestry_request_ops *ops, void *server_request, bool is_http11,
                             int64_t *ret_body_length) {
  if (!ops || !ops->method || !ops->each_header) return VESTRY_INVALID;
  framing f = {.is_unclear = !vsi_is_token(ops->method(server_request))};
  ops->each_header(server_request, note_framing, &f);
  if (!is_clear_text(&f, is_http11)) return VESTRY_MALFORMED;
  if (ret_body_length) *ret_body_length = f.encoding ? -1 : f.length ? strtoll(f.length, NULL, 10) : 0;
  return VESTRY_OK;
}

/* ---------------------------------------------------------------------------------------------- of the client ---- */

/* The headers of common proxies: Apache, Authelia, authentik, AWS, Azure, Cloudflare Access, Envoy, Google IAP,
 * oauth2-proxy (as a proxy, and for nginx's auth_request), Pomerium, Tailscale, and Vouch. They are in the order of
 * vsi_strcasecmp, because each lookup of a header searches them. */
const vsi_header_name vsi_user_headers[VSI_USER_HEADERS_COUNT] = {
    "Authorization",
    "Cf-Access-Authenticated-User-Email",
    "Cf-Access-Jwt-Assertion",
    "Cookie",
    "Remote-Email",
    "Remote-Groups",
    "Remote-Name",
    "Remote-User",
    "Tailscale-User-Login",
    "Tailscale-User-Name",
    "Tailscale-User-Profile-Pic",
    "X-Amzn-Oidc-Accesstoken",
    "X-Amzn-Oidc-Data",
    "X-Amzn-Oidc-Identity",
    "X-Auth-Request-Access-Token",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-User",
    "X-Authentik-Email",
    "X-Authentik-Entitlements",
    "X-Authentik-Groups",
    "X-Authentik-Jwt",
    "X-Authentik-Name",
    "X-Authentik-Uid",
    "X-Authentik-Username",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-User",
    "X-Goog-Authenticated-User-Email",
    "X-Goog-Authenticated-User-Id",
    "X-Goog-Iap-Jwt-Assertion",
    "X-Ms-Client-Principal",
    "X-Ms-Client-Principal-Id",
    "X-Ms-Client-Principal-Name",
    "X-Pomerium-Claim-Email",
    "X-Pomerium-Claim-Groups",
    "X-Pomerium-Claim-Name",
    "X-Pomerium-Claim-User",
    "X-Pomerium-Jwt-Assertion",
    "X-Remote-Email",
    "X-Remote-Groups",
    "X-Remote-Name",
    "X-Remote-User",
    "X-Vouch-User",
    "X-WebAuth-User",
};

static int by_name(const void *name, const void *header) {
  return vsi_strcasecmp(name, header);
}

const vsi_header_name *vsi_user_header(const char *name) {
  return bsearch(name, vsi_user_headers, VSI_USER_HEADERS_COUNT, sizeof *vsi_user_headers, by_name);
}

/* Return whether a proxy reports the client by this header. */
static bool reports_client(const char *name, bool is_user) {
  static const char *const names[] = {"Forwarded",        "X-Real-IP",         "X-Forwarded-For",
                                      "X-Forwarded-Host", "X-Forwarded-Proto", NULL};
  return is_user || vsi_is_listed(name, names);
}

/* A proxy must set such a header, but some add a line after that of the client instead (HAProxy's option forwardfor
 * does). Then the first line is the client's own. Therefore the lines are joined with ", " (RFC 9110, 5.3), so that no
 * part of them is taken for the whole: "192.0.2.1, 198.51.100.7" is not an address.
 *
 * Cookie is no list, but over HTTP/2 a browser sends each cookie as a line, and a proxy may pass them on like that. Its
 * lines are joined with "; " (RFC 9113, 8.2.3). */
static const char *separator_of(const char *name) {
  return vsi_strcasecmp(name, "Cookie") == 0 ? "; " : ", ";
}
enum { SEPARATOR_LEN = 2 };

/* A search for the lines of one header. */
typedef struct lines {
  const char *name, *separator;
  size_t count, len; /* of the lines so far; len: as joined */
  char *to;          /* NULL: only count */
} lines;

static void join_header(void *ctx, const char *name, const char *value) {
  lines *l = ctx;
  if (vsi_strcasecmp(name, l->name) != 0) return;
  const size_t before = l->count++ ? SEPARATOR_LEN : 0, len = strlen(value);
  if (l->to) {
    memcpy(l->to + l->len, l->separator, before);
    memcpy(l->to + l->len + before, value, len + 1);
  }
  l->len += before + len;
}

/* Return the joined lines of a header, which has at least one; they exist until the request is finished. Without
 * memory, return a value that is no line's, or the first line of cookies. */
static const char *joined(vsi_request *own, const vestry_host *host, const char *name, const char *first) {
  for (const vsi_joined *at = own->joined; at; at = at->next)
    if (vsi_strcasecmp(at->name, name) == 0) return at->value;
  lines l = {.name = name, .separator = separator_of(name)};
  own->ops->each_header(own->server_request, join_header, &l);
  if (l.count < 2) return first;
  const size_t name_bytes = strlen(name) + 1;
  vsi_joined *made = vsi_alloc(host, sizeof *made + name_bytes + l.len + 1);
  if (!made) return *l.separator == ';' ? first : l.separator; /* no value is forged by a missing cookie */
  l = (lines){.name = memcpy(made->name, name, name_bytes), .separator = l.separator, .to = made->name + name_bytes};
  own->ops->each_header(own->server_request, join_header, &l);
  made->value = l.to;
  made->next = own->joined;
  own->joined = made;
  return made->value;
}

const char *vestry_request_header(const vestry_request *req, const char *name) {
  const bool is_user = vsi_user_header(name);
  if (is_user) vsi_request_mark_private(req);
  const char *first = req->own->ops->header ? req->own->ops->header(req->own->server_request, name) : NULL;
  const bool joins = first && req->own->ops->each_header;
  return joins && reports_client(name, is_user) ? joined(req->own, req->v->host, name, first) : first;
}

bool vsi_request_is_of_script(const vestry_request *req) {
  return req->is_datastar || vestry_request_header(req, VSI_UPLOAD_HEADER);
}
