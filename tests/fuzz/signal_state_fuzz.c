/* SPDX-License-Identifier: MIT */
/* A page's signals, any text, are read into a state; then a value, any text, is set in its fields; and the
 * result is saved to the page. All values are within their bounds, and after everything was saved the page has no
 * invalid value.
 * Input: JSON of the page's signals, a zero byte, JSON of a value in an object: {"v": …}. */
#include "event/layout.h"
#include "fuzz/target.h"
#include "http/reply.h"
#include "signals/merge.h"
#include "support/reply_effects.h"
#include "vestry/app/signal_state.h"
#include "json/write.h"

static const vestry_field fields[] = {
    VESTRY_BOOLEAN_FIELD("b", true),      VESTRY_INTEGER_FIELD("i", 5, -10, 100),
    VESTRY_INTEGER_FIELD("o.i", 0, 0, 0), VESTRY_NUMBER_FIELD("o.n", 1, -2, 2),
    VESTRY_STRING_FIELD("o.s", "x", 8),   VESTRY_JSON_FIELD("j", "{\"a\":1}", 60),
};
enum { FIELDS = sizeof fields / sizeof *fields };

static void check_values(const vestry_signal_state *r) {
  bool b;
  int64_t i;
  double n;
  const char *s;
  json_t *j;
  require(!vestry_signal_state_get(r, "b", VESTRY_INTO(&b)));
  require(!vestry_signal_state_get(r, "i", VESTRY_INTO(&i)) && i >= -10 && i <= 100);
  require(!vestry_signal_state_get(r, "o.i", VESTRY_INTO(&i)) && i >= -VESTRY_INTEGER_FIELD_MAX &&
          i <= VESTRY_INTEGER_FIELD_MAX);
  require(!vestry_signal_state_get(r, "o.n", VESTRY_INTO(&n)) && n >= -2 && n <= 2);
  require(!vestry_signal_state_get(r, "o.s", VESTRY_INTO(&s)) && strlen(s) <= 8);
  require(!vestry_signal_state_get(r, "j", VESTRY_INTO(&j)));
  vsi_writer counter = {.to = NULL}; /* as in an event: jansson formats some numbers longer */
  require(!vsi_json_put(&counter, j) && counter.len <= 60);
  vestry_field_error errors[FIELDS];
  size_t count = vestry_signal_state_errors(r, errors, FIELDS);
  require(count <= FIELDS);
  for (size_t at = 0; at < count; at++) require(errors[at].error && errors[at].path && errors[at].message[0]);
}

static void set_all(vestry_signal_state *r, json_t *value) {
  vestry_err errors[] = {
      vestry_signal_state_set(r, "j", VESTRY_VALUES(value)),
      vestry_signal_state_set(r, "i", VESTRY_VALUES(json_integer_value(value))),
      vestry_signal_state_set(r, "o.i", VESTRY_VALUES(json_integer_value(value))),
      vestry_signal_state_set(r, "o.n", VESTRY_VALUES(json_number_value(value))),
      vestry_signal_state_set(r, "o.s", VESTRY_VALUES(json_string_value(value) ? json_string_value(value) : "")),
  };
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    require(errors[i] == VESTRY_OK || errors[i] == VESTRY_LIMIT || errors[i] == VESTRY_TOO_LARGE);
}

/* Return the page after the save. */
static json_t *save(vestry_signal_state *r, json_t *page, bool all) {
  vestry_reply reply;
  vsi_reply_init(&reply, vestry_host_default());
  bool saved = true, changed = vestry_signal_state_is_changed(r);
  require(!(all ? vestry_signal_state_save_reply(r, VESTRY_SAVE_ALL, &reply, NULL)
                : vestry_signal_state_save_reply(r, VESTRY_SAVE_CHANGED, &reply, &saved)));
  require(all || saved == changed);
  require(!vestry_signal_state_is_changed(r));
  json_t *effects = reply_effects(&reply), *signals = json_array_get(json_array_get(effects, 0), 1);
  require(saved == json_is_object(signals));
  if (saved) {
    char *text = json_dumps(signals, JSON_COMPACT);
    vestry_event *event = NULL;
    require(text && vsi_event_signals_text(NULL, text, strlen(text), NULL, &event) == VESTRY_OK);
    vestry_event_unref(event);
    free(text);
    page = merge_patch(page, signals);
  }
  json_decref(effects);
  vsi_reply_finish(&reply);
  return page;
}

static void work(const vestry_schema *schema, json_t *signals, json_t *value) {
  json_t *page = json_deep_copy(signals);
  vestry_signal_state *r = NULL;
  require(vestry_signal_state_create(schema, signals, &r) == VESTRY_OK);
  check_values(r);
  if (value) set_all(r, value);
  check_values(r);
  page = save(r, page, json_is_true(value));
  vestry_signal_state_destroy(r);
  require(vestry_signal_state_create(schema, page, &r) == VESTRY_OK);
  require(vestry_signal_state_errors(r, NULL, 0) == 0);
  require(!vestry_signal_state_is_changed(r));
  check_values(r);
  vestry_signal_state_destroy(r);
  json_decref(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static vestry_schema *schema;
  if (!schema) require(vestry_schema_create(NULL, fields, FIELDS, &schema, NULL) == VESTRY_OK);
  const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
  size_t len = zero ? (size_t)(zero - data) : size;
  json_t *signals = NULL, *holder = NULL;
  if (vestry_signals_parse((const char *)data, len, NULL, &signals, NULL)) return 0;
  if (zero) (void)vestry_signals_parse((const char *)zero + 1, size - len - 1, NULL, &holder, NULL);
  work(schema, signals, json_object_get(holder, "v"));
  json_decref(holder);
  json_decref(signals);
  return 0;
}
