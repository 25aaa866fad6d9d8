/* SPDX-License-Identifier: MIT */
/** Signal state: the signals of a page, declared once with types, defaults and bounds; read from the request, changed
 *  by name, and sent back if they have changed.
 *
 *      static const vestry_field fields[] = {
 *        VESTRY_INTEGER_FIELD("count", 0, 0, 100),       // default, minimum, maximum
 *        VESTRY_STRING_FIELD("user.name", "", 40),       // default, maximum number of bytes
 *      };
 *      vestry_schema_create(NULL, fields, 2, &schema, NULL);                    // once, at the start
 *      vestry_signal_state_create(schema, req->signals, &state);                // in a handler
 *      vestry_signal_state_get(state, "count", VESTRY_INTO(&count));            // within its bounds: 0 to 100
 *      vestry_signal_state_set(state, "count", VESTRY_VALUES(count + 1));       // LIMIT at 100
 *      vestry_signal_state_save_reply(state, VESTRY_SAVE_CHANGED, reply, NULL); // patch-signals {"count":8}
 *
 *  docs/guide/signals.md has the rules. */
#ifndef VESTRY_SIGNAL_STATE_H
#define VESTRY_SIGNAL_STATE_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Type of a field. */
typedef enum vestry_field_type {
  VESTRY_FIELD_BOOLEAN,
  VESTRY_FIELD_INTEGER,
  VESTRY_FIELD_NUMBER, /**< a finite double */
  VESTRY_FIELD_STRING, /**< UTF-8 without NUL */
  VESTRY_FIELD_JSON    /**< any JSON value, as a whole */
} vestry_field_type;

/** Largest integer of a field, 2^53 - 1; the smallest is its negative. JavaScript represents only integers within these
 *  bounds exactly, so that larger ones are rejected in both directions; send 64-bit identifiers as strings. JSON has no
 *  integer type: 3.0 and 3e0 are 3. */
#define VESTRY_INTEGER_FIELD_MAX INT64_C(9007199254740991)
/** Maximum size of strings, and of JSON values as compact text, unless a field sets a smaller one. */
#define VESTRY_FIELD_MAX_BYTES ((size_t)64 * 1024)
/** Maximum number of fields in a schema. */
#define VESTRY_SCHEMA_MAX_COUNT ((size_t)1000)

/** A field of a schema. Use the macros below; members of other types are ignored. */
typedef struct vestry_field {
  const char *path; /**< name of the signal; of a signal in nested objects the names, separated by points: "user.name".
                         At most 255 bytes of UTF-8 and 16 names. A name must not be empty, contain blanks or control
                         characters, or begin with '_' (the client does not send such signals) */
  vestry_field_type type;
  bool boolean;                          /**< BOOLEAN: the default */
  int64_t integer, min, max;             /**< INTEGER: default and bounds; min and max both 0: only those of
                                              VESTRY_INTEGER_FIELD_MAX */
  double number, min_number, max_number; /**< NUMBER: default and bounds; both bounds 0: no bounds */
  const char *text;                      /**< STRING: the default, NULL: ""; JSON: the default as text, NULL: null */
  size_t max_bytes;                      /**< STRING, JSON; 0: VESTRY_FIELD_MAX_BYTES, which is also the maximum */
} vestry_field;

/** Initializers of fields, for static tables in C and in C++. */
#define VESTRY_BOOLEAN_FIELD(path, value)                                                                              \
  { path, VESTRY_FIELD_BOOLEAN, value, 0, 0, 0, 0, 0, 0, NULL, 0 }
#define VESTRY_INTEGER_FIELD(path, value, min, max)                                                                    \
  { path, VESTRY_FIELD_INTEGER, false, value, min, max, 0, 0, 0, NULL, 0 }
#define VESTRY_NUMBER_FIELD(path, value, min, max)                                                                     \
  { path, VESTRY_FIELD_NUMBER, false, 0, 0, 0, value, min, max, NULL, 0 }
#define VESTRY_STRING_FIELD(path, value, max_bytes)                                                                    \
  { path, VESTRY_FIELD_STRING, false, 0, 0, 0, 0, 0, 0, value, max_bytes }
#define VESTRY_JSON_FIELD(path, value, max_bytes)                                                                      \
  { path, VESTRY_FIELD_JSON, false, 0, 0, 0, 0, 0, 0, value, max_bytes }

/** Checked fields, for any number of signal states; immutable. */
typedef struct vestry_schema vestry_schema;

/** Create a schema: check a table of fields.
 *  host        borrowed; NULL: the default
 *  fields      borrowed: the table and its texts must outlive the schema
 *  count       1 to VESTRY_SCHEMA_MAX_COUNT
 *  ret_schema  owned by the caller; untouched on failure
 *  ret_at      may be NULL; on INVALID and EXISTS the index of the wrong field; 0 if the mistake is not in a field
 *  Returns  OK | INVALID (a path, a type, bounds, a default outside of them) | EXISTS (two fields have the same path,
 *           or one path lies inside the other) | NO_MEMORY
 *  Threads  any */
VESTRY_API vestry_err vestry_schema_create(const vestry_host *host, const vestry_field *fields, size_t count,
                                           vestry_schema **ret_schema, size_t *ret_at);
/** Destroy a schema, after all its states. NULL is accepted. Threads any; does not block. */
VESTRY_API void vestry_schema_destroy(vestry_schema *schema);

/** The state of one page's signals, in one handler. One thread at a time. */
typedef struct vestry_signal_state vestry_signal_state;

/** Create a state from the signals of a request. The signals may be forged. A signal that is absent or null gets its
 *  default. A signal of the wrong type or out of bounds also gets its default, and an error
 *  (vestry_signal_state_errors). It then counts as changed, because the page has another value.
 *  schema     borrowed
 *  signals    as in vestry_request.signals; the values are kept by reference, so do not change them. NULL: all fields
 *             have their defaults
 *  ret_state  owned by the caller; untouched on failure
 *  Returns  OK, also if signals are invalid | INVALID (schema or ret_state is NULL) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_signal_state_create(const vestry_schema *schema, json_t *signals,
                                                 vestry_signal_state **ret_state);
/** Destroy a state. NULL is accepted. */
VESTRY_API void vestry_signal_state_destroy(vestry_signal_state *state);

/** An error in a signal of the page. */
typedef struct vestry_field_error {
  const char *path; /**< as in the schema */
  vestry_err error; /**< INVALID (its type) | LIMIT (below or above its bounds) | TOO_LARGE (its length or depth) */
  char message[96]; /**< the expected value, without a full stop; safe to show, because it repeats no input */
} vestry_field_error;

/** Get the errors in the signals of a state, in the order of the schema; at most one for each field.
 *  errors  receives the first ones, at most capacity; NULL with 0: only count
 *  Returns  number of all errors */
VESTRY_API size_t vestry_signal_state_errors(const vestry_signal_state *state, vestry_field_error *errors,
                                             size_t capacity);

/** Get the value of a field, or its default.
 *      vestry_signal_state_get(state, "count", VESTRY_INTO(&count));
 *  into  a variable of the field's type (vestry/value.h). Texts and JSON are borrowed until the field is set or the
 *        state is destroyed; JSON must not be changed
 *  Returns  OK | NOT_FOUND (no such path in the schema) | INVALID (the field is of another type) | LIMIT (the
 *           variable's type cannot represent the integer) */
VESTRY_API vestry_err vestry_signal_state_get(const vestry_signal_state *state, const char *path, vestry_into into);

/** Set a field.
 *      vestry_signal_state_set(state, "count", VESTRY_VALUES(count + 1));
 *  value  copied; of the field's type: a bool, an integer, a double, a text. A text must not contain NUL, because a
 *         request that returns it is rejected as malformed. JSON (a json_t, a list, an object): null removes the
 *         signal; null members of objects are the same as absent ones
 *  Returns  OK | NOT_FOUND (path) | INVALID (the field is of another type; an error of vestry_value_to_json) | LIMIT
 *           (bounds) | TOO_LARGE (bytes, or nested deeper than 240) | NO_MEMORY; on failure the field keeps its
 *           value */
VESTRY_API vestry_err vestry_signal_state_set(vestry_signal_state *state, const char *path, const vestry_value *value);

/** Return whether VESTRY_SAVE_CHANGED would send a field: its value differs from the value that the page sent, or the
 *  page sent none and the field was set. */
VESTRY_API bool vestry_signal_state_is_changed(const vestry_signal_state *state);

/** The fields that a save sends. */
typedef enum vestry_save {
  VESTRY_SAVE_CHANGED, /**< fields that differ from the page's signals */
  VESTRY_SAVE_ALL      /**< all fields: for a page that starts */
} vestry_save;

/** Send fields to a connection, as one patch of the page's signals. Afterwards the page is assumed to have these
 *  values, so that a second save sends nothing. Of a JSON object, VESTRY_SAVE_CHANGED sends only changed members. null
 *  is sent for each removed member, because the page merges the patch (RFC 7386).
 *  ret_saved  may be NULL; whether a field was sent; untouched on failure
 *  Returns  OK, also on a closed connection if no field is to be sent | an error of
 *           vestry_connection_patch_signals, for example CLOSED or FULL: nothing was sent, and a later save sends
 *           the fields
 *  Threads  one at a time for a state; does not block */
VESTRY_API vestry_err vestry_signal_state_save(vestry_signal_state *state, vestry_save what,
                                               vestry_connection *connection, bool *ret_saved);
/** Send fields with a reply, as an effect patch-signals. Returns OK (the reply has the effect, or no field is to be
 *  sent) | the errors of vestry_reply_effect. */
VESTRY_API vestry_err vestry_signal_state_save_reply(vestry_signal_state *state, vestry_save what, vestry_reply *reply,
                                                     bool *ret_saved);

#ifdef __cplusplus
}
#endif
#endif
