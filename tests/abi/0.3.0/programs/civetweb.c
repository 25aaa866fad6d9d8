/* SPDX-License-Identifier: MIT */
/* The same with the civetweb adapter: vestry is added to the program's own server. */
#include <stdio.h>

#include <civetweb.h>
#include <vestry/civetweb.h>
#include <vestry/vestry.h>

static vestry_err hello(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_body(reply, "text/plain", "hello", 5);
}

int main(void) {
  const char *settings[] = {"listening_ports", "127.0.0.1:0", "num_threads", "8", "tcp_nodelay", "1", NULL};
  char why[200];
  vestry *instance;
  vestry_server *adapter;
  if (vestry_civetweb_check(settings, why, sizeof why) || vestry_create(NULL, &instance)) return 1;
  struct mg_context *server = mg_start(NULL, NULL, settings);
  if (!server || vestry_civetweb_create(instance, server, NULL, &adapter)) return 1;
  if (vestry_route(instance, "GET", "/", hello, NULL)) return 1;
  if (vestry_server_stop(adapter, 1000)) return 1;
  vestry_civetweb_stop_server(server);
  vestry_server_destroy(adapter);
  vestry_destroy(instance);
  printf("vestry %s\n", vestry_version());
  return 0;
}
