/* SPDX-License-Identifier: MIT */
/* The file of the library's scripts, and the size of the documents that load it. */
#include <stdio.h>
#include <string.h>

#include "application/world.h"
#include "decode/decode.h"
#include "vestry/app/tab.h"
#include "vestry/app/upload_view.h"

/* As sent, with brotli or gzip, and with all scripts. */
enum { DOCUMENT_BYTES = 4000 };

typedef struct note {
  char text[81];
} note;

static const vestry_application_form form = {
    .action = "/note", .name = "note", .is_kept = true, VESTRY_INPUTS(VESTRY_INPUT(note, text, .max = 20))};

static void take(vestry_call *call) {
  assert_non_null(call->values);
}

static void leave(vestry_call *call) {
  vestry_call_go(call, "/log-in");
}

/* A document with all scripts: a clock, a form that is kept, an upload, text that the next page gets, and a stream. */
static void show(vestry_call *call) {
  vestry_call_document(call, NULL);
  vestry_tab_keep(call->req, call->html, "draft");
  vestry_call_form(call, &form, NULL);
  vestry_html_upload(call->html, NULL);
  vestry_call_content(call);
  vestry_html_add(call->html, "<p>Hello</p>");
}

static const vestry_entry entries[] = {VESTRY_GUARD("/", leave), VESTRY_FORM(&form, take), VESTRY_PAGE("/", show), {0}};
static const vestry_entry open_entries[] = {VESTRY_FORM(&form, take), VESTRY_PAGE("/", show), {0}};

static void open_world(world *w, const vestry_entry *table) {
  static const vestry_clock clock = {.url = "/clock"};
  world_open(w,
             (vestry_application_options){.document = &(vestry_application_document){.clock = &clock},
                                          .pages = &(vestry_pages_options){0},
                                          .entries = table},
             NULL);
}

/* Request an address with one header. */
static vestry_memory_exchange *ask(world *w, const char *url, const char *name, const char *value) {
  vestry_memory_exchange *exchange;
  const vestry_header header = {name, value};
  const vestry_memory_call call = {.method = "GET", .path = url, .headers = &header, .headers_count = 1};
  assert_int_equal(vestry_memory_request(w->app->instance, &call, NULL, NULL, &exchange), VESTRY_OK);
  return exchange;
}

static void assert_header(vestry_memory_exchange *exchange, const char *name, const char *wanted) {
  const char *is = vestry_memory_header(exchange, name, 0);
  if (!is != !wanted || (is && strcmp(is, wanted) != 0))
    fail_msg("%s: %s, and not %s", name, is ? is : "(none)", wanted ? wanted : "(none)");
}

/* Copy the address of the file from a document. */
static void find_file(const char *document, char url[64]) {
  const char *at = strstr(document, "src=\"/vestry.js/");
  assert_non_null(at);
  assert_int_equal(sscanf(at, "src=\"%63[^\"]", url), 1);
}

static const char *const functions[] = {"once", "tab", "form", "view", "clock", "care", "stream", "long_poll"};

TEST_CASE(document_calls_functions_of_one_file_by_name) {
  world w;
  char url[64], called[32], defined[32];
  open_world(&w, open_entries);
  vestry_memory_exchange *page = ask(&w, "/", "Accept", "text/html");
  const vestry_memory_seen is = vestry_memory_look(page);
  assert_int_equal(is.status, 200);
  const char *document = is.received.data;
  find_file(document, url);
  vestry_memory_exchange *file = ask(&w, url, "Accept", "*/*");
  const vestry_memory_seen its = vestry_memory_look(file);
  assert_int_equal(its.status, 200);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    snprintf(called, sizeof called, "vestry.%s(el,$", functions[i]);
    snprintf(defined, sizeof defined, "%s:(el,$", functions[i]);
    if (!strstr(document, called)) fail_msg("the document does not call %s", called);
    if (!strstr(its.received.data, defined)) fail_msg("the file does not define %s", defined);
  }
  assert_true(strstr(document, "/vestry.js/") < strstr(document, "type=\"module\""));
  assert_header(file, "Cache-Control", "public, max-age=31536000, immutable");
  vestry_memory_destroy(file);
  vestry_memory_destroy(page);
  world_close(&w);
}

/* A document of a log-in needs the functions, too. */
TEST_CASE(guard_does_not_lead_away_from_the_file) {
  world w;
  char url[64];
  open_world(&w, entries);
  vestry_memory_exchange *page = ask(&w, "/", "Accept", "*/*");
  assert_int_equal(vestry_memory_look(page).status, 303);
  vestry_memory_destroy(page);
  page = ask(&w, "/nowhere", "Accept", "*/*");
  find_file(vestry_memory_look(page).received.data, url);
  vestry_memory_destroy(page);
  page = ask(&w, url, "Accept", "*/*");
  assert_int_equal(vestry_memory_look(page).status, 200);
  vestry_memory_destroy(page);
  world_close(&w);
}

/* The process of another version has made the document. */
TEST_CASE(file_of_another_hash_is_answered_and_not_cached) {
  world w;
  open_world(&w, open_entries);
  vestry_memory_exchange *file = ask(&w, "/vestry.js/0000000000000000", "Accept", "*/*");
  assert_int_equal(vestry_memory_look(file).status, 200);
  assert_header(file, "Cache-Control", "no-store");
  vestry_memory_destroy(file);
  world_close(&w);
}

TEST_CASE(documents_and_the_file_have_the_coding_of_streams) {
  static const char *const accepted[] = {"br", "gzip", "identity", "gzip;q=0", "br;q=0, gzip, identity;q=0.5"};
  static const char *const codings[] = {"br", "gzip", NULL, NULL, "gzip"};
  world w;
  char url[64];
  open_world(&w, open_entries);
  vestry_memory_exchange *plain = ask(&w, "/", "Accept", "*/*");
  assert_header(plain, "Content-Encoding", NULL);
  find_file(vestry_memory_look(plain).received.data, url);
  vestry_memory_destroy(plain);
  const char *const urls[] = {"/", url};
  for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
    for (size_t k = 0; k < 2; k++) {
      vestry_memory_exchange *answer = ask(&w, urls[k], "Accept-Encoding", accepted[i]);
      const vestry_memory_seen seen = vestry_memory_look(answer);
      assert_int_equal(seen.status, 200);
      assert_header(answer, "Content-Encoding", codings[i]);
      assert_header(answer, "Vary", "Accept-Encoding");
      decoder decoded;
      decoder_init(&decoded, codings[i] ? codings[i] : "identity");
      decoder_feed(&decoded, seen.received.data, seen.received.len);
      assert_non_null(strstr(vsi_buffer_terminate(&decoded.text), k ? "window.vestry={" : "</body></html>"));
      assert_true(!codings[i] || decoded.ended);
      decoder_finish(&decoded);
      print_message("%s: %zu bytes, %s\n", k ? "file" : "document", seen.received.len, accepted[i]);
      if (codings[i] && k == 0) assert_true(seen.received.len <= DOCUMENT_BYTES);
      vestry_memory_destroy(answer);
    }
  }
  world_close(&w);
}
