/* SPDX-License-Identifier: MIT */
#include "page/form_database_contract.h"

#include <pthread.h>

#include "base/memory.h"
#include "vestry/app/input.h"
#include "vestry/app/tab.h"

static const form_database *database;

/* -------------------------------------------------------------------------------------------------- submits ------- */

vestry_err form_end_of_submit;

static vestry_err submit(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = database->submit(app, req, form_end_of_submit);
  return error ? error : vestry_reply_redirect(reply, 303, "/");
}

void form_begin_submit(form_suite *s) {
  form_end_of_submit = VESTRY_OK;
  form_begin(s, NULL);
  assert_int_equal(vestry_route(s->on.v, "POST", "/submit", submit, s), VESTRY_OK);
}

/* capability: L4 */
TEST_CASE(form_is_cleared_in_the_transaction_of_its_submit) {
  form_suite s;
  form_tab t = {.cookie = ""};
  form_begin_submit(&s);
  form_load(&s, &t);
  assert_int_equal(form_send(&s, &t, 1, "v.title=typed"), 200);
  const uint64_t before = t.generation;
  form_end_of_submit = VESTRY_FAILED;
  assert_true(form_call(&s, &t, "POST", "/submit", "x=1", NULL) >= 500);
  form_shows(&s, &t, "value=\"typed\"");
  assert_int_equal(t.generation, before);
  assert_int_equal(form_stats(&s).cleared_count, 0);
  assert_int_equal(form_send(&s, &t, 2, "v.title=typed+on"), 200);
  form_end_of_submit = VESTRY_OK;
  assert_int_equal(form_call(&s, &t, "POST", "/submit", "x=1", NULL), 303);
  assert_int_equal(form_send(&s, &t, 3, "v.title=late"), 200);
  assert_int_equal(form_stats(&s).late_count, 1);
  form_shows(&s, &t, "value=\"first\"");
  assert_true(t.generation > before);
  assert_int_equal(form_stats(&s).cleared_count, 1);
  assert_int_equal(database->number(&s, "SELECT count(*) FROM report"), 1);
  database->check(&s);
  form_end(&s);
}

static vestry_err submit_while_it_reads(const vestry_request *req, vestry_reply *reply, void *app) {
  assert_int_equal(database->clear_reading(app, req), VESTRY_INVALID);
  return vestry_reply_status(reply, 204);
}

/* capability: L4 */
TEST_CASE(clear_in_a_read_transaction_is_invalid) {
  form_suite s;
  form_tab t = {.cookie = ""};
  form_begin_submit(&s);
  assert_int_equal(vestry_route(s.on.v, "POST", "/reads", submit_while_it_reads, &s), VESTRY_OK);
  form_load(&s, &t);
  assert_int_equal(form_send(&s, &t, 1, "v.title=typed"), 200);
  assert_int_equal(form_call(&s, &t, "POST", "/reads", "x=1", NULL), 204);
  assert_non_null(strstr(s.on.th.last_log, "this thread has a "));
  form_shows(&s, &t, "value=\"typed\"");
  form_end(&s);
}

/* capability: L4 */
TEST_CASE(form_outlives_its_instance_and_is_shared_by_all) {
  form_suite s, other;
  form_tab t = {.cookie = ""}, there;
  database->make();
  form_begin_submit(&s);
  form_load(&s, &t);
  assert_int_equal(form_send(&s, &t, 1, "v.title=typed&v.text=%C3%A4%F0%9F%8C%8D"), 200);
  form_end(&s);
  form_begin_submit(&s);
  form_shows(&s, &t, "value=\"typed\"");
  form_shows(&s, &t, "\xc3\xa4\xf0\x9f\x8c\x8d</textarea>");
  form_begin_submit(&other);
  there = t;
  form_shows(&other, &there, "value=\"typed\"");
  assert_int_equal(form_send(&other, &there, 2, "v.title=there"), 200);
  form_shows(&s, &t, "value=\"there\"");
  assert_int_equal(form_send(&s, &t, 2, "v.title=overtaken"), 200);
  assert_int_equal(form_stats(&s).late_count, 1);
  /* submitted on one instance: a later message on the other is late, and each next generation is higher, whichever
   * instance creates it */
  assert_int_equal(form_call(&other, &there, "POST", "/submit", "x=1", NULL), 303);
  assert_int_equal(form_send(&s, &t, 3, "v.title=late"), 200);
  form_shows(&s, &t, "value=\"first\"");
  uint64_t last = t.generation;
  for (int i = 0; i < 4; i++) {
    assert_int_equal(form_call(i % 2 ? &other : &s, &t, "POST", "/submit", "x=1", NULL), 303);
    form_load(&s, &t);
    assert_true(t.generation > last);
    last = t.generation;
  }
  form_end(&other);
  form_end(&s);
  database->remove();
}

/* ------------------------------------------------------------------------------------------------ threads --------- */

enum { PEOPLE = 4, LETTERS = 60, SUBMITS_EACH = 10 };

int form_ask_alone(form_person *p, const char *where, const char *what) {
  char body[300];
  const vestry_header headers[] = {{"Cookie", p->tab.cookie}, {"Content-Type", "application/x-www-form-urlencoded"}};
  snprintf(body, sizeof body, "tabId=%s&%s", p->tab.sealed, what);
  const vestry_memory_call call = {
      .method = "POST", .path = where, .headers = headers, .headers_count = 2, .body = body, .body_len = strlen(body)};
  vestry_memory_exchange *exchange;
  if (vestry_memory_request(p->s->on.v, &call, NULL, NULL, &exchange)) return 0;
  const int status = vestry_memory_look(exchange).status;
  vestry_memory_destroy(exchange);
  return status;
}

static void *type_and_send(void *ctx) {
  form_person *p = ctx;
  char letter[100];
  for (int i = 1; i <= LETTERS; i++) {
    snprintf(letter, sizeof letter, "form=report:7&generation=%llu&number=%d&v.title=typed",
             (unsigned long long)p->tab.generation, i);
    p->is_wrong |= form_ask_alone(p, "/kept", letter) != 200;
    if (i % SUBMITS_EACH == 0) p->is_wrong |= form_ask_alone(p, "/submit", "x=1") != 303;
  }
  return NULL;
}

/* capability: L4 */
TEST_CASE(concurrent_messages_and_submits_are_consistent) {
  form_suite s;
  static form_person people[PEOPLE];
  pthread_t threads[PEOPLE];
  form_begin_submit(&s);
  for (int i = 0; i < PEOPLE; i++) {
    people[i] = (form_person){.s = &s};
    form_load(&s, &people[i].tab);
  }
  for (int i = 0; i < PEOPLE; i++) assert_int_equal(pthread_create(&threads[i], NULL, type_and_send, &people[i]), 0);
  for (int i = 0; i < PEOPLE; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(people[i].is_wrong);
    form_shows(&s, &people[i].tab, "value=\"first\"");
  }
  const vestry_forms_stats stats = form_stats(&s);
  assert_int_equal(stats.messages_count, PEOPLE * LETTERS);
  assert_int_equal(stats.kept_count,
                   PEOPLE * SUBMITS_EACH); /* the other messages have the generation before the first submit */
  assert_int_equal(stats.cleared_count, PEOPLE * (LETTERS / SUBMITS_EACH));
  assert_int_equal(database->number(&s, "SELECT count(*) FROM report"), PEOPLE * (LETTERS / SUBMITS_EACH));
  database->check(&s);
  form_end(&s);
}

static void note(vestry_forms *forms, const char *tab, const char *name) {
  ++*(int *)(void *)forms;
}

/* A storage alone, whose `forms` points to the number of forms reported as cleared. */
typedef struct alone {
  void *world;
  vestry_forms_storage *in;
  int reported;
} alone;

static vestry_err open_alone(test_host *th, alone *a) {
  *a = (alone){.reported = 0};
  vestry_err error = database->open_alone(&th->host, &a->world, &a->in);
  if (error) return error;
  a->in->forms = (vestry_forms *)(void *)&a->reported;
  a->in->host = &th->host;
  a->in->bounds = (vestry_forms_options){.ttl_ms = 10000, .max_bytes = 20480, .max_per_scope_count = 3};
  a->in->on_cleared = note;
  return VESTRY_OK;
}

static const char id[] = "0123456789abcdef0123456789abcdef", twin[] = "1123456789abcdef0123456789abcdef";

static vestry_err use_storage(test_host *th, void *ctx) {
  alone a;
  vsi_form_state now = {.len = 0}, found = {.len = 0}, typed = {.number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
  const vsi_form_key key = {{"ada", 3}, id, "form", false, 0}, other = {{"ada", 3}, twin, "form", false, 0};
  vestry_err error = open_alone(th, &a);
  vestry_forms_storage *in = a.in;
  if (!error) error = in->ops->forget(in, key.scope); /* forms of the previous run */
  if (!error) error = in->ops->put(in, &key, &typed, &now);
  if (!error) error = in->ops->copy(in, &other, id, &now);
  if (!error) {
    error = in->ops->clear(in, &key, true, &now);
    vestry_err looked = in->ops->find(in, &key, &found);
    if (!looked) assert_int_equal(found.len, error ? 4 : 0);
    assert_int_equal(a.reported, error ? 0 : 1);
    vsi_free(&th->host, found.pairs);
    if (!error) error = looked;
  }
  found = (vsi_form_state){.len = 0};
  if (!error) error = in->ops->find(in, &other, &found);
  if (!error) assert_memory_equal(found.pairs, typed.pairs, 4);
  vsi_free(&th->host, found.pairs);
  database->close_alone(a.world, in);
  return error;
}

/* capability: L4 */
TEST_CASE(failed_allocation_loses_no_form) {
  database->make();
  test_host_fail_each(use_storage, NULL, database->does_without);
  database->remove();
}

/* --------------------------------------------------------------------------------------------------- limits ------- */

/* capability: L4 */
TEST_CASE(anonymous_forms_are_evicted_before_user_forms) {
  test_host th;
  alone a;
  vsi_form_state now, typed = {.number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
  database->make();
  test_host_init(&th);
  assert_int_equal(open_alone(&th, &a), VESTRY_OK);
  vestry_forms_storage *in = a.in;
  const vsi_form_key user = {{"ada", 3}, id, "form", false, 0};
  assert_int_equal(in->ops->put(in, &user, &typed, &now), VESTRY_OK);
  char tab[sizeof id];
  for (int i = 0; i < 100; i++) {
    snprintf(tab, sizeof tab, "%032x", i * 0x1000);
    memmove(tab, tab + 16, 16); /* the shard is derived from the first bytes */
    const vsi_form_key visitor = {{&i, sizeof i}, tab, "form", true, 0};
    assert_int_equal(in->ops->put(in, &visitor, &typed, &now), VESTRY_OK);
  }
  vestry_forms_stats stats = {0};
  in->ops->count(in, &stats);
  assert_in_range(stats.forms_count, 20, 21); /* of 512 bytes each: anonymous users have nearly half of the memory */
  assert_int_equal(stats.forms_count + stats.evicted_count, 101);
  assert_int_equal(in->ops->find(in, &user, &now), VESTRY_OK);
  assert_int_equal(now.len, 4);
  vsi_free(&th.host, now.pairs);
  for (int i = 0; i < 100; i++) { /* users evict each other, and anonymous users */
    snprintf(tab, sizeof tab, "%032x", i * 0x1000 + 1);
    memmove(tab, tab + 16, 16);
    const vsi_form_key other = {{&i, sizeof i}, tab, "form", false, 0};
    assert_int_equal(in->ops->put(in, &other, &typed, &now), VESTRY_OK);
  }
  in->ops->count(in, &stats);
  assert_in_range(stats.bytes, 20480 - 1024, 20480);
  assert_int_equal(stats.forms_count + stats.evicted_count, 201);
  database->close_alone(a.world, in);
  test_host_assert_clean(&th);
  database->remove();
}

/* A client that invents anonymous users, or tabs of the scope without a name, evicts only forms of its own address. */
/* capability: L4 */
TEST_CASE(forms_of_one_address_do_not_evict_those_of_others) {
  enum { MANY = 200, HONEST = 1, HOSTILE = 3 };
  for (int has_sessions = 0; has_sessions < 2; has_sessions++) {
    test_host th;
    alone a;
    char tab[sizeof id];
    vsi_form_state now, typed = {.number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
    vestry_forms_stats stats = {0};
    database->make();
    test_host_init(&th);
    assert_int_equal(open_alone(&th, &a), VESTRY_OK);
    vestry_forms_storage *in = a.in;
    const vestry_scope honest = {has_sessions ? "honest" : NULL, has_sessions ? 6 : 0};
    const vsi_form_key key = {honest, id, "form", has_sessions, HONEST};
    assert_int_equal(in->ops->put(in, &key, &typed, &now), VESTRY_OK);
    for (int i = 0; i < MANY; i++) {
      snprintf(tab, sizeof tab, "%08x%024x", i * 0x1001, 0);
      const vestry_scope invented = {has_sessions ? tab : NULL, has_sessions ? 32 : 0};
      const vsi_form_key other = {invented, tab, "form", has_sessions, HOSTILE};
      assert_int_equal(i % 2 ? in->ops->clear(in, &other, false, &now) : in->ops->put(in, &other, &typed, &now),
                       VESTRY_OK);
    }
    assert_int_equal(in->ops->find(in, &key, &now), VESTRY_OK);
    assert_int_equal(now.len, 4);
    vsi_free(&th.host, now.pairs);
    in->ops->count(in, &stats);
    assert_in_range(stats.bytes, 0, has_sessions ? 10752 : 20992);
    assert_int_equal(stats.forms_count + stats.evicted_count, MANY + 1);
    database->close_alone(a.world, in);
    test_host_assert_clean(&th);
    database->remove();
  }
}

/* The scope without a name is shared by all: its forms are evicted only for lack of memory. */
/* capability: L4 */
TEST_CASE(form_without_scope_evicts_no_other) {
  test_host th;
  alone a;
  vsi_form_state now, typed = {.number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
  char tab[sizeof id];
  database->make();
  test_host_init(&th);
  assert_int_equal(open_alone(&th, &a), VESTRY_OK);
  for (int i = 0; i < 10; i++) {
    snprintf(tab, sizeof tab, "%08x%024x", i * 0x1001, 0);
    assert_int_equal(a.in->ops->put(a.in, &(vsi_form_key){{NULL, 0}, tab, "form", false, 0}, &typed, &now), VESTRY_OK);
  }
  vestry_forms_stats stats = {0};
  a.in->ops->count(a.in, &stats);
  assert_int_equal(stats.forms_count, 10);
  assert_int_equal(stats.evicted_count, 0);
  database->close_alone(a.world, a.in);
  test_host_assert_clean(&th);
  database->remove();
}

/* The lifetime of a form begins with its last message, although its row is updated less often. */
/* capability: L4 */
TEST_CASE(form_expires_after_its_last_change) {
  form_suite s;
  form_tab t = {.cookie = ""};
  form_begin(&s, &(vestry_forms_options){.ttl_ms = 100000});
  form_load(&s, &t);
  for (uint64_t i = 1; i < 100; i++) {
    assert_int_equal(form_send(&s, &t, i, "v.title=typed"), 200);
    database->world.pass_s(&s, 7);
  }
  form_shows(&s, &t, "value=\"typed\"");
  database->world.pass_s(&s, 80); /* less than nine tenths */
  form_shows(&s, &t, "value=\"typed\"");
  database->world.pass_s(&s, 20);
  form_shows(&s, &t, "value=\"first\"");
  database->world.pass_s(&s, -1000000); /* a clock set back must not make a form last forever */
  assert_int_equal(form_send(&s, &t, 200, "v.title=back"), 200);
  database->world.pass_s(&s, 100);
  form_shows(&s, &t, "value=\"first\"");
  database->check(&s);
  form_end(&s);
}

/* --------------------------------------------------------------------------------------------- live pages --------- */

static vestry_err render_live(vestry_render *render, vestry_html *html, void *app) {
  form_live *l = app;
  vestry_form *form;
  l->renders++;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<form ");
  vestry_err error = vestry_form_open(l->forms, render->request, render, html, "report:7", &form);
  if (error) return error;
  vestry_html_add(html, "><input value=\"%s\"></form>", vestry_form_text(form, "title", "first"));
  vestry_form_close(form);
  return vestry_render_end(render, html);
}

static vestry_err document(const vestry_request *req, vestry_reply *reply, void *app) {
  char attributes[VESTRY_TAB_ATTRIBUTES_BYTES];
  vestry_err error = vestry_tab_attributes(req, reply, attributes, sizeof attributes);
  return error ? error : vestry_reply_bodyf(reply, "%-s", attributes);
}

static vestry_err submit_live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = database->clear_live(app, req);
  return error ? error : vestry_reply_status(reply, 204);
}

static void live_begin(form_live *l, int level) {
  static const vestry_input fields[] = {{.name = "title"}};
  static const char secret[] = "thirty-two bytes that nobody knows";
  *l = (form_live){.renders = 0};
  site_begin_with(&l->on, (vestry_options){.scope = site_by_cookie}, (site_has){.secret = secret});
  site_add_pages(&l->on, NULL);
  database->open_live(l, level);
  assert_int_equal(
      vestry_forms_create(l->on.v, &(vestry_forms_options){.pages = l->on.pages, .storage = l->stored}, &l->forms),
      VESTRY_OK);
  assert_int_equal(vestry_forms_create(l->on.v, &(vestry_forms_options){.storage = l->stored}, &l->forms),
                   VESTRY_INVALID); /* the storage belongs to other forms */
  assert_int_equal(vestry_forms_add(l->forms, "report", fields, 1), VESTRY_OK);
  vestry_page *page;
  assert_int_equal(vestry_page_create(l->on.pages, &(vestry_page_options){.render = render_live, .app = l}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(l->on.v, "GET", "/page", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_route(l->on.v, "GET", "/", document, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(l->on.v, "POST", "/kept", vestry_forms_handler, l->forms), VESTRY_OK);
  assert_int_equal(vestry_route(l->on.v, "POST", "/submit", submit_live, l), VESTRY_OK);
}

static void live_end(form_live *l) {
  vestry_memory_destroy(l->stream);
  site_settle(&l->on);
  vestry_forms_destroy(l->forms);
  database->close_live(l);
  site_end(&l->on);
}

static int live_call(form_live *l, const char *sealed, const char *where, const char *what,
                     char ret_text[VESTRY_TAB_ATTRIBUTES_BYTES]) {
  char body[400];
  const vestry_header headers[] = {{"Cookie", "ada"}, {"Content-Type", "application/x-www-form-urlencoded"}};
  snprintf(body, sizeof body, "tabId=%s&%s", sealed, what);
  const vestry_memory_call call = {.method = *sealed ? "POST" : "GET",
                                   .path = where,
                                   .headers = headers,
                                   .headers_count = *sealed ? 2 : 1,
                                   .body = *sealed ? body : NULL,
                                   .body_len = *sealed ? strlen(body) : 0};
  vestry_memory_exchange *exchange = site_request(&l->on, &call);
  const vestry_memory_seen seen = vestry_memory_look(exchange);
  if (ret_text)
    snprintf(ret_text, VESTRY_TAB_ATTRIBUTES_BYTES, "%.*s", (int)seen.received.len, (const char *)seen.received.data);
  vestry_memory_destroy(exchange);
  return seen.status;
}

static void live_open(form_live *l, const char *sealed) {
  char query[200];
  const vestry_header headers[] = {{"Cookie", "ada"}};
  snprintf(query, sizeof query, "datastar=%%7B%%22tabId%%22%%3A%%22%s%%22%%7D", sealed);
  const vestry_memory_call call = {
      .path = "/page", .query = query, .datastar = true, .headers = headers, .headers_count = 1};
  l->stream = site_request(&l->on, &call);
  site_settle_pages(&l->on);
}

/* Return what the stream received since, once all commits have been rendered. */
static const char *live_sees(form_live *l) {
  database->settle_live(l);
  site_settle_pages(&l->on);
  return vestry_memory_since(l->stream).data;
}

static void follow_at(const form_level *at) {
  form_live here, there;
  char text[VESTRY_TAB_ATTRIBUTES_BYTES], sealed[65], other[65];
  database->make();
  live_begin(&here, at->level);
  live_begin(&there, at->level);
  assert_int_equal(live_call(&here, "", "/", "", text), 200);
  snprintf(sealed, sizeof sealed, "%.64s", strstr(text, "take() || '") + 11);
  assert_int_equal(live_call(&here, "", "/", "", text), 200);
  snprintf(other, sizeof other, "%.64s", strstr(text, "take() || '") + 11);
  live_open(&here, sealed); /* before there is a row */
  live_open(&there, sealed);
  (void)live_sees(&here);
  (void)live_sees(&there);
  here.renders = there.renders = 0;
  /* typed on one instance; other tabs type, too */
  for (int i = 1; i < 6; i++) {
    snprintf(text, sizeof text, "form=report:7&generation=0&number=%d&v.title=typed", i);
    assert_int_equal(live_call(&here, sealed, "/kept", text, NULL), 200);
    assert_int_equal(live_call(&here, other, "/kept", text, NULL), 200);
    (void)live_sees(&here);
    (void)live_sees(&there);
  }
  if (at->typed_here) assert_int_equal(here.renders, 0);
  if (at->typed_there) assert_int_equal(there.renders, 0);
  here.renders = there.renders = 0;
  /* the form of another tab is cleared: no render, if the level identifies the tab */
  assert_int_equal(live_call(&here, other, "/submit", "x=1", NULL), 204);
  (void)live_sees(&here);
  (void)live_sees(&there);
  if (at->cleared_here) assert_int_equal(here.renders, 0);
  if (at->cleared_there) assert_int_equal(there.renders, 0);
  /* the form is submitted on one instance, and the pages of both show it */
  assert_int_equal(live_call(&here, sealed, "/submit", "x=1", NULL), 204);
  assert_non_null(strstr(live_sees(&here), "value=\"first\""));
  assert_non_null(strstr(live_sees(&there), "value=\"first\""));
  live_end(&here);
  live_end(&there);
  database->remove();
}

/* capability: L4 */
TEST_CASE(pages_of_all_processes_follow_submits_and_no_typing) {
  for (size_t i = 0; i < database->levels_count; i++) follow_at(&database->levels[i]);
}

/* capability: L4 */
TEST_CASE(pages_follow_submits_after_others_deleted_the_rows) {
  for (size_t i = 0; i < database->levels_count; i++) {
    form_live here, there;
    char text[VESTRY_TAB_ATTRIBUTES_BYTES], sealed[65];
    database->make();
    live_begin(&here, database->levels[i].level);
    live_begin(&there, database->levels[i].level);
    assert_int_equal(live_call(&here, "", "/", "", text), 200);
    snprintf(sealed, sizeof sealed, "%.64s", strstr(text, "take() || '") + 11);
    live_open(&here, sealed);
    live_open(&there, sealed);
    for (int k = 0; k < 2; k++) {
      database->empty();
      (void)live_sees(&here);
      (void)live_sees(&there);
      assert_int_equal(live_call(&here, sealed, "/submit", "x=1", NULL), 204);
      assert_non_null(strstr(live_sees(&here), "value=\"first\""));
      assert_non_null(strstr(live_sees(&there), "value=\"first\""));
    }
    live_end(&here);
    live_end(&there);
    database->remove();
  }
}

int form_database_run(const char *name, const form_database *given) {
  database = given;
  form_contract_world = &given->world;
  return form_contract_run(name) + cases_run(name, NULL, NULL);
}
