/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memmem */
/* An application's test of a handler, without a server: the stream contains the handler's events. Prints the
 * version. */
#include <stdio.h>
#include <string.h>

#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

static vestry_err greet(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("greeting", "hello"));
}

int main(void) {
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
  if (found) printf("vestry %s\n", vestry_version());
  return !found;
}
