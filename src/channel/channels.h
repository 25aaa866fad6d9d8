/* SPDX-License-Identifier: MIT */
/* Channels by name: each is there while it has a member, or a thread works with it, and no longer. See channels.c for
 * the essay. Any thread; nothing of others is called while its lock is held. */
#ifndef VSI_CHANNEL_CHANNELS_H
#define VSI_CHANNEL_CHANNELS_H

#include "channel/channel.h"

typedef struct vsi_channels vsi_channels;

/* made = live + ended. */
typedef struct vsi_channels_stats {
  uint64_t made, live, ended;
  uint64_t refused; /* for max_count */
} vsi_channels_stats;

/* Told of names: by another layer, which knows which channels there are. Any thread, no lock held. */
typedef struct vsi_channels_watch {
  vestry_err (*coming)(const void *bytes, size_t len, void *ctx); /* OK | NO_MEMORY: the channel is not made */
  void (*left)(const void *bytes, size_t len, void *ctx);         /* it has ended, or was not made after all */
  void *ctx;
} vsi_channels_watch;

/* max_count, epoch_max_bytes: 0: the default. OK | INVALID (epoch_max_bytes) | NO_MEMORY */
vestry_err vsi_channels_create(vsi_group *group, size_t max_count, uint64_t epoch_max_bytes,
                               vsi_channels **ret_channels);
/* None is live. NULL is accepted. */
void vsi_channels_destroy(vsi_channels *channels);

/* A name is bytes, and a hash of them whose upper bits no user can aim at. */

/* A reference to the channel of that name; NULL: there is none. */
vsi_channel *vsi_channels_find(vsi_channels *channels, const void *bytes, size_t len, uint64_t hash);
/* The same, which is made if there is none. OK | LIMIT | NO_MEMORY */
VESTRY_API vestry_err vsi_channels_hold(vsi_channels *channels, const void *bytes, size_t len, uint64_t hash,
                                        vsi_channel **ret_channel);

VESTRY_API void vsi_channels_stats_get(vsi_channels *channels, vsi_channels_stats *ret_stats);

/* A place among channels, which stand in the order of their hashes, those of one hash as they were made. Zero: the
 * beginning, and the end. */
typedef struct vsi_channels_place {
  uint64_t hash, number;
} vsi_channels_place;

/* The next channels from a place on, each with a reference, which the caller drops. Returns how many: the most that
 * ret_found has room for, or fewer. It goes through some thousands of buckets at most, so it can be 0 before the end.
 * from: in and out. */
VESTRY_API size_t vsi_channels_next(vsi_channels *channels, vsi_channels_place *from, vsi_channel **ret_found,
                                    size_t room);

/* Set the watcher; NULL: none any more. While no channel is live. It must outlive what is under way. */
VESTRY_API void vsi_channels_watch_set(vsi_channels *channels, const vsi_channels_watch *watch);

#endif
