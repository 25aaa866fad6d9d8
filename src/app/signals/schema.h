/* SPDX-License-Identifier: MIT */
/* A repository's fields, checked: what each one takes, and where it lies in the page's signals. */
#ifndef VSI_SIGNALS_SCHEMA_H
#define VSI_SIGNALS_SCHEMA_H

#include "vestry/app/repository.h"

typedef struct vsi_field {
  vestry_field is;  /* bounds filled in; path and text are the table's */
  json_t *initial;  /* the default; read by any thread, so its references are not counted: it is copied */
  const char *leaf; /* the last name of the path */
} vsi_field;

struct vestry_schema {
  const vestry_host *host;
  size_t count;
  vsi_field *fields;        /* in the table's order */
  const vsi_field **sorted; /* by path */
};

/* NULL: there is none. */
const vsi_field *vsi_schema_find(const vestry_schema *schema, const char *path);

/* What a field makes of a value: OK, and a new reference | INVALID, LIMIT, TOO_LARGE | NO_MEMORY. */
vestry_err vsi_field_take(const vsi_field *field, json_t *value, json_t **ret_value);
/* What it expects, for one of these errors. */
void vsi_field_explain(const vsi_field *field, vestry_err error, char *message, size_t capacity);

/* The value at the field's path. OK | NOT_FOUND (absent, or null) | INVALID (something on the way is no object). */
vestry_err vsi_field_find(const vsi_field *field, json_t *signals, json_t **ret_value);
/* Put a value (taken, also on failure) at the field's path, with the objects that lead there. OK | NO_MEMORY. */
vestry_err vsi_field_put(const vsi_field *field, json_t *signals, json_t *value);

#endif
