/* SPDX-License-Identifier: MIT */
/* The counter's command line: what all examples understand, and what is its own. */
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

/* Returns -1: run; otherwise the status to exit with. To be freed with options_finish(&options->server). */
int counter_options_parse(int argc, char **argv, struct options *ret_options);

#endif
