/* APPNAME [PORT [FILE]]: serves on this machine only, until SIGINT or SIGTERM; the notes are in FILE. */
#include <stdio.h>
#include <stdlib.h>

#include <vestry/microhttpd.h>

#include "app.h"

static void say_where(vestry_server *server, void *ctx) {
  (void)ctx;
  printf("APPNAME: %s\n", server->url);
  fflush(stdout);
}

int main(int argc, char **argv) {
  char none[] = "", *end = none;
  unsigned long port = argc > 1 ? strtoul(argv[1], &end, 10) : 8080;
  vestry_application *app = NULL;
  vestry_err error = argc > 3 || *end || port > 65535 ? VESTRY_INVALID : VESTRY_OK;
  const vestry_server_options options = {
      .port = (uint16_t)port, .on_ready = say_where, .drain_ms = 1000, .stop_ms = 5000};
  if (!error) error = app_begin(argc > 2 ? argv[2] : "APPNAME.db", 0, &app);
  if (!error) error = vestry_application_run(app, &vestry_server_microhttpd, &options);
  if (error) fprintf(stderr, "APPNAME: cannot start (%s); usage: APPNAME [PORT [FILE]]\n", vestry_err_name(error));
  vestry_application_destroy(app);
  return error ? 1 : 0;
}
