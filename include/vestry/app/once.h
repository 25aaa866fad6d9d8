/* SPDX-License-Identifier: MIT */
/** Actions that run once. The Datastar client repeats a request that the network has broken, POST too and whatever its
 *  `retry` says, with the headers that it had; since 1.0.3 it builds URL and body anew, of the signals and the form as
 *  they are then. A guard that knows what it has seen lets the first request run, and answers the others as it was
 *  answered; and the actions carry what they say with them, so that each repetition says what was meant by the
 *  submission.
 *
 *      vestry_once_create(v, NULL, &once);
 *      vestry_guard(v, "/", vestry_once_guard, once);       // after vestry_csrf_guard
 *
 *      char attributes[VESTRY_ONCE_ATTRIBUTES_BYTES];       // a page, once, outside what is patched
 *      vestry_once_attributes(req, attributes, sizeof attributes);
 *      vestry_html_add(&html, "<body %-s>", attributes);
 *      // an action: vestry_backend_action_options.once writes a header into it, X-Once: of the page's nonce, a dot and
 *      // what tells this submission from others. Repeated requests have the same, the next submission has another
 *      // a form without the client: <input type="hidden" name="once" value="%s">, of vestry_once_nonce: this form,
 *      // filled in like this, once; so also if it is sent by a double click
 *
 *  Of unsafe requests (as in vestry/app/csrf.h) with the same nonce, in the same scope, the handler sees one. One that
 *  repeats it
 *  - while it runs, waits, on its thread, until it is answered: as long as the handler takes;
 *  - then gets its answer: status, headers and body. If they were too large to be kept: a status of 400 and more
 *    without them, or else 204. And 204 if it was a stream, which got what there was;
 *  - runs after all if the first one's guard or handler said LIMIT or FULL, "not now";
 *  - with a form's nonce, but other fields, or for another path, is answered 409: it was sent already.
 *  What has a nonce that was not made here for this scope is answered 403; what has none runs as ever, unless it is
 *  required. The first one is forgotten after lifetime_ms, or after max_per_scope_count others of its own scope (or of
 *  its user, in all his sessions), the one that was used longest ago: its repetition would run again. Others do not
 *  make it forgotten before the client has given up: where there is no room for one more but for one younger than
 *  retries_ms, the newcomer is answered 503, and is not done. Requests without a logged-in user, of an instance with
 *  sessions, have a share of the room, for any client can invent them. After a crash a repetition runs again, too: an
 *  application that must not have that keeps the nonce (the header X-Once, or the field) beside the data, as
 *  examples/chat does.
 *  With a storage (vestry/data/sql.h) nodes share what they have seen, and a crash forgets nothing: what is
 *  known to be done is answered as it was. A repetition of what was under way at the crash is answered 503 while its
 *  node may yet live, then 409, "not known", and is not done.
 *
 *  The actions of a page with these attributes
 *  - are sent one at a time, in the order of the submissions, each when the former is answered (or its answer's first
 *    event has come), so that they arrive in this order however often each is repeated. One that takes long holds up
 *    those after it, unless it is `unordered`. An answer of the type text/javascript is never over, as the client sees
 *    it, and holds them up for good: answer with vestry_reply_redirect, an effect, or patches (the log says so, too);
 *  - that found no server, and wait for the client's next try, up to half a minute, are sent as soon as the page's
 *    stream (vestry/app/page.h) brings something; unless `cancellation` says something else than DISABLED;
 *  - with CONTENT_FORM send the form as it was at the submission, files too. If it is invalid then, the browser shows
 *    where, and nothing is sent. (Of an action that is not `once`, the client reads the form anew for a retry, and if
 *    it has become invalid shows that and ends without telling `finished`, nor an error.);
 *  - with `deduplicate` are sent once for identical submissions: one that arrives before the first answer, within
 *    500 ms, or as the second half of a double click is a repeat. Meanwhile the element is `aria-busy`. If the client
 *    has given up, submitting again repeats the request with its nonce;
 *  - leave their options at the element as `el.once`: a script that hears in `datastar-fetch` that one has failed finds
 *    in `el.once.payload` what it said;
 *  - with `sent` say what is under way, until the page shows it. `.sent = "_saving"`: the signal `_saving` is how many
 *    such submissions of the page were sent and are not seen yet, 0 or nothing: data-show="$_saving". One is seen when
 *    the page's stream (vestry/app/page.h) has sent all that was refreshed, or committed to a database that is
 *    followed, until the submission's handler had ended; also if that changes nothing here, if its render comes long
 *    after the answer, and if the stream was away meanwhile: the new one's first renders count. What the handler
 *    changes and does not refresh, or leaves to be done later, is not waited for, nor is a copy of a database that
 *    another node reads late. On a page without a stream, or whose stream is over, a submission is seen when it is
 *    answered. One that fails is no longer under way, and the signal `_savingFailed` says why, until the next
 *    submission: a status of 400 and more as a text ("422"), or "network", if the client has given up: whether it was
 *    done is not known then. A page that has more than 16 under way at a time may see some five seconds late, and so
 *    may one of a cluster, of which a message was lost.
 *  On a page that has only the signal `_once` (of vestry_once_nonce), each action still runs once with the signals of
 *  its submission; but in no order, forms are read anew, each submission is one, and `sent` says nothing. */
#ifndef VESTRY_ONCE_H
#define VESTRY_ONCE_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What has been seen. */
typedef struct vestry_once vestry_once;

/** A submission, as a storage sees it: neither its nonce nor the seal of its answer follows from these members. */
typedef struct vestry_once_submission {
  size_t size;       /**< sizeof(vestry_once_submission) */
  const char *hash;  /**< of owner and nonce, 64 hexadecimal digits: by this it is found */
  const char *owner; /**< whose submissions are counted together, 64 digits; "": of no scope, not counted together */
  const char *run;   /**< this try of it, 32 digits: what another try has finished is not this one's */
} vestry_once_submission;

/** What a storage has found. */
typedef enum vestry_once_found {
  VESTRY_ONCE_NEW = 1, /**< the submission is this run's now */
  VESTRY_ONCE_RUNNING, /**< another run has it */
  VESTRY_ONCE_DONE,    /**< it was done: there is its answer */
  VESTRY_ONCE_UNKNOWN  /**< another run had it, which has not ended in time: it may have been done, or not */
} vestry_once_found;

/** Where submissions are stored for several nodes, or for a restart. On the thread that serves the request, no lock
 *  held; may block; several at once. All are mandatory. */
typedef struct vestry_once_storage_ops {
  size_t size; /**< sizeof(vestry_once_storage_ops), or 0 */
  /** Take the submission for this run, unless another run has it, or has had it. Asked again by the same run it says
   *  the same. A storage that never answers UNKNOWN lets a submission run again whose run has not ended in time.
   *  answer  DONE: receives at most capacity bytes, and ret_len is how many there are, even if that is more
   *  OK | any error: the request is answered with it, and not done. */
  vestry_err (*begin)(void *ctx, const vestry_once_submission *submission, vestry_once_found *ret_found, void *answer,
                      size_t capacity, size_t *ret_len);
  /** Keep the answer, if the submission is this run's yet. OK | any error, which is logged: its end is not known. */
  vestry_err (*finish)(void *ctx, const vestry_once_submission *submission, const void *answer, size_t len);
  /** It was not done after all: forget the submission, if it is this run's. Likewise. */
  vestry_err (*forget)(void *ctx, const vestry_once_submission *submission);
} vestry_once_storage_ops;

/** What is remembered, and how long. Zero is the default. */
typedef struct vestry_once_options {
  size_t size;                /**< sizeof(vestry_once_options), or 0 */
  uint64_t lifetime_ms;       /**< since a request came; the client repeats for four minutes; 0: 10 minutes */
  size_t max_count;           /**< requests remembered, 300 bytes each and the nonce; 0: 100,000 */
  size_t max_per_scope_count; /**< of one user or scope; 0: 1,000, but no bound if the instance has neither sessions nor
                                   scopes. Not of requests without a scope where others have one */
  size_t max_answer_bytes;    /**< an answer's headers and body, to be kept; 0: 4,096 */
  size_t max_answers_bytes;   /**< all answers', together; 0: 16 MiB */
  bool required;              /**< an unsafe request without a nonce is answered 403 */
  size_t max_anonymous_count; /**< of max_count, anonymous users' at most; max_answers_bytes is shared out likewise; 0:
                                half.
                                   One address (an IPv6 address by its /64) has a quarter of them, but at least 1,000.
                                   All are alike if the instance has no sessions */
  uint64_t retries_ms;        /**< one that came less long ago is not forgotten for another scope's; 0: 5 minutes */
  const vestry_once_storage_ops *storage; /**< borrowed; NULL: memory alone. With one, memory is its cache, nodes have
                                               the same vestry_secret_set, and requests that wait for another
                                               node's run ask again, a few times a second */
  void *storage_ctx;                      /**< handed to its functions */
  uint64_t wait_ms; /**< so long a run of another node is waited for, before 503 is answered; 0: 10 s */
} vestry_once_options;

/** Counters of a vestry_once. */
typedef struct vestry_once_stats {
  size_t size;                                /**< sizeof(vestry_once_stats), or 0 */
  uint64_t begun_count, repeated_count;       /**< requests that ran; that were answered as one that had run */
  uint64_t refused_count;                     /**< answered 503: no room. Rises: an attack, or max_count is too low */
  uint64_t remembered_count, anonymous_count; /**< now; of these anonymous users' */
  uint64_t answers_bytes;                     /**< of answers that are kept */
  uint64_t unknown_count; /**< answered 409: the storage does not know how their first run has ended */
} vestry_once_stats;

/** Room for a nonce: 64 hexadecimal digits and a NUL. */
#define VESTRY_ONCE_NONCE_BYTES 65

/** Create one.
 *  v         borrowed; must not be destroyed before
 *  options   NULL: the defaults
 *  ret_once  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | CLOSED (the runtime) | IO (no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_once_create(vestry *v, const vestry_once_options *options, vestry_once **ret_once);
/** No request may use it any more. Before vestry_destroy. NULL is accepted. */
VESTRY_API void vestry_once_destroy(vestry_once *once);

/** The guard, for vestry_guard; app is the vestry_once. Guards before it run for repeated requests too, those after it
 *  for the first alone. Uploads (vestry/app/upload.h) are let pass: what they say is not known yet when guards look,
 *  and the client does not repeat them. */
VESTRY_API vestry_err vestry_once_guard(const vestry_request *req, vestry_reply *reply, void *app);

/** Counters, a snapshot. Threads any; takes a lock briefly. */
VESTRY_API void vestry_once_stats_get(vestry_once *once, vestry_once_stats *ret_stats);

/** Room for the attributes, at least what they take. */
#define VESTRY_ONCE_ATTRIBUTES_BYTES 6144

/** Write the attributes of a page's body, or of another element that is before all that sends requests, and that no
 *  patch replaces: the signal `_once`, which is a nonce, and `data-init__once`, which keeps submissions in order. They
 *  are as HTML has them: %-s.
 *  buffer   receives at most capacity - 1 bytes and a NUL; untouched on failure
 *  Returns  OK | INVALID (buffer NULL with capacity > 0) | TOO_LARGE (capacity) | IO (no randomness)
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_once_attributes(const vestry_request *req, char *buffer, size_t capacity);

/** A nonce for a page, or for a form: they can share one, and two forms too. Nothing is kept for it until it is used.
 *  OK | IO (no randomness). Threads: the handler's; does not block. */
VESTRY_API vestry_err vestry_once_nonce(const vestry_request *req, char nonce[VESTRY_ONCE_NONCE_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
