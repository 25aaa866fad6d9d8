/* SPDX-License-Identifier: MIT */
/* What a page has, what it should have, and the patch between the two.
 *
 * Values are jansson's, shared by reference and never changed in place, by one thread at a time: that of the
 * repository. For each field two are kept: `value`, what the handler sees, and `held`, what the page is known to have
 * (NULL: nothing), even if that is nothing that the field allows. A field has changed when the two differ. So a bad
 * signal is repaired by the next save with no further care; and the patch of an object can say which members must go,
 * since a merge patch (RFC 7386) leaves alone what it does not name. */
#include <string.h>

#include "app/signals/schema.h"
#include "base/memory.h"
#include "connection/connection.h"
#include "event/signals_patch.h"
#include "http/reply.h"
#include "vestry/registry.h"
#include "json/into.h"

typedef struct slot {
  json_t *value; /* never NULL */
  json_t *held;  /* NULL: the page does not have it */
  bool touched;  /* set, or known to be wrong, while the page does not have it */
  vestry_err error;
} slot;

struct vestry_repository {
  const vestry_schema *schema;
  slot slots[]; /* as the schema's fields */
};

/* ------------------------------------------------------------------------------------------------- filling -------- */

static vestry_err hydrate(const vsi_field *field, json_t *signals, slot *s) {
  json_t *found = NULL;
  vestry_err error = signals ? vsi_field_find(field, signals, &found) : VESTRY_NOT_FOUND;
  if (error == VESTRY_INVALID) s->touched = true; /* what it is to lie in is no object: the page is put right */
  if (!error) {
    s->held = json_incref(found);
    error = vsi_field_take(field, found, &s->value);
  }
  if (error == VESTRY_NO_MEMORY) return error;
  if (error) s->value = json_deep_copy(field->initial); /* a reference would be counted by several threads at once */
  if (!s->value) return VESTRY_NO_MEMORY;
  if (error != VESTRY_NOT_FOUND) s->error = error;
  return VESTRY_OK;
}

vestry_err vestry_repository_create(const vestry_schema *schema, json_t *signals, vestry_repository **ret_repository) {
  if (!schema || !ret_repository) return VESTRY_INVALID;
  vestry_repository *made = vsi_calloc(schema->host, 1, sizeof *made + schema->count * sizeof *made->slots);
  if (!made) return VESTRY_NO_MEMORY;
  made->schema = schema;
  for (size_t i = 0; i < schema->count; i++) {
    if (!hydrate(&schema->fields[i], signals, &made->slots[i])) continue;
    vestry_repository_destroy(made);
    return VESTRY_NO_MEMORY;
  }
  *ret_repository = made;
  return VESTRY_OK;
}

void vestry_repository_destroy(vestry_repository *repository) {
  if (!repository) return;
  for (size_t i = 0; i < repository->schema->count; i++) {
    json_decref(repository->slots[i].value);
    json_decref(repository->slots[i].held);
  }
  vsi_free(repository->schema->host, repository);
}

size_t vestry_repository_errors(const vestry_repository *repository, vestry_field_error *errors, size_t capacity) {
  size_t count = 0;
  for (size_t i = 0; i < repository->schema->count; i++) {
    const vsi_field *field = &repository->schema->fields[i];
    vestry_err error = repository->slots[i].error;
    if (error && count++ < capacity) {
      vestry_field_error *told = &errors[count - 1];
      *told = (vestry_field_error){.path = field->is.path, .error = error};
      vsi_field_explain(field, error, told->message, sizeof told->message);
    }
  }
  return count;
}

/* ------------------------------------------------------------------------------------------------- reading -------- */

/* Which variables take a field's value. */
static vestry_value_type value_of(vestry_field_type type) {
  switch (type) {
  case VESTRY_FIELD_BOOLEAN: return VESTRY_VALUE_BOOLEAN;
  case VESTRY_FIELD_INTEGER: return VESTRY_VALUE_INTEGER;
  case VESTRY_FIELD_NUMBER: return VESTRY_VALUE_NUMBER;
  case VESTRY_FIELD_STRING: return VESTRY_VALUE_STRING;
  case VESTRY_FIELD_JSON: break;
  }
  return VESTRY_VALUE_JSON;
}

vestry_err vestry_repository_get(const vestry_repository *repository, const char *path, vestry_into into) {
  const vsi_field *field = vsi_schema_find(repository->schema, path);
  if (!field) return VESTRY_NOT_FOUND;
  if (into.type != value_of(field->is.type)) return VESTRY_INVALID;
  vestry_err error = vsi_into_take(into, repository->slots[field - repository->schema->fields].value);
  return error == VESTRY_MALFORMED ? VESTRY_LIMIT : error; /* of its type it is */
}

/* ------------------------------------------------------------------------------------------------- setting -------- */

/* Whether a value is of the type of a field, and a text without NUL. */
static bool fits(const vsi_field *field, const json_t *value) {
  switch (field->is.type) {
  case VESTRY_FIELD_BOOLEAN: return json_is_boolean(value);
  case VESTRY_FIELD_INTEGER: return json_is_integer(value);
  case VESTRY_FIELD_NUMBER: return json_is_real(value);
  case VESTRY_FIELD_STRING:
    return json_is_string(value) && !memchr(json_string_value(value), '\0', json_string_length(value));
  case VESTRY_FIELD_JSON: break;
  }
  return true;
}

/* A copy, so that the caller may change its own. value: it was taken once, so it is not too deep to be made. */
static vestry_err copy_json(const vsi_field *field, const json_t *value, json_t **ret_value) {
  json_t *copy = json_deep_copy(value);
  vestry_err error = copy ? vsi_field_take(field, copy, ret_value) : VESTRY_NO_MEMORY;
  json_decref(copy);
  return error;
}

vestry_err vestry_repository_set(vestry_repository *repository, const char *path, const vestry_value *value) {
  const vsi_field *field = vsi_schema_find(repository->schema, path);
  if (!field) return VESTRY_NOT_FOUND;
  json_t *made = NULL, *taken = NULL;
  vestry_err error = vestry_value_to_json(value, &made);
  if (!error && !fits(field, made)) error = VESTRY_INVALID;
  if (!error) error = vsi_field_take(field, made, &taken);
  if (!error && field->is.type == VESTRY_FIELD_JSON) {
    json_decref(taken);
    error = copy_json(field, made, &taken);
  }
  json_decref(made);
  if (error) return error;
  slot *s = &repository->slots[field - repository->schema->fields];
  json_decref(s->value);
  s->value = taken;
  s->touched = true;
  return VESTRY_OK;
}

/* -------------------------------------------------------------------------------------------------- saving -------- */

/* 3 and 3.0 are one number to the page. */
static bool is_equal(const json_t *a, const json_t *b) {
  if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
  return json_equal((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b);
}

static bool is_changed(const slot *s) {
  if (s->held) return !is_equal(s->held, s->value);
  return s->touched && !json_is_null(s->value); /* null where there is nothing is no change */
}

bool vestry_repository_is_changed(const vestry_repository *repository) {
  for (size_t i = 0; i < repository->schema->count; i++)
    if (is_changed(&repository->slots[i])) return true;
  return false;
}

static json_t *make_patch(json_t *held, json_t *value, bool all);

/* The members of value that held lacks, or has otherwise; with `all`, all of them. */
static int add_members(json_t *patch, json_t *held, json_t *value, bool all) {
  int failed = 0;
  for (void *at = json_object_iter(value); !failed && at; at = json_object_iter_next(value, at)) {
    json_t *had = json_object_getn(held, json_object_iter_key(at), json_object_iter_key_len(at));
    json_t *has = json_object_iter_value(at);
    if (!all && had && is_equal(had, has)) continue;
    failed = json_object_setn_new_nocheck(patch, json_object_iter_key(at), json_object_iter_key_len(at),
                                          make_patch(had, has, all));
  }
  return failed;
}

/* What the page would keep unless it is told: null removes. */
static int remove_members(json_t *patch, json_t *held, json_t *value) {
  int failed = 0;
  for (void *at = json_object_iter(held); !failed && at; at = json_object_iter_next(held, at))
    if (!json_object_getn(value, json_object_iter_key(at), json_object_iter_key_len(at)))
      failed = json_object_setn_new_nocheck(patch, json_object_iter_key(at), json_object_iter_key_len(at), json_null());
  return failed;
}

/* What makes `value` of `held` when it is merged. A new reference; NULL: no memory. No deeper than the value is. */
static json_t *make_patch(json_t *held, json_t *value, bool all) {
  if (!json_is_object(held) || !json_is_object(value)) return json_incref(value);
  json_t *patch = json_object();
  if (patch && (add_members(patch, held, value, all) || remove_members(patch, held, value))) {
    json_decref(patch);
    return NULL;
  }
  return patch;
}

/* OK, and the signals that are to be sent, or NULL: none | NO_MEMORY. */
static vestry_err make_signals(const vestry_repository *repository, bool all, json_t **ret_signals) {
  json_t *signals = NULL;
  for (size_t i = 0; i < repository->schema->count; i++) {
    const slot *s = &repository->slots[i];
    if (!all && !is_changed(s)) continue;
    if (!signals) signals = json_object();
    json_t *patch = signals ? make_patch(s->held, s->value, all) : NULL;
    if (!patch || vsi_field_put(&repository->schema->fields[i], signals, patch)) {
      json_decref(signals);
      return VESTRY_NO_MEMORY;
    }
  }
  *ret_signals = signals;
  return VESTRY_OK;
}

/* The page has them now. */
static void keep(vestry_repository *repository, bool all) {
  for (size_t i = 0; i < repository->schema->count; i++) {
    slot *s = &repository->slots[i];
    if (!all && !is_changed(s)) continue;
    json_decref(s->held);
    s->held = json_incref(s->value);
    s->touched = false;
  }
}

static vestry_err send(vestry_connection *connection, const json_t *signals) {
  vestry_event *event = NULL;
  vestry_err error = vsi_event_signals_value(vsi_connection_host(connection), signals, NULL, &event);
  return vestry_connection_send_made(connection, error, event);
}

/* To one of the two. */
static vestry_err save(vestry_repository *repository, vestry_connection *connection, vestry_reply *reply, bool all,
                       bool *ret_saved) {
  json_t *signals = NULL;
  vestry_err error = make_signals(repository, all, &signals);
  if (!error && signals)
    error = connection ? send(connection, signals) : vestry_reply_patch_signals(reply, VESTRY_VALUES(signals));
  bool saved = signals != NULL;
  json_decref(signals);
  if (error) return error;
  if (saved) keep(repository, all);
  if (ret_saved) *ret_saved = saved;
  return VESTRY_OK;
}

vestry_err vestry_repository_save(vestry_repository *repository, vestry_save what, vestry_connection *connection,
                                  bool *ret_saved) {
  return save(repository, connection, NULL, what == VESTRY_SAVE_ALL, ret_saved);
}

vestry_err vestry_repository_save_reply(vestry_repository *repository, vestry_save what, vestry_reply *reply,
                                        bool *ret_saved) {
  return save(repository, NULL, reply, what == VESTRY_SAVE_ALL, ret_saved);
}
