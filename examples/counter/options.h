/* SPDX-License-Identifier: MIT */
/* The counter's command line: options of all examples, and its own options. */
#ifndef COUNTER_OPTIONS_H
#define COUNTER_OPTIONS_H

#include "../shared/options.h"
#include "vestry/vestry.h"

struct options {
  struct server_options server;
  const char *store;
  size_t max_count;
  uint64_t idle_ms, heartbeat_ms;
  vestry_keep_policy policy;
};

/* Read the command line. Returns -1: run; otherwise the exit status. Free the result with
 * options_finish(&options->server). */
int counter_options_parse(int argc, char **argv, struct options *ret_options);

#endif
