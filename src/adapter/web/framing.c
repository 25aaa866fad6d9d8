#include "adapter/web/framing.h"

#include <string.h>
#include <strings.h>

/* At most 18 digits and nothing else, so that nobody's arithmetic overflows, and no server reads "12abc" as 12. */
static bool is_length(const char *text) {
  size_t digits = strspn(text, "0123456789");
  return digits >= 1 && digits <= 18 && text[digits] == '\0';
}

void vsi_web_framing_see(vsi_web_framing *framing, const char *name, const char *value) {
  if (strcasecmp(name, "Content-Length") == 0) {
    if (!is_length(value) || (framing->length && strcmp(framing->length, value) != 0)) framing->unclear = true;
    framing->length = value;
  } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
    if (framing->encoding || strcasecmp(value, "chunked") != 0) framing->unclear = true;
    framing->encoding = value;
  }
}

/* RFC 9112, 6.1 and 6.3: a length beside an encoding is a sign of smuggling; HTTP/1.0 has no encodings. */
bool vsi_web_framing_is_clear(const vsi_web_framing *framing, bool is_http11) {
  return !framing->unclear && (!framing->encoding || (!framing->length && is_http11));
}
