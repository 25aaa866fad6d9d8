/* SPDX-License-Identifier: MIT */
/* Each thread has separate free connections and counters, and exchanges a surplus or a lack with the shared list in
 * batches. Therefore only the connections themselves are contended. */
#include "connection.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

enum { BATCH = 256, PILES = 272 };

/* The data of one thread. */
typedef struct pile {
  connection *free; /* last in, first out */
  size_t free_count;
  connection_counts counts;
  histogram lateness;
} __attribute__((aligned(128))) pile;

static struct {
  connection *connections;
  size_t count;
  pthread_mutex_t lock;
  connection *free; /* guarded by lock */
  size_t piles_taken;
  pile piles[PILES];
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local pile *mine;

/* Return a pile for a thread at its first use. There is none after the last pile; main checks the number of threads. */
static pile *claim_pile(void) {
  pthread_mutex_lock(&all.lock);
  mine = all.piles_taken < PILES ? &all.piles[all.piles_taken++] : NULL;
  pthread_mutex_unlock(&all.lock);
  if (!mine) __builtin_trap();
  return mine;
}

static inline pile *my_pile(void) {
  return mine ? mine : claim_pile();
}

static void push(pile *to, connection *conn) {
  conn->next = to->free;
  to->free = conn;
  to->free_count++;
}

static connection *pop(pile *from) {
  connection *conn = from->free;
  if (!conn) return NULL;
  from->free = conn->next;
  from->free_count--;
  return conn;
}

/* ------------------------------------------------------------------------------------------------ exchange ---- */

static void fetch_batch(pile *to) {
  pthread_mutex_lock(&all.lock);
  for (int i = 0; i < BATCH && all.free; i++) {
    connection *conn = all.free;
    all.free = conn->next;
    push(to, conn);
  }
  pthread_mutex_unlock(&all.lock);
}

static void return_batch(pile *from) {
  pthread_mutex_lock(&all.lock);
  for (int i = 0; i < BATCH; i++) {
    connection *conn = pop(from);
    conn->next = all.free;
    all.free = conn;
  }
  pthread_mutex_unlock(&all.lock);
}

bool connections_create(size_t count, size_t threads) {
  all.count = count + (threads + 2) * 3 * BATCH;
  void *pages = mmap(NULL, all.count * sizeof(connection), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return false;
  all.connections = pages;
  for (size_t i = all.count; i > 0; i--) {
    connection *conn = &all.connections[i - 1];
    conn->closed = 1;
    conn->id = i;
    conn->next = all.free;
    all.free = conn;
  }
  return true;
}

void connections_destroy(void) {
  if (all.connections) munmap(all.connections, all.count * sizeof(connection));
  all.connections = NULL;
  all.free = NULL;
}

void connections_count(connection_counts *ret_counts, histogram *ret_lateness) {
  connection_counts sum = {0};
  if (ret_lateness) memset(ret_lateness, 0, sizeof *ret_lateness);
  for (size_t i = 0; i < PILES; i++) {
    const connection_counts *counts = &all.piles[i].counts;
    sum.taken += counts->taken;
    sum.closed += counts->closed;
    sum.closed_twice += counts->closed_twice;
    sum.freed_open += counts->freed_open;
    sum.early += counts->early;
    sum.late_count += counts->late_count;
    if (ret_lateness) histogram_merge(ret_lateness, &all.piles[i].lateness);
  }
  for (size_t i = 0; i < all.count; i++) sum.live += __atomic_load_n(&all.connections[i].refs, __ATOMIC_ACQUIRE) != 0;
  *ret_counts = sum;
}

/* ------------------------------------------------------------------------------------------------ one of them ---- */

connection *connection_take(void) {
  pile *own = my_pile();
  if (!own->free) fetch_batch(own);
  connection *conn = pop(own);
  if (!conn) return NULL;
  own->counts.taken++;
  conn->due_ns = 0;
  /* relaxed: other threads do not know it before the put of a store publishes it */
  __atomic_store_n(&conn->refs, 1, __ATOMIC_RELAXED);
  __atomic_store_n(&conn->closed, 0, __ATOMIC_RELAXED);
  return conn;
}

void connection_ref(void *connection_) {
  connection *conn = connection_;
  __atomic_fetch_add(&conn->refs, 1, __ATOMIC_RELAXED); /* the caller holds another reference meanwhile */
}

void connection_unref(void *connection_) {
  connection *conn = connection_;
  /* release: all uses happen before its reuse; acquire: the thread that reuses it sees them */
  if (__atomic_fetch_sub(&conn->refs, 1, __ATOMIC_ACQ_REL) != 1) return;
  pile *own = my_pile();
  own->counts.freed_open += !__atomic_load_n(&conn->closed, __ATOMIC_RELAXED);
  push(own, conn);
  if (own->free_count == 2 * BATCH) return_batch(own);
}

void connection_close(void *connection_) {
  connection *conn = connection_;
  pile *own = my_pile();
  if (__atomic_exchange_n(&conn->closed, 1, __ATOMIC_ACQ_REL)) {
    own->counts.closed_twice++;
    return;
  }
  own->counts.closed++;
  connection_unref(conn);
}

void connection_close_idle(void *connection_) {
  connection *conn = connection_;
  if (conn->due_ns) {
    uint64_t now_ns = bench_now_ns();
    connection_counts *counts = &my_pile()->counts;
    if (now_ns < conn->due_ns)
      counts->early++;
    else
      histogram_add(&my_pile()->lateness, now_ns - conn->due_ns);
    counts->late_count += now_ns >= conn->due_ns;
  }
  connection_close(conn);
}
