/* SPDX-License-Identifier: MIT */
/* E3: fields are read from the signals of a request within their rules, and what has changed is sent. */
#include "vestry/app/input.h"

#include <math.h>
#include <stdlib.h>

#include "http/reply.h"
#include "page/merge.h"
#include "runtime/random.h"
#include "serve/wire.h"
#include "support/reply_effects.h"

typedef struct shown {
  bool open;
  int64_t count, big;
  double ratio;
  char name[9];
  json_t *cart;
  char day[11], time[6], moment[17];
} shown;

static const vestry_input fields[] = {
    VESTRY_INPUT(shown, open, .label = "open"),
    VESTRY_INPUT(shown, count, .min = -10, .max = 100),
    VESTRY_INPUT(shown, ratio, .min = -1, .max = 1),
    VESTRY_INPUT(shown, name, .path = "user.name", .max = 8),
    VESTRY_INPUT(shown, cart, .path = "user.cart"),
    VESTRY_INPUT(shown, big, .label = "big"),
    VESTRY_INPUT(shown, day, .type = "date"),
    VESTRY_INPUT(shown, time, .type = "time"),
    VESTRY_INPUT(shown, moment, .type = "datetime-local"),
};
enum { FIELDS = sizeof fields / sizeof *fields };

static const shown defaults = {.open = true, .count = 5, .ratio = 0.5, .name = "nobody"};

/* What a handler has read. */
typedef struct reading {
  shown now, was;
  bool is_all, is_changed;
  char messages[FIELDS][VESTRY_INPUT_MESSAGE_BYTES];
  vestry_err error;
  char text[512], changed[256]; /* of the members; of the signals that are sent */
  void (*change)(shown *now);
} reading;

static void print(json_t *json, char text[256]) {
  text[json ? json_dumpb(json, text, 255, JSON_COMPACT | JSON_ENCODE_ANY) : 0] = '\0';
}

static vestry_err handle(const vestry_request *req, vestry_reply *reply, void *ctx) {
  reading *r = ctx;
  json_t *changed = NULL;
  char cart[256];
  r->now = defaults;
  r->error = vestry_inputs_read(req, fields, FIELDS, &r->now, r->messages);
  r->was = r->now;
  print(r->now.cart, cart);
  snprintf(r->text, sizeof r->text, "%d %lld %g %s %s %lld", r->now.open, (long long)r->now.count, r->now.ratio,
           r->now.name, cart, (long long)r->now.big);
  if (r->change) r->change(&r->now);
  vestry_err error = vestry_inputs_signals(fields, FIELDS, &r->now, r->is_all ? NULL : &r->was, r->messages, &changed);
  r->is_changed = changed != NULL;
  print(changed, r->changed);
  if (!error && changed) error = vestry_reply_patch_signals(reply, VESTRY_VALUES(changed));
  json_decref(changed);
  return error;
}

static void read_with(reading *r, const char *json) {
  site w;
  wire request = {.method = "POST", .datastar = json, .body = json, .body_len = json ? strlen(json) : 0};
  site_begin(&w, (vestry_options){0});
  wire_request(&w, &request, handle, r);
  wires_end(&w, &request);
}

#define DEFAULTS "1 5 0.5 nobody  0"

/* capability: E3 */
TEST_CASE(e3_absent_signals_have_their_defaults) {
  static const char *const inputs[] = {
      NULL, "{}", "{\"other\":1}", "{\"count\":null}", "{\"user\":{}}", "{\"user\":{\"name\":null,\"cart\":null}}"};
  for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
    reading r = {.is_all = false};
    read_with(&r, inputs[i]);
    assert_int_equal(r.error, VESTRY_OK);
    assert_string_equal(r.text, DEFAULTS);
    assert_false(r.is_changed);
    for (size_t at = 0; at < FIELDS; at++) assert_string_equal(r.messages[at], "");
  }
}

/* capability: E3 */
TEST_CASE(e3_fields_are_read_from_the_signals) {
  reading r = {.is_all = false};
  read_with(&r, "{\"open\":false,\"count\":-10,\"ratio\":1,\"user\":{\"name\":\" \\u00e4bc \","
                "\"cart\":{\"a\":[1,null]},\"else\":1},\"big\":9007199254740991,"
                "\"day\":\"2024-02-29\",\"time\":\"00:00\",\"moment\":\"2026-12-31T23:59\"}");
  assert_int_equal(r.error, VESTRY_OK);
  assert_string_equal(r.text, "0 -10 1 \xc3\xa4"
                              "bc {\"a\":[1,null]} 9007199254740991");
  assert_false(r.is_changed);
}

/* capability: E3 */
TEST_CASE(e3_bad_signals_have_defaults_and_errors) {
  static const struct {
    const char *json;
    size_t field;
    const char *message, *repair;
  } cases[] = {
      {"{\"open\":1}", 0, "open: yes or no.", "{\"open\":true}"},
      {"{\"open\":\"true\"}", 0, "open: yes or no.", "{\"open\":true}"},
      {"{\"count\":\"5\"}", 1, "count: a whole number from -10 to 100.", "{\"count\":5}"},
      {"{\"count\":5.5}", 1, "count: a whole number from -10 to 100.", "{\"count\":5}"},
      {"{\"count\":101}", 1, "count: a whole number from -10 to 100.", "{\"count\":5}"},
      {"{\"count\":-11}", 1, "count: a whole number from -10 to 100.", "{\"count\":5}"},
      {"{\"count\":1e300}", 1, "count: a whole number from -10 to 100.", "{\"count\":5}"},
      {"{\"big\":{}}", 5, "big: a whole number.", "{\"big\":0}"},
      {"{\"ratio\":1.01}", 2, "ratio: a number from -1 to 1.", "{\"ratio\":0.5}"},
      {"{\"ratio\":-1.01}", 2, "ratio: a number from -1 to 1.", "{\"ratio\":0.5}"},
      {"{\"ratio\":[]}", 2, "ratio: a number from -1 to 1.", "{\"ratio\":0.5}"},
      {"{\"user\":{\"name\":7}}", 3, "name: a text.", "{\"user\":{\"name\":\"nobody\"}}"},
      {"{\"user\":{\"name\":\"123456789\"}}", 3, "name: at most 8 characters.", "{\"user\":{\"name\":\"nobody\"}}"},
      {"{\"user\":{\"name\":\"a\\u0007\"}}", 3, "name: no control characters.", "{\"user\":{\"name\":\"nobody\"}}"},
      {"{\"day\":\"2026-02-29\"}", 6, "day: a date or a time that exists.", "{\"day\":\"\"}"},
      {"{\"day\":\"2026-2-9\"}", 6, "day: a date or a time that exists.", "{\"day\":\"\"}"},
      {"{\"day\":\"2026- 2-09\"}", 6, "day: a date or a time that exists.", "{\"day\":\"\"}"},
      {"{\"day\":\"2026-02-00\"}", 6, "day: a date or a time that exists.", "{\"day\":\"\"}"},
      {"{\"day\":\"2026-13-01\"}", 6, "day: a date or a time that exists.", "{\"day\":\"\"}"},
      {"{\"time\":\"24:00\"}", 7, "time: a date or a time that exists.", "{\"time\":\"\"}"},
      {"{\"time\":\"12:3\"}", 7, "time: a date or a time that exists.", "{\"time\":\"\"}"},
      {"{\"moment\":\"2026-12-31 23:59\"}", 8, "moment: a date or a time that exists.", "{\"moment\":\"\"}"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    reading r = {.is_all = false};
    read_with(&r, cases[i].json);
    assert_int_equal(r.error, VESTRY_MALFORMED);
    assert_string_equal(r.text, DEFAULTS);
    for (size_t at = 0; at < FIELDS; at++)
      assert_string_equal(r.messages[at], at == cases[i].field ? cases[i].message : "");
    assert_string_equal(r.changed, cases[i].repair); /* the page has another value */
  }
}

TEST_CASE(e3_several_errors_are_collected) {
  reading r = {.is_all = false};
  read_with(&r, "{\"open\":0,\"count\":\"\",\"ratio\":2,\"user\":\"name\",\"big\":3}");
  assert_string_equal(r.text, "1 5 0.5 nobody  3");
  assert_string_equal(r.messages[2], "ratio: a number from -1 to 1.");
  assert_string_equal(r.messages[3], "name: a text."); /* its parent is no object */
  assert_string_equal(r.messages[4], "cart: another value.");
  assert_string_equal(r.messages[5], "");
  assert_string_equal(r.changed,
                      "{\"open\":true,\"count\":5,\"ratio\":0.5,\"user\":{\"name\":\"nobody\",\"cart\":null}}");
}

static void rename_and_halve(shown *now) {
  strcpy(now->name, "</");
  now->ratio /= 2;
  now->count++, now->count--;
}

/* capability: E3 */
TEST_CASE(e3_only_what_changed_is_sent) {
  reading r = {.change = rename_and_halve};
  read_with(&r, "{\"count\":5,\"user\":{\"name\":\"anna\"},\"open\":true}");
  assert_string_equal(r.changed, "{\"ratio\":0.25,\"user\":{\"name\":\"</\"}}");
}

/* capability: E3 */
TEST_CASE(e3_all_fields_are_sent) {
  reading r = {.is_all = true};
  read_with(&r, "{\"count\":9,\"user\":{\"cart\":{\"a\":1}}}");
  assert_string_equal(r.changed, "{\"open\":true,\"count\":9,\"ratio\":0.5,\"user\":{\"name\":\"nobody\","
                                 "\"cart\":{\"a\":1}},\"big\":0,\"day\":\"\",\"time\":\"\",\"moment\":\"\"}");
}

TEST_CASE(e3_wrong_values_and_paths_are_refused) {
  static const vestry_input equal[] = {VESTRY_INPUT(shown, open, .path = "a.b"),
                                       VESTRY_INPUT(shown, big, .path = "a.b")},
                            inside[] = {VESTRY_INPUT(shown, open, .path = "a"),
                                        VESTRY_INPUT(shown, big, .path = "a.b")},
                            around[] = {VESTRY_INPUT(shown, open, .path = "a.b"),
                                        VESTRY_INPUT(shown, big, .path = "a")};
  json_t *untouched = NULL;
  shown now = defaults;
  assert_int_equal(vestry_inputs_signals(equal, 2, &now, NULL, NULL, &untouched), VESTRY_EXISTS);
  assert_int_equal(vestry_inputs_signals(inside, 2, &now, NULL, NULL, &untouched), VESTRY_EXISTS);
  assert_int_equal(vestry_inputs_signals(around, 2, &now, NULL, NULL, &untouched), VESTRY_EXISTS);
  now.ratio = NAN;
  assert_int_equal(vestry_inputs_signals(fields, FIELDS, &now, &defaults, NULL, &untouched), VESTRY_INVALID);
  now = defaults;
  strcpy(now.name, "\xff");
  assert_int_equal(vestry_inputs_signals(fields, FIELDS, &now, &defaults, NULL, &untouched), VESTRY_INVALID);
  assert_int_equal(vestry_inputs_signals(fields, FIELDS, NULL, NULL, NULL, &untouched), VESTRY_INVALID);
  assert_int_equal(vestry_inputs_signals(NULL, 1, &now, NULL, NULL, &untouched), VESTRY_INVALID);
  assert_int_equal(vestry_inputs_signals(fields, FIELDS, &now, NULL, NULL, NULL), VESTRY_INVALID);
  assert_null(untouched);
}

/* --------------------------------------------------------------------------------- pages that merge patches ------- */

static json_t *any_value(uint64_t *random, int depth) {
  switch (random_below(random, depth ? 6 : 4)) {
  case 0: return json_integer((json_int_t)random_below(random, 3));
  case 1: return json_string("x");
  case 2: return json_boolean(random_below(random, 2));
  case 3: {
    json_t *list = json_array();
    if (random_below(random, 2)) json_array_append_new(list, json_integer(1));
    return list;
  }
  default: {
    json_t *object = json_object();
    static const char *const names[] = {"a", "b", "c"};
    for (uint64_t i = random_below(random, 4); i; i--)
      json_object_set_new(object, names[random_below(random, 3)], any_value(random, depth - 1));
    return object;
  }
  }
}

/* A page that has the values of `was` has those of `now` after it has merged what has changed; nothing is sent if
 * nothing has changed. */
TEST_CASE(e3_page_has_the_values_after_random_changes) {
  struct {
    json_t *first, *second;
  } was, now;
  const vestry_input both[] = {
      {.name = "a", .kind = VESTRY_INPUT_JSON, .offset = 0, .bytes = sizeof was.first},
      {.name = "b", .path = "b.c", .kind = VESTRY_INPUT_JSON, .offset = sizeof was.first, .bytes = sizeof was.first}};
  for (uint64_t seed = 1; seed <= 3000; seed++) {
    uint64_t random = seed;
    json_t *sent = NULL, *changed = NULL, *wanted = NULL;
    was.first = any_value(&random, 3), was.second = any_value(&random, 3);
    now.first = random_below(&random, 3) ? any_value(&random, 3) : json_incref(was.first);
    now.second = random_below(&random, 3) ? any_value(&random, 3) : json_deep_copy(was.second);
    assert_int_equal(vestry_inputs_signals(both, 2, &was, NULL, NULL, &sent), VESTRY_OK);
    assert_int_equal(vestry_inputs_signals(both, 2, &now, &was, NULL, &changed), VESTRY_OK);
    assert_int_equal(vestry_inputs_signals(both, 2, &now, NULL, NULL, &wanted), VESTRY_OK);
    assert_int_equal(changed == NULL, json_equal(sent, wanted));
    json_t *page = changed ? merge_patch(json_deep_copy(sent), changed) : json_incref(sent);
    if (!json_equal(page, wanted)) print_message("seed %llu\n", (unsigned long long)seed), fail();
    json_decref(was.first), json_decref(was.second), json_decref(now.first), json_decref(now.second);
    json_decref(sent), json_decref(page), json_decref(changed), json_decref(wanted);
  }
}

/* ------------------------------------------------------------------------------------------------- no memory ------ */

static long jansson_fail_at = -1, jansson_calls, jansson_live;

static void *jansson_malloc(size_t size) {
  if (jansson_calls++ == jansson_fail_at) return NULL;
  jansson_live++;
  return malloc(size);
}

static void jansson_free(void *memory) {
  if (memory) jansson_live--;
  free(memory);
}

TEST_CASE(failed_jansson_allocation_leaks_nothing) {
  json_malloc_t old_malloc;
  json_free_t old_free;
  json_get_alloc_funcs(&old_malloc, &old_free);
  json_set_alloc_funcs(jansson_malloc, jansson_free);
  shown was = defaults, now = defaults;
  was.cart = json_pack("{s:i, s:{s:i, s:i}}", "a", 1, "b", "c", 2, "d", 3);
  now.cart = json_pack("{s:i, s:{s:i}}", "a", 1, "b", "d", 4);
  strcpy(now.name, "x");
  const long before = jansson_live;
  vestry_err error = VESTRY_NO_MEMORY;
  for (long number = 0; error; number++) {
    json_t *changed = NULL;
    jansson_calls = 0, jansson_fail_at = number;
    error = vestry_inputs_signals(fields, FIELDS, &now, &was, NULL, &changed);
    jansson_fail_at = -1;
    if (error) assert_int_equal(error, VESTRY_NO_MEMORY);
    assert_int_equal(changed != NULL, !error);
    if (changed) {
      char text[256];
      print(changed, text);
      assert_string_equal(text, "{\"user\":{\"name\":\"x\",\"cart\":{\"b\":{\"d\":4,\"c\":null}}}}");
    }
    json_decref(changed);
    assert_int_equal(jansson_live, before);
    assert_true(number < 1000);
  }
  json_decref(was.cart);
  json_decref(now.cart);
  assert_int_equal(jansson_live, 0);
  json_set_alloc_funcs(old_malloc, old_free);
}
