/* SPDX-License-Identifier: MIT */
/* vestry-bench store: a store alone, with the workloads of its peers (peers/). */
#include "store.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct contender {
  vestry_store *store;
} contender;

vestry_store *store_of(void *self) {
  return ((contender *)self)->store;
}

/* ------------------------------------------------------------------------------------------------ its life ---- */

static void close_value(void *value, vestry_cause cause) {
  if (cause == VESTRY_CAUSE_IDLE)
    connection_close_idle(value);
  else
    connection_close(value);
}

static bool create(const char *type, const contest_settings *settings, vestry_store_options *options, void **ret_self) {
  contender *self = calloc(1, sizeof *self);
  if (!self) return false;
  static const vestry_value_ops value = {.ref = connection_ref, .unref = connection_unref, .close = close_value};
  options->value = &value;
  vestry_err error = vestry_store_create(type, options, &self->store);
  if (error) {
    fprintf(stderr, "vestry-bench: a store of type %s: %s\n", type, vestry_strerror(error));
    free(self);
    return false;
  }
  if (settings->verbose)
    fprintf(stderr, "vestry-bench: %s, keys of %zu bytes%s\n", type, settings->work.key_bytes,
            settings->work.keys == WORKLOAD_KEYS_SESSION ? "" : " in the scope without a name");
  *ret_self = self;
  return true;
}

static bool create_lru(const contest_settings *settings, void **ret_self) {
  const workload *work = &settings->work;
  bool idle = work->kind == WORKLOAD_IDLE; /* then entries must not leave for another reason */
  vestry_store_options options = {.max_count = work->capacity + (idle ? workload_active_count(work) : 0),
                                  .idle_ms = settings->idle_ms};
  return create("lru", settings, &options, ret_self);
}

static bool create_hash(const contest_settings *settings, void **ret_self) {
  vestry_store_options options = {0};
  return create("hash", settings, &options, ret_self);
}

static void count(void *self, contest_counts *counts) {
  vestry_store_stats stats = {0};
  vestry_store_stats_get(store_of(self), &stats);
  *counts = (contest_counts){.put = stats.put_count, .removed = stats.removed_count, .size = stats.live_count};
}

static bool destroy(void *self) {
  vestry_store *store = store_of(self);
  vestry_store_stats stats = {0};
  vestry_store_stats_get(store, &stats);
  vestry_store_destroy(store);
  free(self);
  return stats.removed_count + stats.live_count == stats.put_count;
}

/* --------------------------------------------------------------------------------------------- operations ---- */

/* A ready key for each object of a thread's stream, made before the measurement (--ready); NULL: none. */
static _Thread_local vestry_ready_key *ready;
static _Thread_local const unsigned char *ready_of;
static uint64_t is_ready;

/* A key, as an application writes it at each call: a scope and VESTRY_KEY("counter", n), or bytes in the unnamed
 * scope. */
typedef struct shape {
  vestry_scope scope;
  vestry_key key, parts[2];
} shape;

static inline void read_shape(shape *s, const unsigned char *data, size_t len) {
  if (len != WORKLOAD_SESSION_BYTES) { /* which contest_parse leaves to session keys */
    s->scope = (vestry_scope){NULL, 0};
    s->key = vestry_key_bytes(data, len);
    return;
  }
  uint64_t number;
  memcpy(&number, data + WORKLOAD_SESSION_NUMBER, sizeof number);
  s->scope = (vestry_scope){data, WORKLOAD_SESSION_SCOPE};
  s->parts[0] = vestry_key_string(WORKLOAD_SESSION_NAME);
  s->parts[1] = vestry_key_integer((int64_t)le64toh(number));
  s->key = vestry_key_tuple(s->parts, 2);
}

static bool put(void *self, const void *data, size_t len, connection *conn) {
  shape s;
  read_shape(&s, data, len);
  return vestry_store_put(store_of(self), s.scope, &s.key, conn, VESTRY_KEEP_REPLACE, 0, NULL) == VESTRY_OK;
}

static inline const vestry_key *ready_at(const void *data, size_t len) {
  return ready[(size_t)((const unsigned char *)data - ready_of) / len];
}

static bool get(void *self, const void *data, size_t len, uint64_t *sink) {
  shape s;
  void *found;
  size_t room = 1;
  if (ready) {
    if (vestry_store_get(store_of(self), (vestry_scope){0}, ready_at(data, len), &found, &room)) return false;
  } else {
    read_shape(&s, data, len);
    if (vestry_store_get(store_of(self), s.scope, &s.key, &found, &room)) return false;
  }
  *sink += ((connection *)found)->id;
  connection_unref(found);
  return true;
}

static bool drop(void *self, const void *data, size_t len) {
  shape s;
  read_shape(&s, data, len);
  return vestry_store_remove(store_of(self), s.scope, &s.key, VESTRY_CAUSE_REMOVED, NULL) == VESTRY_OK;
}

/* ------------------------------------------------------------------------------------- look-ups by callback ---- */

static void look(void *value, void *ctx) {
  *(uint64_t *)ctx += ((connection *)value)->id;
}

static bool with(void *self, const void *data, size_t len, uint64_t *sink) {
  shape s;
  if (ready) return vestry_store_with(store_of(self), (vestry_scope){0}, ready_at(data, len), look, sink) == VESTRY_OK;
  read_shape(&s, data, len);
  return vestry_store_with(store_of(self), s.scope, &s.key, look, sink) == VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------ the contest ---- */

static void batch_lru(contest_worker *worker);
static void batch_hash(contest_worker *worker);

static const contest_ops lru_ops = {"vestry",   " store=lru", CONTEST_ALL_BUT_IDLE | 1 << WORKLOAD_IDLE,
                                    0,          true,         true,
                                    create_lru, destroy,      count,
                                    put,        get,          with,
                                    drop,       batch_lru};
static const contest_ops hash_ops = {
    "vestry", " store=hash", CONTEST_ALL_BUT_IDLE, 0, false, false, create_hash, destroy, count, put, get, with,
    drop,     batch_hash};

/* Make the ready keys of a worker. They are freed with the process. */
static void make_ready(contest_worker *worker) {
  const size_t count = worker->settings->work.capacity, len = worker->settings->work.key_bytes;
  ready_of = worker->stream.keys;
  ready = calloc(count, sizeof *ready);
  if (!ready) abort();
  for (size_t i = 0; i < count; i++) {
    if (!ready_of[i * len]) continue; /* no operation uses it */
    shape s;
    read_shape(&s, ready_of + i * len, len);
    if (vestry_store_ready(store_of(worker->self), s.scope, &s.key, ready[i])) abort();
  }
}

static void batch_lru(contest_worker *worker) {
  if (is_ready && !ready) make_ready(worker);
  contest_batch(&lru_ops, worker);
}

static void batch_hash(contest_worker *worker) {
  contest_batch(&hash_ops, worker);
}

int bench_store(int argc, char **argv) {
  const char *type = "lru";
  const bench_option more[] = {{"--store", &type, NULL, 0, 0}, {"--ready", NULL, &is_ready, 0, 0}};
  contest_settings settings;
  int status = contest_parse(argc, argv, more, 2, &settings);
  if (status) return status;
  if (is_ready && !settings.work.objects) {
    fputs("vestry-bench: --ready: only with --objects\n", stderr);
    return 2;
  }
  bool hash = !strcmp(type, "hash");
  if (!hash && strcmp(type, "lru") != 0) {
    fprintf(stderr, "vestry-bench: --store: '%s' is not hash or lru\n", type);
    return 2;
  }
  if (settings.work.kind == WORKLOAD_IDLE && !hash) return idle_run(&lru_ops, &settings);
  return contest_run(hash ? &hash_ops : &lru_ops, &settings);
}
