/* The counter's command line. */
#ifndef COUNTER_OPTIONS_H
#define COUNTER_OPTIONS_H

#include "vestry/vestry.h"

struct options {
  unsigned port; /* 0: any free one */
  const char *store;
  size_t max_count;
  uint64_t idle_ms, heartbeat_ms;
  const char *adapter;
  unsigned threads_count; /* 0: the adapter's default */
  vestry_put_policy policy;
  char *client; /* what --datastar-file names: its text, to be freed; NULL: not given */
  size_t client_len;
};

/* Returns -1: run; otherwise the status to exit with (--help 0, a bad value 2), everything being said already. */
int options_parse(int argc, char **argv, struct options *ret_options);
void options_finish(struct options *options);

#endif
