/* SPDX-License-Identifier: MIT */
/* A server for plain.test.js: events with names of the application, for pages without Datastar.
 *   GET /          a page with a script, and an EventSource
 *   GET /readings  the stream; from a history, so that a client that reconnects misses nothing
 *   POST /say      broadcasts an event: name, and the body as its data
 *   POST /break    cuts all streams
 *   GET /stay-away 204, after which an EventSource does not reconnect */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/shared/program.h"
#include "vestry/app/history.h"

static const vestry_scope everybody = {NULL, 0};
#define READINGS VESTRY_KEY("readings")

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  static const char html[] =
      "<!doctype html><meta charset=\"utf-8\"><link rel=\"icon\" href=\"data:,\"><title>Plain</title><script>"
      "window.heard=[];window.opened=0;const source=new EventSource('/readings');"
      "source.onopen=()=>window.opened++;"
      "for(const name of ['reading','message','two words','\\u00e4'])"
      "source.addEventListener(name,(e)=>window.heard.push([e.type,e.data]));"
      "const away=new EventSource('/stay-away');window.away=()=>away.readyState;"
      "</script>";
  return vestry_reply_body(reply, NULL, html, sizeof html - 1);
}

static vestry_err readings(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_reply_any_client(reply);
  vestry_reply_key(reply, READINGS);
  vestry_err err = vestry_reply_resume(reply, everybody, READINGS, NULL, NULL);
  return err ? err : vestry_reply_keep(reply, VESTRY_KEEP_MANY, 100);
}

static vestry_err say(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct program *program = ctx;
  const char *name = vestry_request_value(req, VESTRY_IN_QUERY, "name");
  if (!name) return VESTRY_NOT_FOUND;
  json_t *body = json_stringn(req->body.data, req->body.len);
  vestry_err err = vestry_broadcast_effect(program->v, everybody, READINGS,
                                           VESTRY_LIST("send-event", name, body, VESTRY_OBJECT("retryDuration", 50)));
  json_decref(body);
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err cut(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct program *program = ctx;
  vestry_store_remove(vestry_parts_of(program->v)->store, everybody, READINGS, VESTRY_CAUSE_HANGUP, NULL);
  return vestry_reply_status(reply, 204);
}

static vestry_err stay_away(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_reply_status(reply, 204);
}

int main(int argc, char **argv) {
  static struct program program;
  program_start(&program, argc, argv, "test_browser_plain", "Plain", &(vestry_options){0});
  if (vestry_history_begin(program.v, everybody, READINGS, NULL)) return EXIT_FAILURE;
  vestry_route(program.v, "GET", "/", page, &program);
  vestry_route(program.v, "GET", "/readings", readings, &program);
  vestry_route(program.v, "GET", "/stay-away", stay_away, &program);
  vestry_route(program.v, "POST", "/say", say, &program);
  vestry_route(program.v, "POST", "/break", cut, &program);
  program_wait(&program);
  return program_finish(&program);
}
