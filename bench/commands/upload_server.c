/* SPDX-License-Identifier: MIT */
#include "upload_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vestry/app/upload.h>
#include <vestry/vestry.h>

#include "bench.h"
#include "memory.h"
#include "pages.h"
#include "server.h"

const char *const upload_kinds[UPLOAD_KINDS] = {"bare", "civetweb", "microhttpd"};

static int open_file(const char *folder) {
  return open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
}

static bool write_all(int fd, const char *bytes, size_t len) {
  while (len) {
    ssize_t written = write(fd, bytes, len);
    if (written <= 0) return false;
    bytes += written;
    len -= (size_t)written;
  }
  return true;
}

/* ---- without vestry ---------------------------------------------------------------------------------------------- */

/* Read the head, and the part of the body that arrived with it. false: the client has disconnected. */
static bool read_head(int from, char *piece, size_t capacity, size_t *ret_rest, uint64_t *ret_length) {
  size_t got = 0;
  for (;;) {
    ssize_t n = recv(from, piece + got, capacity - 1 - got, 0);
    if (n <= 0) return false;
    got += (size_t)n;
    piece[got] = '\0';
    const char *end = strstr(piece, "\r\n\r\n");
    if (!end) continue;
    const char *length = strcasestr(piece, "\r\nContent-Length:");
    *ret_length = length && length < end ? strtoull(length + 17, NULL, 10) : 0;
    *ret_rest = got - (size_t)(end + 4 - piece);
    memmove(piece, end + 4, *ret_rest);
    return true;
  }
}

static bool take_bare(int from, const upload_server_options *o, char *piece) {
  static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
  size_t rest = 0;
  uint64_t left = 0;
  if (!read_head(from, piece, o->piece_bytes, &rest, &left)) return false;
  int to = open_file(o->folder);
  bool goes_on = to >= 0 && write_all(to, piece, rest);
  for (left -= rest; goes_on && left;) {
    ssize_t n = recv(from, piece, left < o->piece_bytes ? left : o->piece_bytes, 0);
    goes_on = n > 0 && write_all(to, piece, (size_t)n);
    if (goes_on) left -= (size_t)n;
  }
  if (to >= 0) close(to);
  return goes_on && send(from, answer, sizeof answer - 1, MSG_NOSIGNAL) > 0;
}

static int listen_bare(int *ret_port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) || listen(fd, 16) ||
      getsockname(fd, (struct sockaddr *)&at, &len)) {
    perror("vestry-bench: upload: bare");
    return -1;
  }
  *ret_port = ntohs(at.sin_port);
  return fd;
}

static void tell_port(int to, int port) {
  if (write(to, &port, sizeof port) != sizeof port) _exit(1);
  close(to);
}

static int serve_bare(const upload_server_options *o, int port_to) {
  int port = 0, fd = listen_bare(&port);
  char *piece = malloc(o->piece_bytes);
  if (fd < 0 || !piece) return 1;
  tell_port(port_to, port);
  for (int from; (from = accept(fd, NULL, NULL)) >= 0; close(from))
    while (take_bare(from, o, piece)) continue;
  return 0; /* not reached: a signal ends the process */
}

/* ---- vestry ------------------------------------------------------------------------------------------------------ */

typedef struct served {
  const upload_server_options *options;
  vestry_uploads *uploads;
} served;

/* The handle of a file is its descriptor plus one, so that it is never NULL. */
static vestry_err begin(void *app, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file,
                        void **ret_file) {
  (void)req, (void)reply, (void)file;
  int fd = open_file(((const served *)app)->options->folder);
  if (fd < 0) return VESTRY_IO;
  *ret_file = (void *)((intptr_t)fd + 1);
  return VESTRY_OK;
}

static int descriptor_of(void *file) {
  return (int)((intptr_t)file - 1);
}

static vestry_err write_piece(void *file, const vestry_request *req, vestry_reply *reply, const void *bytes,
                              size_t len) {
  (void)req, (void)reply;
  return write_all(descriptor_of(file), bytes, len) ? VESTRY_OK : VESTRY_IO;
}

static vestry_err end(void *file, const vestry_request *req, vestry_reply *reply) {
  (void)req, (void)reply;
  return close(descriptor_of(file)) ? VESTRY_IO : VESTRY_OK;
}

static void drop(void *file, vestry_err why) {
  (void)why;
  close(descriptor_of(file));
}

static vestry_err stats(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const served *all = ctx;
  vestry_uploads_stats s = {0};
  (void)req;
  vestry_uploads_stats_get(all->uploads, &s);
  return vestry_reply_bodyf(reply,
                            "{\"open\":%" PRIu32 ",\"failed\":%" PRIu64 ",\"done\":%" PRIu64 ",\"memory\":%" PRId64 "}",
                            s.open_count, s.failed_count, s.done_count, bench_counted_bytes());
}

static vestry_err mount(served *all, vestry *v) {
  static const vestry_upload_writer writer = {.begin = begin, .write = write_piece, .end = end, .abort = drop};
  const upload_server_options *o = all->options;
  const vestry_uploads_options options = {.pattern = "/upload",
                                          .writer = &writer,
                                          .app = all,
                                          .max_file_bytes = o->file_bytes,
                                          /* unknown clients have half of it */
                                          .max_count = 2 * (uint32_t)o->uploads_count,
                                          .max_per_person_count = (uint32_t)o->uploads_count};
  vestry_err error = vestry_uploads_create(v, &options, &all->uploads);
  return error ? error : vestry_route(v, "GET", "/stats", stats, all);
}

static int run(served *all, vestry *v, int port_to) {
  const upload_server_options *o = all->options;
  const bench_server_options options = {
      .adapter = upload_kinds[o->kind],
      .threads = o->kind == UPLOAD_CIVETWEB ? (unsigned)(o->uploads_count + o->pages_count + 64) : 0,
      .streams = (uint32_t)(o->uploads_count + o->pages_count + 64),
      .memory_bytes = (size_t)o->memory_bytes};
  bench_server server;
  int status = 1;
  if (!mount(all, v) && bench_server_start(&server, v, &options, &status)) {
    tell_port(port_to, (int)server.port);
    (void)bench_server_wait();
    bench_server_stop(&server);
    status = 0;
  }
  vestry_uploads_destroy(all->uploads);
  return status;
}

static int serve(const upload_server_options *o, int port_to) {
  bench_server_block_signals();
  bench_raise_descriptors();
  vestry *v;
  bench_pages *pages = NULL;
  served all = {.options = o};
  if (vestry_create(&(vestry_options){.store = "hash", .host = bench_counting_host()}, &v)) return 1;
  int status = o->pages_count && bench_pages_create(v, &pages) ? 1 : run(&all, v, port_to);
  (void)vestry_stop(v, VESTRY_NEVER_MS);
  bench_pages_destroy(pages);
  vestry_destroy(v);
  return status;
}

/* ---- its process ------------------------------------------------------------------------------------------------- */

bool upload_server_start(const upload_server_options *options, upload_server *server) {
  int port[2];
  if (pipe(port)) return false;
  fflush(stdout);
  *server = (upload_server){.pid = fork()};
  if (server->pid == 0) {
    close(port[0]);
    _exit(options->kind == UPLOAD_BARE ? serve_bare(options, port[1]) : serve(options, port[1]));
  }
  close(port[1]);
  bool is_up = server->pid > 0 && read(port[0], &server->port, sizeof server->port) == sizeof server->port;
  close(port[0]);
  if (!is_up) upload_server_stop(server);
  return is_up;
}

void upload_server_stop(upload_server *server) {
  if (server->pid <= 0) return;
  kill(server->pid, SIGTERM);
  while (waitpid(server->pid, NULL, 0) < 0) continue;
  server->pid = 0;
}
