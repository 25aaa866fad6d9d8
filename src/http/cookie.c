/* SPDX-License-Identifier: MIT */
/* A client may write anything into a Cookie header. Malformed pairs are skipped, and no part of one can become part of
 * another pair, because every pair ends at a semicolon, even inside quotes. */
#include "http/cookie.h"

#include <inttypes.h>
#include <string.h>

#include "base/ascii.h"
#include "base/buffer.h"
#include "base/field.h"
#include "http/reply.h"

/* Return whether all bytes are cookie-octets: visible ASCII except quote, comma, semicolon and backslash. */
static bool is_cookie_value(const char *value, size_t len) {
  for (const char *at = value; at < value + len; at++)
    if (*at <= 0x20 || *at >= 0x7f || strchr("\",;\\", *at)) return false;
  return true;
}

/* Get the value between begin and end; false: malformed. */
static bool take_cookie_value(const char *begin, const char *end, vestry_slice *ret_value) {
  if (end - begin >= 2 && *begin == '"' && end[-1] == '"') {
    begin++;
    end--;
  }
  if (!is_cookie_value(begin, (size_t)(end - begin))) return false;
  *ret_value = (vestry_slice){begin, (size_t)(end - begin)};
  return true;
}

bool vsi_cookie_next(const char **header, const char *name, vestry_slice *ret_value) {
  size_t name_len = strlen(name);
  if (name_len == 0 || strpbrk(name, "=; \t")) return false;
  for (const char *at = *header; *at;) {
    const char *end = at + strcspn(at, ";"), *next = *end ? end + 1 : end;
    while (at < end && vsi_is_blank(*at)) at++;
    while (at < end && vsi_is_blank(end[-1])) end--;
    bool is_it = (size_t)(end - at) > name_len && memcmp(at, name, name_len) == 0 && at[name_len] == '=';
    *header = next;
    if (is_it && take_cookie_value(at + name_len + 1, end, ret_value)) return true;
    at = next;
  }
  return false;
}

vestry_err vestry_request_cookie(const vestry_request *req, const char *name, char *buffer, size_t capacity) {
  const char *header = vestry_request_header(req, "Cookie");
  vestry_slice value;
  if (!header || !name || !vsi_cookie_next(&header, name, &value)) return VESTRY_NOT_FOUND;
  if (value.len >= capacity) return VESTRY_TOO_LARGE;
  memcpy(buffer, value.data, value.len);
  buffer[value.len] = '\0';
  return VESTRY_OK;
}

/* ----------------------------------------------------------------------------------------------- of responses ----- */

/* A cookie that a browser would reject or read differently (RFC 6265bis, section 5) is rejected here. */

/* Browsers drop a cookie whose name and value together are longer, and an attribute whose value is longer. */
enum { PAIR_MAX_BYTES = 4096, ATTRIBUTE_MAX_BYTES = 1024 };

/* Return whether a path is visible ASCII without a semicolon. Blanks are not allowed, because browsers cut them off at
 * the end. */
static bool is_rooted(const char *path) {
  if (*path != '/' || strlen(path) > ATTRIBUTE_MAX_BYTES) return false;
  for (const char *at = path; *at; at++)
    if (*at <= 0x20 || *at >= 0x7f || *at == ';') return false;
  return true;
}

/* Return whether a domain consists of labels with single dots between them. A leading dot is not allowed, because
 * browsers ignore it silently. */
static bool is_domain(const char *domain) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
  size_t len = strlen(domain);
  return len && len <= ATTRIBUTE_MAX_BYTES && strspn(domain, allowed) == len && domain[0] != '.' &&
         domain[len - 1] != '.' && !strstr(domain, "..");
}

static bool begins_with(const char *name, const char *prefix) {
  return vsi_strncasecmp(name, prefix, strlen(prefix)) == 0; /* browsers ignore the case here */
}

/* Return the fault; NULL: none. */
static const char *fault_of_cookie(const vestry_cookie *cookie) {
  const char *value = cookie->value ? cookie->value : "";
  if (!cookie->name || !vsi_is_token(cookie->name)) return "a cookie's name is not a token";
  if (!is_cookie_value(value, strlen(value)))
    return "a cookie's value contains other characters than visible ASCII without \" , ; \\";
  if (strlen(cookie->name) + strlen(value) > PAIR_MAX_BYTES) return "a cookie is longer than browsers accept";
  if (cookie->path && !is_rooted(cookie->path)) return "a cookie's path does not begin with / or is not well formed";
  if (cookie->domain && !is_domain(cookie->domain)) return "a cookie's domain is not a host name";
  if (cookie->max_age_s < 0) return "a cookie's age is negative";
  if (cookie->remove && (*value || cookie->max_age_s)) return "a cookie with remove has a value or an age";
  if ((unsigned)cookie->same_site > VESTRY_SAME_SITE_NONE) return "a cookie's same_site is not a vestry_same_site";
  if (cookie->insecure) {
    if (cookie->same_site == VESTRY_SAME_SITE_NONE) return "a cookie with SameSite=None is not secure";
    if (begins_with(cookie->name, "__Secure-") || begins_with(cookie->name, "__Host-"))
      return "a cookie with the prefix __Secure- or __Host- is not secure";
  }
  if (begins_with(cookie->name, "__Host-") && (cookie->domain || (cookie->path && strcmp(cookie->path, "/") != 0)))
    return "a cookie with the prefix __Host- has a domain, or a path other than /";
  return NULL;
}

vestry_err vestry_reply_cookie(vestry_reply *reply, const vestry_cookie *given) {
  static const char *const same_sites[] = {"Lax", "Strict", "None"};
  vestry_cookie cookie = given ? *given : (vestry_cookie){0};
  if (!given) return vsi_reply_refuse(reply, VESTRY_INVALID, "the cookie is NULL");
  const char *fault = fault_of_cookie(&cookie);
  if (fault) return vsi_reply_refuse(reply, VESTRY_INVALID, fault);
  vsi_buffer text;
  vsi_buffer_init(&text, reply->host);
  vsi_buffer_printf(&text, "%s=%s; Path=%s", cookie.name, cookie.value ? cookie.value : "",
                    cookie.path ? cookie.path : "/");
  if (cookie.domain) vsi_buffer_printf(&text, "; Domain=%s", cookie.domain);
  if (cookie.remove || cookie.max_age_s) vsi_buffer_printf(&text, "; Max-Age=%" PRId64, cookie.max_age_s);
  if (!cookie.insecure) vsi_buffer_append_str(&text, "; Secure");
  if (!cookie.for_scripts) vsi_buffer_append_str(&text, "; HttpOnly");
  vsi_buffer_printf(&text, "; SameSite=%s", same_sites[cookie.same_site]);
  const char *header = vsi_buffer_terminate(&text);
  vestry_err error = header ? vestry_reply_header(reply, "Set-Cookie", header) : VESTRY_NO_MEMORY;
  vsi_buffer_finish(&text);
  return vsi_reply_remember(reply, error);
}
