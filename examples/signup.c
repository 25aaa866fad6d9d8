/* SPDX-License-Identifier: MIT */
/* A form with validation: the server validates while the user types, sends only changed signals, and sends the number
 * of free seats to all pages. Half-typed text is restored after a reload. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "shared/program.h"
#include "vestry/app/form.h"
#include "vestry/app/input.h"
#include "vestry/app/stream.h"
#include "vestry/app/tab.h"

/* The streams of all pages that show the form. */
#define FORM VESTRY_KEY("form", "workshop")

enum { SEATS = 12, NAME_MAX = 40, EMAIL_MAX = 80 };

/* A registration, and its errors. Signals that a page sends, and signals that it receives, are separate, so that no
 * answer changes the text that is being typed. */
struct wish {
  char name[VESTRY_TEXT_BYTES(NAME_MAX)], email[VESTRY_TEXT_BYTES(EMAIL_MAX)];
  int64_t seats;
  char wrong[3][VESTRY_INPUT_MESSAGE_BYTES]; /* of name, email and seats */
};

enum { SENT = 3, TOLD = 3 };
#define BOUND(name, more)                                                                                              \
  more " id=\"" name "\" data-bind:" name " aria-describedby=\"" name                                                  \
       "-error\" data-attr:aria-invalid=\"'' + !!$errors." name "\""
static const vestry_input fields[SENT + TOLD] = {
    VESTRY_INPUT(struct wish, name, .label = "Name", .max = NAME_MAX,
                 .attributes = BOUND("name", "autocomplete=\"name\"")),
    VESTRY_INPUT(struct wish, email, .label = "Email", .max = EMAIL_MAX,
                 .attributes = BOUND("email", "type=\"email\" autocomplete=\"email\"")),
    VESTRY_INPUT(struct wish, seats, .label = "Seats", .min = 1, .max = 4, .attributes = BOUND("seats", "")),
    VESTRY_INPUT(struct wish, wrong[0], .path = "errors.name"),
    VESTRY_INPUT(struct wish, wrong[1], .path = "errors.email"),
    VESTRY_INPUT(struct wish, wrong[2], .path = "errors.seats")};

struct app {
  struct program program;
  vestry_forms *forms; /* half-typed text */
  pthread_mutex_t lock;
  int64_t left; /* free seats; guarded by lock, as are the next two members */
  int count;
  char emails[SEATS][VESTRY_TEXT_BYTES(EMAIL_MAX) + 1];
};

/* clang-format off */
#define PAGE                                                                                                           \
  "<main %-s data-signals=\"{left: %d, errors: {name: '', email: '', seats: ''}}\">"                                   \
  "<header><h1>A workshop on bookbinding</h1>"                                                                         \
  "<p class=\"soft\" role=\"status\"><span id=\"left\" data-text=\"$left\">%d</span> of %d seats are left</p></header>"\
  "<div id=\"form\"><form novalidate data-on:submit=\"@post('/signup')\""                                              \
  " data-indicator:_sending data-on:change=\"@post('/check')\""                                                        \
  " data-on:input__debounce.250ms=\"($errors.name || $errors.email || $errors.seats) && @post('/typing')\" "
/* clang-format on */

/* Append the fields. An error is shown when the user leaves the field, and removed while the user types. */
static void add_fields(vestry_html *html, const vestry_form *form) {
  const struct wish first = {.seats = 1};
  vestry_html_add(html, "<fieldset data-attr:disabled=\"!$left\">");
  for (size_t i = 0; i < SENT; i++) {
    vestry_html_add(html, "<div class=\"field\">");
    vestry_inputs_add(html, &fields[i], 1, &(vestry_inputs_shown){.form = form, .values = &first});
    vestry_html_add(html,
                    "<p class=\"error\" id=\"%s-error\" aria-live=\"polite\" data-text=\"$errors.%-s\"></p></div>",
                    fields[i].name, fields[i].name);
  }
  vestry_html_add(html, "<button class=\"first\">Sign up</button></fieldset>"
                        "<p role=\"status\" data-show=\"!$left\">All seats are taken.</p>");
}

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
  vestry_html_add(&html, ">");
  add_fields(&html, form);
  vestry_form_close(form);
  vestry_html_add(&html, "</form></div></main>");
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

/* POST /typing while the user types; POST /check when a field is left, where an empty field is not an error yet; POST
 * /signup to register. */
static vestry_err check(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const bool is_complete = strcmp(req->path, "/signup") == 0, is_typing = strcmp(req->path, "/typing") == 0;
  const char *needed = is_complete ? "This field is required." : "";
  struct wish now = {.seats = 1};
  char wrong[SENT + TOLD][VESTRY_INPUT_MESSAGE_BYTES];
  vestry_err err = vestry_inputs_read(req, fields, SENT + TOLD, &now, wrong);
  if (err && err != VESTRY_MALFORMED) return err;
  const struct wish was = now;
  bool is_taken = false, is_done = is_complete;
  pthread_mutex_lock(&app->lock);
  for (int i = 0; i < app->count; i++) is_taken |= strcmp(app->emails[i], now.email) == 0;
  const char *rules[SENT] = {!*now.name ? needed : "",
                             !*now.email                    ? needed
                             : !program_is_email(now.email) ? "An address looks like name@example.org."
                             : is_taken                     ? "This address has already signed up."
                                                            : "",
                             now.seats > app->left ? "There are not enough seats left." : ""};
  for (size_t i = 0; i < SENT; i++) {
    const char *what = *wrong[i] ? wrong[i] : rules[i];
    is_done &= !*what;
    if (!is_typing || *was.wrong[i]) strcpy(now.wrong[i], what); /* no error while the user is still typing */
  }
  if (is_done) {
    strcpy(app->emails[app->count++], now.email);
    app->left -= now.seats;
  }
  pthread_mutex_unlock(&app->lock);
  if (!is_done) {
    json_t *changed = NULL; /* only errors that appear, change or disappear */
    err = vestry_inputs_signals(fields + SENT, TOLD, &now, &was, wrong + SENT, &changed);
    if (changed) err = vestry_reply_patch_signals(reply, VESTRY_VALUES(changed));
    json_decref(changed);
    return err;
  }
  vestry_dispatch(app->program.v, NO_SCOPE, FORM, VESTRY_LIST("left")); /* all pages, including this one */
  (void)vestry_forms_clear(app->forms, req, "signup"); /* a tab from before a restart has no stored text */
  return vestry_reply_patch_elementsf(
      reply, "<p id=\"form\" role=\"status\">Thank you, %s! Seats reserved for you: %d</p>", now.name, (int)now.seats);
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER, .left = SEATS};
  program_start(&app.program, argc, argv, "signup", "A form that is checked while you type", &(vestry_options){0});
  vestry_leases_create(app.program.v, 0); /* detects lost tabs behind a proxy */
  /* without sessions all tabs share one scope */
  const vestry_forms_options forms = {.max_per_scope_count = PAGES_MAX};
  vestry_err err = vestry_forms_create(app.program.v, &forms, &app.forms);
  if (!err) err = vestry_forms_add(app.forms, "signup", fields, SENT);
  vestry_registry_effect(vestry_parts_of(app.program.v)->registry, "left", left, &app);
  vestry_route(app.program.v, "GET", "/", page, &app);
  vestry_route(app.program.v, "POST", "/kept", vestry_forms_handler, app.forms);
  vestry_route(app.program.v, "GET", "/stream", stream, &app);
  vestry_route(app.program.v, "POST", "/check", check, &app);
  vestry_route(app.program.v, "POST", "/typing", check, &app);
  vestry_route(app.program.v, "POST", "/signup", check, &app);
  if (!err) program_wait(&app.program);
  vestry_forms_destroy(app.forms);
  return program_finish(&app.program);
}
