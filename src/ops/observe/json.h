/* SPDX-License-Identifier: MIT */
/* A JSON writer: objects and lists in a buffer. Names are constants of this library; texts can be any bytes, also of
 * users, and become valid UTF-8. Errors are kept in the buffer. */
#ifndef VSI_OBSERVE_JSON_H
#define VSI_OBSERVE_JSON_H

#include <stddef.h>

#include "base/buffer.h"
#include "vestry/connection.h"
#include "vestry/request.h"

typedef struct vsi_json_writer {
  vsi_buffer text;
  bool is_first; /* nothing was written into the current object or list */
} vsi_json_writer;

void vsi_json_begin(vsi_json_writer *json, const vestry_host *host);
void vsi_json_begin_object(vsi_json_writer *json, const vestry_host *host); /* and its outermost object */
void vsi_json_finish(vsi_json_writer *json);

/* name: NULL in a list, and for the outermost value. end: the '}' or ']' for the bracket that was opened. */
void vsi_json_open(vsi_json_writer *json, const char *name, char bracket);
void vsi_json_close(vsi_json_writer *json, char end);
void vsi_json_text(vsi_json_writer *json, const char *name, const char *text, size_t len);
void vsi_json_str(vsi_json_writer *json, const char *name, const char *text); /* text NULL: null */
void vsi_json_count(vsi_json_writer *json, const char *name, uint64_t value);
void vsi_json_bool(vsi_json_writer *json, const char *name, bool value);
void vsi_json_null(vsi_json_writer *json, const char *name);

/* How a member of a struct is written. */
typedef enum vsi_json_kind {
  VSI_JSON_COUNT,  /* uint64_t, uint32_t or size_t */
  VSI_JSON_AGO,    /* uint64_t; VESTRY_NEVER_MS: null */
  VSI_JSON_BYTES,  /* int64_t; below 0: null */
  VSI_JSON_NUMBER, /* double, with three decimal places */
  VSI_JSON_MS,     /* nanoseconds as uint64_t: milliseconds with three decimal places */
  VSI_JSON_BOOL,
  VSI_JSON_FLAG, /* bool, omitted if false */
  VSI_JSON_STR,  /* const char *; NULL: null */
  VSI_JSON_CHARS,
  VSI_JSON_STATE,  /* the name of a vestry_connection_state */
  VSI_JSON_CLOSED, /* the name of CLOSED; no member */
  VSI_JSON_CAUSE,  /* its name; NONE: null */
  VSI_JSON_CAUSES, /* counts by cause: an object with those above 0, by name */
  VSI_JSON_ERROR,  /* its text; OK: null */
  VSI_JSON_WAIT    /* the name of a vestry_wait; NONE: null */
} vsi_json_kind;

/* A member of a struct, and its name in JSON. */
typedef struct vsi_json_member {
  const char *name;
  vsi_json_kind kind;
  size_t at, bytes;
} vsi_json_member;
#define VSI_JSON_AS(name, kind, type, member)                                                                          \
  { name, VSI_JSON_##kind, offsetof(type, member), sizeof((type *)NULL)->member }
#define VSI_JSON_MEMBER(kind, type, member) VSI_JSON_AS(#member, kind, type, member)

void vsi_json_members(vsi_json_writer *json, const vsi_json_member *members, size_t count, const void *of);
/* Write members of the struct at `of`, in this order. OBJECT: as an object, which is an item of a list or the outermost
 * value. */
#define VSI_JSON_PUT(json, of, ...)                                                                                    \
  do {                                                                                                                 \
    static const vsi_json_member members_[] = {__VA_ARGS__};                                                           \
    vsi_json_members(json, members_, sizeof members_ / sizeof *members_, of);                                          \
  } while (0)
#define VSI_JSON_OBJECT(json, of, ...)                                                                                 \
  do {                                                                                                                 \
    vsi_json_open(json, NULL, '{');                                                                                    \
    VSI_JSON_PUT(json, of, __VA_ARGS__);                                                                               \
    vsi_json_close(json, '}');                                                                                         \
  } while (0)

/* End the outermost object, send it as an event, and free it in any case. */
vestry_err vsi_json_send(vsi_json_writer *json, vestry_connection *connection, const char *name);

/* Responses: a line of text, or JSON. They must not be cached, and have no headers that allow other sites to read
 * them. */

vestry_err vsi_show_text(vestry_reply *reply, int status, const char *text);
/* Send the text that was written, and free it in any case. */
vestry_err vsi_show_json(vestry_reply *reply, vsi_json_writer *json);

#endif
