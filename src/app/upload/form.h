/* SPDX-License-Identifier: MIT */
/* A parser for forms with files (multipart/form-data) that arrive in pieces. It does not buffer files: it stores only
 * how many bytes at the end may be the beginning of a boundary. */
#ifndef VSI_UPLOAD_FORM_H
#define VSI_UPLOAD_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "http/multipart.h"
#include "vestry/key.h"

enum { VSI_DECLARED_NAME_BYTES = 256, VSI_DECLARED_TYPE_BYTES = 128 };

/* Clean the name of a file: remove folders, and the characters of base/log.h; cut it to the buffer at the end of a
 * character. "": the client sent none, or it is not UTF-8 */
void vsi_declared_name(vestry_slice declared, char name[VSI_DECLARED_NAME_BYTES]);
/* The same for a percent-encoded name. NULL is accepted. */
void vsi_declared_encoded_name(const char *declared, char name[VSI_DECLARED_NAME_BYTES]);
/* Clean a media type: remove parameters, and convert to lower case. */
void vsi_declared_type(vestry_slice declared, char type[VSI_DECLARED_TYPE_BYTES]);
/* Return whether a list of types, separated by commas, contains this type, directly or by an asterisk for its
 * subtypes. */
bool vsi_declared_type_is_in(const char *types, const char *type);

enum { VSI_FORM_HEAD_BYTES = 2048, VSI_FORM_PARTS = 1000 };

/* Functions that receive the parts, one part after the other. */
typedef struct vsi_form_sink {
  vestry_err (*part)(void *ctx, const vsi_part *part); /* a part begins; it has no value yet */
  vestry_err (*bytes)(void *ctx, const char *bytes, size_t len);
  vestry_err (*over)(void *ctx); /* the part is complete */
} vsi_form_sink;

typedef struct vsi_form {
  const vsi_form_sink *sink;
  void *ctx;
  vsi_boundary boundary;
  enum { VSI_FORM_BEFORE, VSI_FORM_BETWEEN, VSI_FORM_HEAD, VSI_FORM_VALUE, VSI_FORM_AFTER } at;
  size_t matched;       /* number of bytes, at the end of the bytes so far, that may be the beginning of a boundary */
  size_t separator_len; /* how many bytes of this beginning never belong to a value: a line break parsed before */
  size_t head_len;      /* bytes in head: of a part's head, or between a boundary and its line break */
  size_t count;         /* number of parts */
  size_t max_count;     /* VSI_FORM_PARTS, unless it is set after vsi_form_init */
  char head[VSI_FORM_HEAD_BYTES];
} vsi_form;

/* Initialize a parser. OK | MALFORMED (a content type without a boundary) */
vestry_err vsi_form_init(vsi_form *form, const char *content_type, const vsi_form_sink *sink, void *ctx);
/* Parse the next piece. OK | MALFORMED | TOO_LARGE (a head; too many parts) | an error that `sink` returned. Do not
 * call it again after an error. */
vestry_err vsi_form_take(vsi_form *form, const char *bytes, size_t len);
/* Return whether the last boundary was parsed, so that the form is complete. */
bool vsi_form_is_whole(const vsi_form *form);

#endif
