/* SPDX-License-Identifier: MIT */
#include "cluster/strict_race.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "support/litmus.h"
#include "support/test.h"
#include "support/until.h"
#include "vestry/cluster/cluster.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

enum { KEYS = 2, THREADS = 2 };

static struct {
  vestry *v[STRICT_RACE_NODES];
  vestry_cluster *clusters[STRICT_RACE_NODES];
  int turns;
  _Atomic(int) held[KEYS], let_in, refused, unknown, unexpected, two;
} w;

static vestry_err open_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("k", *(const int *)app));
  return vestry_reply_keep(reply, VESTRY_KEEP_REJECT, 0);
}

static void *request_streams(void *ctx) {
  vestry *v = ctx;
  for (int i = 0; i < w.turns; i++) {
    int key = i % KEYS;
    vestry_memory_exchange *stream = NULL;
    if (vestry_memory_request(v, &(vestry_memory_call){.datastar = true}, open_handler, &key, &stream)) w.unexpected++;
    int status = stream ? vestry_memory_look(stream).status : 500;
    if (!status || status == 200) { /* a refusal is answered at once, while a stream begins when the runtime runs */
      if (atomic_fetch_add(&w.held[key], 1) != 0) w.two++;
      w.let_in++;
      if (i % 4 == 0) litmus_dally(5000); /* meanwhile the others run */
      atomic_fetch_sub(&w.held[key], 1);
      vestry_memory_mode_set(stream, VESTRY_MEMORY_HANGS_UP);
    } else if (status == 409) {
      w.refused++;
    } else if (status == 503) {
      w.unknown++;
    } else {
      w.unexpected++;
    }
    vestry_memory_destroy(stream);
  }
  return NULL;
}

/* A request for a free key succeeds only if the alive nodes are certain. */
static bool have_met(void) {
  for (size_t i = 0; i < STRICT_RACE_NODES; i++) {
    vestry_cluster_stats stats = {0};
    vestry_cluster_stats_get(w.clusters[i], &stats);
    if (stats.alive_count != STRICT_RACE_NODES - 1 || stats.unsynced_count) return false;
    int key = 100 + (int)i;
    vestry_memory_exchange *stream = NULL;
    assert_int_equal(
        vestry_memory_request(w.v[i], &(vestry_memory_call){.datastar = true}, open_handler, &key, &stream), 0);
    bool is_in = vestry_memory_look(stream).status != 503;
    vestry_memory_destroy(stream);
    if (!is_in) return false;
  }
  return true;
}

void strict_race(vestry_broker brokers[STRICT_RACE_NODES], int turns) {
  static const char secret[] = "all nodes of this test have the same";
  static const char *const names[] = {"a", "b", "c"};
  memset(&w, 0, sizeof w);
  w.turns = turns;
  for (size_t i = 0; i < STRICT_RACE_NODES; i++) {
    const vestry_cluster_options options = {.node = names[i],
                                            .secret = secret,
                                            .secret_len = sizeof secret,
                                            .heartbeat_ms = 20,
                                            .suspect_ms = 5000,
                                            .dead_ms = 6000, /* after this time the alive nodes are certain */
                                            .answer_ms = 60000,
                                            .strict = true};
    assert_int_equal(vestry_create(&(vestry_options){.threads_count = 2}, &w.v[i]), VESTRY_OK);
    assert_int_equal(vestry_cluster_create(w.v[i], &brokers[i], &options, &w.clusters[i]), VESTRY_OK);
  }
  UNTIL(have_met());
  pthread_t threads[STRICT_RACE_NODES * THREADS];
  size_t count = 0;
  for (size_t i = 0; i < STRICT_RACE_NODES; i++)
    for (size_t k = 0; k < THREADS; k++) pthread_create(&threads[count++], NULL, request_streams, w.v[i]);
  while (count) pthread_join(threads[--count], NULL);
  print_message("%d let in, %d refused, %d not known\n", w.let_in, w.refused, w.unknown);
  assert_int_equal(w.two, 0);
  assert_int_equal(w.unexpected, 0);
  assert_true(w.let_in > turns / 2);
  assert_true(w.refused);
  for (size_t i = 0; i < STRICT_RACE_NODES; i++) {
    assert_int_equal(vestry_stop(w.v[i], VESTRY_NEVER_MS), VESTRY_OK);
    vestry_cluster_destroy(w.clusters[i]);
    brokers[i].ops->destroy(brokers[i].broker);
    vestry_destroy(w.v[i]);
  }
}
