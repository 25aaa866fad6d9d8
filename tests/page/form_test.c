/* SPDX-License-Identifier: MIT */
/* Forms in memory: the contract of forms, the limits for users and anonymous users, and behaviour without memory. */
#include "app/page/form_storage.h"
#include "base/memory.h"
#include "page/form_contract.h"
#include "vestry/app/input.h"

static const vestry_input fields[] = {{.name = "title"}, {.name = "text"}, {.name = "tags"}};

/* Forms of anonymous users never evict the form of a user. */
/* capability: L4 */
HOST_CASE(anonymous_forms_are_evicted_before_user_forms) {
  vestry_forms_storage *kept;
  vsi_form_state now, typed = {.number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
  static const char id[] = "0123456789abcdef0123456789abcdef";
  const vestry_forms_options options = {.ttl_ms = 1000, .max_bytes = 10000, .max_per_scope_count = 3};
  assert_int_equal(vsi_form_kept_create(&th->host, &options, &kept), VESTRY_OK);
  const vsi_form_key user = {{"ada", 3}, id, "form", false, 0};
  assert_int_equal(kept->ops->put(kept, &user, &typed, &now), VESTRY_OK);
  for (int i = 0; i < 1000; i++) {
    const vsi_form_key visitor = {{&i, sizeof i}, id, "form", true, 0};
    assert_int_equal(kept->ops->put(kept, &visitor, &typed, &now), VESTRY_OK);
  }
  assert_int_equal(kept->ops->find(kept, &user, &now), VESTRY_OK);
  assert_int_equal(now.len, 4);
  vsi_free(&th->host, now.pairs);
  for (int i = 0; i < 1000; i++) { /* users bound each other */
    const vsi_form_key other = {{&i, sizeof i}, id, "form", false, 0};
    assert_int_equal(kept->ops->put(kept, &other, &typed, &now), VESTRY_OK);
  }
  vestry_forms_stats stats = {0};
  kept->ops->count(kept, &stats);
  assert_true(stats.bytes <= 10000);
  vsi_form_kept_destroy(kept);
}

/* A client that invents anonymous users, or tabs of the scope without a name, evicts only forms of its own address. */
/* capability: L4 */
TEST_CASE(forms_of_one_address_do_not_evict_those_of_others) {
  static const char id[] = "0123456789abcdef0123456789abcdef";
  for (int has_sessions = 0; has_sessions < 2; has_sessions++) {
    test_host th;
    test_host_init(&th);
    vestry_forms_storage *kept;
    vsi_form_state now, typed = {.number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
    const vestry_forms_options options = {.ttl_ms = 1000, .max_bytes = 40000, .max_per_scope_count = 3};
    assert_int_equal(vsi_form_kept_create(&th.host, &options, &kept), VESTRY_OK);
    char tab[VESTRY_TAB_ID_BYTES];
    const vestry_scope honest = {has_sessions ? "honest" : NULL, has_sessions ? 6 : 0};
    const vsi_form_key key = {honest, id, "form", has_sessions, 1};
    assert_int_equal(kept->ops->put(kept, &key, &typed, &now), VESTRY_OK);
    for (int i = 0; i < 1000; i++) {
      snprintf(tab, sizeof tab, "%032x", i);
      const vestry_scope invented = {has_sessions ? tab : NULL, has_sessions ? 32 : 0};
      const vsi_form_key other = {invented, tab, "form", has_sessions, 3};
      assert_int_equal(i % 2 ? kept->ops->clear(kept, &other, false, &now) : kept->ops->put(kept, &other, &typed, &now),
                       VESTRY_OK);
    }
    assert_int_equal(kept->ops->find(kept, &key, &now), VESTRY_OK);
    assert_int_equal(now.len, 4);
    vsi_free(&th.host, now.pairs);
    vestry_forms_stats stats = {0};
    kept->ops->count(kept, &stats);
    assert_true(stats.bytes <= 11000 && stats.bytes > 4000);
    assert_int_equal(kept->ops->forget(kept, key.scope), VESTRY_OK);
    vsi_form_kept_destroy(kept);
    test_host_assert_clean(&th);
  }
}

/* A clock that advances with each call. */
static uint64_t ticking_ns(void *ctx) {
  return atomic_fetch_add(&((test_host *)ctx)->now_ns, UINT64_C(250000000));
}

/* A form that was found does not expire before it is copied, because the storage reads the clock once. */
/* capability: L4 */
TEST_CASE(form_does_not_expire_while_it_is_copied) {
  static const char from_tab[] = "0123456789abcdef0123456789abcdef", to_tab[] = "1123456789abcdef0123456789abcdef";
  for (uint64_t left_ms = 0; left_ms <= 1000; left_ms += 50) {
    test_host th;
    test_host_init(&th);
    vestry_forms_storage *kept;
    vsi_form_state now, typed = {.number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
    const vestry_forms_options options = {.ttl_ms = 1000, .max_bytes = 10000, .max_per_scope_count = 3};
    assert_int_equal(vsi_form_kept_create(&th.host, &options, &kept), VESTRY_OK);
    const vsi_form_key from = {{"ada", 3}, from_tab, "form", false, 0}, to = {{"ada", 3}, to_tab, "form", false, 0};
    assert_int_equal(kept->ops->put(kept, &from, &typed, &now), VESTRY_OK);
    test_host_advance_ms(&th, 10);
    typed.number = 7;
    assert_int_equal(kept->ops->put(kept, &to, &typed, &now), VESTRY_OK);
    test_host_advance_ms(&th, 1000 - left_ms);
    th.host.now_ns = ticking_ns;
    const vestry_err error = kept->ops->copy(kept, &to, from_tab, &now);
    assert_int_equal(error, left_ms ? VESTRY_EXISTS : VESTRY_NOT_FOUND);
    assert_int_equal(now.number, left_ms ? 7 : 0);
    vsi_form_kept_destroy(kept);
    test_host_assert_clean(&th);
  }
}

/* The scope without a name is shared by all: a tab in it is limited by itself, and limits no other. */
/* capability: L4 */
HOST_CASE(tab_without_scope_evicts_only_its_own_forms) {
  vestry_forms_storage *kept;
  vsi_form_state now, typed = {.number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
  const vestry_forms_options options = {.ttl_ms = 1000, .max_bytes = 1000000, .max_per_scope_count = 3};
  char tab[VESTRY_TAB_ID_BYTES], name[16];
  assert_int_equal(vsi_form_kept_create(&th->host, &options, &kept), VESTRY_OK);
  for (int i = 0; i < 100; i++) {
    snprintf(tab, sizeof tab, "%032x", i);
    assert_int_equal(kept->ops->put(kept, &(vsi_form_key){{NULL, 0}, tab, "form", false, 0}, &typed, &now), VESTRY_OK);
  }
  vestry_forms_stats stats = {0};
  kept->ops->count(kept, &stats);
  assert_int_equal(stats.forms_count, 100);
  for (int i = 0; i < 10; i++) {
    snprintf(name, sizeof name, "form:%d", i);
    assert_int_equal(kept->ops->put(kept, &(vsi_form_key){{NULL, 0}, tab, name, false, 0}, &typed, &now), VESTRY_OK);
  }
  kept->ops->count(kept, &stats);
  assert_int_equal(stats.forms_count, 99 + 3);
  assert_int_equal(stats.evicted_count, 8);
  const vsi_form_key named = {{tab, VESTRY_TAB_ID_BYTES - 1}, tab, "form:9", false, 0}; /* a scope of the same name */
  assert_int_equal(kept->ops->find(kept, &named, &now), VESTRY_OK);
  assert_int_equal(now.len, 0);
  assert_int_equal(kept->ops->put(kept, &named, &typed, &now), VESTRY_OK);
  assert_int_equal(kept->ops->forget(kept, (vestry_scope){NULL, 0}), VESTRY_OK);
  kept->ops->count(kept, &stats);
  assert_int_equal(stats.forms_count, 1);
  vsi_form_kept_destroy(kept);
}

FORM_CASE(invalid_forms_and_options_are_refused) {
  vestry_forms *none = NULL;
  assert_int_equal(vestry_forms_create(s->on.v, &(vestry_forms_options){.path = "kept"}, &none), VESTRY_INVALID);
  assert_int_equal(vestry_forms_create(s->on.v, &(vestry_forms_options){.path = "/a'b"}, &none), VESTRY_INVALID);
  assert_int_equal(vestry_forms_create(s->on.v, &(vestry_forms_options){.ttl_ms = UINT64_MAX}, &none), VESTRY_INVALID);
  assert_int_equal(vestry_forms_create(s->on.v, &(vestry_forms_options){.max_bytes = 1000}, &none), VESTRY_INVALID);
  assert_null(none);
  assert_int_equal(vestry_forms_add(s->forms, "report", fields, 3), VESTRY_EXISTS);
  assert_non_null(strstr(s->on.th.last_log, "choose another name"));
  assert_int_equal(vestry_forms_add(s->forms, "a:b", fields, 3), VESTRY_INVALID);
  assert_int_equal(vestry_forms_add(s->forms, "b", fields, 0), VESTRY_INVALID);
  const vestry_input never[] = {{.name = "a", .is_hidden = true},
                                {.name = "b", .type = "password"},
                                {.name = "c", .kind = VESTRY_INPUT_JSON},
                                {.name = "d", .attributes = "autocomplete=\"new-password\""}};
  assert_int_equal(vestry_forms_add(s->forms, "b", never, 4), VESTRY_INVALID);
  assert_int_equal(vestry_forms_add(s->forms, "b", &(vestry_input){.name = "a'b"}, 1), VESTRY_INVALID);
  assert_int_equal(vestry_forms_add(s->forms, "b", &(vestry_input){.name = ""}, 1), VESTRY_INVALID);
}

/* If an allocation fails, nothing is lost, and the stored form stays. */
static vestry_err use_storage(test_host *th, void *ctx) {
  vestry_forms_storage *kept;
  vsi_form_state now = {.len = 0}, typed = {.number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
  static const char id[] = "0123456789abcdef0123456789abcdef", twin[] = "1123456789abcdef0123456789abcdef";
  const vestry_forms_options options = {.ttl_ms = 1000, .max_bytes = 10000, .max_per_scope_count = 3};
  const vsi_form_key key = {{"ada", 3}, id, "form", false, 0}, other = {{"ada", 3}, twin, "form", false, 0};
  vestry_err error = vsi_form_kept_create(&th->host, &options, &kept);
  if (error) return error;
  error = kept->ops->put(kept, &key, &typed, &now);
  if (!error) error = kept->ops->copy(kept, &other, id, &now);
  if (!error) {
    error = kept->ops->clear(kept, &key, false, &now);
    vsi_form_state found = {.len = 0};
    vestry_err looked = kept->ops->find(kept, &key, &found);
    if (!looked) assert_int_equal(found.len, error ? 4 : 0);
    vsi_free(&th->host, found.pairs);
    if (!error) error = looked;
  }
  vsi_form_kept_destroy(kept);
  return error;
}

TEST_CASE(failed_allocation_loses_no_form) {
  test_host_fail_each(use_storage, NULL, false);
}

/* Form functions and declarations, with each allocation failing once. */
FORM_CASE(failed_allocation_in_form_request_gets_an_error) {
  form_tab t = {.cookie = ""};
  form_load(s, &t);
  assert_int_equal(form_send(s, &t, 1, "v.title=typed"), 200);
  for (long n = 0; n < 60; n++) {
    test_host_fail_in(&s->on.th, n);
    vestry_form *form = NULL;
    vestry_html html;
    vestry_html_init(&html, &s->on.th.host);
    vestry_html_add(&html, "<form ");
    vestry_err error = vestry_form_open(s->forms, NULL, NULL, &html, "report", &form);
    assert_true(error == VESTRY_OK || error == VESTRY_NO_MEMORY);
    assert_true(!error == !!form);
    vestry_form_close(form);
    vestry_html_finish(&html);
    test_host_fail_no_more(&s->on.th);
  }
  static const vestry_input more[] = {{.name = "b"}};
  for (long n = 0; n < 10; n++) {
    test_host_fail_in(&s->on.th, n);
    vestry_forms *made = NULL;
    vestry_err error = vestry_forms_create(s->on.v, NULL, &made);
    if (!error) error = vestry_forms_add(made, "more", more, 1);
    assert_true(error == VESTRY_OK || error == VESTRY_NO_MEMORY);
    vestry_forms_destroy(made);
    test_host_fail_no_more(&s->on.th);
  }
  char body[200];
  snprintf(body, sizeof body, "tabId=%s&form=report:7&load=1", t.sealed);
  const vestry_header headers[] = {{"Cookie", t.cookie}, {"Content-Type", "application/x-www-form-urlencoded"}};
  const vestry_memory_call asked = {.method = "POST",
                                    .path = "/kept",
                                    .headers = headers,
                                    .headers_count = 2,
                                    .body = body,
                                    .body_len = strlen(body)};
  int status = 0;
  for (long n = 0; status != 200; n++) { /* the stored values come, or the answer is an error */
    vestry_memory_exchange *answer = NULL;
    test_host_fail_in(&s->on.th, n);
    vestry_err error = vestry_memory_request(s->on.v, &asked, NULL, NULL, &answer);
    test_host_fail_no_more(&s->on.th);
    status = error ? 0 : vestry_memory_look(answer).status;
    if (status == 200) assert_non_null(strstr((const char *)vestry_memory_look(answer).received.data, "typed"));
    assert_true(status == 0 || status == 200 || status >= 500);
    vestry_memory_destroy(answer);
    assert_true(n < 1000);
  }
  form_shows(s, &t, "value=\"typed\"");
}

int main(void) {
  return form_contract_run("forms in memory") + cases_run("page/form", NULL, NULL);
}
