/* SPDX-License-Identifier: MIT */
/* A server for guards.test.js: sessions, tab ids, tokens and actions that run once, on one page.
 *   GET /        the page; #rendered is the tab's id as the server knew it then
 *   GET /stream  sends the tab id of its request to the page, in the signal `seen`
 *   POST /act    counts, and returns 204; POST /form likewise for a plain form, which is redirected to the page
 *   POST /bid    counts, and returns 204, for a deduplicated button; so does DELETE
 *   POST /lot    a form that the client sends, with a file: stores both; /lots lists them
 *   GET /seen    as JSON: the counts, and the origin according to the last POST */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "../../examples/shared/program.h"
#include "vestry/app/csrf.h"
#include "vestry/app/once.h"
#include "vestry/app/session.h"
#include "vestry/app/tab.h"

struct app {
  struct program program;
  vestry_csrf *csrf;
  vestry_once *once;
  _Atomic(int) acts, forms, bids;
  pthread_mutex_t lock;
  char site[32];   /* guarded by lock: Sec-Fetch-Site of the last POST */
  char lots[4096]; /* likewise: a line for each lot, with its text and the content of its file */
};

/* A guard that admits all requests. */
static vestry_err note(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *site = vestry_request_header(req, "Sec-Fetch-Site");
  if (strcmp(req->method, "POST") != 0) return VESTRY_OK;
  pthread_mutex_lock(&app->lock);
  snprintf(app->site, sizeof app->site, "%s", site ? site : "");
  pthread_mutex_unlock(&app->lock);
  return VESTRY_OK;
}

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  char tab[VESTRY_TAB_ATTRIBUTES_BYTES], id[VESTRY_TAB_ID_BYTES], token[VESTRY_CSRF_TOKEN_BYTES];
  char nonce[VESTRY_ONCE_NONCE_BYTES], once[VESTRY_ONCE_ATTRIBUTES_BYTES], act[1024], bid[1024], drop[1024], lot[1024];
  vestry_err err = vestry_tab_id(req, id);
  if (!err) err = vestry_tab_attributes(req, reply, tab, sizeof tab);
  if (!err) err = vestry_csrf_token(app->csrf, req, reply, token);
  if (!err) err = vestry_once_nonce(req, nonce);
  if (!err)
    err = vestry_backend_action_string(
        act, sizeof act, VESTRY_METHOD_POST,
        &(vestry_backend_action_options){.csrf = true, .once = true, .retry_interval_ms = 50}, "/act");
  const vestry_backend_action_options until = {
      .csrf = true, .once = true, .deduplicate = true, .retry_interval_ms = 50};
  vestry_backend_action_options form = until;
  form.content = VESTRY_CONTENT_FORM;
  if (!err) err = vestry_once_attributes(req, once, sizeof once);
  if (!err) err = vestry_backend_action_string(bid, sizeof bid, VESTRY_METHOD_POST, &until, "/bid");
  if (!err) err = vestry_backend_action_string(drop, sizeof drop, VESTRY_METHOD_DELETE, &until, "/bid?of=%d", 7);
  if (!err) err = vestry_backend_action_string(lot, sizeof lot, VESTRY_METHOD_POST, &form, "/lot");
  if (err) return err;
  return program_page(
      &app->program, reply, "Guards",
      "<main %-s %-s data-signals:_csrf=\"'%s'\" data-signals:seen=\"''\" "
      "data-signals:failed=\"''\""
      " data-on:datastar-fetch=\"evt.detail.type=='error'&&($failed=evt.detail.argsRaw.status)\">"
      "<output id=\"rendered\">%s</output><output id=\"tab\" data-text=\"$tabId.slice(0,32)\"></output>"
      "<output id=\"seen\" data-text=\"$seen\"></output><output id=\"failed\" data-text=\"$failed\"></output>"
      "<div data-init=\"@get('/stream',{retry:'error'})\"></div>"
      "<button id=\"act\" data-on:click=\"%-s\">Act</button>"
      "<button id=\"bid\" data-on:click=\"%-s\">Bid</button>"
      "<button id=\"drop\" data-on:click=\"%-s\">Drop</button>"
      "<input id=\"typed\" data-bind:typed data-signals=\"{group: {_own: 1, list: [{_kept: 2}], empty: {}}}\">"
      "<form id=\"lots\" enctype=\"multipart/form-data\" data-on:submit=\"%-s\"><input id=\"what\" name=\"what\" "
      "required>"
      "<input id=\"picture\" name=\"picture\" type=\"file\"><button id=\"lot\" name=\"by\" "
      "value=\"button\">Add</button></form>"
      "<button id=\"bare\" data-on:click=\"@post('/act')\">Without</button>"
      "<a id=\"link\" href=\"/?more\">More</a>"
      "<form id=\"form\" method=\"post\" action=\"/form\"><input type=\"hidden\" name=\"csrf\" value=\"%s\">"
      "<input type=\"hidden\" name=\"once\" value=\"%s\"><input id=\"text\" name=\"text\"><button id=\"send\">Send"
      "</button></form></main>",
      tab, once, token, id, act, bid, drop, lot, token, nonce);
}

static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *ctx) {
  char id[VESTRY_TAB_ID_BYTES];
  vestry_err err = vestry_tab_id(req, id);
  if (!err) err = vestry_reply_key(reply, VESTRY_KEY("tab", (const char *)id));
  if (!err) err = vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  return err ? err : vestry_reply_patch_signals(reply, VESTRY_OBJECT("seen", (const char *)id));
}

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  atomic_fetch_add(&app->acts, 1);
  return vestry_reply_status(reply, 204);
}

static vestry_err form(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  atomic_fetch_add(&app->forms, 1);
  return vestry_reply_redirect(reply, 303, "/");
}

static vestry_err bid(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  atomic_fetch_add(&app->bids, 1);
  return vestry_reply_status(reply, 204);
}

/* Store its text and its button, and the name and content of the file. */
static vestry_err lot(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *what = vestry_request_value(req, VESTRY_IN_FORM, "what");
  const char *by = vestry_request_value(req, VESTRY_IN_FORM, "by");
  vestry_slice body = req->body;
  bool has_file = memmem(body.data, body.len, "filename=\"cat.txt\"", 18) && memmem(body.data, body.len, "miaow", 5);
  pthread_mutex_lock(&app->lock);
  size_t len = strlen(app->lots);
  snprintf(app->lots + len, sizeof app->lots - len, "%s %s%s\n", what ? what : "", by ? by : "",
           has_file ? " cat.txt" : "");
  pthread_mutex_unlock(&app->lock);
  return vestry_reply_status(reply, 204);
}

static vestry_err lots(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  pthread_mutex_lock(&app->lock);
  vestry_err err = vestry_reply_body(reply, "text/plain", app->lots, strlen(app->lots));
  pthread_mutex_unlock(&app->lock);
  return err;
}

static vestry_err seen(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  char site[32];
  pthread_mutex_lock(&app->lock);
  strcpy(site, app->site);
  pthread_mutex_unlock(&app->lock);
  json_t *all = json_pack("{s:i,s:i,s:i,s:s}", "acts", atomic_load(&app->acts), "forms", atomic_load(&app->forms),
                          "bids", atomic_load(&app->bids), "site", site);
  vestry_err err = vestry_reply_json(reply, all);
  json_decref(all);
  return err;
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER};
  program_start(&app.program, argc, argv, "test_browser_guards", "What guards a page", &(vestry_options){0});
  vestry *v = app.program.v;
  if (vestry_sessions_create(v, &(vestry_session_options){.insecure = true}) ||
      vestry_csrf_create(v, NULL, &app.csrf) || vestry_once_create(v, NULL, &app.once))
    return 1;
  vestry_guard(v, "/", note, &app);
  vestry_guard(v, "/", vestry_csrf_guard, app.csrf);
  vestry_guard(v, "/", vestry_once_guard, app.once);
  vestry_route(v, "GET", "/", page, &app);
  vestry_route(v, "GET", "/stream", stream, &app);
  vestry_route(v, "POST", "/act", act, &app);
  vestry_route(v, "POST", "/form", form, &app);
  vestry_route(v, "POST", "/bid", bid, &app);
  vestry_route(v, "DELETE", "/bid", bid, &app);
  vestry_route(v, "POST", "/lot", lot, &app);
  vestry_route(v, "GET", "/lots", lots, &app);
  vestry_route(v, "GET", "/seen", seen, &app);
  program_wait(&app.program);
  vestry_csrf_destroy(app.csrf);
  vestry_once_destroy(app.once);
  return program_finish(&app.program);
}
