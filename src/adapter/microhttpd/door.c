/* libmicrohttpd accepts by itself, too, but not when descriptors run out: a thread of its that fails to accept does not
 * try again before one of its own connections closes, which streams do not; one without connections tries again at
 * once, for ever. Here whoever finds no descriptor waits for a moment. */
#include "adapter/microhttpd/door.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter/web/gate.h"
#include "adapter/web/host.h"

enum { BACKLOG = 4096, MOST_AHEAD = 32, WAIT_MS = 100, FULL_WAIT_MS = 5, LINE_BYTES = 256 };

/* ---- letting in -------------------------------------------------------------------------------------------------- */

/* Wait until a descriptor can be read, for so long at most. false: the door is to be closed. */
static bool wait_for(const vsi_microhttpd_door *door, int fd, int most_ms) {
  struct pollfd polled[] = {{.fd = door->stop, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
  (void)poll(polled, fd < 0 ? 1 : 2, most_ms);
  return polled[0].revents == 0;
}

/* libmicrohttpd allocates all that a connection needs when it is added, so this thread must not run ahead of those that
 * serve: what thousands hold at once is memory that the process keeps. A connection that libmicrohttpd drops without a
 * word gives no room back; so this waits for a moment only. */
static void wait_for_threads(vsi_microhttpd_door *door) {
  if (sem_trywait(&door->awaited) == 0) return;
  struct timespec until = vsi_web_after_ms(WAIT_MS);
  while (sem_clockwait(&door->awaited, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR) continue;
}

void vsi_microhttpd_door_passed(vsi_microhttpd_door *door) {
  sem_post(&door->awaited);
}

static bool is_want(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* OK | LIMIT: no descriptors | NOT_FOUND: nobody is there */
static vestry_err let_in(vsi_microhttpd_door *door) {
  struct sockaddr_storage address;
  socklen_t len = sizeof address;
  int fd = accept4(door->listener, (struct sockaddr *)&address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return is_want(errno) ? VESTRY_LIMIT : VESTRY_NOT_FOUND;
  vsi_microhttpd_arrivals *arrivals = &door->sockets->arrivals;
  if (vsi_microhttpd_arrivals_enter(arrivals, fd)) {
    close(fd);
    sem_post(&door->awaited);
  } else if (MHD_add_connection(door->daemon, fd, (struct sockaddr *)&address, len) == MHD_NO) { /* which closes it */
    vsi_microhttpd_arrivals_leave(arrivals, fd);
    sem_post(&door->awaited);
  }
  return VESTRY_OK;
}

static void *keep_door(void *argument) {
  vsi_microhttpd_door *door = argument;
  bool in_want = false, goes_on = true;
  while (goes_on) {
    if (vsi_microhttpd_sockets_count(door->sockets) >= door->capacity) {
      vsi_microhttpd_arrivals_sweep(&door->sockets->arrivals);
      goes_on = wait_for(door, -1, FULL_WAIT_MS);
      continue;
    }
    wait_for_threads(door);
    vestry_err error = let_in(door);
    if (error) sem_post(&door->awaited); /* it was nobody */
    if (error == VESTRY_LIMIT && !in_want) {
      vestry_turn_away(door->v, VESTRY_REFUSAL_DESCRIPTORS);
      vsi_web_log(door->host, VESTRY_LOG_WARN,
                  "libmicrohttpd: no descriptors are left; connections wait until there are some");
    }
    in_want = error == VESTRY_LIMIT || (in_want && error == VESTRY_NOT_FOUND);
    goes_on = error == VESTRY_LIMIT       ? wait_for(door, -1, WAIT_MS)
              : error == VESTRY_NOT_FOUND ? wait_for(door, door->listener, -1)
                                          : wait_for(door, -1, 0);
  }
  return NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static vestry_err listen_at(vsi_microhttpd_door *door, const struct addrinfo *at) {
  static const int on = 1;
  door->listener = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (door->listener < 0) return VESTRY_IO;
  setsockopt(door->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (at->ai_family == AF_INET6) setsockopt(door->listener, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  return bind(door->listener, at->ai_addr, at->ai_addrlen) || listen(door->listener, BACKLOG) ? VESTRY_IO : VESTRY_OK;
}

vestry_err vsi_microhttpd_door_make(vsi_microhttpd_door *door, vestry *v, const char *address, uint16_t port) {
  char number[8], line[LINE_BYTES];
  *door = (vsi_microhttpd_door){.v = v, .host = vestry_host_of(v), .listener = -1, .stop = -1};
  sem_init(&door->awaited, 0, MOST_AHEAD);
  snprintf(number, sizeof number, "%u", port);
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
  struct addrinfo *at = NULL;
  if (getaddrinfo(address, number, &hints, &at) != 0) return VESTRY_INVALID;
  vestry_err error = listen_at(door, at);
  freeaddrinfo(at);
  if (!error) door->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (!error && door->stop >= 0) return VESTRY_OK;
  snprintf(line, sizeof line, "libmicrohttpd: cannot listen at %s, port %u: %s", address, port, strerror(errno));
  vsi_web_log(door->host, VESTRY_LOG_ERROR, line);
  return VESTRY_IO;
}

vestry_err vsi_microhttpd_door_make_unix(vsi_microhttpd_door *door, vestry *v, const char *path, mode_t mode) {
  *door = (vsi_microhttpd_door){.v = v, .host = vestry_host_of(v), .listener = -1, .stop = -1};
  sem_init(&door->awaited, 0, MOST_AHEAD);
  vestry_err error = vsi_microhttpd_unix_listen(&door->file, door->host, path, mode, BACKLOG, &door->listener);
  if (error) return error;
  door->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (door->stop >= 0) return VESTRY_OK;
  vsi_web_log(door->host, VESTRY_LOG_ERROR, "libmicrohttpd: no descriptor is left");
  return VESTRY_IO;
}

vestry_err vsi_microhttpd_door_open(vsi_microhttpd_door *door, struct MHD_Daemon *daemon, uint32_t capacity,
                                    vsi_microhttpd_sockets *sockets) {
  door->daemon = daemon;
  door->capacity = capacity;
  door->sockets = sockets;
  sigset_t blocked, before; /* the application's signals go to the application's threads */
  sigfillset(&blocked);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  door->is_open = pthread_create(&door->thread, NULL, keep_door, door) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (door->is_open) pthread_setname_np(door->thread, "vestry-door");
  return door->is_open ? VESTRY_OK : VESTRY_IO;
}

uint16_t vsi_microhttpd_door_port(const vsi_microhttpd_door *door) {
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } at = {.in.sin_port = 0};
  socklen_t len = sizeof at;
  if (!door->v || door->listener < 0 || getsockname(door->listener, &at.any, &len)) return 0;
  if (at.any.sa_family == AF_UNIX) return 0;
  return ntohs(at.any.sa_family == AF_INET6 ? at.in6.sin6_port : at.in.sin_port);
}

void vsi_microhttpd_door_close(vsi_microhttpd_door *door) {
  if (!door->v) return;
  if (door->is_open) {
    eventfd_write(door->stop, 1);
    pthread_join(door->thread, NULL);
    door->is_open = false;
  }
  vsi_microhttpd_unix_finish(&door->file); /* while it listens, so that the file is no successor's */
  if (door->listener >= 0) close(door->listener);
  if (door->stop >= 0) close(door->stop);
  door->v = NULL;
}
