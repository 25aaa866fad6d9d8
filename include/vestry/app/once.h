/* SPDX-License-Identifier: MIT */
/** Idempotent actions: a guard (a function that runs before handlers: vestry/routes.h) that runs a repeated request
 *  once and answers the repetitions from memory. The Datastar client repeats a request after a network error, POST too.
 *  Rules: docs/guide/csrf-and-tabs.md.
 *
 *      vestry_once_create(v, NULL, &once);
 *      vestry_guard(v, "/", vestry_once_guard, once);       // after vestry_csrf_guard
 *
 *      char attributes[VESTRY_ONCE_ATTRIBUTES_BYTES];       // in a page, once, outside of patched elements
 *      vestry_once_attributes(req, attributes, sizeof attributes);
 *      vestry_html_add(&html, "<body %-s>", attributes);
 *
 *  An action with vestry_backend_action_options.once sends the header X-Once: the page's nonce, a dot, and a random
 *  value for this submission. To a form that the browser sends without Datastar, add a hidden field `once` with a nonce
 *  of vestry_once_nonce. */
#ifndef VESTRY_ONCE_H
#define VESTRY_ONCE_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The table of submissions, and the guard's state. */
typedef struct vestry_once vestry_once;

/** A submission (an action or form that was sent once, with all its repetitions) as a storage sees it. Answers are
 *  encrypted before they are stored. From these members the storage can compute neither the nonce nor the encryption
 *  key. */
typedef struct vestry_once_submission {
  size_t size;       /**< sizeof(vestry_once_submission) */
  const char *hash;  /**< identifies the submission: a hash of user or scope and nonce, as 64 hexadecimal digits */
  const char *owner; /**< hash of the user or scope: 64 hexadecimal digits; "": the request has neither, and no maximum
                          per owner applies to it */
  const char *run;   /**< identifies this run of the handler (32 digits), so that no other run can finish the
                          submission */
} vestry_once_submission;

/** State of a submission in a storage. */
typedef enum vestry_once_found {
  VESTRY_ONCE_NEW = 1, /**< this run has it now */
  VESTRY_ONCE_RUNNING, /**< another run has it */
  VESTRY_ONCE_DONE,    /**< done; its answer is stored */
  VESTRY_ONCE_UNKNOWN  /**< another run did not end in time, so the submission may be done or not */
} vestry_once_found;

/** Functions of a storage, which shares submissions among nodes and keeps them over a restart. Called on the threads
 *  that serve requests, concurrently, no lock held; may block. A call of finish or forget that failed is made again:
 *  before later submissions, every five seconds on a thread of the instance's runtime, and in vestry_once_destroy. At
 *  most 1,000 such calls are kept; beyond that, the user or client with the most loses the oldest. The log has one
 *  warning when calls begin to fail, and their number when they succeed again. All are mandatory. */
typedef struct vestry_once_storage_ops {
  size_t size; /**< sizeof(vestry_once_storage_ops), or 0 */
  /** Take the submission for this run, unless another run has or had it. A second call of the same run returns the
   *  same. The storage limits the time of a run. If a run has not ended in this time, for example because its node has
   *  died, return UNKNOWN (the request gets 409); or NEW, if handlers may run a second time.
   *  answer   for DONE: receives at most capacity bytes
   *  ret_len  for DONE: length of the stored answer, which may exceed capacity
   *  Returns  OK | any error, with which the request is answered; its handler does not run */
  vestry_err (*begin)(void *ctx, const vestry_once_submission *submission, vestry_once_found *ret_found, void *answer,
                      size_t capacity, size_t *ret_len);
  /** Store the answer, if this run still has the submission.
   *  Returns  OK | NOT_FOUND (this run does not have it any more, and nothing was stored; logged) | any other error,
   *           which is logged. Then the storage does not know that the submission is done, until the call is made again
   */
  vestry_err (*finish)(void *ctx, const vestry_once_submission *submission, const void *answer, size_t len);
  /** Delete the submission, if this run still has it. Called in two cases: the handler returned LIMIT or FULL, which
   *  means that it did nothing and may run again; or `begin` returned an error, although it may have stored the
   *  submission.
   *  Returns  OK, also if this run does not have it any more | any error, as for finish */
  vestry_err (*forget)(void *ctx, const vestry_once_submission *submission);
} vestry_once_storage_ops;

/** Options of a vestry_once. Zero is the default. */
typedef struct vestry_once_options {
  size_t size;                /**< sizeof(vestry_once_options), or 0 */
  uint64_t lifetime_ms;       /**< time from the arrival of a submission's first request until the submission is
                                   evicted. The client repeats for four minutes. 0: 10 minutes */
  size_t max_count;           /**< maximum number of submissions in the table; each takes 300 bytes and its nonce; 0:
                                   100,000 */
  size_t max_per_scope_count; /**< maximum number of submissions of one user or scope; 0: 1,000. Requests without a
                                   scope are not limited. Exception: if the instance has neither sessions nor a scope
                                   function, 0 means no maximum, and another value is the maximum of all submissions
                                   together */
  size_t max_answer_bytes;    /**< maximum size of a stored answer, with headers; 0: 4,096 */
  size_t max_answers_bytes;   /**< maximum size of all stored answers; 0: 16 MiB */
  bool required;              /**< an unsafe request without a nonce gets 403 */
  size_t max_anonymous_count; /**< how many of max_count are for submissions of anonymous users
                                   (vestry_session_is_anonymous); the others are for users who have logged in.
                                   max_answers_bytes is divided in the same ratio. 0: half of max_count. One address
                                   (IPv6: one /64) may have a quarter of this number, but at least 1,000. Without
                                   sessions nothing is divided */
  uint64_t retries_ms; /**< a submission that is younger than this is not evicted in favour of another scope, because
                            its client may still repeat it; 0: 5 minutes */
  const vestry_once_storage_ops *storage; /**< borrowed; NULL: memory alone. With a storage, memory is its cache. All
                                               nodes (processes that share the storage) must pass the same secret to
                                               vestry_secret_set. A request that waits for a run on another node polls
                                               the storage a few times a second. Used until vestry_once_destroy */
  void *storage_ctx;                      /**< passed to its functions */
  uint64_t wait_ms;                       /**< maximum wait for a run on another node, then 503; 0: 10 s */
} vestry_once_options;

/** Counters of a vestry_once. */
typedef struct vestry_once_stats {
  size_t size;                                /**< sizeof(vestry_once_stats), or 0 */
  uint64_t begun_count, repeated_count;       /**< submissions that ran; repetitions answered from memory or storage */
  uint64_t refused_count;                     /**< 503 because the table was full: an attack, or max_count is too low */
  uint64_t remembered_count, anonymous_count; /**< submissions in the table; those of anonymous users among them */
  uint64_t answers_bytes;                     /**< size of the stored answers */
  uint64_t unknown_count;                     /**< 409 because the storage returned UNKNOWN */
} vestry_once_stats;

/** Size of a nonce: 64 hexadecimal digits and a NUL. */
#define VESTRY_ONCE_NONCE_BYTES 65

/** Create a table of submissions.
 *  v         borrowed until vestry_once_destroy
 *  options   NULL: the defaults
 *  ret_once  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | CLOSED (the instance's runtime has stopped) | IO (no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_once_create(vestry *v, const vestry_once_options *options, vestry_once **ret_once);
/** Destroy a table, after the last request that uses it and before vestry_destroy. With a storage, this blocks while
 *  calls that failed are made again. NULL is accepted. */
VESTRY_API void vestry_once_destroy(vestry_once *once);

/** Run each submission once: a guard for vestry_guard; app is the vestry_once. Guards before it run for repetitions
 *  too, guards after it only for the first request. Uploads (vestry/app/upload.h) pass unchecked, because their body is
 *  read after the guards have run, and the client does not repeat them. */
VESTRY_API vestry_err vestry_once_guard(const vestry_request *req, vestry_reply *reply, void *app);

/** Get a snapshot of the counters. Threads any; takes a lock briefly. */
VESTRY_API void vestry_once_stats_get(vestry_once *once, vestry_once_stats *ret_stats);

/** Sufficient size for the attributes. */
#define VESTRY_ONCE_ATTRIBUTES_BYTES 6144

/** Write attributes for the start tag of the body, or of another element. This element must begin before all elements
 *  that send requests, and no patch may replace it. The attributes are the signal `_once`, whose value is a nonce, and
 *  `data-init__once`, a script that queues submissions. Insert them with %-s, because they are HTML already.
 *  buffer   receives at most capacity - 1 bytes and a NUL; untouched on failure
 *  Returns  OK | INVALID (buffer NULL with capacity > 0) | TOO_LARGE (capacity) | IO (no randomness)
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_once_attributes(const vestry_request *req, char *buffer, size_t capacity);

/** Make a nonce for a page or a form. Several forms of a document can share a nonce if the user can send only one of
 *  them. A second form with the same nonce gets 409. If its path, query and fields equal those of the first, it is a
 *  repetition instead and gets the first answer; if the nonce is in a signal `once`, equal path and query suffice. A
 *  nonce takes no memory until a request uses it.
 *  Returns  OK | IO (no randomness)
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_once_nonce(const vestry_request *req, char nonce[VESTRY_ONCE_NONCE_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
