/* SPDX-License-Identifier: MIT */
/* A dispatch to another node, compared with a bare NATS message between two processes, and with a dispatch to a stream
 * of this node: one at a time, alternately in one run.
 *
 *   bare   natsConnection_Publish in this process → the callback in another one; libnats with vestry's settings
 *   there  vestry_dispatch in this process → another node → the bytes at its client's socket
 *   here   vestry_dispatch in this process → the bytes at the client's socket
 *
 * The cost under load is measured with one concurrent dispatch for each stream, under different keys:
 *
 *   there-busy  vestry_cluster_dispatch     here-busy  vestry_dispatch
 *
 * Another process has the clients and the bare subscription, and records arrivals; all processes of a machine have the
 * same monotonic clock. CPU is that of the nodes and of nats-server, without the client, and without the work of this
 * thread between two calls. */
#include <inttypes.h>
#include <nats/nats.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "broker.h"
#include "cluster.h"
#include "cluster_load.h"
#include "histogram.h"
#include "nodes.h"
#include "server.h"
#include "stream.h"

enum {
  PATIENCE_S = 10,
  PAYLOAD_BYTES = 100,
  MESSAGE_BYTES = 300,
  STREAMS = 64,
  KEY_BYTES = 16,
  WARM_SHARE = 10,
  BUSY_SHARE = 20,
  IDLE_MS = 500
};

/* The key, as in vestry-bench serve. */
#define KEY(name) VESTRY_KEY("key", vestry_key_bytes(name, strlen(name)))

/* Write the key of a stream of this node, or of the other one. */
static void name_key(char name[KEY_BYTES], bool is_there, unsigned stream) {
  snprintf(name, KEY_BYTES, "%c%u", is_there ? 't' : 'h', stream);
}

static const char bare_subject[] = "bench.bare";

/* Data shared by this process and the client's process. */
typedef struct shared {
  sem_t begins, is_ready, arrived;
  char url[64];
  int ports[2];                    /* of this node and the other one; set before begins */
  _Atomic(uint64_t) number, at_ns; /* the last arrival; set before arrived */
} shared;

static void note(shared *s, uint64_t number, uint64_t at_ns) {
  atomic_store(&s->at_ns, at_ns);
  atomic_store(&s->number, number);
  sem_post(&s->arrived);
}

/* ---- the client's process ---------------------------------------------------------------------------------------- */

typedef struct arriving {
  shared *shared;
  uint64_t at_ns;
} arriving;

static void take_line(bench_stream *stream, const char *line, size_t len, void *ctx) {
  static const char before[] = "data: signals {\"v\":";
  const arriving *a = ctx;
  (void)stream;
  if (len > sizeof before && memcmp(line, before, sizeof before - 1) == 0)
    note(a->shared, strtoull(line + sizeof before - 1, NULL, 10), a->at_ns);
}

static void on_bare(natsConnection *connection, natsSubscription *sub, natsMsg *message, void *ctx) {
  uint64_t at_ns = bench_now_ns(), number;
  (void)connection, (void)sub;
  memcpy(&number, natsMsg_GetData(message), sizeof number);
  note(ctx, number, at_ns);
  natsMsg_Destroy(message);
}

static natsStatus connect_bare(const char *url, natsConnection **ret_connection) {
  natsOptions *options = NULL;
  natsStatus s = natsOptions_Create(&options);
  if (!s) s = natsOptions_SetURL(options, url);
  if (!s) s = natsOptions_SetSendAsap(options, true);
  if (!s) s = natsOptions_UseGlobalMessageDelivery(options, true);
  if (!s) s = natsConnection_Connect(ret_connection, options);
  natsOptions_Destroy(options);
  return s;
}

static void take_streams(shared *s, int epoll) {
  char data[4096];
  for (unsigned opened = 0;;) {
    struct epoll_event event;
    if (epoll_wait(epoll, &event, 1, -1) != 1) continue;
    bench_stream *stream = event.data.ptr;
    bool had_head = stream->at != STREAM_HEAD;
    ssize_t got = recv(stream->fd, data, sizeof data, 0);
    arriving a = {s, bench_now_ns()};
    if (got <= 0 || !bench_stream_feed(stream, data, (size_t)got, take_line, &a)) return;
    if (!had_head && stream->at != STREAM_HEAD && ++opened == 2 * STREAMS) sem_post(&s->is_ready);
  }
}

static void be_client(void *ctx) {
  shared *s = ctx;
  natsConnection *connection;
  natsSubscription *sub;
  static bench_stream streams[2 * STREAMS];
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  while (sem_wait(&s->begins)) continue;
  if (connect_bare(s->url, &connection) || natsConnection_Subscribe(&sub, connection, bare_subject, on_bare, s) ||
      natsConnection_Flush(connection))
    return;
  for (unsigned i = 0; i < 2 * STREAMS; i++) {
    char name[KEY_BYTES], path[64];
    name_key(name, i % 2, i / 2);
    snprintf(path, sizeof path, "/sub?key=%s", name);
    if (!bench_stream_open(&streams[i], &(bench_subscription){.port = s->ports[i % 2], .path = path}) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, streams[i].fd,
                  &(struct epoll_event){.events = EPOLLIN, .data.ptr = &streams[i]}))
      return;
  }
  take_streams(s, epoll);
}

/* ---- this node --------------------------------------------------------------------------------------------------- */

typedef struct far {
  shared *shared;
  broker_server broker;
  bench_process client, nodes[2];
  vestry *v;
  bench_cluster *cluster;
  bench_server server;
  bool serves;
  natsConnection *bare;
  uint64_t number;
  sem_t answered;
  _Atomic(uint64_t) failed; /* number of failed answers */
} far;

static vestry_err sub(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *name = vestry_request_value(req, VESTRY_IN_QUERY, "key");
  (void)app;
  if (!name) return VESTRY_INVALID;
  vestry_err error = vestry_reply_key(reply, KEY(name));
  if (!error) error = vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  if (!error) vestry_reply_any_client(reply);
  return error;
}

static bool wait_sem(sem_t *sem) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += PATIENCE_S;
  return sem_timedwait(sem, &until) == 0;
}

/* Start the processes before the threads. */
static bool begin(far *f) {
  int status;
  f->shared = bench_shared_memory(sizeof *f->shared);
  if (!f->shared || sem_init(&f->shared->begins, 1, 0) || sem_init(&f->shared->is_ready, 1, 0) ||
      sem_init(&f->shared->arrived, 1, 0) || sem_init(&f->answered, 0, 0))
    return false;
  const char *url = broker_server_start(&f->broker);
  if (!url || !bench_fork(&f->client, be_client, f->shared) || !bench_node_start(&f->nodes[0], url, "there", STREAMS) ||
      !bench_node_start(&f->nodes[1], url, "nowhere", STREAMS))
    return false;
  vestry_err error = vestry_create(&(vestry_options){.store = "hash"}, &f->v);
  if (!error) error = bench_cluster_create(f->v, url, "here", NULL, &f->cluster);
  if (!error) error = vestry_route(f->v, "GET", "/sub", sub, NULL);
  f->serves =
      !error && bench_server_start(&f->server, f->v,
                                   &(bench_server_options){.adapter = "microhttpd", .streams = STREAMS}, &status);
  if (!f->serves || connect_bare(url, &f->bare)) return false;
  strcpy(f->shared->url, url);
  f->shared->ports[0] = (int)f->server.port;
  f->shared->ports[1] = f->nodes[0].port;
  sem_post(&f->shared->begins);
  if (!wait_sem(&f->shared->is_ready)) return false;
  return bench_cluster_wait(bench_cluster_of(f->cluster), 2) &&
         bench_cluster_wait_keys(bench_cluster_of(f->cluster), STREAMS);
}

static void finish(far *f) {
  bench_process_end(&f->client);
  natsConnection_Destroy(f->bare);
  if (f->serves) bench_server_stop(&f->server);
  if (f->v) (void)vestry_stop(f->v, VESTRY_NEVER_MS);
  bench_cluster_destroy(f->cluster);
  vestry_destroy(f->v);
  for (int i = 0; i < 2; i++) bench_process_end(&f->nodes[i]);
  broker_server_stop(&f->broker);
}

/* ---- the ways ---------------------------------------------------------------------------------------------------- */

enum { NODES_CPU = 3, BROKER_CPU = NODES_CPU, PROCESSES }; /* this node, the other one, the third one; nats-server */

typedef struct way {
  const char *name;
  bool (*send)(far *f, uint64_t number);
  bool is_busy;
  histogram arrival, answer;
  uint64_t cpu_ns[PROCESSES], client_cpu_ns, rounds, messages;
} way;

static bool send_bare(far *f, uint64_t number) {
  static char message[MESSAGE_BYTES];
  memcpy(message, &number, sizeof number);
  return natsConnection_Publish(f->bare, bare_subject, message, sizeof message) == NATS_OK;
}

static json_t *effects_of(uint64_t number) {
  char filling[PAYLOAD_BYTES + 1];
  memset(filling, 'x', PAYLOAD_BYTES);
  filling[PAYLOAD_BYTES] = '\0';
  return json_pack("[[s,{s:I,s:s}]]", "patch-signals", "v", (json_int_t)number, "p", filling);
}

static bool dispatch(const far *f, const vestry_key *key, json_t *effects) {
  vestry_dispatch_result result = {0};
  return !vestry_dispatch_with(f->v, effects, &(vestry_dispatch_options){.key = key}, &result) &&
         result.connections_count == 1;
}

static bool send_to(far *f, const char *where, uint64_t number) {
  json_t *effects = effects_of(number);
  bool sent = effects && dispatch(f, KEY(where), effects);
  json_decref(effects);
  return sent;
}

static bool send_there(far *f, uint64_t number) {
  return send_to(f, "t0", number);
}

static bool send_here(far *f, uint64_t number) {
  return send_to(f, "h0", number);
}

static bool send_here_busy(far *f, uint64_t number) {
  char name[KEY_BYTES];
  bool sent = true;
  for (unsigned i = 0; sent && i < STREAMS; i++) {
    name_key(name, false, i);
    sent = send_to(f, name, number);
  }
  return sent;
}

static void on_answer(vestry_err error, uint32_t count, void *ctx) {
  far *f = ctx;
  if (error || count != 1) atomic_fetch_add(&f->failed, 1);
  sem_post(&f->answered);
}

static bool send_there_busy(far *f, uint64_t number) {
  char name[KEY_BYTES];
  vestry_err error = VESTRY_OK;
  for (unsigned i = 0; !error && i < STREAMS; i++) {
    name_key(name, true, i);
    json_t *effects = effects_of(number);
    error = vestry_cluster_dispatch(bench_cluster_of(f->cluster), effects, &(vestry_dispatch_options){.key = KEY(name)},
                                    on_answer, f);
    json_decref(effects);
  }
  return !error;
}

static void look(const far *f, uint64_t cpu_ns[PROCESSES]) {
  cpu_ns[0] = bench_cpu_ns(getpid());
  for (int i = 0; i < 2; i++) cpu_ns[i + 1] = bench_cpu_ns(f->nodes[i].pid);
  cpu_ns[BROKER_CPU] = bench_cpu_ns(f->broker.pid);
}

static bool one_round(far *f, way *w, uint64_t *inside_ns) {
  uint64_t number = ++f->number, thread_ns = bench_thread_cpu_ns(), began = bench_now_ns();
  bool sent = w->send(f, number);
  uint64_t answered = bench_now_ns();
  *inside_ns += bench_thread_cpu_ns() - thread_ns;
  unsigned left = w->is_busy ? STREAMS : 1;
  while (sent && left && wait_sem(&f->shared->arrived)) left--;
  for (unsigned i = 0; !left && w->send == send_there_busy && i < STREAMS; i++) left += !wait_sem(&f->answered);
  if (left || atomic_load(&f->failed) || atomic_load(&f->shared->number) != number) {
    fprintf(stderr, "vestry-bench: %s: message %" PRIu64 " did not arrive\n", w->name, number);
    return false;
  }
  histogram_add(&w->arrival, atomic_load(&f->shared->at_ns) - began);
  histogram_add(&w->answer, answered - began);
  return true;
}

static bool one_turn(far *f, way *w, uint64_t rounds) {
  uint64_t before[PROCESSES], after[PROCESSES], inside_ns = 0, thread_ns = bench_thread_cpu_ns(),
                                                client_ns = bench_cpu_ns(f->client.pid);
  look(f, before);
  for (uint64_t i = 0; i < rounds; i++)
    if (!one_round(f, w, &inside_ns)) return false;
  look(f, after);
  uint64_t between_ns = bench_thread_cpu_ns() - thread_ns - inside_ns;
  for (int i = 0; i < PROCESSES; i++) w->cpu_ns[i] += after[i] - before[i];
  w->cpu_ns[0] -= between_ns;
  w->client_cpu_ns += bench_cpu_ns(f->client.pid) - client_ns;
  w->rounds += rounds;
  w->messages += w->is_busy ? rounds * STREAMS : rounds;
  return true;
}

static void print(const way *w, double idle_share) {
  double messages = (double)w->messages, all = 0;
  for (int i = 0; i < PROCESSES; i++) all += (double)w->cpu_ns[i] / 1e3 / messages;
  printf("vestry cluster way=far what=%s messages=%" PRIu64
         " p50_us=%.1f p99_us=%.1f max_us=%.1f answer_p50_us=%.1f answer_p99_us=%.1f cpu_us=%.2f own_cpu_us=%.2f "
         "there_cpu_us=%.2f nowhere_cpu_us=%.2f broker_cpu_us=%.2f client_cpu_us=%.2f idle_share=%.5f\n",
         w->name, w->messages, histogram_percentile_ns(&w->arrival, 0.5) / 1e3,
         histogram_percentile_ns(&w->arrival, 0.99) / 1e3, (double)w->arrival.max_ns / 1e3,
         histogram_percentile_ns(&w->answer, 0.5) / 1e3, histogram_percentile_ns(&w->answer, 0.99) / 1e3, all,
         (double)w->cpu_ns[0] / 1e3 / messages, (double)w->cpu_ns[1] / 1e3 / messages,
         (double)w->cpu_ns[2] / 1e3 / messages, (double)w->cpu_ns[BROKER_CPU] / 1e3 / messages,
         (double)w->client_cpu_ns / 1e3 / messages, idle_share);
}

/* Return the share of a processor that all processes use while nothing is sent. */
static double look_idle(const far *f) {
  uint64_t before[PROCESSES], after[PROCESSES], all_ns = 0;
  look(f, before);
  bench_sleep_ms(IDLE_MS);
  look(f, after);
  for (int i = 0; i < PROCESSES; i++) all_ns += after[i] - before[i];
  return (double)all_ns / (IDLE_MS * 1e6);
}

int bench_cluster_far(uint64_t rounds, uint64_t turns) {
  static far f;
  static way ways[] = {{.name = "bare", .send = send_bare},
                       {.name = "there", .send = send_there},
                       {.name = "here", .send = send_here},
                       {.name = "there-busy", .send = send_there_busy, .is_busy = true},
                       {.name = "here-busy", .send = send_here_busy, .is_busy = true}};
  enum { WAYS = sizeof ways / sizeof *ways };
  bool ran = begin(&f);
  double idle_share = ran ? look_idle(&f) : 0;
  for (uint64_t turn = 0; ran && turn < turns + 1; turn++)
    for (int i = 0; ran && i < WAYS; i++) {
      if (turn == 1) { /* the first turn is a warm-up */
        memset(&ways[i].arrival, 0, sizeof ways[i].arrival);
        memset(&ways[i].answer, 0, sizeof ways[i].answer);
        memset(ways[i].cpu_ns, 0, sizeof ways[i].cpu_ns);
        ways[i].rounds = ways[i].messages = ways[i].client_cpu_ns = 0;
      }
      uint64_t these = turn ? rounds / turns : rounds / WARM_SHARE;
      ran = one_turn(&f, &ways[i], ways[i].is_busy ? 1 + these / BUSY_SHARE : these);
    }
  for (int i = 0; ran && i < WAYS; i++) print(&ways[i], idle_share);
  finish(&f);
  return ran ? 0 : 1;
}
