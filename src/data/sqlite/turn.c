/* SPDX-License-Identifier: MIT */
/* essay: a queue of processes that write */
/* SQLite's lock for writing is not fair: a process that writes continuously takes it again while others sleep. Pools
 * therefore queue before they try it. The queue consists of locks on bytes of the WAL's file, far behind its usual
 * end, where SQLite itself locks nothing. The system releases them when a process ends, however it ends. They belong to
 * the open file description (F_OFD_SETLK), so two pools of one process queue, too.
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
 * has NEXT was stopped, it does not take the turn although this is free. Others notice this, and pass it by until it
 * goes on. */
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
  YIELDS = 16,       /* tries before the first sleep: a short transaction of another process ends meanwhile */
  SHORT_SLEEPS = 64, /* of a tenth of a millisecond; then five times as long */
  LOOKS = 100,
  STOPPED_MS = 30, /* after which a process that does not take the free turn counts as stopped */
  SLEEP_NS = 100000
};

static bool lock(const vsi_sqlite_turn *turn, int which, short type) {
  struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = LOCKS_AT + which, .l_len = 1};
  return !fcntl(turn->fd, F_OFD_SETLK, &range);
}

/* Return whether other processes have one of the locks from the first to the last. */
static bool is_locked(const vsi_sqlite_turn *turn, int first, int last) {
  struct flock range = {
      .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCKS_AT + first, .l_len = last - first + 1};
  return !fcntl(turn->fd, F_OFD_GETLK, &range) && range.l_type != F_UNLCK;
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
  const bool is_crowded = turn->is_open && is_locked(turn, NEXT, TURN);
  if (is_crowded || crowded)
    atomic_store_explicit(&turn->crowded, is_crowded ? LOOKS : crowded - 1, memory_order_relaxed);
}

static void sleep_briefly(unsigned tries) {
  const struct timespec pause = {.tv_nsec = tries < YIELDS + SHORT_SLEEPS ? SLEEP_NS : 5 * SLEEP_NS};
  if (tries < YIELDS)
    (void)sched_yield();
  else
    (void)nanosleep(&pause, NULL);
}

/* Wait for a lock; false: not in time, or its process has stopped. */
static bool wait_for(const vsi_sqlite_turn *turn, int which, uint64_t until_ns) {
  uint64_t free_from_ns = 0; /* since when no process has the turn */
  for (unsigned tries = 0; !lock(turn, which, F_WRLCK) && is_contended(); tries++) {
    const uint64_t now_ns = vsi_monotonic_ns();
    const bool is_free = which == NEXT && !is_locked(turn, TURN, TURN);
    if (!is_free || !free_from_ns) free_from_ns = now_ns;
    if (now_ns >= until_ns || (is_free && now_ns - free_from_ns > STOPPED_MS * UINT64_C(1000000))) return false;
    sleep_briefly(tries);
  }
  return true;
}

void vsi_sqlite_turn_take(vsi_sqlite_turn *turn, uint32_t wait_ms) {
  if (!turn->is_open) return;
  const uint64_t until_ns = turn->is_passed_by ? 0 : vsi_monotonic_in_ms(wait_ms);
  const bool is_next = wait_for(turn, NEXT, until_ns);
  turn->is_taken = wait_for(turn, TURN, until_ns);
  if (is_next) (void)lock(turn, NEXT, F_UNLCK);
  turn->is_passed_by = !is_next || !turn->is_taken;
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
