/* SPDX-License-Identifier: MIT */
/* capability: L11 */
/* Policies and live pages: each document has its own nonce, and content that is compared, kept or shared has none. */
#include <stdlib.h>
#include <string.h>

#include "support/site.h"
#include "vestry/app/csp.h"

typedef struct suite {
  site on;
  vestry_page *page, *whole;
  const char *text;
  bool spoils; /* the content contains the nonce */
  size_t renders;
} suite;

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  vestry_reply *reply = render->reply;
  s->renders++;
  vestry_render_topic(render, "text");
  vestry_err error = vestry_reply_csp(reply, &(vestry_csp){.trusted_types = true});
  if (error) return error;
  vestry_html_add(html, "<!doctype html><html lang=\"en\"><title>A</title>");
  vestry_render_head(render, html);
  vestry_html_add(html, "<script nonce=\"%s\">1</script>", vestry_reply_nonce(reply));
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%s</p>", s->text);
  if (s->spoils) vestry_html_add(html, "<p title=\"%s\"></p>", vestry_reply_nonce(reply));
  return vestry_render_end(render, html);
}

/* An ordinary handler without code for streams. */
static vestry_err whole(const vestry_request *req, vestry_reply *reply, void *app) {
  const suite *s = app;
  vestry_err error = vestry_reply_csp(reply, NULL);
  if (error) return error;
  return vestry_reply_bodyf(
      reply, "<!doctype html><html><head></head><body><main id=\"content\"><p title=\"%s\">%s</p></main>",
      s->spoils ? vestry_reply_nonce(reply) : "", s->text);
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, ((suite *)app)->page, "all");
}

static vestry_err serve_guarded(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, ((suite *)app)->page, NULL);
}

static void open_site(suite *s) {
  memset(s, 0, sizeof *s);
  s->text = "first";
  site_begin_pages(&s->on, (vestry_options){0}, NULL);
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.render = render, .app = s}, &s->page),
                   VESTRY_OK);
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.handler = whole, .app = s}, &s->whole),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/own", vestry_page_handler, s->page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/whole", vestry_page_handler, s->whole), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/shared", serve_shared, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/guarded", serve_guarded, s), VESTRY_OK);
  assert_int_equal(vestry_guard(s->on.v, "/guarded", vestry_csp_guard, NULL), VESTRY_OK);
}

static vestry_memory_exchange *get(suite *s, const char *path, const char *had) {
  const vestry_header header = {"Last-Event-ID", had};
  const vestry_memory_call call = {
      .path = path, .headers = &header, .headers_count = had ? 1 : 0, .datastar = had != NULL};
  return site_request(&s->on, &call);
}

static void between(const char *in, const char *from, const char *to, char out[128]) {
  const char *at = strstr(in, from);
  assert_non_null(at);
  at += strlen(from);
  const char *end = strstr(at, to);
  assert_true(end && end - at < 128);
  memcpy(out, at, (size_t)(end - at));
  out[end - at] = '\0';
}

static size_t count_of(const char *text, const char *what) {
  size_t count = 0;
  for (; (text = strstr(text, what)) != NULL; text++) count++;
  return count;
}

/* Read a document's nonce, whose positions are checked, and the tag of its tab. */
static void read_document(suite *s, const char *path, size_t nonces, char nonce[128], char had[128]) {
  vestry_memory_exchange *document = get(s, path, NULL);
  assert_int_equal(vestry_memory_look(document).status, 200);
  const char *text = vestry_memory_look(document).received.data;
  between(text, "<html data-nonce=\"", "\"", nonce);
  assert_int_equal(strlen(nonce), 32);
  assert_int_equal(count_of(text, nonce), nonces);
  assert_non_null(strstr(text, "<style nonce=\""));
  assert_int_equal(count_of(vestry_memory_header(document, "Content-Security-Policy", 0), nonce), 2);
  assert_string_equal(vestry_memory_header(document, "Cache-Control", 0), "private, no-store");
  between(text, "el.had = '", "'", had);
  vestry_memory_destroy(document);
}

TEST_CASE(documents_have_own_nonces_and_equal_state_tags) {
  static const char *const paths[] = {"/own", "/shared", "/guarded", "/whole"};
  static const size_t nonces[] = {3, 3, 3, 2};
  for (size_t i = 0; i < 4; i++) {
    suite s;
    char one[128], other[128], had[128], had_too[128];
    open_site(&s);
    read_document(&s, paths[i], nonces[i], one, had);
    read_document(&s, paths[i], nonces[i], other, had_too);
    assert_string_not_equal(one, other);
    assert_string_equal(had, had_too); /* so neither the hash nor the version of the content depends on the nonce */
    /* The stream of the first document has all content, and receives none. */
    vestry_memory_exchange *stream = get(&s, paths[i], had);
    site_settle_pages(&s.on);
    assert_null(strstr(vestry_memory_look(stream).received.data, "patch-elements"));
    assert_null(vestry_memory_header(stream, "Content-Security-Policy", 0));
    s.text = "second";
    site_refresh(&s.on, i == 3 ? "/whole" : "text");
    const char *text = vestry_memory_look(stream).received.data;
    assert_non_null(strstr(text, "second"));
    assert_null(strstr(text, "nonce"));
    vestry_memory_destroy(stream);
    site_end(&s.on);
  }
}

TEST_CASE(nonce_in_the_content_gets_500) {
  static const char *const paths[] = {"/own", "/shared", "/whole"};
  for (size_t i = 0; i < 3; i++) {
    suite s;
    open_site(&s);
    s.spoils = true;
    vestry_memory_exchange *document = get(&s, paths[i], NULL);
    assert_int_equal(vestry_memory_look(document).status, 500);
    assert_true(atomic_load(&s.on.th.log_lines) > 0);
    vestry_memory_destroy(document);
    site_end(&s.on);
  }
}
