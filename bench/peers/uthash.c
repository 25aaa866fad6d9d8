/* SPDX-License-Identifier: MIT */
/* A mutex and a uthash table, whose order of insertion serves as the list of uses: a used entry is removed and inserted
 * again. Many programs use this, and it is fast with one thread. The hash is that of uthash, without a seed. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "../contest.h"

typedef struct entry {
  UT_hash_handle hh;
  connection *value;
  unsigned char key[];
} entry;

typedef struct contender {
  pthread_mutex_t lock;
  entry *entries; /* guarded by lock, as are the members below; the first entry is the least recently used */
  size_t capacity;
  uint64_t put, removed;
} contender;

static bool create(const contest_settings *settings, void **ret_self) {
  contender *self = calloc(1, sizeof *self);
  if (!self) return false;
  pthread_mutex_init(&self->lock, NULL);
  self->capacity = settings->work.capacity;
  *ret_self = self;
  return true;
}

static void end(entry *gone) {
  if (!gone) return;
  connection_close(gone->value);
  connection_unref(gone->value);
  free(gone);
}

static bool destroy(void *self_) {
  contender *self = self_;
  entry *gone, *next;
  HASH_ITER(hh, self->entries, gone, next) {
    HASH_DEL(self->entries, gone);
    self->removed++;
    end(gone);
  }
  bool all = self->removed == self->put;
  pthread_mutex_destroy(&self->lock);
  free(self);
  return all;
}

static void count(void *self_, contest_counts *counts) {
  contender *self = self_;
  pthread_mutex_lock(&self->lock);
  *counts = (contest_counts){.put = self->put, .removed = self->removed, .size = HASH_COUNT(self->entries)};
  pthread_mutex_unlock(&self->lock);
}

static entry *find_locked(contender *self, const void *key, size_t len, unsigned hash) {
  entry *found;
  HASH_FIND_BYHASHVALUE(hh, self->entries, key, len, hash, found);
  return found;
}

static bool put(void *self_, const void *key, size_t len, connection *conn) {
  contender *self = self_;
  entry *new = malloc(sizeof *new + len);
  if (!new) return false;
  memcpy(new->key, key, len);
  new->value = conn;
  connection_ref(conn);
  unsigned hash;
  HASH_VALUE(key, len, hash);
  pthread_mutex_lock(&self->lock);
  entry *gone = find_locked(self, key, len, hash);
  if (!gone && HASH_COUNT(self->entries) == self->capacity) gone = self->entries;
  if (gone) {
    HASH_DEL(self->entries, gone);
    self->removed++;
  }
  HASH_ADD_KEYPTR_BYHASHVALUE(hh, self->entries, new->key, len, hash, new);
  self->put++;
  pthread_mutex_unlock(&self->lock);
  end(gone);
  return true;
}

static bool get(void *self_, const void *key, size_t len, uint64_t *sink) {
  contender *self = self_;
  unsigned hash;
  HASH_VALUE(key, len, hash);
  pthread_mutex_lock(&self->lock);
  entry *found = find_locked(self, key, len, hash);
  connection *conn = found ? found->value : NULL;
  if (found) {
    HASH_DEL(self->entries, found);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, self->entries, found->key, len, hash, found);
    connection_ref(conn);
  }
  pthread_mutex_unlock(&self->lock);
  if (!found) return false;
  *sink += conn->id;
  connection_unref(conn);
  return true;
}

static bool with(void *self_, const void *key, size_t len, uint64_t *sink) {
  contender *self = self_;
  unsigned hash;
  HASH_VALUE(key, len, hash);
  pthread_mutex_lock(&self->lock);
  entry *found = find_locked(self, key, len, hash);
  if (found) {
    HASH_DEL(self->entries, found);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, self->entries, found->key, len, hash, found);
    *sink += found->value->id;
  }
  pthread_mutex_unlock(&self->lock);
  return found != NULL;
}

static bool drop(void *self_, const void *key, size_t len) {
  contender *self = self_;
  unsigned hash;
  HASH_VALUE(key, len, hash);
  pthread_mutex_lock(&self->lock);
  entry *gone = find_locked(self, key, len, hash);
  if (gone) {
    HASH_DEL(self->entries, gone);
    self->removed++;
  }
  pthread_mutex_unlock(&self->lock);
  end(gone);
  return gone != NULL;
}

static void batch(contest_worker *worker);

static const contest_ops ops = {
    "uthash", "", CONTEST_ALL_BUT_IDLE, 0, true, true, create, destroy, count, put, get, with, drop, batch};

static void batch(contest_worker *worker) {
  contest_batch(&ops, worker);
}

int main(int argc, char **argv) {
  return contest_main(&ops, argc, argv);
}
