/* SPDX-License-Identifier: MIT */
/* A daemon of the program, with vestry inside. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/select.h>

#include "microhttpd/server.h"
#include "microhttpd/tls.h"
#include "support/test.h"
#include "testing/contract/client.h"

_Atomic(unsigned) attached_own_count, attached_own_ended;

/* The program. */
typedef struct program {
  vestry *v;
  struct MHD_Daemon *daemon;
  vestry_server *web;
  bool external;
  pthread_t loop;
  _Atomic(bool) stops;
} program;

typedef struct own_request {
  size_t body_len;
} own_request;

static enum MHD_Result answer_own(struct MHD_Connection *conn, const own_request *own) {
  char text[64];
  int len = snprintf(text, sizeof text, "own %zu", own->body_len);
  struct MHD_Response *response = MHD_create_response_from_buffer((size_t)len, text, MHD_RESPMEM_MUST_COPY);
  enum MHD_Result result = MHD_queue_response(conn, MHD_HTTP_NOT_FOUND, response);
  MHD_destroy_response(response);
  return result;
}

static enum MHD_Result serve_own(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                 const char *version, const char *data, size_t *data_len, void **req_cls) {
  program *p = cls;
  int result = vestry_microhttpd_serve(p->web, conn, url, method, version, data, data_len, req_cls);
  if (result != VESTRY_MICROHTTPD_NOT_MINE) return (enum MHD_Result)result;
  own_request *own = *req_cls;
  if (!own) {
    *req_cls = own = calloc(1, sizeof *own);
    atomic_fetch_add(&attached_own_count, 1);
    return own ? MHD_YES : MHD_NO;
  }
  own->body_len += *data_len;
  if (!*data_len) return answer_own(conn, own);
  *data_len = 0;
  return MHD_YES;
}

static void completed(void *cls, struct MHD_Connection *conn, void **req_cls, enum MHD_RequestTerminationCode why) {
  program *p = cls;
  if (vestry_microhttpd_completed(p->web, req_cls) || !*req_cls) return;
  atomic_fetch_add(&attached_own_ended, 1);
  free(*req_cls);
  *req_cls = NULL;
}

/* The program's own loop, as in libmicrohttpd's manual. */
static void *run_loop(void *argument) {
  program *p = argument;
  while (!atomic_load(&p->stops)) {
    fd_set readable, writable, broken;
    MHD_socket most = 0;
    unsigned long long wait_ms = 20;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_ZERO(&broken);
    if (MHD_get_fdset(p->daemon, &readable, &writable, &broken, &most) != MHD_YES) abort();
    if (MHD_get_timeout(p->daemon, &wait_ms) != MHD_YES || wait_ms > 20) wait_ms = 20;
    struct timeval wait = {.tv_usec = (long)wait_ms * 1000};
    (void)select(most + 1, &readable, &writable, &broken, &wait);
    MHD_run_from_select(p->daemon, &readable, &writable, &broken);
  }
  return NULL;
}

static uint16_t port_of(struct MHD_Daemon *daemon) {
  return MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void log_nothing(void *cls, const char *format, va_list arguments) {}

static struct MHD_Daemon *start_daemon(program *p, const attached_settings *settings) {
  unsigned flags = settings->flags ? settings->flags : MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD;
  if (settings->external) flags &= ~(unsigned)MHD_USE_INTERNAL_POLLING_THREAD;
  flags |= MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
  if (settings->tls) flags |= MHD_USE_TLS;
  struct MHD_OptionItem more[6];
  size_t count = 0;
  if (!settings->lenient) more[count++] = (struct MHD_OptionItem){MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL};
  if (settings->threads)
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)settings->threads, NULL};
  if (settings->memory_bytes)
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)settings->memory_bytes, NULL};
  if (settings->tls) {
    const char *key, *certificate;
    tls_key_pair(&key, &certificate);
    vsi_client_tls_ops_used = &tls_client_ops;
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key};
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)certificate};
  }
  more[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
  const struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return MHD_start_daemon(flags, 0, NULL, NULL, serve_own, p, MHD_OPTION_EXTERNAL_LOGGER, log_nothing, NULL,
                          MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_NOTIFY_COMPLETED, completed, p,
                          MHD_OPTION_CONNECTION_TIMEOUT, settings->silent_s ? settings->silent_s : (unsigned)PATIENCE_S,
                          MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

static program *launch(vestry *v, const attached_settings *settings, uint16_t *ret_port) {
  program *p = calloc(1, sizeof *p);
  assert_non_null(p);
  vsi_client_path_used = NULL;
  vsi_client_tls_ops_used = NULL;
  vestry_microhttpd_attach_options options = settings->adapter;
  options.is_strict = !settings->lenient;
  p->v = v;
  assert_int_equal(vestry_microhttpd_attach(v, NULL, &options, &p->web), VESTRY_OK);
  p->daemon = start_daemon(p, settings);
  assert_non_null(p->daemon);
  *ret_port = port_of(p->daemon);
  p->external = settings->external;
  if (p->external) assert_int_equal(pthread_create(&p->loop, NULL, run_loop, p), 0);
  return p;
}

static const attached_settings *settings_used;

static vestry_err start(vestry *v, const vestry_contract_settings *given, void **ret_server, uint16_t *ret_port) {
  attached_settings settings = *settings_used;
  assert_false(given->lost_ms && given->stalled_ms);
  const uint64_t silent_ms = given->silent_ms ? given->silent_ms : PATIENCE_S * UINT64_C(1000);
  settings.adapter.max_streams = given->max_streams;
  settings.adapter.request_timeout_ms = silent_ms;
  settings.adapter.lost_ms = given->lost_ms + given->stalled_ms;
  if (!settings.silent_s) settings.silent_s = (unsigned)(silent_ms / 1000);
  if (vsi_client_tls_ops_used) settings.tls = true;
  *ret_server = launch(v, &settings, ret_port);
  return VESTRY_OK;
}

static vestry_err stop(void *server, uint64_t timeout_ms) {
  return vestry_server_stop(((program *)server)->web, timeout_ms);
}

static void room(void *server, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vestry_server_room(((program *)server)->web, ret_streams, ret_capacity);
}

static void stop_daemon(program *p) {
  if (!p->daemon) return;
  atomic_store(&p->stops, true);
  if (p->external) pthread_join(p->loop, NULL);
  MHD_stop_daemon(p->daemon);
  p->daemon = NULL;
}

void attached_stop_daemon(vsi_server *s) {
  stop_daemon(s->running);
}

static void destroy(void *server) {
  program *p = server;
  if (!vestry_is_forked(p->v)) { /* in a child, the daemon is the parent's */
    assert_int_equal(vestry_server_stop(p->web, 20000), VESTRY_OK);
    stop_daemon(p);
  }
  vestry_server_destroy(p->web);
  free(p);
}

/* breaks_queries: since 1.0 as well. */
static vestry_contract_adapter contract_of(const char *name, const attached_settings *settings) {
  static const vestry_contract_exception exceptions[] = {
      {"uploads/stalled_readers_of_responses_hold_no_writer", "the daemon sends the answers"},
      {"hostile/lost_clients_hold_no_place", "connections without a head are the daemon's, under its limits"},
      {NULL, NULL}};
  return (vestry_contract_adapter){
      .name = name,
      .start = start,
      .stop = stop,
      .destroy = destroy,
      .room = room,
      .exceptions = exceptions,
      .patience_s = PATIENCE_S,
      .waits_in_handlers = settings->external,
      .always_keeps = true,
      .closes_streams = true,
      .waits_for_none = true,
      .closes_broken = true,
      .has_own_paths = true,
      .has_own_targets = true,
      .decodes_paths = true,
      .breaks_queries = server_library_refuses(),
      .refuses_itself = true,
      .refuses_most = server_library_refuses(),
      .redirects_blanks = settings->lenient && server_library_refuses(),
      .is_blind_to = server_is_blind_to_attached,
  };
}

void attached_start(vsi_server *s, const attached_settings *settings) {
  vsi_adapter = contract_of("libmicrohttpd, attached", settings);
  vsi_patience_s = PATIENCE_S;
  vsi_server_begin(s, &settings->options);
  if (!settings->bare) vsi_server_mount(s);
  s->running = launch(s->v, settings, &s->port);
}

unsigned attached_contract_run(const char *name, const attached_settings *settings, const char *suites) {
  const vestry_contract_adapter contract = contract_of(name, settings);
  settings_used = settings;
  return vestry_contract_run(&contract, suites);
}
