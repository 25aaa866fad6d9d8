/* Test APPNAME like a user, without a network: two browsers, and a restart with the stored data. */
#undef NDEBUG /* the test needs assertions */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vestry/testing/browser.h>

#include "app.h"

static char file[] = "/tmp/APPNAME-XXXXXX";

struct site {
  vestry_application *app;
  vestry_browser *ada, *bob;
  char token[VESTRY_CSRF_TOKEN_BYTES]; /* of Ada's page */
};

/* Load the page. ret_token: its token; NULL: not needed. expected: a part of the page; absent: no part of it. */
static void load(vestry_browser *browser, const char *expected, const char *absent, char *ret_token) {
  static const char before[] = "_csrf=\"'";
  vestry_memory_exchange *page;
  assert(!vestry_browser_get(browser, "/", &page));
  const char *html = vestry_memory_look(page).received.data, *at = strstr(html, before);
  assert(at && strstr(html, expected) && !strstr(html, absent));
  if (ret_token) snprintf(ret_token, VESTRY_CSRF_TOKEN_BYTES, "%s", at + strlen(before));
  vestry_memory_destroy(page);
}

static void begin(struct site *site) {
  assert(!app_begin(file, VESTRY_THREADS_NONE, &site->app)); /* this thread does all work */
  assert(!vestry_browser_create(site->app->instance, &site->ada));
  assert(!vestry_browser_create(site->app->instance, &site->bob));
  load(site->ada, "<h1>APPNAME</h1>", "Remove", site->token);
}

static void end(struct site *site) {
  vestry_browser_destroy(site->ada);
  vestry_browser_destroy(site->bob);
  assert(!vestry_application_destroy(site->app));
}

/* Send a request of Ada's page. expected: a part of the answer. */
static void send(struct site *site, const char *method, const char *url, const char *text, int status,
                 const char *expected) {
  vestry_memory_exchange *answer;
  const vestry_value *signals = VESTRY_OBJECT("text", text, "csrf", (const char *)site->token);
  assert(!vestry_browser_send(site->ada, method, url, signals, &answer));
  assert(vestry_memory_look(answer).status == status);
  assert(strstr(vestry_memory_look(answer).received.data, expected));
  vestry_memory_destroy(answer);
}

static void a_note_shows_in_open_tabs(void) {
  struct site site;
  vestry_memory_exchange *tab;
  begin(&site);
  assert(!vestry_browser_send(site.bob, "GET", "/", NULL, &tab));
  assert(!vestry_application_settle(site.app, 1000));
  (void)vestry_memory_since(tab);
  send(&site, "POST", "/note", "Tea <b>at</b> four", 200, "\"text\":\"\"");
  assert(!vestry_application_settle(site.app, 1000)); /* runs the job, too */
  assert(strstr(vestry_memory_since(tab).data, "Tea &lt;b&gt;at&lt;/b&gt; four <small>3 words</small></li>"));
  load(site.ada, "Remove", "nothing", NULL); /* only Ada's session can remove it */
  load(site.bob, "Tea", "Remove", NULL);
  send(&site, "POST", "/note", "", 200, "Write something first.");
  site.token[0] = 'x';
  send(&site, "POST", "/note", "From another site", 403, "");
  assert(!vestry_application_settle(site.app, 1000));
  assert(vestry_memory_since(tab).len == 0); /* a rejected note changes nothing */
  vestry_memory_destroy(tab);
  end(&site);
}

static void notes_outlive_the_program(void) {
  struct site site;
  begin(&site);
  load(site.ada, "Tea &lt;b&gt;at&lt;/b&gt; four", "Remove", NULL); /* a new browser has another session */
  end(&site);
}

int main(void) {
  int descriptor = mkstemp(file);
  assert(descriptor >= 0);
  close(descriptor);
  a_note_shows_in_open_tabs();
  notes_outlive_the_program();
  static const char *const ends[] = {"", "-wal", "-shm", "-vestry"};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    char path[64];
    snprintf(path, sizeof path, "%s%s", file, ends[i]);
    remove(path);
  }
  return 0;
}
