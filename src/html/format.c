/* SPDX-License-Identifier: MIT */
/* The formats of vestry/html.h. The compiler checks them like printf's, so they have the same meaning. printf writes
 * the numbers, in the C locale. */
#include "html/format.h"

#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/buffer.h"
#include "base/real.h"
#include "base/utf8.h"

enum { MAX_WIDTH = 1000 };

/* Bytes of the longest number: the largest double has 309 digits before its point. */
enum { MAX_DIGITS = 320 + MAX_WIDTH, NUMBER_BYTES = 24 };

typedef vsi_conversion conversion;
typedef vsi_format_reader reader;

/* ---------------------------------------------------------------------------------------------------- numbers ----- */

static bool is_signed(const conversion *c) {
  return c->letter == 'd' || c->letter == 'i';
}

uintmax_t vsi_format_next(reader *r, const conversion *c) {
  uintmax_t value;
  size_t size = sizeof value;
  switch (c->len) {
  case VSI_LEN_L: value = va_arg(r->arguments, unsigned long), size = sizeof(long); break;
  case VSI_LEN_Z:
  case VSI_LEN_T: value = va_arg(r->arguments, size_t), size = sizeof(size_t); break; /* see the assertion */
  case VSI_LEN_LL: value = va_arg(r->arguments, unsigned long long); break;
  case VSI_LEN_J: value = va_arg(r->arguments, uintmax_t); break;
  default:
    value = va_arg(r->arguments, unsigned);
    size = c->len == VSI_LEN_HH ? sizeof(char) : c->len == VSI_LEN_H ? sizeof(short) : sizeof(int);
  }
  const size_t unused = 8 * (sizeof value - size);
  value <<= unused;
  return is_signed(c) ? (uintmax_t)((intmax_t)value >> unused) : value >> unused;
}
_Static_assert(sizeof(ptrdiff_t) == sizeof(size_t), "z and t are read alike");
_Static_assert(sizeof(long long) == sizeof(intmax_t), "ll is as wide as the value");

void vsi_format_put_integer(reader *r, const conversion *c, vsi_writer *writer) {
  const uintmax_t value = vsi_format_next(r, c);
  if (is_signed(c))
    vsi_put_int(writer, (intmax_t)value);
  else
    vsi_put_uint(writer, value);
}

/* The arguments of a conversion of a number are checked, so printf can write it. It gets them in the widest type. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void put_formatted_number(reader *r, const conversion *c) {
  const bool is_real = c->letter == 'f' || c->letter == 'g';
  char spec[24], text[MAX_DIGITS];
  snprintf(spec, sizeof spec, "%%%s%s%s%s%s*.*%s%c", c->minus ? "-" : "", c->plus ? "+" : "", c->space ? " " : "",
           c->zero ? "0" : "", c->alternate ? "#" : "", is_real ? "" : "j", c->letter);
  const locale_t before = vsi_c_locale_enter();
  const int len = is_real ? snprintf(text, sizeof text, spec, c->width, c->precision, va_arg(r->arguments, double))
                          : snprintf(text, sizeof text, spec, c->width, c->precision, vsi_format_next(r, c));
  uselocale(before);
  if (len < 0 || (size_t)len >= sizeof text)
    vsi_html_fail(r->html, VESTRY_NO_MEMORY, "out of memory for a number");
  else
    r->sink->literal(r->html, text, (size_t)len);
}
#pragma GCC diagnostic pop

/* Write an integer without flags, as most are. */
static void put_count(reader *r, const conversion *c) {
  char text[NUMBER_BYTES];
  vsi_writer writer = {.to = text};
  vsi_format_put_integer(r, c, &writer);
  r->sink->literal(r->html, text, writer.len);
}

/* ------------------------------------------------------------------------------------------------------ texts ----- */

const char vsi_html_why_null[] = "the string is NULL";

/* Write a text up to its NUL or the precision. With the flag '-' (%-s), the text is HTML and is written unchanged;
 * otherwise it is escaped, and a UTF-8 sequence that the precision cuts is omitted. */
static void put_formatted_text(reader *r, const conversion *c, const char *text) {
  if (!text) {
    vsi_html_fail(r->html, VESTRY_INVALID, vsi_html_why_null);
    return;
  }
  size_t len = c->precision == VSI_NO_PRECISION ? strlen(text) : strnlen(text, (size_t)c->precision);
  if (c->minus) {
    r->sink->raw(r->html, text, len);
    return;
  }
  if (c->precision != VSI_NO_PRECISION && len == (size_t)c->precision) len = vsi_utf8_trim(text, len);
  for (size_t fill = len; fill < (size_t)c->width; fill++) r->sink->text(r->html, " ", 1);
  r->sink->text(r->html, text, len);
}

static void put_char(reader *r, const conversion *c, int character) {
  char byte = (char)character;
  for (int fill = 1; fill < c->width; fill++) r->sink->text(r->html, " ", 1);
  r->sink->text(r->html, &byte, 1);
}

/* ------------------------------------------------------------------------------------------------ conversions ----- */

static void read_flags(reader *r, conversion *c) {
  for (;; r->at++) {
    switch (*r->at) {
    case '-': c->minus = true; break;
    case '+': c->plus = true; break;
    case ' ': c->space = true; break;
    case '0': c->zero = true; break;
    case '#': c->alternate = true; break;
    default: return;
    }
  }
}

/* Read digits, or a star and its argument. */
static int read_length_modifier(reader *r, bool *has_star) {
  if (*r->at == '*') {
    r->at++;
    *has_star = true;
    return va_arg(r->arguments, int);
  }
  int size = 0;
  for (; vsi_is_digit(*r->at); r->at++) {
    if (size < INT32_MAX / 10 - 1) size = size * 10 + (*r->at - '0');
  }
  return size;
}

static void read_length(reader *r, conversion *c) {
  char first = *r->at;
  switch (first) {
  case 'h': c->len = r->at[1] == 'h' ? VSI_LEN_HH : VSI_LEN_H; break;
  case 'l': c->len = r->at[1] == 'l' ? VSI_LEN_LL : VSI_LEN_L; break;
  case 'z': c->len = VSI_LEN_Z; break;
  case 'j': c->len = VSI_LEN_J; break;
  case 't': c->len = VSI_LEN_T; break;
  default: c->len = VSI_LEN_NONE; return;
  }
  r->at += c->len == VSI_LEN_HH || c->len == VSI_LEN_LL ? 2 : 1;
}

/* Return why printf does not define the combination; NULL: it does. Undefined combinations are refused. */
static const char *check_conversion(const conversion *c) {
  const bool is_hex = c->letter == 'x' || c->letter == 'X';
  bool is_double = c->letter == 'f' || c->letter == 'g', is_text = c->letter == 's' || c->letter == 'c';
  if (!is_signed(c) && !is_hex && !is_double && !is_text && c->letter != 'u') return "this conversion is not supported";
  if ((c->plus || c->space) && !is_signed(c) && !is_double) return "a flag is not allowed with this conversion";
  if (c->alternate && !is_hex && !is_double) return "a flag is not allowed with this conversion";
  if (is_text && (c->zero || c->len != VSI_LEN_NONE)) return "a flag or length is not allowed with this conversion";
  if (is_double && c->len != VSI_LEN_NONE && c->len != VSI_LEN_L) return "a length is not allowed with this conversion";
  if (c->letter == 'c' && (c->minus || c->precision != VSI_NO_PRECISION)) return "%c accepts only a width";
  if (c->letter == 's' && c->minus && c->width) return "%-s inserts HTML unchanged, and accepts no width";
  if (c->width > MAX_WIDTH || (c->precision > MAX_WIDTH && c->letter != 's'))
    return "a width or precision is too large";
  return NULL;
}

const char *vsi_format_read(reader *r, conversion *c) {
  *c = (conversion){.precision = VSI_NO_PRECISION};
  read_flags(r, c);
  c->width = read_length_modifier(r, &c->has_star);
  if (c->width < 0) { /* from a star: as in printf, it means the flag '-' and the absolute value */
    c->minus = true;
    c->width = c->width < -MAX_WIDTH ? MAX_WIDTH + 1 : -c->width;
  }
  if (*r->at == '.') {
    r->at++;
    c->precision = read_length_modifier(r, &c->has_star);
    if (c->precision < 0) c->precision = VSI_NO_PRECISION; /* as if absent */
  }
  read_length(r, c);
  if (!*r->at) return "the format ends inside a conversion";
  c->letter = *r->at++;
  return check_conversion(c);
}

void vsi_format_put(reader *r, const conversion *c) {
  const bool is_plain = !c->width && c->precision == VSI_NO_PRECISION && !c->plus && !c->space;
  switch (c->letter) {
  case 'c': put_char(r, c, va_arg(r->arguments, int)); break;
  case 's': put_formatted_text(r, c, va_arg(r->arguments, const char *)); break;
  default:
    if (is_plain && (c->letter == 'd' || c->letter == 'u'))
      put_count(r, c);
    else
      put_formatted_number(r, c);
  }
}

void vsi_format_read_on(reader *r) {
  vsi_html *html = r->html;
  while (*r->at && !html->error) {
    size_t plain = (size_t)(strchrnul(r->at, '%') - r->at);
    if (plain) r->sink->literal(html, r->at, plain);
    const char *begin = r->at;
    r->at += plain;
    if (html->error) vsi_html_fail_at(html, r->format, (size_t)(begin - r->format));
    if (!*r->at || html->error) break;
    begin = r->at++;
    if (*r->at == '%') {
      r->sink->literal(html, r->at++, 1);
    } else {
      conversion c;
      const char *why = vsi_format_read(r, &c);
      if (why)
        vsi_html_fail(html, VESTRY_INVALID, why);
      else
        vsi_format_put(r, &c);
    }
    if (html->error) vsi_html_fail_at(html, r->format, (size_t)(begin - r->format));
  }
}

void vsi_html_format(vsi_html *html, const vsi_format_sink *sink, const char *format, va_list arguments) {
  if (html->error) return;
  if (!format) {
    vsi_html_fail(html, VESTRY_INVALID, "the format is NULL");
    return;
  }
  reader r = {.html = html, .sink = sink, .format = format, .at = format};
  va_copy(r.arguments, arguments);
  vsi_format_read_on(&r);
  va_end(r.arguments);
}
