/* SPDX-License-Identifier: MIT */
/* Request targets. An accepted target names one path: other spellings are read as the same path, and it contains
 * nothing that a proxy could normalize. Input: a target. */
#include <stdio.h>

#include "fuzz/target.h"
#include "http/target.h"
#include "vestry/adapter.h"

/* A single segment may be encoded completely; several segments only where necessary. */
static bool is_encoded(unsigned char c, bool is_one_segment) {
  if (is_one_segment) return c != '/';
  return c <= ' ' || c >= 0x7f || strchr("%#?\"<>`{}", c);
}

/* Encode the path as far as possible, in the absolute form, with a query. */
static void check_again(const char *path) {
  bool is_one_segment = !strchr(path + 1, '/');
  size_t len = strlen(path);
  char *target = malloc(3 * len + 16), *again = malloc(3 * len + 16), *to = target + sprintf(target, "http://h");
  for (const unsigned char *at = (const unsigned char *)path; *at; at++)
    to += sprintf(to, is_encoded(*at, is_one_segment) ? "%%%02X" : "%c", *at);
  strcpy(to, "?q");
  const char *query = NULL;
  require(!vestry_target_read(target, again, &query));
  require(strcmp(again, path) == 0 && query && strcmp(query, "q") == 0);
  free(target);
  free(again);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  char *target = malloc(size + 1);
  memcpy(target, data, size);
  target[size] = '\0';
  size_t len = strlen(target);
  char *path = malloc(len + 2);
  const char *query = NULL;
  if (!vestry_target_read(target, path, &query)) {
    require(strlen(path) <= len + 1);
    require(!query || (query > target && query <= target + len && query[-1] == '?'));
    if (strcmp(path, "*") != 0) {
      require(vsi_path_is_plain(path));
      require(!strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../") && !strchr(path, '\\'));
      check_again(path);
    }
  }
  free(path);
  free(target);
  return 0;
}
