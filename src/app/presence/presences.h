/* SPDX-License-Identifier: MIT */
/* The presences of an instance that have a name, and the watch of the layer above, which tells other nodes of them
 * (spread.h). */
#ifndef VSI_PRESENCE_PRESENCE_H
#define VSI_PRESENCE_PRESENCE_H

#include <string.h>
#include <sys/queue.h>

#include "base/keyed_hash.h"
#include "base/map.h"
#include "base/mutex.h"
#include "base/ring.h"
#include "instance/instance.h"
#include "store/scoped_key.h"
#include "vestry/app/presence.h"
#include "vestry/host.h"

/* Other nodes have a number below this, and a bit in a mask. */
enum { VSI_PRESENCE_NODES_MAX = 64, VSI_PRESENCE_NAME_MAX = 64, VSI_PRESENCE_WHO_MAX = 255 };

/* What a presence calls. Under its lock, but for the last two. */
typedef struct vsi_presence_watch {
  /* Something waits to be told. */
  void (*soon)(void *ctx);
  /* There is one more: others have to name their members again. No lock held. */
  void (*begins)(void *ctx);
  /* All nodes that live are known, and their members. No lock held. */
  bool (*knows_all)(void *ctx);
  void *ctx;
} vsi_presence_watch;

typedef struct vsi_presences {
  vsi_mutex list_lock;
  /* guarded by list_lock */
  LIST_HEAD(, vestry_presence) list;
  const vsi_presence_watch *watch; /* NULL: there are no other nodes */
} vsi_presences;

/* A presence: its places and its members, a table of each, and the lists that members are in. Functions named _locked:
 * the presence's lock is held. */
typedef struct vsi_presence_member vsi_presence_member;

typedef struct vsi_place {
  vsi_map_link in;          /* its presence's places */
  vsi_ring members;         /* that are here, in the order of coming */
  size_t count, told_count; /* members that are here; how many of them were told last */
  size_t refs;              /* of members */
  const vestry_key *key;    /* for on_change; in one allocation with this, as are the bytes of packed */
  vestry_scoped_key packed; /* the same key, of no scope */
} vsi_place;

struct vsi_presence_member {
  vsi_map_link in; /* his presence's members */
  vsi_place *at;
  vsi_ring at_place, news, gone;     /* a member of each while is_here, is_news, is_gone */
  vsi_presence_member *next_waiting; /* to be told to other nodes */
  uint64_t others, unsure; /* nodes that have him; of these, those that name theirs anew, and did not name him */
  size_t streams_count;    /* on this node */
  uint64_t leaves_ns;      /* no streams: when he leaves this node */
  bool is_own;             /* he has streams on this node, or is in the grace time */
  bool is_here, is_gone;   /* is_here: is_own, or others have him; is_gone: in the grace time */
  bool is_told, is_news;   /* what on_change was told; is_news: in the list, since is_here differs from it */
  bool is_being_told;
  bool is_spread, is_waiting; /* other nodes were told that is_own; is_waiting: in the list of those to be told */
  char who[];
};

struct vestry_presence {
  vestry *v;          /* the instance that it was created with */
  vsi_presences *all; /* its */
  const vestry_host *host;
  LIST_ENTRY(vestry_presence) in;       /* guarded by the list_lock of `all` */
  bool is_entered;                      /* likewise: it is in the list */
  char name[VSI_PRESENCE_NAME_MAX + 1]; /* "": of this node alone */
  uint64_t grace_ns;
  size_t max_count;
  vestry_presence_fn on_change;
  void *ctx;
  vestry_actor *actor;
  vestry_timer *timer;
  vsi_keyed_hash hash; /* of places, and of members */
  vsi_mutex telling;   /* held while on_change runs; outermost */
  bool is_deaf;        /* guarded by telling: destroyed */
  vsi_mutex lock;
  /* guarded by lock */
  size_t refs; /* the owner, the actor, attachments */
  bool is_closed;
  size_t reserved_count;        /* members that replies have made and not begun */
  size_t here_count, own_count; /* members that are here; of these, those of this node */
  vsi_map places, members;
  vsi_ring gone, news;             /* members: in the order of leaves_ns; in the order of what has happened */
  const vsi_presence_watch *watch; /* NULL: on_change alone is told */
  vsi_presence_member *first_waiting, *last_waiting;
  uint64_t spread_count, spread_sum;   /* of members that are spread */
  uint64_t crowded_out, refused_count; /* nodes for whose members there was no room; how often */
};
/* Make the tables and draw the secret of their hashes. OK | NO_MEMORY | IO (no randomness); free it in any case. */
vestry_err vsi_presence_init(vestry_presence *presence);
/* The last reference frees it, with all places and members. No lock held. */
void vsi_presence_unref(vestry_presence *presence);
/* Room for one member more, if there is memory for it: without, the tables are slower, but work. */
void vsi_presence_grow_locked(vestry_presence *presence);

/* A place of a presence: a key, and the members that are there. Functions named _locked: the presence's lock is
 * held. */

/* Pack the key of a presence's place, once for whatever is done with the place. place: NULL: the one for all.
 * OK (finish it) | INVALID | TOO_LARGE | NO_MEMORY. No lock is needed. */
vestry_err vsi_place_pack(const vestry_presence *presence, const vestry_key *place, vsi_scoped_key *packed);
/* The same for a key that another node has encoded. */
vestry_err vsi_place_pack_encoded(const vestry_presence *presence, vestry_slice encoded, vsi_scoped_key *packed);

/* One that is in no table yet (vsi_free). packed: copied. OK | MALFORMED | NO_MEMORY */
vestry_err vsi_place_create(const vestry_host *host, const vestry_scoped_key *packed, vsi_place **ret_place);
/* NULL: no member is known there. */
vsi_place *vsi_place_find_locked(const vestry_presence *presence, const vestry_scoped_key *packed);
void vsi_place_enter_locked(vestry_presence *presence, vsi_place *at);

/* Its key, encoded: as other nodes know it. */
static inline vestry_slice vsi_place_encoded(const vsi_place *at) {
  return (vestry_slice){at->packed.data + at->packed.key_offset, at->packed.len - at->packed.key_offset};
}

/* A member: one person at one place. Functions named _locked: the presence's lock is held. */

/* A member that is in no table yet (vsi_free). NULL: out of memory. */
vsi_presence_member *vsi_presence_member_create(const vestry_presence *presence, const vestry_scoped_key *place,
                                                const char *who);
/* NULL: at is NULL, or he is not known there. */
vsi_presence_member *vsi_presence_member_find_locked(const vestry_presence *presence, const vsi_place *at,
                                                     const char *who);
void vsi_presence_member_enter_locked(vestry_presence *presence, vsi_place *at, vsi_presence_member *one);
/* He is here from now on; he is not any more, and may be freed. */
void vsi_presence_member_come_locked(vestry_presence *presence, vsi_presence_member *one);
void vsi_presence_member_leave_locked(vestry_presence *presence, vsi_presence_member *one);
/* Free him if he is not needed any more. */
void vsi_presence_member_let_go_locked(vestry_presence *presence, vsi_presence_member *one);
/* This node has him, or has him no more. */
void vsi_presence_member_own_locked(vestry_presence *presence, vsi_presence_member *one, bool is_own);
/* is_own has changed, or there is a watch: he waits to be told to the other nodes, if they know otherwise. */
void vsi_presence_member_spread_locked(vestry_presence *presence, vsi_presence_member *one);

/* The grace time of members whose last stream on this node has ended. Functions named _locked: the presence's lock is
 * held. */

/* A member's last stream has ended: from now on his grace time runs. */
void vsi_grace_begin_locked(vestry_presence *presence, vsi_presence_member *one);
/* He is not gone any more: he is back, or the time is over. */
void vsi_grace_end_locked(vsi_presence_member *one);
/* The presence's timer. */
void vsi_grace_fire(vestry_timer *timer, void *presence);

#endif
