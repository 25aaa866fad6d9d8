/* SPDX-License-Identifier: MIT */
/* Forms with files: multipart/form-data (RFC 7578, RFC 2046 section 5.1). */
#ifndef VSI_HTTP_MULTIPART_H
#define VSI_HTTP_MULTIPART_H

#include "vestry/request.h"

/* A part. Its members refer to the body. */
typedef struct vsi_part {
  vestry_slice name;     /* as sent, without quotes: %22 %0D %0A stand for characters that a browser cannot send */
  vestry_slice filename; /* as name */
  vestry_slice encoded;  /* the file name as percent-encoded UTF-8, of clients that send that, too */
  vestry_slice type;     /* data NULL: absent */
  vestry_slice value;
} vsi_part;

/* Return whether a part is a file; otherwise it is a field. */
static inline bool vsi_part_is_file(const vsi_part *part) {
  return part->filename.data || part->encoded.data;
}

/* The delimiter between parts. */
typedef struct vsi_boundary {
  char text[80]; /* with CR LF and the dashes before it */
  size_t len;
} vsi_boundary;

/* Position in a body that is read part by part. */
typedef struct vsi_parts {
  const char *at, *end;
  vsi_boundary boundary;
} vsi_parts;

/* Read the boundary from a content type. OK | MALFORMED: the content type has none */
VESTRY_API vestry_err vsi_boundary_read(const char *content_type, vsi_boundary *ret_boundary);
/* Read a line of a part's head, given without its line break, into the part. */
VESTRY_API void vsi_part_read(const char *line, const char *end, vsi_part *part);

/* Find the first part of a body. OK | MALFORMED: no boundary in the content type, or not in the body. */
VESTRY_API vestry_err vsi_parts_init(vsi_parts *parts, const char *content_type, vestry_slice body);
/* Read the next part. OK | NOT_FOUND (there are no more) | MALFORMED */
VESTRY_API vestry_err vsi_parts_next(vsi_parts *parts, vsi_part *ret_part);

/* Decode a name into `to`, at most text.len bytes. Returns their number. */
VESTRY_API size_t vsi_part_decode(vestry_slice text, char *to);
/* Return whether the decoded name of a part is this one. */
bool vsi_part_is_named(const vsi_part *part, const char *name);

#endif
