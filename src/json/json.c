/* SPDX-License-Identifier: MIT */
/* The JSON scanner: it checks the syntax, the UTF-8, the depth and the number of values of a text in one pass, without
 * recursion and without an allocation. A fault has an offset and a sentence. */
#include "json/json.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/hex.h"
#include "base/utf8.h"

/* A reader over the text. The scan_ functions move `at` past the text that they accept and return NULL. On a fault they
 * leave `at` at the place of the fault, and return a sentence that describes the fault. */
typedef struct reader {
  const unsigned char *at, *end;
  bool for_c;
} reader;

static const char ends_early[] = "the text ends before its value is complete";

static inline void skip_space(reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')) r->at++;
}

static bool skip_digits(reader *r) {
  const unsigned char *from = r->at;
  while (r->at < r->end && vsi_is_digit(*r->at)) r->at++;
  return r->at > from;
}

static const char *scan_number(reader *r) {
  if (*r->at == '-') r->at++;
  if (r->at < r->end && *r->at == '0')
    r->at++; /* a digit after the 0 fails in the caller, which expects ',' */
  else if (!skip_digits(r))
    return "a number has no digits";
  if (r->at < r->end && *r->at == '.') {
    r->at++;
    if (!skip_digits(r)) return "a number has no digits after its point";
  }
  if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
    r->at++;
    if (r->at < r->end && (*r->at == '+' || *r->at == '-')) r->at++;
    if (!skip_digits(r)) return "a number has no digits in its exponent";
  }
  return NULL;
}

static const char *scan_word(reader *r, const char *word) {
  size_t len = strlen(word);
  if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0) return "a value is expected";
  r->at += len;
  return NULL;
}

/* Scan one multi-byte sequence. */
static const char *scan_utf8(reader *r) {
  bool valid;
  size_t bytes = vsi_utf8_next((const char *)r->at, (const char *)r->end, &valid);
  if (!valid) return "the text is not valid UTF-8";
  r->at += bytes;
  return NULL;
}

/* Scan the four digits after \u; `at` is at the first. */
static const char *scan_hex4(reader *r, unsigned *ret_unit) {
  unsigned unit = 0;
  for (int i = 0; i < 4; i++, r->at++) {
    if (r->at == r->end) return ends_early;
    int digit = vsi_hex_digit(vsi_lower((char)*r->at));
    if (digit < 0) return "an escape \\u has fewer than four hexadecimal digits";
    unit = unit << 4 | (unsigned)digit;
  }
  *ret_unit = unit;
  return NULL;
}

/* Scan an escape. `at` is at the backslash, and returns to it on a fault, except on a fault in the hexadecimal
 * digits. */
static const char *scan_escape(reader *r) {
  const unsigned char *start = r->at++;
  if (r->at == r->end) return ends_early;
  unsigned char c = *r->at++;
  if (c != 'u') {
    if (c && strchr("\"\\/bfnrt", c)) return NULL;
    r->at = start;
    return "a string contains an unknown escape";
  }
  unsigned unit, second;
  const char *why = scan_hex4(r, &unit);
  if (why || !r->for_c) return why;
  if (unit == 0) {
    r->at = start;
    return "a string contains a NUL, which is not accepted";
  }
  if (unit < 0xD800 || unit > 0xDFFF) return NULL;
  if (unit < 0xDC00 && r->end - r->at >= 2 && r->at[0] == '\\' && r->at[1] == 'u') {
    r->at += 2;
    why = scan_hex4(r, &second);
    if (why) return why;
    if (second >= 0xDC00 && second <= 0xDFFF) return NULL;
  }
  r->at = start;
  return "a string contains an unpaired surrogate";
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Skip plain bytes, which are ASCII from space on, except `"` and `\`.
 *
 * Eight bytes are tested at once. If the top bits of all bytes are clear, a byte that is zero after XOR borrows into
 * its top bit when 1 is subtracted. A byte below 0x20 does the same when 0x20 is subtracted. A borrow can mark the
 * bytes above it wrongly, but only above a byte that must stop the scan. Therefore the lowest marked byte is always
 * marked correctly. */
static inline void skip_plain(reader *r) {
  for (; r->end - r->at >= 8; r->at += 8) {
    uint64_t eight;
    memcpy(&eight, r->at, sizeof eight);
    eight = le64toh(eight); /* byte 0 lowest */
    uint64_t quote = (eight ^ EACH_BYTE('"')) - EACH_BYTE(1), backslash = (eight ^ EACH_BYTE('\\')) - EACH_BYTE(1);
    uint64_t marks = (eight | (eight - EACH_BYTE(0x20)) | quote | backslash) & EACH_BYTE(0x80);
    if (marks) {
      r->at += __builtin_ctzll(marks) / 8;
      return;
    }
  }
  while (r->at < r->end && *r->at >= 0x20 && *r->at < 0x80 && *r->at != '"' && *r->at != '\\') r->at++;
}

/* Scan the rest of a string that does not end after its first plain bytes. */
static const char *scan_string_rest(reader *r) {
  for (;; skip_plain(r)) {
    if (r->at == r->end) return ends_early;
    const char *why = NULL;
    if (*r->at == '"') break;
    if (*r->at == '\\')
      why = scan_escape(r);
    else if (*r->at >= 0x80)
      why = scan_utf8(r);
    else
      why = "a string contains an unescaped control character";
    if (why) return why;
  }
  r->at++;
  return NULL;
}

/* Scan a string. `at` is at the opening quote. Most strings are plain to their end, and are handled here, inline. */
static inline const char *scan_string(reader *r) {
  r->at++;
  skip_plain(r);
  if (r->at == r->end || *r->at != '"') return scan_string_rest(r);
  r->at++;
  return NULL;
}

/* Scan a value that is neither an object nor an array. */
static inline const char *scan_scalar(reader *r) {
  switch (*r->at) {
  case '"': return scan_string(r);
  case 't': return scan_word(r, "true");
  case 'f': return scan_word(r, "false");
  case 'n': return scan_word(r, "null");
  default: return *r->at == '-' || vsi_is_digit(*r->at) ? scan_number(r) : "a value is expected";
  }
}

/* Scan a member's name and the colon after it. */
static const char *scan_name(reader *r) {
  if (*r->at != '"') return "a quoted name is expected";
  const char *why = scan_string(r);
  if (why) return why;
  skip_space(r);
  if (r->at == r->end) return ends_early;
  if (*r->at != ':') return "a colon is expected after a name";
  r->at++;
  return NULL;
}

vestry_err vsi_json_fail(vestry_err error, size_t offset, const char *message, vsi_json_fault *ret_fault) {
  if (!ret_fault) return error;
  ret_fault->offset = offset;
  snprintf(ret_fault->message, sizeof ret_fault->message, "%s", message);
  return error;
}

/* The kind of each open level, one bit a level; set: an object. It replaces a stack of recursive calls. */
typedef struct levels {
  uint64_t is_object[VSI_JSON_MAX_DEPTH / 64 + 1];
  uint32_t depth;
} levels;

static bool in_object(const levels *l) {
  return l->is_object[l->depth / 64] >> l->depth % 64 & 1;
}

static void open_level(levels *l, bool object) {
  l->depth++;
  uint64_t bit = UINT64_C(1) << l->depth % 64;
  l->is_object[l->depth / 64] = object ? l->is_object[l->depth / 64] | bit : l->is_object[l->depth / 64] & ~bit;
}

/* Scan the closing brackets after a value, and the comma before the next value. Depth 0: the outermost value has
 * ended. */
static inline const char *scan_behind(reader *r, levels *l) {
  while (l->depth) {
    skip_space(r);
    if (r->at == r->end) return ends_early;
    bool object = in_object(l);
    unsigned char c = *r->at;
    if (c != ',' && c != (object ? '}' : ']')) return object ? "a comma or } is expected" : "a comma or ] is expected";
    r->at++;
    if (c == ',') break;
    l->depth--;
  }
  return NULL;
}

/* Scan from the bracket that opens the outermost object or array to the bracket that closes it. OK | MALFORMED |
 * TOO_LARGE; *ret_why describes the fault. */
static vestry_err scan_levels(reader *r, levels *l, const vsi_json_limits *limits, const char **ret_why) {
  uint32_t count = 0;
  bool just_opened = true;
  do {
    bool object = in_object(l);
    skip_space(r);
    if (r->at < r->end && just_opened && *r->at == (object ? '}' : ']')) {
      just_opened = false;
      r->at++;
      l->depth--;
      *ret_why = scan_behind(r, l);
      continue;
    }
    just_opened = false;
    *ret_why = r->at == r->end ? ends_early : object ? scan_name(r) : NULL;
    if (*ret_why) break;
    skip_space(r);
    *ret_why = r->at == r->end ? ends_early : NULL;
    if (*ret_why) break;
    *ret_why = "the text contains too many values";
    if (count == limits->max_count) return VESTRY_TOO_LARGE;
    count++;
    if (*r->at == '{' || *r->at == '[') {
      *ret_why = "the values are nested too deep";
      if (l->depth >= limits->max_depth) return VESTRY_TOO_LARGE;
      open_level(l, *r->at++ == '{');
      just_opened = true;
      *ret_why = NULL;
    } else {
      *ret_why = scan_scalar(r);
      if (!*ret_why) *ret_why = scan_behind(r, l);
    }
  } while (!*ret_why && l->depth);
  return *ret_why ? VESTRY_MALFORMED : VESTRY_OK;
}

static const char *const expectations[] = {[VSI_JSON_ROOT_OBJECT] = "a JSON object is expected",
                                           [VSI_JSON_ROOT_ARRAY] = "a JSON array is expected",
                                           [VSI_JSON_ROOT_ANY] = "a JSON value is expected"};
static const char *const leftovers[] = {[VSI_JSON_ROOT_OBJECT] = "unexpected text after the object",
                                        [VSI_JSON_ROOT_ARRAY] = "unexpected text after the array",
                                        [VSI_JSON_ROOT_ANY] = "unexpected text after the value"};

vestry_err vsi_json_check(const char *json, size_t len, const vsi_json_limits *limits, vsi_json_root kind,
                          vsi_json_fault *ret_fault) {
  const unsigned char *text = (const unsigned char *)(json ? json : "");
  reader r = {.at = text, .end = text + len, .for_c = limits->for_c};
  levels l = {.depth = 0};
  const char *why = expectations[kind];
  vestry_err error = VESTRY_MALFORMED;
  skip_space(&r);
  if (r.at < r.end &&
      ((*r.at == '{' && kind != VSI_JSON_ROOT_ARRAY) || (*r.at == '[' && kind != VSI_JSON_ROOT_OBJECT))) {
    open_level(&l, *r.at++ == '{');
    error = scan_levels(&r, &l, limits, &why);
  } else if (r.at < r.end && kind == VSI_JSON_ROOT_ANY) {
    why = scan_scalar(&r);
    if (!why) error = VESTRY_OK;
  }
  if (!error) {
    skip_space(&r);
    if (r.at == r.end) return VESTRY_OK;
    error = VESTRY_MALFORMED;
    why = leftovers[kind];
  }
  return vsi_json_fail(error, (size_t)(r.at - text), why, ret_fault);
}

size_t vsi_json_plain_len(const char *text, size_t len) {
  const unsigned char *from = (const unsigned char *)text;
  reader r = {.at = from, .end = from + len};
  for (;;) {
    skip_plain(&r);
    if (r.at == r.end || *r.at < 0x80 || scan_utf8(&r)) return (size_t)(r.at - from);
  }
}
