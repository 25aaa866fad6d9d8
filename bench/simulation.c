/* SPDX-License-Identifier: MIT */
#include "simulation.h"

#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { PAYLOAD_MAX = 1 << 20, NS_PER_MS = 1000000 };

static void must(vestry_err error, const char *what) {
  if (!error) return;
  fprintf(stderr, "simulate: %s: %s\n", what, vestry_err_name(error));
  exit(1);
}

uint64_t simulation_chance(simulation *s, uint64_t below) {
  return (bench_random(&s->random) << 31 | bench_random(&s->random)) % below;
}

/* ---------------------------------------------------------------------------------------------------- broker ------ */

static void unref(simulation_parcel *parcel) {
  if (parcel && --parcel->refs == 0) free(parcel);
}

static void add(simulation_node *to, simulation_arrival arrival) {
  if (to->count == to->room) {
    const size_t room = to->room ? 2 * to->room : 64;
    simulation_arrival *queue = malloc(room * sizeof *queue);
    if (!queue) must(VESTRY_NO_MEMORY, "queue");
    for (size_t i = 0; i < to->count; i++) queue[i] = to->queue[(to->first + i) % to->room];
    free(to->queue);
    to->queue = queue;
    to->room = room;
    to->first = 0;
  }
  if (to->count) {
    const uint64_t last_ns = to->queue[(to->first + to->count - 1) % to->room].due_ns;
    if (arrival.due_ns < last_ns) arrival.due_ns = last_ns;
  }
  to->queue[(to->first + to->count++) % to->room] = arrival;
}

static void cut(simulation_node *of) {
  for (; of->count; of->count--, of->first = (of->first + 1) % of->room) unref(of->queue[of->first].parcel);
}

static void send_to(const simulation_node *from, simulation_node *to, simulation_parcel *parcel) {
  simulation *s = from->in;
  if (!to->is_up || !to->events.on_message) return;
  s->deliveries++; /* the server has written it */
  s->bytes += parcel->len;
  if (to->part != from->part || (s->drop && simulation_chance(s, 10000) < s->drop)) {
    s->lost++;
    return;
  }
  const uint64_t later_ns = s->latency_ns / 2 + simulation_chance(s, s->latency_ns + 1);
  parcel->refs++;
  add(to, (simulation_arrival){.due_ns = s->now_ns + later_ns, .parcel = parcel});
}

static vestry_err publish(void *broker, const char *subject, const void *data, size_t len) {
  simulation_node *from = broker;
  simulation *s = from->in;
  if (!from->is_up) return VESTRY_IO;
  if (len > PAYLOAD_MAX) return VESTRY_TOO_LARGE;
  simulation_parcel *parcel = malloc(sizeof *parcel + len);
  if (!parcel) return VESTRY_NO_MEMORY;
  *parcel = (simulation_parcel){1, len, strcmp(subject, from->subjects[1]) == 0};
  memcpy(parcel->data, data, len);
  s->published++;
  const uint64_t id = strtoull(subject + strlen(subject) - (parcel->is_to_all ? 0 : 16), NULL, 16);
  for (int i = 0; i < s->count; i++)
    if (parcel->is_to_all || s->all[i].id == id) send_to(from, &s->all[i], parcel);
  unref(parcel);
  return VESTRY_OK;
}

static vestry_err start(void *broker, const char *const *subjects, size_t count, const vestry_broker_events *events) {
  simulation_node *of = broker;
  for (size_t i = 0; i < count; i++) snprintf(of->subjects[i], sizeof of->subjects[i], "%s", subjects[i]);
  of->id = strtoull(of->subjects[0] + strlen(of->subjects[0]) - 16, NULL, 16);
  of->events = *events;
  simulation_connect(of->in, of->index, true);
  return VESTRY_OK;
}

static void stop(void *broker) {
  simulation_node *of = broker;
  of->is_up = false;
  cut(of);
  of->events = (vestry_broker_events){0};
}

static void flush(void *broker, bool at_once) {
  (void)broker, (void)at_once;
}
static vestry_broker_state state(void *broker) {
  return ((simulation_node *)broker)->is_up ? VESTRY_BROKER_UP : VESTRY_BROKER_DOWN;
}
static size_t max_payload(void *broker) {
  (void)broker;
  return PAYLOAD_MAX;
}
static bool has_more(void *broker) {
  const simulation_node *of = broker;
  return of->count && of->queue[of->first].due_ns <= of->in->now_ns;
}
static void destroy(void *broker) {
  (void)broker;
}

static const vestry_broker_ops broker_ops = {.start = start,
                                             .stop = stop,
                                             .publish = publish,
                                             .flush = flush,
                                             .state = state,
                                             .max_payload = max_payload,
                                             .destroy = destroy,
                                             .has_more = has_more};

void simulation_connect(simulation *s, int index, bool is_up) {
  simulation_node *of = &s->all[index];
  if (of->is_up == is_up || !of->events.on_state) return;
  of->is_up = is_up;
  if (!is_up) cut(of);
  add(of, (simulation_arrival){.due_ns = s->now_ns, .state = is_up ? VESTRY_BROKER_UP : VESTRY_BROKER_DOWN});
}

static void deliver_one(simulation_node *to) {
  const simulation_arrival arrival = to->queue[to->first];
  simulation_parcel *parcel = arrival.parcel;
  to->first = (to->first + 1) % to->room;
  to->count--;
  if (!parcel)
    to->events.on_state(arrival.state, to->events.ctx);
  else
    to->events.on_message(to->subjects[parcel->is_to_all], parcel->data, parcel->len, to->events.ctx);
  unref(parcel);
}

/* ------------------------------------------------------------------------------------------------------ time ------ */

static void count_step(simulation *s) {
  const uint64_t now_ns = bench_thread_cpu_ns(), took_ns = now_ns - s->cpu_ns;
  s->cpu_ns = now_ns;
  if (took_ns > s->longest_ns) s->longest_ns = took_ns;
}

/* Let a node work: receive messages and step its runtime, by turns as its threads would, until nothing is due, or, if
 * work costs time, for a tick. Returns whether it has worked. */
static bool work(simulation_node *of) {
  simulation *s = of->in;
  const uint64_t from_ns = s->cpu_ns;
  if (!of->cluster || of->is_paused || of->busy_until_ns > s->now_ns) return false;
  for (bool goes_on = true; goes_on && (!s->has_costs || s->cpu_ns - from_ns < NS_PER_MS);) {
    goes_on = has_more(of);
    if (goes_on) {
      deliver_one(of);
      count_step(s);
    }
    if (!vestry_runtime_step(of->runtime)) continue;
    count_step(s);
    goes_on = true;
  }
  if (s->has_costs) of->busy_until_ns = s->now_ns + s->cpu_ns - from_ns;
  return s->cpu_ns != from_ns;
}

void simulation_pass_ms(simulation *s, uint64_t ms) {
  s->cpu_ns = bench_thread_cpu_ns();
  for (bool has_worked; ms > 0; ms--) {
    s->now_ns += NS_PER_MS;
    do {
      has_worked = false;
      for (int i = 0; i < s->count; i++) has_worked |= work(&s->all[i]);
    } while (has_worked);
  }
}

vestry_cluster_stats simulation_stats(const simulation_node *of) {
  vestry_cluster_stats stats = {0};
  vestry_cluster_stats_get(of->cluster, &stats);
  return stats;
}

bool simulation_is_known(simulation *s) {
  uint64_t keys = 0;
  size_t running = 0;
  for (int i = 0; i < s->count; i++)
    if (s->all[i].cluster) keys += simulation_stats(&s->all[i]).keys_count, running++;
  for (int i = 0; i < s->count; i++) {
    if (!s->all[i].cluster) continue;
    const vestry_cluster_stats stats = simulation_stats(&s->all[i]);
    if (stats.alive_count != running - 1 || stats.unsynced_count || stats.others_keys_count != keys - stats.keys_count)
      return false;
  }
  return true;
}

uint64_t simulation_settle(simulation *s, uint64_t most_ms) {
  enum { STEP_MS = 10, LEAST_MS = 60 }; /* changes of keys wait for up to 50 ms */
  uint64_t ms = LEAST_MS;
  simulation_pass_ms(s, LEAST_MS);
  do simulation_pass_ms(s, STEP_MS);
  while ((ms += STEP_MS) < most_ms && !simulation_is_known(s));
  return ms;
}

/* ----------------------------------------------------------------------------------------------------- nodes ------ */

static uint64_t now_ns(void *ctx) {
  return ((simulation_node *)ctx)->in->now_ns;
}

static void *reallocate(void *ctx, void *memory, size_t size) {
  simulation *s = ((simulation_node *)ctx)->in;
  if (memory) s->held_bytes -= (int64_t)malloc_usable_size(memory);
  void *made = size ? realloc(memory, size) : NULL;
  if (!size) free(memory);
  if (made) s->held_bytes += (int64_t)malloc_usable_size(made);
  return made;
}

static vestry_err fill_random(void *ctx, void *buffer, size_t len) {
  simulation *s = ((simulation_node *)ctx)->in;
  for (size_t i = 0; i < len; i++) ((unsigned char *)buffer)[i] = (unsigned char)simulation_chance(s, 256);
  return VESTRY_OK;
}

static void on_gap(const vestry_gap *gap, void *ctx) {
  (void)gap;
  simulation_node *of = ctx;
  of->gaps++;
  of->gap_ns = of->in->now_ns;
}

static void on_member(const char *name, vestry_member_state new, void *ctx) {
  (void)name;
  ((simulation_node *)ctx)->deaths += new == VESTRY_MEMBER_DEAD;
}

void simulation_start(simulation *s, int index) {
  static const char secret[32] = "the same for all nodes of a run";
  static const char *const allow[] = {"patch-signals", NULL};
  simulation_node *of = &s->all[index];
  of->in = s;
  of->index = index;
  snprintf(of->name, sizeof of->name, "node-%d", index);
  of->host =
      (vestry_host){.ctx = of, .reallocate = reallocate, .now_ns = now_ns, .random = fill_random, .coarse_ns = now_ns};
  of->busy_until_ns = 0;
  const vestry_runtime_options runtime = {.host = &of->host, .threads_count = VESTRY_THREADS_NONE};
  must(vestry_runtime_create(&runtime, &of->runtime), "runtime");
  const vestry_connection_options dropping = {.full = VESTRY_FULL_DROP};
  const vestry_options options = {.host = &of->host, .runtime = of->runtime, .store = "hash", .connection = &dropping};
  must(vestry_create(&options, &of->v), "instance");
  const vestry_cluster_options cluster = {.node = of->name,
                                          .secret = secret,
                                          .secret_len = sizeof secret,
                                          .allow = allow,
                                          .on_gap = on_gap,
                                          .on_member = on_member,
                                          .ctx = of};
  const vestry_broker broker = {&broker_ops, of};
  must(vestry_cluster_create(of->v, &broker, &cluster, &of->cluster), "cluster");
}

void simulation_stop(simulation *s, int index, bool is_kill) {
  simulation_node *of = &s->all[index];
  if (!of->cluster) return;
  if (is_kill) of->is_up = false;
  must(vestry_stop(of->v, 0), "stop");
  vestry_cluster_destroy(of->cluster);
  vestry_destroy(of->v);
  for (size_t i = 0; i < of->streams_count; i++) vestry_memory_destroy(of->streams[i]);
  free(of->streams);
  while (vestry_runtime_step(of->runtime)) continue;
  vestry_runtime_destroy(of->runtime);
  of->cluster = NULL;
  of->streams = NULL;
  of->streams_count = of->streams_room = 0;
}

void simulation_begin(simulation *s) {
  /* All nodes share one heap. It returns no memory, which would take as long as that of all nodes together. */
  (void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
  (void)mallopt(M_MMAP_THRESHOLD, INT_MAX);
  s->now_ns = UINT64_C(1000000000);
  for (int i = 0; i < s->count; i++) simulation_start(s, i);
}

void simulation_end(simulation *s) {
  for (int i = 0; i < s->count; i++) {
    simulation_stop(s, i, true);
    cut(&s->all[i]);
    free(s->all[i].queue);
  }
}

/* ----------------------------------------------------------------------------------------------------- streams ---- */

typedef struct opening {
  int place;
  uint64_t key;
  vestry_keep_policy policy;
  bool channel;
} opening;

static vestry_err keep(const vestry_request *req, vestry_reply *reply, void *app) {
  const opening *o = app;
  if (!o->channel) {
    const vestry_err error = vestry_reply_key(reply, VESTRY_KEY("k", o->place, o->key));
    return error ? error : vestry_reply_keep(reply, o->policy, 0);
  }
  vestry_reply_join(reply, req->scope, VESTRY_KEY("c", o->key));
  return vestry_reply_keep(reply, VESTRY_KEEP_REUSE, 0);
}

void simulation_open(simulation_node *of, size_t at, int place, uint64_t key, vestry_keep_policy policy, bool channel) {
  if (at >= of->streams_room) {
    const size_t room = at + at / 2 + 64;
    vestry_memory_exchange **streams = realloc(of->streams, room * sizeof *streams);
    if (!streams) must(VESTRY_NO_MEMORY, "streams");
    memset(streams + of->streams_room, 0, (room - of->streams_room) * sizeof *streams);
    of->streams = streams;
    of->streams_room = room;
  }
  if (at >= of->streams_count) of->streams_count = at + 1;
  opening o = {place, key, policy, channel};
  must(vestry_memory_request(of->v, &(vestry_memory_call){.datastar = true}, keep, &o, &of->streams[at]), "stream");
}

void simulation_close(simulation_node *of, size_t at) {
  vestry_memory_destroy(of->streams[at]);
  of->streams[at] = NULL;
}
