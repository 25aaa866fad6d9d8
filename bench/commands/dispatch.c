/* SPDX-License-Identifier: MIT */
/* vestry-bench dispatch: the cost of one effect, from the call to the bytes in a memory transport.
 *
 * Ways of sending the same {"counter":N} to one connection:
 *   direct    vestry_connection_patch_signals on a connection that the caller holds
 *   dispatch  vestry_dispatch_with by key, of a list made beforehand, with one interceptor around each effect
 *   format    vestry_dispatch by key, which also makes the list, with the same interceptor
 *   broadcast vestry_broadcast of an event made beforehand to a channel of the connection
 *   post      vestry_serve of a POST whose handler names the key and patches the signals; no interceptor: from the
 *             request's method to the answer 204, and the event in the stream
 * and for comparison
 *   empty     vestry_broadcast to a key without streams
 *
 * One thread does all work: the runtime is stepped, so the figures include the runner and its write, but no thread is
 * woken. Allocations are counted: those of vestry by an injected host, those of jansson by its hooks. Every round has a
 * new stream, so that the recorded data of the memory transport stays small. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

#include "bench.h"
#include "memory.h"

enum { MAX_ROUNDS = 10000 };

/* ------------------------------------------------------------------------------------------------- the work ---- */

typedef struct work {
  vestry *v;
  vestry_connection *connection;
  json_t *effects;
  vestry_event *event;
  uint64_t intercepted;
} work;

static vestry_err count_one(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  (void)context, (void)effect;
  ((work *)ctx)->intercepted++;
  return VESTRY_OK;
}

static vestry_err subscribe(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  vestry_reply_key(reply, VESTRY_KEY("counter", 1));
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

static const vestry_scope nowhere = {NULL, 0};

static const char signals[] = "{\"counter\":1234}";

static vestry_err send_direct(work *w) {
  return vestry_connection_patch_signals(w->connection, VESTRY_VALUES(signals), NULL);
}

static vestry_err send_dispatch(work *w) {
  return vestry_dispatch_with(w->v, w->effects,
                              &(vestry_dispatch_options){.scope = nowhere, .key = VESTRY_KEY("counter", 1)}, NULL);
}

static vestry_err send_format(work *w) {
  return vestry_dispatch(w->v, nowhere, VESTRY_KEY("counter", 1),
                         VESTRY_LIST("patch-signals", VESTRY_OBJECT("counter", 1234)));
}

static vestry_err send_broadcast(work *w) {
  return vestry_broadcast(w->v, nowhere, VESTRY_KEY("counter", 1), w->event, NULL);
}

static vestry_err send_empty(work *w) {
  vestry_err error = vestry_broadcast(w->v, nowhere, VESTRY_KEY("counter", 2), w->event, NULL);
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : VESTRY_FAILED;
}

/* A POST of the Datastar client, from a page without signals, whose server keeps no data. */
static const char body[] = "{}";
typedef struct post {
  size_t read;
  int status;
} post;

static const char *post_method(void *request) {
  (void)request;
  return "POST";
}

static const char *post_path(void *request) {
  (void)request;
  return "/";
}

static const char *post_query(void *request) {
  (void)request;
  return NULL;
}

static const char *post_header(void *request, const char *name) {
  (void)request;
  if (strcmp(name, "Content-Type") == 0) return "application/json";
  return strcmp(name, "Datastar-Request") == 0 ? "true" : NULL;
}

static int64_t post_body_length(void *request) {
  (void)request;
  return sizeof body - 1;
}

static vestry_err post_read(void *request, void *buffer, size_t capacity, size_t *ret_len) {
  post *p = request;
  *ret_len = sizeof body - 1 - p->read < capacity ? sizeof body - 1 - p->read : capacity;
  memcpy(buffer, body + p->read, *ret_len);
  p->read += *ret_len;
  return VESTRY_OK;
}

static vestry_err post_respond(void *request, const vestry_response *response) {
  ((post *)request)->status = response->status;
  return VESTRY_OK;
}

static vestry_err post_open(void *request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                            void **ret_transport) {
  (void)request, (void)head, (void)ret_ops, (void)ret_transport;
  return VESTRY_LIMIT;
}

static vestry_err handle_post(const vestry_request *req, vestry_reply *reply, void *app) {
  const int counter = 1234;
  (void)req, (void)app;
  vestry_reply_key(reply, VESTRY_KEY("counter", 1));
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("counter", counter));
}

static vestry_err send_post(work *w) {
  static const vestry_request_ops ops = {.method = post_method,
                                         .path = post_path,
                                         .query = post_query,
                                         .header = post_header,
                                         .peer = post_path,
                                         .body_length = post_body_length,
                                         .read = post_read,
                                         .respond = post_respond,
                                         .open = post_open};
  post p = {0};
  vestry_connection *opened;
  vestry_err error = vestry_serve(w->v, &ops, &p, handle_post, NULL, &opened);
  return !error && p.status != 204 ? VESTRY_FAILED : error;
}

static const struct way {
  const char *name;
  vestry_err (*send)(work *w);
  bool is_silent; /* nothing arrives */
  bool is_alone;  /* without the interceptor */
} ways[] = {{"direct", send_direct, false, false}, {"dispatch", send_dispatch, false, false},
            {"format", send_format, false, false}, {"broadcast", send_broadcast, false, false},
            {"post", send_post, false, true},      {"empty", send_empty, true, false}};
enum { WAYS = sizeof ways / sizeof *ways };

static const char one_event[] = "event: datastar-patch-signals\ndata: signals {\"counter\":1234}\n\n";

/* ---------------------------------------------------------------------------------------------- measuring ---- */

typedef struct measured {
  double ns[MAX_ROUNDS]; /* nanoseconds for an event, by round */
  size_t rounds_count;
  uint64_t events_count, allocations, cpu_ns;
} measured;

/* Return whether the stream received exactly the events that were sent. */
static bool is_right(vestry_memory_exchange *exchange, uint64_t count) {
  vestry_slice received = vestry_memory_look(exchange).received;
  if (received.len != count * (sizeof one_event - 1)) return false;
  for (uint64_t i = 0; i < count; i++)
    if (memcmp((const char *)received.data + i * (sizeof one_event - 1), one_event, sizeof one_event - 1) != 0)
      return false;
  return true;
}

static bool run_round(work *w, const struct way *way, uint64_t count, measured *m) {
  vestry_memory_exchange *exchange;
  if (vestry_memory_request(w->v, &(vestry_memory_call){.datastar = true}, subscribe, NULL, &exchange)) return false;
  vestry_memory_settle(w->v);
  w->connection = vestry_memory_look(exchange).connection;
  vestry_runtime *runtime = vestry_parts_of(w->v)->runtime;
  vestry_err error = vestry_join(w->v, nowhere, VESTRY_KEY("counter", 1), w->connection);
  uint64_t allocated = bench_allocations(), used = bench_cpu_ns(0), began = bench_now_ns();
  for (uint64_t i = 0; !error && i < count; i++) {
    error = way->send(w);
    while (vestry_runtime_step(runtime)) continue;
  }
  m->ns[m->rounds_count++] = (double)(bench_now_ns() - began) / (double)count;
  m->cpu_ns += bench_cpu_ns(0) - used;
  m->allocations += bench_allocations() - allocated;
  m->events_count += count;
  bool right = !error && is_right(exchange, way->is_silent ? 0 : count);
  if (!right) fprintf(stderr, "vestry-bench: %s: %s\n", way->name, error ? vestry_strerror(error) : "wrong bytes");
  vestry_memory_destroy(exchange);
  vestry_memory_settle(w->v);
  return right;
}

static void print(const struct way *way, measured *m) {
  const double median_ns = bench_median(m->ns, m->rounds_count);
  printf("vestry dispatch way=%s ns_per_event=%.1f best=%.1f p90=%.1f cpu_ns=%.1f allocations_per_event=%.2f "
         "events=%" PRIu64 "\n",
         way->name, median_ns, m->ns[0], m->ns[m->rounds_count * 9 / 10], (double)m->cpu_ns / (double)m->events_count,
         (double)m->allocations / (double)m->events_count, m->events_count);
}

static bool begin(work *w, const vestry_host *host, bool is_alone) {
  *w = (work){.effects = json_pack("[[s,{s:i}]]", "patch-signals", "counter", 1234)};
  vestry_options options = {.host = host, .threads_count = VESTRY_THREADS_NONE};
  if (!w->effects || vestry_create(&options, &w->v)) return false;
  if (vestry_event_signals(host, VESTRY_VALUES(signals), NULL, &w->event)) return false;
  return is_alone || vestry_registry_intercept(
                         vestry_parts_of(w->v)->registry,
                         &(vestry_interceptor){"count", VESTRY_PHASE_EFFECT, count_one, count_one, w}) == VESTRY_OK;
}

int bench_dispatch(int argc, char **argv) {
  const char *only = NULL;
  uint64_t rounds = 100, count = 5000;
  const bench_option options[] = {
      {"--way", &only, NULL, 0, 0}, {"--rounds", NULL, &rounds, 1, MAX_ROUNDS}, {"--count", NULL, &count, 1, 1000000}};
  int status = bench_options(argc, argv, options, 3);
  if (status) return status;
  const vestry_host host = bench_allocating_host();
  work works[2] = {{0}, {0}}; /* is_alone: the second */
  measured *m = calloc(WAYS, sizeof *m);
  bool right = begin(&works[0], &host, false) && begin(&works[1], &host, true) && m, known = !only;
  for (int i = 0; only && i < WAYS; i++) known |= strcmp(only, ways[i].name) == 0;
  if (!known)
    fprintf(stderr, "vestry-bench: --way: '%s' is not direct, dispatch, format, broadcast, post or empty\n", only);
  /* alternately, so that disturbances affect all ways */
  for (uint64_t round = 0; right && known && round < rounds + 1; round++)
    for (int i = 0; right && i < WAYS; i++) {
      if (only && strcmp(only, ways[i].name) != 0) continue;
      right = run_round(&works[ways[i].is_alone], &ways[i], count, &m[i]);
      if (round == 0) memset(&m[i], 0, sizeof m[i]); /* the first round is a warm-up */
    }
  for (int i = 0; right && known && i < WAYS; i++)
    if (m[i].rounds_count) print(&ways[i], &m[i]);
  for (int i = 0; i < 2; i++) {
    vestry_event_unref(works[i].event);
    vestry_destroy(works[i].v);
    json_decref(works[i].effects);
  }
  free(m);
  return !known ? 2 : right ? 0 : 1;
}
