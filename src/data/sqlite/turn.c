/* SPDX-License-Identifier: MIT */
/* essay: a queue of processes that write */
/* SQLite's lock for writing is not fair: a process that writes continuously takes it again while others sleep. Pools
 * therefore queue before they try it. The queue consists of locks on ranges of the WAL's file, far behind its usual
 * end, where SQLite itself locks nothing. The system releases them when a process ends, however it ends. They belong to
 * the open file description (F_OFD_SETLK), so two pools of one process queue, too. The length of a range differs from
 * lock to lock, so that others see whether it is still the same one.
 *
 *     PRESENT  each pool has it for reading, so that a pool can be the only one
 *     NEXT     the pool that has it gets the turn next, and then releases it
 *     TURN     the pool that has it writes
 *
 * A pool that always finds SQLite's lock free does not queue, so a process that writes alone makes one system call in
 * ten milliseconds more. A pool that finds it taken queues. The others find its locks at their next look, and queue,
 * too, until they have found none for about a second.
 *
 * A pool that has written must take NEXT again, and so cannot overtake the one that has it. Which pool gets NEXT is
 * chance, as all try it equally often.
 *
 * The turn is an order, and no condition: a pool that does not get it in time tries SQLite's lock. If the process that
 * has NEXT was stopped, it does not take the turn although this is free. Others notice this, and pass it by until its
 * lock is gone. On a busy machine the process may only have been suspended; then the queue goes on with it. */
#include "data/sqlite/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "base/wait.h"

enum {
  PRESENT,
  NEXT,
  TURN,
  LOCKS_AT = 1 << 30,
  RANGE = 1 << 20, /* the longest */
  YIELDS = 16,     /* tries before the first sleep: a short transaction of another process ends meanwhile */
  LOOKS = 100,
  STOPPED_NS = 30000000 /* after which a process that does not take the free turn counts as stopped */
};

static struct flock range_of(int which, short type, off_t len) {
  return (struct flock){.l_type = type, .l_start = LOCKS_AT + which * (off_t)RANGE, .l_len = len};
}

static bool lock(const vsi_sqlite_turn *turn, int which, short type) {
  const off_t len = type == F_WRLCK ? 1 + (off_t)(vsi_monotonic_ns() % RANGE) : RANGE;
  return !fcntl(turn->fd, F_OFD_SETLK, &(struct flock[]){range_of(which, type, len)});
}

/* Return the length of a lock that another process has, of this one or the following ones; 0: none has. */
static off_t lock_of_others(const vsi_sqlite_turn *turn, int which, int count) {
  struct flock range = range_of(which, F_WRLCK, count * (off_t)RANGE);
  return !fcntl(turn->fd, F_OFD_GETLK, &range) && range.l_type != F_UNLCK ? range.l_len : 0;
}

static bool is_contended(void) {
  return errno == EAGAIN || errno == EACCES;
}

bool vsi_sqlite_turn_open(vsi_sqlite_turn *turn, sqlite3 *db, bool is_only) {
  const char *name = sqlite3_db_filename(db, "main");
  turn->fd = name && *name ? open(sqlite3_filename_wal(name), O_RDWR | O_CLOEXEC) : -1;
  turn->is_open = turn->fd >= 0;
  if (!turn->is_open) return true;
  const bool is_alone = lock(turn, PRESENT, is_only ? F_WRLCK : F_RDLCK) || !is_contended();
  if (!is_alone) vsi_sqlite_turn_close(turn);
  return is_alone;
}

void vsi_sqlite_turn_close(vsi_sqlite_turn *turn) {
  if (turn->is_open) (void)close(turn->fd);
  turn->is_open = turn->is_taken = false;
}

void vsi_sqlite_turn_look(vsi_sqlite_turn *turn) {
  const int crowded = atomic_load_explicit(&turn->crowded, memory_order_relaxed);
  const bool is_crowded = turn->is_open && lock_of_others(turn, NEXT, 2);
  if (is_crowded || crowded)
    atomic_store_explicit(&turn->crowded, is_crowded ? LOOKS : crowded - 1, memory_order_relaxed);
}

/* Wait for a lock; false: not in time, or its process has stopped. All that wait for NEXT try it equally often, also
 * the pool that has just written. */
static bool wait_for(vsi_sqlite_turn *turn, int which, uint64_t until_ns) {
  uint64_t free_from_ns = 0; /* since when this lock of another process is there, and no process has the turn */
  off_t before = -1;
  for (unsigned tries = 0; !lock(turn, which, F_WRLCK) && is_contended(); tries++) {
    const uint64_t now_ns = vsi_monotonic_ns();
    const off_t is = lock_of_others(turn, which, 1);
    if (is != before || which == TURN || lock_of_others(turn, TURN, 1)) free_from_ns = now_ns;
    before = is;
    if ((is && is == turn->passed[which]) || now_ns >= until_ns || now_ns - free_from_ns > STOPPED_NS) {
      turn->passed[which] = is;
      return false;
    }
    if (which == NEXT || tries >= YIELDS || sched_yield()) (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
  }
  return true;
}

void vsi_sqlite_turn_take(vsi_sqlite_turn *turn, uint32_t wait_ms) {
  if (!turn->is_open) return;
  const uint64_t until_ns = vsi_monotonic_in_ms(wait_ms);
  const bool is_next = wait_for(turn, NEXT, until_ns);
  turn->is_taken = wait_for(turn, TURN, until_ns);
  if (is_next) (void)lock(turn, NEXT, F_UNLCK);
}

void vsi_sqlite_turn_begin(vsi_sqlite_turn *turn) {
  atomic_store_explicit(&turn->writer, pthread_self(), memory_order_relaxed);
  if (atomic_load_explicit(&turn->crowded, memory_order_relaxed)) vsi_sqlite_turn_take(turn, turn->most_ms / 2);
}

void vsi_sqlite_turn_end(vsi_sqlite_turn *turn) {
  if (turn->is_taken) (void)lock(turn, TURN, F_UNLCK);
  turn->is_taken = false;
  atomic_store_explicit(&turn->writer, 0, memory_order_relaxed);
}

static int retry(void *ctx, int tries) {
  vsi_sqlite_turn *turn = ctx;
  if ((unsigned)tries >= turn->most_ms) return 0;
  if (!tries && pthread_equal(atomic_load_explicit(&turn->writer, memory_order_relaxed), pthread_self()) &&
      !turn->is_taken) {
    atomic_store_explicit(&turn->crowded, LOOKS, memory_order_relaxed);
    vsi_sqlite_turn_take(turn, turn->most_ms / 2);
  } else {
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  return 1;
}

int vsi_sqlite_turn_retry(sqlite3 *db, vsi_sqlite_turn *turn) {
  return sqlite3_busy_handler(db, retry, turn);
}
