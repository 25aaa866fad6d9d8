/* SPDX-License-Identifier: MIT */
/* The turn to write among processes, so that each of them gets SQLite's lock for writing in time. */
#ifndef VSI_SQLITE_TURN_H
#define VSI_SQLITE_TURN_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Initialized with 0: there is no queue. Used by one thread at a time, except for _look. */
typedef struct vsi_sqlite_turn {
  int fd; /* of the WAL, for locks only */
  bool is_open;
  bool is_taken;
  off_t passed[3];  /* locks whose processes have stopped, so this one does not wait for them */
  uint32_t most_ms; /* for which it waits for locks of SQLite; in the queue half of this time */
  _Atomic(int)
      crowded; /* looks after which it no longer queues; relaxed: a late value costs one wait for SQLite's lock */
  _Atomic(pthread_t) writer; /* the thread between _begin and _end; 0: none. Relaxed: a thread looks for itself */
} vsi_sqlite_turn;

/* Join the queue of a connection's file, which has been read in WAL mode. Without a WAL, or without the right to write
 * it, there is no queue.
 *  is_only  no other process may be in the queue, now or later
 *  Returns false if another process is, or is the only one */
bool vsi_sqlite_turn_open(vsi_sqlite_turn *turn, sqlite3 *db, bool is_only);
void vsi_sqlite_turn_close(vsi_sqlite_turn *turn);
/* Find out whether other processes write now: one system call. Any thread. */
void vsi_sqlite_turn_look(vsi_sqlite_turn *turn);
/* Wait for the turn, at most this long. It is only an order: SQLite's lock decides who writes, with or without it. */
void vsi_sqlite_turn_take(vsi_sqlite_turn *turn, uint32_t wait_ms);
/* Begin a transaction for writing on this thread; it takes the turn if other processes write, too. End it. */
void vsi_sqlite_turn_begin(vsi_sqlite_turn *turn);
void vsi_sqlite_turn_end(vsi_sqlite_turn *turn);
/* Let a connection try a lock of another program once a millisecond, for about turn->most_ms. SQLite's own handler
 * waits up to 100 ms between two tries, while a program that writes continuously releases the lock and takes it again.
 * The thread that writes takes the turn first.
 *  turn  borrowed
 *  Returns a result of SQLite */
int vsi_sqlite_turn_retry(sqlite3 *db, vsi_sqlite_turn *turn);

#endif
