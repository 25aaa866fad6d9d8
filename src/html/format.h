/* SPDX-License-Identifier: MIT */
/* The conversions of formats: parsing and writing them. */
#ifndef VSI_HTML_FORMAT_H
#define VSI_HTML_FORMAT_H

#include <stdarg.h>

#include "base/buffer.h"
#include "html/builder.h"

/* Receives the parts of a format. */
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

/* A format that is being read, with its arguments. */
typedef struct vsi_format_reader {
  vsi_html *html;
  const vsi_format_sink *sink;
  const char *format, *at; /* `at`: end of the read part */
  va_list arguments;
} vsi_format_reader;

/* Read the conversion after a `%`, with the arguments of its stars. Returns the reason why it is invalid; NULL: it is
 * valid. */
const char *vsi_format_read(vsi_format_reader *reader, vsi_conversion *ret_conversion);
/* Write a conversion, taking its argument. */
void vsi_format_put(vsi_format_reader *reader, const vsi_conversion *conversion);
/* Take the argument of %d or %i, which is negative if its top bit is set; of %u, %x or %X. */
uintmax_t vsi_format_next(vsi_format_reader *reader, const vsi_conversion *conversion);
/* Write %d, %i or %u without flags, taking its argument. */
void vsi_format_put_integer(vsi_format_reader *reader, const vsi_conversion *conversion, vsi_writer *writer);
/* Read and write the rest from reader->at on. The caller begins and ends the arguments. */
void vsi_format_read_on(vsi_format_reader *reader);
/* Read and write a whole format. */
void vsi_html_format(vsi_html *html, const vsi_format_sink *sink, const char *format, va_list arguments)
    VESTRY_PRINTF(3, 0);

/* The reason for refusing a text that is NULL. */
extern const char vsi_html_why_null[];

/* Formats that a builder has learned (learned.c). */

/* Run vestry_html_vadd for a format that is learned already or now. sink: for the parts that must be parsed. Returns
 * false if nothing was done, so that the caller must parse the format. */
bool vsi_html_add_learned(vsi_html *html, const vsi_format_sink *sink, const char *format, va_list arguments)
    VESTRY_PRINTF(3, 0);
/* Free all learned formats. */
void vsi_html_forget(vsi_html *html);

#endif
