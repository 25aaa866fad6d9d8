/* SPDX-License-Identifier: MIT */
/* A form with validation: the server checks while one types, sends only what has changed, and tells all pages how many
 * seats are left. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "shared/program.h"

/* The streams of all pages that show the form. */
#define FORM VESTRY_KEY("form", "workshop")

enum { SEATS = 12 };

/* What a page sends, and what it is told: apart, so that no answer changes what one is typing. */
static const vestry_field sent_fields[] = {VESTRY_STRING_FIELD("name", "", 40), VESTRY_STRING_FIELD("email", "", 80),
                                           VESTRY_INTEGER_FIELD("seats", 1, 1, 4)};
static const vestry_field told_fields[] = {VESTRY_STRING_FIELD("errors.name", "", 0),
                                           VESTRY_STRING_FIELD("errors.email", "", 0),
                                           VESTRY_STRING_FIELD("errors.seats", "", 0)};

struct app {
  struct program program;
  vestry_schema *sent, *told;
  pthread_mutex_t lock;
  int64_t left; /* seats; guarded by lock, like the next two */
  int count;
  char emails[SEATS][81];
};

/* clang-format off */
#define FIELD(name, label, more)                                                                                       \
  "<div class=\"field\"><label for=\"" name "\">" label "</label><input id=\"" name "\" data-bind:" name " " more      \
  " aria-describedby=\"" name "-error\" data-attr:aria-invalid=\"'' + !!$errors." name "\">"                           \
  "<p class=\"error\" id=\"" name "-error\" aria-live=\"polite\" data-text=\"$errors." name "\"></p></div>"
#define PAGE                                                                                                           \
  "<main data-signals=\"{left: %d, errors: {name: '', email: '', seats: ''}}\""                                        \
  " data-init=\"@get('/stream', {retry: 'error', retryMaxCount: Infinity})\">"                                        \
  "<header><h1>A workshop on bookbinding</h1>"                                                                         \
  "<p class=\"soft\" role=\"status\"><span id=\"left\" data-text=\"$left\">%d</span> of %d seats are left</p></header>"\
  "<form id=\"form\" novalidate data-on:submit=\"@post('/signup')\""                                                   \
  " data-on:input__debounce.250ms=\"@post('/check')\">"                                                                \
  FIELD("name", "Name", "autocomplete=\"name\"")                                                                       \
  FIELD("email", "Email", "type=\"email\" autocomplete=\"email\"")                                                     \
  FIELD("seats", "Seats", "type=\"number\" min=\"1\" max=\"4\" value=\"1\"")                                           \
  "<button class=\"first\">Sign up</button></form></main>"
/* clang-format on */

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  return program_page(app, reply, "Sign up", PAGE, SEATS, SEATS, SEATS);
}

/* GET /stream: ["left"] sends how many seats are left, now to this page and after each sign-up to all. */
static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  vestry_reply_key(reply, FORM);
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, PAGES_MAX);
  return vestry_reply_effect(reply, VESTRY_LIST("left"));
}

static vestry_err left(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  struct app *app = ctx;
  vestry_event *event;
  (void)args;
  pthread_mutex_lock(&app->lock); /* until it is sent: no page hears of an older number last */
  vestry_err err = vestry_event_signals(NULL, VESTRY_OBJECT("left", app->left), NULL, &event);
  if (!err) err = vestry_context_send(context, event), vestry_event_unref(event);
  pthread_mutex_unlock(&app->lock);
  return err;
}

static void tell(vestry_repository *told, const char *field, const char *what) {
  char path[32];
  snprintf(path, sizeof path, "errors.%s", field);
  vestry_repository_set(told, path, VESTRY_VALUES(what));
}

/* POST /check while one types, when an empty field is no fault yet; POST /signup when one is done. */
static vestry_err check(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  bool is_complete = strcmp(req->path, "/signup") == 0, is_taken = false;
  vestry_repository *sent = NULL, *told = NULL;
  vestry_err err = vestry_repository_create(app->sent, req->signals, &sent);
  if (!err) err = vestry_repository_create(app->told, req->signals, &told);
  if (err) return vestry_repository_destroy(sent), err;
  const char *name = "", *email = "", *needed = is_complete ? "This is needed." : "";
  int64_t seats = 1;
  vestry_repository_get(sent, "name", VESTRY_INTO(&name));
  vestry_repository_get(sent, "email", VESTRY_INTO(&email));
  vestry_repository_get(sent, "seats", VESTRY_INTO(&seats));
  pthread_mutex_lock(&app->lock);
  for (int i = 0; i < app->count; i++) is_taken |= strcmp(app->emails[i], email) == 0;
  const char *wrong_email = !*email                                ? needed
                            : !strchr(email, '@') || *email == '@' ? "An address looks like name@example.org."
                            : is_taken                             ? "This address has signed up."
                                                                   : "";
  const char *wrong_seats = seats > app->left ? "So many are not left." : "";
  bool is_done = is_complete && *name && !*wrong_email && !*wrong_seats && !vestry_repository_errors(sent, NULL, 0);
  if (is_done) {
    strcpy(app->emails[app->count++], email);
    app->left -= seats;
  }
  pthread_mutex_unlock(&app->lock);
  tell(told, "name", *name ? "" : needed);
  tell(told, "email", wrong_email);
  tell(told, "seats", wrong_seats);
  vestry_field_error errors[3]; /* a type, or a bound */
  size_t errors_count = vestry_repository_errors(sent, errors, 3);
  for (size_t i = 0; i < errors_count; i++) tell(told, errors[i].path, errors[i].message);
  if (is_done) {
    vestry_dispatch(app->program.v, NO_SCOPE, FORM, VESTRY_LIST("left")); /* all pages, this one too */
    err = vestry_reply_patch_elementsf(
        reply, "<p id=\"form\" role=\"status\">Thank you, %s! Seats kept for you: %d</p>", name, (int)seats);
  } else {
    err = vestry_repository_save_reply(told, VESTRY_SAVE_CHANGED, reply, NULL); /* no more than what has changed */
  }
  vestry_repository_destroy(told);
  vestry_repository_destroy(sent);
  return err;
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER, .left = SEATS};
  program_start(&app.program, argc, argv, "signup", "A form that is checked while one types", &(vestry_options){0});
  vestry_schema_create(NULL, sent_fields, 3, &app.sent, NULL);
  vestry_schema_create(NULL, told_fields, 3, &app.told, NULL);
  vestry_registry_effect(vestry_parts_of(app.program.v)->registry, "left", left, &app);
  vestry_route(app.program.v, "GET", "/", page, &app.program);
  vestry_route(app.program.v, "GET", "/stream", stream, &app);
  vestry_route(app.program.v, "POST", "/check", check, &app);
  vestry_route(app.program.v, "POST", "/signup", check, &app);
  program_wait(&app.program);
  vestry_schema_destroy(app.sent);
  vestry_schema_destroy(app.told);
  return program_finish(&app.program);
}
