/* vestry-bench load: N streams, R rounds of one broadcast each. Every stream must get every round, in order. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "stream.h"

typedef struct reader {
  bench_stream stream; /* first */
  int64_t next;        /* the round that must come */
  bool stalled;        /* never reads */
} reader;

typedef struct load {
  int port, epoll;
  reader *readers;
  uint64_t streams, stalled, rounds;
  uint64_t heads, deliveries, disorders, broken;
  double *latency_ms; /* one a delivery */
} load;

static void take_line(bench_stream *stream, const char *line, void *ctx) {
  load *l = ctx;
  reader *r = (reader *)stream;
  static const char before_n[] = "data: signals {\"v\":{\"n\":", before_t[] = ",\"t\":";
  char *end;
  if (strncmp(line, before_n, sizeof before_n - 1)) return;
  int64_t round = strtoll(line + sizeof before_n - 1, &end, 10);
  if (strncmp(end, before_t, sizeof before_t - 1)) return;
  int64_t sent_ns = strtoll(end + sizeof before_t - 1, NULL, 10);
  if (round != r->next) l->disorders++;
  r->next = round + 1;
  if (l->deliveries < l->streams * l->rounds)
    l->latency_ms[l->deliveries] = (double)(bench_now_ns() - (uint64_t)sent_ns) / 1e6;
  l->deliveries++;
}

static void drop(load *l, reader *r) {
  epoll_ctl(l->epoll, EPOLL_CTL_DEL, r->stream.fd, NULL);
  close(r->stream.fd);
  r->stream.fd = -1;
  l->broken++;
}

/* Read what is there; wait for something for at most timeout_ms. */
static int pump(load *l, int timeout_ms) {
  struct epoll_event events[256];
  int count = epoll_wait(l->epoll, events, 256, timeout_ms);
  for (int i = 0; i < count; i++) {
    reader *r = events[i].data.ptr;
    char data[65536];
    ssize_t got = recv(r->stream.fd, data, sizeof data, 0);
    if (got < 0 && errno == EAGAIN) continue;
    bool had_head = r->stream.at != STREAM_HEAD;
    if (got <= 0 || !bench_stream_feed(&r->stream, data, (size_t)got, take_line, l))
      drop(l, r);
    else if (!had_head && r->stream.at != STREAM_HEAD)
      l->heads++;
  }
  return count;
}

/* Until `*counter` is at least `target`, for at most ten seconds without progress. */
static bool pump_until(load *l, const uint64_t *counter, uint64_t target) {
  while (*counter < target) {
    uint64_t before = *counter;
    uint64_t until = bench_now_ns() + UINT64_C(10000000000);
    while (*counter == before && bench_now_ns() < until) pump(l, 100);
    if (*counter == before) return false;
  }
  return true;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static bool open_all(load *l) {
  for (uint64_t i = 0; i < l->streams + l->stalled; i++) {
    reader *r = &l->readers[i];
    if (!bench_stream_open(&r->stream, l->port, "/sub")) {
      fprintf(stderr, "vestry-bench: stream %" PRIu64 ": %s\n", i, strerror(errno));
      return false;
    }
    r->stalled = i >= l->streams;
    if (r->stalled) {
      int small = 2048; /* so that it stalls the sooner */
      setsockopt(r->stream.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    } else {
      struct epoll_event event = {.events = EPOLLIN, .data.ptr = r};
      if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, r->stream.fd, &event)) return false;
    }
    if (i % 64 == 63) pump(l, 0);
  }
  return pump_until(l, &l->heads, l->streams);
}

static int run(load *l, uint64_t payload_bytes, uint64_t pause_ms, int pid) {
  uint64_t rss_before = bench_rss_bytes(pid);
  if (!open_all(l)) {
    fprintf(stderr, "vestry-bench: only %" PRIu64 " of %" PRIu64 " streams opened\n", l->heads, l->streams);
    return 1;
  }
  uint64_t rss_open = bench_rss_bytes(pid), cpu_before = bench_cpu_ns(pid), began = bench_now_ns();
  char *body = malloc(payload_bytes + 128);
  if (!body) return 1;
  uint64_t losses = 0;
  for (uint64_t n = 0; n < l->rounds; n++) {
    int len = sprintf(body, "{\"n\":%" PRIu64 ",\"t\":%" PRIu64 ",\"p\":\"", n, bench_now_ns());
    while ((uint64_t)len + 2 < payload_bytes) body[len++] = 'x';
    len += sprintf(body + len, "\"}");
    if (bench_request(l->port, "POST", "/pub", body, (size_t)len, NULL, 0) != 204) {
      fprintf(stderr, "vestry-bench: publishing failed in round %" PRIu64 "\n", n);
      break;
    }
    if (!pump_until(l, &l->deliveries, (n + 1) * l->streams)) break;
    for (uint64_t until = bench_now_ns() + pause_ms * 1000000; bench_now_ns() < until;) pump(l, 1);
  }
  double seconds = (double)(bench_now_ns() - began) / 1e9;
  uint64_t cpu = bench_cpu_ns(pid) - cpu_before;
  free(body);
  losses = l->streams * l->rounds - (l->deliveries < l->streams * l->rounds ? l->deliveries : l->streams * l->rounds);
  qsort(l->latency_ms, l->deliveries, sizeof *l->latency_ms, compare);
  double p50 = 0, p99 = 0, max = 0;
  if (l->deliveries) {
    p50 = l->latency_ms[l->deliveries / 2];
    p99 = l->latency_ms[l->deliveries * 99 / 100];
    max = l->latency_ms[l->deliveries - 1];
  }
  printf("vestry load streams=%" PRIu64 " stalled=%" PRIu64 " rounds=%" PRIu64 " payload_bytes=%" PRIu64
         " deliveries=%" PRIu64 " lost=%" PRIu64 " disorders=%" PRIu64 " broken=%" PRIu64
         " deliveries_per_s=%.0f latency_p50_ms=%.2f p99_ms=%.2f max_ms=%.2f",
         l->streams, l->stalled, l->rounds, payload_bytes, l->deliveries, losses, l->disorders, l->broken,
         (double)l->deliveries / seconds, p50, p99, max);
  if (pid)
    printf(" server_cpu_us_per_delivery=%.2f rss_per_stream_bytes=%" PRIu64,
           (double)cpu / 1e3 / (double)(l->deliveries ? l->deliveries : 1),
           (rss_open - rss_before) / (l->streams + l->stalled));
  printf("\n");
  return losses || l->disorders || l->broken ? 1 : 0;
}

int bench_load(int argc, char **argv) {
  uint64_t port = 0, streams = 1000, rounds = 100, payload_bytes = 100, stalled = 0, pause_ms = 0, pid = 0;
  const bench_option options[] = {
      {"--port", NULL, &port, 1, 65535},       {"--streams", NULL, &streams, 1, 25000},
      {"--rounds", NULL, &rounds, 1, 1000000}, {"--payload-bytes", NULL, &payload_bytes, 1, 1 << 20},
      {"--stalled", NULL, &stalled, 0, 10000}, {"--pause-ms", NULL, &pause_ms, 0, 60000},
      {"--pid", NULL, &pid, 0, INT32_MAX}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  if (!port) {
    fprintf(stderr, "vestry-bench: load needs --port\n");
    return 2;
  }
  load l = {.port = (int)port, .streams = streams, .stalled = stalled, .rounds = rounds};
  l.epoll = epoll_create1(EPOLL_CLOEXEC);
  l.readers = calloc(streams + stalled, sizeof *l.readers);
  l.latency_ms = calloc(streams * rounds, sizeof *l.latency_ms);
  status = 1;
  if (l.epoll >= 0 && l.readers && l.latency_ms) status = run(&l, payload_bytes, pause_ms, (int)pid);
  free(l.latency_ms);
  free(l.readers); /* the process ends: its sockets close with it */
  return status;
}
