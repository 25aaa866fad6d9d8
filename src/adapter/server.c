/* SPDX-License-Identifier: MIT */
/* essay: ending a process by signals that arrive on any thread */
/* A server with its adapter, and the process around it. A signal arrives on any thread at any time, and its handler may
 * do little more than write to a descriptor. Therefore vestry_server_run waits on a descriptor. */
#include "adapter/server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "instance/instance.h"
#include "serve/profiles.h"
#include "vestry/adapter.h"
#include "vestry/drain.h"

/* A drained stream whose peer does not read has five seconds (vestry/drain.h). */
enum { DRAIN_MORE_MS = 6000, LEAST_HEAD_BYTES = 1024, MOST_HEAD_BYTES = 4 << 20 };

vestry_err vestry_server_create(vestry *v, const vestry_server_adapter *adapter, const vestry_server_options *given,
                                vestry_server **ret_server) {
  if (!v) return VESTRY_INVALID;
  const vestry_host *host = vestry_parts_of(v)->host;
  vestry_server_options options = given ? *given : (vestry_server_options){0};
  if (!adapter || !ret_server) return vsi_mistake(host, "vestry_server_create", "the adapter or ret_server is NULL");
  if (!options.tls_key != !options.tls_certificate)
    return vsi_mistake(host, "vestry_server_create", "tls_key and tls_certificate must be set together");
  if (options.unix_path && (options.address || options.port))
    return vsi_mistake(host, "vestry_server_create", "unix_path excludes address and port");
  const vsi_option_range head = {"max_head_bytes", options.max_head_bytes, LEAST_HEAD_BYTES, MOST_HEAD_BYTES};
  if (vsi_option_ranges_check(host, "vestry_server_create", &head, 1)) return VESTRY_INVALID;
  if (!options.address && !options.unix_path) options.address = "127.0.0.1";
  vestry_server *server;
  vestry_err error = options.is_uncompressed ? VESTRY_OK : vsi_profiles_offer(v);
  if (!error) error = adapter->start(v, &options, &server);
  if (error) return error;
  server->adapter = adapter;
  bool is_six = options.address && strchr(options.address, ':');
  if (options.unix_path)
    snprintf(server->url, sizeof server->url, "unix:%s", options.unix_path);
  else
    snprintf(server->url, sizeof server->url, "%s://%s%s%s:%u", options.tls_key ? "https" : "http", is_six ? "[" : "",
             options.address, is_six ? "]" : "", server->port);
  *ret_server = server;
  return VESTRY_OK;
}

vestry_err vsi_server_may_wait(vestry *v, const char *function) {
  if (vestry_is_forked(v)) return VESTRY_CLOSED;
  if (!vsi_instance_is_inside(v)) return VESTRY_OK;
  vsi_log_mistake(v->host, function,
                  "ignored, because it was called in a callback of the instance or on a thread of its runtime, which "
                  "would wait for itself; call it on another thread");
  return VESTRY_BUSY;
}

vestry_err vestry_server_stop(vestry_server *server, uint64_t timeout_ms) {
  return server ? server->adapter->stop(server, timeout_ms) : VESTRY_INVALID;
}

void vestry_server_destroy(vestry_server *server) {
  if (server) server->adapter->destroy(server);
}

vestry_err vestry_server_renew(vestry_server *server, const char *const *pairs) {
  if (!server) return vsi_mistake(vestry_host_default(), "vestry_server_renew", "the server is NULL");
  return server->adapter->renew ? server->adapter->renew(server, pairs) : VESTRY_UNSUPPORTED;
}

void vestry_server_room(vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity) {
  server->adapter->room(server, ret_streams, ret_capacity);
}

/* ------------------------------------------------------------------------------------------------- the process ---- */

/* The descriptor on which a run waits, an eventfd. It is never closed: vestry_server_end may load its number during the
 * run and write to it after the run, when the number of a closed descriptor could be that of a client's socket. -1:
 * nothing has run yet. */
static _Atomic(int) bell = -1;
static _Atomic(bool) runs; /* exchanged and stored by vestry_server_run only */

void vestry_server_end(void) {
  int before = errno, fd = atomic_load(&bell);
  const uint64_t once = 1;
  if (fd >= 0 && write(fd, &once, sizeof once) < 0) errno = before; /* full: the end was requested already */
  errno = before;
}

/* Return the bell. Create it if there is none, and discard requests to end from before this run. A forked process
 * creates its own bell, because it shares the first one with its parent. -1: failed; errno has the reason. */
static int take_bell(void) {
  static pid_t owner; /* used by the thread that has set `runs` */
  uint64_t requests;
  int fd = atomic_load(&bell);
  if (fd < 0 || owner != getpid()) {
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) return -1;
    owner = getpid();
    atomic_store(&bell, fd);
  }
  (void)!read(fd, &requests, sizeof requests); /* which sets it to zero */
  return fd;
}

static void on_signal(int signal_number) {
  (void)signal_number;
  vestry_server_end();
}

/* The signal actions that were set before the run. */
typedef struct habits {
  struct sigaction interrupt, terminate, pipe;
} habits;

static void take_signals(habits *ret_before) {
  struct sigaction action = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
  sigemptyset(&action.sa_mask);
  sigemptyset(&ignore.sa_mask);
  sigaction(SIGINT, &action, &ret_before->interrupt);
  sigaction(SIGTERM, &action, &ret_before->terminate);
  sigaction(SIGPIPE, NULL, &ret_before->pipe);
  /* A client may close its connection while it is answered. */
  if (ret_before->pipe.sa_handler == SIG_DFL) sigaction(SIGPIPE, &ignore, NULL);
}

static void give_stops_back(const habits *before) {
  sigaction(SIGINT, &before->interrupt, NULL);
  sigaction(SIGTERM, &before->terminate, NULL);
}

/* A thread that ends the process if the server has not stopped within stop_ms. */
typedef struct fuse {
  uint64_t ms;
  int fd; /* written when the run has ended */
  pthread_t thread;
  bool burns;
} fuse;

/* Wait until a descriptor is readable. false: the time is over. */
static bool wait_for(int fd, int timeout_ms) {
  struct pollfd waits = {.fd = fd, .events = POLLIN};
  int ready;
  while ((ready = poll(&waits, 1, timeout_ms)) < 0 && errno == EINTR) continue;
  return ready != 0;
}

static void *burn(void *ctx) {
  const fuse *f = ctx;
  if (!wait_for(f->fd, (int)(f->ms < INT32_MAX ? f->ms : INT32_MAX))) _exit(0);
  return NULL;
}

static void light(fuse *f, uint64_t ms, const vestry_host *host) {
  *f = (fuse){.ms = ms, .fd = ms ? eventfd(0, EFD_CLOEXEC) : -1};
  f->burns = f->fd >= 0 && !vsi_thread_start(host, &f->thread, "vestry-fuse", burn, f);
  if (ms && !f->burns)
    vsi_log(host, VESTRY_LOG_WARN, "server: cannot start the thread for stop_ms; stopping may take longer");
}

static void put_out(fuse *f) {
  const uint64_t once = 1;
  if (f->burns && write(f->fd, &once, sizeof once) == sizeof once) pthread_join(f->thread, NULL);
  if (f->fd >= 0) close(f->fd);
}

static void drain(vestry *v, uint64_t window_ms) {
  if (window_ms && !vestry_drain(v, window_ms)) (void)vestry_drain_wait(v, window_ms + DRAIN_MORE_MS);
}

static vestry_err serve(vestry *v, const vestry_server_adapter *adapter, const vestry_server_options *options, int fd,
                        const habits *before) {
  vestry_server *server;
  vestry_err error = vestry_server_create(v, adapter, options, &server);
  if (error) return error;
  const vestry_host *host = vestry_parts_of(v)->host;
  vsi_log(host, VESTRY_LOG_INFO, "%s: listening on %s", adapter->name, server->url);
  if (options->on_ready) options->on_ready(server, options->ctx);
  (void)wait_for(fd, -1);
  give_stops_back(before);
  vsi_log(host, VESTRY_LOG_INFO, "%s: stopping", adapter->name);
  drain(v, options->drain_ms);
  fuse f;
  light(&f, options->stop_ms, host);
  vestry_server_destroy(server);
  put_out(&f);
  return VESTRY_OK;
}

vestry_err vestry_server_run(vestry *v, const vestry_server_adapter *adapter, const vestry_server_options *given) {
  if (!v) return VESTRY_INVALID;
  const vestry_host *host = vestry_parts_of(v)->host;
  vestry_server_options options = given ? *given : (vestry_server_options){0};
  if (!adapter) return vsi_mistake(host, "vestry_server_run", "the adapter is missing");
  const vsi_option_range drain_ms = {"drain_ms", options.drain_ms, 1, VESTRY_DRAIN_MAX_MS};
  if (vsi_option_ranges_check(host, "vestry_server_run", &drain_ms, 1)) return VESTRY_INVALID;
  if (atomic_exchange(&runs, true)) {
    vsi_log(host, VESTRY_LOG_ERROR, "vestry_server_run: another server already runs in this process; end it first");
    return VESTRY_EXISTS;
  }
  int fd = take_bell();
  if (fd < 0) {
    vsi_log(host, VESTRY_LOG_ERROR, "vestry_server_run: cannot create an eventfd: %s", strerror(errno));
    atomic_store(&runs, false);
    return VESTRY_IO;
  }
  habits before;
  take_signals(&before);
  vestry_err error = serve(v, adapter, &options, fd, &before);
  give_stops_back(&before);
  sigaction(SIGPIPE, &before.pipe, NULL);
  atomic_store(&runs, false);
  return error;
}
