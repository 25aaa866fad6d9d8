/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memmem */
/* An application's test of a handler, without a server: the stream contains the handler's events; and the contract of
 * adapters, with no suite. Prints the version. */
#include <stdio.h>
#include <string.h>

#include <vestry/testing/contract.h>
#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

static vestry_err greet(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("greeting", "hello"));
}

static vestry_err start(vestry *v, const vestry_contract_settings *settings, void **ret_server, uint16_t *ret_port) {
  (void)v, (void)settings, (void)ret_server, (void)ret_port;
  return VESTRY_UNSUPPORTED;
}

static vestry_err stop(void *server, uint64_t timeout_ms) {
  (void)server, (void)timeout_ms;
  return VESTRY_OK;
}

static void destroy(void *server) {
  (void)server;
}

int main(void) {
  static const vestry_contract_adapter none = {.name = "none", .start = start, .stop = stop, .destroy = destroy};
  vestry *v = NULL;
  vestry_memory_exchange *tab = NULL;
  const vestry_memory_call call = {.datastar = true};
  if (vestry_create(&(vestry_options){.threads_count = 1}, &v)) return 1;
  if (vestry_memory_request(v, &call, greet, NULL, &tab)) return 1;
  if (vestry_stop(v, VESTRY_NEVER_MS)) return 1;
  vestry_slice got = vestry_memory_look(tab).received;
  int found = memmem(got.data, got.len, "hello", 5) != NULL;
  vestry_memory_destroy(tab);
  vestry_destroy(v);
  if (vestry_contract_run(&none, "")) return 1;
  if (found) printf("vestry %s\n", vestry_version());
  return !found;
}
