/* SPDX-License-Identifier: MIT */
/* Merging two signals patches into one. */
#include <jansson.h>

#include "event/signals_patch.h"
#include "event/target.h"

/* A merge patch (RFC 7386) is a function from objects to objects. A single patch has the effect of a followed by b if
 * it has, for each name with a value in b:
 * - the value of b, if that is not an object or if a has no value;
 * - the composition of both, if both are objects.
 *
 * If a has a value that is not an object and b has an object, no single patch has this effect: a deletes the old value,
 * which an object cannot express. Nulls are kept, because they delete in the page, not here. */

enum { MAX_BYTES = 4096, MAX_DEPTH = 16 };

/* Compose b onto a, which is modified: OK | UNSUPPORTED | NO_MEMORY */
static vestry_err compose(json_t *a, json_t *b, int depth) {
  const char *name;
  json_t *value;
  if (depth == MAX_DEPTH) return VESTRY_UNSUPPORTED;
  json_object_foreach(b, name, value) {
    json_t *before = json_object_get(a, name);
    if (before && json_is_object(value)) {
      if (!json_is_object(before)) return VESTRY_UNSUPPORTED;
      vestry_err error = compose(before, value, depth + 1);
      if (error) return error;
    } else if (json_object_set(a, name, value)) {
      return VESTRY_NO_MEMORY;
    }
  }
  return VESTRY_OK;
}

static json_t *load(vestry_slice json) {
  /* jansson writes reals as other text than it read, and integers may not fit. Such patches are not merged. */
  return json.len && json.len <= MAX_BYTES ? json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static bool has_real(const json_t *value) {
  const char *name;
  json_t *part;
  size_t i;
  if (json_is_real(value)) return true;
  json_object_foreach((json_t *)value, name, part) if (has_real(part)) return true;
  json_array_foreach(value, i, part) if (has_real(part)) return true;
  return false;
}

vestry_err vsi_signals_merge(const vestry_host *host, const vsi_target *a, const vsi_target *b,
                             vestry_event **ret_event) {
  json_t *first = load(a->json), *second = load(b->json);
  vestry_err error = first && second ? compose(first, second, 0) : VESTRY_UNSUPPORTED;
  vestry_event *made = NULL;
  if (!error && !json_equal(first, second)) {
    error = has_real(first) ? VESTRY_UNSUPPORTED : vsi_event_signals_value(host, first, NULL, &made);
  }
  json_decref(first);
  json_decref(second);
  if (made && vestry_event_bytes(made).len > a->bytes + b->bytes) { /* it must fit into the room that both have
                                                                       reserved */
    made = vestry_event_unref(made);
    error = VESTRY_UNSUPPORTED;
  }
  if (!error) *ret_event = made;
  return error;
}
