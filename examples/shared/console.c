/* SPDX-License-Identifier: MIT */
#include "console.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "/observe"

void console_metrics_of(struct console_metrics *metrics, vestry_metrics_fn add, void *of) {
  if (!of || metrics->count == CONSOLE_METRICS_MAX) return;
  metrics->all[metrics->count] = add;
  metrics->ctxs[metrics->count++] = of;
}

static vestry_err add_metrics(vestry_metrics *to, void *ctx) {
  const struct console_metrics *metrics = ctx;
  vestry_err err = VESTRY_OK;
  for (size_t i = 0; i < metrics->count && !err; i++) err = metrics->all[i](to, metrics->ctxs[i]);
  return err;
}

vestry_err console_begin(const char *program, vestry *v, const vestry_observe_options *shown,
                         const struct console_metrics *metrics, vestry_observe **ret_console) {
  vestry_observe *made = NULL;
  vestry_observe_options options = *shown;
  options.more = add_metrics;
  options.more_ctx = (void *)(uintptr_t)metrics;
  options.trusts_loopback = true; /* the help of --console states this */
  vestry_err err = vestry_observe_create(v, &options, &made);
  if (!err) err = vestry_observe_mount(made, PREFIX);
  if (err) {
    fprintf(stderr, "%s: --console: cannot be mounted (%s)\n", program, vestry_err_name(err));
    vestry_observe_destroy(made);
    return err;
  }
  *ret_console = made;
  return VESTRY_OK;
}

void console_url(const char *scheme, const char *address, unsigned port, char url[CONSOLE_URL_BYTES]) {
  const char *here = address && strncmp(address, "127.", 4) == 0 ? address : "127.0.0.1";
  snprintf(url, CONSOLE_URL_BYTES, "%s://%s:%u" PREFIX "/console", scheme, here, port);
}

void console_say(const char *program, const char *scheme, const char *address, unsigned node, unsigned port) {
  char which[32] = "", url[CONSOLE_URL_BYTES];
  if (node) snprintf(which, sizeof which, " of node %u", node);
  console_url(scheme, address, port, url);
  printf("%s: console%s: %s\n", program, which, url);
  fflush(stdout);
}

bool console_check(const char *program, const char *address, const char *unix_path, bool passes_on) {
  const bool is_here = !address || strncmp(address, "127.", 4) == 0;
  const char *wrong = unix_path                                     ? "use a port, not --unix-socket"
                      : !is_here && passes_on                       ? "with several processes, use --listen 127.0.0.1"
                      : !is_here && strcmp(address, "0.0.0.0") != 0 ? "use --listen 127.0.0.1 or 0.0.0.0"
                                                                    : NULL;
  if (wrong) fprintf(stderr, "%s: --console is only for this machine: %s\n", program, wrong);
  return !wrong;
}
