/* SPDX-License-Identifier: MIT */
/* A JSON writer: objects and lists in a buffer. Names are constants of this library, and texts are valid UTF-8. Errors
 * are kept in the buffer. */
#ifndef VSI_OBSERVE_REPORT_H
#define VSI_OBSERVE_REPORT_H

#include "base/buffer.h"
#include "vestry/connection.h"
#include "vestry/request.h"
#include "vestry/value.h"

typedef struct vsi_report {
  vsi_buffer text;
  bool is_first; /* nothing was written into the current object or list */
} vsi_report;

/* Begin the outermost object. Free the text at the end. */
void vsi_report_begin(vsi_report *report, const vestry_host *host);

/* name: NULL in a list. end: the '}' or ']' for the bracket that was opened. */
void vsi_report_open(vsi_report *report, const char *name, char bracket);
void vsi_report_close(vsi_report *report, char end);
/* Write the members of a VESTRY_OBJECT into the current object. */
void vsi_report_put(vsi_report *report, const vestry_value *object);
/* Write a value into the current list. */
void vsi_report_add(vsi_report *report, vestry_value value);
/* Write a text of any bytes, whose malformed sequences become U+FFFD. */
void vsi_report_put_bytes(vsi_report *report, const char *name, const char *text, size_t len);
/* Write counts by cause: an object with those above 0, by name. */
void vsi_report_put_causes(vsi_report *report, const char *name, const uint64_t *counts);

/* Values that may be null. */
static inline vestry_value vsi_report_text(const char *text) {
  return text ? vestry_value_string(text) : vestry_value_null();
}
static inline vestry_value vsi_report_count(bool is_known, uint64_t count) {
  return is_known ? vestry_value_unsigned(count) : vestry_value_null();
}

/* End the outermost object, send it as an event, and free it in any case. */
vestry_err vsi_report_send(vsi_report *report, vestry_connection *connection, const char *name);
/* Send an object as an event. */
vestry_err vsi_report_send_object(vestry_connection *connection, const char *name, const vestry_value *object);

/* Responses: a line of text, or JSON. They must not be cached, and have no headers that allow other sites to read
 * them. */

vestry_err vsi_show_text(vestry_reply *reply, int status, const char *text);
/* End the outermost object, send it, and free it in any case. */
vestry_err vsi_show_json(vestry_reply *reply, vsi_report *report);

#endif
