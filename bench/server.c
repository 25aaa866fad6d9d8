/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <civetweb.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vestry/civetweb.h>
#include <vestry/microhttpd.h>

#ifdef BENCH_H2
#include <vestry/h2.h>

#endif

enum { CIVETWEB_THREADS = 256, MICROHTTPD_THREADS = 2, STOP_MS = 1500, PEM_BYTES = 16384 };

struct bench_adapter {
  const char *name;
  bool (*start)(bench_server *server, vestry *v, const bench_server_options *options, int *ret_status);
  void (*stop)(bench_server *server);
};

static int complain(const char *what, int status) {
  fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
  return status;
}

/* ---- civetweb ---------------------------------------------------------------------------------------------------- */

typedef struct civetweb_start {
  vestry *v;
  vestry_civetweb_options options;
  vestry_server *web;
  vestry_err error;
} civetweb_start;

/* civetweb listens, but handles no request yet, so the first request finds the routes. */
static void add_vestry(const struct mg_context *context) {
  civetweb_start *start = mg_get_user_data(context);
  start->error =
      vestry_civetweb_create(start->v, (struct mg_context *)(uintptr_t)context, &start->options, &start->web);
}

static bool start_civetweb(bench_server *server, vestry *v, const bench_server_options *options, int *ret_status) {
  if (options->tls_key || options->tls_certificate) {
    *ret_status = complain("--tls-key, --tls-certificate: not supported by civetweb", 2);
    return false;
  }
  unsigned threads_count = options->threads ? options->threads : CIVETWEB_THREADS;
  char port[32], threads[32], why[256] = "";
  snprintf(port, sizeof port, "127.0.0.1:%u", options->port);
  snprintf(threads, sizeof threads, "%u", threads_count);
  const char *settings[] = {"listening_ports",   port,   "num_threads", threads, "connection_queue",   threads,
                            "listen_backlog",    "4096", "tcp_nodelay", "1",     "request_timeout_ms", "30000",
                            "enable_keep_alive", "yes",  NULL};
  if (vestry_civetweb_check(settings, why, sizeof why)) {
    *ret_status = complain(why, 2);
    return false;
  }
  civetweb_start start = {.v = v, .options = {.max_per_address = options->per_address, .body_ms = options->request_ms}};
  server->server = mg_start(&(struct mg_callbacks){.init_context = add_vestry}, &start, settings);
  if (!server->server) {
    snprintf(why, sizeof why, "cannot listen on %s with %s threads", port, threads);
    *ret_status = complain(why, 1);
    return false;
  }
  if (start.error) {
    *ret_status = complain(vestry_strerror(start.error), 1);
    mg_stop(server->server);
    return false;
  }
  server->web = start.web;
  struct mg_server_port bound;
  if (mg_get_server_ports(server->server, 1, &bound) > 0) server->port = (unsigned)bound.port;
  vestry_server_room(start.web, NULL, &server->streams);
  return true;
}

static void stop_civetweb(bench_server *server) {
  vestry_server_stop(server->web, STOP_MS);
  vestry_civetweb_stop_server(server->server);
  vestry_server_destroy(server->web);
}

/* ---- libmicrohttpd ----------------------------------------------------------------------------------------------- */

/* Return the allocated text of a file; NULL: no file was named, or an error. */
static char *read_pem(const char *path) {
  FILE *file = path ? fopen(path, "r") : NULL;
  char *text = file ? calloc(1, PEM_BYTES + 1) : NULL;
  if (text && !fread(text, 1, PEM_BYTES, file)) *text = '\0';
  if (file) fclose(file);
  return text;
}

static bool read_pair(const bench_server_options *options, char **ret_key, char **ret_certificate, int *ret_status) {
  *ret_key = read_pem(options->tls_key);
  *ret_certificate = read_pem(options->tls_certificate);
  if ((!options->tls_key || *ret_key) && (!options->tls_certificate || *ret_certificate)) return true;
  free(*ret_key);
  free(*ret_certificate);
  *ret_status = complain("--tls-key, --tls-certificate: cannot be read", 2);
  return false;
}

static bool keep_web(bench_server *server, vestry_server *web) {
  server->web = web;
  server->port = web->port;
  vestry_server_room(web, NULL, &server->streams);
  return true;
}

static bool has_failed_to_listen(const bench_server_options *options, vestry_err error, int *ret_status) {
  char why[256];
  if (options->unix_path)
    snprintf(why, sizeof why, "cannot listen on %s: %s", options->unix_path, vestry_strerror(error));
  else
    snprintf(why, sizeof why, "cannot listen on 127.0.0.1:%u: %s", options->port, vestry_strerror(error));
  if (error) *ret_status = complain(why, 1);
  return error != VESTRY_OK;
}

static const char *address_of(const bench_server_options *options) {
  return options->unix_path ? NULL : "127.0.0.1";
}

static uint16_t port_of(const bench_server_options *options) {
  return options->unix_path ? 0 : (uint16_t)options->port;
}

static bool start_microhttpd(bench_server *server, vestry *v, const bench_server_options *options, int *ret_status) {
  char *key, *certificate;
  if (!read_pair(options, &key, &certificate, ret_status)) return false;
  vestry_server *web;
  vestry_err error = vestry_microhttpd_create(
      v,
      &(vestry_microhttpd_options){.address = address_of(options),
                                   .port = port_of(options),
                                   .unix_path = options->unix_path,
                                   .threads_count = options->threads ? options->threads : MICROHTTPD_THREADS,
                                   .max_streams = options->streams,
                                   .memory_bytes = options->memory_bytes,
                                   .max_per_address = options->per_address,
                                   .request_timeout_ms = options->request_ms,
                                   .tls_key = key,
                                   .tls_certificate = certificate},
      &web);
  free(key);
  free(certificate);
  server->has_tls = options->tls_key != NULL;
  return !has_failed_to_listen(options, error, ret_status) && keep_web(server, web);
}

static void stop_web(bench_server *server) {
  vestry_server_destroy(server->web);
}

/* ---- HTTP/2 ------------------------------------------------------------------------------------------------------ */

#ifdef BENCH_H2
static bool start_h2(bench_server *server, vestry *v, const bench_server_options *options, int *ret_status) {
  static char made[VESTRY_H2_CERTIFICATE_BYTES];
  char *key, *certificate;
  vestry_server *web;
  const bool is_plain = options->is_plain || options->unix_path;
  const bool makes_one = !is_plain && !options->tls_key && !options->tls_certificate;
  if (makes_one && vestry_h2_certificate(NULL, made)) {
    *ret_status = complain("GnuTLS makes no certificate; use --tls-key and --tls-certificate", 1);
    return false;
  }
  if (!read_pair(options, &key, &certificate, ret_status)) return false;
  const char *text = makes_one ? made : NULL;
  const vestry_err error =
      vestry_h2_create(v,
                       &(vestry_h2_options){.address = address_of(options),
                                            .port = port_of(options),
                                            .unix_path = options->unix_path,
                                            .threads_count = options->threads ? options->threads : MICROHTTPD_THREADS,
                                            .max_streams = options->streams,
                                            .max_per_address = options->per_address,
                                            .request_timeout_ms = options->request_ms,
                                            .tls_key = is_plain    ? NULL
                                                       : makes_one ? text
                                                                   : key,
                                            .tls_certificate = is_plain    ? NULL
                                                               : makes_one ? text
                                                                           : certificate},
                       &web);
  free(key);
  free(certificate);
  server->has_tls = !is_plain;
  return !has_failed_to_listen(options, error, ret_status) && keep_web(server, web);
}
#endif

/* ---- whichever --------------------------------------------------------------------------------------------------- */

static const struct bench_adapter adapters[] = {{"civetweb", start_civetweb, stop_civetweb},
#ifdef BENCH_H2
                                                {"h2", start_h2, stop_web},
#endif
                                                {"microhttpd", start_microhttpd, stop_web}};

bool bench_server_start(bench_server *server, vestry *v, const bench_server_options *options, int *ret_status) {
  *server = (bench_server){.port = options->port};
  for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++)
    if (strcmp(adapters[i].name, options->adapter) == 0) server->adapter = &adapters[i];
  if (!server->adapter) {
    *ret_status = complain("--adapter: expected civetweb, microhttpd or h2", 2);
    return false;
  }
  if (options->unix_path &&
      (options->tls_key || options->tls_certificate || server->adapter->start == start_civetweb)) {
    *ret_status = complain("--unix-socket: requires --adapter microhttpd or h2, and excludes --tls-key", 2);
    return false;
  }
  if (!server->adapter->start(server, v, options, ret_status)) return false;
  if (options->unix_path)
    snprintf(server->url, sizeof server->url, "unix:%s", options->unix_path);
  else
    snprintf(server->url, sizeof server->url, "%s://127.0.0.1:%u", server->has_tls ? "https" : "http", server->port);
  return true;
}

void bench_server_stop(bench_server *server) {
  server->adapter->stop(server);
}

static sigset_t kept_signals(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGUSR2);
  return signals;
}

void bench_server_block_signals(void) {
  sigset_t signals = kept_signals();
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN); /* ignore clients that leave during an answer */
}

int bench_server_wait(void) {
  sigset_t signals = kept_signals();
  int received = SIGTERM;
  sigwait(&signals, &received);
  return received;
}
