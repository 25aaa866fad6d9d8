/* SPDX-License-Identifier: MIT */
/** Sessions: a cookie that clients cannot forge, a user who logs in and out, and streams that end with the session.
 *
 *      vestry_sessions_create(v, &(vestry_session_options){.storage = &ops, .storage_ctx = db});
 *
 *      if (password_is_right(db, user, password)) {            // the application hashes passwords
 *        vestry_session_login(req, reply, user);               // a new id; keys set from now on are in the new scope
 *        return vestry_reply_redirect(reply, 303, "/");
 *      }
 *      const char *user = vestry_session_user(req);            // NULL: not logged in
 *      vestry_session_logout(req, reply);                      // in all tabs, at once
 *
 *  Each request has a session, and its scope is that of the session. A request without a cookie gets one with the first
 *  response that is a page, a redirect or a stream. A session without a user is only a random id: it takes no memory
 *  and gives no rights. docs/guide/sessions.md has the rules. */
#ifndef VESTRY_SESSION_H
#define VESTRY_SESSION_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Sessions with a user are kept in one of two ways:
 *  memory  the default; they end with the process
 *  stored  the storage keeps them, and memory is its cache; they survive a restart. The storage gets a hash of the id,
 *          so that a stolen database opens no session. Several processes and nodes can share it: a session that one
 *          of them has ended has no requests, and its streams get no events, in the others after a second, if they can
 *          read the storage. For this, each process reads the rows of sessions that have streams twice a second, and
 *          that of another session with its next request, if a second has passed
 *  The cookie is HttpOnly, Secure and SameSite=Lax, and has the prefix __Host-, so that other sites cannot send forms
 *  with it, and other hosts of the domain cannot set it. Browsers send it with a GET that another site causes.
 *  Therefore, the handler of a GET must not change data. */

/** Maximum length of a user's name in bytes. */
#define VESTRY_SESSION_USER_MAX_BYTES 255

/** The stored data of a session. */
typedef struct vestry_session_record {
  int64_t created_s; /**< time of the log-in; seconds since 1970 */
  int64_t used_s;    /**< time of the last use, with a precision of a tenth of idle_ms */
  char user[VESTRY_SESSION_USER_MAX_BYTES + 1];
  /** Set by load. If created_s and used_s are times of the storage's clock, which all nodes share: the present time of
   *  that clock. 0: they are times of the node's clock, as save received them. */
  int64_t now_s;
} vestry_session_record;

/** Functions of a session storage. Called on the thread that serves the request, several at once, no lock held; may
 *  block. All but `missing` are mandatory. A failed removal is repeated: before later calls of load, in log-ins, every
 *  five seconds on a thread of the instance's runtime, and in vestry_destroy. Therefore, the storage must be valid
 *  until vestry_destroy returns. hash: 32 hexadecimal digits, terminated. */
typedef struct vestry_session_storage_ops {
  /** Insert or update a session; used_s is the present time of the node's clock. OK | any error: a log-in fails with
   *  it; another request that updates the time of the last use continues. */
  vestry_err (*save)(void *ctx, const char *hash, const vestry_session_record *record);
  /** Load the record of a session. If idle_ms or lifetime_ms is over, the request has no user, but vestry does not
   *  remove the record, because the clock of this node may be wrong: the storage must delete old sessions. OK |
   *  NOT_FOUND | any error, with which the request is answered. */
  vestry_err (*load)(void *ctx, const char *hash, vestry_session_record *ret_record);
  /** Remove a session, if it exists. OK | any error, which the log-out returns; the removal is repeated. At most
   *  max_count failed removals are kept for this; beyond that, the oldest is dropped.
   *  If a removal is dropped, or the process ends before it succeeds, the session may be valid again.
   *  The log has one warning when removals begin to fail, and their number when they succeed again. */
  vestry_err (*remove)(void *ctx, const char *hash);
  /** Remove all sessions of a user. Returns as remove. After a failure, log-ins of this user at this process fail until
   *  a repetition succeeds. The repetition also ends sessions that the user has begun at other nodes in between. */
  vestry_err (*remove_user)(void *ctx, const char *user);
  /** Find out which of some sessions, at most 256, the storage does not have: set ret_missing[i], which is false, to
   *  true for each such hash. Called twice a second for all sessions that have streams, on a thread of the instance's
   *  runtime. NULL: load is called for each of them. OK | any error, after which these sessions continue */
  vestry_err (*missing)(void *ctx, const char *const *hashes, size_t count, bool *ret_missing);
} vestry_session_storage_ops;

/** Options of an instance's sessions. Zero is the default. */
typedef struct vestry_session_options {
  const char *cookie;                        /**< name of the cookie; NULL: "__Host-session", or "session" if insecure
                                                  is set. Copied */
  bool insecure;                             /**< allow plain http, for example on a developer's machine */
  vestry_same_site same_site;                /**< default LAX */
  uint64_t idle_ms;                          /**< a session ends when it was not used for this time; 0: 7 days */
  uint64_t lifetime_ms;                      /**< a session ends this time after its log-in; 0: 30 days. In memory, the
                                                  host's clock counts */
  size_t max_count;                          /**< maximum number of sessions in memory; 0: 100,000. Beyond it the least
                                                  recently used session is evicted, and its streams are aborted. A
                                                  stored session is loaded again by its next request */
  const vestry_session_storage_ops *storage; /**< borrowed; NULL: sessions are in memory */
  void *storage_ctx;                         /**< passed to the functions of storage */
  int64_t (*now_s)(void *ctx);               /**< returns seconds since 1970; NULL: the system's clock. For tests */
  void *now_ctx;                             /**< passed to now_s */
  size_t max_per_user_count;                 /**< maximum number of sessions of one user in memory; 0: 100. A log-in
                                                  beyond it ends the session of this user that has been in memory
                                                  longest, with its streams. Therefore, repeated log-ins of one user
                                                  cannot end sessions of others. The cost of a log-in is linear in
                                                  this number */
} vestry_session_options;

/** Add sessions to an instance: from now on each request has one, and its scope is that of the session. Call it once,
 *  right after vestry_create, because idempotent actions (vestry/app/once.h) and rates by scope (vestry/app/rate.h)
 *  depend on it. Sessions end with the instance.
 *  options  NULL: the defaults; copied, except borrowed members
 *  Returns  OK | INVALID (the log gives the reason; vestry_options.scope is set, or a dependent object exists already)
 *           | EXISTS (it has sessions; logged) | NO_MEMORY | IO
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_sessions_create(struct vestry *v, const vestry_session_options *options);

/** Counters of an instance's sessions, since vestry_sessions_create; all zero without sessions. */
typedef struct vestry_session_stats {
  uint64_t live_count; /**< sessions with a user, in memory */
  /** Calls of vestry_session_login: logins_count returned OK, and failed_count did not. repeated_count is the part of
   *  logins_count whose user already had a session in memory; a large number indicates a script, or a password that
   *  many people know. */
  uint64_t logins_count, failed_count, repeated_count;
  uint64_t displaced_count; /**< sessions that ended because of max_per_user_count */
} vestry_session_stats;

/** Get a snapshot of the counters. Threads any. */
VESTRY_API void vestry_session_stats_get(struct vestry *v, vestry_session_stats *ret_stats);

/** Get the present user of the request's session, which vestry_session_login and vestry_session_logout change.
 *  Returns  the user's name, valid during the handler | NULL: no user, or the instance has no sessions
 *  Threads  the handler's */
VESTRY_API const char *vestry_session_user(const vestry_request *req);

/** Return whether the instance has sessions and the request's session has no user. Any client can create such a
 *  session.
 *  Threads  the handler's */
VESTRY_API bool vestry_session_is_anonymous(const vestry_request *req);

/** Log in: begin a session of this user. Its id is new, because an attacker may know the previous one (session
 *  fixation). If the previous session of the request had a user, it ends, with its streams. The request's scope is then
 *  that of the new session, so call this before you set keys.
 *  user  UTF-8, 1 to 255 bytes, without line separators, control characters, including C1 and those of text direction,
 *        and characters that are not shown, such as U+200B and U+FEFF (RFC 8264, section 9.13). The joiners U+200C and
 *        U+200D are allowed between two characters beyond ASCII
 *  Returns  OK | INVALID (the user; the instance has no sessions; the reply has a key already) | NO_MEMORY | IO (no
 *           randomness) | CLOSED (vestry_session_end_user ended it meanwhile) | an error of the storage. After a
 *           failure no session of this user has begun, but the previous session may have ended. The request then
 *           continues as after a log-out: vestry_session_user returns NULL, and the response, a page or a stream, is
 *           for an anonymous user
 *  Threads  that of a handler, a guard or an effect, not of an error page; may block in the storage */
VESTRY_API vestry_err vestry_session_login(const vestry_request *req, vestry_reply *reply, const char *user);

/** Log out: end the session of the request at once, in all tabs. Streams that belong to it, including those that are
 *  just opening, are closed cleanly, so that their browsers do not reconnect. The request continues in a new session
 *  without a user.
 *  Returns  OK, also if the session had no user | INVALID | NO_MEMORY | IO | an error of the storage (the session has
 *           ended in this process nevertheless)
 *  Threads  as vestry_session_login */
VESTRY_API vestry_err vestry_session_logout(const vestry_request *req, vestry_reply *reply);

/** End all sessions of a user, for example after a change of the password. The cost is linear in the number of sessions
 *  in memory. A log-in that begins after this returns stays valid. A concurrent log-in of that user fails with CLOSED,
 *  or its session ends, or it counts as later. After this returns, no request of this process has one of the ended
 *  sessions, even if the storage failed.
 *  Returns  OK | INVALID | NO_MEMORY | an error of the storage (sessions in memory have ended nevertheless)
 *  Threads  any; may block in the storage */
VESTRY_API vestry_err vestry_session_end_user(struct vestry *v, const char *user);

#ifdef __cplusplus
}
#endif
#endif
