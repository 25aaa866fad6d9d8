/* SPDX-License-Identifier: MIT */
/* Live pages: each open tab is kept current by one handler, and unchanged content costs no event. On the stepped
 * runtime. */
#include "vestry/app/page.h"
#include "vestry/app/tab.h"

#include "page/rooms.h"

/* -------------------------------------------------------------------------------------------------- content ------- */

/* capability: D2 */
ROOMS_CASE(document_has_its_content_and_opens_its_stream) {
  rooms_put(s, 1, "hello <all>");
  vestry_memory_exchange *document;
  rooms_get(s, "/room", "room=1", NULL, NULL, false, &document);
  const char *text = vestry_memory_look(document).received.data;
  assert_non_null(strstr(text, "</style><main id=\"content\"><p>hello &lt;all&gt;</p></main>"
                               "<div class=\"vestry-banner\""));
  assert_non_null(strstr(text, "/room?room=1"));
  vestry_memory_destroy(document);
}

/* capability: D2, D6 */
ROOMS_CASE(only_the_changed_page_is_sent) {
  tab one, other;
  rooms_put(s, 1, "first");
  rooms_put(s, 2, "else");
  rooms_open(s, &one, "/room", "room=1", NULL);
  rooms_open(s, &other, "/room", "room=2", NULL);
  site_settle_pages(&s->on);
  assert_string_equal(rooms_since(&one), "");
  assert_string_equal(rooms_since(&other), "");
  rooms_put(s, 1, "second");
  site_refresh(&s->on, "room/1");
  const char *text = rooms_since(&one);
  assert_non_null(strstr(text, "event: datastar-patch-elements\nid:\ndata: elements "));
  assert_non_null(strstr(text, "data: elements <main id=\"content\"><p>second</p></main>\n\nid: "));
  assert_null(strstr(text, "title"));
  assert_string_equal(rooms_since(&other), "");
  site_refresh(&s->on, "room/1"); /* nothing has changed */
  assert_string_equal(rooms_since(&one), "");
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s->on.pages, &stats);
  assert_int_equal(stats.changed_count, 1);
  assert_int_equal(stats.unchanged_count, 3);
  rooms_close(&one);
  rooms_close(&other);
}

/* capability: D4 */
ROOMS_CASE(change_between_document_and_stream_is_sent) {
  rooms_put(s, 1, "first");
  vestry_memory_exchange *document;
  tab t;
  rooms_get(s, "/room", "room=1", NULL, NULL, false, &document);
  rooms_between(vestry_memory_look(document).received.data, "el.had = '", "'", t.tag, sizeof t.tag);
  vestry_memory_destroy(document);
  rooms_put(s, 1, "second");
  assert_int_equal(vestry_refresh(s->on.pages, "room/1", NULL), VESTRY_OK);
  rooms_get(s, "/room", "room=1", NULL, t.tag, true, &t.stream);
  site_settle_pages(&s->on);
  assert_non_null(strstr(rooms_since(&t), "<p>second</p>"));
  rooms_close(&t);
}

/* capability: D4 */
TEST_CASE(change_during_a_render_is_sent) {
  for (int late = 0; late < 2; late++) {
    suite s;
    tab t;
    rooms_begin(&s, NULL);
    s.late_topic = late;
    rooms_put(&s, 1, "first");
    rooms_open(&s, &t, "/room", "room=1", NULL);
    s.refreshes = "room/1"; /* in the stream's first render, when no page depends on it yet if it is named late */
    site_settle_pages(&s.on);
    assert_non_null(strstr(rooms_since(&t), "<p>changed inside</p>"));
    s.refreshes = "room/1";
    rooms_put(&s, 1, "before");
    site_refresh(&s.on, NULL);
    site_settle_pages(&s.on);
    assert_string_equal(s.rooms[1].text, "changed inside");
    rooms_close(&t);
    site_end(&s.on);
  }
}

/* capability: D6, D14 */
ROOMS_CASE(reconnected_stream_receives_what_it_lacks) {
  tab t;
  char id[400];
  rooms_put(s, 1, "first");
  rooms_open(s, &t, "/room", "room=1", NULL);
  rooms_put(s, 1, "second");
  site_refresh(&s->on, "room/1");
  rooms_between(rooms_since(&t), "id: ", "\n", id, sizeof id);
  rooms_close(&t);
  site_settle(&s->on);
  rooms_get(s, "/room", "room=1", NULL, id, true, &t.stream);
  site_settle_pages(&s->on);
  assert_string_equal(rooms_since(&t), ""); /* it has all */
  rooms_close(&t);
  rooms_get(s, "/room", "room=1", NULL, t.tag, true, &t.stream);
  site_settle_pages(&s->on);
  assert_non_null(strstr(rooms_since(&t), "<p>second</p>"));
  rooms_close(&t);
  rooms_get(s, "/room", "room=1", NULL, "forged", true, &t.stream);
  site_settle_pages(&s->on);
  assert_non_null(strstr(rooms_since(&t), "<p>second</p>"));
  rooms_close(&t);
}

/* capability: D6, D14 */
ROOMS_CASE(page_of_current_version_is_not_rendered) {
  tab t;
  s->versioned = true;
  rooms_put(s, 1, "first");
  rooms_open(s, &t, "/room", "room=1", NULL);
  site_settle_pages(&s->on);
  assert_string_equal(rooms_since(&t), "");
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s->on.pages, &stats);
  assert_int_equal(stats.current_count, 1);
  site_refresh(&s->on, "room/1");
  vestry_pages_stats_get(s->on.pages, &stats);
  assert_int_equal(stats.current_count, 2);
  rooms_put(s, 1, "second");
  site_refresh(&s->on, "room/1");
  assert_non_null(strstr(rooms_since(&t), "<p>second</p>"));
  rooms_close(&t);
}

/* A version belongs to a page, at an address, of a scope. */
/* capability: D6 */
ROOMS_CASE(version_of_another_page_or_scope_does_not_match) {
  tab t, other;
  s->versioned = true;
  rooms_put(s, 1, "first");
  rooms_put(s, 2, "other");
  rooms_open(s, &t, "/room", "room=1", NULL);
  rooms_get(s, "/room", "room=2", NULL, t.tag, true, &other.stream);
  site_settle_pages(&s->on);
  assert_non_null(strstr(rooms_since(&other), "<p>other</p>"));
  rooms_close(&other);
  rooms_get(s, "/room", "room=1", "another", t.tag, true, &other.stream);
  site_settle_pages(&s->on);
  assert_string_equal(rooms_since(&other), ""); /* rendered, and equal */
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s->on.pages, &stats);
  assert_int_equal(stats.current_count, 1);
  rooms_close(&t);
  rooms_close(&other);
}

/* ------------------------------------------------------------------------------------------------ intervals ------- */

/* capability: D5, D13 */
ROOMS_CASE(renders_are_an_interval_apart) {
  tab t;
  char text[32];
  rooms_open(s, &t, "/room", "room=1", NULL);
  site_settle(&s->on);
  test_host_advance_ms(&s->on.th, 100);
  size_t before = s->calls;
  for (int ms = 0; ms < 1000; ms++) {
    snprintf(text, sizeof text, "at %d", ms);
    rooms_put(s, 1, text);
    assert_int_equal(vestry_refresh(s->on.pages, "room/1", NULL), VESTRY_OK);
    site_settle(&s->on);
    if (ms == 0) assert_int_equal(s->calls, before + 1); /* the first at once */
    site_pass_ms(&s->on, 1);
  }
  assert_in_range(s->calls - before, 1000 / 16, 1000 / 15 + 2);
  site_pass_ms(&s->on, 20);
  vestry_slice got = vestry_memory_look(t.stream).received;
  assert_non_null(strstr(got.data, "at 999<")); /* the last one always */
  size_t after = s->calls;
  site_pass_ms(&s->on, 1000);
  assert_int_equal(s->calls, after);
  rooms_close(&t);
}

/* capability: D5, D13 */
ROOMS_CASE(stream_with_unwritten_events_is_not_rendered) {
  tab slow, fast;
  rooms_open(s, &slow, "/room", "room=1", NULL);
  rooms_open(s, &fast, "/room", "room=1", "other");
  site_settle_pages(&s->on);
  vestry_memory_mode_set(slow.stream, VESTRY_MEMORY_BLOCKS);
  rooms_put(s, 1, "one");
  assert_int_equal(vestry_refresh(s->on.pages, "room/1", NULL), VESTRY_OK);
  site_pass_ms(&s->on, 20);
  size_t before = s->calls;
  for (int i = 0; i < 10; i++) {
    rooms_put(s, 1, i % 2 ? "two" : "three");
    assert_int_equal(vestry_refresh(s->on.pages, "room/1", NULL), VESTRY_OK);
    site_pass_ms(&s->on, 20);
  }
  assert_int_equal(s->calls, before + 10); /* only for the fast one */
  vestry_memory_mode_set(slow.stream, VESTRY_MEMORY_READS);
  site_settle(&s->on);
  site_pass_ms(&s->on, 20);
  assert_int_equal(s->calls, before + 11);
  assert_non_null(strstr(vestry_memory_look(slow.stream).received.data, "<p>two</p>"));
  assert_null(strstr(vestry_memory_look(slow.stream).received.data, "<p>three</p>"));
  rooms_close(&slow);
  rooms_close(&fast);
}

/* ------------------------------------------------------------------------------------ statuses, permissions ------- */

/* capability: D17 */
TEST_CASE(status_of_render_determines_end_of_stream) {
  static const struct {
    int status;
    vestry_err error;
    const char *says;
    bool ends;
  } rows[] = {{204, VESTRY_OK, "{\"_vestry\":{\"over\":true}}", true},
              {0, VESTRY_NOT_FOUND, "{\"_vestry\":{\"reload\":", true},
              {0, VESTRY_FAILED, "{\"_vestry\":{\"failing\":true}}", false},
              {503, VESTRY_OK, "{\"_vestry\":{\"failing\":true}}", false},
              {404, VESTRY_OK, "<p>second</p>", false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    suite s;
    tab t;
    rooms_begin(&s, NULL);
    rooms_put(&s, 1, "first");
    rooms_open(&s, &t, "/room", "room=1", NULL);
    site_settle_pages(&s.on);
    (void)rooms_since(&t);
    rooms_put(&s, 1, "second");
    s.status = rows[i].status;
    s.error = rows[i].error;
    test_host_advance_ms(&s.on.th, 20);
    assert_int_equal(vestry_refresh(s.on.pages, "room/1", NULL), VESTRY_OK);
    site_settle(&s.on);
    const char *text = rooms_since(&t);
    if (*rows[i].says)
      assert_non_null(strstr(text, rows[i].says));
    else
      assert_string_equal(text, "");
    assert_int_equal(vestry_memory_look(t.stream).ended, rows[i].ends);
    assert_int_equal(vestry_memory_look(t.stream).clean, rows[i].ends);
    rooms_close(&t);
    site_end(&s.on);
  }
}

/* capability: D17 */
ROOMS_CASE(failing_page_is_retried_with_backoff) {
  tab t;
  rooms_put(s, 1, "first");
  rooms_open(s, &t, "/room", "room=1", NULL);
  site_settle_pages(&s->on);
  (void)rooms_since(&t);
  s->error = VESTRY_FAILED;
  size_t before = s->calls;
  test_host_advance_ms(&s->on.th, 20);
  assert_int_equal(vestry_refresh(s->on.pages, "room/1", NULL), VESTRY_OK);
  site_settle(&s->on);
  assert_int_equal(s->calls, before + 1);
  static const int waits[] = {1, 2, 4, 8, 16, 30, 30};
  for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
    for (int second = 0; second < waits[i]; second++) {
      test_host_advance_ms(&s->on.th, 999);
      assert_int_equal(vestry_refresh(s->on.pages, "room/1", NULL), VESTRY_OK); /* does not shorten the wait */
      site_settle(&s->on);
      assert_int_equal(s->calls, before + 1 + i);
      test_host_advance_ms(&s->on.th, 1);
    }
    site_pass_ms(&s->on, 2);
    assert_int_equal(s->calls, before + 2 + i);
  }
  s->error = VESTRY_OK;
  (void)rooms_since(&t);
  site_pass_ms(&s->on, 30002);
  assert_non_null(strstr(rooms_since(&t), "{\"_vestry\":{\"failing\":false}}"));
  rooms_close(&t);
}

/* A check that fails, because its database does not answer, does not take the page from its user, and shows no new
 * content. */
/* capability: D17 */
TEST_CASE(failed_check_of_permission_keeps_the_content) {
  static const vestry_err errors[] = {VESTRY_LIMIT, VESTRY_IO};
  for (size_t i = 0; i < 4; i++) {
    const bool is_shared = i & 1;
    const char *path = is_shared ? "/shared" : "/room";
    suite s;
    tab t;
    rooms_begin(&s, NULL);
    rooms_put(&s, 1, "first");
    rooms_open(&s, &t, path, "room=1", "me");
    site_settle_pages(&s.on);
    (void)rooms_since(&t);
    rooms_put(&s, 1, "a secret");
    s.unsure = errors[i / 2];
    test_host_advance_ms(&s.on.th, 20);
    assert_int_equal(vestry_refresh(s.on.pages, "room/1", NULL), VESTRY_OK);
    site_settle(&s.on);
    const char *text = rooms_since(&t);
    assert_null(strstr(text, "reload"));
    assert_null(strstr(text, "secret"));
    assert_int_equal(strstr(text, "\"failing\":true") != NULL, !is_shared);
    assert_int_equal(vestry_memory_look(t.stream).ended, is_shared); /* a shared one reconnects, and waits there */
    vestry_memory_exchange *stream;
    rooms_get(&s, path, "room=1", "me", NULL, true, &stream);
    assert_in_range(vestry_memory_look(stream).status, 500, 503);
    vestry_memory_destroy(stream);
    s.unsure = VESTRY_OK;
    if (is_shared) {
      rooms_close(&t);
      rooms_open(&s, &t, path, "room=1", "me");
    } else {
      site_pass_ms(&s.on, 1100);
      text = rooms_since(&t);
      assert_non_null(strstr(text, "a secret"));
      assert_non_null(strstr(text, "\"failing\":false"));
    }
    rooms_close(&t);
    site_end(&s.on);
  }
}

/* capability: D17 */
TEST_CASE(stream_without_permission_ends_and_reloads) {
  static const char *const paths[] = {"/room", "/shared"};
  static const struct {
    vestry_err error; /* of allow */
    int status;
  } rows[] = {{VESTRY_NOT_FOUND, 404}, {VESTRY_FAILED, 403}};
  for (size_t i = 0; i < 4; i++) {
    suite s;
    tab t;
    rooms_begin(&s, NULL);
    rooms_put(&s, 1, "first");
    rooms_open(&s, &t, paths[i % 2], "room=1", "me");
    site_settle_pages(&s.on);
    (void)rooms_since(&t);
    rooms_put(&s, 1, "a secret");
    s.unsure = rows[i / 2].error;
    test_host_advance_ms(&s.on.th, 20);
    assert_int_equal(vestry_refresh(s.on.pages, "room/1", NULL), VESTRY_OK);
    site_settle(&s.on);
    const char *text = rooms_since(&t);
    assert_non_null(strstr(text, "{\"_vestry\":{\"reload\":"));
    assert_null(strstr(text, "secret"));
    assert_true(vestry_memory_look(t.stream).ended);
    vestry_memory_exchange *document;
    rooms_get(&s, paths[i % 2], "room=1", "me", NULL, false, &document);
    assert_int_equal(vestry_memory_look(document).status, rows[i / 2].status);
    vestry_memory_destroy(document);
    rooms_get(&s, paths[i % 2], "room=1", "me", NULL, true, &document); /* a stream */
    assert_int_equal(vestry_memory_look(document).status, 403);
    vestry_memory_destroy(document);
    assert_int_equal(atomic_load(&s.on.th.log_lines), 0); /* a refusal is no failure */
    rooms_close(&t);
    site_end(&s.on);
  }
}

/* capability: D17 */
TEST_CASE(tab_of_another_build_reloads) {
  suite s;
  tab t;
  char tag[400];
  rooms_begin(&s, &(vestry_pages_options){.build = "1.0", .secret = "s", .secret_len = 1});
  rooms_open(&s, &t, "/room", "room=1", NULL);
  site_settle_pages(&s.on);
  assert_string_equal(rooms_since(&t), "");
  memcpy(tag, t.tag, sizeof tag);
  rooms_close(&t);
  site_end(&s.on);
  rooms_begin(&s, &(vestry_pages_options){.build = "1.1", .secret = "s", .secret_len = 1});
  rooms_get(&s, "/room", "room=1", NULL, tag, true, &t.stream);
  site_settle(&s.on);
  assert_non_null(strstr(rooms_since(&t), "{\"_vestry\":{\"reload\":"));
  rooms_close(&t);
  site_end(&s.on);
}

/* ----------------------------------------------------------------------------- tabs, with tokens and nonces ------- */

static vestry_err make_for_tab(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  const vestry_request *req = render->request;
  char attributes[VESTRY_TAB_ATTRIBUTES_BYTES], id[VESTRY_TAB_ID_BYTES];
  vestry_render_topic(render, "tab");
  vestry_err error = vestry_tab_id(req, id);
  if (error) return error;
  if (!render->is_stream) {
    vestry_tab_attributes(req, render->reply, attributes, sizeof attributes);
    vestry_html_add(html, "<body %-s>", attributes);
  }
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%s: %s</p>", id, s->rooms[1].text);
  return vestry_render_end(render, html);
}

ROOMS_CASE(page_of_a_stream_has_the_id_of_its_tab) {
  tab t;
  char id[VESTRY_TAB_ID_BYTES], query[200];
  vestry_page *page;
  const vestry_page_options options = {.render = make_for_tab, .app = s};
  assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/tab", vestry_page_handler, page), VESTRY_OK);
  rooms_put(s, 1, "first");
  vestry_memory_exchange *document;
  rooms_get(s, "/tab", NULL, "me", NULL, false, &document);
  const char *text = vestry_memory_look(document).received.data;
  rooms_between(text, "<p>", ":", id, sizeof id);
  rooms_between(text, "el.had = '", "'", t.tag, sizeof t.tag);
  assert_non_null(strstr(text, "signals = '^tabId"));
  /* The signal as the client sends it, with the seal from the attributes. */
  char sealed[160];
  const char *at = strstr(text, id); /* the attributes come before the content */
  size_t len = strspn(at, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.~");
  assert_true(len < sizeof sealed);
  memcpy(sealed, at, len);
  sealed[len] = '\0';
  snprintf(query, sizeof query, "datastar=%%7B%%22tabId%%22%%3A%%22%s%%22%%7D", sealed);
  vestry_memory_destroy(document);
  rooms_get(s, "/tab", query, "me", t.tag, true, &t.stream);
  site_settle_pages(&s->on);
  assert_string_equal(rooms_since(&t), "");
  rooms_put(s, 1, "second");
  site_refresh(&s->on, "tab");
  text = rooms_since(&t);
  assert_non_null(strstr(text, id));
  assert_non_null(strstr(text, "second"));
  rooms_close(&t);
  rooms_get(s, "/tab", NULL, "me", t.tag, true, &t.stream); /* without an id the tab is unknown: its page is reloaded */
  site_settle(&s->on);
  assert_non_null(strstr(rooms_since(&t), "{\"_vestry\":{\"reload\":"));
  rooms_close(&t);
}

/* ------------------------------------------------------------------------------------------ ordinary handlers ----- */

/* A handler without code for streams or marks of vestry. */
static vestry_err ordinary(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  s->calls++;
  assert_false(req->is_datastar);
  if (s->status) return vestry_reply_redirect(reply, s->status, "/else");
  return vestry_reply_bodyf(
      reply,
      "<!doctype html><html><head><title>t</title></head><body><header>%zu</header>"
      "<section class='a>b' id=content><p>%s</p><section>inner</section></section>%-s</body></html>",
      s->calls, s->rooms[1].text, s->versioned ? "<p id=content>" : "");
}

static void open_ordinary(suite *s) {
  rooms_begin(s, NULL);
  vestry_page *page;
  const vestry_page_options options = {.handler = ordinary, .app = s};
  assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/ordinary", vestry_page_handler, page), VESTRY_OK);
}

static vestry_err greet(vestry_render *render, vestry_html *html, void *app) {
  const char *user = vestry_request_header(render->request, app);
  vestry_render_topic(render, "greeting");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>hello %s</p>", user ? user : "nobody");
  return vestry_render_end(render, html);
}

/* capability: D2 */
TEST_CASE(stream_is_rendered_with_the_headers_that_name_the_user) {
  static const char *const names[] = {"Remote-User",          "X-Auth-Request-Email",     "X-Forwarded-Groups",
                                      "X-Authentik-Username", "X-Amzn-Oidc-Data",         "X-Pomerium-Claim-Email",
                                      "Tailscale-User-Login", "X-Ms-Client-Principal-Id", "Accept-Language"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    suite s;
    rooms_begin(&s, NULL);
    const vestry_page_options options = {.render = greet, .app = (void *)(uintptr_t)names[i]};
    vestry_page *page;
    assert_int_equal(vestry_page_create(s.on.pages, &options, &page), VESTRY_OK);
    assert_int_equal(vestry_route(s.on.v, "GET", "/greeting", vestry_page_handler, page), VESTRY_OK);
    const vestry_header header = {names[i], "ada"};
    vestry_memory_exchange *stream = site_request(
        &s.on, &(vestry_memory_call){.path = "/greeting", .datastar = true, .headers = &header, .headers_count = 1});
    site_settle_pages(&s.on);
    const char *text = vestry_memory_look(stream).received.data;
    if (!strstr(text, "<p>hello ada</p>")) fail_msg("%s: %s", names[i], text);
    vestry_memory_destroy(stream);
    site_end(&s.on);
  }
}

/* capability: D3 */
TEST_CASE(page_of_an_ordinary_handler_is_updated) {
  suite s;
  tab t;
  open_ordinary(&s);
  rooms_put(&s, 1, "first");
  vestry_memory_exchange *document;
  rooms_get(&s, "/ordinary", NULL, NULL, NULL, false, &document);
  const char *text = vestry_memory_look(document).received.data;
  assert_non_null(strstr(text, "</style></head>"));
  assert_non_null(strstr(text, "<section>inner</section></section><div class=\"vestry-banner\""));
  assert_non_null(strstr(text, "></div></body></html>"));
  vestry_memory_destroy(document);
  rooms_open(&s, &t, "/ordinary", NULL, NULL);
  site_settle_pages(&s.on);
  assert_string_equal(rooms_since(&t), ""); /* the document around the content may change */
  rooms_put(&s, 1, "second");
  site_refresh(&s.on, "/ordinary");
  assert_non_null(strstr(rooms_since(&t),
                         "data: elements <section class='a>b' id=content><p>second</p><section>inner</section>"
                         "</section>\n\nid: "));
  s.status = 303;
  test_host_advance_ms(&s.on.th, 20);
  assert_int_equal(vestry_refresh(s.on.pages, "/ordinary", NULL), VESTRY_OK);
  site_settle(&s.on);
  assert_non_null(strstr(rooms_since(&t), "/else"));
  assert_true(vestry_memory_look(t.stream).ended);
  rooms_close(&t);
  site_end(&s.on);
}

/* capability: D3 */
TEST_CASE(document_with_ambiguous_content_is_served_unchanged) {
  suite s;
  open_ordinary(&s);
  s.versioned = true; /* the id occurs twice */
  vestry_memory_exchange *document;
  rooms_get(&s, "/ordinary", NULL, NULL, NULL, false, &document);
  assert_int_equal(vestry_memory_look(document).status, 200);
  assert_null(strstr(vestry_memory_look(document).received.data, "data-init"));
  assert_non_null(strstr(s.on.th.last_log, "#content"));
  vestry_memory_destroy(document);
  site_end(&s.on);
}
