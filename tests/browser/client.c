/* SPDX-License-Identifier: MIT */
/* A server for client.test.js: features of later clients, and changes in them.
 *   GET /         the page, under a strict policy
 *   QUERY /ask    returns the signals of the request; mounted if the server supports the method
 *   POST /patch   sends the body, a patch of signals, to the page's stream
 *   GET /stream   the page's stream
 *   POST /said    returns the received signals as the signal `said` */
#include <string.h>

#include "../../examples/shared/program.h"
#include "vestry/adapter.h"

enum { TEXT_MAX = 2000 };
static struct program program;

/* Return the signals of the request as text: the names in alphabetical order. */
static vestry_err say(const vestry_request *req, vestry_reply *reply, void *name) {
  char *text = json_dumps(req->signals, JSON_COMPACT | JSON_SORT_KEYS);
  vestry_err error =
      text ? vestry_reply_patch_signals(
                 reply, VESTRY_OBJECT((const char *)name, VESTRY_OBJECT("method", req->method, "signals", text)))
           : VESTRY_NO_MEMORY;
  free(text);
  return error;
}

static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_reply_key(reply, VESTRY_KEY("page"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

static vestry_err patch(const vestry_request *req, vestry_reply *reply, void *ctx) {
  json_t *signals = NULL;
  vestry_err error = vestry_request_json(req, NULL, &signals, NULL);
  if (error) return error;
  json_t *effects = json_pack("[[s,o]]", "patch-signals", signals);
  vestry_dispatch_result result = {0};
  error = vestry_dispatch_with(program.v, effects,
                               &(vestry_dispatch_options){.scope = NO_SCOPE, .key = VESTRY_KEY("page")}, &result);
  json_decref(effects);
  return error ? error : vestry_reply_status(reply, 204);
}

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  static const char hostile[] = "@get('/x') $list @post(";
  char ask[512], said[512];
  vestry_err error = vestry_backend_action_string(
      ask, sizeof ask, VESTRY_METHOD_QUERY, &(vestry_backend_action_options){.filter_include = "^(list|who)"}, "/ask");
  if (!error) error = vestry_backend_action_string(said, sizeof said, VESTRY_METHOD_POST, NULL, "/said");
  if (error) return error;
  return program_page(
      &program, reply, "Client",
      "<main id=\"page\" data-signals=\"{list: [1, 2, 3], who: {name: 'ada', age: 36}, answer: {method: ''}, "
      "said: {signals: ''}, hostile: ''}\" data-init=\"@get('/stream')\" "
      "data-on:datastar-fetch=\"evt.detail.type == 'error' && (el.dataset.failed = evt.detail.argsRaw.status)\">"
      "<button id=\"ask\" data-on:click=\"%-s\">Ask</button><button id=\"say\" data-on:click=\"%-s\">Say</button>"
      "<button id=\"shrink\" data-on:click=\"$list.length = 1\">Shrink</button>"
      "<button id=\"forget\" data-on:click=\"$who.age = null\">Forget</button>"
      "<button id=\"hostile\" data-on:click=\"$hostile = '%s'\">Hostile</button>"
      "<p id=\"method\" data-text=\"$answer.method\"></p><p id=\"answer\" data-text=\"$answer.signals\"></p>"
      "<p id=\"said\" data-text=\"$said.signals\"></p><p id=\"text\" data-text=\"$hostile\"></p></main>",
      ask, said, hostile);
}

int main(int argc, char **argv) {
  program_start(&program, argc, argv, "test_browser_client", "What later clients can do", &(vestry_options){0});
  vestry_route(program.v, "GET", "/", page, NULL);
  vestry_route(program.v, "GET", "/stream", stream, NULL);
  vestry_route(program.v, "POST", "/patch", patch, NULL);
  vestry_route(program.v, "POST", "/said", say, (void *)(uintptr_t) "said");
  if (strcmp(program.is->adapter->name, "civetweb") != 0)
    vestry_route(program.v, "QUERY", "/ask", say, (void *)(uintptr_t) "answer");
  program_wait(&program);
  return program_finish(&program);
}
