/* SPDX-License-Identifier: MIT */
/** Sessions: a cookie that no client can forge, the user that it stands for, and streams that end with it.
 *
 *      vestry_sessions_create(v, &(vestry_session_options){.storage = &ops, .storage_ctx = db});
 *
 *      if (password_is_right(db, user, password)) {            // hashing passwords is the application's
 *        vestry_session_login(req, reply, user);               // a new id; keys are of the new session from here on
 *        return vestry_reply_redirect(reply, 303, "/");
 *      }
 *      const char *user = vestry_session_user(req);            // NULL: not logged in
 *      vestry_session_logout(req, reply);                      // in all tabs, now
 *
 *  Each request has a session, and its scope is the session's: a request without a cookie gets one, with the first
 *  answer that is a page, a redirect or a stream. A session without a user is nothing but a random id: it takes no
 *  memory, and gives no rights.
 *
 *  A session with a user is kept in one of three ways.
 *  - in memory, if nothing else is set: it ends with the process;
 *  - stored: storage keeps it, memory is its cache, and it outlives a restart. Storage is given a hash of the id: a
 *    stolen database opens no session;
 *  - signed: with a secret, the cookie itself names the user, and it outlives a restart without storage. A log-out is
 *    noted in memory: for max_count sessions, and for ten times max_per_user_count sessions of one user. A restart
 *    forgets it, and so do as many later log-outs; then a copy of the cookie that was made before is good again until
 *    idle_ms or lifetime_ms is over. Where that matters, store sessions.
 *
 *  The cookie is HttpOnly, Secure and SameSite=Lax, and has the prefix __Host-: other sites cannot send a form in the
 *  user's name, nor can a neighbouring host set it. (A GET from another site has the cookie: let GET change
 *  nothing.) */
#ifndef VESTRY_SESSION_H
#define VESTRY_SESSION_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A user's name has at most so many bytes. */
#define VESTRY_SESSION_USER_MAX_BYTES 255

/** What is stored of a session. */
typedef struct vestry_session_record {
  size_t size;       /**< sizeof(vestry_session_record), or 0 */
  int64_t created_s; /**< of its log-in; seconds since 1970 */
  int64_t used_s;    /**< its last use, to a tenth of idle_ms */
  char user[VESTRY_SESSION_USER_MAX_BYTES + 1];
} vestry_session_record;

/** Where sessions are stored. On the thread that serves the request, no lock held; may block; several at once. hash: 32
 *  hexadecimal digits, terminated. All are mandatory. */
typedef struct vestry_session_storage_ops {
  size_t size; /**< sizeof(vestry_session_storage_ops), or 0 */
  /** Insert or update. OK | any error: a log-in fails with it, a mere use goes on. */
  vestry_err (*save)(void *ctx, const char *hash, const vestry_session_record *record);
  /** Fill in the record. OK | NOT_FOUND | any error: the request is answered with it. */
  vestry_err (*load)(void *ctx, const char *hash, vestry_session_record *ret_record);
  /** Remove it, if it is there. OK | any error, which log-out returns: the session may come back with a restart. */
  vestry_err (*remove)(void *ctx, const char *hash);
  /** Remove all of a user's. Likewise. */
  vestry_err (*remove_user)(void *ctx, const char *user);
} vestry_session_storage_ops;

/** How an instance keeps sessions. Zero is the default. */
typedef struct vestry_session_options {
  size_t size;                /**< sizeof(vestry_session_options), or 0 */
  const char *cookie;         /**< its name; NULL: "__Host-session", if insecure "session". Copied */
  bool insecure;              /**< also over plain http, as on a developer's machine */
  vestry_same_site same_site; /**< LAX unless set */
  uint64_t idle_ms;           /**< unused for so long it ends; 0: 7 days */
  uint64_t lifetime_ms;       /**< so long after its log-in it ends; 0: 30 days */
  size_t max_count; /**< held in memory at most; 0: 100,000. The one used longest ago goes; its streams are aborted, and
                         if it is stored or signed it comes back with its page */
  const void *secret;          /**< at least 32 bytes: signed sessions; NULL: not. Copied */
  size_t secret_len;           /**< of the secret */
  const void *previous_secret; /**< what it signed is still good: for a change of secrets; NULL: none. Copied */
  size_t previous_secret_len;  /**< of that */
  const vestry_session_storage_ops *storage; /**< borrowed; NULL: none. Not with a secret */
  void *storage_ctx;                         /**< handed to its functions */
  int64_t (*now_s)(void *ctx);               /**< seconds since 1970; NULL: the system's clock. For tests */
  void *now_ctx;                             /**< handed to it */
  size_t
      max_per_user_count; /**< sessions of one user that memory holds at most; 0: 100. A log-in beyond it ends the one
                                  of his that memory has had longest, and its streams, wherever it is kept: no user can
                                  end others' sessions by logging in again and again. Each log-in looks at so many */
} vestry_session_options;

/** Give an instance sessions: from here on each request has one, and its scope is the session's. Call it once, right
 *  after vestry_create: actions that run once (vestry/app/once.h) and rates by scope (vestry/app/rate.h) depend on
 *  whether there are sessions, and pages on the secret of signed ones. They end with the instance.
 *  options  NULL: the defaults; copied but for what is borrowed
 *  Returns  OK | INVALID (the log says why; vestry_options.scope is set, or what depends on sessions was created
 *           before) | EXISTS (it has sessions) | NO_MEMORY | IO
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_sessions_create(struct vestry *v, const vestry_session_options *options);

/** Counters of an instance's sessions, since they were created; all zero without sessions. */
typedef struct vestry_session_stats {
  size_t size;         /**< sizeof(vestry_session_stats), or 0 */
  uint64_t live_count; /**< sessions that have a user and that memory holds */
  /** Calls of vestry_session_login: those that returned OK, those that failed, and of the first those whose user had a
   *  session in memory already. Many that repeat: a script, or a password that many have. */
  uint64_t logins_count, failed_count, repeated_count;
  uint64_t displaced_count; /**< sessions that ended because their user had too many */
} vestry_session_stats;

/** A snapshot of the counters. Any thread. */
VESTRY_API void vestry_session_stats_get(struct vestry *v, vestry_session_stats *ret_stats);

/** The user of the request's session, as it is now: after vestry_session_login and vestry_session_logout it is another
 *  one. NULL: none, or the instance has no sessions. Valid during the handler. Handler's thread only. */
VESTRY_API const char *vestry_session_user(const vestry_request *req);

/** Whether the instance has sessions and the request's has no user: any client can invent such a session. Handler's
 *  thread only. */
VESTRY_API bool vestry_session_is_anonymous(const vestry_request *req);

/** Log in: the session gets a new id (so an id that an attacker has planted is worth nothing) and this user. The
 *  session that the request came with ends, with its streams, if it had a user. From here on the request's scope is the
 *  new session's: call it before keys are named.
 *  user     UTF-8, 1 to 255 bytes, no control characters, those of C1 and of the direction of text among them, and no
 *           line separators
 *  Returns  OK | INVALID (the user; the instance has no sessions; the reply has a key already) | NO_MEMORY | IO (no
 *           randomness) | CLOSED (vestry_session_end_user has met it) | what storage says. On failure the session has
 *           no user. The session before may have ended: then the request goes on as after a log-out,
 *           vestry_session_user says NULL, and what is answered, a page or a stream that says what went wrong, is a
 *           anonymous user's
 *  Threads  the handler's; may block in storage. In a handler, a guard or an effect; not in an error page */
VESTRY_API vestry_err vestry_session_login(const vestry_request *req, vestry_reply *reply, const char *user);

/** Log out: the session ends now, in all tabs. Streams that it has opened are closed, cleanly: their browsers stay
 *  away. One that is just being opened is closed too. The request goes on in a new session without a user. OK, also if
 *  the session had no user | INVALID | NO_MEMORY | IO | what storage says (it has ended all the same). As
 *  vestry_session_login. */
VESTRY_API vestry_err vestry_session_logout(const vestry_request *req, vestry_reply *reply);

/** End all sessions of a user, wherever: when a password was changed, or a user was thrown out. Looks at each session
 *  that memory holds. A log-in of that user that is under way fails with CLOSED; one that begins when this has returned
 *  stays valid. A stored or signed one of the same second may not: once memory has lost it, it does not come back.
 *  OK | INVALID | NO_MEMORY | what storage says (those that memory holds have ended all the same).
 *  Threads  any; may block in storage */
VESTRY_API vestry_err vestry_session_end_user(struct vestry *v, const char *user);

/** For processes that share a storage: ask the storage again about sessions that memory holds. A session that the
 *  storage no longer has was ended elsewhere: it ends here too, and its streams are closed, cleanly. A process that
 *  logs a user out tells the others, as by vestry_cluster_publish, and these call this; until then their memory
 *  believes in the session. Where such a message may be lost (vestry_gap_fn), all are asked about.
 *  scope    a session's, as vestry_request.scope is before the log-out; one that memory does not hold is OK. NULL:
 *           all that memory holds, one call of storage each
 *  Returns  OK | INVALID (the instance has no sessions, or no storage) | NO_MEMORY | what storage says (the last of its
 *           errors; sessions of which it could not say go on)
 *  Threads  any; may block in storage; not from a function of the storage's */
VESTRY_API vestry_err vestry_session_check(struct vestry *v, const vestry_scope *scope);

#ifdef __cplusplus
}
#endif
#endif
