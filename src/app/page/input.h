/* SPDX-License-Identifier: MIT */
/* Fields of forms whose texts are copied into memory of the caller. */
#ifndef VSI_PAGE_INPUT_H
#define VSI_PAGE_INPUT_H

#include <jansson.h>

#include "vestry/app/input.h"

/* Check the declarations of fields: a text's max and its choices fit into its member, a BORROWED text has one of them,
 * the choices of an integer are integers, and min is at most max. INVALID: the log names the field, the reason and the
 * remedy */
vestry_err vsi_inputs_check(const vestry_host *host, const vestry_input *fields, size_t count);

/* Memory of the caller for BORROWED texts. */
typedef struct vsi_input_memory {
  void *(*take)(void *ctx, size_t bytes);
  void *ctx;
} vsi_input_memory;

/* Read fields as vestry_inputs_read. memory: NULL: a BORROWED field is INVALID */
vestry_err vsi_inputs_read(const vestry_request *req, const vestry_input *fields, size_t count, void *values,
                           char (*messages)[VESTRY_INPUT_MESSAGE_BYTES], const vsi_input_memory *memory);

/* Append fields as vestry_inputs_add, each with a place for its message, `<small data-wrong="NAME">`, which describes
 * its input. form: name of the form, for the ids. wrong: an object with messages by the names of fields; may be NULL */
vestry_err vsi_inputs_add(vestry_html *html, const vestry_input *fields, size_t count, const vestry_inputs_shown *shown,
                          const char *form, const json_t *wrong);

#endif
