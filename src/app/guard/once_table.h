/* SPDX-License-Identifier: MIT */
/* The bounded table of submissions that this process has seen; their responses; and the storage shared by several
 * nodes.
 *
 * Words. A submission is a request with a nonce; its record is its entry in the table. A record is settled when its
 * request has a response or has failed. The storage gets sealed data: hashes of the nonce, and the encrypted response
 * (once_storage.c). An end is owed (pending) if the storage could not take the result of a run. */
#ifndef VSI_GUARD_ONCE_TABLE_H
#define VSI_GUARD_ONCE_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "app/guard/once_mark.h"
#include "app/guard/proof.h"
#include "app/session/owed.h"
#include "base/map.h"
#include "base/mutex.h"
#include "base/refs.h"
#include "http/reply.h"
#include "http/routes/routes.h"
#include "vestry/adapter.h"
#include "vestry/app/once.h"
#include "vestry/host.h"
#include "vestry/key.h"
#include "vestry/store.h"

/* A budget of bytes for stored responses. */
typedef struct vsi_once_share {
  const vestry_host *host;
  size_t max_response_bytes, max_bytes; /* for one response; for all */
  _Atomic(size_t) bytes;                /* relaxed; concurrent threads may exceed max_bytes by one response each */
} vsi_once_share;

/* A response that repetitions get. Zero: no response. */
typedef struct vsi_once_response {
  int status;  /* 0: the response was a stream */
  char *bytes; /* names and values of the headers, each terminated, then the body; NULL: not stored */
  size_t len, body_at, headers_count;
} vsi_once_response;

/* Copy a response; only its status if the budget or the memory does not suffice. */
void vsi_once_response_keep(vsi_once_response *stored, vsi_once_share *share, const vestry_response *response);
/* Return a hash of a response without Cache-Control and Set-Cookie, which the server sets again when it repeats the
 * response. The order of the headers does not matter. */
uint64_t vsi_once_response_hash(const vsi_once_response *stored, const vsi_siphash_key key);
/* Free the bytes and return them to the budget. */
void vsi_once_response_drop(vsi_once_response *stored, vsi_once_share *share);
/* Answer a request with a stored response. Returns the result of the guard. */
vestry_err vsi_once_response_repeat(const vsi_once_response *stored, vestry_reply *reply);

/* Return the size of a response packed for the storage; write it. */
size_t vsi_once_response_packed_len(const vsi_once_response *stored);
void vsi_once_response_pack(const vsi_once_response *stored, unsigned char *bytes);
/* Unpack a response from bytes of any content, and store it as vsi_once_response_keep does. OK | FAILED: the bytes are
 * not a response; *stored is untouched */
vestry_err vsi_once_response_unpack(vsi_once_response *stored, vsi_once_share *share, const unsigned char *bytes,
                                    size_t len);

/* Size of the digest that distinguishes a repetition of a request from another request with the same nonce. */
enum { VSI_ONCE_DIGEST_BYTES = 16 };

/* A submission as a storage sees it: keys by which it is found, and a response that only its nonce can decrypt. */
enum { VSI_ONCE_SEAL_BYTES = 12 + 16 }; /* how much longer a sealed response is */

typedef struct vsi_once_sealed {
  char hash[65], owner[65], run[33];
  unsigned char key[32], number[12]; /* number: random, drawn for each run; the nonce of the cipher, which must be used
                                        once, and a run seals one response */
  uint64_t again_ms;                 /* of vestry_once_submission */
} vsi_once_sealed;

/* Derive keys and hashes for the storage. owner: the scope whose submissions are counted together; the nonce belongs to
 * it. OK | IO (no randomness) */
vestry_err vsi_once_sealed_init(vsi_once_sealed *sealed, const vestry_host *host, vestry_scope owner,
                                const char *nonce);
/* Seal in place. bytes: VSI_ONCE_SEAL_BYTES of room, followed by len bytes. */
void vsi_once_seal(const vsi_once_sealed *sealed, unsigned char *bytes, size_t len);
/* Open in place. len includes the seal. Returns whether the bytes were sealed for this submission and are unchanged;
 * the response begins after VSI_ONCE_SEAL_BYTES. */
bool vsi_once_open(const vsi_once_sealed *sealed, unsigned char *bytes, size_t len);

/* The storage of an instance, shared by several nodes. */
typedef struct vsi_once_storage {
  const vestry_host *host;
  const vestry_once_storage_ops *ops; /* NULL: no storage */
  void *ctx;
  uint64_t wait_ms;          /* maximum wait for a run on another node */
  _Atomic(bool) *has_waiter; /* that of the table */
  size_t max_response_bytes; /* for one response */
  vsi_owed owed;             /* ends of runs that the storage has not received */
  vsi_repeated_log failures;
} vsi_once_storage;

/* Initialize the list of pending ends, the members before it being set. Call vsi_owed_finish after a failure, too.
 * OK | NO_MEMORY | CLOSED */
vestry_err vsi_once_storage_init(vsi_once_storage *storage, vestry_runtime *runtime);

/* Poll the storage until this run has the submission, another run has finished it, or its end is unknown.
 *  digest, stored  for DONE: those of the run that finished it
 *  ret_found       set also on an error: NEW, if the storage may have stored the submission for this run
 *  Returns  OK | NO_MEMORY | LIMIT (another node is running it for longer than wait_ms, or another thread waits) |
 *           FAILED (it is done, but its response cannot be read; logged) | the storage's error */
vestry_err vsi_once_stored_begin(vsi_once_storage *storage, const vsi_once_sealed *sealed, vsi_once_share *share,
                                 unsigned char digest[VSI_ONCE_DIGEST_BYTES], vsi_once_response *stored,
                                 vestry_once_found *ret_found);
struct vsi_once_record;

/* The records of one person, by its hash, and the bytes of their responses. */
typedef struct vsi_once_person {
  vsi_map_link in; /* first member */
  size_t count, bytes;
} vsi_once_person;

/* The places for records, of users or of anonymous users. */
typedef struct vsi_once_places {
  size_t max_count, count;            /* count: guarded by table->lock */
  size_t max_per_person;              /* records; SIZE_MAX for users, whose scope has a maximum */
  size_t max_bytes_per_person;        /* of responses */
  vsi_map persons;                    /* the persons that have records; guarded by table->lock */
  TAILQ_HEAD(, vsi_once_record) line; /* the oldest first; guarded by table->lock */
  vsi_once_share responses;
} vsi_once_places;

typedef struct vsi_once_table {
  const vestry_host *host;
  vestry_store *store;      /* the records */
  uint64_t retries_ns;      /* a younger record is not evicted for another one */
  uint64_t wait_ms;         /* maximum wait for a run */
  _Atomic(bool) has_waiter; /* a thread waits for a run, of this process or of another node; others do not */
  bool has_scopes;          /* so a request without a scope is from an unknown client */
  vsi_mutex lock;
  pthread_cond_t answered; /* a record was settled */
  vsi_once_places users, anonymous;
} vsi_once_table;

typedef enum vsi_once_progress {
  VSI_ONCE_RUNS,
  VSI_ONCE_ANSWERED,
  VSI_ONCE_FORGOTTEN, /* the action was not performed; the next request runs */
  VSI_ONCE_FAILED     /* the storage returned an error, which waiting requests get, too */
} vsi_once_progress;

typedef struct vsi_once_record {
  vsi_watcher watcher; /* first */
  vestry_once *once;
  vsi_once_table *table;
  vsi_once_places *places; /* the share of places in which it is counted */
  vsi_refs refs;
  uint64_t came_ns;
  uint64_t person;                 /* hash; 0: unknown */
  vsi_once_person *counted;        /* guarded by table->lock; NULL: the record is not counted for its person */
  TAILQ_ENTRY(vsi_once_record) at; /* guarded by table->lock */
  bool in_line, has_left;          /* guarded by table->lock; has_left: it has left the store */
  size_t counted_bytes;            /* of the response, for `counted`; guarded by table->lock */
  vestry_handle handle;            /* used only by the request that runs */
  vsi_once_progress progress;      /* guarded by table->lock; the members below are constant from ANSWERED on */
  vestry_err error;                /* for FAILED; constant from then on */
  unsigned char digest[VSI_ONCE_DIGEST_BYTES];
  vsi_once_response response;
  vsi_once_sealed *sealed; /* for the storage, in the request that runs; owned; NULL: no storage */
  vsi_owed_call owed;      /* the end of the run, while it is pending */
  bool is_undone;          /* the action was not performed; set before the end is pending */
  bool is_marked;          /* the storage has the response already, by vsi_once_mark; as mark_hash, used only by the
                              request that runs */
  uint64_t mark_hash;      /* of the response that vsi_once_mark has stored, if is_marked */
} vsi_once_record;

/* Initialize a table. v's runtime drives its store. Call vsi_once_table_finish after a failure, too.
 * options  with the defaults filled in
 * OK | NO_MEMORY | CLOSED | IO */
vestry_err vsi_once_table_init(vsi_once_table *table, vestry *v, const vestry_once_options *options);
void vsi_once_table_finish(vsi_once_table *table);

/* Create a record with one reference, outside of the table. Its arrival is now, on the host's clock. NULL: no
 * memory. */
vsi_once_record *vsi_once_record_create(vsi_once_table *table, vsi_once_places *places);
/* Take and drop a reference, also as functions for a store. unref accepts NULL. */
void vsi_once_record_ref(void *record);
void vsi_once_record_unref(void *record);

/* Put a record into the table, or find the one with the same scope and nonce.
 *  ret_there  receives a reference to the one found; NULL: made is in the table now
 *  Returns    OK | NO_MEMORY | LIMIT (no place) | the errors of vestry_store_put */
vestry_err vsi_once_table_put(vsi_once_table *table, vestry_scope scope, const char *nonce, vsi_once_record *made,
                              vsi_once_record **ret_there);
/* Remove a record from the table: the next request with its nonce runs. */
void vsi_once_record_remove(vsi_once_record *record);
/* Set the progress of a record, and wake the threads that wait for it. Only the status of its response stays, if the
 * responses of its person would have too many bytes. */
void vsi_once_record_settle(vsi_once_record *record, vsi_once_progress reached);
/* Wait until a record is settled, for at most table->wait_ms; not at all if another thread waits. Returns its progress;
 * RUNS: the wait was too long, or there was none. */
vsi_once_progress vsi_once_record_wait(vsi_once_record *record);

/* Mark the submission of a record: as vsi_once_mark. */
vestry_err vsi_once_stored_mark(const vsi_once_record *record, const vsi_once_response *response, vsi_once_mark_fn mark,
                                void *ctx);

/* ---- the end of a run: the storage receives it at once, or later */

/* Report the end of this record's run to the storage: its response, or, if the action was not performed, that the
 * submission is free. If the storage fails, the end is pending: it is reported later. Does nothing without a storage.
 */
void vsi_once_stored_end(vsi_once_storage *storage, vsi_once_record *record, bool is_undone);
/* Keep the end of a run that did not begin, because the storage may have stored the submission although it failed.
 * why: its error */
void vsi_once_stored_doubt(vsi_once_storage *storage, vsi_once_record *record, vestry_err why);
/* If an earlier run of this submission was not performed, and its end is still pending, continue under the name of that
 * run, because the storage still assigns the submission to it. The end is not pending any more then. */
void vsi_once_stored_take_over(vsi_once_storage *storage, const vsi_once_record *record);

#endif
