/* SPDX-License-Identifier: MIT */
/* Another node, in one of its lives. The cluster's lock guards all of it. */
#ifndef VSI_CLUSTER_PEER_H
#define VSI_CLUSTER_PEER_H

#include "vestry/cluster/cluster.h"

/* Gaps that were told, in what one node has sent. */
typedef struct vsi_gaps {
  uint64_t count, lost_count;
  uint64_t last_ns; /* when the last one was told */
} vsi_gaps;

typedef struct vsi_peer {
  uint64_t id, epoch;                   /* epoch 0: the place has never been taken */
  uint64_t begun_ns;                    /* its life, on this node's clock, or later by what its proof took */
  char name[VESTRY_NODE_MAX_BYTES + 1]; /* told with the proof */
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  vestry_member_state state;
  uint64_t heard_ns;
  uint64_t proofs;      /* of this life and former ones of the node: a challenge is good for one proof */
  uint64_t out_seq;     /* the last number that was given */
  uint64_t in_seq;      /* the last one that has come, or is known to be lost */
  uint64_t in_turn;     /* of the last message that has come */
  uint64_t told_ns;     /* when it was told of keys */
  uint64_t verified_ns; /* when its keys were last known to be known in full */
  bool drains;          /* it has said so: for good */
  bool has_met;         /* it has sent something in the knowledge of this life of this node */
  bool is_synced;       /* its keys are known */
  bool is_syncing;      /* they are coming, and none is missing so far */
  bool must_sync;       /* what was lost may have been of them: they are to be told anew, whatever their sum says */
  bool wants_all;       /* it is to be told all keys */
  bool is_telling_all;  /* what is told is part of all that there is */
  struct vsi_digest *digests, *last_digest; /* what waits to be told it */
  size_t digests_bytes, digests_most;       /* how much that is; how much it may be */
  uint64_t guests_count, guests_sum; /* members of presences there, as far as it has told; their hashes added up */
  /* What the application is to be told. */
  bool has_gap, has_news;
  uint64_t lost_count;
  vsi_gaps gaps; /* also of former lives, as long as it has its place */
} vsi_peer;

/* The node is reckoned with: alive, draining or suspect. */
static inline bool vsi_peer_lives(const vsi_peer *peer) {
  return peer->state == VESTRY_MEMBER_ALIVE || peer->state == VESTRY_MEMBER_DRAINING ||
         peer->state == VESTRY_MEMBER_SUSPECT;
}

/* The application is to be told of a gap; lost_count 0: it is not known how much. */
static inline void vsi_peer_lose(vsi_peer *peer, uint64_t lost_count) {
  peer->has_gap = true;
  peer->lost_count += lost_count;
}

/* Something of its keys or members of presences is not known: all are to be told anew. */
static inline void vsi_peer_must_sync(vsi_peer *peer) {
  peer->is_synced = peer->is_syncing = false;
  peer->must_sync = true;
}

#endif
