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
  vestry_host host; /* the default host, with this tracer */
  vestry_tracer tracer;
  const char *service, *path;
  int file;
  uint64_t to_unix_ns;  /* offset from the host's clock to Unix time */
  pthread_mutex_t lock; /* held while a line is written */
  bool is_torn;         /* guarded by lock: the file ends with an incomplete line */
  bool has_failed;      /* guarded by lock: a message was printed */
};

/* Open a file, readable by this user only, and append to it. Several processes may write to the same file. service,
 * path: borrowed until trace_end. Returns 0, or an errno */
int trace_begin(struct trace *trace, const char *service, const char *path);
/* Close the file. Call it after all users of the host were destroyed. */
void trace_end(struct trace *trace);

#endif
