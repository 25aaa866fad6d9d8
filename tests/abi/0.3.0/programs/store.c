/* SPDX-License-Identifier: MIT */
/* A program that uses only a store. */
#include <stdio.h>

#include <vestry/store.h>
#include <vestry/version.h>

static void hold(void *value) {
  (void)value;
}
static void leave(void *value, vestry_cause cause) {
  (void)cause;
  ++*(int *)value;
}

int main(void) {
  static const vestry_value_ops ops = {.ref = hold, .unref = hold, .close = leave};
  int left = 0;
  vestry_store *store;
  vestry_err error = vestry_store_create("lru", &(vestry_store_options){.value = &ops, .max_count = 2}, &store);
  for (int i = 0; i < 3 && !error; i++)
    error = vestry_store_put(store, (vestry_scope){NULL, 0}, VESTRY_KEY("k", i), &left, VESTRY_KEEP_REPLACE, 0, NULL);
  if (error || left != 1) return 1;
  vestry_store_destroy(store);
  printf("vestry %s\n", vestry_version());
  return 0;
}
