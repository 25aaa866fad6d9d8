/* SPDX-License-Identifier: MIT */
/* A server for pages.test.js: live pages, and faults. A page shows the logged-in user, a text shared by all, the
 * text of the user, and an input. Its heartbeats are short, unless PAGES_HEARTBEAT_MS is set, and so are the
 * reconnect delays of tabs, unless PAGES_RETRY_MS is set.
 *   GET /, /many/{n}   for all users; /kept likewise, with a stream also while hidden
 *   GET /shared        rendered once for all
 *   GET /own           for logged-in users; others are redirected to /login
 *   GET /strict        without a style, under the strictest policy that the client permits; its stream redirects to
 *                      /login when the text is "go", and reloads the page, once, when it is "reload"
 *   GET /slow          after POST /sleep, its next render waits until POST /wake
 *   GET /big           with 200,000 bytes
 *   GET /over          its render returns 204 when the text is "over"
 *   GET /allowed       its function allow admits logged-in users
 *   GET /room          404 while the text is "deleted"
 *   GET /still         its stream gets 410 while the text is "still"
 *   POST /text         the body is the text from now on; POST /text/{user}: a user's text
 *   POST /first        restores the initial state
 *   POST /draft        from the page: the signal `draft`
 *   POST /login        form: user; POST /logout
 *   GET /seen          as JSON: counters, drafts, whether a render waits */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../examples/shared/program.h"
#include "vestry/app/csp.h"
#include "vestry/app/secret.h"
#include "vestry/app/session.h"

enum { HEARTBEAT_MS = 800, RETRY_MS = 200, USERS = 4, TEXT_BYTES = 400, BIG_ROWS = 2000 };

struct app {
  struct program program;
  vestry_pages *pages;
  vestry_page *page, *kept, *own, *allowed;
  pthread_mutex_t lock;
  pthread_cond_t woken;
  /* All members below are guarded by lock. */
  char text[TEXT_BYTES], of_user[USERS][TEXT_BYTES], draft[TEXT_BYTES];
  bool sleeps; /* the next render of /slow must wait */
  int sleeping, changes;
};

static int number_of(const char *user) {
  return user ? user[0] % USERS : 0;
}

static void wait_to_be_woken(struct app *app) {
  pthread_mutex_lock(&app->lock);
  if (app->sleeps) {
    app->sleeping++;
    while (app->sleeps) pthread_cond_wait(&app->woken, &app->lock);
    app->sleeping--;
  }
  pthread_mutex_unlock(&app->lock);
}

static void add_content(struct app *app, vestry_html *html, const char *path, const char *user) {
  char text[TEXT_BYTES], own[TEXT_BYTES];
  pthread_mutex_lock(&app->lock);
  strcpy(text, app->text);
  strcpy(own, user ? app->of_user[number_of(user)] : "");
  int changes = app->changes;
  pthread_mutex_unlock(&app->lock);
  vestry_html_add(html, "<p>Hello <b id=\"user\">%s</b></p>", user ? user : "nobody");
  vestry_html_add(html, "<p id=\"text\">%s</p><p id=\"own\">%s</p><p id=\"changes\">%d</p>", text, own, changes);
  vestry_html_add(html, "<input id=\"draft\" data-bind:draft>"
                        "<button id=\"send\" data-on:click=\"@post('/draft')\">Send</button>");
  if (strcmp(path, "/big") == 0)
    for (int i = 0; i < BIG_ROWS; i++)
      vestry_html_add(html, "<p id=\"row-%d\">%s, %d, and so much more</p>", i, text, i);
  vestry_html_add(html, "<p id=\"last\">%s</p>", text);
}

static bool text_is(struct app *app, const char *text) {
  pthread_mutex_lock(&app->lock);
  bool is = strcmp(app->text, text) == 0;
  pthread_mutex_unlock(&app->lock);
  return is;
}

static vestry_err render(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  const vestry_request *req = render->request;
  const char *path = req->path, *user = vestry_session_user(req);
  bool is_slow = strcmp(path, "/slow") == 0;
  char topic[64];
  snprintf(topic, sizeof topic, "user/%d", number_of(user));
  vestry_render_topic(render, is_slow ? "slow" : "text");
  if (user) vestry_render_topic(render, topic);
  if (is_slow && render->is_stream) wait_to_be_woken(app);
  bool is_over = strcmp(path, "/over") == 0 && text_is(app, "over");
  if (is_over) return vestry_reply_status(render->reply, 204);
  if (strcmp(path, "/strict") == 0 && render->is_stream && text_is(app, "go"))
    return vestry_reply_redirect(render->reply, 303, "/login?from='strict'");
  if (strcmp(path, "/strict") == 0 && render->is_stream && text_is(app, "reload")) {
    pthread_mutex_lock(&app->lock);
    strcpy(app->text, "loaded anew");
    pthread_mutex_unlock(&app->lock);
    return VESTRY_NOT_FOUND;
  }
  vestry_html_add(html,
                  "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Pages</title>"
                  "<link rel=\"icon\" href=\"data:,\"><script type=\"module\" src=\"%-s\"></script>",
                  VESTRY_DATASTAR_CDN_URL);
  if (strcmp(path, "/strict") != 0) vestry_render_head(render, html);
  vestry_html_add(html, "</head><body data-signals=\"{draft: '', _local: 'private'}\">");
  vestry_render_begin(render, html);
  add_content(app, html, path, user);
  vestry_render_end(render, html);
  return vestry_html_add(html, "</body></html>");
}

static vestry_err may(const vestry_request *req, void *ctx) {
  return vestry_session_user(req) ? VESTRY_OK : VESTRY_NOT_FOUND;
}

static vestry_err shared(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_page_serve(req, reply, ((struct app *)ctx)->page, "");
}

static vestry_err strict(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const struct app *app = ctx;
  const bool is_old = app->program.client.needs_eval;
  vestry_reply_csp(reply, &(vestry_csp){.client_needs_eval = is_old, .trusted_types = !is_old});
  return vestry_page_serve(req, reply, app->page, NULL);
}

static vestry_err own(const vestry_request *req, vestry_reply *reply, void *ctx) {
  if (!vestry_session_user(req)) return vestry_reply_redirect(reply, 303, "/login");
  return vestry_page_serve(req, reply, ((struct app *)ctx)->page, NULL);
}

static vestry_err room(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  return text_is(app, "deleted") ? VESTRY_NOT_FOUND : vestry_page_serve(req, reply, app->page, NULL);
}

static vestry_err still(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  if (req->is_datastar && text_is(app, "still")) return vestry_reply_status(reply, 410);
  return vestry_page_serve(req, reply, app->page, NULL);
}

static vestry_err ask_login(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_reply_bodyf(reply, "<!doctype html><title>Log in</title><link rel=\"icon\" href=\"data:,\">"
                                   "<h1 id=\"login\">Log in</h1>");
}

static vestry_err login(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_err err = vestry_session_login(req, reply, vestry_request_value(req, VESTRY_IN_FORM, "user"));
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err logout(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_err err = vestry_session_logout(req, reply);
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err set_text(struct app *app, vestry_reply *reply, char *text, vestry_slice body, const char *topic) {
  pthread_mutex_lock(&app->lock);
  snprintf(text, TEXT_BYTES, "%.*s", (int)body.len, (const char *)body.data);
  app->changes++;
  pthread_mutex_unlock(&app->lock);
  vestry_err err = vestry_refresh(app->pages, topic, NULL);
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err post_text(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  return set_text(app, reply, app->text, req->body, "text");
}

static void begin_text(struct app *app) {
  snprintf(app->text, sizeof app->text, "first of %d", (int)getpid());
  app->changes = 0;
}

static vestry_err post_first(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  pthread_mutex_lock(&app->lock);
  begin_text(app);
  pthread_mutex_unlock(&app->lock);
  vestry_err err = vestry_refresh(app->pages, "text", NULL);
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err post_own(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int number = number_of(vestry_request_value(req, VESTRY_IN_PATH, "user"));
  char topic[64];
  snprintf(topic, sizeof topic, "user/%d", number);
  return set_text(app, reply, app->of_user[number], req->body, topic);
}

static vestry_err post_draft(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *draft = program_text(req, "draft", TEXT_BYTES - 1);
  pthread_mutex_lock(&app->lock);
  snprintf(app->draft, sizeof app->draft, "%s", draft ? draft : "");
  pthread_mutex_unlock(&app->lock);
  return vestry_reply_status(reply, 204);
}

static vestry_err set_sleep(struct app *app, vestry_reply *reply, bool sleeps) {
  pthread_mutex_lock(&app->lock);
  app->sleeps = sleeps;
  pthread_cond_broadcast(&app->woken);
  pthread_mutex_unlock(&app->lock);
  if (sleeps) vestry_refresh(app->pages, "slow", NULL);
  return vestry_reply_status(reply, 204);
}

static vestry_err post_sleep(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return set_sleep(ctx, reply, true);
}

static vestry_err post_wake(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return set_sleep(ctx, reply, false);
}

static vestry_err seen(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(app->pages, &stats);
  pthread_mutex_lock(&app->lock);
  json_t *all = json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:s,s:i}", "server", (int)getpid(), "streams",
                          (json_int_t)stats.streams_count, "opened", (json_int_t)stats.streams_opened_count, "renders",
                          (json_int_t)stats.renders_count, "changed", (json_int_t)stats.changed_count, "documents",
                          (json_int_t)stats.documents_count, "draft", app->draft, "sleeping", app->sleeping);
  pthread_mutex_unlock(&app->lock);
  vestry_err err = all ? vestry_reply_json(reply, all) : VESTRY_NO_MEMORY;
  json_decref(all);
  return err;
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER, .woken = PTHREAD_COND_INITIALIZER};
  const char *heartbeat = getenv("PAGES_HEARTBEAT_MS");
  const vestry_connection_options connection = {.heartbeat_ms =
                                                    heartbeat ? strtoul(heartbeat, NULL, 10) : HEARTBEAT_MS};
  static const vestry_session_options sessions = {.insecure = true};
  static const vestry_secret secret = {.secret = "the state tags of a test outlive a kill", .secret_len = 32};
  begin_text(&app);
  program_start(&app.program, argc, argv, "test_browser_pages", "Live pages",
                &(vestry_options){.connection = &connection});
  vestry *v = app.program.v;
  const char *retry = getenv("PAGES_RETRY_MS");
  const vestry_pages_options options = {.retry_ms = retry ? strtoul(retry, NULL, 10) : RETRY_MS};
  const vestry_page_options page = {.render = render, .app = &app},
                            kept = {.render = render,
                                    .app = &app,
                                    .when_hidden = VESTRY_HIDDEN_OPEN,
                                    .signals = "/^draft$/"},
                            allowed = {.render = render, .app = &app, .allow = may};
  if (vestry_secret_set(v, &secret) || vestry_sessions_create(v, &sessions) ||
      vestry_pages_create(v, &options, &app.pages) || vestry_page_create(app.pages, &page, &app.page) ||
      vestry_page_create(app.pages, &kept, &app.kept) || vestry_page_create(app.pages, &allowed, &app.allowed)) {
    fputs("test_browser_pages: no pages\n", stderr);
    return 1;
  }
  static const char *const plain[] = {"/", "/many/{n}", "/slow", "/big", "/over"};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
    vestry_route(v, "GET", plain[i], vestry_page_handler, app.page);
  vestry_route(v, "GET", "/kept", vestry_page_handler, app.kept);
  vestry_route(v, "GET", "/allowed", vestry_page_handler, app.allowed);
  vestry_route(v, "GET", "/shared", shared, &app);
  vestry_route(v, "GET", "/strict", strict, &app);
  vestry_route(v, "GET", "/own", own, &app);
  vestry_route(v, "GET", "/room", room, &app);
  vestry_route(v, "GET", "/still", still, &app);
  vestry_route(v, "GET", "/login", ask_login, &app);
  vestry_route(v, "POST", "/login", login, &app);
  vestry_route(v, "POST", "/logout", logout, &app);
  vestry_route(v, "POST", "/text", post_text, &app);
  vestry_route(v, "POST", "/text/{user}", post_own, &app);
  vestry_route(v, "POST", "/first", post_first, &app);
  vestry_route(v, "POST", "/draft", post_draft, &app);
  vestry_route(v, "POST", "/sleep", post_sleep, &app);
  vestry_route(v, "POST", "/wake", post_wake, &app);
  vestry_route(v, "GET", "/seen", seen, &app);
  program_wait(&app.program);
  vestry_pages_destroy(app.pages);
  return program_finish(&app.program);
}
