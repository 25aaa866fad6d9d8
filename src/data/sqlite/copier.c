/* SPDX-License-Identifier: MIT */
/* essay: checkpoints that lose no commit */
/* SQLite 3.7.0 to 3.51.2 (except 3.44.6 and 3.50.7) has a fault that loses commits and damages the file
 * (sqlite.org/wal.html, "the WAL-reset bug"). A checkpoint reads the header of the WAL's index, and later compares it
 * with the count of copied frames. If all frames are copied, and a writer restarts the WAL in between, this count is 0
 * again: the checkpoint copies frames of the former WAL, and marks frames as copied that do not exist yet. Commits that
 * are written into these frames later are never copied.
 *
 * A pool is safe with every version, also beside programs that do nothing about it, by two rules:
 * 1. Its checkpoints read the header while no other program can write, because the pool has the lock for writing:
 *    - copy: this connection has it in a transaction, and another connection does a PASSIVE checkpoint;
 *    - empty: a TRUNCATE checkpoint takes it. SQLite turns one that does not get it into a PASSIVE one, which would not
 *      be safe. So the handler that gives up interrupts it, which SQLite notices before it copies the first frame.
 * 2. Its connections restart the WAL only while they have the lock for checkpoints (a byte of the index, documented in
 *    sqlite.org/walformat.html). Their files take it at that moment (vsi_sqlite_file_guard): a checkpoint may end after
 *    any earlier look. If another program has the lock, it is within a checkpoint, and the WAL grows instead.
 *
 * SQLite's automatic checkpoints, which follow neither rule, are off. The checkpoint when the last connection is closed
 * has the file for itself.
 *
 * empty() also bounds the WAL while reads overlap. SQLite restarts the WAL when all of it is copied and no one reads
 * from it, and under load there is no such moment. But as long as empty() keeps writers out, a reader that begins after
 * the last frame is copied reads from the database alone. So it waits only for readers that had begun before, in this
 * process and in others. */
#include "data/sqlite/copier.h"

#include <time.h>

#include "base/wait.h"
#include "data/sqlite/schema.h"

static void wait_a_moment(void) {
  (void)nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
}

/* Wait for a lock until until_ns, and then let nothing go on without it. */
static int wait_or_interrupt(void *ctx, int tries) {
  const vsi_sqlite_copier *copier = ctx;
  (void)tries;
  if (vsi_monotonic_ns() >= copier->until_ns) {
    sqlite3_interrupt(copier->db);
    return 0;
  }
  wait_a_moment();
  return 1;
}

int vsi_sqlite_copier_open(vsi_sqlite_copier *copier, const char *path) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  int result = sqlite3_open_v2(path, &copier->db, flags, NULL);
  if (!result) result = sqlite3_wal_autocheckpoint(copier->db, 0);
  if (!result) result = sqlite3_busy_handler(copier->db, wait_or_interrupt, copier);
  copier->until_ns = UINT64_MAX; /* a read opens the WAL and its index */
  if (!result) result = vsi_sqlite_exec(copier->db, "SELECT 1 FROM sqlite_schema LIMIT 1");
  return result;
}

void vsi_sqlite_copier_close(vsi_sqlite_copier *copier) {
  sqlite3_close(copier->db);
}

bool vsi_sqlite_copier_copy(vsi_sqlite_copier *copier, sqlite3 *db, uint64_t until_ns) {
  copier->until_ns = until_ns;
  if (vsi_sqlite_exec(copier->db, "BEGIN IMMEDIATE")) return false;
  const int result = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  (void)vsi_sqlite_exec(copier->db, "ROLLBACK");
  return !result;
}

bool vsi_sqlite_copier_empty(vsi_sqlite_copier *copier, uint64_t until_ns) {
  int result;
  copier->until_ns = until_ns;
  do { /* SQLite does not wait for the lock for checkpoints */
    result = sqlite3_wal_checkpoint_v2(copier->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (result == SQLITE_BUSY) wait_a_moment();
  } while (result == SQLITE_BUSY && vsi_monotonic_ns() < until_ns);
  return !result;
}
