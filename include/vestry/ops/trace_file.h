/* SPDX-License-Identifier: MIT */
/** A file of spans (vestry/trace.h), for an OpenTelemetry collector: each line is an ExportTraceServiceRequest in the
 *  JSON encoding of the OpenTelemetry protocol (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
 *
 *      vestry_trace_file_create(&(vestry_trace_file_options){.path = "spans.jsonl", .service = "shelf"}, &spans);
 *      vestry_create(&(vestry_options){.host = vestry_trace_file_host(spans)}, &v);
 *      …
 *      vestry_destroy(v);
 *      vestry_trace_file_destroy(spans);
 *
 *  docs/guide/metrics.md#traces shows the configuration of a collector. */
#ifndef VESTRY_TRACE_FILE_H
#define VESTRY_TRACE_FILE_H

#include "vestry/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A file of spans, and a host whose tracer writes them. */
typedef struct vestry_trace_file vestry_trace_file;

/** Options of a file. Zero is the default. */
typedef struct vestry_trace_file_options {
  const char *path;        /**< mandatory; copied. The file is created if it is missing, readable by its owner only, and
                                appended to. Several processes may write to the same file */
  const char *service;     /**< name of the program in each span, at most 64 letters, digits, '-', '_' and '.'; copied.
                                NULL: "vestry" */
  const vestry_host *host; /**< for memory, clock and log; borrowed until destroy. NULL: the default one */
  uint32_t one_in;         /**< as in vestry_tracer */
} vestry_trace_file_options;

/** Open a file of spans. It may be a pipe: if its reader is slow, spans are omitted. If the file ends with an
 *  incomplete line, because its process was killed or the disk was full, the next span begins on a new one.
 *  ret_file  owned by the caller; untouched on failure
 *  Returns   OK | INVALID (path or service; logged) | NO_MEMORY | IO (errno and the log have the reason)
 *  Threads   any; blocks on the file system */
VESTRY_API vestry_err vestry_trace_file_create(const vestry_trace_file_options *options, vestry_trace_file **ret_file);
/** Get the host that reports its spans to the file: that of the options, with a tracer. It is valid until destroy. Each
 *  span is written by one call on the thread that ends it. If a write fails, the log has one line, and spans are
 *  omitted until writes succeed again.
 *  Returns  NULL for NULL
 *  Threads  any; does not block */
VESTRY_API const vestry_host *vestry_trace_file_host(const vestry_trace_file *file);
/** Close a file, after all objects that use its host were destroyed. NULL is accepted. Threads one; blocks on the file
 *  system. */
VESTRY_API void vestry_trace_file_destroy(vestry_trace_file *file);

#ifdef __cplusplus
}
#endif
#endif
