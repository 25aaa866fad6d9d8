/* SPDX-License-Identifier: MIT */
/* A server, selected by the name of its adapter. */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <vestry/adapter.h>

typedef struct bench_server {
  const struct bench_adapter *adapter;
  void *server, *web; /* of the adapter */
  bool has_tls;
  unsigned port;    /* the actual port, also if a free one was requested; 0: a UNIX socket */
  char url[160];    /* of its root, or unix:PATH */
  uint32_t streams; /* maximum number of streams */
} bench_server;

typedef struct bench_server_options {
  const char *adapter;   /* "civetweb", "microhttpd", "h2" */
  unsigned port;         /* on 127.0.0.1; 0: any */
  const char *unix_path; /* a UNIX socket instead, without TLS; not civetweb. NULL: none */
  unsigned threads;      /* 0: civetweb 256, others 2 */
  uint32_t streams;      /* civetweb has as many as threads allow */
  size_t memory_bytes;   /* microhttpd: of a connection; 0: the adapter's default */
  uint64_t request_ms;   /* time limit of a request, on civetweb of its body; 0: the adapter's default */
  uint32_t per_address;  /* connections of one address, civetweb: requests and streams; 0: no limit */
  const char *tls_key, *tls_certificate; /* files, PEM; not civetweb. NULL: h2 makes them */
  bool is_plain;                         /* h2: no TLS */
} bench_server_options;

/* Listen and serve. Mount routes before, because clients may connect at once. false: one line on stderr has the reason;
 * *ret_status is the exit status. */
bool bench_server_start(bench_server *server, vestry *v, const bench_server_options *options, int *ret_status);
void bench_server_stop(bench_server *server);

/* Block SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 for bench_server_wait. Call it before the first thread is started. */
void bench_server_block_signals(void);
/* Wait for such a signal, and return it. */
int bench_server_wait(void);

#endif
