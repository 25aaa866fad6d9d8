/* SPDX-License-Identifier: MIT */
#include "adapter/web/framing.h"

#include <string.h>

#include "base/ascii.h"
#include "base/field.h"

/* Return whether a text is a length: at most 18 digits and nothing else, so that no arithmetic overflows, and no other
 * server reads "12abc" as 12. */
static bool is_length(const char *text) {
  size_t digits = strspn(text, "0123456789");
  return digits >= 1 && digits <= 18 && text[digits] == '\0';
}

/* Return whether a text is a host with an optional port; it is empty for a target without a host. */
static bool is_host(const char *text) {
  return text[strcspn(text, " \t,/\\?#@")] == '\0';
}

void vsi_web_framing_see(vsi_web_framing *framing, const char *name, const char *value) {
  if (!vsi_is_token(name) || !vsi_is_field_value(value)) framing->unclear = true;
  if (vsi_strcasecmp(name, "Host") == 0) {
    if (framing->host || !is_host(value)) framing->unclear = true;
    framing->host = value;
  } else if (vsi_strcasecmp(name, "Content-Length") == 0) {
    if (!is_length(value) || (framing->length && strcmp(framing->length, value) != 0)) framing->unclear = true;
    framing->length = value;
  } else if (vsi_strcasecmp(name, "Transfer-Encoding") == 0) {
    if (framing->encoding || vsi_strcasecmp(value, "chunked") != 0) framing->unclear = true;
    framing->encoding = value;
  }
}

/* RFC 9112, 3.2: HTTP/1.1 requires one Host. 6.1 and 6.3: a length together with an encoding is a sign of smuggling;
 * HTTP/1.0 has no encodings. */
bool vsi_web_framing_is_clear(const vsi_web_framing *framing, bool is_http11) {
  if (framing->unclear || (is_http11 && !framing->host)) return false;
  return !framing->encoding || (!framing->length && is_http11);
}
