/* SPDX-License-Identifier: MIT */
/* A form with files (multipart/form-data), taken apart while it comes: of a file nothing is held but what may be the
 * beginning of a boundary. */
#ifndef VSI_UPLOAD_FORM_H
#define VSI_UPLOAD_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "http/multipart.h"
#include "vestry/key.h"

enum { VSI_SAID_NAME_BYTES = 256, VSI_SAID_TYPE_BYTES = 128 };

/* A file's name, without folders and the characters of base/control.h; cut where a character ends. "": none, or it is
 * no UTF-8 */
void vsi_said_name(vestry_slice said, char name[VSI_SAID_NAME_BYTES]);
/* The same of one that is percent-encoded. NULL is accepted. */
void vsi_said_encoded_name(const char *said, char name[VSI_SAID_NAME_BYTES]);
/* A media type, without parameters and in lower case. */
void vsi_said_type(vestry_slice said, char type[VSI_SAID_TYPE_BYTES]);
/* Whether a list of types, with commas between them, has this one, or all of its kind. */
bool vsi_said_type_is_in(const char *types, const char *type);

enum { VSI_FORM_HEAD_BYTES = 2048, VSI_FORM_PARTS = 1000 };

/* What is told of parts, each in turn. */
typedef struct vsi_form_told {
  vestry_err (*part)(void *ctx, const vsi_part *part); /* one begins; its value is none */
  vestry_err (*bytes)(void *ctx, const char *bytes, size_t len);
  vestry_err (*over)(void *ctx); /* it is whole */
} vsi_form_told;

typedef struct vsi_form {
  const vsi_form_told *told;
  void *ctx;
  vsi_boundary boundary;
  enum { VSI_FORM_BEFORE, VSI_FORM_BETWEEN, VSI_FORM_HEAD, VSI_FORM_VALUE, VSI_FORM_AFTER } at;
  size_t matched;  /* so much of the boundary is the end of what came */
  size_t unsaid;   /* of that, what is no part of a value: a line break before it */
  size_t head_len; /* of the head, or of what is between a boundary and its line break */
  size_t count;    /* parts */
  char head[VSI_FORM_HEAD_BYTES];
} vsi_form;

/* OK | MALFORMED: a content type without a boundary */
vestry_err vsi_form_init(vsi_form *form, const char *content_type, const vsi_form_told *told, void *ctx);
/* Take a piece. OK | MALFORMED | TOO_LARGE (a head; too many parts) | what `told` returns. After an error: no more */
vestry_err vsi_form_take(vsi_form *form, const char *bytes, size_t len);
/* Whether its last part is whole. */
bool vsi_form_is_whole(const vsi_form *form);

#endif
