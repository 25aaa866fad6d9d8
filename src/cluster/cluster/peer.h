/* SPDX-License-Identifier: MIT */
/* Another node, in one run. A run is the time from a node's start to its end; a random epoch identifies it. All members
 * are guarded by the cluster's lock. */
#ifndef VSI_CLUSTER_PEER_H
#define VSI_CLUSTER_PEER_H

#include "vestry/cluster/cluster.h"

/* Reported gaps in the messages of one node. */
typedef struct vsi_gaps {
  uint64_t count, lost_count;
  uint64_t last_ns; /* time of the last report */
} vsi_gaps;

typedef struct vsi_peer {
  unsigned index;                       /* constant: its place among the peers */
  uint64_t id, epoch;                   /* id: hash of its name. epoch 0: this slot was never used */
  char name[VESTRY_NODE_MAX_BYTES + 1]; /* received with the proof */
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  vestry_member_state state;
  uint64_t received_ns;
  uint64_t accepted_ns; /* time of its last message to this run of this node. 0: there was none, or a later message was
                           to another run */
  uint64_t proofs;      /* number of proofs of all runs of the node. It is part of a challenge, so that each is accepted
                           once */
  uint64_t out_seq;     /* last number assigned to a message to it */
  bool has_news;        /* it was, since the last heartbeat to it alone */
  uint64_t in_seq;      /* last number that arrived from it, or is known to be lost */
  uint64_t in_turn;     /* turn of the last message that arrived from it */
  uint64_t all_seq, all_turn; /* the same for its messages to all nodes */
  uint64_t verified_ns;       /* time when the copy of its keys was last known to be complete */
  bool drains;                /* it has announced that it drains; never reset */
  bool has_met;               /* it has sent a message to this run of this node */
  bool is_synced;             /* its keys are known */
  bool is_syncing;            /* a full announcement is arriving, without a gap so far */
  bool must_sync;             /* announcements may be lost: a full one is needed, even if the digests agree */
  uint64_t listed_ns;         /* time when a part of one arrived last */
  uint64_t ignored_seq;       /* last change that was ignored during a list, which must include it (announcements.c) */
  uint64_t synced_seq;        /* number up to which the last list has all changes */
  bool wants_all;             /* it must get a full announcement */
  uint64_t all_ns;            /* time of the last full announcement to it */
  size_t run_bytes;           /* maximum size of a run of it; 0: none was sent yet */
  uint64_t present_count, present_sum; /* members of presences there, as announced, and the sum of their hashes */
  /* Changes that must be reported to the application. */
  bool has_gap, has_change, has_joined; /* has_joined: it got this slot */
  bool has_late_gap;                    /* of its goodbye: reported after suspect_ns, or with another run of it */
  uint64_t lost_count;
  vsi_gaps gaps; /* also of former runs, while it has this slot */
} vsi_peer;

/* Return whether the node is alive, draining or suspect. */
static inline bool vsi_peer_lives(const vsi_peer *peer) {
  return peer->state == VESTRY_MEMBER_ALIVE || peer->state == VESTRY_MEMBER_DRAINING ||
         peer->state == VESTRY_MEMBER_SUSPECT;
}

/* Note a gap: messages of this node were lost, which is reported to the application later. lost_count: their number; 0:
 * unknown. */
static inline void vsi_peer_lose(vsi_peer *peer, uint64_t lost_count) {
  peer->has_gap = true;
  peer->lost_count += lost_count;
}

/* Request a full announcement, because its keys or members of presences are not known completely. */
static inline void vsi_peer_must_sync(vsi_peer *peer) {
  peer->is_synced = peer->is_syncing = false;
  peer->must_sync = true;
}

#endif
