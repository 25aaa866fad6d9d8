/* SPDX-License-Identifier: MIT */
/* The named presences of an instance, and the watch through which the cluster learns of their changes and announces
 * them to other nodes (spread.h). */
#ifndef VSI_PRESENCE_PRESENCE_H
#define VSI_PRESENCE_PRESENCE_H

#include <string.h>
#include <sys/queue.h>

#include "app/presence/bits.h"
#include "base/keyed_hash.h"
#include "base/map.h"
#include "base/mutex.h"
#include "base/ring.h"
#include "instance/instance.h"
#include "store/scoped_key.h"
#include "vestry/app/presence.h"
#include "vestry/host.h"

enum { VSI_PRESENCE_NAME_MAX = 64, VSI_PRESENCE_WHO_MAX = 255 };

/* Functions that a presence calls. The presence's lock is held, except where noted. */
typedef struct vsi_presence_watch {
  /* A change waits to be announced. */
  void (*soon)(void *ctx);
  /* A presence was created: the other nodes have to list their members again. No lock held. */
  void (*begins)(void *ctx);
  /* Return whether all live nodes are known, and have announced their members. No lock held. */
  bool (*knows_all)(void *ctx);
  /* Return whether a member fits one message. bytes: size of user, place and the presence's name together. */
  bool (*fits)(size_t bytes, void *ctx);
  void *ctx;
} vsi_presence_watch;

typedef struct vsi_presences {
  vsi_mutex list_lock;
  /* guarded by list_lock */
  LIST_HEAD(, vestry_presence) list;
  const vsi_presence_watch *watch; /* NULL: there is no cluster */
} vsi_presences;

/* A presence: a table of its places, a table of its members, and the lists that contain members. Functions named
 * _locked: the caller holds the presence's lock. */
typedef struct vsi_presence_member vsi_presence_member;

typedef struct vsi_place {
  vsi_map_link in;              /* in the presence's table of places */
  vsi_ring members;             /* those that are here, in the order of joining */
  size_t count, reported_count; /* members here; the same as last reported to on_change */
  size_t refs;                  /* number of members in the tables that are at this place */
  const vestry_key *key;        /* for on_change; in the same allocation, as are the bytes of packed */
  vestry_scoped_key packed;     /* the same key, without a scope */
} vsi_place;

struct vsi_presence_member {
  vsi_map_link in; /* in the presence's table of members */
  vsi_place *at;
  vsi_ring at_place, unreported, gone; /* links in three lists, while is_here, is_unreported, is_gone */
  vsi_presence_member *next_waiting;   /* in the list of members to announce */
  size_t streams_count;                /* on this node */
  uint64_t leaves_ns;                  /* time when it leaves this node, if it has no streams */
  bool is_own;                         /* it has streams on this node, or is in the grace time */
  bool is_here, is_gone;               /* is_here: is_own, or another node has it; is_gone: in the grace time */
  bool is_reported;                    /* the value of is_here that on_change last received */
  bool is_unreported;                  /* is_here differs from it, so the member is in the list of unreported changes */
  bool is_being_reported;
  bool is_spread, is_waiting; /* is_spread: announced to other nodes as is_own, unless it is too large for a message;
                                 is_waiting: in the list of members to announce */
  vsi_bits others, unsure;    /* other nodes: those that have the member; those of them that have begun a new list, and
                                 not yet listed the member */
  char user[];
};

struct vestry_presence {
  vestry *v;          /* the instance for which it was created */
  vsi_presences *all; /* the instance's presences */
  const vestry_host *host;
  LIST_ENTRY(vestry_presence) in;       /* guarded by the list_lock of `all` */
  bool is_entered;                      /* it is in the list; guarded by the same lock */
  char name[VSI_PRESENCE_NAME_MAX + 1]; /* "": this node only */
  uint64_t grace_ns;
  size_t max_count;
  vestry_presence_fn on_change;
  void *ctx;
  vestry_actor *actor;
  vestry_timer *timer;
  vsi_keyed_hash hash; /* for places and members */
  vsi_mutex notifying; /* held while on_change runs; outermost */
  bool is_muted;       /* guarded by `notifying`: it is destroyed, so on_change must not be called */
  vsi_mutex lock;
  /* guarded by lock */
  size_t refs; /* held by the owner, the actor, and attachments */
  bool is_closed;
  size_t here_count, own_count; /* members that are here; members of this node */
  vsi_map places, members;
  vsi_ring gone, unreported;       /* lists of members: by leaves_ns; by the order of their unreported changes */
  const vsi_presence_watch *watch; /* NULL: changes go to on_change only */
  vsi_presence_member *first_waiting, *last_waiting;
  uint64_t spread_count, spread_sum; /* number of announced members, and the sum of their hashes */
  vsi_bits crowded_out;              /* nodes with members for which there was no room */
  uint64_t refused_count;            /* such members */
  bool is_cut, is_cut_logged;        /* is_cut: a member was not announced, because it is too large for a message */
};
/* Create the tables, and draw the key of their hashes. OK | NO_MEMORY | IO (no randomness). After a failure, too, the
 * presence must be freed. */
vestry_err vsi_presence_init(vestry_presence *presence);
/* Drop a reference. The last one frees the presence with all places and members. No lock held. */
void vsi_presence_unref(vestry_presence *presence);

/* ---- places: keys, with the members that are there */

/* Pack the key of a place, once for all operations on the place. place: NULL: the one place for all.
 * OK (the caller must call vsi_scoped_key_finish) | INVALID | TOO_LARGE | NO_MEMORY. Needs no lock. */
vestry_err vsi_place_pack(const vestry_presence *presence, const vestry_key *place, vsi_scoped_key *packed);
/* Pack a key that another node has encoded; otherwise the same. */
vestry_err vsi_place_pack_encoded(const vestry_presence *presence, vestry_slice encoded, vsi_scoped_key *packed);

/* Return a place, or NULL if it has no member. */
vsi_place *vsi_place_find_locked(const vestry_presence *presence, const vestry_scoped_key *packed);

/* Return the encoded key, by which other nodes know the place. */
static inline vestry_slice vsi_place_encoded(const vestry_scoped_key *packed) {
  return (vestry_slice){packed->data + packed->key_offset, packed->len - packed->key_offset};
}

/* ---- members: pairs of a user and a place */

/* Return a member. NULL: `at` is NULL, or the user is not known there. */
vsi_presence_member *vsi_presence_member_find_locked(const vestry_presence *presence, const vsi_place *at,
                                                     const char *user);
/* Add a member that is not in the table, and its place if that is not either. OK | MALFORMED (place) | NO_MEMORY */
vestry_err vsi_presence_member_add_locked(vestry_presence *presence, const vestry_scoped_key *place, const char *user,
                                          vsi_presence_member **ret_member);
/* Let a member join; let it leave, which may free it. */
void vsi_presence_member_come_locked(vestry_presence *presence, vsi_presence_member *one);
void vsi_presence_member_leave_locked(vestry_presence *presence, vsi_presence_member *one);
/* Free a member if no list and no state needs it. */
void vsi_presence_member_let_go_locked(vestry_presence *presence, vsi_presence_member *one);
/* Set whether this node has the member. */
void vsi_presence_member_own_locked(vestry_presence *presence, vsi_presence_member *one, bool is_own);
/* Append a member to the list of members to announce, if other nodes do not know its state. Call it when is_own has
 * changed or the presence got a watch. */
void vsi_presence_member_spread_locked(vestry_presence *presence, vsi_presence_member *one);

/* ---- the grace time of members whose last stream on this node has ended */

/* Begin the grace time of a member, because its last stream has ended. */
void vsi_grace_begin_locked(vestry_presence *presence, vsi_presence_member *one);
/* End the grace time: the member has returned, or the time is over. */
void vsi_grace_end_locked(vsi_presence_member *one);
/* End the grace time that began first, and let its member leave. */
void vsi_grace_shorten_locked(vestry_presence *presence);
/* Let members whose grace time is over leave. Called by the presence's timer. */
void vsi_grace_fire(vestry_timer *timer, void *presence);

#endif
