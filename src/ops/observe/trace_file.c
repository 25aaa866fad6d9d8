/* SPDX-License-Identifier: MIT */
/* Spans as lines of a file. */
#include "vestry/ops/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/memory.h"
#include "vestry/version.h"

enum { LINE_BYTES = 4096, NAME_MAX_BYTES = 100, NAME_BYTES = 1024, SERVICE_MAX_BYTES = 64 };
#define NS_A_SECOND UINT64_C(1000000000)

struct vestry_trace_file {
  vestry_host host;        /* base, with this tracer */
  const vestry_host *base; /* for memory and the log */
  vestry_tracer tracer;
  char *service, *path;
  int file;
  bool is_file;             /* not a pipe, whose reader may end */
  uint64_t to_unix_ns;      /* offset from the host's clock to Unix time */
  _Atomic(bool) is_torn;    /* the file ends with an incomplete line */
  _Atomic(bool) has_failed; /* a message was logged */
};

/* Values of the protocol: SPAN_KIND_INTERNAL, _SERVER and _CLIENT. */
enum { INTERNAL = 1, SERVER = 2, CLIENT = 3 };

static const struct kind {
  const char *name, *counted; /* counted: the name of its count; NULL: it has none */
  int value;
} kinds[] = {
    [VESTRY_SPAN_REQUEST] = {"request", NULL, SERVER},
    [VESTRY_SPAN_DISPATCH] = {"dispatch", "vestry.streams", INTERNAL},
    [VESTRY_SPAN_REMOTE_REQUEST] = {"remote-request", "vestry.streams", CLIENT},
    [VESTRY_SPAN_RENDER] = {"render", NULL, INTERNAL},
    [VESTRY_SPAN_WRITE] = {"write", "vestry.bytes", INTERNAL},
};

/* Write "kind name" as a JSON string, because the path of a request may contain any bytes. A long name is cut, possibly
 * within a character. */
static void put_span_name(char *text, size_t room, const char *kind, const char *name) {
  json_t *both = NULL;
  for (int most = NAME_MAX_BYTES; !both && most > NAME_MAX_BYTES - 4; most--)
    both = json_sprintf("%s%s%.*s", kind, *name ? " " : "", most, name);
  size_t len = both ? json_dumpb(both, text, room - 1, JSON_ENCODE_ANY) : 0;
  if (!both || len >= room) len = (size_t)snprintf(text, room, "\"%s\"", kind); /* it is not UTF-8 */
  text[len] = '\0';
  json_decref(both);
}

/* Write a span as a line, at most LINE_BYTES. Returns its length. */
static int put_span_line(const vestry_trace_file *trace, const vestry_span *span, char *line) {
  const struct kind *kind = &kinds[span->kind];
  char trace_id[33], span_id[17], parent_id[17], name[NAME_BYTES], counted[128] = "", status[64] = "";
  vsi_hex_write(trace_id, span->trace.trace_id, sizeof span->trace.trace_id);
  vsi_hex_write(span_id, span->trace.span_id, sizeof span->trace.span_id);
  vsi_hex_write(parent_id, span->parent_id, sizeof span->parent_id);
  if (strspn(parent_id, "0") == 2 * sizeof span->parent_id) *parent_id = '\0'; /* there is no parent */
  put_span_name(name, sizeof name, kind->name, span->name);
  if (kind->counted)
    snprintf(counted, sizeof counted, ",{\"key\":\"%s\",\"value\":{\"intValue\":\"%" PRIu64 "\"}}", kind->counted,
             span->count);
  if (span->error) snprintf(status, sizeof status, "\"code\":2,\"message\":\"%s\"", vestry_err_name(span->error));
  return snprintf(line, LINE_BYTES,
                  "{\"resourceSpans\":[{\"resource\":{\"attributes\":["
                  "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"%s\"}},"
                  "{\"key\":\"process.pid\",\"value\":{\"intValue\":\"%ld\"}}]},"
                  "\"scopeSpans\":[{\"scope\":{\"name\":\"vestry\",\"version\":\"%s\"},\"spans\":[{"
                  "\"traceId\":\"%s\",\"spanId\":\"%s\",\"parentSpanId\":\"%s\",\"name\":%s,\"kind\":%d,"
                  "\"startTimeUnixNano\":\"%" PRIu64 "\",\"endTimeUnixNano\":\"%" PRIu64 "\","
                  "\"attributes\":[{\"key\":\"vestry.kind\",\"value\":{\"stringValue\":\"%s\"}}%s],"
                  "\"status\":{%s}}]}]}]}\n",
                  trace->service, (long)getpid(), vestry_version(), trace_id, span_id, parent_id, name, kind->value,
                  span->begun_ns + trace->to_unix_ns, span->ended_ns + trace->to_unix_ns, kind->name, counted, status);
}

/* Each line is written by one call that appends, so that lines of several threads and processes do not mix, and no lock
 * is needed. A full disk can leave an incomplete line; the next line begins on a new one, so only one line of the file
 * is invalid. line: behind a line feed, of len bytes. (relaxed: nothing else depends on the two values.) */
static void write_line(vestry_trace_file *trace, const char *line, size_t len) {
  const bool is_torn = atomic_load_explicit(&trace->is_torn, memory_order_relaxed);
  const size_t all = len + is_torn;
  const ssize_t written = (trace->is_file ? write : vsi_write_quietly)(trace->file, line - is_torn, all);
  if (written == (ssize_t)all && is_torn) atomic_store_explicit(&trace->is_torn, false, memory_order_relaxed);
  if (written == (ssize_t)all) return;
  const int reason = written < 0 ? errno : ENOSPC;
  if (written > 0) atomic_store_explicit(&trace->is_torn, true, memory_order_relaxed);
  if (atomic_exchange_explicit(&trace->has_failed, true, memory_order_relaxed)) return;
  vsi_log(trace->base, VESTRY_LOG_WARN, "vestry_trace_file: %s: %s; spans are omitted until there is space",
          trace->path, strerror(reason));
}

static void on_span(const vestry_span *span, void *ctx) {
  char line[LINE_BYTES + 1] = "\n";
  write_line(ctx, line + 1, (size_t)put_span_line(ctx, span, line + 1));
}

/* Return whether the file ends with an incomplete line. */
static bool is_torn(int file, const char *path) {
  struct stat is;
  char last = '\n';
  if (fstat(file, &is) || !S_ISREG(is.st_mode) || is.st_size == 0) return false;
  const int reader = open(path, O_RDONLY | O_CLOEXEC);
  if (reader < 0) return false;
  if (pread(reader, &last, 1, is.st_size - 1) != 1) last = '\n';
  close(reader);
  return last != '\n';
}

static bool is_service(const char *name) {
  size_t len = 0;
  while (vsi_is_letter(name[len]) || vsi_is_digit(name[len]) || (name[len] && strchr("-_.", name[len]))) len++;
  return len && !name[len] && len <= SERVICE_MAX_BYTES;
}

static uint64_t unix_ns_of(const vestry_host *host) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * NS_A_SECOND + (uint64_t)now.tv_nsec - host->now_ns(host->ctx);
}

vestry_err vestry_trace_file_create(const vestry_trace_file_options *given, vestry_trace_file **ret_file) {
  const vestry_host *host = vestry_host_default();
  vestry_trace_file_options options = given ? *given : (vestry_trace_file_options){0};
  if (options.host) host = options.host;
  if (!options.service) options.service = "vestry";
  if (!options.path || !*options.path || !ret_file)
    return vsi_mistake(host, "vestry_trace_file_create", "the path or ret_file is NULL");
  if (!is_service(options.service))
    return vsi_mistake(host, "vestry_trace_file_create",
                       "the service has other characters than letters, digits, '-', '_' and '.', or more than 64");
  vestry_trace_file *made = vsi_calloc(host, 1, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  made->host = *host;
  made->base = host;
  made->file = -1;
  made->to_unix_ns = unix_ns_of(host);
  made->service = vsi_strdup(host, options.service, strlen(options.service));
  made->path = vsi_strdup(host, options.path, strlen(options.path));
  made->tracer = (vestry_tracer){.on_span = on_span, .ctx = made, .one_in = options.one_in};
  made->host.tracer = &made->tracer;
  vestry_err error = made->service && made->path ? VESTRY_OK : VESTRY_NO_MEMORY;
  /* O_NONBLOCK: the path may be that of a pipe, whose reader is missing, or reads nothing. */
  if (!error) made->file = open(options.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600);
  const int reason = errno;
  if (!error && made->file < 0) {
    error = VESTRY_IO;
    vsi_log(host, VESTRY_LOG_ERROR, "vestry_trace_file_create: %s: %s", options.path,
            reason == ENXIO ? "no process reads this pipe; start the reader first" : strerror(reason));
  }
  if (error) {
    vestry_trace_file_destroy(made);
    errno = reason;
    return error;
  }
  struct stat is;
  made->is_file = !fstat(made->file, &is) && S_ISREG(is.st_mode);
  atomic_init(&made->is_torn, is_torn(made->file, made->path));
  *ret_file = made;
  return VESTRY_OK;
}

const vestry_host *vestry_trace_file_host(const vestry_trace_file *file) {
  return file ? &file->host : NULL;
}

void vestry_trace_file_destroy(vestry_trace_file *file) {
  if (!file) return;
  if (file->file >= 0) close(file->file);
  vsi_free(file->base, file->service);
  vsi_free(file->base, file->path);
  vsi_free(file->base, file);
}
