/* SPDX-License-Identifier: MIT */
/* The checked fields of a schema: the values that each field accepts, and its place in the page's signals. */
#ifndef VSI_SIGNALS_SCHEMA_H
#define VSI_SIGNALS_SCHEMA_H

#include "vestry/app/signal_state.h"

typedef struct vsi_field {
  vestry_field is;  /* with resolved bounds; path and text are borrowed from the caller of vestry_schema_create */
  json_t *initial;  /* the default, always copied, because threads that share the schema would race on its reference
                       count */
  const char *leaf; /* the last name of the path */
} vsi_field;

struct vestry_schema {
  const vestry_host *host;
  size_t count;
  vsi_field *fields;        /* in the order of the table */
  const vsi_field **sorted; /* by path */
};

/* Return a field; NULL: no such path. */
const vsi_field *vsi_schema_find(const vestry_schema *schema, const char *path);

/* Check a value, and convert it to the field's type. OK: *ret_value is a new reference | INVALID, LIMIT, TOO_LARGE |
 * NO_MEMORY */
vestry_err vsi_field_take(const vsi_field *field, json_t *value, json_t **ret_value);
/* Write which values the field accepts, as the message for one of the errors above. */
void vsi_field_explain(const vsi_field *field, vestry_err error, char *message, size_t capacity);

/* Get the value at the field's path. OK | NOT_FOUND (absent or null) | INVALID (a parent on the path is not an
 * object) */
vestry_err vsi_field_find(const vsi_field *field, json_t *signals, json_t **ret_value);
/* Put a value at the field's path; creates missing parent objects. Consumes the value, also on failure. OK |
 * NO_MEMORY */
vestry_err vsi_field_put(const vsi_field *field, json_t *signals, json_t *value);

#endif
