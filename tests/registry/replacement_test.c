/* SPDX-License-Identifier: MIT */
/* capability: P5 */
/* Interceptors that replace or skip an effect or action. */
#include "registry/notes.h"

/* An interceptor that acts on entries of one name. */
typedef struct replacer {
  notes *n;
  const char *name;        /* in notes */
  const char *of;          /* the entry's name */
  const char *replacement; /* JSON text; "": none, as after a failed json_pack */
  vestry_err expected;     /* of vestry_context_replace */
} replacer;

static vestry_err replace_before(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  replacer *r = ctx;
  note(r->n, "%s<", r->name);
  vestry_err error = VESTRY_OK;
  if (strcmp(json_string_value(json_array_get(effect, 0)), r->of) == 0) {
    error = vestry_context_replace(context, *r->replacement ? json_loads(r->replacement, 0, NULL) : NULL);
    assert_true(error == r->expected || error == VESTRY_NO_MEMORY);
  }
  note_json(r->n, effect); /* it is valid until the function returns */
  note(r->n, " ");
  return error;
}

static vestry_err replace_after(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  replacer *r = ctx;
  assert_int_equal(vestry_context_replace(context, json_array()), VESTRY_INVALID); /* too late */
  note(r->n, "%s>", r->name);
  note_json(r->n, effect);
  note(r->n, " ");
  return VESTRY_OK;
}

static void add(site *w, replacer *r, vestry_phase phase) {
  assert_int_equal(vestry_registry_intercept(vestry_parts_of(w->v)->registry,
                                             &(vestry_interceptor){r->name, phase, replace_before, replace_after, r}),
                   VESTRY_OK);
}

SITE_CASE(effect_is_replaced) {
  notes n = {""};
  noter a = {&n, "a", false}, c = {&n, "c", false};
  replacer b = {&n, "b", "fail", "[\"e\", [\"data\", \"x\"]]", VESTRY_OK}, d = {&n, "d", "none", "[]", VESTRY_OK};
  register_all(w, &n);
  intercept(w, &a, VESTRY_PHASE_EFFECT);
  add(w, &b, VESTRY_PHASE_EFFECT);
  add(w, &d, VESTRY_PHASE_EFFECT);
  intercept(w, &c, VESTRY_PHASE_EFFECT);
  vestry_dispatch_result result = {0};
  json_t *results = json_array(), *data = json_of("{\"x\": 7}");
  dispatch_text(w, "[[\"fail\", 1], [\"e\", 2]]", &(vestry_dispatch_options){.data = data, .results = results},
                VESTRY_OK, &result);
  assert_string_equal(n.text, "a<fail b<[\"fail\",1] d<[\"e\",[\"data\",\"x\"]] c<e e[[\"data\",\"x\"]] "
                              "c>e d>[\"e\",[\"data\",\"x\"]] b>[\"e\",[\"data\",\"x\"]] a>e "
                              "a<e b<[\"e\",2] d<[\"e\",2] c<e e[2] c>e d>[\"e\",2] b>[\"e\",2] a>e ");
  assert_int_equal(result.effects_count, 2);
  assert_int_equal(result.errors_count + result.skipped_count, 0);
  json_t *expected = json_of("[{\"effect\": [\"e\", [\"data\", \"x\"]], \"value\": null},"
                             " {\"effect\": [\"e\", 2], \"value\": null}]");
  assert_true(json_equal(results, expected));
  json_decref(expected);
  json_decref(results);
  json_decref(data);
}

/* Interceptors after the one that skips are not called, and the functions after of the others are. */
TEST_CASE(effect_is_skipped) {
  for (int fail_fast = 0; fail_fast < 2; fail_fast++) {
    site w;
    notes n = {""};
    noter a = {&n, "a", false}, c = {&n, "c", false};
    replacer b = {&n, "b", "fail", "[]", VESTRY_OK};
    site_begin(&w, (vestry_options){0});
    register_all(&w, &n);
    intercept(&w, &a, VESTRY_PHASE_EFFECT);
    add(&w, &b, VESTRY_PHASE_EFFECT);
    intercept(&w, &c, VESTRY_PHASE_EFFECT);
    vestry_dispatch_result result = {0};
    dispatch_text(&w, "[[\"fail\", 1], [\"e\", 2]]", &(vestry_dispatch_options){.fail_fast = fail_fast}, VESTRY_OK,
                  &result);
    assert_string_equal(n.text, "a<fail b<[\"fail\",1] b>[\"fail\",1] a>fail "
                                "a<e b<[\"e\",2] c<e e[2] c>e b>[\"e\",2] a>e ");
    assert_int_equal(result.effects_count, 1);
    assert_int_equal(result.skipped_count, 1);
    assert_int_equal(result.errors_count, 0);
    site_end(&w);
  }
}

TEST_CASE(action_is_replaced_or_skipped_with_its_effects) {
  static const struct {
    const char *replacement, *text;
    vestry_err expected;
    uint32_t skipped_count, errors_count;
  } cases[] = {
      {"[\"do\", [[\"e\", 2]]]", "b<[\"do\",[[\"e\",1]]] e[2] b>[\"do\",[[\"e\",2]]] e[3] ", VESTRY_OK, 0, 0},
      {"[]", "b<[\"do\",[[\"e\",1]]] b>[\"do\",[[\"e\",1]]] e[3] ", VESTRY_OK, 1, 0},
      {"[\"e\", 2]", "b<[\"do\",[[\"e\",1]]] b>[\"do\",[[\"e\",1]]] e[3] ", VESTRY_INVALID, 1, 1}, /* no action */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    site w;
    notes n = {""};
    replacer b = {&n, "b", "do", cases[i].replacement, cases[i].expected};
    site_begin(&w, (vestry_options){0});
    register_all(&w, &n);
    add(&w, &b, VESTRY_PHASE_ACTION);
    vestry_dispatch_result result = {0};
    dispatch_text(&w, "[[\"do\", [[\"e\", 1]]], [\"e\", 3]]", NULL, cases[i].expected, &result);
    assert_string_equal(n.text, cases[i].text);
    assert_int_equal(result.skipped_count, cases[i].skipped_count);
    assert_int_equal(result.errors_count, cases[i].errors_count);
    site_end(&w);
  }
}

/* Of two entries, an interceptor drops or replaces the first, and the second is performed: in each phase that has
 * entries, in the dispatched list and within an action, and also if a failure would stop the dispatch. */
TEST_CASE(one_of_two_is_dropped_or_replaced_in_each_phase) {
  static const struct {
    vestry_phase phase;
    const char *of, *effects, *replacement, *performed;
    uint32_t skipped_count;
  } cases[] = {
      {VESTRY_PHASE_EFFECT, "fail", "[[\"fail\",1],[\"e\",2]]", "[]", "e[2] ", 1},
      {VESTRY_PHASE_EFFECT, "fail", "[[\"fail\",1],[\"e\",2]]", "[\"e\",9]", "e[9] e[2] ", 0},
      {VESTRY_PHASE_EFFECT, "fail", "[[\"do\",[[\"fail\",1],[\"e\",2]]]]", "[]", "e[2] ", 1},
      {VESTRY_PHASE_EFFECT, "fail", "[[\"do\",[[\"fail\",1],[\"e\",2]]]]", "[\"e\",9]", "e[9] e[2] ", 0},
      {VESTRY_PHASE_ACTION, "veto", "[[\"veto\",[[\"fail\",1]]],[\"do\",[[\"e\",2]]]]", "[]", "e[2] ", 1},
      {VESTRY_PHASE_ACTION, "veto", "[[\"veto\",[[\"fail\",1]]],[\"do\",[[\"e\",2]]]]", "[\"do\",[[\"e\",9]]]",
       "e[9] e[2] ", 0},
      {VESTRY_PHASE_ACTION, "veto", "[[\"do\",[[\"veto\",[[\"fail\",1]]],[\"e\",2]]]]", "[]", "e[2] ", 1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int fail_fast = 0; fail_fast < 2; fail_fast++) {
      site w;
      notes performed = {""}, n = {""};
      replacer b = {&n, "b", cases[i].of, cases[i].replacement, VESTRY_OK};
      site_begin(&w, (vestry_options){0});
      register_all(&w, &performed);
      assert_int_equal(vestry_registry_action(vestry_parts_of(w.v)->registry, "veto", listed_action, NULL), VESTRY_OK);
      add(&w, &b, cases[i].phase);
      vestry_dispatch_result result = {0};
      dispatch_text(&w, cases[i].effects, &(vestry_dispatch_options){.fail_fast = fail_fast}, VESTRY_OK, &result);
      assert_string_equal(performed.text, cases[i].performed);
      assert_int_equal(result.skipped_count, cases[i].skipped_count);
      assert_int_equal(result.errors_count, 0);
      site_end(&w);
    }
}

/* An effect whose replacement fails is not performed, because it may contain text that was to be removed. */
TEST_CASE(failed_replacement_skips_the_effect) {
  static const struct {
    const char *replacement;
    vestry_err expected;
  } cases[] = {{"", VESTRY_NO_MEMORY},           {"{\"e\": 1}", VESTRY_INVALID},
               {"[1]", VESTRY_INVALID},          {"[\"\"]", VESTRY_INVALID},
               {"[[\"e\", 1]]", VESTRY_INVALID}, {"[\"do\", []]", VESTRY_INVALID}}; /* an action */
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    site w;
    notes n = {""};
    replacer b = {&n, "b", "e", cases[i].replacement, cases[i].expected};
    site_begin(&w, (vestry_options){0});
    register_all(&w, &n);
    add(&w, &b, VESTRY_PHASE_EFFECT);
    vestry_dispatch_result result = {0};
    dispatch_text(&w, "[[\"e\", 1]]", NULL, cases[i].expected, &result);
    assert_string_equal(n.text, "b<[\"e\",1] b>[\"e\",1] ");
    assert_int_equal(result.skipped_count, 1);
    assert_int_equal(result.effects_count, 0);
    assert_error(&result, 0, VESTRY_PHASE_EFFECT, "b", "e", cases[i].expected, NULL);
    site_end(&w);
  }
}

static vestry_err replace_twice(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  const bool *skips_last = ctx;
  json_t *kept = json_of("[\"e\", 2]");
  assert_int_equal(vestry_context_replace(context, *skips_last ? kept : json_array()), VESTRY_OK);
  if (*skips_last) return vestry_context_replace(context, json_array());
  return vestry_context_replace(context, kept);
}

TEST_CASE(last_replacement_of_a_function_counts) {
  for (int skips_last = 0; skips_last < 2; skips_last++) {
    site w;
    notes n = {""};
    bool skips = skips_last;
    site_begin(&w, (vestry_options){0});
    register_all(&w, &n);
    assert_int_equal(
        vestry_registry_intercept(vestry_parts_of(w.v)->registry,
                                  &(vestry_interceptor){"b", VESTRY_PHASE_EFFECT, replace_twice, NULL, &skips}),
        VESTRY_OK);
    dispatch_text(&w, "[[\"e\", 1]]", NULL, VESTRY_OK, NULL);
    assert_string_equal(n.text, skips_last ? "" : "e[2] ");
    site_end(&w);
  }
}

static vestry_err replacing_effect(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  return vestry_context_replace(context, json_array());
}

static vestry_err replace_dispatch(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  return vestry_context_replace(context, json_of("[\"e\", 1]"));
}

static vestry_err try_replace(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  assert_int_equal(vestry_context_replace(context, json_array()), VESTRY_INVALID);
  ++*(int *)ctx;
  return VESTRY_OK;
}

/* The begin and the end of a stream, and a dispatch, have no entry: nothing is dropped by mistake. */
TEST_CASE(replacing_in_a_phase_without_entries_is_invalid) {
  static const vestry_phase phases[] = {VESTRY_PHASE_CONNECT, VESTRY_PHASE_DISPATCH, VESTRY_PHASE_CLOSE};
  int calls[3] = {0};
  site w;
  wire r = {0};
  site_begin(&w, (vestry_options){0});
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(
        vestry_registry_intercept(vestry_parts_of(w.v)->registry,
                                  &(vestry_interceptor){"b", phases[i], try_replace, try_replace, &calls[i]}),
        VESTRY_OK);
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a", .effects = "[[\"patch-signals\",{\"n\":1}]]"});
  wire_assert_text(&r, "event: datastar-patch-signals\ndata: signals {\"n\":1}\n\n");
  wire_hang_up(&w, &r);
  for (size_t i = 0; i < 3; i++) assert_true(calls[i] >= 2 && calls[i] % 2 == 0);
  wires_end(&w, &r);
}

SITE_CASE(replacing_outside_of_an_entry_is_invalid) {
  notes n = {""};
  register_all(w, &n);
  struct vestry_registry *registry = vestry_parts_of(w->v)->registry;
  assert_int_equal(vestry_registry_effect(registry, "replace", replacing_effect, NULL), VESTRY_OK);
  const vestry_interceptor around = {"b", VESTRY_PHASE_DISPATCH, replace_dispatch, replace_dispatch, NULL};
  assert_int_equal(vestry_registry_intercept(registry, &around), VESTRY_OK);
  vestry_dispatch_result result = {0};
  dispatch_text(w, "[[\"replace\"], [\"e\", 2]]", NULL, VESTRY_INVALID, &result);
  assert_string_equal(n.text, "e[2] ");
  assert_int_equal(result.errors_count, 3);
  assert_int_equal(result.skipped_count, 0);
}

/* Also those that the reply would otherwise make into events at once. */
static vestry_err patch_both(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, ROOM("a"));
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("secret", 1));
  return vestry_reply_patch_elements(reply, "<p id=\"p\">1</p>");
}

TEST_CASE(effects_of_a_reply_are_replaced) {
  site w;
  notes n = {""};
  replacer b = {&n, "b", "patch-signals", "[\"patch-signals\", {\"shown\": 2}]", VESTRY_OK};
  replacer d = {&n, "d", "patch-elements", "[]", VESTRY_OK};
  wire r = {0}, post = {.method = "POST", .datastar = true, .body = "{}", .body_len = 2};
  site_begin(&w, (vestry_options){0});
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a"});
  add(&w, &b, VESTRY_PHASE_EFFECT);
  add(&w, &d, VESTRY_PHASE_EFFECT);
  wire_request(&w, &post, patch_both, NULL);
  assert_int_equal(post.status, 204);
  wire_assert_text(&r, "event: datastar-patch-signals\ndata: signals {\"shown\":2}\n\n");
  wires_end(&w, &r, &post);
}

/* With allocations that fail, the original is never performed. */
static bool replace_failing(long number) {
  site w;
  notes n = {""};
  replacer b = {&n, "b", "fail", "[\"e\", 2]", VESTRY_OK};
  site_begin(&w, (vestry_options){0});
  register_all(&w, &n);
  add(&w, &b, VESTRY_PHASE_EFFECT);
  json_t *effects = json_of("[[\"fail\", 1]]");
  json_fail_begin(number);
  vestry_dispatch_result result = {0};
  (void)vestry_dispatch_with(w.v, effects, NULL, &result);
  bool failed = json_fail_end();
  json_decref(effects);
  assert_null(strstr(n.text, "f["));
  assert_true(result.effects_count || result.errors_count);
  site_end(&w);
  return failed;
}

TEST_CASE(replacing_survives_every_allocation_failure) {
  long number = 0;
  while (replace_failing(number)) number++;
  assert_true(number > 3);
}

/* ---- connections that are left out ------------------------------------------------------------------------------- */

enum { PAGES = 20 }; /* more than a dispatch holds without an allocation */
static const vestry_scope EVERYBODY = {"all", 3};

/* The pages with an even number are of users, the others have no owner; all share a key. */
typedef struct pages {
  site w;
  vestry_memory_exchange *of[PAGES];
  size_t asked;
} pages;

static vestry_err show_board(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_add_key(reply, EVERYBODY, VESTRY_KEY("board"), PAGES);
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, PAGES);
}

static bool is_secret(const json_t *effect) {
  return strcmp(json_string_value(json_array_get(effect, 0)), "console-log") == 0;
}

static bool is_of_user(pages *p, vestry_connection *connection) {
  char buffer[VESTRY_SCOPE_MAX_BYTES];
  p->asked++;
  return vestry_connection_scope_get(connection, buffer).len > 0;
}

/* Skip a secret effect, and dispatch it to the connections of users. */
static vestry_err only_to_users(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  pages *p = ctx;
  const vestry_dispatch_info *info = vestry_context_info(context);
  const size_t count = info->connections_count;
  if (!is_secret(effect)) return VESTRY_OK;
  if (count == 1 && is_of_user(p, info->connections[0])) return VESTRY_OK;
  json_t *list = json_pack("[O]", effect);
  for (size_t i = 0; i < count && count > 1; i++)
    (void)vestry_dispatch_with(info->v, list, &(vestry_dispatch_options){.connection = info->connections[i]}, NULL);
  json_decref(list);
  return vestry_context_replace(context, json_array());
}

static void pages_begin(pages *p) {
  *p = (pages){.asked = 0};
  site_begin(&p->w, (vestry_options){.scope = site_by_cookie});
  struct vestry_registry *registry = vestry_parts_of(p->w.v)->registry;
  const vestry_interceptor users = {"users", VESTRY_PHASE_EFFECT, only_to_users, NULL, p};
  assert_int_equal(vestry_registry_intercept(registry, &users), VESTRY_OK);
  static const vestry_header ann = {"Cookie", "ann"};
  for (int i = 0; i < PAGES; i++) {
    const vestry_memory_call call = {
        .method = "GET", .path = "/", .datastar = true, .headers = &ann, .headers_count = i % 2 ? 0 : 1};
    assert_int_equal(vestry_memory_request(p->w.v, &call, show_board, NULL, &p->of[i]), VESTRY_OK);
  }
  site_settle(&p->w);
}

static bool has_received(pages *p, int i, const char *text) {
  return strstr(vestry_memory_look(p->of[i]).received.data, text) != NULL;
}

static void pages_end(pages *p) {
  for (int i = 0; i < PAGES; i++) vestry_memory_destroy(p->of[i]);
  site_end(&p->w);
}

static vestry_err tell_board(pages *p, const char *effects, vestry_dispatch_result *ret_result) {
  json_t *list = json_of(effects);
  vestry_err error = vestry_dispatch_with(
      p->w.v, list, &(vestry_dispatch_options){.scope = EVERYBODY, .key = VESTRY_KEY("board")}, ret_result);
  json_decref(list);
  site_settle(&p->w);
  return error;
}

TEST_CASE(effect_goes_only_to_the_connections_that_are_kept) {
  static pages p;
  vestry_dispatch_result result = {0};
  pages_begin(&p);
  assert_int_equal(tell_board(&p, "[[\"console-log\", \"secret\"], [\"patch-signals\", {\"n\": 1}]]", &result),
                   VESTRY_OK);
  assert_int_equal(p.asked, PAGES);
  assert_int_equal(result.effects_count, 1);
  assert_int_equal(result.skipped_count, 1);
  assert_int_equal(result.connections_count, PAGES);
  for (int i = 0; i < PAGES; i++) {
    assert_int_equal(has_received(&p, i, "secret"), i % 2 == 0);
    assert_true(has_received(&p, i, "{\"n\":1}")); /* the next effect goes to all again */
  }
  /* A visitor logs in: the scope is that of now. */
  assert_int_equal(vestry_connection_scope_set(vestry_memory_look(p.of[1]).connection, (vestry_scope){"bob", 3}, 0),
                   VESTRY_OK);
  assert_int_equal(tell_board(&p, "[[\"console-log\", \"later\"]]", NULL), VESTRY_OK);
  assert_true(has_received(&p, 1, "later") && !has_received(&p, 3, "later"));
  /* The list of one connection. */
  assert_int_equal(vestry_connection_scope_set(vestry_memory_look(p.of[0]).connection, (vestry_scope){NULL, 0}, PAGES),
                   VESTRY_OK);
  json_t *list = json_of("[[\"console-log\", \"alone\"]]");
  const vestry_dispatch_options one = {.connection = vestry_memory_look(p.of[0]).connection};
  assert_int_equal(vestry_dispatch_with(p.w.v, list, &one, &result), VESTRY_OK);
  json_decref(list);
  assert_int_equal(result.skipped_count, 1);
  assert_int_equal(result.effects_count + result.errors_count, 0);
  site_settle(&p.w);
  assert_false(has_received(&p, 0, "alone"));
  pages_end(&p);
}
