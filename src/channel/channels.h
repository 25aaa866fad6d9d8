/* SPDX-License-Identifier: MIT */
/* Channels by name. A channel exists while it has a member or a thread works with it. See channels.c for the essay. Any
 * thread; no callback is called while the table's lock is held. */
#ifndef VSI_CHANNEL_CHANNELS_H
#define VSI_CHANNEL_CHANNELS_H

#include "channel/channel.h"

typedef struct vsi_channels vsi_channels;

/* Functions of a higher layer that tracks which channels exist. Any thread, no lock held. */
typedef struct vsi_channels_watch {
  vestry_err (*coming)(const void *bytes, size_t len, void *ctx); /* called before a channel is created: OK | NO_MEMORY:
                                                                     it is not created */
  void (*left)(const void *bytes, size_t len, void *ctx);         /* the channel has ended, or was not created after
                                                                     all */
  void *ctx;
} vsi_channels_watch;

/* Create a table. max_count, epoch_max_bytes: 0: the default. OK | INVALID (epoch_max_bytes) | NO_MEMORY */
vestry_err vsi_channels_create(vsi_group *group, size_t max_count, uint64_t epoch_max_bytes,
                               vsi_channels **ret_channels);
/* Destroy a table without live channels. NULL is accepted. */
void vsi_channels_destroy(vsi_channels *channels);

/* A name is a sequence of bytes and a hash of it, whose upper bits users cannot choose. */

/* Get a reference to the channel of a name; NULL: none. */
VESTRY_API vsi_channel *vsi_channels_find(vsi_channels *channels, const void *bytes, size_t len, uint64_t hash);
/* Get a reference to the channel of a name; create it if there is none. OK | LIMIT | NO_MEMORY */
VESTRY_API vestry_err vsi_channels_hold(vsi_channels *channels, const void *bytes, size_t len, uint64_t hash,
                                        vsi_channel **ret_channel);

/* Counters since the table was created. made_count = live_count + ended_count. */
typedef struct vsi_channels_stats {
  uint64_t made_count, live_count, ended_count;
  uint64_t refused_count; /* channels not made because of max_channels_count */
} vsi_channels_stats;

/* Get the counters. */
VESTRY_API void vsi_channels_stats_get(vsi_channels *channels, vsi_channels_stats *ret_stats);

/* A position among the channels, which are ordered by hash, and within a hash by creation. Zero: the beginning, and the
 * end. */
typedef struct vsi_channels_place {
  uint64_t hash, number;
} vsi_channels_place;

/* Get the next channels from a position on, each with a reference that the caller drops. Returns their number, at most
 * `room`. The search ends after some thousands of buckets, so the number can be 0 before the end. from: in and out. */
VESTRY_API size_t vsi_channels_next(vsi_channels *channels, vsi_channels_place *from, vsi_channel **ret_found,
                                    size_t room);

/* Set the watch, only while no channel is live; NULL: none, and wait for running calls. */
VESTRY_API void vsi_channels_watch_set(vsi_channels *channels, const vsi_channels_watch *watch);

#endif
