/* SPDX-License-Identifier: MIT */
/* Click to edit: a click turns a card into a form, and what is saved is seen at once in every page that shows it. */
#include <pthread.h>
#include <string.h>

#include "shared/program.h"

/* The streams of all pages that show the card. */
#define CARD VESTRY_KEY("card", 1)

enum { NAME_MAX = 60, EMAIL_MAX = 80 };

struct app {
  struct program program;
  pthread_mutex_t lock;
  char name[NAME_MAX + 1], email[EMAIL_MAX + 1]; /* guarded by lock */
};

/* Every %s is escaped for where it stands, whatever people are called. */
#define VIEW                                                                                                           \
  "<section id=\"view\"><dl><dt>Name</dt><dd>%s</dd><dt>Email</dt><dd>%s</dd></dl>"                                    \
  "<button id=\"open\" data-on:click=\"@get('/form')\">Edit</button></section>"
#define FORM                                                                                                           \
  "<form id=\"form\" data-on:submit=\"@put('/card')\">"                                                                \
  "<div class=\"field\"><label for=\"name\">Name</label>"                                                              \
  "<input id=\"name\" data-bind:name data-init=\"el.focus()\" autocomplete=\"off\" maxlength=\"60\"></div>"            \
  "<div class=\"field\"><label for=\"email\">Email</label>"                                                            \
  "<input id=\"email\" data-bind:email autocomplete=\"off\" maxlength=\"80\"></div>"                                   \
  "<p class=\"error\" role=\"alert\" data-text=\"$error\"></p>"                                                        \
  "<div class=\"buttons\"><button class=\"first\">Save</button>"                                                       \
  "<button type=\"button\" data-on:click=\"@delete('/form')\">Cancel</button></div></form>"
#define NO_FORM "<div id=\"form\" data-init=\"document.getElementById('open').focus()\"></div>"

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  (void)req;
  pthread_mutex_lock(&app->lock);
  vestry_err err = program_page(&app->program, reply, "Click to edit",
                                "<main data-init=\"@get('/stream', {retry: 'error', retryMaxCount: Infinity})\">"
                                "<h1>Click to edit</h1>" VIEW "<div id=\"form\"></div></main>",
                                app->name, app->email);
  pthread_mutex_unlock(&app->lock);
  return err;
}

/* GET /stream: stays open, beside those of other pages. It starts with the effect below. */
static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)req;
  (void)ctx;
  vestry_reply_key(reply, CARD);
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, PAGES_MAX);
  return vestry_reply_effect(reply, VESTRY_LIST("show"));
}

/* ["show"]: the card as it is now, to the pages of the dispatch. Locked until it is sent, so that no page hears of an
 * older card last. Pages that have the form open keep it, and get the new card beneath. */
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

/* GET /form: this page's card makes way for a form. Signals of the page fill it. */
static vestry_err form(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  (void)req;
  pthread_mutex_lock(&app->lock);
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("name", app->name, "email", app->email, "error", ""));
  pthread_mutex_unlock(&app->lock);
  return vestry_reply_patch_elements(reply, FORM);
}

/* DELETE /form: the card again. */
static vestry_err cancel(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)req;
  (void)ctx;
  return vestry_reply_patch_elements(reply, NO_FORM);
}

/* PUT /card */
static vestry_err save(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *name = program_text(req, "name", NAME_MAX), *email = program_text(req, "email", EMAIL_MAX);
  if (!name || !*name || !email)
    return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", "A name is needed, and nothing too long."));
  pthread_mutex_lock(&app->lock);
  strcpy(app->name, name);
  strcpy(app->email, email);
  pthread_mutex_unlock(&app->lock);
  vestry_dispatch(app->program.v, NO_SCOPE, CARD, VESTRY_LIST("show")); /* all pages, this one too */
  return vestry_reply_patch_elements(reply, NO_FORM);
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER, .name = "Ada Lovelace", .email = "ada@example.org"};
  program_start(&app.program, argc, argv, "edit", "A card that is edited in place", &(vestry_options){0});
  vestry_registry_effect(vestry_parts_of(app.program.v)->registry, "show", show, &app);
  vestry_route(app.program.v, "GET", "/", page, &app);
  vestry_route(app.program.v, "GET", "/stream", stream, &app);
  vestry_route(app.program.v, "GET", "/form", form, &app);
  vestry_route(app.program.v, "DELETE", "/form", cancel, &app);
  vestry_route(app.program.v, "PUT", "/card", save, &app);
  program_wait(&app.program);
  return program_finish(&app.program);
}
