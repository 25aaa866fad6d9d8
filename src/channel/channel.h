/* SPDX-License-Identifier: MIT */
/* Channels, as the layers above make them, and what one is made of, which the table of those with a name (channels.h)
 * knows too. */
#ifndef VSI_CHANNEL_CHANNEL_H
#define VSI_CHANNEL_CHANNEL_H

#include "base/map.h"
#include "base/mutex.h"
#include "base/refs.h"
#include "base/turnstile.h"
#include "channel/members.h"
#include "coding/epoch.h"
#include "connection/group.h"
#include "vestry/channel.h"

/* A set of connections of one group that are published to. One whose connection ends has left. */
typedef struct vsi_channel vsi_channel;

/* What a channel is found by. */
typedef struct vsi_channel_name {
  /* Of a thread that has found it: drop a reference. true: it was the last, the channel is found no more, and is the
   * caller's to free. NULL: it has no name. */
  bool (*unref)(vsi_channel *channel);
  struct vsi_channels *channels; /* the table that it is in */
  vsi_map_link in;               /* guarded by the table's lock, but for the hash */
  uint64_t number;               /* of the table's channels, from 1; set under the table's lock, before it is found */
  const unsigned char *bytes;
  size_t len;
} vsi_channel_name;

struct vsi_history;

/* What is known of a channel beside its counters. */
typedef struct vsi_channel_sums {
  uint64_t encodes_count;              /* for aligned members, one a coding */
  uint64_t encoded_bytes, plain_bytes; /* what these made, and of what */
  size_t kept_count, kept_bytes;       /* of its history, when a thread was last inside the turnstile */
} vsi_channel_sums;

struct vsi_channel {
  vsi_group *group; /* a reference */
  const vestry_host *host;
  uint64_t epoch_max_bytes;
  vsi_refs refs; /* of its owner; of members, present and reserved; of a name's: of threads that work with
                             it */
  vsi_channel_name name;
  vsi_mutex lock;                  /* see docs/locking.md: nothing of others is called while it is held */
  vsi_turnstile turnstile;         /* left under the lock */
  vsi_members members;             /* guarded by lock */
  vsi_member *cursor;              /* guarded by lock */
  vestry_channel_stats stats;      /* guarded by lock; members_count is not kept here */
  vsi_channel_sums sums;           /* guarded by lock */
  vsi_lane lanes[VSI_CODINGS_MAX]; /* by the coding's index; used inside the turnstile */
  /* NULL: none. Set and used inside the turnstile; elsewhere it says no more than whether there is one. */
  _Atomic(struct vsi_history *) history;
};
/* With its name and the first buckets of its members, about what vestry/channel.h says. */
_Static_assert(sizeof(struct vsi_channel) <= 1136, "what a channel costs: vestry/channel.h");

/* Of what is published in one epoch, at most; and unless it is said. */
#define VSI_EPOCH_MAX_BYTES_MOST    ((uint64_t)1 << 30)
#define VSI_EPOCH_MAX_BYTES_DEFAULT ((uint64_t)64 << 20)

/* epoch_max_bytes: at most VSI_EPOCH_MAX_BYTES_MOST; 0: the default. name: copied; NULL: none. OK | NO_MEMORY */
VESTRY_API vestry_err vsi_channel_make(vsi_group *group, uint64_t epoch_max_bytes, const vsi_channel_name *name,
                                       vsi_channel **ret_channel);

static inline vestry_err vsi_channel_create(vsi_group *group, uint64_t epoch_max_bytes, vsi_channel **ret_channel) {
  return vsi_channel_make(group, epoch_max_bytes, NULL, ret_channel);
}
/* Let all members go (their streams stay open) and free. Not while another thread is inside a function of the channel,
 * or from a hook that its publish calls; streams may end meanwhile. NULL is accepted. */
VESTRY_API void vsi_channel_destroy(vsi_channel *channel);

/* Make a connection a member: it gets what is published from here on. A reference to it is held until it has left.
 * OK | EXISTS (it is one) | CLOSED (the connection has ended) | INVALID (of another group) | NO_MEMORY. Any thread,
 * hooks of connections included; takes the channel's lock briefly */
VESTRY_API vestry_err vsi_channel_join(vsi_channel *channel, vestry_connection *connection);
/* Take a connection out: no event is put into its queue any more when this returns. What is in it is still written.
 * OK | NOT_FOUND (it is no member). As join */
VESTRY_API vestry_err vsi_channel_leave(vsi_channel *channel, vestry_connection *connection);
/* Publish an event to all that are members when it is called; one that joins or leaves meanwhile may get it.
 * vestry_broadcast says what it returns and on which threads, but for NOT_FOUND: without a member it is OK. */
VESTRY_API vestry_err vsi_channel_publish(vsi_channel *channel, vestry_event *event, size_t *ret_sent_count);
/* Waits for publishes, as publish does; where publish would be BUSY, alone_count is without those of the epochs that
 * have not ended. */
void vsi_channel_stats_get(vsi_channel *channel, vestry_channel_stats *ret_stats);

/* The same without waiting, and with sums: alone_count is without those of the epochs that have not ended. Any thread;
 * takes the channel's lock briefly. */
VESTRY_API void vsi_channel_look(vsi_channel *channel, vestry_channel_stats *ret_stats, vsi_channel_sums *ret_sums);

static inline vsi_channel *vsi_channel_ref(vsi_channel *channel) {
  VSI_REFS_TAKE(&channel->refs);
  return channel;
}
VESTRY_API void vsi_channel_unref(vsi_channel *channel);

/* Joining in two steps, of which the second needs no memory: make a member, without a stream yet. It holds the channel.
 * OK | NO_MEMORY */
vestry_err vsi_channel_reserve(vsi_channel *channel, vsi_member **ret_member);
/* Let a member in for a connection; takes the member in any case. As vsi_channel_join, but never NO_MEMORY. */
vestry_err vsi_channel_admit(vsi_member *member, vestry_connection *connection);
/* Free a member that will not be let in. */
VESTRY_API void vsi_channel_discard(vsi_member *member);

/* Whether a channel has a history. Any thread. */
static inline bool vsi_channel_keeps(vsi_channel *channel) {
  return atomic_load_explicit(&channel->history, memory_order_relaxed) != NULL;
}

/* Whether a connection is a member. */
bool vsi_channel_has(vsi_channel *channel, const vestry_connection *connection);

/* The connection has the state: from here on events are sent to it with their ids. */
void vsi_channel_let_claim(vsi_channel *channel, const vestry_connection *connection);

/* Go into the turnstile, and come out. BUSY: another thread is inside, and this thread is inside of a turnstile
 * already, so it must not wait. */
VESTRY_API vestry_err vsi_channel_go_in(vsi_channel *channel);
/* Go in, but do not wait. Returns whether this thread is inside. */
VESTRY_API bool vsi_channel_try(vsi_channel *channel);
VESTRY_API void vsi_channel_come_out(vsi_channel *channel);

/* Told of a member that could not take an event, and stays open. Inside the publish, as hooks are. */
typedef void (*vsi_refused_fn)(vestry_connection *connection, vestry_err error, void *ctx);
/* The same; with refused, what members refuse is told to it, and is no error of the publish. changed_ns: when the
 * change came that the event answers (connection/tally.h); 0: none. */
VESTRY_API vestry_err vsi_channel_publish_telling(vsi_channel *channel, vestry_event *event, uint64_t changed_ns,
                                                  vsi_refused_fn refused, void *ctx, size_t *ret_sent_count);

#endif
