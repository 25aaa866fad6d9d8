/* SPDX-License-Identifier: MIT */
/* Forms with files: multipart/form-data (RFC 7578, RFC 2046 section 5.1). */
#ifndef VSI_HTTP_MULTIPART_H
#define VSI_HTTP_MULTIPART_H

#include "vestry/request.h"

/* A part, in pieces of the body. */
typedef struct vsi_part {
  vestry_slice name;     /* as sent, without its quotes: %22 %0D %0A stand for what a browser cannot send */
  vestry_slice filename; /* likewise; data NULL: a field */
  vestry_slice type;     /* data NULL: not said */
  vestry_slice value;
} vsi_part;

/* What stands between parts. */
typedef struct vsi_boundary {
  char text[80]; /* with the CR LF and dashes before it */
  size_t len;
} vsi_boundary;

/* Parts of a body, one after another. */
typedef struct vsi_parts {
  const char *at, *end;
  vsi_boundary boundary;
} vsi_parts;

/* OK | MALFORMED: a content type that names none */
VESTRY_API vestry_err vsi_boundary_read(const char *content_type, vsi_boundary *ret_boundary);
/* Take a line of a part's head, which is without its line break, into the part. */
VESTRY_API void vsi_part_read(const char *line, const char *end, vsi_part *part);

/* OK | MALFORMED: no boundary in the content type, or not in the body. */
VESTRY_API vestry_err vsi_parts_init(vsi_parts *parts, const char *content_type, vestry_slice body);
/* OK | NOT_FOUND (that was the last) | MALFORMED */
VESTRY_API vestry_err vsi_parts_next(vsi_parts *parts, vsi_part *ret_part);

/* The text of a name, at most text.len bytes into to: how many. */
VESTRY_API size_t vsi_part_decode(vestry_slice text, char *to);

#endif
