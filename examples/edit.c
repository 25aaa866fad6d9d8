/* SPDX-License-Identifier: MIT */
/* Click to edit: a click turns a card into a form, and all pages that show the card receive the saved data at once.
 * Half-typed text is restored after a reload. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "shared/program.h"
#include "vestry/app/form.h"
#include "vestry/app/input.h"
#include "vestry/app/stream.h"
#include "vestry/app/tab.h"

/* The streams of all pages that show the card. */
#define CARD VESTRY_KEY("card", 1)

enum { NAME_MAX = 60, EMAIL_MAX = 80 };

struct app {
  struct program program;
  vestry_forms *forms; /* half-typed text */
  pthread_mutex_t lock;
  char name[VESTRY_TEXT_BYTES(NAME_MAX)], email[VESTRY_TEXT_BYTES(EMAIL_MAX)]; /* guarded by lock */
};

/* A form contains the version of the card with which it began, so that it never silently overwrites the changes of
 * another user. Every %s is escaped for its context. */
#define VIEW                                                                                                           \
  "<section id=\"view\"><dl><dt>Name</dt><dd>%s</dd><dt>Email</dt><dd>%s</dd></dl>"                                    \
  "<button id=\"open\" data-on:click=\"@get('/form')\">Edit</button></section>"
#define FIELDS                                                                                                         \
  "<div class=\"field\"><label for=\"name\">Name</label><input id=\"name\" name=\"name\" data-bind:name "              \
  "data-init=\"el.focus()\" maxlength=\"60\" " VESTRY_FORM_FIELD "></div>"                                             \
  "<div class=\"field\"><label for=\"email\">Email</label><input id=\"email\" name=\"email\" data-bind:email "         \
  "type=\"email\" autocomplete=\"email\" "                                                                             \
  "maxlength=\"80\" " VESTRY_FORM_FIELD "></div>"                                                                      \
  "<input name=\"was_name\" data-bind:was_name hidden " VESTRY_FORM_FIELD ">"                                          \
  "<input name=\"was_email\" data-bind:was_email hidden " VESTRY_FORM_FIELD ">"                                        \
  "<p class=\"error\" role=\"alert\" data-text=\"$error\"></p>"                                                        \
  "<p class=\"waiting\" role=\"status\" data-show=\"$_saving\">Not saved yet. Trying again…</p>"                     \
  "<div class=\"buttons\"><button class=\"first\">Save</button>"                                                       \
  "<button type=\"button\" data-on:click=\"@delete('/form')\">Cancel</button></div>"
#define NO_FORM "<div id=\"form\" data-init=\"document.getElementById('open').focus()\"></div>"

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  char tab[VESTRY_TAB_ATTRIBUTES_BYTES];
  vestry_html html;
  vestry_err err = vestry_tab_attributes(req, reply, tab, sizeof tab);
  if (err) return err;
  program_page_begin(&app->program, reply, &html, "Contact");
  pthread_mutex_lock(&app->lock);
  vestry_html_add(&html, "<main %-s><h1>Contact</h1>" VIEW "<div id=\"form\"></div></main>", tab, app->name,
                  app->email);
  pthread_mutex_unlock(&app->lock);
  vestry_html_stream(&html, req, NULL, NULL, "/stream");
  return program_page_end(reply, &html);
}

/* GET /stream: stays open, together with the streams of other pages. It starts with the effect below. */
static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)req;
  (void)ctx;
  vestry_reply_key(reply, CARD);
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, PAGES_MAX);
  return vestry_reply_effect(reply, VESTRY_LIST("show"));
}

/* ["show"]: send the current card to the pages of the dispatch. The lock is held until it is sent, so that no page ends
 * with an older card. A page with an open form keeps the form, and receives the new card below it. */
static vestry_err show(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  struct app *app = ctx;
  vestry_event *event;
  (void)args;
  pthread_mutex_lock(&app->lock);
  vestry_err err = vestry_event_elementsf(NULL, NULL, &event, VIEW, app->name, app->email);
  if (!err) {
    err = vestry_context_send(context, event);
    vestry_event_unref(event);
  }
  pthread_mutex_unlock(&app->lock);
  return err;
}

/* GET /form: replace the card of this page by a form. Signals fill it with the text that this tab had typed before a
 * reload, or with the card. */
static vestry_err form(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_html html;
  vestry_form *kept;
  vestry_html_init(&html, NULL);
  vestry_html_add(
      &html,
      "<div id=\"form\"><form novalidate data-indicator:_saving data-on:submit=\"$error = ''; @put('/card')\" "
      "data-on:keydown=\"evt.key === 'Escape' && !evt.isComposing && evt.keyCode !== 229 && @delete('/form')\" ");
  vestry_err err = vestry_form_open(app->forms, req, NULL, &html, "card", &kept);
  if (!err) {
    vestry_html_add(&html, ">" FIELDS "</form></div>");
    pthread_mutex_lock(&app->lock);
    const char *name = vestry_form_text(kept, "name", app->name), *email = vestry_form_text(kept, "email", app->email);
    const char *was_name = vestry_form_text(kept, "was_name", app->name);
    const char *was_email = vestry_form_text(kept, "was_email", app->email);
    err = vestry_reply_patch_signals(
        reply, VESTRY_OBJECT("name", name, "email", email, "error", "", "was_name", was_name, "was_email", was_email));
    pthread_mutex_unlock(&app->lock);
    vestry_form_close(kept);
  }
  if (!err) err = vestry_reply_effect(reply, VESTRY_LIST("patch-elements", &html));
  vestry_html_finish(&html);
  return err;
}

/* Show the card again, and delete the typed text. (After a restart, the id of an old tab is invalid, and it has no
 * stored text.) */
static vestry_err close_form(struct app *app, const vestry_request *req, vestry_reply *reply) {
  (void)vestry_forms_clear(app->forms, req, "card");
  return vestry_reply_patch_elements(reply, NO_FORM);
}

/* DELETE /form */
static vestry_err cancel(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return close_form(ctx, req, reply);
}

/* PUT /card. If a lost answer causes a repetition, it has no further effect. */
static vestry_err save(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *name = program_text(req, "name", VESTRY_TEXT_BYTES(NAME_MAX));
  const char *email = program_text(req, "email", VESTRY_TEXT_BYTES(EMAIL_MAX));
  const char *was_name = program_text(req, "was_name", VESTRY_TEXT_BYTES(NAME_MAX));
  const char *was_email = program_text(req, "was_email", VESTRY_TEXT_BYTES(EMAIL_MAX));
  char now_name[sizeof app->name], now_email[sizeof app->email], what[sizeof now_name + sizeof now_email + 200];
  if (!vestry_text_has(name, 1, NAME_MAX) || !vestry_text_has(email, 0, EMAIL_MAX))
    return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", "A name is needed, and no field may be too long."));
  if (*email && !program_is_email(email))
    return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", "An address looks like name@example.org."));
  pthread_mutex_lock(&app->lock);
  strcpy(now_name, app->name);
  strcpy(now_email, app->email);
  const bool is_same = strcmp(name, now_name) == 0 && strcmp(email, now_email) == 0;
  const bool is_free = was_name && was_email && strcmp(was_name, now_name) == 0 && strcmp(was_email, now_email) == 0;
  if (is_free || is_same) {
    strcpy(app->name, name);
    strcpy(app->email, email);
  }
  pthread_mutex_unlock(&app->lock);
  if (!is_free && !is_same) {
    snprintf(what, sizeof what, "Saved meanwhile by another page: “%s”, “%s”. Save again to replace it.", now_name,
             now_email);
    return vestry_reply_patch_signals(reply,
                                      VESTRY_OBJECT("error", what, "was_name", now_name, "was_email", now_email));
  }
  vestry_dispatch(app->program.v, NO_SCOPE, CARD, VESTRY_LIST("show")); /* all pages, including this one */
  return close_form(app, req, reply);
}

int main(int argc, char **argv) {
  static const vestry_input fields[] = {
      {.name = "name"}, {.name = "email"}, {.name = "was_name"}, {.name = "was_email"}};
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER, .name = "Ada Lovelace", .email = "ada@example.org"};
  program_start(&app.program, argc, argv, "edit", "A card that is edited in place", &(vestry_options){0});
  vestry_leases_create(app.program.v, 0); /* detects lost tabs behind a proxy */
  /* without sessions all tabs share one scope */
  const vestry_forms_options forms = {.max_per_scope_count = PAGES_MAX};
  vestry_err err = vestry_forms_create(app.program.v, &forms, &app.forms);
  if (!err) err = vestry_forms_add(app.forms, "card", fields, 4);
  vestry_registry_effect(vestry_parts_of(app.program.v)->registry, "show", show, &app);
  vestry_route(app.program.v, "GET", "/", page, &app);
  vestry_route(app.program.v, "GET", "/stream", stream, &app);
  vestry_route(app.program.v, "GET", "/form", form, &app);
  vestry_route(app.program.v, "DELETE", "/form", cancel, &app);
  vestry_route(app.program.v, "PUT", "/card", save, &app);
  vestry_route(app.program.v, "POST", "/kept", vestry_forms_handler, app.forms);
  if (!err) program_wait(&app.program);
  vestry_forms_destroy(app.forms);
  return program_finish(&app.program);
}
