/* SPDX-License-Identifier: MIT */
/* The acceptor listens on a port or a UNIX socket. Its only thread accepts connections and gives them to libmicrohttpd,
 * as long as the number of connections is below the limit.
 *
 * libmicrohttpd can accept connections itself, but fails if descriptors run out. A thread of libmicrohttpd that cannot
 * accept retries only when one of its connections closes; if all of them are streams, none does. And if it has no
 * connections, it retries in a busy loop. The acceptor's thread waits for a moment instead. */
#include "adapter/microhttpd/adapter.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "adapter/web/policy.h"
#include "base/log.h"
#include "base/thread.h"

enum { BACKLOG = 4096, MOST_AHEAD = 32, WAIT_MS = 100, FULL_WAIT_MS = 5, PEEKED_BYTES = 4096 };
enum { START_PATIENCE_MS = 2000, LOOK_AGAIN_MS = 10 };

/* --------------------------------------------------------------------------------------------------- accepting ---- */

/* Wait until a descriptor is readable (-1: none) or the acceptor is to be closed, for at most most_ms. */
static void wait_for(const vsi_microhttpd_acceptor *acceptor, int fd, int most_ms) {
  struct pollfd polled[] = {{.fd = acceptor->stop, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
  (void)poll(polled, fd < 0 ? 1 : 2, most_ms);
}

static bool is_want(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Return whether a client has ended without a complete head. A client that closed before it was accepted sends nothing
 * more, so if its bytes contain no end of a head, there is no request. Clients that connected and left while all places
 * were taken are dropped here without using a place. Encrypted bytes cannot be checked. */
static bool has_come_in_vain(const vsi_microhttpd_acceptor *acceptor, int fd) {
  struct pollfd polled = {.fd = fd, .events = POLLRDHUP};
  char head[PEEKED_BYTES];
  if (poll(&polled, 1, 0) <= 0) return false;
  if (polled.revents & (POLLERR | POLLHUP)) return true;
  if (acceptor->is_tls) return false;
  ssize_t len = recv(fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);
  if (len == (ssize_t)sizeof head) return false; /* there may be more */
  if (len <= 0) return true;
  return !memmem(head, (size_t)len, "\n\r\n", 3) && !memmem(head, (size_t)len, "\n\n", 2); /* bare LF, too */
}

/* Give a connection to libmicrohttpd. */
static void add(vsi_microhttpd_acceptor *acceptor, int fd, const struct sockaddr *address, socklen_t len) {
  vsi_microhttpd_arrivals *arrivals = &acceptor->sockets->arrivals;
  if (vsi_microhttpd_arrivals_enter(arrivals, fd))
    close(fd);
  else if (MHD_add_connection(acceptor->daemon, fd, address, len) == MHD_NO) /* closes it */
    vsi_microhttpd_arrivals_leave(arrivals, fd);
}

/* Count a connection, and give it to the feeder. */
static void feed(vsi_microhttpd_acceptor *acceptor, int fd, const struct sockaddr *address) {
  vsi_microhttpd_sockets *sockets = acceptor->sockets;
  const vestry_err error = vsi_web_addresses_enter(&sockets->addresses, vsi_address_of(address));
  if (error == VESTRY_LIMIT) vestry_reject(acceptor->v, VESTRY_REFUSAL_ADDRESS);
  if (error) {
    close(fd);
    return;
  }
  atomic_fetch_add_explicit(&sockets->count, 1, memory_order_relaxed);
  if (acceptor->feeder.take(acceptor->feeder.ctx, fd, address)) return;
  close(fd);
  vsi_microhttpd_sockets_leave(sockets, vsi_address_of(address));
}

/* Accept a client. OK | LIMIT: no descriptors | NOT_FOUND: no client waits */
static vestry_err let_in(vsi_microhttpd_acceptor *acceptor) {
  struct sockaddr_storage address;
  socklen_t len = sizeof address;
  int fd = accept4(acceptor->listener, (struct sockaddr *)&address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return is_want(errno) ? VESTRY_LIMIT : VESTRY_NOT_FOUND;
  if (has_come_in_vain(acceptor, fd)) {
    close(fd);
    return VESTRY_OK;
  }
  if (acceptor->feeder.take)
    feed(acceptor, fd, (struct sockaddr *)&address);
  else
    add(acceptor, fd, (struct sockaddr *)&address, len);
  return VESTRY_OK;
}

void vsi_microhttpd_give(vsi_microhttpd *adapter, int fd, const struct sockaddr *address, socklen_t len) {
  add(&adapter->acceptor, fd, address, len);
}

/* The acceptor's thread. libmicrohttpd allocates everything that a connection needs when it is added, so this thread
 * must not run far ahead of the serving threads: memory that thousands hold at once stays with the process. A
 * connection that libmicrohttpd drops silently is not reported, so this thread waits only for a moment, and looks for
 * such connections. */
static void *keep_acceptor(void *argument) {
  vsi_microhttpd_acceptor *acceptor = argument;
  vsi_microhttpd_arrivals *arrivals = &acceptor->sockets->arrivals;
  bool in_want = false;
  wait_for(acceptor, acceptor->listener, -1); /* accept4 needs a descriptor even if no client waits */
  while (!atomic_load_explicit(&acceptor->is_closing, memory_order_relaxed)) { /* only a flag */
    if (vsi_microhttpd_sockets_count(acceptor->sockets) >= acceptor->capacity) {
      vsi_microhttpd_arrivals_sweep(arrivals);
      vsi_microhttpd_sockets_look(acceptor->sockets);
      wait_for(acceptor, -1, FULL_WAIT_MS);
      continue;
    }
    vsi_microhttpd_arrivals_wait(arrivals, MOST_AHEAD, WAIT_MS);
    if (vsi_microhttpd_arrivals_count(arrivals) >= MOST_AHEAD) vsi_microhttpd_arrivals_sweep(arrivals);
    vestry_err error = let_in(acceptor);
    if (error == VESTRY_LIMIT && !in_want) {
      vestry_reject(acceptor->v, VESTRY_REFUSAL_DESCRIPTORS);
      vsi_log_repeated(
          acceptor->host, &acceptor->repeated, 0, VESTRY_LOG_WARN,
          "libmicrohttpd: no descriptors are left; new connections wait; raise the limit of descriptors (ulimit -n)");
    }
    in_want = error == VESTRY_LIMIT || (in_want && error == VESTRY_NOT_FOUND);
    if (error == VESTRY_LIMIT) wait_for(acceptor, -1, WAIT_MS);
    if (error == VESTRY_NOT_FOUND) wait_for(acceptor, acceptor->listener, -1);
  }
  return NULL;
}

/* --------------------------------------------------------------------------------------------- the UNIX socket ---- */

/* essay: replacing the socket file of a server that is gone */
/* Listening on a UNIX socket.
 *
 * A server that ends without cleanup leaves its socket's file behind, and no other server can bind to that path.
 * Therefore a server that finds a socket at its path connects to it. If the connection is refused, no process listens,
 * and the file may be removed. But a server that has bound its file and does not listen yet refuses connections, too,
 * and another server may start between the refusal and the removal. Therefore a starting server holds a lock on the
 * folder (flock, which leaves no file), from the check until it listens. The wait for the lock is bounded, because any
 * user that may read the folder can hold it.
 *
 * The file gets its mode before the socket listens, because all connections are refused until then. */

static struct sockaddr_un address_of(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, path, strlen(path) + 1);
  return address;
}

/* Lock the folder. Returns its descriptor; -1: failed, see errno. */
static int lock_folder(const char *path) {
  char folder[sizeof((struct sockaddr_un *)0)->sun_path] = ".";
  const char *slash = strrchr(path, '/');
  if (slash) snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const struct timespec pause = {.tv_nsec = LOOK_AGAIN_MS * 1000000L};
  for (int waited_ms = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;) {
    const int error = errno;
    if (error == EWOULDBLOCK && waited_ms < START_PATIENCE_MS) {
      nanosleep(&pause, NULL);
      waited_ms += LOOK_AGAIN_MS;
    } else if (error != EINTR) {
      close(fd);
      errno = error;
      fd = -1;
    }
  }
  return fd;
}

/* Make a path available. Returns the reason of a failure; NULL: there is no file now. */
static const char *clear_locked(const char *path) {
  struct stat found;
  if (lstat(path, &found) != 0) return errno == ENOENT ? NULL : strerror(errno);
  if (!S_ISSOCK(found.st_mode)) return "a file exists that is not a socket";
  int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return strerror(errno);
  struct sockaddr_un address = address_of(path);
  int error = connect(probe, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
  close(probe);
  if (!error || error == EAGAIN) return "another server listens there"; /* EAGAIN: its queue is full */
  if (error != ECONNREFUSED) return error == ENOENT ? NULL : strerror(error);
  return unlink(path) == 0 || errno == ENOENT ? NULL : strerror(errno);
}

/* Listen at the path, under the lock of its folder. Returns the reason of a failure; NULL: the socket listens. */
static const char *listen_locked(vsi_microhttpd_unix_socket *at, mode_t mode, int backlog, int *ret_fd) {
  const char *why = clear_locked(at->path);
  if (why) return why;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return strerror(errno);
  struct sockaddr_un address = address_of(at->path);
  struct stat made;
  const bool is_bound = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
  if (is_bound && chmod(at->path, mode) == 0 && lstat(at->path, &made) == 0 && listen(fd, backlog) == 0) {
    at->device = made.st_dev;
    at->inode = made.st_ino;
    *ret_fd = fd;
    return NULL;
  }
  why = strerror(errno);
  if (is_bound) unlink(at->path);
  close(fd);
  return why;
}

vestry_err vsi_microhttpd_unix_listen(vsi_microhttpd_unix_socket *at, const vestry_host *host, const char *function,
                                      const char *path, mode_t mode, int backlog, int *ret_fd) {
  *at = (vsi_microhttpd_unix_socket){.host = host, .path = vsi_strdup(host, path, strlen(path))};
  if (!at->path) return VESTRY_NO_MEMORY;
  const int folder = lock_folder(path);
  const char *why = folder >= 0            ? listen_locked(at, mode, backlog, ret_fd)
                    : errno == EWOULDBLOCK ? "another server is starting in this folder"
                                           : strerror(errno);
  if (folder >= 0) close(folder);
  if (!why) return VESTRY_OK;
  vsi_log(host, VESTRY_LOG_ERROR,
          "%s: cannot listen at %s: %s; choose another path, in a folder in which this user can write", function, path,
          why);
  vsi_free(host, at->path);
  at->path = NULL;
  return VESTRY_IO;
}

void vsi_microhttpd_unix_finish(vsi_microhttpd_unix_socket *at) {
  struct stat found;
  if (!at->path) return;
  if (lstat(at->path, &found) == 0 && found.st_dev == at->device && found.st_ino == at->inode) unlink(at->path);
  vsi_free(at->host, at->path);
  at->path = NULL;
}

/* -------------------------------------------------------------------------------------------------------- life ---- */

/* Accepted connections inherit the options of their listener. */
static vestry_err listen_at(vsi_microhttpd_acceptor *acceptor, const struct addrinfo *at, unsigned silent_ms) {
  static const int on = 1;
  acceptor->listener = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (acceptor->listener < 0) return VESTRY_IO;
  setsockopt(acceptor->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(acceptor->listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (silent_ms) setsockopt(acceptor->listener, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof silent_ms);
  if (at->ai_family == AF_INET6) setsockopt(acceptor->listener, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  return bind(acceptor->listener, at->ai_addr, at->ai_addrlen) || listen(acceptor->listener, BACKLOG) ? VESTRY_IO
                                                                                                      : VESTRY_OK;
}

static vestry_err listen_tcp(vsi_microhttpd_acceptor *acceptor, const char *function, const char *address,
                             uint16_t port, unsigned silent_ms) {
  char number[8];
  snprintf(number, sizeof number, "%u", port);
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
  struct addrinfo *at = NULL;
  if (getaddrinfo(address, number, &hints, &at) != 0) {
    vsi_log(acceptor->host, VESTRY_LOG_ERROR,
            "%s: the address %.100s is not numeric; use an address such as 127.0.0.1 or ::1", function, address);
    return VESTRY_INVALID;
  }
  vestry_err error = listen_at(acceptor, at, silent_ms);
  const int why = errno;
  freeaddrinfo(at);
  if (error)
    vsi_log(acceptor->host, VESTRY_LOG_ERROR, "%s: cannot listen at %s, port %u: %s; %s", function, address, port,
            strerror(why), vsi_web_listen_advice(why));
  return error;
}

vestry_err vsi_microhttpd_acceptor_make(vsi_microhttpd_acceptor *acceptor, vestry *v, const char *function,
                                        const vestry_microhttpd_options *options, bool is_tls, unsigned silent_ms) {
  *acceptor = (vsi_microhttpd_acceptor){.v = v,
                                        .host = vestry_parts_of(v)->host,
                                        .feeder = acceptor->feeder,
                                        .is_tls = is_tls,
                                        .listener = -1,
                                        .stop = -1};
  const vestry_err error =
      options->unix_path ? vsi_microhttpd_unix_listen(&acceptor->file, acceptor->host, function, options->unix_path,
                                                      options->unix_mode, BACKLOG, &acceptor->listener)
                         : listen_tcp(acceptor, function, options->address, options->port, silent_ms);
  if (error) return error;
  acceptor->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (acceptor->stop >= 0) return VESTRY_OK;
  vsi_log(acceptor->host, VESTRY_LOG_ERROR, "%s: no descriptor is left; raise the limit of descriptors (ulimit -n)",
          function);
  return VESTRY_IO;
}

vestry_err vsi_microhttpd_acceptor_open(vsi_microhttpd_acceptor *acceptor, struct MHD_Daemon *daemon, uint32_t capacity,
                                        vsi_microhttpd_sockets *sockets) {
  acceptor->daemon = daemon;
  acceptor->capacity = capacity;
  acceptor->sockets = sockets;
  vestry_err error = vsi_thread_start(acceptor->host, &acceptor->thread, "vestry-door", keep_acceptor, acceptor);
  acceptor->is_open = !error;
  return error;
}

uint16_t vsi_microhttpd_acceptor_port(const vsi_microhttpd_acceptor *acceptor) {
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } at = {.in.sin_port = 0};
  socklen_t len = sizeof at;
  if (getsockname(acceptor->listener, &at.any, &len)) return 0;
  if (at.any.sa_family == AF_UNIX) return 0;
  return ntohs(at.any.sa_family == AF_INET6 ? at.in6.sin6_port : at.in.sin_port);
}

void vsi_microhttpd_acceptor_close(vsi_microhttpd_acceptor *acceptor) {
  if (!acceptor->v) return;
  if (acceptor->is_open) {
    atomic_store_explicit(&acceptor->is_closing, true, memory_order_relaxed);
    eventfd_write(acceptor->stop, 1);
    pthread_join(acceptor->thread, NULL);
    acceptor->is_open = false;
  }
  vsi_microhttpd_unix_finish(&acceptor->file); /* while it listens, so that the file is not that of a successor */
  if (acceptor->listener >= 0) close(acceptor->listener);
  if (acceptor->stop >= 0) close(acceptor->stop);
  acceptor->v = NULL;
}
