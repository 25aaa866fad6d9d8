/* SPDX-License-Identifier: MIT */
#include "onlooker.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "client.h"

enum { BEAT_MS = 1000, STEP_MS = 20, PATIENCE_MS = 20000, BEATS = 100, QUIET_BEATS = 3 };

static bool complain(const char *what) {
  fprintf(stderr, "vestry-bench: %s\n", what);
  return false;
}

bool onlooker_switch(const onlooker *looker, bool is_observed) {
  if (kill(looker->pid, is_observed ? SIGUSR1 : SIGUSR2)) return complain("--pid: no such server");
  for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += STEP_MS, bench_sleep_ms(STEP_MS))
    if (bench_server_stat(looker->port, "observed") == is_observed) return true;
  return complain("the server did not turn its observer on or off");
}

static void ask(onlooker *looker, const char *path) {
  const bool is_answered = bench_request(looker->port, "GET", path, "", 0, NULL, 0) == 200;
  if (is_answered && atomic_load(&looker->asked) >= 0)
    atomic_fetch_add(&looker->asked, 1);
  else
    atomic_store(&looker->asked, -1);
}

static int open_console(const onlooker *looker) {
  static const char get[] = "GET /console/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n";
  int fd = looker->has_console ? bench_connect(looker->port, 0, 0) : -1;
  if (fd >= 0) (void)bench_send_all(fd, get, sizeof get - 1);
  return fd;
}

static void *look_on(void *of) {
  onlooker *looker = of;
  char beat[4096];
  struct pollfd console = {.fd = open_console(looker), .events = POLLIN};
  if (looker->has_console && console.fd < 0) atomic_store(&looker->asked, -1);
  for (uint64_t next_ns = bench_now_ns(); !atomic_load(&looker->is_over);) {
    if (poll(&console, 1, STEP_MS) == 1) { /* poll ignores a negative descriptor */
      if (read(console.fd, beat, sizeof beat) <= 0) break;
      ask(looker, "/streams?sort=bytes");
    }
    if (bench_now_ns() < next_ns) continue;
    ask(looker, "/metrics");
    next_ns += BEAT_MS * UINT64_C(1000000);
  }
  if (!atomic_load(&looker->is_over)) atomic_store(&looker->asked, -1);
  if (console.fd >= 0) close(console.fd);
  return NULL;
}

bool onlooker_begin(onlooker *looker) {
  atomic_store(&looker->is_over, false);
  atomic_store(&looker->asked, 0);
  if (!onlooker_switch(looker, true)) return false;
  return pthread_create(&looker->thread, NULL, look_on, looker) == 0 || complain("cannot start a thread");
}

bool onlooker_end(onlooker *looker) {
  atomic_store(&looker->is_over, true);
  pthread_join(looker->thread, NULL);
  const bool is_well = atomic_load(&looker->asked) > 0;
  if (!is_well) complain("the observer got no response");
  return onlooker_switch(looker, false) && is_well;
}

/* Return the CPU that the server takes without requests, per beat. */
static double idle_ns(const onlooker *looker) {
  const uint64_t before_ns = bench_cpu_ns(looker->pid);
  bench_sleep_ms(QUIET_BEATS * BEAT_MS);
  return (double)(bench_cpu_ns(looker->pid) - before_ns) / QUIET_BEATS;
}

bool onlooker_weigh(onlooker *looker, double *ret_ns) {
  const double unobserved_ns = idle_ns(looker);
  if (!onlooker_switch(looker, true)) return false;
  atomic_store(&looker->asked, 0);
  const int console = open_console(looker);
  if (looker->has_console && console < 0) return complain("the server did not accept the console");
  const double stream_ns = idle_ns(looker) - unobserved_ns;
  const uint64_t before_ns = bench_cpu_ns(looker->pid);
  for (int i = 0; i < BEATS; i++) {
    ask(looker, "/metrics");
    if (looker->has_console) ask(looker, "/streams?sort=bytes");
  }
  *ret_ns = (double)(bench_cpu_ns(looker->pid) - before_ns) / BEATS + (stream_ns > 0 ? stream_ns : 0);
  if (console >= 0) close(console);
  if (atomic_load(&looker->asked) < 0) return complain("the observer got no response");
  return onlooker_switch(looker, false);
}
