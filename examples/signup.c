/* SPDX-License-Identifier: MIT */
/* A form with validation: the server validates while the user types, sends only changed signals, and sends the number
 * of free seats to all pages. Half-typed text is restored after a reload. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "shared/program.h"
#include "vestry/app/form.h"
#include "vestry/app/input.h"
#include "vestry/app/signal_state.h"
#include "vestry/app/stream.h"
#include "vestry/app/tab.h"

/* The streams of all pages that show the form. */
#define FORM VESTRY_KEY("form", "workshop")

enum { SEATS = 12, NAME_MAX = 40, EMAIL_MAX = 80 };

/* Signals that a page sends, and signals that it receives, are separate, so that no answer changes the text that is
 * being typed. */
static const vestry_field sent_fields[] = {VESTRY_STRING_FIELD("name", "", VESTRY_TEXT_BYTES(NAME_MAX)),
                                           VESTRY_STRING_FIELD("email", "", VESTRY_TEXT_BYTES(EMAIL_MAX)),
                                           VESTRY_INTEGER_FIELD("seats", 1, 1, 4)};
static const vestry_field told_fields[] = {VESTRY_STRING_FIELD("errors.name", "", 0),
                                           VESTRY_STRING_FIELD("errors.email", "", 0),
                                           VESTRY_STRING_FIELD("errors.seats", "", 0)};

static const char *const kept_fields[] = {"name", "email", "seats"};

struct app {
  struct program program;
  vestry_schema *sent, *told;
  vestry_forms *forms; /* half-typed text */
  pthread_mutex_t lock;
  int64_t left; /* free seats; guarded by lock, as are the next two members */
  int count;
  char emails[SEATS][VESTRY_TEXT_BYTES(EMAIL_MAX) + 1];
};

/* An error is shown when the user leaves the field, and removed while the user types. */
/* clang-format off */
#define FIELD(name, label, more)                                                                                       \
  "<div class=\"field\"><label for=\"" name "\">" label "</label>"                                                     \
  "<input id=\"" name "\" name=\"" name "\" data-bind:" name " " more " " VESTRY_FORM_FIELD                            \
  " aria-describedby=\"" name "-error\" data-attr:aria-invalid=\"'' + !!$errors." name "\">"                           \
  "<p class=\"error\" id=\"" name "-error\" aria-live=\"polite\" data-text=\"$errors." name "\"></p></div>"
#define PAGE                                                                                                           \
  "<main %-s data-signals=\"{left: %d, errors: {name: '', email: '', seats: ''}}\">"                                   \
  "<header><h1>A workshop on bookbinding</h1>"                                                                         \
  "<p class=\"soft\" role=\"status\"><span id=\"left\" data-text=\"$left\">%d</span> of %d seats are left</p></header>"\
  "<div id=\"form\"><form novalidate data-on:submit=\"@post('/signup')\""                                              \
  " data-indicator:_sending data-on:change=\"@post('/check')\""                                                        \
  " data-on:input__debounce.250ms=\"($errors.name || $errors.email || $errors.seats) && @post('/typing')\" "
#define FIELDS                                                                                                         \
  "<fieldset data-attr:disabled=\"!$left\">"                                                                           \
  FIELD("name", "Name", "autocomplete=\"name\" maxlength=\"40\"")                                                      \
  FIELD("email", "Email", "type=\"email\" autocomplete=\"email\" maxlength=\"80\"")                                    \
  FIELD("seats", "Seats", "type=\"number\" min=\"1\" max=\"4\" value=\"1\"")                                           \
  "<button class=\"first\">Sign up</button></fieldset>"                                                                \
  "<p role=\"status\" data-show=\"!$left\">All seats are taken.</p>"
/* clang-format on */

/* The number of seats comes from the stream, also after a restart of the server. */
static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  char tab[VESTRY_TAB_ATTRIBUTES_BYTES];
  vestry_form *form = NULL;
  vestry_html html;
  vestry_err err = vestry_tab_attributes(req, reply, tab, sizeof tab);
  if (err) return err;
  program_page_begin(&app->program, reply, &html, "Sign up");
  pthread_mutex_lock(&app->lock);
  const int seats = (int)app->left;
  pthread_mutex_unlock(&app->lock);
  vestry_html_add(&html, PAGE, tab, seats, seats, SEATS);
  err = vestry_form_open(app->forms, req, NULL, &html, "signup", &form);
  vestry_form_close(form);
  vestry_html_add(&html, ">" FIELDS "</form></div></main>");
  vestry_html_stream(&html, req, NULL, NULL, "/stream");
  vestry_err finished = program_page_end(reply, &html);
  return err ? err : finished;
}

/* GET /stream: ["left"] sends the number of free seats, now to this page, and after each registration to all pages. */
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
  pthread_mutex_lock(&app->lock); /* held until the number is sent, so that no page ends with an older number */
  vestry_err err = vestry_event_signals(NULL, VESTRY_OBJECT("left", app->left), NULL, &event);
  if (!err) err = vestry_context_send(context, event), vestry_event_unref(event);
  pthread_mutex_unlock(&app->lock);
  return err;
}

static void tell(vestry_signal_state *told, const char *field, const char *what, bool is_typing) {
  const char *said = "";
  char path[32];
  snprintf(path, sizeof path, "errors.%s", field);
  vestry_signal_state_get(told, path, VESTRY_INTO(&said));
  if (is_typing && !*said) return; /* no error while the user is still typing */
  vestry_signal_state_set(told, path, VESTRY_VALUES(what));
}

/* POST /typing while the user types; POST /check when a field is left, where an empty field is not an error yet; POST
 * /signup to register. */
static vestry_err check(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  bool is_complete = strcmp(req->path, "/signup") == 0, is_typing = strcmp(req->path, "/typing") == 0;
  bool is_taken = false;
  vestry_signal_state *sent = NULL, *told = NULL;
  vestry_err err = vestry_signal_state_create(app->sent, req->signals, &sent);
  if (!err) err = vestry_signal_state_create(app->told, req->signals, &told);
  if (err) return vestry_signal_state_destroy(sent), err;
  const char *name = "", *email = "", *needed = is_complete ? "This field is required." : "";
  int64_t seats = 1;
  vestry_signal_state_get(sent, "name", VESTRY_INTO(&name));
  vestry_signal_state_get(sent, "email", VESTRY_INTO(&email));
  vestry_signal_state_get(sent, "seats", VESTRY_INTO(&seats));
  pthread_mutex_lock(&app->lock);
  for (int i = 0; i < app->count; i++) is_taken |= strcmp(app->emails[i], email) == 0;
  const char *wrong_email = !*email                                 ? needed
                            : !program_is_email(email)              ? "An address looks like name@example.org."
                            : !vestry_text_has(email, 0, EMAIL_MAX) ? "An address has at most 80 characters."
                            : is_taken                              ? "This address has already signed up."
                                                                    : "";
  const char *wrong_seats = seats > app->left ? "There are not enough seats left." : "";
  const char *wrong_name = !*name ? needed
                           : !vestry_text_has(name, 1, NAME_MAX)
                               ? "A name has visible characters, and at most 40 of them."
                               : "";
  bool is_done = is_complete && !*wrong_name && *name && !*wrong_email && !*wrong_seats &&
                 !vestry_signal_state_errors(sent, NULL, 0);
  if (is_done) {
    strcpy(app->emails[app->count++], email);
    app->left -= seats;
  }
  pthread_mutex_unlock(&app->lock);
  tell(told, "name", wrong_name, is_typing);
  tell(told, "email", wrong_email, is_typing);
  tell(told, "seats", wrong_seats, is_typing);
  vestry_field_error errors[3]; /* a wrong type, or a bound */
  size_t errors_count = vestry_signal_state_errors(sent, errors, 3);
  for (size_t i = 0; i < errors_count; i++) tell(told, errors[i].path, errors[i].message, is_typing);
  if (is_done) {
    vestry_dispatch(app->program.v, NO_SCOPE, FORM, VESTRY_LIST("left")); /* all pages, including this one */
    (void)vestry_forms_clear(app->forms, req, "signup"); /* a tab from before a restart has no stored text */
    err = vestry_reply_patch_elementsf(
        reply, "<p id=\"form\" role=\"status\">Thank you, %s! Seats reserved for you: %d</p>", name, (int)seats);
  } else {
    err = vestry_signal_state_save_reply(told, VESTRY_SAVE_CHANGED, reply, NULL); /* only changed signals */
  }
  vestry_signal_state_destroy(told);
  vestry_signal_state_destroy(sent);
  return err;
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER, .left = SEATS};
  program_start(&app.program, argc, argv, "signup", "A form that is checked while you type", &(vestry_options){0});
  vestry_leases_create(app.program.v, 0); /* detects lost tabs behind a proxy */
  vestry_schema_create(NULL, sent_fields, 3, &app.sent, NULL);
  vestry_schema_create(NULL, told_fields, 3, &app.told, NULL);
  /* without sessions all tabs share one scope */
  const vestry_forms_options forms = {.max_per_scope_count = PAGES_MAX};
  vestry_err err = vestry_forms_create(app.program.v, &forms, &app.forms);
  if (!err) err = vestry_forms_add(app.forms, "signup", kept_fields, 3);
  vestry_registry_effect(vestry_parts_of(app.program.v)->registry, "left", left, &app);
  vestry_route(app.program.v, "GET", "/", page, &app);
  vestry_route(app.program.v, "POST", "/kept", vestry_forms_handler, app.forms);
  vestry_route(app.program.v, "GET", "/stream", stream, &app);
  vestry_route(app.program.v, "POST", "/check", check, &app);
  vestry_route(app.program.v, "POST", "/typing", check, &app);
  vestry_route(app.program.v, "POST", "/signup", check, &app);
  if (!err) program_wait(&app.program);
  vestry_forms_destroy(app.forms);
  vestry_schema_destroy(app.sent);
  vestry_schema_destroy(app.told);
  return program_finish(&app.program);
}
