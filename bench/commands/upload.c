/* SPDX-License-Identifier: MIT */
/* vestry-bench upload: the cost of file uploads for the server.
 *
 *   --way cpu     one file after the other at full speed, in turns through vestry on each adapter and through a loop
 *                 of recv(2) and write(2): CPU time of the server process per GB
 *   --way memory  a number of uploads that have all begun and not finished: memory of the server process per upload
 *   --way pages   live pages and documents, with and without a number of concurrent uploads: their latencies */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "client.h"
#include "histogram.h"
#include "upload_server.h"

enum { PIECE_BYTES = 256 * 1024, MOST_TURNS = 99, HEAD_BYTES = 512, LINE_BYTES = 4096, WAIT_MS = 20000 };

static const char form_head[] = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n"
                                "Content-Type: application/octet-stream\r\n\r\n";
static const char form_tail[] = "\r\n--b--\r\n";

typedef struct upload {
  upload_server_options server;
  const char *way, *adapter;
  uint64_t bytes, turns, count, rate_bytes, held_bytes, seconds, is_form;
  char *piece;
} upload;

static int complain(const char *what) {
  fprintf(stderr, "vestry-bench: upload: %s\n", what);
  return 1;
}

/* Write the head of a request with a file, and the beginning of a form. */
static size_t write_head(const upload *u, uint64_t bytes, char head[HEAD_BYTES]) {
  uint64_t more = u->is_form ? sizeof form_head - 1 + sizeof form_tail - 1 : 0;
  int len =
      snprintf(head, HEAD_BYTES,
               "POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %" PRIu64 "\r\n\r\n%s",
               u->is_form ? "multipart/form-data; boundary=b" : "application/octet-stream", bytes + more,
               u->is_form ? form_head : "");
  return (size_t)len;
}

/* ---- CPU --------------------------------------------------------------------------------------------------------- */

static bool send_file(const upload *u, int fd) {
  char head[HEAD_BYTES], answer[LINE_BYTES];
  bool goes_on = bench_send_all(fd, head, write_head(u, u->bytes, head));
  for (uint64_t left = u->bytes; goes_on && left;) {
    size_t len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    goes_on = bench_send_all(fd, u->piece, len);
    left -= len;
  }
  if (goes_on && u->is_form) goes_on = bench_send_all(fd, form_tail, sizeof form_tail - 1);
  ssize_t got = goes_on ? recv(fd, answer, sizeof answer - 1, 0) : -1;
  return got > 12 && strncmp(answer, "HTTP/1.1 204", 12) == 0;
}

/* Return the seconds of CPU for a GB; negative: failed. */
static double cost_of(const upload *u, const upload_server *server, double *ret_seconds) {
  int fd = bench_connect(server->port, 0, 0);
  uint64_t cpu_ns = bench_cpu_ns(server->pid), since_ns = bench_now_ns();
  bool is_sent = fd >= 0 && send_file(u, fd);
  *ret_seconds = (double)(bench_now_ns() - since_ns) / 1e9;
  cpu_ns = bench_cpu_ns(server->pid) - cpu_ns;
  if (fd >= 0) close(fd);
  return is_sent ? (double)cpu_ns / (double)u->bytes : -1;
}

static int run_cpu(upload *u) {
  static double costs[UPLOAD_KINDS][MOST_TURNS], ratios[UPLOAD_KINDS][MOST_TURNS], seconds[UPLOAD_KINDS][MOST_TURNS];
  upload_server servers[UPLOAD_KINDS] = {{0}};
  int status = 0;
  for (int kind = 0; kind < UPLOAD_KINDS && !status; kind++) {
    u->server.kind = (upload_kind)kind;
    if (!upload_server_start(&u->server, &servers[kind])) status = complain("a server did not start");
  }
  for (uint64_t turn = 0; turn < u->turns && !status; turn++)
    for (int kind = 0; kind < UPLOAD_KINDS && !status; kind++) {
      costs[kind][turn] = cost_of(u, &servers[kind], &seconds[kind][turn]);
      ratios[kind][turn] = costs[kind][turn] / costs[UPLOAD_BARE][turn];
      if (costs[kind][turn] <= 0) status = complain("an upload failed");
    }
  for (int kind = 0; kind < UPLOAD_KINDS; kind++) upload_server_stop(&servers[kind]);
  for (int kind = 0; kind < UPLOAD_KINDS && !status; kind++)
    printf("upload way=cpu server=%s form=%" PRIu64 " bytes=%" PRIu64 " turns=%" PRIu64
           " cpu_s_per_gb=%.3f ratio=%.2f gb_per_s=%.2f\n",
           upload_kinds[kind], u->is_form, u->bytes, u->turns, bench_median(costs[kind], u->turns),
           bench_median(ratios[kind], u->turns), (double)u->bytes / 1e9 / bench_median(seconds[kind], u->turns));
  return status;
}

/* ---- many at once ------------------------------------------------------------------------------------------------ */

/* Uploads with a fixed rate, on one thread. */
typedef struct crowd {
  const upload *of;
  int port;
  int *fds;
  uint64_t max_bytes;       /* bytes of each; then it waits */
  uint64_t *sent;           /* bytes sent of each */
  _Atomic(uint64_t) total;  /* sum so far */
  _Atomic(uint64_t) broken; /* ended by the server */
  _Atomic(bool) is_over;
  pthread_t thread;
} crowd;

/* Each upload sends its due bytes 20 times per second, if its socket accepts them. */
static void *run_crowd(void *ctx) {
  enum { A_SECOND = 20 };
  crowd *c = ctx;
  const upload *u = c->of;
  size_t step = (size_t)(u->rate_bytes / A_SECOND);
  if (step > PIECE_BYTES) step = PIECE_BYTES;
  for (uint64_t at = 0, began_ns = bench_now_ns(); !atomic_load(&c->is_over); at++) {
    uint64_t due_ns = began_ns + at * UINT64_C(1000000000) / (A_SECOND * u->count), now_ns = bench_now_ns();
    if (due_ns > now_ns + 1000000) bench_sleep_ms((due_ns - now_ns) / 1000000);
    uint64_t i = at % u->count, left = c->max_bytes - c->sent[i];
    size_t len = left < step ? (size_t)left : step;
    if (!len || c->fds[i] < 0) continue;
    ssize_t sent = send(c->fds[i], u->piece, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN) continue;
    if (sent <= 0) {
      atomic_fetch_add(&c->broken, 1);
      close(c->fds[i]);
      c->fds[i] = -1;
      continue;
    }
    c->sent[i] += (uint64_t)sent;
    atomic_fetch_add(&c->total, (uint64_t)sent);
  }
  return NULL;
}

/* Wait until this number of uploads is open. */
static bool wait_for_open(int port, int64_t wanted) {
  for (int i = 0; i < WAIT_MS / 20; i++) {
    if (bench_server_stat(port, "open") == wanted) return true;
    bench_sleep_ms(20);
  }
  fprintf(stderr, "vestry-bench: upload: open is %" PRId64 ", but expected %" PRId64 "\n",
          bench_server_stat(port, "open"), wanted);
  return false;
}

static bool crowd_open(crowd *c) {
  char head[HEAD_BYTES];
  size_t len = write_head(c->of, c->of->server.file_bytes, head);
  for (uint64_t i = 0; i < c->of->count; i++) {
    c->fds[i] = bench_connect(c->port, 0, 0);
    if (c->fds[i] < 0 || !bench_send_all(c->fds[i], head, len)) return false;
  }
  return wait_for_open(c->port, (int64_t)c->of->count);
}

static bool crowd_start(crowd *c, const upload *u, int port, uint64_t max_bytes) {
  *c = (crowd){.of = u, .port = port, .max_bytes = max_bytes};
  c->fds = calloc(u->count, sizeof *c->fds);
  c->sent = calloc(u->count, sizeof *c->sent);
  if (!c->fds || !c->sent) return false;
  for (uint64_t i = 0; i < u->count; i++) c->fds[i] = -1;
  return crowd_open(c) && pthread_create(&c->thread, NULL, run_crowd, c) == 0;
}

/* Abort all uploads, and wait until the server has ended them. */
static bool crowd_end(crowd *c, bool is_started) {
  atomic_store(&c->is_over, true);
  if (is_started) pthread_join(c->thread, NULL);
  for (uint64_t i = 0; c->fds && i < c->of->count; i++)
    if (c->fds[i] >= 0) close(c->fds[i]);
  free(c->fds);
  free(c->sent);
  if (is_started && atomic_load(&c->broken)) complain("the server has ended an upload");
  return is_started && !atomic_load(&c->broken) && wait_for_open(c->port, 0);
}

static int run_memory(upload *u) {
  upload_server server;
  crowd all;
  u->server.uploads_count = u->count;
  if (!upload_server_start(&u->server, &server)) return complain("the server did not start");
  int64_t counted = bench_server_stat(server.port, "memory");
  uint64_t before = bench_memory_bytes(server.pid), after = 0, wanted = u->count * u->held_bytes;
  bool is_started = crowd_start(&all, u, server.port, u->held_bytes);
  for (int i = 0; is_started && i < WAIT_MS / 20 && atomic_load(&all.total) < wanted; i++) bench_sleep_ms(20);
  bench_sleep_ms(500); /* the server reads the rest from the sockets */
  if (is_started) {
    counted = bench_server_stat(server.port, "memory") - counted;
    after = bench_memory_bytes(server.pid);
  }
  bool is_well = is_started && atomic_load(&all.total) == wanted;
  is_well &= crowd_end(&all, is_started);
  upload_server_stop(&server);
  if (!is_well) return complain("not all uploads were active at the same time");
  printf("upload way=memory server=%s form=%" PRIu64 " uploads=%" PRIu64 " kib_per_upload=%.1f vestry_kib=%.1f\n",
         upload_kinds[u->server.kind], u->is_form, u->count, (double)(after - before) / 1024 / (double)u->count,
         (double)counted / 1024 / (double)u->count);
  return 0;
}

/* ---- beside pages ------------------------------------------------------------------------------------------------ */

typedef struct latencies {
  double live_ms, document_ms; /* p99; live_ms negative: a page missed an event */
} latencies;

/* Start `vestry-bench pages` in a separate process; its output goes to a pipe. */
static pid_t begin_pages(const upload *u, int port, int *ret_from) {
  int line[2];
  if (pipe(line)) return -1;
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    char port_text[16], pages[24], rounds[24];
    snprintf(port_text, sizeof port_text, "%d", port);
    snprintf(pages, sizeof pages, "%" PRIu64, u->server.pages_count);
    snprintf(rounds, sizeof rounds, "%" PRIu64, u->seconds * 20);
    const char *argv[] = {"vestry-bench", "pages", "--port", port_text, "--pages",  pages,  "--rounds", rounds,
                          "--a-second",   "20",    "--warm", "20",      "--server", "node", NULL};
    dup2(line[1], STDOUT_FILENO);
    /* exec instead of running on, because other threads may exist here */
    execv("/proc/self/exe", (char **)(uintptr_t)argv);
    _exit(1);
  }
  close(line[1]);
  *ret_from = line[0];
  return pid;
}

static double end_pages(pid_t pid, int from) {
  char line[LINE_BYTES];
  size_t got = 0;
  for (ssize_t n; got < sizeof line - 1 && (n = read(from, line + got, sizeof line - 1 - got)) > 0;) got += (size_t)n;
  line[got] = '\0';
  close(from);
  int status = 1;
  if (pid > 0) waitpid(pid, &status, 0);
  const char *p99 = strstr(line, " p99_ms=");
  return status || !p99 ? -1 : strtod(p99 + 8, NULL);
}

/* Load documents, 50 per second, each on a new connection, while the pages are open. */
static bool look(const upload *u, int port, latencies *ret) {
  static histogram documents;
  int from = -1;
  memset(&documents, 0, sizeof documents);
  pid_t pid = begin_pages(u, port, &from);
  bool is_well = pid > 0;
  for (uint64_t i = 0, began_ns = bench_now_ns(); is_well && i < u->seconds * 50; i++) {
    uint64_t due_ns = began_ns + i * 20000000, now_ns = bench_now_ns();
    if (due_ns > now_ns) bench_sleep_ms((due_ns - now_ns) / 1000000);
    uint64_t since_ns = bench_now_ns();
    is_well = bench_request(port, "GET", "/page?topic=t&bytes=10000", "", 0, NULL, 0) == 200;
    histogram_add(&documents, bench_now_ns() - since_ns);
  }
  *ret = (latencies){end_pages(pid, from), histogram_percentile_ns(&documents, 0.99) / 1e6};
  return is_well && ret->live_ms >= 0;
}

static int run_pages(upload *u) {
  upload_server server;
  crowd all;
  latencies quiet = {0}, busy = {0};
  u->server.uploads_count = u->count;
  if (!upload_server_start(&u->server, &server)) return complain("the server did not start");
  bool is_well = bench_request(server.port, "POST", "/state?topic=t", "x", 1, NULL, 0) == 204;
  is_well = is_well && look(u, server.port, &quiet);
  bool is_started = is_well && crowd_start(&all, u, server.port, u->server.file_bytes);
  uint64_t began_ns = bench_now_ns(), cpu_ns = bench_cpu_ns(server.pid);
  is_well = is_started && look(u, server.port, &busy);
  cpu_ns = bench_cpu_ns(server.pid) - cpu_ns;
  double seconds = (double)(bench_now_ns() - began_ns) / 1e9, sent = is_started ? (double)atomic_load(&all.total) : 0;
  if (is_started) is_well &= crowd_end(&all, true);
  upload_server_stop(&server);
  if (!is_well) return complain("a page was lost, or not all uploads continued");
  printf(
      "upload way=pages server=%s uploads=%" PRIu64 " rate_bytes=%" PRIu64 " mb_per_s=%.1f pages=%" PRIu64
      " server_cpu=%.2f live_p99_ms quiet=%.2f busy=%.2f ratio=%.2f document_p99_ms quiet=%.2f busy=%.2f ratio=%.2f\n",
      upload_kinds[u->server.kind], u->count, u->rate_bytes, sent / 1e6 / seconds, u->server.pages_count,
      (double)cpu_ns / 1e9 / seconds, quiet.live_ms, busy.live_ms, busy.live_ms / quiet.live_ms, quiet.document_ms,
      busy.document_ms, busy.document_ms / quiet.document_ms);
  return 0;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static int run(upload *u) {
  int kind = 0;
  while (kind < UPLOAD_KINDS && strcmp(upload_kinds[kind], u->adapter) != 0) kind++;
  u->server.kind = (upload_kind)kind;
  if (kind == UPLOAD_BARE || kind == UPLOAD_KINDS) return complain("--adapter: expected civetweb or microhttpd"), 2;
  u->piece = malloc(PIECE_BYTES);
  if (!u->piece) return complain("no memory");
  memset(u->piece, 'u', PIECE_BYTES);
  if (u->server.file_bytes < u->bytes) u->server.file_bytes = u->bytes;
  bench_raise_descriptors();
  signal(SIGPIPE, SIG_IGN);
  int status = 2;
  if (strcmp(u->way, "cpu") == 0)
    status = run_cpu(u);
  else if (strcmp(u->way, "memory") == 0)
    status = run_memory(u);
  else if (strcmp(u->way, "pages") == 0)
    status = run_pages(u);
  else
    complain("--way: expected cpu, memory or pages");
  free(u->piece);
  return status;
}

int bench_upload(int argc, char **argv) {
  static upload u = {.way = "cpu",
                     .adapter = "civetweb",
                     .bytes = 256 << 20,
                     .turns = 9,
                     .count = 1000,
                     .rate_bytes = 65536,
                     .held_bytes = 262144,
                     .seconds = 10,
                     .server = {.folder = "/tmp",
                                .file_bytes = UINT64_C(1) << 33,
                                .uploads_count = 16,
                                .pages_count = 200,
                                .piece_bytes = 65536}};
  const bench_option options[] = {{"--way", &u.way, NULL, 0, 0},
                                  {"--adapter", &u.adapter, NULL, 0, 0},
                                  {"--folder", &u.server.folder, NULL, 0, 0},
                                  {"--form", NULL, &u.is_form, 0, 0},
                                  {"--bytes", NULL, &u.bytes, 1, UINT64_C(1) << 33},
                                  {"--turns", NULL, &u.turns, 1, MOST_TURNS},
                                  {"--bare-bytes", NULL, &u.server.piece_bytes, 4096, 1 << 24},
                                  {"--memory-bytes", NULL, &u.server.memory_bytes, 1024, 1 << 24},
                                  {"--uploads", NULL, &u.count, 1, 20000},
                                  {"--held-bytes", NULL, &u.held_bytes, 1, 1 << 24},
                                  {"--rate-bytes", NULL, &u.rate_bytes, 20, UINT64_C(1) << 32},
                                  {"--pages", NULL, &u.server.pages_count, 1, 10000},
                                  {"--seconds", NULL, &u.seconds, 1, 600}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  return status ? status : run(&u);
}
