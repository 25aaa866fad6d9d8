/* SPDX-License-Identifier: MIT */
/** Idempotent actions: a guard (vestry/routes.h) under which a repeated request runs its handler once and gets its
 *  response from memory afterwards. The Datastar client repeats requests after a network error, including POST.
 *  docs/guide/csrf-and-tabs.md has the rules.
 *
 *      vestry_once_create(v, NULL, &once);
 *      vestry_guard(v, "/", vestry_once_guard, once);       // after vestry_csrf_guard
 *
 *      char attributes[VESTRY_ONCE_ATTRIBUTES_BYTES];       // in a page, once, outside of patched elements
 *      vestry_once_attributes(req, attributes, sizeof attributes);
 *      vestry_html_add(&html, "<body %-s>", attributes);
 *
 *  An action with vestry_backend_action_options.once sends the header X-Once: the page's nonce, a dot, and a random
 *  value for this submission. A form that is sent without Datastar needs a hidden field `once` with a nonce from
 *  vestry_once_nonce. */
#ifndef VESTRY_ONCE_H
#define VESTRY_ONCE_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The table of submissions, and the guard's state. */
typedef struct vestry_once vestry_once;

/** A submission (an action or form sent by the user, with all repetitions of its request), as passed to a storage.
 *  Answers are encrypted before they are stored. The storage can compute neither the nonce nor the encryption key from
 *  these members. */
typedef struct vestry_once_submission {
  const char *hash;  /**< identifies the submission: a hash of the nonce and of the user or scope; 64 hexadecimal
                          digits */
  const char *owner; /**< hash of the user or scope: 64 hexadecimal digits; "": the request has neither, and
                          max_per_scope_count does not apply to it */
  const char *run;   /**< identifies this run of the handler (32 digits), so that no other run can finish the
                          submission */
  uint64_t again_ms; /**< not 0: the action is one transaction, which also marks the submission as done by this run
                          (acts and forms of vestry/app/application.h, with a storage in their database). If it is not
                          marked after this time, another run may begin. 0: any other action */
} vestry_once_submission;

/** State of a submission in a storage. */
typedef enum vestry_once_found {
  VESTRY_ONCE_NEW = 1, /**< this run holds the submission now */
  VESTRY_ONCE_RUNNING, /**< another run holds it */
  VESTRY_ONCE_DONE,    /**< done; its response is stored */
  VESTRY_ONCE_UNKNOWN  /**< another run did not end in time: whether the submission is done is unknown */
} vestry_once_found;

/** Functions of a storage, which shares submissions among nodes and keeps them over a restart. Called on the threads
 *  that serve requests, concurrently, no lock held; may block. All are mandatory. A failed call of finish or forget is
 *  repeated: before later submissions, every five seconds on a thread of the instance's runtime, and in
 *  vestry_once_destroy. At most 1,000 failed calls are kept for this; beyond that, the oldest call of the user or
 *  client with the most kept calls is dropped. The log has one warning when calls begin to fail, and their number when
 *  they succeed again. */
typedef struct vestry_once_storage_ops {
  /** Acquire the submission for this run, unless another run holds it or has finished it. A second call for the same
   *  run returns the same result; it follows if the response is longer than capacity. The storage limits the time of a
   *  run. If another run has not ended in this time, for example because its node has died, return UNKNOWN (the request
   *  gets 409), or NEW if handlers may run a second time.
   *  response  for DONE: receives at most capacity bytes
   *  ret_len   for DONE: length of the stored response, which may exceed capacity
   *  Returns  OK | any error, with which the request is answered; its handler does not run */
  vestry_err (*begin)(void *ctx, const vestry_once_submission *submission, vestry_once_found *ret_found, void *response,
                      size_t capacity, size_t *ret_len);
  /** Store the response, if this run still holds the submission.
   *  Returns  OK | NOT_FOUND (this run does not hold the submission any more, and nothing was stored; logged) | any
   *           other error (logged): the submission counts as running in the storage until the repeated call
   *           succeeds */
  vestry_err (*finish)(void *ctx, const vestry_once_submission *submission, const void *response, size_t len);
  /** Delete the submission, if this run still holds it. Called in two cases: the handler returned LIMIT or FULL, which
   *  means that it did nothing and may run again; or `begin` returned an error, but may have stored the submission
   *  nevertheless.
   *  Returns  OK, also if this run does not hold it any more | any error, as for finish */
  vestry_err (*forget)(void *ctx, const vestry_once_submission *submission);
} vestry_once_storage_ops;

/** Options of a vestry_once. Zero is the default. */
typedef struct vestry_once_options {
  uint64_t lifetime_ms;       /**< a submission is evicted this time after the arrival of its first request; 0: 10
                                   minutes. The client repeats a request for four minutes */
  size_t max_count;           /**< maximum number of submissions in the table; 0: 100,000. Each takes 300 bytes plus its
                                   nonce */
  size_t max_per_scope_count; /**< maximum number of submissions of one user or scope; 0: 1,000. Requests without a
                                   scope are not limited. If the instance has neither sessions nor a scope function, 0
                                   means no maximum, and another value is the maximum of all submissions together */
  size_t max_response_bytes;  /**< maximum size of a stored response, with headers; 0: 4,096. Of a larger response only
                                   the status is repeated: 204, or that of an error */
  size_t max_all_responses_bytes; /**< maximum size of all stored responses; 0: 16 MiB. One person (user, scope, or
                                       address of anonymous users) has at most a quarter of it, but at least
                                       max_response_bytes. Of a further response only the status is repeated */
  bool required;              /**< an unsafe request (all but GET, HEAD, OPTIONS, QUERY and TRACE) without a nonce gets
                                   403 */
  size_t max_anonymous_count; /**< part of max_count that is reserved for anonymous users (vestry_session_is_anonymous);
                                   the rest is reserved for users who have logged in. 0: half of max_count.
                                   max_all_responses_bytes is divided in the same ratio, and a person
                                   has a quarter of the part. The maximum of one address
                                   (IPv6: one /64) is a quarter of this number, but at least 1,000. Without sessions
                                   nothing is divided */
  uint64_t retries_ms; /**< a submission that is younger than this is not evicted for one of another scope, because its
                            client may still repeat it; 0: 5 minutes */
  const vestry_once_storage_ops *storage; /**< borrowed; NULL: memory alone. With a storage, memory is its cache. All
                                               nodes (processes that share the storage) must pass the same secret to
                                               vestry_secret_set. A request that waits for a run on another node polls
                                               the storage a few times a second. Used until vestry_once_destroy */
  void *storage_ctx;                      /**< passed to the functions of storage */
  uint64_t wait_ms; /**< maximum wait of a repetition for the run of its submission, in this process or on another
                         node; then 503, and the client repeats it later. One thread waits at a time; further
                         repetitions get 503 at once, so that they do not take all threads of a server. 0: 1 s */
} vestry_once_options;

/** Size of a nonce: 64 hexadecimal digits and a NUL. */
#define VESTRY_ONCE_NONCE_BYTES 65

/** Create a table of submissions.
 *  v         borrowed until vestry_once_destroy
 *  options   NULL: the defaults
 *  ret_once  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | CLOSED (the instance's runtime has stopped) | IO (no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_once_create(vestry *v, const vestry_once_options *options, vestry_once **ret_once);
/** Destroy a table, after the last request that uses it and before vestry_destroy. With a storage, this blocks while it
 *  repeats failed calls. NULL is accepted. */
VESTRY_API void vestry_once_destroy(vestry_once *once);

/** Run each submission once: a guard for vestry_guard; app is the vestry_once. Guards before it run for repetitions,
 *  too; guards after it run only for the first request. A request whose nonce was not issued for its scope gets 403. A
 *  repetition waits on its thread until the first request has a response, for at most wait_ms; while one waits, others
 *  get 503 with Retry-After at once, and the client repeats them. A storage may block the thread, too. Uploads
 *  (vestry/app/upload.h) pass unchecked, because their body is read after the guards have run, and the client does not
 *  repeat them. */
VESTRY_API vestry_err vestry_once_guard(const vestry_request *req, vestry_reply *reply, void *app);

/** Sufficient size of a buffer for vestry_once_attributes. */
#define VESTRY_ONCE_ATTRIBUTES_BYTES 6144

/** Write attributes for the start tag of the body, or of another element. This element must begin before all elements
 *  that send requests, and no patch may replace it. The attributes are the signal `_once`, whose value is a nonce, and
 *  `data-init__once`, a script that queues submissions. Insert them with %-s, because they are HTML already.
 *  req      not NULL: the render of a part (vestry_render_part) has no request, so put the attributes into its page
 *  buffer   receives at most capacity - 1 bytes and a NUL; untouched on failure
 *  Returns  OK | INVALID (buffer NULL with capacity > 0; req NULL; or as vestry_once_nonce) | TOO_LARGE (capacity) |
 *           NO_MEMORY | IO (no randomness)
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_once_attributes(const vestry_request *req, char *buffer, size_t capacity);

/** Make a nonce for a page or a form. It takes no memory until a request uses it. A later request with the same nonce
 *  is a repetition, and gets the first response, if its method, path, query and fields equal those of the first. If the
 *  nonce is in a signal `once`, the fields may differ; if it is in the header X-Once, query and body may differ. Any
 *  other request with this nonce gets 409. Therefore, forms of a document may share a nonce only if the user can send
 *  only one of them.
 *
 *  A shared page (vestry_page_serve with a share key) is rendered without the scope of a user. If the instance has
 *  neither sessions nor a scope function, its nonces are valid for all clients. Otherwise the guard would reject each
 *  request of the page, and this function returns INVALID: serve a private page, and put what its users share into a
 *  part (vestry_render_part).
 *  Returns  OK | INVALID (logged: the render of a shared page, if the instance has sessions or scopes; not logged: req
 *           is NULL, as in the render of a part) | NO_MEMORY | IO (no randomness)
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_once_nonce(const vestry_request *req, char nonce[VESTRY_ONCE_NONCE_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
