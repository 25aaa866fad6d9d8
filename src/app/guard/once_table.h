/* SPDX-License-Identifier: MIT */
/* Requests that this process has seen, each once, in bounded places. */
#ifndef VSI_GUARD_ONCE_TABLE_H
#define VSI_GUARD_ONCE_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "app/guard/once_answer.h"
#include "app/guard/once_digest.h"
#include "app/guard/once_sealed.h"
#include "base/mutex.h"
#include "base/refs.h"
#include "http/routes/routes.h"
#include "vestry/app/once.h"
#include "vestry/store.h"

struct vsi_once_record;

enum { VSI_ONCE_PERSONS = 1024 };

/* Places of users, or of anonymous. */
typedef struct vsi_once_places {
  size_t max_count, count; /* count: guarded by table->lock */
  size_t max_per_person;   /* of anonymous users; of_person: by a hash of their address, guarded by table->lock */
  uint32_t of_person[VSI_ONCE_PERSONS];
  TAILQ_HEAD(, vsi_once_record) line; /* the oldest first; guarded by table->lock */
  vsi_once_share answers;
} vsi_once_places;

typedef struct vsi_once_table {
  const vestry_host *host;
  vestry_store *store; /* of records */
  uint64_t retries_ns; /* a record that is younger is not forgotten for another one */
  bool has_scopes;     /* so the one without a name is of clients that are not known */
  vsi_mutex lock;
  pthread_cond_t answered; /* a record was, or one that is owed was written */
  vsi_once_places users, anonymous;
  TAILQ_HEAD(, vsi_once_record) owed; /* ends that the storage has not (once_owed.h); guarded by lock, and so for two */
  size_t owed_count;
  struct vsi_once_record *paid; /* the one that is being written; NULL: none */
} vsi_once_table;

typedef enum vsi_once_progress {
  VSI_ONCE_RUNS,
  VSI_ONCE_ANSWERED,
  VSI_ONCE_FORGOTTEN, /* the next request runs */
  VSI_ONCE_FAILED     /* the storage did not say whose submission it is: those that have waited are answered with the
                     error */
} vsi_once_progress;

typedef struct vsi_once_record {
  vsi_watcher watcher; /* first */
  vestry_once *once;
  vsi_once_table *table;
  vsi_once_places *places; /* its own is among them */
  vsi_refs refs;
  uint64_t came_ns;
  uint64_t person;                 /* an anonymous user's, by its address; 0: not known, or a user's */
  TAILQ_ENTRY(vsi_once_record) at; /* guarded by table->lock */
  bool in_line, has_left;          /* guarded by table->lock; has_left: the store */
  vestry_handle handle;            /* written and read by the request that runs */
  vsi_once_progress progress;      /* guarded by table->lock; what follows is constant from ANSWERED on */
  vestry_err error;                /* of FAILED; constant then */
  unsigned char digest[VSI_ONCE_DIGEST_BYTES];
  vsi_once_answer answer;
  vsi_once_sealed *sealed;              /* for the storage, in the request that runs; owned; NULL: none */
  TAILQ_ENTRY(vsi_once_record) owed_at; /* guarded by table->lock, and so for the next one */
  bool is_undone;                       /* if it is owed: it was not done */
} vsi_once_record;

/* options: with its defaults filled in. v: its runtime drives the store. OK | NO_MEMORY | CLOSED | IO; finish it also
 * if this has failed */
vestry_err vsi_once_table_init(vsi_once_table *table, vestry *v, const vestry_once_options *options);
void vsi_once_table_finish(vsi_once_table *table);

/* A record, not in the table yet, with one reference; NULL: no memory. came_ns: now, by the host's clock */
vsi_once_record *vsi_once_record_create(vsi_once_table *table, vsi_once_places *places);
void vsi_once_record_ref(vsi_once_record *record);
/* NULL is accepted. */
void vsi_once_record_unref(vsi_once_record *record);

/* Put the record there, or find the one that is there under the same scope and nonce.
 *  ret_there  a reference; NULL: made is there now
 *  Returns    OK | NO_MEMORY | LIMIT (no place) | the errors of vestry_store_put */
vestry_err vsi_once_table_put(vsi_once_table *table, vestry_scope scope, const char *nonce, vsi_once_record *made,
                              vsi_once_record **ret_there);
/* Take the record out of the table: the next request with its nonce finds none. */
void vsi_once_record_remove(vsi_once_record *record);
/* The record has come so far: rouse the threads that wait for it. */
void vsi_once_record_settle(vsi_once_record *record, vsi_once_progress reached);
/* Wait while it runs. Returns how it has ended. */
vsi_once_progress vsi_once_record_wait(vsi_once_record *record);

#endif
