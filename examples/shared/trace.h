/* SPDX-License-Identifier: MIT */
/* Spans as lines of a file: each is an ExportTraceServiceRequest in the JSON encoding of the OpenTelemetry protocol
 * (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding), which collectors read. */
#ifndef EXAMPLES_TRACE_H
#define EXAMPLES_TRACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vestry/host.h"
#include "vestry/trace.h"

struct trace {
  vestry_host host; /* the default one, and its spans go to the file */
  vestry_tracer tracer;
  const char *service, *path;
  int file;
  uint64_t to_unix_ns;  /* added to a time of the host's */
  pthread_mutex_t lock; /* held for one line */
  bool is_torn;         /* guarded by lock: the file ends within a line */
  bool has_failed;      /* guarded by lock: it has been said */
};

/* Open a file of this user's, and write behind what it has. Several processes may write to one.
 * service, path: borrowed until trace_end. Returns 0, or an errno */
int trace_begin(struct trace *trace, const char *service, const char *path);
/* When everything is gone that the host was given to. */
void trace_end(struct trace *trace);

#endif
