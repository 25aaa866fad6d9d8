/* SPDX-License-Identifier: MIT */
/* A client may write anything into a Cookie header. Malformed pairs are skipped, and no part of one can become part of
 * another pair, because every pair ends at a semicolon, even inside quotes. */
#include "http/cookie.h"

#include <string.h>

#include "vestry/request.h"

/* Return whether a byte is a cookie-octet: visible ASCII except quote, comma, semicolon and backslash. */
static bool is_octet(unsigned char c) {
  return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

bool vsi_is_cookie_value(const char *value, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (!is_octet((unsigned char)value[i])) return false;
  return true;
}

/* Get the value between begin and end; false: malformed. */
static bool take_value(const char *begin, const char *end, vestry_slice *ret_value) {
  if (end - begin >= 2 && *begin == '"' && end[-1] == '"') {
    begin++;
    end--;
  }
  if (!vsi_is_cookie_value(begin, (size_t)(end - begin))) return false;
  *ret_value = (vestry_slice){begin, (size_t)(end - begin)};
  return true;
}

vestry_err vsi_cookie_find(const char *header, const char *name, vestry_slice *ret_value) {
  size_t name_len = strlen(name);
  if (name_len == 0 || strpbrk(name, "=; \t")) return VESTRY_NOT_FOUND;
  for (const char *at = header; *at;) {
    const char *end = at + strcspn(at, ";"), *next = *end ? end + 1 : end;
    while (at < end && is_blank(*at)) at++;
    while (at < end && is_blank(end[-1])) end--;
    bool is_it = (size_t)(end - at) > name_len && memcmp(at, name, name_len) == 0 && at[name_len] == '=';
    if (is_it && take_value(at + name_len + 1, end, ret_value)) return VESTRY_OK;
    at = next;
  }
  return VESTRY_NOT_FOUND;
}

vestry_err vestry_request_cookie(const vestry_request *req, const char *name, char *buffer, size_t capacity) {
  const char *header = vestry_request_header(req, "Cookie");
  vestry_slice value;
  if (!header || !name || vsi_cookie_find(header, name, &value)) return VESTRY_NOT_FOUND;
  if (value.len >= capacity) return VESTRY_TOO_LARGE;
  memcpy(buffer, value.data, value.len);
  buffer[value.len] = '\0';
  return VESTRY_OK;
}
