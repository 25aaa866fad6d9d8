/* SPDX-License-Identifier: MIT */
/* A server for names.test.js: the text in a path reaches the handler unchanged.
 *   GET /                a page
 *   GET /names/{name}/x  the name, as text */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/shared/program.h"

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  static const char html[] =
      "<!doctype html><meta charset=\"utf-8\"><link rel=\"icon\" href=\"data:,\"><title>Names</title>";
  return vestry_reply_body(reply, NULL, html, sizeof html - 1);
}

static vestry_err say_name(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const char *name = vestry_request_value(req, VESTRY_IN_PATH, "name");
  return vestry_reply_body(reply, "text/plain; charset=utf-8", name, strlen(name));
}

int main(int argc, char **argv) {
  static struct program program;
  program_start(&program, argc, argv, "test_browser_names", "Names", &(vestry_options){0});
  vestry_route(program.v, "GET", "/", page, &program);
  vestry_route(program.v, "GET", "/names/{name}/x", say_name, &program);
  program_wait(&program);
  return program_finish(&program);
}
