/* SPDX-License-Identifier: MIT */
/** The signal repository: the signals that a handler works with, declared once with types, defaults and bounds; read
 *  from the request, changed by name, and sent back as far as they have changed.
 *
 *      static const vestry_field fields[] = {
 *        VESTRY_INTEGER_FIELD("count", 0, 0, 100),       // default, least, most
 *        VESTRY_STRING_FIELD("user.name", "", 40),       // default, most bytes
 *        VESTRY_BOOLEAN_FIELD("open", false),
 *      };
 *      vestry_schema_create(NULL, fields, 3, &schema, NULL);             // once, at the start
 *
 *      static vestry_err up(const vestry_request *req, vestry_reply *reply, void *app) {
 *        vestry_repository *r;
 *        vestry_err error = vestry_repository_create(schema, req->signals, &r);
 *        if (error) return error;                                        // NO_MEMORY: bad signals are no failure
 *        int64_t count = 0;
 *        vestry_repository_get(r, "count", VESTRY_INTO(&count));         // within its bounds, whatever was sent
 *        error = vestry_repository_set(r, "count", VESTRY_VALUES(count + 1));   // LIMIT at 100
 *        if (!error) error = vestry_repository_save_reply(r, reply, NULL);  // patch-signals {"count":8}
 *        vestry_repository_destroy(r);
 *        return error;
 *      }
 *
 *  Everything a page sends may be forged. A signal that is absent or null has its default. One of another type, or out
 *  of bounds, has its default too, and an error that says so; it counts as changed, since the page has something else.
 *
 *  Integers: JavaScript holds them exactly up to 2^53 - 1, and there is no telling what a larger one was before it was
 *  rounded. So the bounds of an integer are within VESTRY_INTEGER_FIELD_MAX, and larger ones are refused both ways;
 *  send 64-bit identifiers as strings. JSON knows no integers: 3.0 and 3e0 are 3. */
#ifndef VESTRY_REPOSITORY_H
#define VESTRY_REPOSITORY_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a field holds. */
typedef enum vestry_field_type {
  VESTRY_FIELD_BOOLEAN,
  VESTRY_FIELD_INTEGER,
  VESTRY_FIELD_NUMBER, /**< a double, finite */
  VESTRY_FIELD_STRING, /**< UTF-8 without NUL */
  VESTRY_FIELD_JSON    /**< any JSON value, as a whole */
} vestry_field_type;

/** The largest integer of a field, 2^53 - 1; the smallest is its negative. */
#define VESTRY_INTEGER_FIELD_MAX INT64_C(9007199254740991)
/** Of strings, and of JSON values as compact text, unless a field says less. */
#define VESTRY_FIELD_MAX_BYTES ((size_t)64 * 1024)
/** Fields of a schema at most. */
#define VESTRY_SCHEMA_MAX_COUNT ((size_t)1000)

/** One field of a schema. Made by the macros below; what is not of its type is not looked at. */
typedef struct vestry_field {
  const char *path; /**< the signal's name; inside of objects: names with points between them. At most 255 bytes and 16
                         names, none of which is empty or begins with '_' (browsers do not send those back) */
  vestry_field_type type;
  bool boolean;                          /**< BOOLEAN: the default */
  int64_t integer, min, max;             /**< INTEGER: default and bounds; min and max 0: VESTRY_INTEGER_FIELD_MAX */
  double number, min_number, max_number; /**< NUMBER: default and bounds; both bounds 0: any */
  const char *text;                      /**< STRING: the default, NULL: ""; JSON: the default as text, NULL: null */
  size_t max_bytes;                      /**< STRING, JSON; 0: VESTRY_FIELD_MAX_BYTES, which is also the most */
} vestry_field;

/** Fields, for static tables in C and in C++. */
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

/** Fields that were checked, ready to be used by any number of repositories; immutable. */
typedef struct vestry_schema vestry_schema;

/** Check a table of fields.
 *  host        borrowed; NULL: the default
 *  fields      borrowed: the table and its texts must outlive the schema
 *  count       1 to VESTRY_SCHEMA_MAX_COUNT
 *  ret_schema  owned by the caller; untouched on failure
 *  ret_at      may be NULL; on INVALID and EXISTS set to the field that is wrong (0 if it is none of them)
 *  Returns  OK | INVALID (a path, a type, bounds, a default outside of them) | EXISTS (a path twice, or inside of
 *           another) | NO_MEMORY
 *  Threads  any */
VESTRY_API vestry_err vestry_schema_create(const vestry_host *host, const vestry_field *fields, size_t count,
                                           vestry_schema **ret_schema, size_t *ret_at);
/** After all its repositories. NULL is accepted. */
VESTRY_API void vestry_schema_destroy(vestry_schema *schema);

/** The state of one page's signals while they are worked with. One thread at a time. */
typedef struct vestry_repository vestry_repository;

/** Make a repository and fill it.
 *  schema          borrowed
 *  signals         as a request has them (vestry_request.signals); borrowed, its values are kept by reference: do not
 *                  change them. NULL: none, all have their defaults
 *  ret_repository  owned by the caller; untouched on failure
 *  Returns  OK, whatever the signals are (see vestry_repository_errors) | INVALID (a NULL) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_repository_create(const vestry_schema *schema, json_t *signals,
                                               vestry_repository **ret_repository);
/** NULL is accepted. */
VESTRY_API void vestry_repository_destroy(vestry_repository *repository);

/** What was wrong with a signal of the page's. */
typedef struct vestry_field_error {
  const char *path; /**< the schema's */
  vestry_err error; /**< INVALID (its type) | LIMIT (below or above its bounds) | TOO_LARGE (its length or depth) */
  char message[96]; /**< what is expected, without a full stop; safe to show: no input is repeated */
} vestry_field_error;

/** What was wrong with the signals that a repository was made from, in the order of the schema; at most one a field.
 *  errors   receives the first of them, capacity at most; NULL with 0: only count
 *  Returns  how many there are */
VESTRY_API size_t vestry_repository_errors(const vestry_repository *repository, vestry_field_error *errors,
                                           size_t capacity);

/** Read a field: its value, or its default.
 *      vestry_repository_get(r, "count", VESTRY_INTO(&count));
 *  into     a variable of the field's type (vestry/value.h). Texts and JSON are borrowed until the field is set or the
 *           repository destroyed; JSON must not be changed
 *  Returns  OK | NOT_FOUND (no such path in the schema) | INVALID (the field is of another type) | LIMIT (an integer
 *           outside of into's bounds) */
VESTRY_API vestry_err vestry_repository_get(const vestry_repository *repository, const char *path, vestry_into into);

/** Set a field.
 *      vestry_repository_set(r, "count", VESTRY_VALUES(count + 1));
 *  value    copied; of the field's type: a bool, an integer, a double, a text. Texts: no NUL in them, since a request
 *           that brings one back is refused as malformed. JSON (a json_t, a list, an object): null removes the signal;
 *           members of objects that are null are the same as absent ones
 *  Returns  OK | NOT_FOUND (path) | INVALID (the field is of another type; what vestry_value_to_json refuses) | LIMIT
 *           (bounds) | TOO_LARGE (bytes, or nested deeper than 240) | NO_MEMORY; on failure the field has the value it
 *           had */
VESTRY_API vestry_err vestry_repository_set(vestry_repository *repository, const char *path, const vestry_value *value);

/** Whether a save would send anything: a field differs from what the page has. A field that the page did not have
 *  differs once it was set. */
VESTRY_API bool vestry_repository_is_changed(const vestry_repository *repository);

/** Which fields a save sends. */
typedef enum vestry_save {
  VESTRY_SAVE_CHANGED, /**< those that differ from what the page has */
  VESTRY_SAVE_ALL      /**< all: for a page that starts */
} vestry_save;

/** Send fields, as one patch of the page's signals, to a connection. What was sent is what the page has from
 *  then on, so that a second save sends nothing. Of JSON objects only the members that changed are sent, and null for
 *  those that are gone: the patch is merged (RFC 7386).
 *  ret_saved  may be NULL; whether there was anything to send; untouched on failure
 *  Returns  OK | the errors of vestry_connection_patch_signals_text, CLOSED and FULL above all: nothing was sent, and a
 *           later save sends it. With nothing changed OK, without a look at the connection
 *  Threads  one at a time for a repository; does not block */
VESTRY_API vestry_err vestry_repository_save(vestry_repository *repository, vestry_save what,
                                             vestry_connection *connection, bool *ret_saved);
/** The same as an effect of a reply, patch-signals. OK means that the reply has it; with nothing changed it has no
 *  effect. Errors as vestry_reply_effect. */
VESTRY_API vestry_err vestry_repository_save_reply(vestry_repository *repository, vestry_save what, vestry_reply *reply,
                                                   bool *ret_saved);

#ifdef __cplusplus
}
#endif
#endif
