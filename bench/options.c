/* SPDX-License-Identifier: MIT */
/* --name VALUE options. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static int read_number(const bench_option *option, const char *value) {
  char *end;
  errno = 0;
  unsigned long long number = strtoull(value, &end, 10);
  if (errno || end == value || *end || *value == '-' || number < option->min || number > option->max) {
    fprintf(stderr, "%s: %s: '%s' is not a number from %" PRIu64 " to %" PRIu64 "\n", program_invocation_short_name,
            option->name, value, option->min, option->max);
    return 2;
  }
  *option->number = number;
  return 0;
}

int bench_options(int argc, char **argv, const bench_option *options, int options_count) {
  for (int i = 0; i < argc; i++) {
    const bench_option *found = NULL;
    for (int at = 0; at < options_count; at++)
      if (!strcmp(argv[i], options[at].name)) found = &options[at];
    if (found && found->number && found->max == 0) {
      *found->number = 1;
      continue;
    }
    if (!found || i + 1 == argc) {
      fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, argv[i],
              found ? "needs a value" : "unknown option");
      return 2;
    }
    i++;
    if (found->text)
      *found->text = argv[i];
    else if (read_number(found, argv[i]))
      return 2;
  }
  return 0;
}
