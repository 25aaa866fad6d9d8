/* Databases and their connections, as the files of this folder see them.
 *
 * Every commit to the file has a number: the one that SQLite itself counts commits with, so that a process need not ask
 * others. A connection that commits knows its number beforehand, since nobody else can commit then: it announces it in
 * the commit hook, together with what the transaction changed, and once it is committed, it is published. A number that
 * nobody announced is the commit of somebody else; one that was announced, and whose connection has not said yet
 * whether it has committed, may be either.
 *
 * One lock guards what is announced and which numbers are accounted for. Under it pages are refreshed; no SQL runs but
 * that of the database's own connection, which waits for nobody.
 *
 * What belongs where: a hook notes, and publishes what was committed; it makes no SQL and renders nothing. */
#ifndef VSI_SQLITE_SQLITE_H
#define VSI_SQLITE_SQLITE_H

#include <pthread.h>
#include <stdatomic.h>

#include "sqlite/exact.h"
#include "sqlite/fault.h"
#include "sqlite/host.h"
#include "sqlite/schema.h"
#include "sqlite/topics.h"
#include "vestry/registry.h"
#include "vestry/sqlite.h"
#include "vestry/tab.h"

enum {
  VSI_SQLITE_WINDOW = 4096,     /* numbers that can be told apart beyond the last one accounted for */
  VSI_SQLITE_TOUCHES_MAX = 256, /* states of tabs that wait for being noted as read */
  VSI_SQLITE_TAB_BYTES = 16
};

/* A position in the sequence of commits. In WAL mode and otherwise they are different sequences. */
typedef struct vsi_sqlite_number {
  uint32_t value;
  bool is_wal;
} vsi_sqlite_number;

/* The state of a tab was read: its end is to be put off. */
typedef struct vsi_sqlite_touch {
  struct vsi_sqlite_touch *next;
  uint32_t ttl_s;
  size_t scope_len;
  unsigned char tab[VSI_SQLITE_TAB_BYTES];
  unsigned char scope[];
} vsi_sqlite_touch;

struct vestry_sqlite {
  vestry_pages *pages;
  const vestry_host *host;
  char *path;
  vestry_sqlite_options options; /* defaults filled in; path is not to be used */
  sqlite3_vfs *vfs;              /* whose clock states of tabs end by */
  sqlite3 *db;                   /* its own connection, which only reads; used under the lock */
  sqlite3_file *file;            /* of that */
  pthread_mutex_t writer_lock;   /* taken before the lock; guards what follows */
  sqlite3 *writer_db;            /* its own connection, which notes that states of tabs were read */
  vestry_sqlite_connection *writer;
  pthread_t thread;
  bool has_thread;
  pthread_mutex_t lock; /* guards all below */
  pthread_cond_t end;
  bool is_over;
  bool is_roused; /* the thread is to look, or has just done so and will again */
  vsi_sqlite_exact exact;
  const _Atomic(uint32_t) *wal_index; /* the head of the WAL's index, which all processes share; NULL: not in WAL mode.
                                         Once it is, it stays so, because db is open */
  vestry_sqlite_connection *connections;
  vsi_sqlite_number seen;                     /* up to this all commits are accounted for */
  bool is_lost;                               /* something was committed whose number cannot be told */
  bool has_moved;                             /* the path leads to another file; the log was told */
  bool is_failing;                            /* the file could not be read the last time; the log was told */
  bool is_coarse;                             /* a connection's pages are not known; the log was told */
  uint64_t accounted[VSI_SQLITE_WINDOW / 64]; /* of those after it; bit n % WINDOW */
  uint64_t seq;                               /* of the last refresh */
  vsi_sqlite_touch *touches;
  size_t touches_count;
  size_t tabs_room; /* so many more states of tabs before they are counted anew */
  vestry_sqlite_stats stats;
};

struct vestry_sqlite_connection {
  vestry_sqlite *database;
  sqlite3 *db;
  sqlite3_file *file;
  vestry_sqlite_connection *next, **at; /* of the database; guarded by its lock */
  /* The transaction that runs, or that was announced: the connection's thread's, and once it is announced guarded by
   * the database's lock. */
  vsi_sqlite_topics topics;
  vsi_sqlite_actor actor;
  bool has_changes;            /* rows of this database were changed */
  bool is_sure;                /* so that a byte of the file is another one */
  bool has_deleted;            /* a row went, or is said to have gone */
  bool has_others;             /* … and one came, or was updated */
  bool is_mixed;               /* another file's, too */
  _Atomic(bool) is_announced;  /* its commit was begun, and not published yet */
  vsi_sqlite_number announced; /* the number that it has, if it comes to be one */
  bool is_shared;              /* its cache is another one's, too */
  /* The connection's thread's. */
  int written;        /* pages that SQLite had written when a commit that is not sure was announced, or settled */
  bool is_committing; /* behind its commit hook, and before any other */
  bool is_quiet;      /* what is changed now refreshes nothing */
  struct vsi_sqlite_tab_statements {
    sqlite3_stmt *read, *write, *insert, *remove, *evict, *expire, *count, *bound, *begin, *end, *undo, *undo_all;
  } tab;
};

struct vestry_sqlite_change {
  vestry_sqlite_connection *connection;
  int operation; /* SQLITE_INSERT, UPDATE, DELETE */
};

/* ---- database.c ---- */

/* Whether a connection's main database is this one's file. */
bool vsi_sqlite_is_same_file(const vestry_sqlite *database, sqlite3 *db);

/* ---- counter.c ---- */

/* The number of the last commit. Under the lock.
 *  file      of any connection to the database
 *  Returns  whether it could be read */
bool vsi_sqlite_counter(vestry_sqlite *database, sqlite3_file *file, vsi_sqlite_number *ret_number);
/* Find the WAL's index, if there is one by now. Under the lock. OK | BUSY | NO_MEMORY | IO */
vestry_err vsi_sqlite_counter_open(vestry_sqlite *database);
/* Whether a number that was announced has been committed, now that last is the last one. After a change of the mode and
 * after a crash numbers begin anew: then it has been. */
static inline bool vsi_sqlite_is_reached(vsi_sqlite_number announced, vsi_sqlite_number last) {
  return announced.is_wal != last.is_wal || announced.value - 1 != last.value;
}

/* ---- others.c: under the database's lock ---- */

/* A number is accounted for. */
void vsi_sqlite_account(vestry_sqlite *database, vsi_sqlite_number number);
/* Refresh what was committed and is not accounted for. OK | BUSY | IO */
vestry_err vsi_sqlite_look(vestry_sqlite *database);
/* Say once that the path leads to another file by now, or to none. */
void vsi_sqlite_miss_file(vestry_sqlite *database);
/* Anything may have changed, by whomever. */
void vsi_sqlite_refresh_all(vestry_sqlite *database);
/* The same, and all commits up to this one are accounted for by it. */
void vsi_sqlite_begin_anew(vestry_sqlite *database, vsi_sqlite_number last);
/* Have the thread look soon. */
void vsi_sqlite_rouse(vestry_sqlite *database);
void *vsi_sqlite_follow(void *database); /* the thread */

/* ---- connection.c ---- */

/* The same, without asking whether it may be. NO_MEMORY | BUSY | EXISTS | IO */
vestry_err vsi_sqlite_connect(vestry_sqlite *database, sqlite3 *db, vestry_sqlite_connection **ret_connection);
/* Publish what it announced: its commit can be seen. Under the database's lock. */
void vsi_sqlite_publish(vestry_sqlite_connection *connection);
/* The number that it announced is reached, by its commit or by somebody else's: refresh what it would, and what the
 * other one would. Under the database's lock. */
void vsi_sqlite_publish_perhaps(vestry_sqlite_connection *connection);
/* Publish what it has committed. connection: of this thread. */
void vsi_sqlite_settle(void *connection);

/* ---- tab.c ---- */

#define VSI_SQLITE_TAB_TABLE "vestry_tab"
extern const vsi_sqlite_schema vsi_sqlite_tab_schema;
enum { VSI_SQLITE_TAB_COLUMN = 1 };
/* The topic of a tab's state. */
enum { VSI_SQLITE_TAB_TOPIC_BYTES = 44 };
void vsi_sqlite_tab_topic(const unsigned char tab[VSI_SQLITE_TAB_BYTES], char topic[VSI_SQLITE_TAB_TOPIC_BYTES]);
/* Note what was read. On the database's own thread, or in sync; no lock is held. Waits for nobody. */
void vsi_sqlite_tab_touch_all(vestry_sqlite *database);
void vsi_sqlite_tab_forget_touches(vestry_sqlite *database);
void vsi_sqlite_tab_finish(vestry_sqlite_connection *connection);

/* What a result of SQLite's is here, once the database is followed; what is not to be expected gets a line in the log.
 *  doing  what was tried: "the state of a tab cannot be read" */
static inline vestry_err vsi_sqlite_fault(const vestry_sqlite *database, sqlite3 *db, int result, const char *doing) {
  const vsi_sqlite_call call = {database->host, "SQLite", database->path};
  return vsi_sqlite_note(&call, db, result, doing);
}

#endif
