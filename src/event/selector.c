#include "vestry/selector.h"

#include <string.h>

#include "base/utf8.h"

/* Bytes counted, and written while there is room. */
typedef struct sink {
  char *to;
  size_t len;
} sink;

static void put(sink *s, const char *bytes, size_t len) {
  if (s->to) memcpy(s->to + s->len, bytes, len);
  s->len += len;
}

/* "As code point": a backslash, the number in lower-case hexadecimal, a space. Only ASCII comes here. */
static void put_code_point(sink *s, unsigned char c) {
  static const char digits[] = "0123456789abcdef";
  char escape[4] = {'\\', digits[c >> 4], digits[c & 15], ' '};
  if (c >= 16) {
    put(s, escape, 4);
  } else {
    escape[1] = digits[c];
    escape[2] = ' ';
    put(s, escape, 3);
  }
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* Whether it stands for itself anywhere in an identifier but at its beginning. */
static bool is_name(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static void serialize(sink *s, const char *id, size_t len) {
  const char *end = id + len;
  put(s, "#", 1);
  for (const char *at = id; at < end;) {
    unsigned char c = (unsigned char)*at;
    if (c >= 0x80) {
      bool valid;
      size_t bytes = vsi_utf8_next(at, end, &valid);
      if (valid)
        put(s, at, bytes);
      else
        put(s, VSI_UTF8_REPLACEMENT, strlen(VSI_UTF8_REPLACEMENT));
      at += bytes;
      continue;
    }
    bool begins = at == id || (at == id + 1 && *id == '-');
    if (c < 0x20 || c == 0x7F || (begins && is_digit(*at))) {
      put_code_point(s, c);
    } else {
      if (!is_name(*at) || (c == '-' && len == 1)) put(s, "\\", 1);
      put(s, at, 1);
    }
    at++;
  }
}

vestry_err vestry_select_id(const char *id, char *buffer, size_t capacity) {
  if (!id || !*id || !buffer) return VESTRY_INVALID;
  size_t len = strlen(id);
  sink counter = {NULL, 0}, writer = {buffer, 0};
  serialize(&counter, id, len);
  if (counter.len >= capacity) return VESTRY_TOO_LARGE;
  serialize(&writer, id, len);
  buffer[writer.len] = '\0';
  return VESTRY_OK;
}
