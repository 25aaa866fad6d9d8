/* SPDX-License-Identifier: MIT */
/* A page for the tests of effects in a browser: PUT /do takes a list of effects as JSON and dispatches it to every
 * open stream of the page. /strict is the page under a strict policy; POST /leave is an action that returns a
 * redirect. effects [--datastar-version V]: prints its address, ends when its standard input does. With an option,
 * the client is one before 1.0.3. */
#include <civetweb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vestry/app/csp.h"
#include "vestry/civetweb.h"
#include "vestry/dispatch.h"

static const char page[] =
    "<!doctype html><html><head><meta charset=\"utf-8\"><title>effects</title>"
    "<link rel=\"icon\" href=\"data:,\"><script src=\"/got.js\"></script><script type=\"module\" "
    "src=\"" VESTRY_DATASTAR_CDN_URL "\"></script></head>"
    "<body><div id=\"stream\" data-init=\"@get('/stream')\"></div>"
    "<button id=\"leave\" data-on:click=\"@post('/leave')\">Leave</button>"
    "<ul><li id=\"one\"></li><li id=\"two\"></li></ul></body></html>";
static const char script[] =
    "window.got = []; window.violations = []; for (const type of ['saved', 'a\"b'])"
    " window.addEventListener(type, (e) => got.push([type, e.target.id ?? 'document', e.detail, e.bubbles,"
    " e.cancelable, e.composed]));"
    "document.addEventListener('securitypolicyviolation', (e) => (violations.push(e.violatedDirective), "
    "window.tell?.(e.violatedDirective)));"
    "document.addEventListener('datastar-fetch', ({detail: {type, el}}) => el.id == 'leave' && window.tell(type));";

static vestry_err show(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_body(reply, NULL, page, sizeof page - 1);
}

static vestry_err show_strictly(const vestry_request *req, vestry_reply *reply, void *app) {
  const bool is_old = *(const bool *)app;
  vestry_err error = vestry_reply_csp(
      reply,
      &(vestry_csp){.client_needs_eval = is_old,
                    .trusted_types = !is_old,
                    .policy = "default-src 'none'; connect-src 'self'; form-action 'self'; img-src 'self' data:; "
                              "script-src {client} 'self' {nonce}; style-src 'self' {nonce}"});
  return error ? error : show(req, reply, NULL);
}

static vestry_err show_script(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_body(reply, "text/javascript", script, sizeof script - 1);
}

static vestry_err leave(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_redirect(reply, 303, "/?a='\"</i></script>$b@c(");
}

static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_reply_key(reply, VESTRY_KEY("page"));
  return error ? error : vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

static vestry_err perform(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_slice body = req->body;
  json_t *effects = json_loadb(body.data, body.len, JSON_ALLOW_NUL, NULL);
  if (!effects) return VESTRY_MALFORMED;
  vestry_dispatch_result result = {0};
  vestry_err error = vestry_dispatch_with(
      req->v, effects, &(vestry_dispatch_options){.scope = req->scope, .key = VESTRY_KEY("page")}, &result);
  json_decref(effects);
  return error ? error : vestry_reply_status(reply, 204);
}

int main(int argc, char **argv) {
  const char *settings[] = {"listening_ports",    "127.0.0.1:0", "num_threads", "20", "tcp_nodelay", "1",
                            "request_timeout_ms", "10000",       NULL};
  vestry *v = NULL;
  vestry_server *web = NULL;
  char why[160];
  bool is_old = argc > 1;
  if (vestry_civetweb_check(settings, why, sizeof why)) {
    fprintf(stderr, "effects: %s\n", why);
    return 1;
  }
  struct mg_context *server = mg_start(NULL, NULL, settings);
  struct mg_server_port bound;
  if (!server || mg_get_server_ports(server, 1, &bound) != 1 || vestry_create(NULL, &v) ||
      vestry_civetweb_create(v, server, NULL, &web) || vestry_route(v, "GET", "/", show, NULL) ||
      vestry_route(v, "GET", "/strict", show_strictly, &is_old) ||
      vestry_route(v, "GET", "/got.js", show_script, NULL) || vestry_route(v, "POST", "/leave", leave, NULL) ||
      vestry_route(v, "GET", "/stream", stream, NULL) || vestry_route(v, "PUT", "/do", perform, NULL)) {
    fprintf(stderr, "effects: the server does not start\n");
    return 1;
  }
  printf("effects: http://127.0.0.1:%d\n", bound.port);
  fflush(stdout);
  char ignored[64];
  while (read(STDIN_FILENO, ignored, sizeof ignored) > 0) continue;
  vestry_server_stop(web, 1000);
  vestry_civetweb_stop_server(server);
  vestry_server_destroy(web);
  vestry_destroy(v);
  return 0;
}
