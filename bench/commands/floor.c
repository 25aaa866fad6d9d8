/* SPDX-License-Identifier: MIT */
/* vestry-bench floor: the minimal work of a server, with one thread, an epoll, and one write(2) for each stream, or
 * with --batched one io_uring_enter(2) for 256 streams. It has no bounds, no order between threads, and no slow
 * clients: it drops a stream whose socket does not accept an event at once. With --batched --threads 2 a second thread
 * sends to half of the streams.
 *
 *   GET /sub          joins the broadcast            POST /pub         {"v": BODY} to all
 *   GET /sub?key=kN   is stored under N              POST /pub?key=kN  {"v": BODY} to stream N
 *
 * With --cells FILE it serves the board of vestry-bench cells (floor_cells.c); with --tls it serves HTTP/2 over TLS
 * (floor_tls.c). */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "floor.h"

#ifndef BENCH_WITHOUT_URING
#include <liburing.h>
#endif

enum { EVENTS_AT_ONCE = 256, BATCH_MOST = 256, REQUEST_BYTES = 1 << 16, FRAME_BYTES = 128, NONE = -1, BACKLOG = 4096 };

/* Descriptors of streams whose sends have failed. */
typedef struct failures {
  size_t count;
  int all[1 << 16];
} failures;

typedef struct floor_server {
  int epoll, listener;
  int *streams; /* descriptors, in the order of their arrival */
  size_t count;
  int *keyed;              /* by key */
  char *requests[1 << 16]; /* by descriptor: the received part of a request; NULL: none */
  size_t lengths[1 << 16]; /* by descriptor */
  size_t places[1 << 16];  /* by descriptor: index in streams plus one; 0: none */
  size_t capacity;         /* capacity of streams and keys */
  char event[REQUEST_BYTES + FRAME_BYTES];
  bool is_batched, has_helper, has_cells;
#ifndef BENCH_WITHOUT_URING
  struct io_uring ring;
  /* The second thread, which sends an event to half of the streams. */
  pthread_t helper;
  sem_t begins, ends;
  const int *helper_streams;
  const char *helper_event;
  size_t helper_count, helper_event_len;
  failures helper_failures;
#endif
} floor_server;

static void drop(floor_server *s, int fd) {
#ifdef BENCH_SQLITE
  if (s->has_cells) floor_cells_drop(fd);
#endif
  if (s->places[fd]) { /* the last stream moves to its place */
    size_t at = s->places[fd] - 1;
    s->streams[at] = s->streams[--s->count];
    s->places[s->streams[at]] = at + 1;
    s->places[fd] = 0;
    for (size_t i = 0; i < s->capacity; i++)
      if (s->keyed[i] == fd) s->keyed[i] = NONE;
  }
  free(s->requests[fd]);
  s->requests[fd] = NULL;
  s->lengths[fd] = 0;
  close(fd);
}

static bool write_all(int fd, const char *data, size_t len) {
  return write(fd, data, len) == (ssize_t)len;
}

static bool subscribe(floor_server *s, int fd, const char *request) {
  static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n";
  size_t key = s->capacity;
  sscanf(request, "GET /sub?key=k%zu", &key);
  if (s->count == s->capacity || s->places[fd]) return false;
  s->streams[s->count++] = fd;
  s->places[fd] = s->count;
  if (key < s->capacity) s->keyed[key] = fd;
  return write_all(fd, head, sizeof head - 1);
}

#ifdef BENCH_WITHOUT_URING
static bool begin_batches(floor_server *s, bool has_helper) {
  (void)s, (void)has_helper;
  errno = ENOSYS;
  return false;
}
static void send_batched(floor_server *s, const int *streams, size_t count, const char *event, size_t len) {
  (void)s, (void)streams, (void)count, (void)event, (void)len;
}
#else
static int begin_ring(struct io_uring *ring) {
  return io_uring_queue_init(BATCH_MOST, ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
}

/* Send an event to `count` streams, from the end. */
static void send_part(struct io_uring *ring, const int *streams, size_t count, const char *event, size_t len,
                      failures *failed) {
  while (count > 0) {
    const size_t batch = count < BATCH_MOST ? count : BATCH_MOST;
    for (size_t i = 0; i < batch; i++) {
      struct io_uring_sqe *entry = io_uring_get_sqe(ring);
      io_uring_prep_send(entry, streams[--count], event, len, MSG_NOSIGNAL | MSG_DONTWAIT);
      entry->user_data = (uint64_t)streams[count];
    }
    for (size_t done = 0; done < batch;) {
      io_uring_submit_and_wait(ring, (unsigned)(batch - done));
      struct io_uring_cqe *result;
      unsigned head, taken = 0;
      io_uring_for_each_cqe(ring, head, result) {
        if (result->res != (int)len) failed->all[failed->count++] = (int)result->user_data;
        taken++;
      }
      io_uring_cq_advance(ring, taken);
      done += taken;
    }
  }
}

static void *help(void *argument) {
  floor_server *s = argument;
  struct io_uring ring;
  if (begin_ring(&ring)) abort(); /* the first thread has one */
  for (;;) {
    while (sem_wait(&s->begins)) continue;
    send_part(&ring, s->helper_streams, s->helper_count, s->helper_event, s->helper_event_len, &s->helper_failures);
    sem_post(&s->ends);
  }
}

static bool begin_batches(floor_server *s, bool has_helper) {
  errno = -begin_ring(&s->ring);
  if (errno) return false;
  s->has_helper = has_helper;
  sem_init(&s->begins, 0, 0);
  sem_init(&s->ends, 0, 0);
  return !has_helper || !pthread_create(&s->helper, NULL, help, s);
}

/* Streams that fail are dropped afterwards. */
static void send_batched(floor_server *s, const int *streams, size_t count, const char *event, size_t len) {
  static failures failed;
  const size_t own_count = s->has_helper ? count / 2 : count;
  s->helper_streams = streams + own_count;
  s->helper_count = count - own_count;
  s->helper_event = event;
  s->helper_event_len = len;
  if (s->has_helper) sem_post(&s->begins);
  send_part(&s->ring, streams, own_count, event, len, &failed);
  while (s->has_helper && sem_wait(&s->ends)) continue;
  while (failed.count) drop(s, failed.all[--failed.count]);
  while (s->helper_failures.count) drop(s, s->helper_failures.all[--s->helper_failures.count]);
}
#endif

void floor_send(floor_server *s, const int *streams, size_t count, const char *event, size_t len) {
  if (s->is_batched) {
    send_batched(s, streams, count, event, len);
    return;
  }
  while (count-- > 0) /* from the end, because dropping moves the last stream */
    if (!write_all(streams[count], event, len)) drop(s, streams[count]);
}

static void publish(floor_server *s, const char *request, const char *body, size_t len) {
  static const char before[] = "event: datastar-patch-signals\ndata: signals {\"v\":", behind[] = "}\n\n";
  int event_len = sprintf(s->event, "%zx\r\n%s%.*s%s\r\n", sizeof before - 1 + len + sizeof behind - 1, before,
                          (int)len, body, behind);
  size_t key;
  if (sscanf(request, "POST /pub?key=k%zu", &key) == 1) {
    if (key < s->capacity && s->keyed[key] != NONE && !write_all(s->keyed[key], s->event, (size_t)event_len))
      drop(s, s->keyed[key]);
    return;
  }
  floor_send(s, s->streams, s->count, s->event, (size_t)event_len);
}

/* Process a complete request. false: close the connection. */
static bool answer(floor_server *s, int fd, const char *request, const char *body, size_t len) {
  static const char done[] = "HTTP/1.1 204 No Content\r\n\r\n", unknown[] = "HTTP/1.1 404 Not Found\r\n\r\n";
#ifdef BENCH_SQLITE
  if (s->has_cells) return floor_cells_answer(s, fd, request);
#endif
  if (strncmp(request, "GET /sub", 8) == 0) return subscribe(s, fd, request);
  if (strncmp(request, "POST /pub", 9) != 0) return write_all(fd, unknown, sizeof unknown - 1) && false;
  publish(s, request, body, len);
  return write_all(fd, done, sizeof done - 1);
}

static bool take(floor_server *s, int fd) {
  if (!s->requests[fd]) s->requests[fd] = malloc(REQUEST_BYTES);
  char *request = s->requests[fd];
  if (!request) return false;
  ssize_t got = read(fd, request + s->lengths[fd], REQUEST_BYTES - 1 - s->lengths[fd]);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  size_t have = s->lengths[fd] += (size_t)got;
  request[have] = '\0';
  const char *end = strstr(request, "\r\n\r\n");
  if (!end) return have < REQUEST_BYTES - 1;
  const char *length = strcasestr(request, "\r\nContent-Length:");
  size_t body_len = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
  size_t head_len = (size_t)(end + 4 - request);
  if (body_len >= REQUEST_BYTES - head_len) return false;
  if (have < head_len + body_len) return true;
  s->requests[fd] = NULL;
  s->lengths[fd] = 0;
  bool stays = answer(s, fd, request, end + 4, body_len);
  free(request);
  return stays;
}

static void take_in(floor_server *s) {
  int fd, on = 1;
  while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fd >= 1 << 16 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event)) close(fd);
  }
}

static bool listen_on(floor_server *s, uint64_t port, unsigned *ret_port) {
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t len = sizeof here;
  int on = 1;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  s->epoll = epoll_create1(EPOLL_CLOEXEC);
  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = s->listener};
  if (s->epoll < 0 || s->listener < 0 || bind(s->listener, (struct sockaddr *)&here, len) ||
      listen(s->listener, BACKLOG) || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &event) ||
      getsockname(s->listener, (struct sockaddr *)&here, &len))
    return false;
  *ret_port = ntohs(here.sin_port);
  return true;
}

/* Serve until a signal ends the process; no cleanup is necessary. */
static void serve(floor_server *s) {
  for (;;) {
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(s->epoll, events, EVENTS_AT_ONCE, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == s->listener)
        take_in(s);
      else if (!take(s, fd))
        drop(s, fd);
    }
  }
}

/* Return the time of a system call that does nothing, in nanoseconds. */
static double system_call_ns(void) {
  enum { CALLS = 100000 };
  const uint64_t since_ns = bench_now_ns();
  for (int i = 0; i < CALLS; i++) (void)getppid();
  return (double)(bench_now_ns() - since_ns) / CALLS;
}

int bench_floor(int argc, char **argv) {
  uint64_t port = 8090, streams = 10000, batched = 0, has_tls = 0, threads = 1;
  const char *encoding = "identity", *cells = NULL;
  const bench_option options[] = {{"--port", NULL, &port, 0, 65535},    {"--streams", NULL, &streams, 1, 60000},
                                  {"--tls", NULL, &has_tls, 0, 0},      {"--threads", NULL, &threads, 1, 2},
                                  {"--batched", NULL, &batched, 0, 0},  {"--cells", &cells, NULL, 0, 0},
                                  {"--encoding", &encoding, NULL, 0, 0}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  static floor_server s;
  unsigned bound;
  bench_raise_descriptors();
  signal(SIGPIPE, SIG_IGN);
  s.capacity = streams;
  s.streams = calloc(streams, sizeof *s.streams);
  s.keyed = malloc(streams * sizeof *s.keyed);
  s.is_batched = batched;
#ifdef BENCH_SQLITE
  s.has_cells = cells;
  if (cells && !floor_cells_begin(strcmp(encoding, "br") == 0, cells)) return 1;
#else
  if (cells) fprintf(stderr, "vestry-bench: floor: --cells: this build has no SQLite\n");
  if (cells) return 2;
#endif
  if (!s.streams || !s.keyed || (batched && !begin_batches(&s, threads == 2)) || !listen_on(&s, port, &bound)) {
    fprintf(stderr, "vestry-bench: floor: %s\n", strerror(errno));
    return 1;
  }
#ifdef BENCH_H2
  if (has_tls) return floor_tls_serve(s.epoll, s.listener, bound);
#else
  if (has_tls) fprintf(stderr, "vestry-bench: floor: --tls: this build has no HTTP/2\n");
  if (has_tls) return 2;
#endif
  for (size_t i = 0; i < streams; i++) s.keyed[i] = NONE;
  printf("vestry-bench: floor http://127.0.0.1:%u streams=%zu getppid_ns=%.0f\n", bound, s.capacity, system_call_ns());
  fflush(stdout);
  serve(&s);
  return 0;
}
