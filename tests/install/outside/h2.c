/* SPDX-License-Identifier: MIT */
/* The same with the adapter for HTTP/2, without TLS. */
#include <stdio.h>

#include <vestry/h2.h>
#include <vestry/vestry.h>

static vestry_err hello(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_body(reply, "text/plain", "hello", 5);
}

int main(void) {
  vestry *instance;
  vestry_server *adapter;
  if (vestry_create(NULL, &instance)) return 1;
  if (vestry_h2_create(instance, &(vestry_h2_options){.address = "127.0.0.1"}, &adapter)) return 1;
  if (vestry_route(instance, "GET", "/", hello, NULL) || !adapter->port) return 1;
  if (vestry_server_stop(adapter, 1000)) return 1;
  vestry_server_destroy(adapter);
  vestry_destroy(instance);
  printf("vestry %s\n", vestry_version());
  return 0;
}
