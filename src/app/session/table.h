/* SPDX-License-Identifier: MIT */
/* The sessions in memory, and the tombstones: entries for sessions that have ended and must not return. */
#ifndef VSI_SESSION_TABLE_H
#define VSI_SESSION_TABLE_H

#include "app/session/guest.h"
#include "app/session/owed.h"
#include "app/session/record.h"
#include "base/siphash.h"
#include "vestry/app/session.h"

typedef struct vsi_sessions vsi_sessions;

/* A login in progress, or an end of all sessions of a user. On the stack of its thread. */
typedef struct vsi_session_under_way {
  const char *user;
  bool has_met; /* one of the other kind ran meanwhile, for the same user */
  struct vsi_session_under_way *next;
} vsi_session_under_way;

struct vsi_sessions {
  vestry *v;
  const vestry_host *host;
  vestry_session_options options;
  char cookie[64];
  vestry_store *table;       /* records, by their hash */
  vestry_store *of_users;    /* the same records, by their user */
  vestry_store *ended;       /* tombstones: by user and hash */
  vestry_store *ended_users; /* tombstones that end all earlier sessions of a user: by user */
  vsi_session_lifetimes lifetimes;
  vsi_spin_lock under_way_lock;
  vsi_session_under_way *logins, *ends; /* guarded by under_way_lock */
  vsi_owed owed;                        /* removals that the storage has not performed; unused without a storage */
  vsi_siphash_key owed_key;             /* for hashes of users */
  vsi_guests guests;
  _Atomic(uint64_t) logins_ok, logins_failed, repeated, displaced; /* relaxed: mere counts */
};

/* Create the sessions of an instance. OK | INVALID (logged) | NO_MEMORY | IO */
vestry_err vsi_sessions_make(vestry *v, const vestry_session_options *given, vsi_sessions **ret_sessions);
/* Destroy them. No request may be running. */
void vsi_sessions_destroy(vsi_sessions *sessions);

#define VSI_SESSION_KEY VESTRY_KEY("session")

vestry_scope vsi_session_scope_of(const char *hash);
int64_t vsi_session_now_s(const vsi_sessions *sessions);
int64_t vsi_session_seconds(uint64_t ms);

/* Find the session in memory that has this scope. Returns a reference, or NULL. */
vsi_session_user *vsi_session_look(const vsi_sessions *sessions, vestry_scope scope);
/* Find any session of a user. Returns a reference, or NULL. */
vsi_session_user *vsi_session_look_of(const vsi_sessions *sessions, const char *user);
/* Put a new session into memory. If there is one with the same hash, a login (KEEP_REPLACE) replaces it; any other call
 * returns EXISTS. May evict another session of the user. After OK the session is in memory, or has ended since. OK |
 * EXISTS | NO_MEMORY | CLOSED */
vestry_err vsi_session_put(vsi_sessions *sessions, vsi_session_user *record, vestry_keep_policy policy);
/* Remove this session from memory; remove the session with this hash. */
void vsi_session_remove_this(vsi_sessions *sessions, const vsi_session_user *record, vestry_cause cause);
void vsi_session_remove(vsi_sessions *sessions, const char *hash, vestry_cause cause);

/* Return whether a session has ended and must not return: it has a tombstone, or its user has a tombstone that is not
 * older than the session. */
bool vsi_session_is_buried(const vsi_sessions *sessions, const vsi_session_user *record);
/* Return the time of a log-in that begins now: the present time, or later than the tombstone that ends all earlier
 * sessions of the user, because the system's clock may have been set back since. */
int64_t vsi_session_created_s(const vsi_sessions *sessions, const char *user);
/* Make a tombstone that ends all present sessions of a user, so that none returns. OK | NO_MEMORY | CLOSED */
vestry_err vsi_session_bury_user(vsi_sessions *sessions, const char *user);
/* End a session in memory. Returns as vsi_session_bury_user. */
vestry_err vsi_session_end_here(vsi_sessions *sessions, vsi_session_user *record);
/* End a session in memory and in the storage. Returns as vsi_session_end_here, or the storage's error. */
vestry_err vsi_session_end_everywhere(vsi_sessions *sessions, vsi_session_user *record);

/* Remove a session of a user from the storage. hash NULL: all sessions of the user. Without a storage, do nothing.
 * OK | the storage's error, after which the removal is tried again: before later calls of the storage, by a timer, and
 * when the sessions are destroyed */
vestry_err vsi_session_remove_stored(vsi_sessions *sessions, const char *user, const char *hash);
/* Try removals again that have failed. Then perform those of all sessions of the user, because a login must not be
 * removed by one of them. OK | the storage's error */
vestry_err vsi_session_settle_removals(vsi_sessions *sessions, const char *user);

#endif
