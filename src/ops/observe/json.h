/* SPDX-License-Identifier: MIT */
/* JSON of what is seen: objects and lists in a buffer. Names are the writer's own; texts are of users, too, and become
 * UTF-8 whatever they are. Errors stick in the buffer. */
#ifndef VSI_OBSERVE_JSON_H
#define VSI_OBSERVE_JSON_H

#include "base/buffer.h"
#include "vestry/request.h"

typedef struct vsi_json_writer {
  vsi_buffer text;
  bool is_first; /* in its object or list */
} vsi_json_writer;

void vsi_json_begin(vsi_json_writer *json, const vestry_host *host);
void vsi_json_finish(vsi_json_writer *json);

/* name: NULL in a list, and for what is no member. end: the '}' or ']' that bracket opened. */
void vsi_json_open(vsi_json_writer *json, const char *name, char bracket);
void vsi_json_close(vsi_json_writer *json, char end);
void vsi_json_text(vsi_json_writer *json, const char *name, const char *text, size_t len);
void vsi_json_str(vsi_json_writer *json, const char *name, const char *text); /* NULL: null */
void vsi_json_count(vsi_json_writer *json, const char *name, uint64_t value);
void vsi_json_number(vsi_json_writer *json, const char *name, double value); /* three places */
void vsi_json_bool(vsi_json_writer *json, const char *name, bool value);
void vsi_json_null(vsi_json_writer *json, const char *name);
/* An object: the count of each cause that has any, under the cause's name. */
void vsi_json_causes(vsi_json_writer *json, const char *name, const uint64_t *counts);

/* Answers: a line of text, or JSON. None is kept by a cache, and no other site may read it. */

vestry_err vsi_show_text(vestry_reply *reply, int status, const char *text);
/* Takes what was written, whatever comes of it. */
vestry_err vsi_show_json(vestry_reply *reply, vsi_json_writer *json);

#endif
