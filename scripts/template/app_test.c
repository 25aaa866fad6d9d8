/* Test APPNAME like a user, without a network: two browsers, and a restart with the stored data.
 * app_test [DATABASE]: default: a file of its own */
#undef NDEBUG /* the test needs assertions */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <vestry/testing/browser.h>

#include "app.h"

static const char *place;

static vestry_application *begin(void) {
  vestry_application *app;
  vestry_application_options options = app_options;
  const vestry_options instance = {.threads_count = VESTRY_THREADS_NONE}; /* this thread does all work */
  options.database_at = place;
  options.instance = &instance;
  assert(!vestry_application_create(&options, &app));
  return app;
}

static void a_note_shows_in_open_pages_and_outlives_the_program(void) {
  vestry_application *app = begin();
  vestry_browser *ada, *bob, *later;
  vestry_browser_page *hers, *his;
  assert(!vestry_browser_create(app->instance, &ada) && !vestry_browser_create(app->instance, &bob));
  assert(!vestry_browser_open(ada, "/", &hers) && !vestry_browser_open(bob, "/", &his));
  assert(!vestry_browser_press(hers, "Add"));
  assert(vestry_browser_shows(hers, "Note: enter something."));
  assert(!vestry_browser_fill(hers, "Note", "Tea <b>at</b> four"));
  assert(!vestry_browser_press(hers, "Add") && vestry_browser_status(hers) == 200);
  assert(!vestry_application_settle(app, 1000)); /* runs the job, and renders the pages */
  assert(vestry_browser_shows(his, "Tea <b>at</b> four 3 words"));
  assert(vestry_browser_shows(hers, "Remove") && !vestry_browser_shows(his, "Remove")); /* it is hers */
  vestry_browser_close(hers);
  vestry_browser_close(his);
  assert(!vestry_application_destroy(app));

  app = begin();
  assert(!vestry_browser_move(ada, app->instance, &later)); /* Ada, with her session */
  assert(!vestry_browser_open(later, "/", &hers));
  assert(vestry_browser_shows(hers, "Tea <b>at</b> four 3 words"));
  assert(!vestry_browser_press(hers, "Remove") && vestry_browser_status(hers) == 204);
  assert(!vestry_application_settle(app, 1000));
  assert(!vestry_browser_shows(hers, "Tea"));
  vestry_browser_close(hers);
  vestry_browser_destroy(later);
  assert(!vestry_application_destroy(app));
  vestry_browser_destroy(ada);
  vestry_browser_destroy(bob);
}

int main(int argc, char **argv) {
  static const char *const ends[] = {"", "-wal", "-shm", "-vestry"};
  char file[] = "/tmp/APPNAME-XXXXXX";
  place = argc > 1 ? argv[1] : file;
  int descriptor = argc > 1 ? -1 : mkstemp(file);
  assert(argc > 1 || descriptor >= 0);
  if (descriptor >= 0) close(descriptor);
  a_note_shows_in_open_pages_and_outlives_the_program();
  for (size_t i = 0; argc == 1 && i < sizeof ends / sizeof *ends; i++) {
    char path[64];
    snprintf(path, sizeof path, "%s%s", file, ends[i]);
    remove(path);
  }
  return 0;
}
