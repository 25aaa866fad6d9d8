/* SPDX-License-Identifier: MIT */
/* The JSON reader: it checks the syntax, the UTF-8, the depth and the number of values of a text in one pass, without
 * recursion, and builds jansson's values from it in the same pass. A fault has an offset and a sentence. */
#include "json/json.h"

#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/hex.h"
#include "base/real.h"
#include "base/utf8.h"

/* An open object or array. */
typedef struct level {
  json_t *value; /* borrowed from the level around it; only set if the reader builds */
  bool is_object;
} level;

/* A reader over the text. The scan_ functions move `at` past the text that they accept and return NULL. On a fault they
 * leave `at` at the place of the fault, and return a sentence that describes the fault. */
typedef struct reader {
  const unsigned char *at, *end;
  const vsi_json_limits *limits;
  bool builds;           /* otherwise it only checks */
  bool is_plain;         /* the last string has no escape, or the last number is an integer */
  bool is_name_plain;    /* likewise the name */
  vestry_slice name;     /* of the next member, without its quotes */
  json_t *root;          /* owned */
  uint32_t depth, count; /* open levels; values inside the outermost one */
  level *levels;         /* from 1 on: they replace a stack of recursive calls */
} reader;

static const char ends_early[] = "the text ends before its value is complete";
static const char too_large[] = "a number is too large", too_many[] = "the text contains too many values";
static const char too_deep[] = "the values are nested too deep", no_memory[] = "out of memory";

static inline void skip_space(reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')) r->at++;
}

static bool skip_digits(reader *r) {
  const unsigned char *from = r->at;
  while (r->at < r->end && vsi_is_digit(*r->at)) r->at++;
  return r->at > from;
}

static const char *scan_number(reader *r) {
  r->is_plain = true;
  if (*r->at == '-') r->at++;
  if (r->at < r->end && *r->at == '0')
    r->at++; /* a digit after the 0 fails in the caller, which expects ',' */
  else if (!skip_digits(r))
    return "a number has no digits";
  if (r->at < r->end && *r->at == '.') {
    r->is_plain = false;
    r->at++;
    if (!skip_digits(r)) return "a number has no digits after its point";
  }
  if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
    r->is_plain = false;
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
  r->is_plain = false;
  if (r->at == r->end) return ends_early;
  unsigned char c = *r->at++;
  if (c != 'u') {
    if (c && strchr("\"\\/bfnrt", c)) return NULL;
    r->at = start;
    return "a string contains an unknown escape";
  }
  unsigned unit, second;
  const char *why = scan_hex4(r, &unit);
  if (why || !r->limits->for_c) return why;
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
  r->is_plain = true;
  r->at++;
  skip_plain(r);
  if (r->at == r->end || *r->at != '"') return scan_string_rest(r);
  r->at++;
  return NULL;
}

/* ---------------------------------------------------------------------------------------------------- building ---- */

/* Return the code unit of the escape \uXXXX at `at`; UINT32_MAX if there is none. */
static uint32_t unit_at(const char *at, const char *end) {
  uint32_t unit = 0;
  if (end - at < 6 || at[0] != '\\' || at[1] != 'u') return UINT32_MAX;
  for (int i = 2; i < 6; i++) unit = unit << 4 | (uint32_t)vsi_hex_digit(vsi_lower(at[i]));
  return unit;
}

/* Decode the escapes of a string in place. Half a surrogate pair and a zero character become U+FFFD. Returns the new
 * length. */
static size_t decode(char *text, size_t len) {
  static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
  const char *end = text + len;
  char *to = text;
  for (const char *at = text; at < end;) {
    const uint32_t unit = unit_at(at, end);
    const uint32_t second = unit >> 10 == 0xD800 >> 10 ? unit_at(at + 6, end) : UINT32_MAX;
    if (second >> 10 == 0xDC00 >> 10) {
      to += vsi_utf8_put(to, 0x10000 + ((unit & 0x3FF) << 10 | (second & 0x3FF)));
      at += 12;
    } else if (unit != UINT32_MAX) {
      to += vsi_utf8_put(to, !unit || unit >> 11 == 0xD800 >> 11 ? 0xFFFD : unit);
      at += 6;
    } else {
      const char *letter = *at == '\\' ? strchr(letters, *++at) : NULL;
      *to++ = letter ? meanings[letter - letters] : *at;
      at++;
    }
  }
  return (size_t)(to - text);
}

/* Build a string from the text between its quotes. NULL: out of memory. */
static json_t *build_string(vestry_slice text, bool is_plain) {
  json_t *made = json_stringn_nocheck(text.data, text.len);
  if (!made || is_plain) return made;
  char *own = (char *)(uintptr_t)json_string_value(made); /* cast: no other code has the string yet */
  if (!json_string_setn_nocheck(made, own, decode(own, text.len))) return made;
  json_decref(made);
  return NULL;
}

/* Add a value, of which NULL means that there was no memory, to the innermost open level; or keep it as the outermost
 * value. Takes the reference. */
static const char *add(reader *r, json_t *value) {
  const level *in = &r->levels[r->depth];
  if (!r->depth) {
    r->root = value;
    return value ? NULL : no_memory;
  }
  if (!in->is_object) return json_array_append_new(in->value, value) ? no_memory : NULL;
  json_t *decoded = r->is_name_plain ? NULL : build_string(r->name, false);
  const vestry_slice name =
      r->is_name_plain ? r->name : (vestry_slice){json_string_value(decoded), json_string_length(decoded)};
  const int failed = json_object_setn_new_nocheck(in->value, name.data, name.len, value);
  json_decref(decoded);
  return failed ? no_memory : NULL;
}

/* Add a number. An integer beyond 64 bits becomes the nearest double, if the text may be mended. */
static const char *add_number(reader *r, vestry_slice text) {
  int64_t integer;
  if (vsi_integer_read(text, &integer)) return add(r, json_integer(integer));
  if (r->is_plain && r->limits->for_c) return too_large;
  json_t *copy = json_stringn_nocheck(text.data, text.len); /* with an end, which strtod needs */
  if (!copy) return no_memory;
  const double number = vsi_real_read(json_string_value(copy), NULL);
  json_decref(copy);
  return isinf(number) ? too_large : add(r, json_real(number));
}

/* Open an object or array, whose bracket is before `at`. */
static const char *open_level(reader *r, bool is_object) {
  json_t *value = !r->builds ? NULL : is_object ? json_object() : json_array();
  const char *why = r->builds ? add(r, value) : NULL;
  if (!why) r->levels[++r->depth] = (level){value, is_object};
  return why;
}

/* ------------------------------------------------------------------------------------------------------ values ---- */

/* Return the text from `from` to `at`, less `less` bytes at both ends. */
static vestry_slice scanned(const reader *r, const unsigned char *from, size_t less) {
  return (vestry_slice){from + less, (size_t)(r->at - from) - 2 * less};
}

/* Scan a value that is neither an object nor an array, and build it. */
static const char *scan_scalar(reader *r) {
  const unsigned char *from = r->at, first = *from;
  const char *why = "a value is expected";
  if (first == '"')
    why = scan_string(r);
  else if (first == 't' || first == 'f' || first == 'n')
    why = scan_word(r, first == 't' ? "true" : first == 'f' ? "false" : "null");
  else if (first == '-' || vsi_is_digit(first))
    why = scan_number(r);
  if (why || !r->builds) return why;
  switch (first) {
  case '"': return add(r, build_string(scanned(r, from, 1), r->is_plain));
  case 't': return add(r, json_true());
  case 'f': return add(r, json_false());
  case 'n': return add(r, json_null());
  default: return add_number(r, scanned(r, from, 0));
  }
}

/* Scan a member's name and the colon after it. */
static const char *scan_name(reader *r) {
  const unsigned char *from = r->at;
  if (*from != '"') return "a quoted name is expected";
  const char *why = scan_string(r);
  if (why) return why;
  r->name = scanned(r, from, 1);
  r->is_name_plain = r->is_plain;
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

/* Scan the closing brackets after a value, and the comma before the next value. Depth 0: the outermost value has
 * ended. */
static inline const char *scan_behind(reader *r) {
  while (r->depth) {
    skip_space(r);
    if (r->at == r->end) return ends_early;
    const bool object = r->levels[r->depth].is_object;
    const unsigned char c = *r->at;
    if (c != ',' && c != (object ? '}' : ']')) return object ? "a comma or } is expected" : "a comma or ] is expected";
    r->at++;
    if (c == ',') break;
    r->depth--;
  }
  return NULL;
}

/* Scan from the bracket that opens the outermost object or array to the bracket that closes it. */
static const char *scan_levels(reader *r) {
  const char *why;
  bool just_opened = true;
  do {
    const bool object = r->levels[r->depth].is_object;
    skip_space(r);
    if (r->at < r->end && just_opened && *r->at == (object ? '}' : ']')) {
      just_opened = false;
      r->at++;
      r->depth--;
      why = scan_behind(r);
      continue;
    }
    why = r->at == r->end ? ends_early : object ? scan_name(r) : NULL;
    if (why) break;
    skip_space(r);
    if (r->at == r->end) return ends_early;
    if (r->count++ == r->limits->max_count) return too_many;
    just_opened = *r->at == '{' || *r->at == '[';
    if (just_opened && r->depth >= r->limits->max_depth) return too_deep;
    why = just_opened ? open_level(r, *r->at++ == '{') : scan_scalar(r);
    if (!why && !just_opened) why = scan_behind(r);
  } while (!why && r->depth);
  return why;
}

static const char *const expectations[] = {[VSI_JSON_ROOT_OBJECT] = "a JSON object is expected",
                                           [VSI_JSON_ROOT_ARRAY] = "a JSON array is expected",
                                           [VSI_JSON_ROOT_ANY] = "a JSON value is expected"};
static const char *const leftovers[] = {[VSI_JSON_ROOT_OBJECT] = "unexpected text after the object",
                                        [VSI_JSON_ROOT_ARRAY] = "unexpected text after the array",
                                        [VSI_JSON_ROOT_ANY] = "unexpected text after the value"};

vestry_err vsi_json_read(const char *json, size_t len, const vsi_json_limits *limits, vsi_json_root kind,
                         json_t **ret_value, vsi_json_fault *ret_fault) {
  const unsigned char *text = (const unsigned char *)(json ? json : "");
  level levels[VSI_JSON_MAX_DEPTH + 1];
  reader r = {.at = text, .end = text + len, .limits = limits, .builds = ret_value, .levels = levels};
  const char *why = expectations[kind];
  skip_space(&r);
  if (r.at < r.end &&
      ((*r.at == '{' && kind != VSI_JSON_ROOT_ARRAY) || (*r.at == '[' && kind != VSI_JSON_ROOT_OBJECT))) {
    why = open_level(&r, *r.at++ == '{');
    if (!why) why = scan_levels(&r);
  } else if (r.at < r.end && kind == VSI_JSON_ROOT_ANY) {
    why = scan_scalar(&r);
  }
  if (!why) skip_space(&r);
  if (!why && r.at < r.end) why = leftovers[kind];
  if (!why && ret_value) *ret_value = r.root;
  if (!why) return VESTRY_OK;
  json_decref(r.root);
  if (why == no_memory) return VESTRY_NO_MEMORY;
  const vestry_err error = why == too_many || why == too_deep ? VESTRY_TOO_LARGE : VESTRY_MALFORMED;
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
