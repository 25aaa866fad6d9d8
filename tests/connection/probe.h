/* SPDX-License-Identifier: MIT */
/* A transport that records, for tests of connections, and a stepped group for these connections. */
#ifndef TESTS_CONNECTION_PROBE_H
#define TESTS_CONNECTION_PROBE_H

#include <pthread.h>

#include "base/buffer.h"
#include "connection/group.h"
#include "connection/runner.h"
#include "support/test.h"
#include "support/test_host.h"

typedef struct probe {
  pthread_mutex_t lock; /* guards all below in threaded tests */
  pthread_cond_t woken;
  bool wake;
  vsi_buffer got;
  size_t writes, opens, ends, releases;
  vestry_slice composed; /* bytes that wait in a batch */
  size_t beyond;         /* compose returns more than its room by this number; 0: it returns what it has composed */
  bool clean;
  vestry_cause end_cause;
  vestry_io open_answer;  /* what open returns; OK */
  vestry_io write_answer; /* what write returns; OK */
  size_t take;            /* with WOULD_BLOCK: bytes taken per write */
  /* hooks */
  size_t opened, closed;
  vestry_cause close_cause;
} probe;

void probe_init(probe *p);
void probe_finish(probe *p);
extern const vestry_transport_ops probe_pooled, probe_dedicated;
extern const vsi_connection_hooks probe_hooks; /* the probe is their context */
/* The text so far must be exactly this. */
void probe_assert_got(probe *p, const char *text);
/* Return the counters of a connection. They must add up. */
vestry_connection_stats probe_stats(const vestry_connection *connection);

typedef struct bench {
  test_host th;
  vestry_runtime *runtime;
  vsi_group *group;
} bench;

/* threads: VESTRY_THREADS_NONE or a number. */
void bench_init(bench *b, uint32_t threads, const vestry_connection_options *defaults);
void bench_run(bench *b); /* step until nothing is ready */
/* Close, and check that all counters add up and no memory leaks. */
void bench_finish(bench *b);
vestry_connection *bench_connect(bench *b, probe *p, const vestry_connection_options *options);
vestry_event *bench_event(bench *b, const char *text); /* a comment: ": text\n\n" */
vestry_err bench_send(bench *b, vestry_connection *connection, const char *text);

/* A case with a bench without threads. */
#define BENCH_CASE(name) TEST_CASE_WITH(name, bench, b, bench_init(b, VESTRY_THREADS_NONE, NULL), bench_finish(b))

#endif
