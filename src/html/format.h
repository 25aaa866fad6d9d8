/* SPDX-License-Identifier: MIT */
/* The conversions of formats: read, and written. */
#ifndef VSI_HTML_FORMAT_H
#define VSI_HTML_FORMAT_H

#include <stdarg.h>

#include "html/builder.h"

/* What is done with the parts of a format. */
typedef struct vsi_format_sink {
  void (*literal)(vsi_html *html, const char *bytes, size_t len); /* the format's own text, and numbers */
  void (*text)(vsi_html *html, const char *text, size_t len);     /* %s */
  void (*raw)(vsi_html *html, const char *text, size_t len);      /* %-s */
} vsi_format_sink;

typedef enum vsi_length {
  VSI_LEN_NONE,
  VSI_LEN_HH,
  VSI_LEN_H,
  VSI_LEN_L,
  VSI_LEN_LL,
  VSI_LEN_Z,
  VSI_LEN_J,
  VSI_LEN_T
} vsi_length;

enum { VSI_NO_PRECISION = -1 };

/* One conversion. */
typedef struct vsi_conversion {
  bool minus, plus, space, zero, alternate; /* flags */
  bool has_star;                            /* its width or precision is an argument */
  char letter;
  vsi_length len;
  int width, precision;
} vsi_conversion;

/* A format and its arguments, under way. */
typedef struct vsi_format_reader {
  vsi_html *html;
  const vsi_format_sink *sink;
  const char *format, *at; /* `at`: after what was read */
  va_list arguments;
} vsi_format_reader;

/* What stands after a `%` that is not doubled. takes_stars: their arguments are taken, which is what a call does that
 * also puts the conversion. Returns why it is none; NULL: it is one. */
const char *vsi_format_read(vsi_format_reader *reader, bool takes_stars, vsi_conversion *ret_conversion);
/* Write a conversion, with its argument. */
void vsi_format_put(vsi_format_reader *reader, const vsi_conversion *conversion);
/* The argument of %d or %i, of %u, %x or %X. */
intmax_t vsi_format_next_signed(vsi_format_reader *reader, vsi_length len);
uintmax_t vsi_format_next_unsigned(vsi_format_reader *reader, vsi_length len);
/* All from reader->at on. The caller begins and ends the arguments. */
void vsi_format_read_on(vsi_format_reader *reader);
/* A whole format. */
void vsi_html_format(vsi_html *html, const vsi_format_sink *sink, const char *format, va_list arguments)
    VESTRY_PRINTF(3, 0);

/* Why a text is refused: it is NULL. */
extern const char vsi_html_why_null[];

#endif
