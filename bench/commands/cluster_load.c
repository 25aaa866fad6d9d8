/* SPDX-License-Identifier: MIT */
/* vestry-bench cluster: the cost of streams on other nodes. */
#include "cluster_load.h"

#include <stdio.h>
#include <string.h>

#include "bench.h"

int bench_cluster_load(int argc, char **argv) {
  uint64_t rounds = 5000, streams = 10000, turns = 5;
  const char *way = "";
  const bench_option options[] = {
      {"--way", &way, NULL, 0, 0},
      {"--rounds", NULL, &rounds, 100, 10000000},
      {"--streams", NULL, &streams, 100, 20000},
      {"--turns", NULL, &turns, 1, 100},
  };
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  bench_raise_descriptors();
  if (!strcmp(way, "far")) return bench_cluster_far(rounds, turns);
  if (!strcmp(way, "reconnect")) return bench_cluster_reconnect(streams, turns);
  if (!strcmp(way, "digests")) return bench_cluster_digests(streams, turns);
  fprintf(stderr, "vestry-bench: --way: '%s' is not far, reconnect or digests\n", way);
  return 2;
}
