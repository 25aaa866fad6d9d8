/* SPDX-License-Identifier: MIT */
/* A page's signals, any text, are read into a struct; then a value, any text, is put into its members, and what has
 * changed is sent to the page. All members are within their rules, and then the page has the values of the struct.
 * Input: JSON of the page's signals, a zero byte, JSON of a value in an object: {"v": …}. */
#include "fuzz/target.h"
#include "page/merge.h"
#include "vestry/app/input.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

typedef struct state {
  bool b;
  int64_t i, any;
  double n;
  char s[9];
  json_t *j;
} state;

static const vestry_input fields[] = {
    VESTRY_INPUT(state, b, .label = "b"),    VESTRY_INPUT(state, i, .min = -10, .max = 100),
    VESTRY_INPUT(state, any, .path = "o.i"), VESTRY_INPUT(state, n, .path = "o.n", .min = -2, .max = 2),
    VESTRY_INPUT(state, s, .path = "o.s"),   VESTRY_INPUT(state, j, .label = "j"),
};
enum { FIELDS = sizeof fields / sizeof *fields };

typedef struct reading {
  const uint8_t *value;
  size_t value_len;
} reading;

static void check(const state *is) {
  require(is->i >= -10 && is->i <= 100);
  require(is->n >= -2 && is->n <= 2);
  require(memchr(is->s, '\0', sizeof is->s) != NULL);
}

static void change(state *now, json_t *value) {
  now->b = json_is_true(value);
  now->any = json_integer_value(value);
  now->n = json_is_real(value) && json_number_value(value) < 2 && json_number_value(value) > -2
               ? json_number_value(value)
               : 1;
  now->j = value;
}

/* Merge what has changed into a page, which then has the values of `now`. */
static void send(json_t *signals, const state *now, const state *was, char (*messages)[VESTRY_INPUT_MESSAGE_BYTES]) {
  json_t *changed = NULL, *all = NULL, *again = NULL;
  require(!vestry_inputs_signals(fields, FIELDS, was, NULL, NULL, &all));
  json_t *page = merge_patch(merge_patch(NULL, all), signals); /* the page has the defaults of what it has not sent */
  json_decref(all);
  require(!vestry_inputs_signals(fields, FIELDS, now, was, messages, &changed));
  if (changed) page = merge_patch(page, changed);
  require(!vestry_inputs_signals(fields, FIELDS, now, now, NULL, &again) && !again);
  json_decref(changed);
  json_decref(page);
}

static vestry_err look(const vestry_request *req, vestry_reply *reply, void *app) {
  const reading *r = app;
  state now = {.i = 5, .n = 1, .s = "x"};
  char messages[FIELDS][VESTRY_INPUT_MESSAGE_BYTES];
  json_t *holder = NULL;
  vestry_err error = vestry_inputs_read(req, fields, FIELDS, &now, messages);
  require(!error || error == VESTRY_MALFORMED);
  bool is_refused = false;
  for (size_t i = 0; i < FIELDS; i++) is_refused |= *messages[i] != '\0';
  require(is_refused == (error == VESTRY_MALFORMED));
  check(&now);
  const state was = now;
  if (r->value) (void)vestry_signals_parse((const char *)r->value, r->value_len, NULL, &holder, NULL);
  if (holder) change(&now, json_object_get(holder, "v"));
  send(req->signals, &now, &was, messages);
  json_decref(holder);
  return VESTRY_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static vestry *v;
  if (!v) require(!vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v));
  const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
  reading r = {zero ? zero + 1 : NULL, zero ? size - (size_t)(zero + 1 - data) : 0};
  const vestry_memory_call call = {
      .method = "POST", .datastar = true, .body = data, .body_len = zero ? (size_t)(zero - data) : size};
  vestry_memory_exchange *made;
  require(!vestry_memory_request(v, &call, look, &r, &made));
  vestry_memory_destroy(made);
  return 0;
}
