/* SPDX-License-Identifier: MIT */
/* vestry-bench compress: the cost of a broadcast, encoded and plain. It uses streams over loopback TCP, one channel,
 * one thread that publishes and writes (a stepped runtime), and a child process that reads. First it sends a small
 * event to plain streams, then a page with small changes to encoded streams, and prints CPU time and bytes for each
 * delivery, and memory for each idle stream. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vestry/adapter.h>
#include <vestry/vestry.h>

#include "bench.h"
#include "request.h"

enum { SLICES_MOST = 64, PAGE_MOST = 1 << 20, WARM_ROUNDS = 5 };

typedef struct settings {
  uint64_t streams, rounds, page_bytes, change_bytes, small_bytes, level, window_bits;
  const char *encoding;
} settings;

/* ------------------------------------------------------------------------------------- the server's side ---------- */

/* A request of a client, and its socket, which becomes the transport of the stream. */
typedef struct arrival {
  bench_request request; /* first member */
  int fd;
} arrival;

static vestry_io stream_open(void *transport) {
  (void)transport;
  return VESTRY_IO_OK;
}

/* Write to a stream. The thread serves only this stream meanwhile, so it may wait for the reader. */
static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  (void)ret_written;
  const int fd = *(const int *)transport;
  struct iovec parts[SLICES_MOST];
  size_t left = 0;
  for (size_t i = 0; i < count; i++) {
    parts[i] = (struct iovec){(void *)slices[i].data, slices[i].len};
    left += slices[i].len;
  }
  struct iovec *at = parts;
  while (left) {
    ssize_t wrote = writev(fd, at, (int)(count - (size_t)(at - parts)));
    if (wrote < 0 && errno != EAGAIN) return VESTRY_IO_HANGUP;
    if (wrote < 0) {
      struct pollfd wait = {.fd = fd, .events = POLLOUT};
      poll(&wait, 1, -1);
      continue;
    }
    left -= (size_t)wrote;
    if (!left) break;
    for (; wrote && (size_t)wrote >= at->iov_len; at++) wrote -= (ssize_t)at->iov_len;
    at->iov_base = (char *)at->iov_base + wrote;
    at->iov_len -= (size_t)wrote;
  }
  return VESTRY_IO_OK;
}

static void stream_end(void *transport, bool clean, vestry_cause cause) {
  (void)clean, (void)cause;
  close(*(const int *)transport);
}

static void stream_release(void *transport) {
  free(transport);
}

static vestry_err open_stream(void *request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                              void **ret_transport) {
  static const vestry_transport_ops ops = {
      .open = stream_open, .write = stream_write, .end = stream_end, .release = stream_release};
  int *fd = malloc(sizeof *fd);
  (void)head;
  if (!fd) return VESTRY_NO_MEMORY;
  *fd = ((const arrival *)request)->fd;
  *ret_ops = &ops;
  *ret_transport = fd;
  return VESTRY_OK;
}

static vestry_err stay(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  vestry_reply_any_client(reply);
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

/* ------------------------------------------------------------------------------------------ the far end ----------- */

/* Read and discard data until all streams have ended, in a separate process, so that its time is not counted. */
static void read_all(int port, uint64_t streams) {
  static char data[1 << 16];
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (uint64_t i = 0; i < streams; i++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) _exit(1);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) _exit(1);
  }
  while (streams) {
    struct epoll_event events[64];
    int count = epoll_wait(epoll, events, 64, -1);
    for (int i = 0; i < count; i++) {
      if (read(events[i].data.fd, data, sizeof data) > 0) continue;
      close(events[i].data.fd);
      streams--;
    }
  }
  _exit(0);
}

static int listen_here(int *ret_port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in here = {.sin_family = AF_INET};
  socklen_t len = sizeof here;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) || listen(fd, 4096) ||
      getsockname(fd, (struct sockaddr *)&here, &len))
    return -1;
  *ret_port = ntohs(here.sin_port);
  return fd;
}

/* ------------------------------------------------------------------------------------------- measuring ------------ */

typedef struct measured {
  double cpu_us, wire_bytes, event_bytes, idle_bytes; /* for each delivery; for each stream */
} measured;

static double own_cpu_us(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void settle(vestry *v) {
  while (vestry_runtime_step(vestry_parts_of(v)->runtime)) continue;
}

static uint64_t next_random(void) {
  static uint64_t state = 1;
  return bench_random(&state);
}

/* Make a page of rows with words and numbers. */
static void make_page(char *page, size_t len) {
  static const char *const words[] = {"open", "closed", "waiting", "shipped", "paid", "overdue", "new", "draft"};
  size_t at = 0;
  while (at < len) {
    char row[160];
    int row_len =
        snprintf(row, sizeof row, "<tr id=\"r%u\"><td>%u</td><td class=\"s\">%s</td><td>%u</td></tr>", (unsigned)at,
                 (unsigned)next_random() % 100000, words[next_random() % 8], (unsigned)next_random() % 10000);
    for (int i = 0; i < row_len && at < len; i++) page[at++] = row[i];
  }
}
static void change_page(char *page, size_t len, size_t change) {
  for (int place = 0; place < 10; place++) {
    size_t at = next_random() % (len - change / 10);
    for (size_t i = 0; i < change / 10; i++) page[at + i] = (char)('a' + next_random() % 26);
  }
}

/* Scope of the channel that all streams join. */
static const vestry_scope everybody = {NULL, 0};

static bool open_streams(vestry *v, int listener, const settings *s, const char *accept) {
  vestry_request_ops ops = bench_request_ops;
  ops.open = open_stream;
  for (uint64_t i = 0; i < s->streams; i++) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), on = 1;
    vestry_connection *connection = NULL;
    arrival from = {{.method = "GET", .path = "/", .header = "Accept-Encoding", .value = accept}, fd};
    if (fd < 0) return false;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (vestry_serve(v, &ops, &from, stay, NULL, &connection)) return false;
    if (!connection) fprintf(stderr, "vestry-bench: a stream got status %d\n", from.request.status);
    if (!connection) return false;
    if (vestry_join(v, everybody, VESTRY_KEY("all"), connection)) return false;
    vestry_connection_unref(connection);
  }
  settle(v);
  return true;
}

static bool publish_rounds(vestry *v, const settings *s, size_t len, uint64_t rounds) {
  static char page[PAGE_MOST];
  if (!page[0]) make_page(page, sizeof page);
  for (uint64_t round = 0; round < rounds; round++) {
    vestry_event *event = NULL;
    size_t sent = 0;
    change_page(page, len, s->change_bytes);
    vestry_err error = vestry_event_elements(NULL, page, len, NULL, &event);
    if (!error) error = vestry_broadcast(v, everybody, VESTRY_KEY("all"), event, &sent);
    vestry_event_unref(event);
    settle(v);
    if (error || sent != s->streams) return false;
  }
  return true;
}

/* len: of the event; profile: NULL: plain streams. */
static bool measure(const settings *s, size_t len, const vestry_profile *profile, measured *ret) {
  int port = 0, listener = listen_here(&port);
  pid_t child = listener < 0 ? -1 : fork();
  if (child == 0) read_all(port, s->streams);
  if (child < 0) return false;
  vestry *v = NULL;
  vestry_options options = {.threads_count = VESTRY_THREADS_NONE,
                            .connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS},
                            .profiles = profile,
                            .profiles_count = profile != NULL};
  bool ok = !vestry_create(&options, &v);
  struct mallinfo2 before = mallinfo2();
  ok = ok && open_streams(v, listener, s, profile ? s->encoding : NULL);
  struct mallinfo2 after = mallinfo2();
  ret->idle_bytes = (double)(after.uordblks - before.uordblks) / (double)s->streams;
  ok = ok && publish_rounds(v, s, len, WARM_ROUNDS);
  vestry_stats first = {0}, last = {0};
  if (ok) vestry_stats_get(v, &first);
  double began = own_cpu_us();
  ok = ok && publish_rounds(v, s, len, s->rounds);
  double took = own_cpu_us() - began, deliveries = (double)(s->streams * s->rounds);
  if (ok) {
    vestry_stats_get(v, &last);
    ret->cpu_us = took / deliveries;
    ret->wire_bytes = (double)(last.wire_bytes - first.wire_bytes) / deliveries;
    ret->event_bytes = (double)(last.written_bytes - first.written_bytes) / deliveries;
  }
  vestry_destroy(v);
  close(listener);
  if (!ok) kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  return ok;
}

static void report(const char *name, const measured *m) {
  printf("%-9s event_bytes=%.0f wire_bytes=%.1f cpu_us=%.2f idle_bytes=%.0f\n", name, m->event_bytes, m->wire_bytes,
         m->cpu_us, m->idle_bytes);
}

int bench_compress(int argc, char **argv) {
  settings s = {1000, 300, 10000, 100, 100, 0, 0, "br"};
  const bench_option options[] = {{"--streams", NULL, &s.streams, 1, 100000},
                                  {"--rounds", NULL, &s.rounds, 1, 1000000},
                                  {"--page-bytes", NULL, &s.page_bytes, 100, PAGE_MOST},
                                  {"--change-bytes", NULL, &s.change_bytes, 0, PAGE_MOST / 2},
                                  {"--small-bytes", NULL, &s.small_bytes, 50, PAGE_MOST},
                                  {"--encoding", &s.encoding, NULL, 0, 0},
                                  {"--level", NULL, &s.level, 0, 9},
                                  {"--window-bits", NULL, &s.window_bits, 0, 18}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  vestry_profile profile = {.level = (uint32_t)s.level, .window_bits = (uint32_t)s.window_bits};
  profile.ops = bench_profile(s.encoding);
  if (!profile.ops || s.change_bytes > s.page_bytes || s.change_bytes > s.small_bytes) {
    fprintf(stderr, "vestry-bench: compress: --encoding must be identity, gzip or br, and --change-bytes at most "
                    "--page-bytes and --small-bytes\n");
    return 2;
  }
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  signal(SIGPIPE, SIG_IGN);
  /* 48 bytes of a small event are "event: …", "data: elements " and the empty line */
  size_t small_len = s.small_bytes > 48 ? (size_t)s.small_bytes - 48 : 1;
  measured plain, encoded;
  settings small = s;
  small.change_bytes = 0;
  printf("streams=%" PRIu64 " rounds=%" PRIu64 " seed=1\n", s.streams, s.rounds);
  if (!measure(&small, small_len, NULL, &plain) || !measure(&s, (size_t)s.page_bytes, &profile, &encoded)) {
    fprintf(stderr, "vestry-bench: compress failed: %s\n", strerror(errno));
    return 1;
  }
  report("identity", &plain);
  report(s.encoding, &encoded);
  printf("cpu_ratio=%.2f idle_extra_bytes=%.0f\n", encoded.cpu_us / plain.cpu_us,
         encoded.idle_bytes - plain.idle_bytes);
  return 0;
}
