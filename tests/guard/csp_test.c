/* SPDX-License-Identifier: MIT */
/* capability: L11 */
/* Document policies: the header's content, where the nonce stands, and which replies have none. */
#include "vestry/app/csp.h"

#include <stdlib.h>
#include <string.h>

#include "serve/wire.h"
#include "vestry/app/files.h"

#define PLAIN_DOCUMENT "<!doctype html><html lang=\"en\"><title>A</title><p>text</p></html>"

/* The reply that the handler makes. */
typedef struct page {
  const vestry_csp *csp;
  const char *body; /* NULL: no body */
  const char *type;
  vestry_header headers[4];
  int status;
  bool redirects, streams, has_style;
  vestry_err error; /* of vestry_reply_csp */
} page;

static vestry_err show(const vestry_request *req, vestry_reply *reply, void *app) {
  page *p = app;
  assert_string_equal(vestry_reply_nonce(reply), "");
  p->error = vestry_reply_csp(reply, p->csp);
  if (p->error) return p->error;
  if (p->status) vestry_reply_status(reply, p->status);
  for (size_t i = 0; i < 4 && p->headers[i].name; i++)
    vestry_reply_header(reply, p->headers[i].name, p->headers[i].value);
  if (p->redirects) return vestry_reply_redirect(reply, 303, "/elsewhere");
  if (p->streams) return vestry_reply_patch_elements(reply, "<p id=\"a\">");
  if (p->has_style) {
    assert_int_equal(strlen(vestry_reply_nonce(reply)), 32);
    return vestry_reply_bodyf(reply, "<!doctype html><style nonce=\"%s\">p{}</style>", vestry_reply_nonce(reply));
  }
  return p->body ? vestry_reply_body(reply, p->type, p->body, strlen(p->body)) : VESTRY_OK;
}

/* Copy the value of the only header with that name; "" if there is none. */
static void value_of(const wire *r, const char *name, char value[1024]) {
  size_t len = strlen(name);
  *value = '\0';
  for (const char *at = r->head; *at; at += strcspn(at, "\n") + 1) {
    if (strncasecmp(at, name, len) != 0 || strncmp(at + len, ": ", 2) != 0) continue;
    assert_string_equal(value, "");
    snprintf(value, 1024, "%.*s", (int)(strcspn(at, "\n") - len - 2), at + len + 2);
  }
}

static void policy_of(const wire *r, char policy[1024]) {
  value_of(r, "Content-Security-Policy", policy);
}

/* Copy the policy's nonce, which must be the same for scripts and styles. */
static void nonce_of(const wire *r, char nonce[33]) {
  static const char mark[] = "'nonce-";
  char policy[1024];
  policy_of(r, policy);
  const char *at = strstr(policy, mark);
  assert_non_null(at);
  at += sizeof mark - 1;
  assert_int_equal(strspn(at, "0123456789abcdef"), 32);
  assert_int_equal(at[32], '\'');
  memcpy(nonce, at, 32);
  nonce[32] = '\0';
  const char *next = strstr(at, mark);
  if (next) assert_memory_equal(next + sizeof mark - 1, nonce, 32);
}

static void serve(site *w, wire *r, page *p) {
  wire_request(w, r, show, p);
}

/* ---- documents --------------------------------------------------------------------------------------------------- */

SITE_CASE(document_and_policy_have_the_same_nonce) {
  char nonce[33], expected[512], policy[1024], value[1024];
  page p = {.body = PLAIN_DOCUMENT};
  wire r = {.path = "/"};
  serve(w, &r, &p);
  assert_int_equal(r.status, 200);
  nonce_of(&r, nonce);
  snprintf(expected, sizeof expected,
           "<!doctype html><html data-nonce=\"%s\" lang=\"en\"><title>A</title><p>text</p></html>", nonce);
  assert_string_equal(r.text, expected);
  policy_of(&r, policy);
  snprintf(expected, sizeof expected,
           "default-src 'none'; base-uri 'none'; connect-src 'self'; font-src 'self'; form-action 'self'; "
           "frame-ancestors 'none'; img-src 'self' data:; script-src " VESTRY_DATASTAR_CDN_URL
           " 'nonce-%s'; style-src 'self' 'nonce-%s'",
           nonce, nonce);
  assert_string_equal(policy, expected);
  value_of(&r, "X-Content-Type-Options", value);
  assert_string_equal(value, "nosniff");
  value_of(&r, "Referrer-Policy", value);
  assert_string_equal(value, "same-origin");
  value_of(&r, "Cache-Control", value);
  assert_string_equal(value, "private, no-store");
  wire again = {.path = "/"};
  char other[33];
  serve(w, &again, &p);
  nonce_of(&again, other);
  assert_string_not_equal(nonce, other);
  wire_finish(&r);
  wire_finish(&again);
}

SITE_CASE(missing_html_tag_is_inserted_with_the_nonce) {
  char nonce[33], expected[256];
  page p = {.body = "<!doctype html>\n<title>A</title>"};
  wire r = {.path = "/"};
  serve(w, &r, &p);
  nonce_of(&r, nonce);
  snprintf(expected, sizeof expected, "<!doctype html>\n<html data-nonce=\"%s\"><title>A</title>", nonce);
  assert_string_equal(r.text, expected);
  wire_finish(&r);
  page styled = {.has_style = true};
  wire s = {.path = "/"};
  serve(w, &s, &styled);
  nonce_of(&s, nonce);
  snprintf(expected, sizeof expected, "<!doctype html><html data-nonce=\"%s\"><style nonce=\"%s\">p{}</style>", nonce,
           nonce);
  assert_string_equal(s.text, expected);
  wire_finish(&s);
}

/* A cached nonce could be replayed, so a document with one has no validators and is not stored. */
SITE_CASE(document_with_nonce_is_not_cacheable) {
  char value[1024];
  page p = {.body = PLAIN_DOCUMENT,
            .headers = {{"Cache-Control", "public, max-age=3600"},
                        {"ETag", "\"a\""},
                        {"last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"},
                        {"Accept-Ranges", "bytes"}}};
  wire r = {.path = "/"};
  serve(w, &r, &p);
  value_of(&r, "Cache-Control", value);
  assert_string_equal(value, "private, no-store");
  static const char *const gone[] = {"ETag", "Last-Modified", "Accept-Ranges"};
  for (size_t i = 0; i < 3; i++) {
    value_of(&r, gone[i], value);
    assert_string_equal(value, "");
  }
  wire_finish(&r);
}

SITE_CASE(reply_that_is_no_document_has_no_nonce) {
  char policy[1024], value[1024];
  /* Data gets a policy without a nonce, and stays cacheable. */
  page data = {
      .body = "{}", .type = "application/json", .headers = {{"Cache-Control", "max-age=60"}, {"ETag", "\"a\""}}};
  wire r = {.path = "/"};
  serve(w, &r, &data);
  assert_string_equal(r.text, "{}");
  policy_of(&r, policy);
  assert_null(strstr(policy, "nonce"));
  assert_non_null(strstr(policy, "script-src " VESTRY_DATASTAR_CDN_URL "; style-src 'self'"));
  value_of(&r, "Cache-Control", value);
  assert_string_equal(value, "max-age=60");
  value_of(&r, "ETag", value);
  assert_string_equal(value, "\"a\"");
  wire_finish(&r);
  /* A redirect has no body. A 304 has no policy, because the stored response keeps its own. */
  page elsewhere = {.redirects = true};
  wire s = {.path = "/"};
  serve(w, &s, &elsewhere);
  assert_int_equal(s.status, 303);
  policy_of(&s, policy);
  assert_null(strstr(policy, "nonce"));
  wire_finish(&s);
  page same = {.status = 304};
  wire t = {.path = "/"};
  serve(w, &t, &same);
  policy_of(&t, policy);
  assert_string_equal(policy, "");
  wire_finish(&t);
  /* A Datastar request receives a fragment or a stream, neither of which is a document. */
  page piece = {.body = "<p id=\"a\">"};
  wire u = {.path = "/", .datastar = true};
  serve(w, &u, &piece);
  assert_string_equal(u.text, "<p id=\"a\">");
  policy_of(&u, policy);
  assert_string_equal(policy, "");
  wire_finish(&u);
  page stream = {.streams = true};
  wire v = {.path = "/", .datastar = true};
  serve(w, &v, &stream);
  assert_null(strstr(v.head, "nonce"));
  assert_null(strstr(v.text, "nonce"));
  wire_finish(&v);
}

SITE_CASE(document_that_cannot_take_a_nonce_gets_500) {
  page p = {.body = PLAIN_DOCUMENT, .headers = {{"Content-Encoding", "gzip"}}};
  wire r = {.path = "/"};
  serve(w, &r, &p);
  assert_int_equal(r.status, 500);
  assert_true(atomic_load(&w->th.log_lines) > 0);
  wire_finish(&r);
  /* Without randomness no document is sent. */
  atomic_store(&w->th.fail_random, true);
  page q = {.body = PLAIN_DOCUMENT};
  wire s = {.path = "/"};
  serve(w, &s, &q);
  atomic_store(&w->th.fail_random, false);
  assert_int_equal(q.error, VESTRY_IO);
  assert_int_equal(s.status, 500);
  wire_finish(&s);
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

TEST_CASE(options_change_the_policy) {
  static const struct {
    vestry_csp csp;
    const char *has[4], *has_not[3];
  } rows[] = {
      {{.client = "/js/datastar.js"}, {"script-src 'self' 'nonce-"}, {"jsdelivr", "unsafe"}},
      {{.client = "https://a.example/d.js?v=1#x"},
       {"script-src https://a.example/d.js 'nonce-"},
       {"?v", "'self' 'nonce-a"}},
      {{.client_needs_eval = true}, {"datastar.js 'unsafe-eval' 'nonce-"}, {"trusted"}},
      {{.trusted_types = true}, {"; require-trusted-types-for 'script'; trusted-types datastar"}, {"unsafe"}},
      {{.policy = "img-src https://pictures.example; script-src {client} https://b.example {nonce}"},
       {"img-src https://pictures.example; script-src https://", "bundles/datastar.js https://b.example 'nonce-"},
       {"data:", "default-src", "{"}},
      {{.client_needs_eval = true, .policy = "script-src {client} 'unsafe-inline'; style-src {nonce}"},
       {"datastar.js 'unsafe-eval' 'unsafe-inline'; style-src 'nonce-"},
       {"trusted"}},
      {{.trusted_types = true, .policy = "default-src 'none'"},
       {"default-src 'none'; require-trusted-types-for 'script'; trusted-types datastar"},
       {"nonce"}},
      {{.client = VESTRY_CSP_NO_CLIENT}, {"; script-src 'nonce-"}, {"none' 'nonce", "jsdelivr", "unsafe"}},
  };
  site w;
  site_begin(&w, (vestry_options){0});
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char policy[1024];
    page p = {.csp = &rows[i].csp, .body = PLAIN_DOCUMENT};
    wire r = {.path = "/"};
    serve(&w, &r, &p);
    assert_int_equal(r.status, 200);
    policy_of(&r, policy);
    for (size_t n = 0; n < 4 && rows[i].has[n]; n++)
      if (!strstr(policy, rows[i].has[n])) fail_msg("\"%s\" is not in %s", rows[i].has[n], policy);
    for (size_t n = 0; n < 3 && rows[i].has_not[n]; n++)
      if (strstr(policy, rows[i].has_not[n])) fail_msg("\"%s\" is in %s", rows[i].has_not[n], policy);
    wire_finish(&r);
  }
  site_end(&w);
}

static vestry_err heedless(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)vestry_reply_csp(reply, &(vestry_csp){.client = "evil"});
  return vestry_reply_body(reply, NULL, PLAIN_DOCUMENT, strlen(PLAIN_DOCUMENT));
}

SITE_CASE(document_with_rejected_policy_gets_500) {
  wire r = {.path = "/"};
  wire_request(w, &r, heedless, NULL);
  assert_int_equal(r.status, 500);
  assert_null(strstr(r.text, "text</p>"));
  wire_finish(&r);
}

TEST_CASE(invalid_policy_options_are_rejected) {
  static const vestry_csp wrong[] = {
      {.client = "datastar.js"},
      {.client = ""},
      {.client = "//evil.example/d.js"},
      {.client = "javascript:x"},
      {.client = "'self'"},
      {.client = "https://a.example/ 'unsafe-inline'"},
      {.client = "https://a.example/;script-src"},
      {.client = "/a'b"},
      {.client = "/a\r\nX: y"},
      {.policy = "img-src a, script-src b"},
      {.policy = "img-src a\r\nX: y"},
  };
  const size_t count = sizeof wrong / sizeof *wrong;
  site w;
  site_begin(&w, (vestry_options){0});
  for (size_t i = 0; i < count; i++) {
    page p = {.csp = &wrong[i], .body = PLAIN_DOCUMENT};
    wire r = {.path = "/"};
    long before = atomic_load(&w.th.log_lines);
    serve(&w, &r, &p);
    if (p.error != VESTRY_INVALID || r.status != 500) fail_msg("row %zu is taken", i);
    assert_true(atomic_load(&w.th.log_lines) > before);
    wire_finish(&r);
  }
  site_end(&w);
}

static vestry_err twice(const vestry_request *req, vestry_reply *reply, void *app) {
  char nonce[33];
  assert_int_equal(vestry_reply_csp(reply, NULL), VESTRY_OK);
  strcpy(nonce, vestry_reply_nonce(reply));
  assert_int_equal(vestry_reply_csp(reply, &(vestry_csp){.client = "/d.js"}), VESTRY_OK);
  assert_string_equal(vestry_reply_nonce(reply), nonce);
  vestry_reply_header(reply, "Referrer-Policy", "no-referrer");
  return vestry_reply_body(reply, NULL, PLAIN_DOCUMENT, strlen(PLAIN_DOCUMENT));
}

SITE_CASE(last_policy_and_header_win) {
  char policy[1024], value[1024];
  assert_string_equal(vestry_reply_nonce(NULL), "");
  wire r = {.path = "/"};
  wire_request(w, &r, twice, NULL);
  policy_of(&r, policy);
  assert_non_null(strstr(policy, "script-src 'self' 'nonce-"));
  value_of(&r, "Referrer-Policy", value);
  assert_string_equal(value, "no-referrer");
  wire_finish(&r);
}

/* ---- guard, files ------------------------------------------------------------------------------------------------ */

TEST_CASE(guard_gives_every_document_a_policy) {
  static const char html[] = "<!doctype html><html><p>a file that is long enough to be worth compressing, and longer "
                             "still, and longer still, and longer still, and longer still</p></html>";
  static const char css[] = "p { color: red }";
  const vestry_file table[] = {{.path = "a.html", .bytes = html, .len = sizeof html - 1},
                               {.path = "a.css", .bytes = css, .len = sizeof css - 1}};
  vestry_files *files = NULL;
  site w;
  char nonce[33], value[1024], expected[128];
  site_begin(&w, (vestry_options){0});
  assert_int_equal(
      vestry_files_create(&(vestry_files_options){.embedded = table, .embedded_count = 2, .max_age_s = 60}, &files),
      VESTRY_OK);
  assert_int_equal(vestry_guard(w.v, "/", vestry_csp_guard, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(w.v, "GET", "/files/{path...}", vestry_files_handler, files), VESTRY_OK);
  wire r = {.path = "/files/a.html", .headers = {{"Accept-Encoding", "gzip, br"}, {"Range", "bytes=0-3"}}};
  wire_request(&w, &r, NULL, NULL);
  assert_int_equal(r.status, 200);
  nonce_of(&r, nonce);
  snprintf(expected, sizeof expected, "<!doctype html><html data-nonce=\"%s\">", nonce);
  assert_memory_equal(r.text, expected, strlen(expected));
  assert_string_equal(r.text + strlen(expected), html + strlen("<!doctype html><html>"));
  value_of(&r, "ETag", value);
  assert_string_equal(value, "");
  value_of(&r, "Cache-Control", value);
  assert_string_equal(value, "private, no-store");
  wire s = {.path = "/files/a.css"};
  wire_request(&w, &s, NULL, NULL);
  assert_string_equal(s.text, css);
  value_of(&s, "Cache-Control", value);
  assert_string_equal(value, "max-age=60");
  assert_null(strstr(s.head, "nonce"));
  wire h = {.method = "HEAD", .path = "/files/a.html"};
  wire_request(&w, &h, NULL, NULL);
  nonce_of(&h, nonce);
  wire_finish(&r);
  wire_finish(&s);
  wire_finish(&h);
  site_close(&w);
  vestry_files_destroy(files);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

TEST_CASE(allocation_failure_gets_500_without_a_document) {
  bool is_done = false;
  for (long fail = 0; !is_done; fail++) {
    site w;
    site_begin(&w, (vestry_options){0});
    page p = {.body = PLAIN_DOCUMENT,
              .csp = &(vestry_csp){.trusted_types = true, .policy = "img-src a; script-src {client} {nonce}"}};
    wire r = {.path = "/"};
    test_host_fail_in(&w.th, fail);
    (void)wire_serve(&w, &r, show, &p);
    is_done = !test_host_has_failed(&w.th);
    assert_true(r.status == 200 || (r.status == 500 && !is_done)); /* never a document without its policy */
    assert_int_equal(strstr(r.text, "data-nonce") != NULL, r.status == 200);
    wire_finish(&r);
    site_end(&w);
  }
}
