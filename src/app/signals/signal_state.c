/* SPDX-License-Identifier: MIT */
/* The values that the page has, those that it should have, and the patch that turns the first into the second.
 *
 * Values are jansson's, shared by reference, never changed in place, and used by one thread at a time. Each field has
 * two values: `value`, which the handler reads, and `held`, which the page is known to have (NULL: none), even if the
 * field does not accept it. A field has changed if the two differ. So the next save also repairs an invalid signal. For
 * objects, the patch is computed from both values, because a merge patch (RFC 7386) must list the members to remove. */
#include "app/signals/schema.h"
#include "base/log.h"
#include "base/memory.h"
#include "connection/connection.h"
#include "http/reply.h"
#include "vestry/registry.h"
#include "json/value.h"

typedef struct slot {
  json_t *value; /* never NULL */
  json_t *held;  /* NULL: the page has none */
  bool touched;  /* set, or known to be wrong, while held is NULL */
  vestry_err error;
} slot;

struct vestry_signal_state {
  const vestry_schema *schema;
  slot slots[]; /* parallel to the schema's fields */
};

/* ------------------------------------------------------------------------------------------------- filling -------- */

static vestry_err hydrate(const vsi_field *field, json_t *signals, slot *s) {
  json_t *found = NULL;
  vestry_err error = signals ? vsi_field_find(field, signals, &found) : VESTRY_NOT_FOUND;
  if (error == VESTRY_INVALID) s->touched = true; /* a parent on its path is no object: the next save repairs that */
  if (!error) {
    s->held = json_incref(found);
    error = vsi_field_take(field, found, &s->value);
  }
  if (error == VESTRY_NO_MEMORY) return error;
  if (error)
    s->value = json_deep_copy(field->initial); /* copied, because threads that share the schema would race on the
                                                  reference count */
  if (!s->value) return VESTRY_NO_MEMORY;
  if (error != VESTRY_NOT_FOUND) s->error = error;
  return VESTRY_OK;
}

vestry_err vestry_signal_state_create(const vestry_schema *schema, json_t *signals, vestry_signal_state **ret_state) {
  if (!schema) return VESTRY_INVALID;
  if (!ret_state) return vsi_mistake(schema->host, "vestry_signal_state_create", "ret_state is NULL");
  vestry_signal_state *made = vsi_calloc(schema->host, 1, sizeof *made + schema->count * sizeof *made->slots);
  if (!made) return VESTRY_NO_MEMORY;
  made->schema = schema;
  for (size_t i = 0; i < schema->count; i++) {
    if (!hydrate(&schema->fields[i], signals, &made->slots[i])) continue;
    vestry_signal_state_destroy(made);
    return VESTRY_NO_MEMORY;
  }
  *ret_state = made;
  return VESTRY_OK;
}

void vestry_signal_state_destroy(vestry_signal_state *state) {
  if (!state) return;
  for (size_t i = 0; i < state->schema->count; i++) {
    json_decref(state->slots[i].value);
    json_decref(state->slots[i].held);
  }
  vsi_free(state->schema->host, state);
}

size_t vestry_signal_state_errors(const vestry_signal_state *state, vestry_field_error *errors, size_t capacity) {
  size_t count = 0;
  for (size_t i = 0; i < state->schema->count; i++) {
    const vsi_field *field = &state->schema->fields[i];
    vestry_err error = state->slots[i].error;
    if (error && count++ < capacity) {
      vestry_field_error *told = &errors[count - 1];
      *told = (vestry_field_error){.path = field->is.path, .error = error};
      vsi_field_explain(field, error, told->message, sizeof told->message);
    }
  }
  return count;
}

/* ------------------------------------------------------------------------------------------------- reading -------- */

/* The type that a variable must have to receive the value of a field, by the type of the field. */
static const vestry_value_type types[] = {
    [VESTRY_FIELD_BOOLEAN] = VESTRY_VALUE_BOOLEAN, [VESTRY_FIELD_INTEGER] = VESTRY_VALUE_INTEGER,
    [VESTRY_FIELD_NUMBER] = VESTRY_VALUE_NUMBER,   [VESTRY_FIELD_STRING] = VESTRY_VALUE_STRING,
    [VESTRY_FIELD_JSON] = VESTRY_VALUE_JSON,
};

vestry_err vestry_signal_state_get(const vestry_signal_state *state, const char *path, vestry_into into) {
  const vsi_field *field = vsi_schema_find(state->schema, path);
  if (!field) return VESTRY_NOT_FOUND;
  if (into.type != types[field->is.type])
    return vsi_mistake(state->schema->host, "vestry_signal_state_get",
                       "the type of the variable is not that of the field; see vestry_field_type");
  vestry_err error = vsi_into_take(into, state->slots[field - state->schema->fields].value);
  return error == VESTRY_MALFORMED ? VESTRY_LIMIT : error; /* the types are equal, so MALFORMED means a value that does
                                                              not fit */
}

/* ------------------------------------------------------------------------------------------------- setting -------- */

/* Return whether a value has the type of a field; a text must not contain NUL. */
static bool fits(const vsi_field *field, const json_t *value) {
  switch (field->is.type) {
  case VESTRY_FIELD_BOOLEAN: return json_is_boolean(value);
  case VESTRY_FIELD_INTEGER: return json_is_integer(value);
  case VESTRY_FIELD_NUMBER: return json_is_real(value);
  case VESTRY_FIELD_STRING: return vsi_json_c_text(value) != NULL;
  case VESTRY_FIELD_JSON: break;
  }
  return true;
}

/* Copy a JSON value, so that the caller may change its own. vsi_field_take has checked its depth, so the copy cannot
 * overflow the stack. */
static vestry_err copy_json(const vsi_field *field, const json_t *value, json_t **ret_value) {
  json_t *copy = json_deep_copy(value);
  vestry_err error = copy ? vsi_field_take(field, copy, ret_value) : VESTRY_NO_MEMORY;
  json_decref(copy);
  return error;
}

vestry_err vestry_signal_state_set(vestry_signal_state *state, const char *path, const vestry_value *value) {
  const vsi_field *field = vsi_schema_find(state->schema, path);
  if (!field) return VESTRY_NOT_FOUND;
  json_t *made = NULL, *taken = NULL;
  vestry_err error = vestry_value_to_json(value, &made);
  if (!error && !fits(field, made))
    error = vsi_mistake(state->schema->host, "vestry_signal_state_set",
                        "the type of the value is not that of the field, or a text contains NUL");
  if (!error) error = vsi_field_take(field, made, &taken);
  if (!error && field->is.type == VESTRY_FIELD_JSON) {
    json_decref(taken);
    error = copy_json(field, made, &taken);
  }
  json_decref(made);
  if (error) return error;
  slot *s = &state->slots[field - state->schema->fields];
  json_decref(s->value);
  s->value = taken;
  s->touched = true;
  return VESTRY_OK;
}

/* -------------------------------------------------------------------------------------------------- saving -------- */

/* Compare two values. 3 and 3.0 are the same number for a page. */
static bool is_equal(const json_t *a, const json_t *b) {
  if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
  return json_equal((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b);
}

static bool is_changed(const slot *s) {
  if (s->held) return !is_equal(s->held, s->value);
  return s->touched && !json_is_null(s->value); /* null instead of no value is not a change */
}

bool vestry_signal_state_is_changed(const vestry_signal_state *state) {
  for (size_t i = 0; i < state->schema->count; i++)
    if (is_changed(&state->slots[i])) return true;
  return false;
}

static json_t *make_patch(json_t *held, json_t *value, bool all);

/* Add the members of value that held lacks or has with another value; with `all`, all members. */
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

/* Add null for the members that held has and value lacks, which removes them. */
static int remove_members(json_t *patch, json_t *held, json_t *value) {
  int failed = 0;
  for (void *at = json_object_iter(held); !failed && at; at = json_object_iter_next(held, at))
    if (!json_object_getn(value, json_object_iter_key(at), json_object_iter_key_len(at)))
      failed = json_object_setn_new_nocheck(patch, json_object_iter_key(at), json_object_iter_key_len(at), json_null());
  return failed;
}

/* Make the patch that turns `held` into `value`. Returns a new reference; NULL: no memory. The patch is not deeper than
 * the value. */
static json_t *make_patch(json_t *held, json_t *value, bool all) {
  if (!json_is_object(held) || !json_is_object(value)) return json_incref(value);
  json_t *patch = json_object();
  if (patch && (add_members(patch, held, value, all) || remove_members(patch, held, value))) {
    json_decref(patch);
    return NULL;
  }
  return patch;
}

/* Make the signals to send. OK: *ret_signals, or NULL if there are none | NO_MEMORY */
static vestry_err make_signals(const vestry_signal_state *state, bool all, json_t **ret_signals) {
  json_t *signals = NULL;
  for (size_t i = 0; i < state->schema->count; i++) {
    const slot *s = &state->slots[i];
    if (!all && !is_changed(s)) continue;
    if (!signals) signals = json_object();
    json_t *patch = signals ? make_patch(s->held, s->value, all) : NULL;
    if (!patch || vsi_field_put(&state->schema->fields[i], signals, patch)) {
      json_decref(signals);
      return VESTRY_NO_MEMORY;
    }
  }
  *ret_signals = signals;
  return VESTRY_OK;
}

/* Record that the page has the values that were sent. */
static void keep(vestry_signal_state *state, bool all) {
  for (size_t i = 0; i < state->schema->count; i++) {
    slot *s = &state->slots[i];
    if (!all && !is_changed(s)) continue;
    json_decref(s->held);
    s->held = json_incref(s->value);
    s->touched = false;
  }
}

/* Send to the connection, or add to the reply if it is NULL. */
static vestry_err save(vestry_signal_state *state, vestry_connection *connection, vestry_reply *reply, bool all,
                       bool *ret_saved) {
  json_t *signals = NULL;
  vestry_err error = make_signals(state, all, &signals);
  if (!error && signals)
    error = connection ? vestry_connection_patch_signals(connection, VESTRY_VALUES(signals), NULL)
                       : vestry_reply_patch_signals(reply, VESTRY_VALUES(signals));
  bool saved = signals != NULL;
  json_decref(signals);
  if (error) return error;
  if (saved) keep(state, all);
  if (ret_saved) *ret_saved = saved;
  return VESTRY_OK;
}

vestry_err vestry_signal_state_save(vestry_signal_state *state, vestry_save what, vestry_connection *connection,
                                    bool *ret_saved) {
  return save(state, connection, NULL, what == VESTRY_SAVE_ALL, ret_saved);
}

vestry_err vestry_signal_state_save_reply(vestry_signal_state *state, vestry_save what, vestry_reply *reply,
                                          bool *ret_saved) {
  return save(state, NULL, reply, what == VESTRY_SAVE_ALL, ret_saved);
}
