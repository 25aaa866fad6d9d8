/* SPDX-License-Identifier: MIT */
#include "console.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "/observe"

vestry_err console_begin(const char *program, vestry *v, const vestry_observe_options *shown,
                         vestry_observe **ret_console) {
  vestry_observe *made = NULL;
  vestry_err err = vestry_observe_create(v, shown, &made);
  if (!err) err = vestry_observe_mount(made, PREFIX);
  if (err) {
    fprintf(stderr, "%s: --console: it cannot be mounted (%s)\n", program, vestry_err_name(err));
    vestry_observe_destroy(made);
    return err;
  }
  *ret_console = made;
  return VESTRY_OK;
}

void console_say(const char *program, unsigned node, unsigned port) {
  char which[32] = "";
  if (node) snprintf(which, sizeof which, " of node %u", node);
  printf("%s: what it does%s: http://127.0.0.1:%u" PREFIX "/console\n", program, which, port);
  fflush(stdout);
}

bool console_check(const char *program, const char *address, const char *unix_path, bool passes_on) {
  const bool is_here = !address || strncmp(address, "127.", 4) == 0;
  const char *wrong = unix_path               ? "it needs a port, and no --unix-socket"
                      : !is_here && passes_on ? "among several processes it needs --listen 127.0.0.1"
                      : !is_here && strcmp(address, "0.0.0.0") != 0 ? "it needs --listen 127.0.0.1 or 0.0.0.0"
                                                                    : NULL;
  if (wrong) fprintf(stderr, "%s: --console is for this machine alone: %s\n", program, wrong);
  return !wrong;
}
