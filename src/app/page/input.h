/* SPDX-License-Identifier: MIT */
/* Fields of forms whose texts are copied into memory of the caller. */
#ifndef VSI_PAGE_INPUT_H
#define VSI_PAGE_INPUT_H

#include "vestry/app/input.h"

/* Memory for BORROWED texts. */
typedef struct vsi_input_memory {
  void *(*take)(void *ctx, size_t bytes); /* NULL: no memory */
  void *ctx;
} vsi_input_memory;

/* Return whether the text of a field is secret: shown in no document, and not stored. */
bool vsi_input_is_secret(const vestry_input *field);

/* Read fields as vestry_inputs_read. memory: NULL: a BORROWED field is INVALID */
vestry_err vsi_inputs_read(const vestry_request *req, const vestry_input *fields, size_t count, void *ret_values,
                           char message[VESTRY_INPUT_MESSAGE_BYTES], const vsi_input_memory *memory);

#endif
