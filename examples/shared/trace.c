/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vestry/value.h"
#include "vestry/version.h"

enum { LINE_BYTES = 4096, NAME_MAX_BYTES = 100, NAME_BYTES = 1024 };
#define NS_A_SECOND UINT64_C(1000000000)

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

static void put_hex(char *text, const unsigned char *bytes, size_t count) {
  bool is_nothing = true;
  for (size_t i = 0; i < count; i++) {
    snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    is_nothing &= bytes[i] == 0;
  }
  if (is_nothing) *text = '\0'; /* there is no parent */
}

/* Write "kind name" as a JSON string, because the path of a request may contain any bytes. A long name is cut, possibly
 * within a character. */
static void put_name(char *text, size_t room, const char *kind, const char *name) {
  json_t *both = NULL;
  for (int most = NAME_MAX_BYTES; !both && most > NAME_MAX_BYTES - 4; most--)
    both = json_sprintf("%s%s%.*s", kind, *name ? " " : "", most, name);
  size_t len = both ? json_dumpb(both, text, room - 1, JSON_ENCODE_ANY) : 0;
  if (!both || len >= room) len = (size_t)snprintf(text, room, "\"%s\"", kind); /* it is not UTF-8 */
  text[len] = '\0';
  json_decref(both);
}

static int put_line(const struct trace *trace, const vestry_span *span, char *line) {
  const struct kind *kind = &kinds[span->kind];
  char trace_id[33], span_id[17], parent_id[17], name[NAME_BYTES], counted[128] = "", status[64] = "";
  put_hex(trace_id, span->trace.trace_id, sizeof span->trace.trace_id);
  put_hex(span_id, span->trace.span_id, sizeof span->trace.span_id);
  put_hex(parent_id, span->parent_id, sizeof span->parent_id);
  put_name(name, sizeof name, kind->name, span->name);
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

/* Each line is written by one call, so that lines of several processes do not mix. A full disk can leave an incomplete
 * line; the next line begins on a new one, so only one line of the file is invalid. */
static void write_line(struct trace *trace, const char *line, size_t len) {
  if (trace->is_torn && write(trace->file, "\n", 1) == 1) trace->is_torn = false;
  const ssize_t written = trace->is_torn ? -1 : write(trace->file, line, len);
  if (written == (ssize_t)len) return;
  trace->is_torn |= written > 0;
  if (!trace->has_failed)
    fprintf(stderr, "%s: --trace %s: %s; spans are omitted until there is space\n", trace->service, trace->path,
            strerror(written < 0 ? errno : ENOSPC));
  trace->has_failed = true;
}

static void on_span(const vestry_span *span, void *ctx) {
  struct trace *trace = ctx;
  char line[LINE_BYTES];
  const int len = put_line(trace, span, line);
  pthread_mutex_lock(&trace->lock);
  write_line(trace, line, (size_t)len);
  pthread_mutex_unlock(&trace->lock);
}

/* Return whether the file ends with an incomplete line, because a process was killed or the disk was full. */
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

int trace_begin(struct trace *trace, const char *service, const char *path) {
  *trace = (struct trace){.service = service, .path = path, .host = *vestry_host_default()};
  trace->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (trace->file < 0) return errno;
  trace->is_torn = is_torn(trace->file, path);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  trace->to_unix_ns = (uint64_t)now.tv_sec * NS_A_SECOND + (uint64_t)now.tv_nsec - trace->host.now_ns(trace->host.ctx);
  trace->tracer = (vestry_tracer){.on_span = on_span, .ctx = trace};
  trace->host.tracer = &trace->tracer;
  pthread_mutex_init(&trace->lock, NULL);
  return 0;
}

void trace_end(struct trace *trace) {
  pthread_mutex_destroy(&trace->lock);
  close(trace->file);
}
