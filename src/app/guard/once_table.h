/* SPDX-License-Identifier: MIT */
/* Requests that this process has seen, each once, in bounded places. */
#ifndef VSI_GUARD_ONCE_TABLE_H
#define VSI_GUARD_ONCE_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "app/guard/proof.h"
#include "base/mutex.h"
#include "base/refs.h"
#include "http/reply.h"
#include "http/routes/routes.h"
#include "vestry/adapter.h"
#include "vestry/app/once.h"
#include "vestry/host.h"
#include "vestry/key.h"
#include "vestry/store.h"

/* The bytes that many answers have together, and how many they may have. */
typedef struct vsi_once_share {
  const vestry_host *host;
  size_t max_answer_bytes, max_bytes; /* of one answer; of all */
  _Atomic(size_t) bytes;              /* relaxed: a bound, which a few threads at once may miss by an answer each */
} vsi_once_share;

/* Zero: none. */
typedef struct vsi_once_answer {
  int status;  /* 0: it was a stream */
  char *bytes; /* names and values of headers, each terminated, then the body; NULL: not kept */
  size_t len, body_at, headers_count;
} vsi_once_answer;

/* Copy the response, or its status alone if the share or the memory does not suffice. */
void vsi_once_answer_keep(vsi_once_answer *answer, vsi_once_share *share, const vestry_response *response);
/* Give its bytes back to the share. */
void vsi_once_answer_drop(vsi_once_answer *answer, vsi_once_share *share);
/* Answer a request by it. Returns what the guard is to return. */
vestry_err vsi_once_answer_repeat(const vsi_once_answer *answer, vestry_reply *reply);

/* As bytes, for other nodes: how many; write them. */
size_t vsi_once_answer_packed_len(const vsi_once_answer *answer);
void vsi_once_answer_pack(const vsi_once_answer *answer, unsigned char *bytes);
/* From bytes, which may say anything; kept as above. OK | FAILED: they are no answer; the answer is untouched */
vestry_err vsi_once_answer_unpack(vsi_once_answer *answer, vsi_once_share *share, const unsigned char *bytes,
                                  size_t len);

/* What a request with a nonce asks for, so that another request with the same nonce is told from it. */
enum { VSI_ONCE_DIGEST_BYTES = 16 };

/* A submission as a storage sees it: names by which it is found, and an answer that only its nonce opens. */
enum { VSI_ONCE_SEAL_BYTES = 12 + 16 }; /* that a sealed answer is longer */

typedef struct vsi_once_sealed {
  char hash[65], owner[65], run[33];
  unsigned char key[32], number[12]; /* number: of the run, which seals one answer */
} vsi_once_sealed;

/* owner: whose submissions are counted together; the nonce is one of the owner's. OK | IO (no randomness) */
vestry_err vsi_once_sealed_init(vsi_once_sealed *sealed, const vestry_host *host, vestry_scope owner,
                                const char *nonce);
/* Seal in place. bytes: VSI_ONCE_SEAL_BYTES of room, then len bytes. */
void vsi_once_seal(const vsi_once_sealed *sealed, unsigned char *bytes, size_t len);
/* Open in place what has len bytes with the seal. Returns whether it is this submission's, as it was sealed; the answer
 * begins after VSI_ONCE_SEAL_BYTES. */
bool vsi_once_open(const vsi_once_sealed *sealed, unsigned char *bytes, size_t len);

/* A submission in a storage that several nodes have. */
typedef struct vsi_once_storage {
  const vestry_host *host;
  const vestry_once_storage_ops *ops; /* NULL: there is none */
  void *ctx;
  uint64_t wait_ms;        /* so long another node's run is waited for */
  size_t max_answer_bytes; /* of one answer */
} vsi_once_storage;

/* Ask whose submission it is, until this run has it, another run has done it, or its end is not known.
 *  digest, answer  of DONE: those of the run that has done it
 *  ret_found       also after an error: RUNNING, if the storage said that another run has it
 *  Returns  OK | NO_MEMORY | LIMIT (another node runs it, and takes long) | FAILED (it was done, and its answer cannot
 *           be read: logged) | what the storage says */
vestry_err vsi_once_stored_begin(const vsi_once_storage *storage, const vsi_once_sealed *sealed, vsi_once_share *share,
                                 unsigned char digest[VSI_ONCE_DIGEST_BYTES], vsi_once_answer *answer,
                                 vestry_once_found *ret_found);
/* The run is over: the other nodes are to have its answer. If that fails, the log says so.
 *  Returns  OK | NO_MEMORY | what the storage says */
vestry_err vsi_once_stored_finish(const vsi_once_storage *storage, const vsi_once_sealed *sealed,
                                  const unsigned char digest[VSI_ONCE_DIGEST_BYTES], const vsi_once_answer *answer);
/* It was not done after all. If that fails, the log says so. Returns  OK | what the storage says */
vestry_err vsi_once_stored_forget(const vsi_once_storage *storage, const vsi_once_sealed *sealed);

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
  TAILQ_HEAD(, vsi_once_record)
  owed; /* ends that the storage has not (once_table.h); guarded by lock, and so for two */
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

/* Ends of submissions that the storage did not take: they are written later, and their submissions are not lost
 * meanwhile. */

/* The end of this record's run could not be written: it is kept, unless too many are. Logs what is dropped for it.
 *  is_undone  it was not done, or has not begun: it is to be forgotten, else finished */
void vsi_once_owed_add(vsi_once_record *record, bool is_undone);
/* Write some, the oldest first, until one fails: before the storage is asked for a submission. Blocks as that does. */
void vsi_once_owed_pay(vsi_once_table *table, const vsi_once_storage *storage);
/* If this submission was not done, and that could not be written yet: the new run goes on under the name of that run,
 * which has the submission in the storage. */
void vsi_once_owed_take_over(vsi_once_table *table, vsi_once_sealed *run);
/* Drop all. */
void vsi_once_owed_finish(vsi_once_table *table);

#endif
