/* SPDX-License-Identifier: MIT */
/* E3: signals with a schema are read from a page's request, set within bounds, and sent if they differ. */
#include "vestry/app/signal_state.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "http/reply.h"
#include "runtime/random.h"
#include "serve/wire.h"
#include "signals/merge.h"
#include "support/reply_effects.h"

static const vestry_field fields[] = {
    VESTRY_BOOLEAN_FIELD("open", true),       VESTRY_INTEGER_FIELD("count", 5, -10, 100),
    VESTRY_NUMBER_FIELD("ratio", 0.5, 0, 1),  VESTRY_STRING_FIELD("user.name", "nobody", 8),
    VESTRY_JSON_FIELD("user.cart", "[]", 40), VESTRY_INTEGER_FIELD("big", 0, 0, 0),
};
enum { FIELDS = sizeof fields / sizeof *fields };

static vestry_schema *schema;

static int make_schema(void **state) {
  return vestry_schema_create(NULL, fields, FIELDS, &schema, NULL) ? -1 : 0;
}

static int drop_schema(void **state) {
  vestry_schema_destroy(schema);
  return 0;
}

static vestry_signal_state *open_with(const char *json) {
  json_t *signals = NULL;
  if (json) assert_int_equal(vestry_signals_parse(json, strlen(json), NULL, &signals, NULL), VESTRY_OK);
  vestry_signal_state *r = NULL;
  assert_int_equal(vestry_signal_state_create(schema, signals, &r), VESTRY_OK);
  json_decref(signals); /* the state keeps its own copies */
  return r;
}

/* Assert the values of all fields, as text. */
static void assert_values(const vestry_signal_state *r, const char *expected) {
  bool open = false;
  int64_t count = 0, big = 0;
  double ratio = 0;
  const char *name = NULL;
  json_t *cart = NULL;
  assert_int_equal(vestry_signal_state_get(r, "open", VESTRY_INTO(&open)), VESTRY_OK);
  assert_int_equal(vestry_signal_state_get(r, "count", VESTRY_INTO(&count)), VESTRY_OK);
  assert_int_equal(vestry_signal_state_get(r, "ratio", VESTRY_INTO(&ratio)), VESTRY_OK);
  assert_int_equal(vestry_signal_state_get(r, "user.name", VESTRY_INTO(&name)), VESTRY_OK);
  assert_int_equal(vestry_signal_state_get(r, "user.cart", VESTRY_INTO(&cart)), VESTRY_OK);
  assert_int_equal(vestry_signal_state_get(r, "big", VESTRY_INTO(&big)), VESTRY_OK);
  char text[256], *json = json_dumps(cart, JSON_COMPACT | JSON_ENCODE_ANY);
  snprintf(text, sizeof text, "%d %lld %g %s %s %lld", open, (long long)count, ratio, name, json, (long long)big);
  free(json);
  assert_string_equal(text, expected);
}

/* Assert the effect that a save adds to a reply; "": none. */
static void assert_saves(vestry_signal_state *r, bool all, const char *expected) {
  vestry_reply reply;
  vsi_reply_init(&reply, vestry_host_default());
  bool saved = all;
  bool changed = vestry_signal_state_is_changed(r);
  if (all)
    assert_int_equal(vestry_signal_state_save_reply(r, VESTRY_SAVE_ALL, &reply, NULL), VESTRY_OK);
  else
    assert_int_equal(vestry_signal_state_save_reply(r, VESTRY_SAVE_CHANGED, &reply, &saved), VESTRY_OK);
  assert_int_equal(saved, *expected != '\0');
  if (!all) assert_int_equal(changed, saved);
  assert_false(vestry_signal_state_is_changed(r));
  if (saved) {
    json_t *effects = reply_effects(&reply);
    char *text = json_dumps(effects, JSON_COMPACT), wanted[512];
    snprintf(wanted, sizeof wanted, "[[\"patch-signals\",%s]]", expected);
    assert_string_equal(text, wanted);
    free(text);
    json_decref(effects);
  } else {
    assert_int_equal(reply.effects_count, 0);
  }
  vsi_reply_finish(&reply);
}

#define DEFAULTS "1 5 0.5 nobody [] 0"

/* capability: E3 */
TEST_CASE(e3_absent_signals_have_their_defaults) {
  static const char *const inputs[] = {NULL,
                                       "{}",
                                       "{\"other\":1}",
                                       "{\"count\":null,\"user\":null}",
                                       "{\"user\":{}}",
                                       "{\"user\":{\"name\":null,\"cart\":null}}"};
  for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
    vestry_signal_state *r = open_with(inputs[i]);
    assert_values(r, DEFAULTS);
    assert_int_equal(vestry_signal_state_errors(r, NULL, 0), 0);
    assert_saves(r, false, ""); /* no field was changed */
    vestry_signal_state_destroy(r);
  }
}

/* capability: E3 */
TEST_CASE(e3_repository_is_filled_from_the_signals_sent) {
  vestry_signal_state *r = open_with("{\"open\":false,\"count\":-10,\"ratio\":1,\"user\":{\"name\":\"\\u00e4bc\","
                                     "\"cart\":{\"a\":[1,null]},\"else\":1},\"big\":9007199254740991}");
  assert_values(r, "0 -10 1 \xc3\xa4"
                   "bc {\"a\":[1,null]} 9007199254740991");
  assert_int_equal(vestry_signal_state_errors(r, NULL, 0), 0);
  assert_saves(r, false, "");
  vestry_signal_state_destroy(r);
  r = open_with("{\"count\":7.0,\"big\":-1e3}"); /* JSON has no integer type */
  assert_values(r, "1 7 0.5 nobody [] -1000");
  assert_saves(r, false, "");
  vestry_signal_state_destroy(r);
}

/* capability: E3 */
TEST_CASE(e3_bad_signals_have_defaults_and_errors) {
  static const struct {
    const char *json, *path;
    vestry_err error;
    const char *message, *repair;
  } cases[] = {
      {"{\"open\":1}", "open", VESTRY_INVALID, "true or false is expected", "{\"open\":true}"},
      {"{\"open\":\"true\"}", "open", VESTRY_INVALID, "true or false is expected", "{\"open\":true}"},
      {"{\"count\":\"5\"}", "count", VESTRY_INVALID, "an integer is expected", "{\"count\":5}"},
      {"{\"count\":5.5}", "count", VESTRY_INVALID, "an integer is expected", "{\"count\":5}"},
      {"{\"count\":{}}", "count", VESTRY_INVALID, "an integer is expected", "{\"count\":5}"},
      {"{\"count\":101}", "count", VESTRY_LIMIT, "an integer from -10 to 100 is expected", "{\"count\":5}"},
      {"{\"count\":-11}", "count", VESTRY_LIMIT, "an integer from -10 to 100 is expected", "{\"count\":5}"},
      {"{\"count\":1e300}", "count", VESTRY_LIMIT, "an integer from -10 to 100 is expected", "{\"count\":5}"},
      {"{\"big\":9007199254740992}", "big", VESTRY_LIMIT,
       "an integer from -9007199254740991 to 9007199254740991 is expected", "{\"big\":0}"},
      {"{\"big\":-9223372036854775808}", "big", VESTRY_LIMIT,
       "an integer from -9007199254740991 to 9007199254740991 is expected", "{\"big\":0}"},
      {"{\"ratio\":1.01}", "ratio", VESTRY_LIMIT, "a number from 0 to 1 is expected", "{\"ratio\":0.5}"},
      {"{\"ratio\":[]}", "ratio", VESTRY_INVALID, "a number is expected", "{\"ratio\":0.5}"},
      {"{\"user\":{\"name\":7}}", "user.name", VESTRY_INVALID, "a string is expected",
       "{\"user\":{\"name\":\"nobody\"}}"},
      {"{\"user\":{\"name\":\"123456789\"}}", "user.name", VESTRY_TOO_LARGE,
       "at most 8 bytes are allowed, nested at most 240 deep", "{\"user\":{\"name\":\"nobody\"}}"},
      {"{\"user\":{\"cart\":\"12345678901234567890123456789012345678901\"}}", "user.cart", VESTRY_TOO_LARGE,
       "at most 40 bytes are allowed, nested at most 240 deep", "{\"user\":{\"cart\":[]}}"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    vestry_signal_state *r = open_with(cases[i].json);
    assert_values(r, DEFAULTS);
    vestry_field_error error;
    assert_int_equal(vestry_signal_state_errors(r, &error, 1), 1);
    assert_string_equal(error.path, cases[i].path);
    assert_int_equal(error.error, cases[i].error);
    assert_string_equal(error.message, cases[i].message);
    assert_saves(r, false, cases[i].repair); /* the page has another value, so the save sends the default */
    assert_saves(r, false, "");
    vestry_signal_state_destroy(r);
  }
}

TEST_CASE(e3_several_errors_are_collected) {
  vestry_signal_state *r =
      open_with("{\"open\":0,\"count\":\"\",\"ratio\":2,\"user\":[\"name\"],\"big\":3,\"more\":{\"x\":1}}");
  assert_values(r, "1 5 0.5 nobody [] 3");
  vestry_field_error errors[FIELDS + 1] = {{NULL, VESTRY_OK, ""}};
  assert_int_equal(vestry_signal_state_errors(r, errors, FIELDS + 1), 5);
  assert_string_equal(errors[0].path, "open");
  assert_string_equal(errors[2].path, "ratio");
  assert_int_equal(errors[2].error, VESTRY_LIMIT);
  assert_string_equal(errors[3].path, "user.name"); /* its parent is not an object */
  assert_int_equal(errors[3].error, VESTRY_INVALID);
  assert_string_equal(errors[4].path, "user.cart");
  assert_null(errors[5].path);
  errors[1].path = "untouched";
  assert_int_equal(vestry_signal_state_errors(r, errors, 1), 5); /* bounded */
  assert_string_equal(errors[1].path, "untouched");
  assert_saves(r, false, "{\"open\":true,\"count\":5,\"ratio\":0.5,\"user\":{\"name\":\"nobody\",\"cart\":[]}}");
  vestry_signal_state_destroy(r);
}

TEST_CASE(e3_setting_beyond_bounds_is_an_error) {
  vestry_signal_state *r = open_with(NULL);
  assert_int_equal(vestry_signal_state_set(r, "count", VESTRY_VALUES(101)), VESTRY_LIMIT);
  assert_int_equal(vestry_signal_state_set(r, "count", VESTRY_VALUES(-11)), VESTRY_LIMIT);
  assert_int_equal(vestry_signal_state_set(r, "big", VESTRY_VALUES(VESTRY_INTEGER_FIELD_MAX + 1)), VESTRY_LIMIT);
  assert_int_equal(vestry_signal_state_set(r, "big", VESTRY_VALUES(INT64_MIN)), VESTRY_LIMIT);
  assert_int_equal(vestry_signal_state_set(r, "ratio", VESTRY_VALUES(1.5)), VESTRY_LIMIT);
  assert_int_equal(vestry_signal_state_set(r, "ratio", VESTRY_VALUES(NAN)), VESTRY_INVALID);
  assert_int_equal(vestry_signal_state_set(r, "ratio", VESTRY_VALUES(INFINITY)), VESTRY_INVALID);
  assert_int_equal(vestry_signal_state_set(r, "none", VESTRY_VALUES(NAN)), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_signal_state_set(r, "user.name", VESTRY_VALUES("123456789")), VESTRY_TOO_LARGE);
  assert_int_equal(vestry_signal_state_set(r, "user.name", VESTRY_VALUES("\xff")), VESTRY_INVALID);
  assert_int_equal(vestry_signal_state_set(r, "user.name", VESTRY_VALUES((const char *)NULL)), VESTRY_INVALID);
  assert_int_equal(vestry_signal_state_set(r, "user", VESTRY_VALUES("\xff")), VESTRY_NOT_FOUND);
  json_t *nul = json_stringn("a\0b", 3), *nested = json_array(),
         *wide = json_string("a text of more than thirty-eight bytes, so too large");
  assert_int_equal(vestry_signal_state_set(r, "user.name", VESTRY_VALUES(nul)), VESTRY_INVALID);
  json_decref(nul);
  assert_int_equal(vestry_signal_state_set(r, "user.cart", VESTRY_VALUES(wide)), VESTRY_TOO_LARGE);
  assert_int_equal(vestry_signal_state_set(r, "user.cart", VESTRY_VALUES((json_t *)NULL)), VESTRY_INVALID);
  for (int i = 0; i < 100000; i++) { /* deeper than any stack: refused before any recursion */
    json_t *outer = json_array();
    json_array_append_new(outer, nested);
    nested = outer;
    if (i > 300 && i < 99990) continue;
    assert_int_equal(vestry_signal_state_set(r, "user.cart", VESTRY_VALUES(nested)),
                     i < 19 ? VESTRY_OK : VESTRY_TOO_LARGE);
  }
  while (json_array_size(nested)) { /* jansson would recurse */
    json_t *inner = json_incref(json_array_get(nested, 0));
    json_decref(nested);
    nested = inner;
  }
  json_decref(nested);
  json_decref(wide);
  assert_int_equal(vestry_signal_state_set(r, "ratio", VESTRY_VALUES(1)),
                   VESTRY_INVALID); /* the field has another type */
  assert_int_equal(vestry_signal_state_set(r, "count", VESTRY_VALUES(VESTRY_TRUE)), VESTRY_INVALID);
  assert_int_equal(vestry_signal_state_set(r, "nothing", VESTRY_VALUES(VESTRY_TRUE)), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_signal_state_set(r, NULL, VESTRY_VALUES(VESTRY_TRUE)), VESTRY_NOT_FOUND);
  int64_t untouched = 77;
  assert_int_equal(vestry_signal_state_get(r, "ratio", VESTRY_INTO(&untouched)), VESTRY_INVALID);
  assert_int_equal(vestry_signal_state_get(r, "user", VESTRY_INTO(&untouched)), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_signal_state_get(r, "count", vestry_into_between(&untouched, -2, -1)), VESTRY_LIMIT);
  assert_int_equal(vestry_signal_state_get(r, "count", vestry_into_integer(NULL)), VESTRY_INVALID);
  assert_int_equal(untouched, 77);
  vestry_signal_state_destroy(r);
  assert_int_equal(vestry_signal_state_create(NULL, NULL, &r), VESTRY_INVALID);
  assert_int_equal(vestry_signal_state_create(schema, NULL, NULL), VESTRY_INVALID);
  vestry_signal_state_destroy(NULL);
}

/* capability: E3 */
TEST_CASE(e3_save_sends_only_what_changed) {
  vestry_signal_state *r = open_with("{\"count\":5,\"user\":{\"name\":\"anna\"},\"open\":true}");
  assert_int_equal(vestry_signal_state_set(r, "count", VESTRY_VALUES(6)), VESTRY_OK);
  /* equal to the page's value */
  assert_int_equal(vestry_signal_state_set(r, "open", VESTRY_VALUES(VESTRY_TRUE)), VESTRY_OK);
  assert_saves(r, false, "{\"count\":6}");
  assert_saves(r, false, ""); /* the saved values are the new base */
  vestry_signal_state_set(r, "count", VESTRY_VALUES(7));
  vestry_signal_state_set(r, "count", VESTRY_VALUES(6)); /* the value before */
  assert_saves(r, false, "");
  vestry_signal_state_set(r, "user.name", VESTRY_VALUES("</"));
  vestry_signal_state_set(r, "ratio", VESTRY_VALUES(0.25));
  assert_saves(r, false, "{\"ratio\":0.25,\"user\":{\"name\":\"</\"}}");
  assert_int_equal(vestry_signal_state_set(r, "big", VESTRY_VALUES(0)),
                   VESTRY_OK); /* the default, but the page has no value */
  assert_saves(r, false, "{\"big\":0}");
  vestry_signal_state_destroy(r);
}

/* capability: E3 */
TEST_CASE(e3_save_all_sends_all) {
  vestry_signal_state *r = open_with("{\"count\":9,\"user\":{\"cart\":{\"a\":1,\"b\":2}}}");
  json_t *cart = json_pack("{s:i}", "a", 1);
  assert_int_equal(vestry_signal_state_set(r, "user.cart", VESTRY_VALUES(cart)), VESTRY_OK);
  json_object_set_new(cart, "a", json_integer(2)); /* the state has copied it */
  json_decref(cart);
  assert_saves(r, true,
               "{\"open\":true,\"count\":9,\"ratio\":0.5,\"user\":{\"name\":\"nobody\",\"cart\":{\"a\":1,\"b\":null}},"
               "\"big\":0}");
  assert_saves(r, false, "");
  assert_saves(r, true,
               "{\"open\":true,\"count\":9,\"ratio\":0.5,\"user\":{\"name\":\"nobody\",\"cart\":{\"a\":1}},\"big\":0}");
  vestry_signal_state_destroy(r);
}

static void set_cart(vestry_signal_state *r, const char *json) {
  json_t *cart = json_loads(json, JSON_DECODE_ANY, NULL);
  assert_int_equal(vestry_signal_state_set(r, "user.cart", VESTRY_VALUES(cart)), VESTRY_OK);
  json_decref(cart);
}

TEST_CASE(e3_objects_are_patched_by_their_members) {
  vestry_signal_state *r = open_with("{\"user\":{\"cart\":{\"a\":1,\"b\":{\"c\":2,\"d\":3}}}}");
  set_cart(r, "{\"a\":1,\"b\":{\"d\":4,\"e\":5}}");
  assert_saves(r, false, "{\"user\":{\"cart\":{\"b\":{\"d\":4,\"e\":5,\"c\":null}}}}");
  set_cart(r, "[1]");
  assert_saves(r, false, "{\"user\":{\"cart\":[1]}}"); /* lists are replaced */
  set_cart(r, "{\"a\":{}}");
  assert_saves(r, false, "{\"user\":{\"cart\":{\"a\":{}}}}");
  set_cart(r, "null");
  assert_saves(r, false, "{\"user\":{\"cart\":null}}"); /* removed */
  assert_saves(r, false, "");
  vestry_signal_state_destroy(r);
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

static json_t *at_path(json_t *page, const char *path) {
  char copy[32], *rest = NULL;
  snprintf(copy, sizeof copy, "%s", path);
  json_t *at = page;
  for (char *name = strtok_r(copy, ".", &rest); name; name = strtok_r(NULL, ".", &rest)) at = json_object_get(at, name);
  return at;
}

/* For random signals of a page and random sets: after a save, the page has the state's value of each field that
 * the page sent, that was invalid, or that was set. A state created from that page is unchanged. */
TEST_CASE(e3_page_has_the_saved_values_after_random_edits) {
  static const char *const paths[] = {"a", "b.c", "b.d.e"};
  static const vestry_field some[] = {VESTRY_JSON_FIELD("a", "{\"a\":1}", 0), VESTRY_JSON_FIELD("b.c", "7", 0),
                                      VESTRY_JSON_FIELD("b.d.e", "[]", 0)};
  vestry_schema *own;
  assert_int_equal(vestry_schema_create(NULL, some, 3, &own, NULL), VESTRY_OK);
  for (uint64_t seed = 1; seed <= 3000; seed++) {
    uint64_t random = seed;
    json_t *page = json_object();
    static const char *const names[] = {"a", "b"};
    for (int i = 0; i < 2; i++)
      if (random_below(&random, 3)) json_object_set_new(page, names[i], any_value(&random, 3));
    json_t *sent = json_deep_copy(page);
    vestry_signal_state *r;
    assert_int_equal(vestry_signal_state_create(own, sent, &r), VESTRY_OK);
    bool set[3] = {false};
    for (int round = 0; round < 3; round++) {
      for (int i = 0; i < 3; i++) {
        if (random_below(&random, 2)) continue;
        json_t *value = any_value(&random, 2);
        assert_int_equal(vestry_signal_state_set(r, paths[i], VESTRY_VALUES(value)), VESTRY_OK);
        json_decref(value);
        set[i] = true;
      }
      vestry_reply reply;
      vsi_reply_init(&reply, vestry_host_default());
      bool saved = false;
      if (random_below(&random, 4)) {
        assert_int_equal(vestry_signal_state_save_reply(r, VESTRY_SAVE_CHANGED, &reply, &saved), VESTRY_OK);
      } else {
        assert_int_equal(vestry_signal_state_save_reply(r, VESTRY_SAVE_ALL, &reply, NULL), VESTRY_OK);
        saved = set[0] = set[1] = set[2] = true;
      }
      json_t *effects = reply_effects(&reply);
      if (saved) page = merge_patch(page, json_array_get(json_array_get(effects, 0), 1));
      json_decref(effects);
      vsi_reply_finish(&reply);
      for (int i = 0; i < 3; i++) {
        json_t *value;
        vestry_signal_state_get(r, paths[i], VESTRY_INTO(&value));
        json_t *has = at_path(page, paths[i]);
        bool known = set[i] || (json_is_object(sent) && at_path(sent, paths[i]));
        if (known && !(has && json_equal(value, has))) {
          print_message("seed %llu\n", (unsigned long long)seed);
          fail();
        }
      }
    }
    vestry_signal_state_destroy(r);
    assert_int_equal(vestry_signal_state_create(own, page, &r), VESTRY_OK);
    if (!vestry_signal_state_errors(r, NULL, 0)) assert_false(vestry_signal_state_is_changed(r));
    vestry_signal_state_destroy(r);
    json_decref(sent);
    json_decref(page);
  }
  vestry_schema_destroy(own);
}

/* ------------------------------------------------------------------------------------------ connections ------ */

TEST_CASE(e3_save_to_connection_sends_and_e6_closed_is_refused) {
  site w;
  wire to = {0};
  site_begin(&w, (vestry_options){0});
  wire_plan(&w, &to, &(plan){.key = "a", .keep = true});
  vestry_signal_state *r = open_with("{\"count\":1}");
  bool saved = true;
  assert_int_equal(vestry_signal_state_save(r, VESTRY_SAVE_CHANGED, to.connection, &saved), VESTRY_OK);
  assert_false(saved);
  vestry_signal_state_set(r, "count", VESTRY_VALUES(2));
  assert_int_equal(vestry_signal_state_save(r, VESTRY_SAVE_CHANGED, to.connection, &saved), VESTRY_OK);
  assert_true(saved);
  assert_int_equal(vestry_signal_state_save(r, VESTRY_SAVE_ALL, to.connection, NULL), VESTRY_OK);
  site_settle(&w);
  wire_assert_text(&to, "event: datastar-patch-signals\ndata: signals {\"count\":2}\n\n"
                        "event: datastar-patch-signals\ndata: signals {\"open\":true,\"count\":2,\"ratio\":0.5,"
                        "\"user\":{\"name\":\"nobody\",\"cart\":[]},\"big\":0}\n\n");
  vestry_signal_state_set(r, "count", VESTRY_VALUES(3));
  wire_hang_up(&w, &to);
  saved = false;
  assert_int_equal(vestry_signal_state_save(r, VESTRY_SAVE_CHANGED, to.connection, &saved),
                   VESTRY_CLOSED); /* E6: refused without effect */
  assert_int_equal(vestry_signal_state_save(r, VESTRY_SAVE_ALL, to.connection, NULL), VESTRY_CLOSED);
  assert_false(saved);
  assert_true(vestry_signal_state_is_changed(r)); /* the change is kept */
  assert_saves(r, false, "{\"count\":3}");
  assert_int_equal(vestry_signal_state_save(r, VESTRY_SAVE_CHANGED, to.connection, &saved),
                   VESTRY_OK); /* nothing to send */
  vestry_signal_state_destroy(r);
  wires_end(&w, &to);
}

static vestry_err count_up(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_signal_state *r;
  vestry_err error = vestry_signal_state_create(app, req->signals, &r);
  if (error) return error;
  int64_t count = 0;
  error = vestry_signal_state_get(r, "count", VESTRY_INTO(&count));
  if (!error) error = vestry_signal_state_set(r, "count", VESTRY_VALUES(count + 1));
  if (!error) error = vestry_signal_state_save_reply(r, VESTRY_SAVE_CHANGED, reply, NULL);
  vestry_signal_state_destroy(r);
  return error;
}

TEST_CASE(e3_handler_saves_into_its_reply) {
  site w;
  wire up = {.method = "POST", .datastar = true, .body = "{\"count\":41}", .body_len = 12};
  site_begin(&w, (vestry_options){0});
  wire_request(&w, &up, count_up, schema);
  wire_assert_text(&up, "event: datastar-patch-signals\ndata: signals {\"count\":42}\n\n");
  wires_end(&w, &up);
}

/* ------------------------------------------------------------------------------------------ no memory ------ */

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

/* If any allocation fails, the state is that before the call that returned the error. */
static vestry_err work(test_host *th, void *ctx) {
  json_t *signals = ctx;
  vestry_schema *own = NULL;
  vestry_signal_state *r = NULL;
  vestry_reply reply;
  vsi_reply_init(&reply, &th->host);
  vestry_err error = vestry_schema_create(&th->host, fields, FIELDS, &own, NULL);
  if (!error) error = vestry_signal_state_create(own, signals, &r);
  if (!error) error = vestry_signal_state_set(r, "user.name", VESTRY_VALUES("x"));
  if (!error) error = vestry_signal_state_set(r, "ratio", VESTRY_VALUES(0.75));
  if (!error) {
    json_t *had = NULL, *has = NULL;
    vestry_signal_state_get(r, "user.cart", VESTRY_INTO(&had));
    error = vestry_signal_state_set(r, "user.cart",
                                    VESTRY_VALUES(json_object_get(json_object_get(signals, "user"), "other")));
    vestry_signal_state_get(r, "user.cart", VESTRY_INTO(&has));
    assert_int_equal(had == has, error != VESTRY_OK);
  }
  bool saved = false;
  if (!error) {
    error = vestry_signal_state_save_reply(r, VESTRY_SAVE_CHANGED, &reply, &saved);
    assert_int_equal(saved, !error);
    assert_int_equal(vestry_signal_state_is_changed(r), error != VESTRY_OK);
  }
  vestry_signal_state_destroy(r);
  vestry_schema_destroy(own);
  vsi_reply_finish(&reply);
  return error;
}

static json_t *some_signals(void) {
  return json_pack("{s:i, s:{s:s, s:{s:i, s:{s:i}}, s:{s:{s:i, s:i}}}}", "count", 7, "user", "name", "y", "cart", "a",
                   1, "b", "c", 2, "other", "b", "d", 3, "e", 4);
}

TEST_CASE(failed_allocation_changes_no_state) {
  json_t *signals = some_signals();
  assert_non_null(signals);
  test_host_fail_each(work, signals, false);
  json_decref(signals);
}

TEST_CASE(failed_jansson_allocation_changes_no_state) {
  json_malloc_t old_malloc;
  json_free_t old_free;
  json_get_alloc_funcs(&old_malloc, &old_free);
  json_set_alloc_funcs(jansson_malloc, jansson_free);
  json_t *signals = some_signals();
  assert_non_null(signals);
  long before = jansson_live, failures = 0;
  for (long number = 0;; number++) {
    test_host th;
    test_host_init(&th);
    jansson_calls = 0;
    jansson_fail_at = number;
    vestry_err error = work(&th, signals);
    jansson_fail_at = -1;
    test_host_assert_clean(&th);
    assert_int_equal(jansson_live, before);
    if (error) assert_int_equal(error, VESTRY_NO_MEMORY);
    failures += error != VESTRY_OK;
    if (jansson_calls > number) continue;
    assert_int_equal(error, VESTRY_OK);
    /* jansson's parser tolerates a few failures; see event/signals.c */
    assert_true(failures > 20 && failures >= number - 5);
    break;
  }
  json_decref(signals);
  assert_int_equal(jansson_live, 0);
  json_set_alloc_funcs(old_malloc, old_free);
}

TEST_CASE(save_after_failed_allocation_sends_the_change) {
  site w;
  wire to = {0};
  site_begin(&w, (vestry_options){0});
  wire_plan(&w, &to, &(plan){.key = "a", .keep = true});
  vestry_schema *own;
  vestry_signal_state *r;
  vestry_schema_create(&w.th.host, fields, FIELDS, &own, NULL);
  vestry_signal_state_create(own, NULL, &r);
  vestry_signal_state_set(r, "count", VESTRY_VALUES(6));
  vestry_err error = VESTRY_NO_MEMORY;
  for (long number = 0; error; number++) {
    test_host_fail_in(&w.th, number);
    error = vestry_signal_state_save(r, VESTRY_SAVE_CHANGED, to.connection, NULL);
    test_host_fail_no_more(&w.th);
    if (error) assert_int_equal(error, VESTRY_NO_MEMORY);
    assert_int_equal(vestry_signal_state_is_changed(r), error != VESTRY_OK);
  }
  site_settle(&w);
  assert_int_equal(wire_count(&to, "{\"count\":6}"), 1);
  vestry_signal_state_destroy(r);
  vestry_schema_destroy(own);
  wires_end(&w, &to);
}

/* ---------------------------------------------------------------------------------------------------- threads ----- */

enum { THREADS = 3, ROUNDS = 200 };

static void *use_the_schema(void *start) {
  pthread_barrier_wait(start);
  for (int i = 0; i < ROUNDS; i++) {
    vestry_signal_state *r = open_with(i % 2 ? "{\"count\": 1}" : NULL);
    assert_values(r, i % 2 ? "1 1 0.5 nobody [] 0" : "1 5 0.5 nobody [] 0");
    assert_int_equal(vestry_signal_state_set(r, "open", VESTRY_VALUES(VESTRY_FALSE)), VESTRY_OK);
    vestry_reply reply;
    vsi_reply_init(&reply, vestry_host_default());
    assert_int_equal(vestry_signal_state_save_reply(r, VESTRY_SAVE_ALL, &reply, NULL), VESTRY_OK);
    vsi_reply_finish(&reply);
    vestry_signal_state_destroy(r);
  }
  return NULL;
}

/* For the thread sanitizer: two threads never change the reference count of one default. */
TEST_CASE(e3_threads_may_share_a_schema) {
  pthread_t threads[THREADS];
  pthread_barrier_t start;
  pthread_barrier_init(&start, NULL, THREADS);
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, use_the_schema, &start), 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&start);
}

int main(void) {
  return cases_run("signals/signal_state", make_schema, drop_schema);
}
