/* SPDX-License-Identifier: MIT */
/* The server of a program here, by the name of its adapter. */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <vestry/adapter.h>

typedef struct bench_server {
  const struct bench_adapter *adapter;
  void *server, *web; /* the adapter's */
  unsigned port;      /* the real one, also when any was asked for */
  uint32_t streams;   /* how many it has room for */
} bench_server;

typedef struct bench_server_options {
  const char *adapter;  /* "civetweb", "microhttpd" */
  unsigned port;        /* on 127.0.0.1; 0: any */
  unsigned threads;     /* 0: civetweb 256, microhttpd 2 */
  uint32_t streams;     /* microhttpd; civetweb has as many as threads allow */
  size_t memory_bytes;  /* microhttpd: of a connection; 0: the adapter's default */
  uint64_t request_ms;  /* in which a request, civetweb: its body, must be there; 0: the adapter's default */
  uint32_t per_address; /* connections of one address, civetweb: requests and streams; 0: no limit */
  const char *tls_key, *tls_certificate; /* microhttpd: files, PEM; NULL: no TLS */
} bench_server_options;

/* Listen and serve. Routes are mounted before: a client that connects at once finds them.
 * false: one line on stderr says why; *ret_status is the one to exit with. */
bool bench_server_start(bench_server *server, vestry *v, const bench_server_options *options, int *ret_status);
void bench_server_stop(bench_server *server);

/* Keep SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 for bench_server_wait; before the first thread is started. */
void bench_server_block_signals(void);
/* Which of them came. */
int bench_server_wait(void);

#endif
