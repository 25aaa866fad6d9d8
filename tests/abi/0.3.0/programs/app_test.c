/* SPDX-License-Identifier: MIT */
/* Test app like a user, without a network: two browsers, and a restart with the stored data. */
#undef NDEBUG /* the test needs assertions */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vestry/app/csrf.h>
#include <vestry/testing/browser.h>

#include "app.h"

static char file[] = "/tmp/app-XXXXXX";

struct site {
  struct app *app;
  vestry_browser *ada;
  char token[VESTRY_CSRF_TOKEN_BYTES];
};

static void begin(struct site *site) {
  static const char before[] = "_csrf=\"'";
  vestry_memory_exchange *page;
  assert(!app_begin(file, VESTRY_THREADS_NONE, &site->app)); /* this thread does all work */
  assert(!vestry_browser_create(app_instance(site->app), &site->ada));
  assert(!vestry_browser_get(site->ada, "/", &page));
  const char *at = strstr(vestry_memory_look(page).received.data, before);
  assert(at);
  snprintf(site->token, sizeof site->token, "%.64s", at + strlen(before));
  vestry_memory_destroy(page);
}

static void end(struct site *site) {
  vestry_browser_destroy(site->ada);
  app_end(site->app);
}

/* Post a note as Ada. expected: a part of the answer. */
static void post(struct site *site, const char *text, const char *token, int status, const char *expected) {
  vestry_memory_exchange *answer;
  assert(!vestry_browser_send(site->ada, "POST", "/note", VESTRY_OBJECT("text", text, "csrf", token), &answer));
  assert(vestry_memory_look(answer).status == status);
  assert(strstr(vestry_memory_look(answer).received.data, expected));
  vestry_memory_destroy(answer);
}

static void a_note_shows_in_open_tabs(void) {
  struct site site;
  vestry_memory_exchange *tab;
  begin(&site);
  assert(!vestry_browser_send(site.ada, "GET", "/", NULL, &tab));
  assert(!app_settle(site.app));
  (void)vestry_memory_since(tab);
  post(&site, "Tea <b>at</b> four", site.token, 200, "\"text\":\"\"");
  assert(!app_settle(site.app));
  assert(strstr(vestry_memory_since(tab).data, "Tea &lt;b&gt;at&lt;/b&gt; four"));
  post(&site, "", site.token, 200, "Write something first.");
  post(&site, "From another site", "", 403, "");
  assert(!app_settle(site.app));
  assert(vestry_memory_since(tab).len == 0); /* a rejected note changes nothing */
  vestry_memory_destroy(tab);
  end(&site);
}

static void notes_outlive_the_program(void) {
  struct site site;
  vestry_memory_exchange *page;
  begin(&site);
  assert(!vestry_browser_get(site.ada, "/", &page));
  assert(strstr(vestry_memory_look(page).received.data, "Tea &lt;b&gt;at&lt;/b&gt; four"));
  vestry_memory_destroy(page);
  end(&site);
}

int main(void) {
  int descriptor = mkstemp(file);
  assert(descriptor >= 0);
  close(descriptor);
  a_note_shows_in_open_tabs();
  notes_outlive_the_program();
  static const char *const ends[] = {"", "-wal", "-shm"};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    char path[64];
    snprintf(path, sizeof path, "%s%s", file, ends[i]);
    remove(path);
  }
  return 0;
}
