/* SPDX-License-Identifier: MIT */
/* The sessions that memory holds, and what it remembers of those that have ended. */
#ifndef VSI_SESSION_TABLE_H
#define VSI_SESSION_TABLE_H

#include "app/session/record.h"
#include "vestry/app/session.h"

typedef struct vsi_sessions vsi_sessions;

/* A log-in, or an end of a user's sessions, that is under way. On the stack of the thread that does it. */
typedef struct vsi_session_under_way {
  const char *user;
  bool has_met; /* of a log-in: an end of that user's sessions */
  struct vsi_session_under_way *next;
} vsi_session_under_way;

struct vsi_sessions {
  vestry *v;
  const vestry_host *host;
  vestry_session_options options;
  char cookie[64];
  bool is_signed, has_previous;
  vsi_secret secret, previous;
  vestry_store *table;       /* of records, by their hash */
  vestry_store *of_users;    /* of the same, by their user */
  vestry_store *ended;       /* graves: records, by their user and hash */
  vestry_store *ended_users; /* graves of all that a user had, by the user */
  vsi_session_lifetimes lifetimes;
  vsi_spin_lock under_way_lock;
  vsi_session_under_way *logins, *ends;                            /* guarded by under_way_lock */
  _Atomic(uint64_t) logins_ok, logins_failed, repeated, displaced; /* relaxed: mere counts */
};

/* OK | INVALID (the log says so) | NO_MEMORY | IO */
vestry_err vsi_sessions_make(vestry *v, const vestry_session_options *given, vsi_sessions **ret_sessions);
/* No request may be under way. */
void vsi_sessions_destroy(vsi_sessions *sessions);

#define VSI_SESSION_KEY VESTRY_KEY("session")

vestry_scope vsi_session_scope_of(const char *hash);
int64_t vsi_session_now_s(const vsi_sessions *sessions);
int64_t vsi_session_seconds(uint64_t ms);

/* The session in memory that has this scope. A reference, or NULL. */
vsi_session_user *vsi_session_look(const vsi_sessions *sessions, vestry_scope scope);
/* Any session of a user's. A reference, or NULL. */
vsi_session_user *vsi_session_look_of(const vsi_sessions *sessions, const char *user);
/* Put a session that has just been made, by the policy: a log-in replaces what is there, other calls say EXISTS.
 * Another session of the user may go for it. After OK the session is in memory, or has ended since. OK | EXISTS |
 * NO_MEMORY | CLOSED */
vestry_err vsi_session_put(vsi_sessions *sessions, vsi_session_user *record, vestry_keep_policy policy);
/* Remove this session from memory; or the one that has this hash. */
void vsi_session_remove_this(vsi_sessions *sessions, const vsi_session_user *record, vestry_cause cause);
void vsi_session_remove(vsi_sessions *sessions, const char *hash, vestry_cause cause);

/* Whether a session was ended: by its hash, or with all of its user's after it was made. */
bool vsi_session_is_buried(const vsi_sessions *sessions, const vsi_session_user *record);
/* Remember that all sessions of a user have ended, so that none comes back. OK | NO_MEMORY | CLOSED */
vestry_err vsi_session_bury_user(vsi_sessions *sessions, const char *user);
/* End a session in memory. Returns as vsi_session_bury_user. */
vestry_err vsi_session_end_here(vsi_sessions *sessions, vsi_session_user *record);
/* End a session in memory and in storage. Returns as above, or what storage says. */
vestry_err vsi_session_end_everywhere(vsi_sessions *sessions, vsi_session_user *record);

#endif
