/* SPDX-License-Identifier: MIT */
/* The web part of a small device, inside a program that has a server and an event loop already: keyed streams on a
 * stepped runtime, a timer that dispatches, and VESTRY_BOUNDS_DEVICE. The transport counts bytes instead of sending
 * them, so that the program shows the cost of vestry alone. It prints figures, one a line:
 *     device [STREAMS] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vestry/adapter.h>
#include <vestry/vestry.h>

static uint64_t allocations, bytes, events; /* one thread */

static void *count_reallocate(void *ctx, void *memory, size_t size_bytes) {
  (void)ctx;
  if (size_bytes) {
    allocations++;
    return realloc(memory, size_bytes);
  }
  free(memory);
  return NULL;
}

static void *count_malloc(size_t size_bytes) {
  allocations++;
  return malloc(size_bytes);
}

/* ---- The server's side: one request that opens a stream ---------------------------------------------------------- */

static vestry_io stream_open(void *transport) {
  (void)transport;
  return VESTRY_IO_OK;
}

static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  (void)transport, (void)ret_written;
  events++;
  for (size_t i = 0; i < count; i++) bytes += slices[i].len;
  return VESTRY_IO_OK;
}

static void stream_end(void *transport, bool clean, vestry_cause cause) {
  (void)transport, (void)clean, (void)cause;
}

static void stream_release(void *transport) {
  (void)transport;
}

static const char *request_method(void *request) {
  (void)request;
  return "GET";
}

static const char *request_path(void *request) {
  (void)request;
  return "/";
}

static const char *request_query(void *request) {
  (void)request;
  return NULL;
}

static const char *request_header(void *request, const char *name) {
  (void)request;
  return strcmp(name, "Datastar-Request") == 0 ? "true" : NULL;
}

static int64_t request_length(void *request) {
  (void)request;
  return 0;
}

static vestry_err request_read(void *request, void *buffer, size_t capacity, size_t *ret_len) {
  (void)request, (void)buffer, (void)capacity;
  *ret_len = 0;
  return VESTRY_OK;
}

static vestry_err request_respond(void *request, const vestry_response *response) {
  (void)request;
  fprintf(stderr, "unexpected answer: %d\n", response->status);
  return VESTRY_OK;
}

static vestry_err request_open(void *request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                               void **ret_transport) {
  static const vestry_transport_ops ops = {
      .open = stream_open, .write = stream_write, .end = stream_end, .release = stream_release};
  (void)head;
  *ret_ops = &ops;
  *ret_transport = request;
  return VESTRY_OK;
}

/* ---- The application's side -------------------------------------------------------------------------------------- */

static vestry *v;
static int value;

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  vestry_reply_key(reply, VESTRY_KEY("device", *(const int *)app));
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

static vestry_err dispatch(int id) {
  return vestry_dispatch(v, (vestry_scope){0}, VESTRY_KEY("device", id),
                         VESTRY_LIST("patch-signals", VESTRY_OBJECT("value", value++)));
}

static void tick(vestry_timer *timer, void *app) {
  (void)timer, (void)app;
  (void)dispatch(0);
}

/* What other processes do not share of this process's memory, written since its start. */
static long dirty_bytes(void) {
  char line[128];
  long kib = -1;
  FILE *rollup = fopen("/proc/self/smaps_rollup", "re");
  if (!rollup) return -1;
  while (kib < 0 && fgets(line, sizeof line, rollup))
    if (sscanf(line, "Private_Dirty: %ld", &kib) != 1) kib = -1;
  (void)fclose(rollup);
  return kib * 1024;
}

static void settle(void) {
  while (vestry_runtime_step(vestry_parts_of(v)->runtime)) continue;
}

int main(int argc, char **argv) {
  static const vestry_request_ops ops = {.method = request_method,
                                         .path = request_path,
                                         .query = request_query,
                                         .header = request_header,
                                         .peer = request_path,
                                         .body_length = request_length,
                                         .read = request_read,
                                         .respond = request_respond,
                                         .open = request_open};
  const int streams = argc > 1 ? atoi(argv[1]) : 1000;
  vestry_host host = *vestry_host_default();
  host.reallocate = count_reallocate;
  json_set_alloc_funcs(count_malloc, free);
  const long at_start = dirty_bytes();
  const vestry_options options = {.host = &host, .threads_count = VESTRY_THREADS_NONE, .bounds = VESTRY_BOUNDS_DEVICE};
  vestry_err error = vestry_create(&options, &v);
  if (error) return 1;
  printf("allocations of vestry_create: %" PRIu64 "\n", allocations);
  vestry_timer *timer = NULL;
  if (vestry_timer_create(vestry_parts_of(v)->runtime, tick, NULL, &timer)) return 1;
  if (vestry_timer_set(timer, 1, 1000)) return 1;
  const long without = dirty_bytes();
  for (int id = 0; id < streams; id++) {
    vestry_connection *stream = NULL;
    if (vestry_serve(v, &ops, &value, live, &id, &stream) || !stream) return 1;
    vestry_connection_unref(stream);
    settle();
  }
  const long idle = dirty_bytes();
  for (int id = 0; id < streams; id++) { /* once before counting */
    if (dispatch(id)) return 1;
    settle();
  }
  const long written = dirty_bytes();
  allocations = 0;
  for (int id = 0; id < streams; id++) {
    if (dispatch(id)) return 1;
    settle();
  }
  printf("allocations a dispatch: %.2f\n", (double)allocations / streams);
  vestry_stats stats;
  vestry_stats_get(v, &stats);
  printf("streams: %" PRIu64 ", writes %" PRIu64 ", bytes %" PRIu64 "\n", stats.open_count, events, bytes);
  printf(
      "private dirty bytes: %ld before vestry_create, %ld without streams, %ld with idle streams, %ld after events\n",
      at_start, without, idle, written);
  printf("private dirty bytes a stream: %.0f idle, %.0f after events\n", (double)(idle - without) / streams,
         (double)(written - without) / streams);
  vestry_timer_destroy(timer);
  return vestry_destroy(v) || stats.open_count != (uint64_t)streams;
}
