/* SPDX-License-Identifier: MIT */
/* A contender that stores the latest puts in a ring, with an optional fault: faulty FAULT OPTIONS… */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contest.h"

typedef enum fault { NONE, TWICE, FORGET, DROP, OVER, UNDER, MISCOUNT, REFUSE, FAULTS } fault;
static const char *const fault_names[FAULTS] = {"none", "twice", "forget",   "drop",
                                                "over", "under", "miscount", "refuse"};
static fault chosen;

enum { ONCE_AT = 1500 }; /* the put that fails: after the filling */

typedef struct ring {
  connection **slots;
  size_t capacity, count;
  uint64_t put;
} ring;

static bool create(const contest_settings *settings, void **ret_self) {
  ring *self = calloc(1, sizeof *self);
  if (!self) return false;
  self->capacity = settings->work.capacity + (chosen == OVER) - (chosen == UNDER);
  self->slots = calloc(self->capacity, sizeof *self->slots);
  *ret_self = self;
  return self->slots != NULL;
}

static void end(connection *conn) {
  connection_close(conn);
  connection_unref(conn);
}

static void evict(connection *conn, bool wrong) {
  if (wrong && chosen == FORGET) return;
  if (wrong && chosen == TWICE) connection_close(conn);
  if (wrong && chosen == DROP) connection_unref(conn);
  if (!wrong || chosen != DROP) connection_close(conn);
  connection_unref(conn);
}

static bool destroy(void *self_) {
  ring *self = self_;
  for (size_t i = 0; i < self->count; i++) end(self->slots[i]);
  free(self->slots);
  free(self);
  return true;
}

static void count(void *self_, contest_counts *counts) {
  ring *self = self_;
  counts->put = self->put + (chosen == MISCOUNT);
  counts->size = self->count;
}

static bool put(void *self_, const void *key, size_t len, connection *conn) {
  ring *self = self_;
  bool wrong = self->put == ONCE_AT;
  if (wrong && chosen == REFUSE) {
    chosen = NONE;
    return false;
  }
  connection_ref(conn);
  size_t at = self->put++ % self->capacity;
  if (self->count == self->capacity)
    evict(self->slots[at], wrong);
  else
    self->count++;
  self->slots[at] = conn;
  return true;
}

static bool get(void *self_, const void *key, size_t len, uint64_t *sink) {
  ring *self = self_;
  if (!self->count) return false;
  *sink += self->slots[0]->id;
  return true;
}

static bool drop(void *self, const void *key, size_t len) {
  return false;
}

static void batch(contest_worker *worker);

static const contest_ops ops = {
    "faulty", "", CONTEST_ALL_BUT_IDLE, 0, true, true, create, destroy, count, put, get, get, drop, batch};

static void batch(contest_worker *worker) {
  contest_batch(&ops, worker);
}

int main(int argc, char **argv) {
  for (int i = 0; argc > 1 && i < FAULTS; i++)
    if (!strcmp(argv[1], fault_names[i])) {
      chosen = (fault)i;
      return contest_main(&ops, argc - 1, argv + 1);
    }
  fprintf(stderr, "faulty: no such fault\n");
  return 3;
}
