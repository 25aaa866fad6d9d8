/* SPDX-License-Identifier: MIT */
/* essay: channels without an owner, which are found while they end */
/* Channels without an owner.
 *
 * Holders. Every reference to a channel has a holder: a member, from its reservation until its last use; a reply whose
 * stream is to join; or a thread that publishes, joins, removes or lists. The table holds no reference: it contains the
 * channels that have a holder. So the last reference is the channel's end. The channel then has no member, no thread
 * holds its semaphore, and its encoders have ended with their last members.
 *
 * Ending while being found. A channel is found, and a reference to it taken, under the table's lock. The last reference
 * is dropped, and the channel removed, under the same lock. So a channel that is found still has a reference. A
 * reference that is not the last is dropped without the lock, but never by a decrement that could reach zero.
 * Otherwise, if a third thread found the channel between two decrements to zero, both would free it.
 *
 * Memory. Nothing is allocated under the lock. A channel is created without it, and freed again if another thread was
 * faster. If the table cannot grow, it becomes slower, but works. */
#include "channel/channels.h"

#include <sched.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/refs.h"

enum { DEFAULT_MAX_COUNT = 10000, WALK_STEPS = 4096 };

struct vsi_channels {
  vsi_group *group; /* its connections join */
  const vestry_host *host;
  size_t max_count;
  uint64_t epoch_max_bytes;                  /* of each channel */
  _Atomic(const vsi_channels_watch *) watch; /* NULL: none */
  _Atomic(uint32_t) watching_count;          /* threads between enter_watch and leave_watch */
  vsi_mutex lock;                            /* see docs/locking.md */
  /* guarded by lock */
  vsi_map map;
  vsi_channels_stats stats;
};

vestry_err vsi_channels_create(vsi_group *group, size_t max_count, uint64_t epoch_max_bytes,
                               vsi_channels **ret_channels) {
  if (epoch_max_bytes > VSI_EPOCH_MAX_BYTES_MOST) return VESTRY_INVALID;
  const vestry_host *host = vsi_group_environment(group)->host;
  vsi_channels *channels = vsi_calloc(host, 1, sizeof *channels);
  if (!channels) return VESTRY_NO_MEMORY;
  if (vsi_map_reserve(&channels->map, host, 1)) {
    vsi_free(host, channels);
    return VESTRY_NO_MEMORY;
  }
  channels->group = group;
  channels->host = host;
  channels->epoch_max_bytes = epoch_max_bytes;
  channels->max_count = max_count ? max_count : DEFAULT_MAX_COUNT;
  vsi_mutex_init(&channels->lock, VSI_LOCK_CHANNELS);
  *ret_channels = channels;
  return VESTRY_OK;
}

void vsi_channels_destroy(vsi_channels *channels) {
  if (!channels) return;
  vsi_mutex_finish(&channels->lock);
  vsi_map_finish(&channels->map, channels->host);
  vsi_free(channels->host, channels);
}

/* Return the channel with a reference; NULL: none. */
static vsi_channel *find_channel_locked(const vsi_channels *channels, const vsi_channel_name *name) {
  for (vsi_map_link *at = vsi_map_first(&channels->map, name->in.hash); at; at = vsi_map_further(at)) {
    vsi_channel *channel = VSI_MAP_OWNER(at, vsi_channel, name.in);
    if (channel->name.len == name->len && memcmp(channel->name.bytes, name->bytes, name->len) == 0)
      return vsi_channel_ref(channel);
  }
  return NULL;
}

vsi_channel *vsi_channels_find(vsi_channels *channels, const void *bytes, size_t len, uint64_t hash) {
  const vsi_channel_name name = {.in = {.hash = hash}, .bytes = bytes, .len = len};
  vsi_mutex_lock(&channels->lock);
  vsi_channel *found = find_channel_locked(channels, &name);
  vsi_mutex_unlock(&channels->lock);
  return found;
}

static bool is_before(vsi_channels_place a, vsi_channels_place b) {
  return a.hash < b.hash || (a.hash == b.hash && a.number < b.number);
}

static vsi_channels_place place_of(const vsi_channel *channel) {
  return (vsi_channels_place){channel->name.in.hash, channel->name.number};
}

/* Return the first channel at or after `from` in its bucket; NULL: none. */
static vsi_channel *first_locked(const vsi_channels *channels, vsi_channels_place from) {
  vsi_channel *first = NULL;
  for (vsi_map_link *at = *vsi_map_bucket(&channels->map, from.hash); at; at = at->next) {
    vsi_channel *channel = VSI_MAP_OWNER(at, vsi_channel, name.in);
    if (is_before(place_of(channel), from)) continue;
    if (!first || is_before(place_of(channel), place_of(first))) first = channel;
  }
  return first;
}

/* Return the place after a channel; NULL: the beginning of the next bucket, which is 0 after the last one. */
static vsi_channels_place next_place_locked(const vsi_channels *channels, vsi_channels_place from,
                                            const vsi_channel *found) {
  if (found) return (vsi_channels_place){found->name.in.hash, found->name.number + 1};
  const unsigned shift = 64 - channels->map.bits;
  return (vsi_channels_place){((from.hash >> shift) + 1) << shift, 0};
}

size_t vsi_channels_next(vsi_channels *channels, vsi_channels_place *from, vsi_channel **ret_found, size_t room) {
  size_t count = 0, steps = 0;
  vsi_channels_place at = *from;
  vsi_mutex_lock(&channels->lock);
  do {
    vsi_channel *found = first_locked(channels, at);
    if (found) ret_found[count++] = vsi_channel_ref(found);
    at = next_place_locked(channels, at, found);
  } while ((at.hash || at.number) && count < room && ++steps < WALK_STEPS);
  vsi_mutex_unlock(&channels->lock);
  *from = at;
  return count;
}

/* All four accesses are sequentially consistent: either a thread finds the watch removed, or its removal finds the
 * thread, and waits. */
void vsi_channels_watch_set(vsi_channels *channels, const vsi_channels_watch *watch) {
  atomic_store(&channels->watch, watch);
  while (!watch && atomic_load(&channels->watching_count)) sched_yield();
}

static const vsi_channels_watch *enter_watch(vsi_channels *channels) {
  atomic_fetch_add(&channels->watching_count, 1);
  return atomic_load(&channels->watch);
}

static void leave_watch(vsi_channels *channels) {
  atomic_fetch_sub(&channels->watching_count, 1);
}

/* ------------------------------------------------------------------------------------------------- ending --------- */

/* Drop a reference: vsi_channel_name.unref. */
static bool unref(vsi_channel *channel) {
  vsi_channels *channels = channel->name.channels;
  uint32_t refs = atomic_load_explicit(&channel->refs, memory_order_relaxed);
  /* release, paired with the acquire of the last thread, which sees the writes of the others */
  while (refs > 1)
    if (atomic_compare_exchange_weak_explicit(&channel->refs, &refs, refs - 1, memory_order_release,
                                              memory_order_relaxed))
      return false;
  vsi_mutex_lock(&channels->lock);
  bool is_last = VSI_REFS_DROP(&channel->refs);
  if (is_last) {
    vsi_map_remove(&channels->map, &channel->name.in);
    VSI_ASSERT(channels->stats.live_count > 0);
    channels->stats.live_count--;
    channels->stats.ended_count++;
  }
  vsi_mutex_unlock(&channels->lock);
  if (!is_last) return false;
  const vsi_channels_watch *watch = enter_watch(channels);
  if (watch) watch->left(channel->name.bytes, channel->name.len, watch->ctx);
  leave_watch(channels);
  return true;
}

/* ------------------------------------------------------------------------------------------------- making --------- */

/* Allocated without the lock. */
typedef struct spare {
  vsi_channel *channel;
  vsi_map_room room;
} spare;

static vestry_err room_locked(vsi_channels *channels) {
  if (channels->stats.live_count < channels->max_count) return VESTRY_OK;
  channels->stats.refused_count++;
  return VESTRY_LIMIT;
}

/* Find the channel, or add the spare one. */
static vestry_err find_or_add(vsi_channels *channels, const vsi_channel_name *name, spare *have,
                              vsi_channel **ret_channel) {
  vestry_err error = VESTRY_OK;
  vsi_mutex_lock(&channels->lock);
  vsi_channel *found = find_channel_locked(channels, name);
  if (!found) error = room_locked(channels);
  if (!found && !error) {
    vsi_map_room_take(&channels->map, &have->room);
    found = have->channel;
    have->channel = NULL;
    vsi_map_add(&channels->map, &found->name.in, name->in.hash);
    found->name.number = ++channels->stats.made_count;
    channels->stats.live_count++;
  }
  vsi_mutex_unlock(&channels->lock);
  if (found) *ret_channel = found;
  return error;
}

vestry_err vsi_channels_hold(vsi_channels *channels, const void *bytes, size_t len, uint64_t hash,
                             vsi_channel **ret_channel) {
  const vsi_channel_name name = {
      .unref = unref, .channels = channels, .in = {.hash = hash}, .bytes = bytes, .len = len};
  spare have = {NULL, {NULL, 0}};
  vsi_mutex_lock(&channels->lock);
  vsi_channel *found = find_channel_locked(channels, &name);
  vestry_err error = found ? VESTRY_OK : room_locked(channels);
  unsigned bits = vsi_map_wanted(&channels->map, channels->map.count + 1);
  vsi_mutex_unlock(&channels->lock);
  if (found) *ret_channel = found;
  if (found || error) return error;
  error = vsi_channel_make(channels->group, channels->epoch_max_bytes, &name, &have.channel);
  if (error) return error;
  (void)vsi_map_room_make(&have.room, channels->host, bits);
  const vsi_channels_watch *watch = enter_watch(channels);
  if (watch) error = watch->coming(bytes, len, watch->ctx);
  if (!error) {
    error = find_or_add(channels, &name, &have, ret_channel);
    if (watch && have.channel) watch->left(bytes, len, watch->ctx);
  }
  leave_watch(channels);
  vsi_map_room_free(&have.room, channels->host);
  if (have.channel) { /* another thread was faster, or took the last place: this channel was never in the table */
    have.channel->name.unref = NULL;
    vsi_channel_unref(have.channel);
  }
  return error;
}

void vsi_channels_stats_get(vsi_channels *channels, vsi_channels_stats *ret_stats) {
  vsi_mutex_lock(&channels->lock);
  *ret_stats = channels->stats;
  vsi_mutex_unlock(&channels->lock);
}
