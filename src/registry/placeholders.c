/* One walk over a value, depth first, so that what is inside a placeholder is replaced before it; the value that a
 * placeholder gives takes its place and is not walked. Whether a list is a placeholder is judged by its head as it was
 * written, before the walk: what another placeholder gave is a value, never a name.
 *
 * Effects are shared, between dispatches and threads, so nothing is changed in place. A list or object is copied when
 * the first of what it holds has changed; most walks copy nothing. */
#include "registry/placeholders.h"

#include "event/json.h"
#include "event/json_copy.h"

typedef struct walk {
  vestry_dispatch_context *context;
  vestry_phase phase;
  const char *within; /* the effect's or action's name */
} walk;

/* ret_changed, of all below: a new reference; untouched: nothing has changed. OK, or an error that is recorded. */
static vestry_err replace(walk *w, json_t *value, unsigned depth, json_t **ret_changed);

static vestry_err fail(walk *w, const char *name, vestry_err error) {
  vsi_context_record(w->context, &(vsi_failure){.phase = w->phase, .name = name, .what = w->within, .error = error});
  return error;
}

/* Out of memory or too deep: nobody's fault in particular. */
static vestry_err fail_walk(walk *w, vestry_err error, const char *detail) {
  vestry_context_fail(w->context, error, "%s", detail);
  return fail(w, w->within, error);
}

/* Put what an element has become where it belongs; the first time, into a copy of the whole. Takes changed. */
static vestry_err put_element(walk *w, json_t *array, size_t index, json_t *changed, json_t **copy) {
  if (!*copy) *copy = vsi_json_copy(array);
  if (!*copy) json_decref(changed);
  if (*copy && json_array_set_new(*copy, index, changed) == 0) return VESTRY_OK;
  return fail_walk(w, VESTRY_NO_MEMORY, "");
}

static vestry_err put_member(walk *w, json_t *object, const char *name, json_t *changed, json_t **copy) {
  if (!*copy) *copy = vsi_json_copy(object);
  if (!*copy) json_decref(changed);
  if (*copy && json_object_set_new_nocheck(*copy, name, changed) == 0) return VESTRY_OK;
  return fail_walk(w, VESTRY_NO_MEMORY, "");
}

static vestry_err replace_members(walk *w, json_t *object, unsigned depth, json_t **ret_changed) {
  json_t *copy = NULL;
  vestry_err error = VESTRY_OK;
  for (void *at = json_object_iter(object); !error && at; at = json_object_iter_next(object, at)) {
    json_t *changed = NULL;
    error = replace(w, json_object_iter_value(at), depth, &changed);
    if (changed) error = put_member(w, object, json_object_iter_key(at), changed, &copy);
  }
  if (error)
    json_decref(copy);
  else
    *ret_changed = copy;
  return error;
}

static vestry_err replace_elements(walk *w, json_t *array, unsigned depth, json_t **ret_changed) {
  json_t *copy = NULL;
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; !error && i < json_array_size(array); i++) {
    json_t *changed = NULL;
    error = replace(w, json_array_get(array, i), depth, &changed);
    if (changed) error = put_element(w, array, i, changed, &copy);
  }
  if (error)
    json_decref(copy);
  else
    *ret_changed = copy;
  return error;
}

static vestry_err unquote(walk *w, const char *name, json_t *array, json_t **ret_changed) {
  w->context->detail[0] = '\0';
  if (json_array_size(array) != 2)
    return fail(w, name, vestry_context_fail(w->context, VESTRY_INVALID, "one value is quoted"));
  *ret_changed = json_incref(json_array_get(array, 1));
  return VESTRY_OK;
}

/* list: the placeholder, what is inside it replaced. ret_value: NULL: it waits. */
static vestry_err call(walk *w, const vsi_entry *entry, const char *name, const json_t *list, json_t **ret_value) {
  vestry_dispatch_context *context = w->context;
  context->detail[0] = '\0';
  const json_t *args = vsi_context_args(context, list);
  if (!args) return fail(w, name, VESTRY_NO_MEMORY);
  json_t *value = NULL;
  vestry_err error = entry->fn.placeholder(context->data, args, &value, entry->ctx);
  if (error) {
    json_decref(value);
    return fail(w, name, error);
  }
  *ret_value = value;
  return VESTRY_OK;
}

static vestry_err replace_list(walk *w, json_t *list, unsigned depth, json_t **ret_changed) {
  const json_t *head = json_array_get(list, 0);
  const vsi_entry *entry = NULL;
  if (json_is_string(head))
    entry = vsi_names_replaced(&w->context->v->names, json_string_value(head), json_string_length(head));
  if (!entry) return replace_elements(w, list, depth, ret_changed);
  if (entry->kind == VSI_KIND_QUOTE) return unquote(w, json_string_value(head), list, ret_changed);
  json_t *inside = NULL, *value = NULL;
  vestry_err error = replace_elements(w, list, depth, &inside);
  if (!error) error = call(w, entry, json_string_value(head), inside ? inside : list, &value);
  if (error || value) {
    json_decref(inside);
    inside = value;
  }
  if (inside) *ret_changed = inside;
  return error;
}

static vestry_err replace(walk *w, json_t *value, unsigned depth, json_t **ret_changed) {
  if (!json_is_array(value) && !json_is_object(value)) return VESTRY_OK;
  if (depth == VSI_JSON_MAX_DEPTH) return fail_walk(w, VESTRY_TOO_LARGE, "nested too deep");
  return json_is_array(value) ? replace_list(w, value, depth + 1, ret_changed)
                              : replace_members(w, value, depth + 1, ret_changed);
}

bool vsi_placeholders_replace(vestry_dispatch_context *context, vestry_phase phase, json_t *entry,
                              json_t **ret_replaced) {
  walk w = {context, phase, json_string_value(json_array_get(entry, 0))};
  json_t *changed = NULL;
  if (replace(&w, entry, 0, &changed)) return false;
  *ret_replaced = changed ? changed : json_incref(entry);
  return true;
}
