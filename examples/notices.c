/* SPDX-License-Identifier: MIT */
/* Notices: each page subscribes to its user's topic for as long as its stream lives; who publishes does not know who is
 * there. A notice is elements and two scripts, made once and sent to all as one. */
#include <stdio.h>
#include <string.h>

#include "shared/program.h"

enum { NAME_MAX = 30, TEXT_MAX = 140 };

/* GET /?user=…: whose page it is. (An application with a log-in would know, and ask nobody.) */
static void read_user(const vestry_request *req, char user[NAME_MAX + 1]) {
  const char *query = req->query;
  vestry_err err = vestry_query_value(query, strlen(query), "user", user, NAME_MAX + 1, &(size_t){0});
  if (err || !*user) strcpy(user, "guest");
}

#define PAGE                                                                                                           \
  "<main data-signals=\"{unread: 0, said: ''}\" data-signals:user=\"'%s'\" "                                           \
  "data-on:notice__document=\"$unread++\"><header class=\"row\"><h1>Notices for %s</h1>"                               \
  "<b class=\"badge\" id=\"unread\" data-attr:hidden=\"$unread == 0\" data-text=\"$unread\" hidden></b>"               \
  "</header><form data-on:submit=\"@post('/send')\"><div class=\"pair\"><div class=\"field\">"                         \
  "<label for=\"to\">To</label><input id=\"to\" data-bind:to maxlength=\"%d\" placeholder=\"everyone\" "               \
  "autocomplete=\"off\"></div><div class=\"field\"><label for=\"text\">Notice</label>"                                 \
  "<input id=\"text\" data-bind:text maxlength=\"%d\" autocomplete=\"off\"></div></div><button class=\"first\">Send"   \
  "</button><p class=\"soft\" id=\"said\" role=\"status\" data-text=\"$said\"></p></form>"                             \
  "<ol id=\"notices\" role=\"log\" aria-label=\"Notices\"></ol></main>"

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  /* Also while the tab is hidden: a notice is sent once. */
  const vestry_backend_action_options also_hidden = {.when_hidden = VESTRY_HIDDEN_OPEN};
  char user[NAME_MAX + 1];
  vestry_html html;
  read_user(req, user);
  program_page_begin(app, reply, &html, "Notices");
  vestry_html_add(&html, PAGE, user, user, NAME_MAX, TEXT_MAX);
  vestry_html_stream(&html, req, NULL, &also_hidden, "/stream?user=%s", user);
  return program_page_end(reply, &html);
}

/* On the thread of whoever publishes. */
static void on_notice(const vestry_bus_message *message, void *ctx) {
  (void)ctx;
  vestry_batch_send(message->data, message->connection);
}

/* GET /stream?user=…: stays open, and is told of what is for this user, and of what is for nobody: for all. */
static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *app) {
  const vestry_subscriber page = {.call = on_notice};
  char user[NAME_MAX + 1];
  (void)app;
  read_user(req, user);
  vestry_err err = vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  if (!err) err = vestry_reply_subscribe(reply, req->scope, VESTRY_KEY("to", user), &page);
  return err ? err : vestry_reply_subscribe(reply, req->scope, VESTRY_KEY("to", ""), &page);
}

/* What a page is sent: all of it or nothing, with nothing in between. */
static vestry_err add_notice(vestry_batch *batch, const char *from, const char *text) {
  vestry_elements_options first = {.selector = "#notices", .mode = VESTRY_PATCH_PREPEND};
  vestry_event *events[2] = {NULL, NULL};
  vestry_err err = vestry_event_elementsf(
      NULL, &first, &events[0],
      "<li class=\"fresh\"><span><b>%s</b> <span>%s</span></span>"
      "<button class=\"small\" aria-label=\"Dismiss\" "
      "data-on:click=\"el.closest('li').remove(); --$unread || (document.title = 'Notices')\">×</button></li>",
      from, text);
  if (!err) err = vestry_batch_add(batch, events[0]);
  if (!err) err = vestry_event_custom(NULL, "notice", NULL, 0, NULL, &events[1]); /* for data-on:notice */
  if (!err) err = vestry_batch_add(batch, events[1]);
  static const char script[] = "document.title = '● ' + document.title.replace('● ', '')";
  if (!err) err = vestry_batch_execute_script(batch, script, sizeof script - 1, NULL);
  for (int i = 0; i < 2; i++) vestry_event_unref(events[i]);
  return err;
}

/* POST /send */
static vestry_err send_notice(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct program *program = ctx;
  const char *user = program_text(req, "user", NAME_MAX), *to = program_text(req, "to", NAME_MAX);
  const char *text = program_text(req, "text", TEXT_MAX);
  if (!user || !to || !text || !*text)
    return vestry_reply_patch_signals(reply, VESTRY_OBJECT("said", "A notice needs a text, and not a long one."));
  vestry_batch *batch = NULL;
  size_t count = 0;
  vestry_err err = vestry_batch_create(NULL, &batch);
  if (!err) err = add_notice(batch, user, text);
  if (!err) err = vestry_publish(program->v, NO_SCOPE, VESTRY_KEY("to", to), batch, sizeof batch, &count);
  vestry_batch_destroy(batch);
  if (err && err != VESTRY_NOT_FOUND) return err;
  char said[64];
  snprintf(said, sizeof said, count == 1 ? "Sent to %zu page." : "Sent to %zu pages.", count);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("said", said, "text", ""));
}

int main(int argc, char **argv) {
  static struct program program;
  program.runs_scripts = true;
  program_start(&program, argc, argv, "notices", "Notices from page to page", &(vestry_options){0});
  vestry_route(program.v, "GET", "/", page, &program);
  vestry_route(program.v, "GET", "/stream", stream, &program);
  vestry_route(program.v, "POST", "/send", send_notice, &program);
  program_wait(&program);
  return program_finish(&program);
}
