/* SPDX-License-Identifier: MIT */
/* A JSON writer: objects and lists in a buffer. Names are constants of this library; texts can be any bytes, also of
 * users, and become valid UTF-8. Errors are kept in the buffer. */
#ifndef VSI_OBSERVE_JSON_H
#define VSI_OBSERVE_JSON_H

#include "base/buffer.h"
#include "vestry/request.h"

typedef struct vsi_json_writer {
  vsi_buffer text;
  bool is_first; /* nothing was written into the current object or list */
} vsi_json_writer;

void vsi_json_begin(vsi_json_writer *json, const vestry_host *host);
void vsi_json_finish(vsi_json_writer *json);

/* name: NULL in a list, and for the outermost value. end: the '}' or ']' for the bracket that was opened. */
void vsi_json_open(vsi_json_writer *json, const char *name, char bracket);
void vsi_json_close(vsi_json_writer *json, char end);
void vsi_json_text(vsi_json_writer *json, const char *name, const char *text, size_t len);
void vsi_json_str(vsi_json_writer *json, const char *name, const char *text); /* text NULL: null */
void vsi_json_count(vsi_json_writer *json, const char *name, uint64_t value);
void vsi_json_number(vsi_json_writer *json, const char *name, double value); /* with three decimal places */
void vsi_json_bool(vsi_json_writer *json, const char *name, bool value);
void vsi_json_null(vsi_json_writer *json, const char *name);
/* Write an object with the counts above 0, by name of the cause. */
void vsi_json_causes(vsi_json_writer *json, const char *name, const uint64_t *counts);

/* Responses: a line of text, or JSON. They must not be cached, and have no headers that allow other sites to read
 * them. */

vestry_err vsi_show_text(vestry_reply *reply, int status, const char *text);
/* Send the text that was written, and free it in any case. */
vestry_err vsi_show_json(vestry_reply *reply, vsi_json_writer *json);

#endif
