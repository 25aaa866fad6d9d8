/* SPDX-License-Identifier: MIT */
/* Notices: each page subscribes to the topic of its user while its stream is open; publishers do not know the
 * subscribers. A notice consists of elements and two scripts, which are made once and sent together. The last
 * notices are kept for pages that open or reconnect later, until they are dismissed or the program ends. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/program.h"
#include "vestry/app/bus.h"
#include "vestry/app/input.h"
#include "vestry/app/stream.h"

enum { NAME_MAX = 30, NAME_BYTES = VESTRY_TEXT_BYTES(NAME_MAX), TEXT_MAX = 140 };
enum { KEPT_MAX = 100, DISMISSED_MAX = 1000, EVENTS = 3 };

struct notice {
  unsigned long long number; /* from 1 */
  char from[NAME_BYTES], to[NAME_BYTES], text[VESTRY_TEXT_BYTES(TEXT_MAX)];
};

struct app {
  struct program program;
  /* held while a notice is kept and published, and while the kept ones are sent, so that a new stream receives each
   * notice once */
  pthread_mutex_t lock;
  unsigned long long count;     /* of all notices; guarded by lock, as are the following members */
  struct notice kept[KEPT_MAX]; /* notice n is at n % KEPT_MAX */
  unsigned long long dismissals_count;
  struct {
    unsigned long long number;
    char user[NAME_BYTES];
  } dismissed[DISMISSED_MAX];
};

/* Read the user from the query, GET /?user=…. An application with a login would use the session. */
static void read_user(const vestry_request *req, char user[NAME_BYTES]) {
  const char *given = vestry_request_value(req, VESTRY_IN_QUERY, "user");
  snprintf(user, NAME_BYTES, "%s", vestry_text_has(given, 1, NAME_MAX) ? given : "guest");
}

#define PAGE                                                                                                           \
  "<main data-signals=\"{unread: 0, message: ''}\" data-signals:user=\"'%s'\" "                                        \
  "data-on:notice__document=\"$unread++\"><header class=\"row\"><h1>Notices for %s</h1>"                               \
  "<b class=\"badge\" id=\"unread\" data-attr:hidden=\"$unread == 0\" data-text=\"$unread\" hidden></b>"               \
  "</header><form data-on:submit=\"$_stale ? "                                                                         \
  "$message = 'Not sent: the server does not respond. Your text stays here.' : @post('/send')\"><div "                 \
  "class=\"pair\"><div "                                                                                               \
  "class=\"field\">"                                                                                                   \
  "<label for=\"to\">To</label><input id=\"to\" data-bind:to maxlength=\"%d\" placeholder=\"everyone\" "               \
  "autocomplete=\"off\"></div><div class=\"field\"><label for=\"text\">Notice</label>"                                 \
  "<input id=\"text\" data-bind:text maxlength=\"%d\" autocomplete=\"off\"></div></div><button class=\"first\">Send"   \
  "</button><p class=\"soft\" id=\"message\" role=\"status\" data-text=\"$message\"></p></form>"                       \
  "<div role=\"log\" aria-label=\"Notices\"><ol id=\"notices\"></ol></div></main>"

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  /* The stream stays open while the tab is hidden, because a notice is sent only once. */
  const vestry_backend_action_options also_hidden = {.when_hidden = VESTRY_HIDDEN_OPEN};
  char user[NAME_BYTES];
  vestry_html html;
  read_user(req, user);
  program_page_begin(app, reply, &html, "Notices");
  vestry_html_add(&html, PAGE, user, user, NAME_MAX, TEXT_MAX);
  vestry_html_stream(&html, req, NULL, &also_hidden, "/stream?user=%s", user);
  return program_page_end(reply, &html);
}

/* Runs on the thread of the publisher. */
static void on_notice(const vestry_bus_message *message, void *ctx) {
  (void)ctx;
  vestry_connection_send_all(message->connection, message->data, EVENTS);
}

/* GET /stream?user=…: a stream that receives the notices of this user, and notices without a user, which are for all.
 * The kept notices are sent first, including those that arrived while the page was disconnected. */
static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const vestry_subscriber page = {.call = on_notice};
  char user[NAME_BYTES];
  (void)ctx;
  read_user(req, user);
  vestry_err err = vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  if (!err) err = vestry_reply_subscribe(reply, req->scope, VESTRY_KEY("to", user), &page);
  if (!err) err = vestry_reply_subscribe(reply, req->scope, VESTRY_KEY("to", ""), &page);
  return err ? err : vestry_reply_effect(reply, VESTRY_LIST("kept", user));
}

static void add_item(vestry_html *html, const struct notice *notice) {
  vestry_html_add(html,
                  "<li id=\"notice-%llu\" class=\"fresh\"><span><b>%s</b> <span>%s</span></span>"
                  "<button class=\"small\" aria-label=\"Dismiss\" data-on:click=\"@post('/dismiss?number=%llu');"
                  " el.closest('li').remove(); --$unread || (document.title = 'Notices')\">×</button></li>",
                  notice->number, notice->from, notice->text, notice->number);
}

static vestry_err make_elements(vestry_html *html, const vestry_elements_options *options, vestry_event **ret_event) {
  vestry_slice made;
  vestry_err err = vestry_html_result(html, &made);
  if (!err) err = vestry_event_elements(NULL, (const char *)made.data, made.len, options, ret_event);
  vestry_html_finish(html);
  return err;
}

static bool is_dismissed(const struct app *app, unsigned long long number, const char *user) {
  for (unsigned long long i = 0; i < app->dismissals_count && i < DISMISSED_MAX; i++)
    if (app->dismissed[i].number == number && strcmp(app->dismissed[i].user, user) == 0) return true;
  return false;
}

/* ["kept", user]: send the kept notices to a page. The lock is held until they are sent. After a restart the server has
 * none, and removes nothing from the page. */
static vestry_err send_kept(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  struct app *app = ctx;
  const char *user = json_string_value(json_array_get(args, 0));
  vestry_html html;
  vestry_event *events[2] = {NULL, NULL};
  int unread = 0;
  vestry_html_init(&html, NULL);
  vestry_html_add(&html, "<ol id=\"notices\">");
  pthread_mutex_lock(&app->lock);
  for (unsigned long long i = 0; i < KEPT_MAX && i < app->count; i++) {
    const struct notice *notice = &app->kept[(app->count - i) % KEPT_MAX];
    if ((*notice->to && strcmp(notice->to, user) != 0) || is_dismissed(app, notice->number, user)) continue;
    add_item(&html, notice);
    unread++;
  }
  vestry_html_add(&html, "</ol>");
  vestry_err err = make_elements(&html, NULL, &events[0]);
  if (!err && app->count) err = vestry_context_send(context, events[0]);
  if (!err && app->count) err = vestry_event_signals(NULL, VESTRY_OBJECT("unread", unread), NULL, &events[1]);
  if (!err && app->count) err = vestry_context_send(context, events[1]);
  pthread_mutex_unlock(&app->lock);
  for (int i = 0; i < 2; i++) vestry_event_unref(events[i]);
  return err;
}

/* Make the events of a notice. A page receives all of them without other events in between, or none. */
static vestry_err make_notice(const struct notice *notice, vestry_event *ret_events[EVENTS]) {
  vestry_elements_options first = {.selector = "#notices", .mode = VESTRY_PATCH_PREPEND};
  static const char script[] = "document.title = '● ' + document.title.replace('● ', '')";
  vestry_html html;
  vestry_html_init(&html, NULL);
  add_item(&html, notice);
  vestry_err err = make_elements(&html, &first, &ret_events[0]);
  if (!err)
    err = vestry_event_effect(NULL, VESTRY_LIST("dispatch-event", "notice"), &ret_events[1]); /* data-on:notice */
  if (!err) err = vestry_event_effect(NULL, VESTRY_LIST("execute-script", script), &ret_events[2]);
  return err;
}

/* POST /send */
static vestry_err send_notice(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *user = program_text(req, "user", NAME_BYTES), *to = program_text(req, "to", NAME_BYTES);
  const char *text = program_text(req, "text", VESTRY_TEXT_BYTES(TEXT_MAX));
  if (!vestry_text_has(user, 0, NAME_MAX) || !vestry_text_has(to, 0, NAME_MAX))
    return vestry_reply_patch_signals(reply, VESTRY_OBJECT("message", "A name has at most 30 characters."));
  if (!vestry_text_has(text, 1, TEXT_MAX))
    return vestry_reply_patch_signals(reply,
                                      VESTRY_OBJECT("message", "A notice needs a text, of at most 140 characters."));
  struct notice notice = {0};
  strcpy(notice.from, user);
  strcpy(notice.to, to);
  strcpy(notice.text, text);
  vestry_event *events[EVENTS] = {NULL};
  size_t count = 0;
  pthread_mutex_lock(&app->lock);
  notice.number = app->count + 1;
  vestry_err err = make_notice(&notice, events);
  if (!err) {
    app->kept[++app->count % KEPT_MAX] = notice;
    err = vestry_publish(app->program.v, NO_SCOPE, VESTRY_KEY("to", to), events, sizeof events, &count);
  }
  pthread_mutex_unlock(&app->lock);
  for (int i = 0; i < EVENTS; i++) vestry_event_unref(events[i]);
  if (err && err != VESTRY_NOT_FOUND) return err;
  char message[64 + NAME_BYTES];
  if (count)
    snprintf(message, sizeof message, count == 1 ? "Sent to %zu page." : "Sent to %zu pages.", count);
  else
    snprintf(message, sizeof message, "Stored: %s has no page open now, and will see the notice later.",
             *to ? to : "everyone");
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("message", message, "text", ""));
}

/* POST /dismiss?number=… */
static vestry_err dismiss(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *user = program_text(req, "user", NAME_BYTES);
  const char *number = vestry_request_value(req, VESTRY_IN_QUERY, "number");
  if (!vestry_text_has(user, 0, NAME_MAX) || !number) return vestry_reply_status(reply, 400);
  pthread_mutex_lock(&app->lock);
  const size_t at = app->dismissals_count++ % DISMISSED_MAX;
  app->dismissed[at].number = strtoull(number, NULL, 10);
  strcpy(app->dismissed[at].user, user);
  pthread_mutex_unlock(&app->lock);
  return vestry_reply_status(reply, 204);
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER};
  struct program *program = &app.program;
  program->runs_scripts = true;
  program_start(program, argc, argv, "notices", "Notices from page to page", &(vestry_options){0});
  vestry_leases_create(program->v, 0); /* detects lost tabs behind a proxy */
  vestry_registry_effect(vestry_parts_of(program->v)->registry, "kept", send_kept, &app);
  vestry_route(program->v, "GET", "/", page, program);
  vestry_route(program->v, "GET", "/stream", stream, &app);
  vestry_route(program->v, "POST", "/send", send_notice, &app);
  vestry_route(program->v, "POST", "/dismiss", dismiss, &app);
  program_wait(program);
  return program_finish(program);
}
