/* SPDX-License-Identifier: MIT */
/* The sessions in memory, and the removals that the storage owes. */
#ifndef VSI_SESSION_TABLE_H
#define VSI_SESSION_TABLE_H

#include "app/session/guest.h"
#include "app/session/owed.h"
#include "app/session/record.h"
#include "base/siphash.h"
#include "vestry/app/session.h"

typedef struct vsi_sessions vsi_sessions;

struct vsi_sessions {
  vestry *v;
  const vestry_host *host;
  vestry_session_options options;
  char cookie[64];
  vestry_store *table;    /* records, by their hash */
  vestry_store *of_users; /* the same records, by their user */
  vsi_session_checks checks;
  _Atomic(uint64_t) ends;   /* removals from the storage, performed or owed, since the beginning (table.c) */
  vsi_owed owed;            /* removals that the storage has not performed; unused without a storage */
  vsi_siphash_key owed_key; /* for hashes of users */
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

/* Return the number of ends; call it before the row of a session is read or written (table.c). */
uint64_t vsi_session_ends(const vsi_sessions *sessions);
/* Let requests use a session that is in memory since its row was read or written. ends: vsi_session_ends before that.
 * OK | CLOSED (it has ended meanwhile, and is removed from memory) | the storage's error */
vestry_err vsi_session_verify(vsi_sessions *sessions, vsi_session_user *record, uint64_t ends);
/* Return OK if the storage has a session, and does not owe its removal. OK | CLOSED | the storage's error */
vestry_err vsi_session_find_row(vsi_sessions *sessions, const vsi_session_user *record);
/* Return whether the storage owes the removal of this session, or of all sessions of its user. */
bool vsi_session_is_owed(vsi_sessions *sessions, const vsi_session_user *record);
/* End a session in memory. */
void vsi_session_end_here(vsi_sessions *sessions, vsi_session_user *record);
/* End a session in memory and in the storage. OK | the storage's error */
vestry_err vsi_session_end_everywhere(vsi_sessions *sessions, vsi_session_user *record);

/* Remove a session of a user from the storage. hash NULL: all sessions of the user. Without a storage, do nothing.
 * OK | the storage's error, after which the removal is tried again: before later calls of the storage, by a timer, and
 * when the sessions are destroyed */
vestry_err vsi_session_remove_stored(vsi_sessions *sessions, const char *user, const char *hash);
/* Try removals again that have failed. Then perform those of all sessions of the user, because a login must not be
 * removed by one of them. OK | the storage's error */
vestry_err vsi_session_settle_removals(vsi_sessions *sessions, const char *user);

#endif
