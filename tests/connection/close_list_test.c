/* SPDX-License-Identifier: MIT */
/* Close nodes: each is called once, in order, when its connection has ended; a cancelled node is never called. */
#include "connection/close_node.h"

#include <stdlib.h>

#include "connection/probe.h"

/* The results that the functions of a test record. */
typedef struct watcher {
  vsi_close_node node; /* first: a node is cast to its watcher */
  struct watcher *others[2];
  bool cancels[2];  /* the other nodes that the function tries to cancel */
  bool let_in;      /* whether it succeeded */
  int called, rank; /* rank: the position of this call among the test's calls */
  vestry_cause cause;
  probe *p;
} watcher;

static int calls;

static void called(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  watcher *w = (watcher *)node;
  assert_int_equal(vestry_connection_look(connection).state, VESTRY_STATE_CLOSED);
  if (w->p) {
    assert_int_equal(w->p->ends, 1);   /* after the transport */
    assert_int_equal(w->p->closed, 0); /* before the hooks */
  }
  w->called++;
  w->rank = ++calls;
  w->cause = cause;
  for (int i = 0; i < 2; i++) {
    if (!w->others[i]) continue;
    if (w->cancels[i])
      assert_int_equal(vsi_connection_cancel_at_close(connection, &w->others[i]->node), !w->others[i]->called);
    else
      w->let_in = vsi_connection_at_close(connection, &w->others[i]->node) == VESTRY_OK;
  }
}

static void watcher_init(watcher *w, probe *p) {
  memset(w, 0, sizeof *w);
  vsi_close_node_init(&w->node, called);
  w->p = p;
}

TEST_CASE(close_nodes_are_called_once_in_order) {
  bench b;
  probe p;
  watcher w[3];
  calls = 0;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  for (int i = 0; i < 3; i++) {
    watcher_init(&w[i], &p);
    assert_int_equal(vsi_connection_at_close(c, &w[i].node), VESTRY_OK);
  }
  vsi_connection_start(c);
  bench_run(&b);
  vestry_connection_close(c, VESTRY_CAUSE_IDLE);
  assert_int_equal(calls, 0); /* on the runner, not here */
  watcher late;
  watcher_init(&late, &p);
  assert_int_equal(vsi_connection_at_close(c, &late.node), VESTRY_OK); /* a closing connection has not ended */
  bench_run(&b);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(w[i].called, 1);
    assert_int_equal(w[i].rank, i + 1);
    assert_int_equal(w[i].cause, VESTRY_CAUSE_IDLE);
    assert_false(vsi_connection_cancel_at_close(c, &w[i].node)); /* the connection has ended */
  }
  assert_int_equal(late.rank, 4);
  watcher_init(&late, &p);
  assert_int_equal(vsi_connection_at_close(c, &late.node), VESTRY_CLOSED); /* refused, and not called */
  assert_false(vsi_connection_cancel_at_close(c, &late.node));
  vestry_connection_unref(c);
  bench_run(&b);
  assert_int_equal(late.called, 0);
  probe_finish(&p);
  bench_finish(&b);
}

TEST_CASE(cancelled_close_nodes_are_not_called) {
  for (int gone = 0; gone < 8; gone++) { /* every subset of three */
    bench b;
    probe p;
    watcher w[3];
    calls = 0;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    probe_init(&p);
    vestry_connection *c = bench_connect(&b, &p, NULL);
    for (int i = 0; i < 3; i++) {
      watcher_init(&w[i], &p);
      assert_false(vsi_connection_cancel_at_close(c, &w[i].node)); /* never added */
      assert_int_equal(vsi_connection_at_close(c, &w[i].node), VESTRY_OK);
    }
    for (int i = 0; i < 3; i++) {
      if (!(gone >> i & 1)) continue;
      assert_true(vsi_connection_cancel_at_close(c, &w[i].node));
      assert_false(vsi_connection_cancel_at_close(c, &w[i].node));
    }
    if (gone == 7) assert_int_equal(vsi_connection_at_close(c, &w[1].node), VESTRY_OK); /* and added again */
    vsi_connection_start(c);
    vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
    bench_run(&b);
    int rank = 0;
    for (int i = 0; i < 3; i++) {
      bool in = !(gone >> i & 1) || (gone == 7 && i == 1);
      assert_int_equal(w[i].called, in);
      assert_int_equal(w[i].rank, in ? ++rank : 0);
    }
    vestry_connection_unref(c);
    probe_finish(&p);
    bench_finish(&b);
  }
}

TEST_CASE(close_node_may_cancel_others_but_not_add) {
  bench b;
  probe p;
  watcher w[4];
  calls = 0;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  for (int i = 0; i < 4; i++) watcher_init(&w[i], &p);
  for (int i = 0; i < 3; i++) assert_int_equal(vsi_connection_at_close(c, &w[i].node), VESTRY_OK);
  w[1].others[0] = &w[2]; /* not called yet */
  w[1].cancels[0] = true;
  w[1].others[1] = &w[3];
  w[0].others[0] = &w[0]; /* itself: its call is running */
  w[0].cancels[0] = true;
  vsi_connection_start(c);
  vestry_connection_close(c, VESTRY_CAUSE_HANGUP);
  bench_run(&b);
  assert_int_equal(w[0].called, 1);
  assert_int_equal(w[1].called, 1);
  assert_int_equal(w[2].called, 0);
  assert_int_equal(w[3].called, 0);
  assert_false(w[1].let_in);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

BENCH_CASE(abandoned_connection_calls_its_close_nodes) {
  probe p;
  watcher w;
  probe_init(&p);
  vestry_connection *c = bench_connect(b, &p, NULL);
  watcher_init(&w, &p);
  assert_int_equal(vsi_connection_at_close(c, &w.node), VESTRY_OK);
  vsi_connection_abandon(c, VESTRY_CAUSE_CLOSED);
  assert_int_equal(w.called, 1); /* on this thread */
  vestry_connection_unref(c);
  bench_run(b);
  probe_finish(&p);
}

/* ------------------------------------------------------------------------------------------------ threads --------- */

enum { THREADS = 3, NODES = 24, ROUNDS = 150 };

/* Referenced by the list until it is called or cancelled, and by each thread that may still cancel it. */
typedef struct owned {
  vsi_close_node node;
  _Atomic(int) refs, outcomes; /* outcomes: calls and cancellations */
  int payload;                 /* written before the add, read by the call */
} owned;

typedef struct party {
  vestry_connection *connection;
  owned *nodes[THREADS][NODES]; /* of each thread */
  pthread_barrier_t start;
  _Atomic(int) let_in, reported, back;
} party;

static void drop(owned *o) {
  if (atomic_fetch_sub(&o->refs, 1) != 1) return;
  assert_int_equal(atomic_load(&o->outcomes), 1);
  free(o);
}

static party *running;

static void tell_and_drop(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  owned *o = (owned *)node;
  assert_ptr_equal(connection, running->connection);
  assert_int_equal(cause, VESTRY_CAUSE_CLOSED);
  assert_int_equal(o->payload, 7);
  atomic_fetch_add(&o->outcomes, 1);
  atomic_fetch_add(&running->reported, 1);
  drop(o);
}

static void cancel_and_drop(party *p, owned *o) {
  if (vsi_connection_cancel_at_close(p->connection, &o->node)) {
    atomic_fetch_add(&o->outcomes, 1);
    atomic_fetch_add(&p->back, 1);
    drop(o);
  }
  drop(o);
}

typedef struct guest {
  party *p;
  int number;
  pthread_t thread;
} guest;

/* Adds its nodes while other threads add theirs and one closes the connection; then cancels a third of them, and so
 * does the next thread. */
static void *come_and_go(void *argument) {
  guest *g = argument;
  party *p = g->p;
  pthread_barrier_wait(&p->start);
  if (g->number == 0) vestry_connection_close(p->connection, VESTRY_CAUSE_CLOSED);
  for (int i = 0; i < NODES; i++) {
    owned *o = p->nodes[g->number][i];
    o->payload = 7;
    if (vsi_connection_at_close(p->connection, &o->node)) {
      atomic_fetch_add(&o->outcomes, 1); /* refused */
      drop(o);
    } else {
      atomic_fetch_add(&p->let_in, 1);
    }
    if (i % 3 == 0) cancel_and_drop(p, o);
  }
  return NULL;
}

static void *cancel_only(void *argument) {
  guest *g = argument;
  pthread_barrier_wait(&g->p->start);
  for (int t = 0; t < THREADS; t++)
    for (int i = 0; i < NODES; i += 3) cancel_and_drop(g->p, g->p->nodes[t][i]);
  return NULL;
}

TEST_CASE(close_nodes_race_with_the_end) {
  for (int round = 0; round < ROUNDS; round++) {
    bench b;
    probe pr;
    party p = {.let_in = 0};
    guest guests[THREADS + 1];
    running = &p;
    bench_init(&b, 1, &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS});
    probe_init(&pr);
    p.connection = bench_connect(&b, &pr, NULL);
    pthread_barrier_init(&p.start, NULL, THREADS + 1);
    for (int t = 0; t < THREADS; t++)
      for (int i = 0; i < NODES; i++) {
        owned *o = calloc(1, sizeof *o);
        vsi_close_node_init(&o->node, tell_and_drop);
        atomic_init(&o->refs, i % 3 == 0 ? 3 : 1);
        p.nodes[t][i] = o;
      }
    vsi_connection_start(p.connection);
    for (int t = 0; t <= THREADS; t++) {
      guests[t] = (guest){.p = &p, .number = t};
      assert_int_equal(pthread_create(&guests[t].thread, NULL, t < THREADS ? come_and_go : cancel_only, &guests[t]), 0);
    }
    for (int t = 0; t <= THREADS; t++) pthread_join(guests[t].thread, NULL);
    vestry_connection_unref(p.connection);
    bench_finish(&b);
    assert_int_equal(p.reported + p.back, p.let_in);
    pthread_barrier_destroy(&p.start);
    probe_finish(&pr);
  }
}
