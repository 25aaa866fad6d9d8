/* SPDX-License-Identifier: MIT */
/* A presence: its places and its guests, a table of each, and the lists that guests are in. Functions named _locked:
 * the presence's lock is held. */
#ifndef VSI_PRESENCE_TABLE_H
#define VSI_PRESENCE_TABLE_H

#include <string.h>
#include <sys/queue.h>

#include "app/presence/presences.h"
#include "base/keyed_hash.h"
#include "base/map.h"
#include "base/mutex.h"
#include "base/ring.h"
#include "instance/instance.h"
#include "vestry/app/presence.h"

typedef struct vsi_guest vsi_guest;

typedef struct vsi_place {
  vsi_map_link in;          /* its presence's places */
  vsi_ring guests;          /* that are here, in the order of coming */
  size_t count, told_count; /* guests that are here; how many of them were told last */
  size_t refs;              /* of guests */
  const vestry_key *key;    /* for on_change; in one allocation with this, as are the bytes of packed */
  vestry_scoped_key packed; /* the same key, of no scope */
} vsi_place;

struct vsi_guest {
  vsi_map_link in; /* his presence's guests */
  vsi_place *at;
  vsi_ring at_place, news, gone; /* a member of each while is_here, is_news, is_gone */
  vsi_guest *next_waiting;       /* to be told to other nodes */
  uint64_t others, unsure;       /* nodes that have him; of these, those that name theirs anew, and did not name him */
  size_t streams_count;          /* on this node */
  uint64_t leaves_ns;            /* no streams: when he leaves this node */
  bool is_own;                   /* he has streams on this node, or is in the grace time */
  bool is_here, is_gone;         /* is_here: is_own, or others have him; is_gone: in the grace time */
  bool is_told, is_news;         /* what on_change was told; is_news: in the list, since is_here differs from it */
  bool is_being_told;
  bool is_spread, is_waiting; /* other nodes were told that is_own; is_waiting: in the list of those to be told */
  char who[];
};

struct vestry_presence {
  vestry *v;          /* the instance that it was created with */
  vsi_presences *all; /* its */
  const vestry_host *host;
  LIST_ENTRY(vestry_presence) in;       /* guarded by the lock of v->presences */
  bool is_entered;                      /* likewise: it is in the list */
  char name[VSI_PRESENCE_NAME_MAX + 1]; /* "": of this node alone */
  uint64_t grace_ns;
  size_t max_count;
  vestry_presence_fn on_change;
  void *ctx;
  vestry_actor *actor;
  vestry_timer *timer;
  vsi_keyed_hash hash; /* of places, and of guests */
  vsi_mutex telling;   /* held while on_change runs; outermost */
  bool is_deaf;        /* guarded by telling: destroyed */
  vsi_mutex lock;
  /* guarded by lock */
  size_t refs; /* the owner, the actor, attachments */
  bool is_closed;
  size_t reserved_count;        /* guests that replies have made and not begun */
  size_t here_count, own_count; /* guests that are here; of these, those of this node */
  vsi_map places, guests;
  vsi_ring gone, news;             /* guests: in the order of leaves_ns; in the order of what has happened */
  const vsi_presence_watch *watch; /* NULL: on_change alone is told */
  vsi_guest *first_waiting, *last_waiting;
  uint64_t spread_count, spread_sum;   /* of guests that are spread */
  uint64_t crowded_out, refused_count; /* nodes for whose guests there was no room; how often */
};

/* Make the tables and draw the secret of their hashes. OK | NO_MEMORY | IO (no randomness); free it in any case. */
vestry_err vsi_presence_init(vestry_presence *presence);
/* The last reference frees it, with all places and guests. No lock held. */
void vsi_presence_unref(vestry_presence *presence);
/* Room for one guest more, if there is memory for it: without, the tables are slower, but work. */
void vsi_presence_grow_locked(vestry_presence *presence);

#endif
