/* SPDX-License-Identifier: MIT */
/* vestry-bench broker: the cost of NATS through vestry's broker interface, compared with libnats alone, alternately in
 * one run.
 *
 *   seam     brokers of vestry_nats_create: publish on one, on_message of another
 *   bare     libnats with the same settings: a write for each message, delivery on the thread of the process
 *   default  libnats with its defaults: a thread that gathers writes for a millisecond, a thread for the subscription
 *
 * Latency is the time in one direction, for one message at a time, with both ends in this process. Throughput is that
 * of many concurrent messages until the last has arrived; all must arrive in order. */
#include <inttypes.h>
#include <nats/nats.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vestry/cluster/nats.h>

#include "bench.h"
#include "broker.h"
#include "histogram.h"

enum { MAX_BYTES = 65536, PATIENCE_S = 60, WAYS = 3 };

/* The receiver. One thread adds. */
typedef struct ear {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint64_t wanted; /* guarded by lock: number of messages that wakes the waiting thread */
  _Atomic(uint64_t) count;
  uint64_t next, wrong, last_ns; /* written before count */
} ear;

typedef struct head {
  uint64_t number, sent_ns;
} head;

static void hear(ear *e, const void *data) {
  head h;
  memcpy(&h, data, sizeof h);
  e->last_ns = bench_now_ns() - h.sent_ns;
  if (h.number != e->next) e->wrong++;
  e->next = h.number + 1;
  pthread_mutex_lock(&e->lock);
  if (atomic_fetch_add(&e->count, 1) + 1 == e->wanted) pthread_cond_signal(&e->changed);
  pthread_mutex_unlock(&e->lock);
}

static void want(ear *e, uint64_t wanted) {
  pthread_mutex_lock(&e->lock);
  e->wanted = wanted;
  pthread_mutex_unlock(&e->lock);
}

/* Wait until the wanted number of messages has arrived. */
static bool wait_for(ear *e) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += PATIENCE_S;
  pthread_mutex_lock(&e->lock);
  int failure = 0;
  while (atomic_load(&e->count) < e->wanted && !failure)
    failure = pthread_cond_timedwait(&e->changed, &e->lock, &until);
  pthread_mutex_unlock(&e->lock);
  return !failure;
}

/* ------------------------------------------------------------------------------------------------ the ways ----- */

typedef struct way {
  const char *name; /* also its subject */
  bool (*start)(struct way *self, const char *url);
  bool (*publish)(struct way *self, const void *data, size_t len); /* waits while the queue is full */
  void (*stop)(struct way *self);
  ear ear;
  uint64_t number;
  bool is_alone;            /* one message at a time */
  vestry_broker brokers[2]; /* from, to */
  natsConnection *connections[2];
  natsSubscription *sub;
  histogram latency;
  double per_s;
} way;

static void on_message(const char *about, const void *data, size_t len, void *ctx) {
  (void)about, (void)len;
  hear(&((way *)ctx)->ear, data);
}

static bool start_seam(way *self, const char *url) {
  const vestry_broker_events nothing = {0}, events = {.on_message = on_message, .ctx = self};
  for (int i = 0; i < 2; i++) {
    const vestry_nats_options options = {.servers = &url, .servers_count = 1};
    if (vestry_nats_create(&options, &self->brokers[i])) return false;
    if (self->brokers[i].ops->start(self->brokers[i].broker, &self->name, (size_t)i, i ? &events : &nothing))
      return false;
  }
  uint64_t until_ns = bench_now_ns() + PATIENCE_S * UINT64_C(1000000000);
  for (int i = 0; i < 2; i++)
    while (self->brokers[i].ops->state(self->brokers[i].broker) != VESTRY_BROKER_UP) {
      if (bench_now_ns() > until_ns) return false;
      sched_yield();
    }
  return true;
}

static bool publish_seam(way *self, const void *data, size_t len) {
  const vestry_broker *from = &self->brokers[0];
  vestry_err error;
  while ((error = from->ops->publish(from->broker, self->name, data, len)) == VESTRY_FULL) sched_yield();
  from->ops->flush(from->broker, self->is_alone);
  return !error;
}

static void stop_seam(way *self) {
  for (int i = 0; i < 2; i++)
    if (self->brokers[i].ops) self->brokers[i].ops->destroy(self->brokers[i].broker);
}

static void on_bare(natsConnection *connection, natsSubscription *sub, natsMsg *message, void *ctx) {
  (void)connection, (void)sub;
  hear(&((way *)ctx)->ear, natsMsg_GetData(message));
  natsMsg_Destroy(message);
}

static bool start_libnats(way *self, const char *url, bool as_vestry) {
  natsOptions *options = NULL;
  natsStatus s = natsOptions_Create(&options);
  if (!s) s = natsOptions_SetURL(options, url);
  if (!s) s = natsOptions_SetMaxPendingMsgs(options, 1000000);
  if (!s && as_vestry) s = natsOptions_SetSendAsap(options, true);
  if (!s && as_vestry) s = natsOptions_UseGlobalMessageDelivery(options, true);
  for (int i = 0; !s && i < 2; i++) s = natsConnection_Connect(&self->connections[i], options);
  if (!s) s = natsConnection_Subscribe(&self->sub, self->connections[1], self->name, on_bare, self);
  if (!s) s = natsConnection_Flush(self->connections[1]);
  natsOptions_Destroy(options);
  return !s;
}

static bool start_bare(way *self, const char *url) {
  return start_libnats(self, url, true);
}

static bool start_default(way *self, const char *url) {
  return start_libnats(self, url, false);
}

static bool publish_libnats(way *self, const void *data, size_t len) {
  return natsConnection_Publish(self->connections[0], self->name, data, (int)len) == NATS_OK;
}

static void stop_libnats(way *self) {
  natsSubscription_Destroy(self->sub);
  for (int i = 0; i < 2; i++) natsConnection_Destroy(self->connections[i]);
}

/* --------------------------------------------------------------------------------------------- measurements ----- */

static bool send_one(way *w, char *data, size_t len) {
  const head h = {w->number++, bench_now_ns()};
  memcpy(data, &h, sizeof h);
  return w->publish(w, data, len);
}

static bool measure_latency(way *w, char *data, size_t len, uint64_t rounds) {
  w->is_alone = true;
  for (uint64_t i = 0; i < rounds; i++) {
    want(&w->ear, w->number + 1);
    if (!send_one(w, data, len) || !wait_for(&w->ear)) return false;
    histogram_add(&w->latency, w->ear.last_ns);
  }
  return true;
}

static bool measure_throughput(way *w, char *data, size_t len, uint64_t messages) {
  uint64_t since = bench_now_ns();
  w->is_alone = false;
  want(&w->ear, w->number + messages);
  for (uint64_t i = 0; i < messages; i++)
    if (!send_one(w, data, len)) return false;
  if (!wait_for(&w->ear)) return false;
  double per_s = (double)messages * 1e9 / (double)(bench_now_ns() - since);
  if (per_s > w->per_s) w->per_s = per_s; /* the best of all turns */
  return true;
}

static bool run(way ways[WAYS], const char *url, size_t len, uint64_t rounds, uint64_t messages, uint64_t turns) {
  static char data[MAX_BYTES];
  for (int i = 0; i < WAYS; i++) {
    pthread_mutex_init(&ways[i].ear.lock, NULL);
    pthread_cond_init(&ways[i].ear.changed, NULL);
    if (!ways[i].start(&ways[i], url)) {
      fprintf(stderr, "vestry-bench: %s: no connection to %s\n", ways[i].name, url);
      return false;
    }
  }
  for (uint64_t turn = 0; turn < turns; turn++)
    for (int i = 0; i < WAYS; i++) {
      way *w = &ways[i];
      uint64_t fewer = strcmp(w->name, "default") == 0 ? 10 : 1; /* each takes a millisecond */
      if (measure_latency(w, data, len, rounds / turns / fewer) && measure_throughput(w, data, len, messages)) continue;
      fprintf(stderr, "vestry-bench: %s: a message did not arrive\n", w->name);
      return false;
    }
  return true;
}

int bench_broker(int argc, char **argv) {
  uint64_t rounds = 20000, messages = 200000, bytes = 200, turns = 5;
  const char *url = NULL;
  const bench_option options[] = {
      {"--rounds", NULL, &rounds, 100, 100000000},
      {"--messages", NULL, &messages, 1, 500000},
      {"--bytes", NULL, &bytes, sizeof(head), MAX_BYTES},
      {"--turns", NULL, &turns, 1, 1000},
      {"--url", &url, NULL, 0, 0},
  };
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  broker_server server = {0};
  if (!url && !(url = broker_server_start(&server))) return 1;
  static way ways[WAYS] = {
      {.name = "seam", .start = start_seam, .publish = publish_seam, .stop = stop_seam},
      {.name = "bare", .start = start_bare, .publish = publish_libnats, .stop = stop_libnats},
      {.name = "default", .start = start_default, .publish = publish_libnats, .stop = stop_libnats},
  };
  bool ran = run(ways, url, bytes, rounds, messages, turns);
  uint64_t wrong = 0;
  for (int i = 0; i < WAYS; i++) {
    way *w = &ways[i];
    w->stop(w);
    if (!ran) continue;
    wrong += w->ear.wrong;
    printf("vestry broker way=%s bytes=%" PRIu64 " p50_us=%.1f p99_us=%.1f messages_per_s=%.0f wrong=%" PRIu64
           " rounds=%" PRIu64 " messages=%" PRIu64 "\n",
           w->name, bytes, histogram_percentile_ns(&w->latency, 0.5) / 1e3,
           histogram_percentile_ns(&w->latency, 0.99) / 1e3, w->per_s, w->ear.wrong, w->latency.total,
           w->number - w->latency.total);
  }
  broker_server_stop(&server);
  return ran && !wrong ? 0 : 1;
}
