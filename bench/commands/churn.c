/* SPDX-License-Identifier: MIT */
/* vestry-bench churn: clients that connect, subscribe, read a little, and are killed at random: by an orderly close, by
 * a reset, or by a reset before the answer. At the end the server must have no stream. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench.h"
#include "client.h"
#include "stream.h"

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

static void read_some(bench_stream *client) {
  char data[16384];
  if (client->fd >= 0 && recv(client->fd, data, sizeof data, 0) == 0)
    bench_stream_finish(client, false); /* the server has ended it */
}

static int wait_until_empty(int port, uint64_t seconds) {
  uint64_t until = bench_now_ns() + seconds * UINT64_C(1000000000);
  while (bench_now_ns() < until) {
    if (bench_server_stat(port, "open") == 0) return 0;
    poll(NULL, 0, 50);
  }
  return 1;
}

int bench_churn(int argc, char **argv) {
  uint64_t port = 0, clients_count = 1000, seconds = 60, seed = 1, pid = 0;
  const bench_option options[] = {{"--port", NULL, &port, 1, 65535},
                                  {"--clients", NULL, &clients_count, 1, 20000},
                                  {"--seconds", NULL, &seconds, 1, 3600},
                                  {"--seed", NULL, &seed, 0, UINT64_MAX},
                                  {"--pid", NULL, &pid, 0, INT32_MAX}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  if (!port) {
    fprintf(stderr, "vestry-bench: churn needs --port\n");
    return 2;
  }
  bench_stream *clients = calloc(clients_count, sizeof *clients);
  if (!clients) return 1;
  for (uint64_t i = 0; i < clients_count; i++) clients[i].fd = -1;
  uint64_t began = bench_now_ns(), connects = 0, failures = 0, kills = 0, publishes = 0;
  uint64_t rss_tenth = 0, rss_end, ends = began + seconds * UINT64_C(1000000000);
  for (uint64_t now; (now = bench_now_ns()) < ends;) {
    bench_stream *client = &clients[next_random(&seed) % clients_count];
    uint64_t dice = next_random(&seed) % 100;
    if (client->fd < 0) {
      char path[64];
      snprintf(path, sizeof path, dice < 50 ? "/sub" : "/sub?key=k%" PRIu64, next_random(&seed) % 50);
      if (bench_stream_open(client, &(bench_subscription){.port = (int)port, .path = path}))
        connects++;
      else
        failures++, bench_stream_finish(client, true);
      if (dice % 10 == 0) bench_stream_finish(client, true), kills++; /* before its answer */
    } else if (dice < 40) {
      bench_stream_finish(client, dice % 2);
      kills++;
    } else {
      read_some(client);
    }
    if (connects % 50 == 0 && bench_request((int)port, "POST", "/pub", "1", 1, NULL, 0) == 204) publishes++;
    if (!rss_tenth && now - began > (ends - began) / 10) rss_tenth = bench_rss_bytes((int)pid);
  }
  rss_end = bench_rss_bytes((int)pid);
  for (uint64_t i = 0; i < clients_count; i++) bench_stream_finish(&clients[i], i % 2);
  status = wait_until_empty((int)port, 60);
  int64_t opened = bench_server_stat((int)port, "opened"), open = bench_server_stat((int)port, "open");
  int64_t closed = bench_server_stat((int)port, "closed"), live = bench_server_stat((int)port, "store.live");
  int64_t put = bench_server_stat((int)port, "store.put"), removed = bench_server_stat((int)port, "store.removed");
  int64_t accepted = bench_server_stat((int)port, "accepted"), written = bench_server_stat((int)port, "written");
  int64_t discarded = bench_server_stat((int)port, "discarded");
  printf("vestry churn clients=%" PRIu64 " seconds=%" PRIu64 " connects=%" PRIu64 " failures=%" PRIu64 " kills=%" PRIu64
         " publishes=%" PRIu64 " opened=%" PRId64 " open=%" PRId64 " closed=%" PRId64 " put=%" PRId64
         " removed=%" PRId64 " live=%" PRId64 " accepted=%" PRId64 " written=%" PRId64 " discarded=%" PRId64
         " rss_at_tenth_bytes=%" PRIu64 " rss_end_bytes=%" PRIu64 "\n",
         clients_count, seconds, connects, failures, kills, publishes, opened, open, closed, put, removed, live,
         accepted, written, discarded, rss_tenth, rss_end);
  free(clients);
  if (opened <= 0 || open || live || opened != closed || put != removed || accepted != written + discarded) status = 1;
  if (status) fprintf(stderr, "vestry-bench: the server was not empty at the end\n");
  return status;
}
