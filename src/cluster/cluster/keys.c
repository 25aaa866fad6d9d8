/* SPDX-License-Identifier: MIT */
/* essay: which node holds which key: each node owns its set, and the others copy it */
/* Which node holds which key.
 *
 * Digests. Each node owns the set of its keys, as hashes made with the cluster's secret, and announces changes of it;
 * the other nodes copy it. No node changes the set of another node, so no agreement is needed: a copy is correct or
 * late, and the digest (the number of keys and the sum of their hashes) shows which.
 *
 * This node's set is a map. An entry remains while this node has streams of the key, or still has to announce that
 * it no longer does. All copies together are a second table, with an entry for each pair of a key and a node, so that
 * one lookup finds all nodes of a key. Two keys with the same hash are one key in the digest. Then nodes get a request
 * in vain, or nodes are queried for a key that no node has. The receiver finds streams by the full key, so no wrong
 * stream is reached.
 *
 * The table of copies has an entry's node as a tag. To drop a copy, its tag is taken away from the node, so its entries
 * mean nothing from then on. A sweep removes them, one segment at a time. A tag is used again after a sweep that began
 * when it had been dropped already.
 *
 * The count of a key goes up before a stream is put under the key, and down after a stream was removed. So it is never
 * too low. A change is found when announcements are sent, by comparing the count with what was announced last. So a
 * stream that comes and leaves between two announcements costs the other nodes nothing, and the order in which threads
 * call these functions does not matter.
 *
 * If two threads put one key at once, the thread whose stream was replaced may be the last to call vsi_keys_replaced.
 * The handle of a stream that has left is therefore remembered, and is not recorded as the current one.
 *
 * REPLACE. REPLACE is the policy by which a new stream replaces all others of its key. A node that puts a stream with
 * REPLACE gives it a stamp, which is higher than all stamps that other nodes have announced to it: the time on the
 * cluster clock, or, if that is not higher, the highest announced stamp plus 1. The cluster clock is the clock of the
 * node that is furthest ahead; nodes send it with their heartbeats, and a node that is behind advances. In each part of
 * a divided network the clock continues at its own pace. So there, too, the newer of two streams has the higher stamp,
 * up to the transit time of messages. Of two nodes that hold such a key, the one with the lower stamp closes its stream
 * when the announcement of the other arrives; if the stamps are equal, the one with the lower id does. It also closes
 * its other streams of the key that are older than the stamp of the other node, under whichever policy they were put.
 * If a stream that was put with REPLACE leaves before it was announced, its removal is announced with the stamp to the
 * nodes that may have older streams. */
#include "cluster/cluster/keys.h"

#include <string.h>

#include "base/array.h"
#include "base/memory.h"

enum { FIRST_CAPACITY = 8, MAP_BITS = 4, COUNT_MOST = (1 << 21) - 1, TAG_BITS = 64 - VSI_KEYS_HASH_BITS };

vestry_err vsi_keys_init(vsi_keys *keys, const vestry_host *host) {
  memset(keys, 0, sizeof *keys);
  keys->host = host;
  vsi_mutex_init(&keys->lock, VSI_LOCK_CLUSTER_KEYS);
  STAILQ_INIT(&keys->waiting);
  for (size_t i = 1; i < VSI_KEYS_TAGS; i++) keys->node_of[i] = VSI_KEYS_FREE;
  keys->node_of[0] = VSI_KEYS_DROPPED; /* never used: a tag of 0 means none */
  for (size_t i = 0; i < VSI_KEYS_MAPS; i++)
    if (vsi_map_reserve(&keys->own[i], host, 1)) return VESTRY_NO_MEMORY;
  return VESTRY_OK;
}

void vsi_keys_finish(vsi_keys *keys) {
  if (!keys->host) return;
  for (size_t i = 0; i < VSI_KEYS_SEGMENTS; i++) vsi_free(keys->host, keys->segments[i].entries);
  for (size_t i = 0; i < VSI_KEYS_MAPS; i++) vsi_map_free_all(&keys->own[i], keys->host, offsetof(vsi_own_key, in));
  vsi_mutex_finish(&keys->lock);
}

/* ---------------------------------------------------------------------------------------------------- own keys ---- */

static uint64_t hash_of(const vsi_own_key *own) {
  return own->in.hash >> TAG_BITS;
}

static vsi_map *map_of(vsi_keys *keys, uint64_t hash) {
  return &keys->own[(hash >> 1) % VSI_KEYS_MAPS];
}

static vsi_own_key *find_own_locked(vsi_keys *keys, uint64_t hash) {
  return VSI_MAP_OWNER(vsi_map_first(map_of(keys, hash), hash << TAG_BITS), vsi_own_key, in);
}

/* Find or add an own key. NULL: out of memory. */
static vsi_own_key *hold_own_locked(vsi_keys *keys, uint64_t hash) {
  vsi_own_key *own = find_own_locked(keys, hash);
  if (own) return own;
  vsi_map *map = map_of(keys, hash);
  (void)vsi_map_reserve(map, keys->host, map->count + 1); /* without memory it becomes slower */
  own = vsi_calloc(keys->host, 1, sizeof *own);
  if (own) vsi_map_add(map, &own->in, hash << TAG_BITS);
  return own;
}

static void free_if_unused_locked(vsi_keys *keys, vsi_own_key *own) {
  if (own->count || own->is_announced || own->is_waiting) return;
  vsi_map_remove(map_of(keys, hash_of(own)), &own->in);
  vsi_free(keys->host, own);
}

/* ------------------------------------------------------------------------------------------- table of copies ------ */

/* Own keys are listed in the order of their upper bits; segments and homes are given by the others, so that a copy does
 * not fill up at one end. */
static vsi_key_segment *segment_of(vsi_keys *keys, uint64_t hash) {
  return &keys->segments[(hash >> 1) % VSI_KEYS_SEGMENTS];
}

static size_t home_of(size_t capacity, uint64_t entry) {
  return (size_t)((entry >> (TAG_BITS + 1)) / VSI_KEYS_SEGMENTS % capacity);
}

/* Return the place after this one; the first place follows the last. */
static size_t behind(size_t capacity, size_t at) {
  return at + 1 < capacity ? at + 1 : 0;
}

/* Number of places from one to the other, forwards. */
static size_t distance(size_t capacity, size_t from, size_t to) {
  return to >= from ? to - from : to + capacity - from;
}

static bool is_dropped(const vsi_keys *keys, uint64_t entry) {
  return keys->node_of[entry % VSI_KEYS_TAGS] >= VSI_NODES_MAX;
}

/* Return the place of an entry, or the free one where it belongs. The segment has a free place. */
static uint64_t *place_of(const vsi_key_segment *segment, uint64_t entry) {
  size_t at = home_of(segment->capacity, entry);
  while (segment->entries[at] && segment->entries[at] != entry) at = behind(segment->capacity, at);
  return &segment->entries[at];
}

/* Return the next other node that holds a key, from place *at on, which is moved along; VSI_NODES_MAX: there are no
 * more. */
static unsigned next_holder_locked(vsi_keys *keys, uint64_t hash, size_t *at) {
  const vsi_key_segment *segment = segment_of(keys, hash);
  if (!segment->used) return VSI_NODES_MAX;
  if (*at == SIZE_MAX) *at = home_of(segment->capacity, hash << TAG_BITS);
  for (uint64_t entry; (entry = segment->entries[*at]) != 0;) {
    *at = behind(segment->capacity, *at);
    if (entry >> TAG_BITS == hash && !is_dropped(keys, entry)) return keys->node_of[entry % VSI_KEYS_TAGS];
  }
  return VSI_NODES_MAX;
}

static bool is_elsewhere_locked(vsi_keys *keys, uint64_t hash) {
  return next_holder_locked(keys, hash, &(size_t){SIZE_MAX}) < VSI_NODES_MAX;
}

/* Update whether an own key is shared. */
static void share_locked(vsi_keys *keys, vsi_own_key *entry) {
  const uint64_t hash = hash_of(entry);
  bool is = entry->count && !(hash & VSI_KEYS_CHANNEL) && is_elsewhere_locked(keys, hash);
  if (is == (bool)entry->is_shared) return;
  entry->is_shared = is;
  /* seq_cst: a key that begins to be shared is counted here before vsi_keys_was_hit looks for a dispatch, and a
   * dispatch is recorded (vsi_keys_hit) before the count is read (instance/elsewhere.h). So at least one of the two
   * sees the other. */
  if (is)
    atomic_fetch_add_explicit(&keys->shared_count, 1, memory_order_seq_cst);
  else
    atomic_fetch_sub_explicit(&keys->shared_count, 1, memory_order_seq_cst);
}

static void share_hash_locked(vsi_keys *keys, uint64_t hash) {
  vsi_own_key *own = find_own_locked(keys, hash);
  if (own) share_locked(keys, own);
}

/* Move the entries of a segment into a table of another size, without those of dropped copies. *ret_old: memory that
 * the caller frees, if possible without the lock, because an allocator may return much memory at once. false: out of
 * memory. */
static bool rebuild_locked(vsi_keys *keys, vsi_key_segment *segment, size_t capacity, void **ret_old) {
  vsi_key_segment was = *segment, made = {.capacity = (uint32_t)capacity};
  made.entries = vsi_calloc(keys->host, capacity, sizeof *made.entries);
  if (!made.entries) return false;
  for (size_t i = 0; i < was.capacity; i++) {
    if (!was.entries[i] || is_dropped(keys, was.entries[i])) continue;
    *place_of(&made, was.entries[i]) = was.entries[i];
    made.used++;
  }
  *segment = made;
  for (size_t i = 0; i < was.capacity; i++)
    if (was.entries[i] && is_dropped(keys, was.entries[i])) share_hash_locked(keys, was.entries[i] >> TAG_BITS);
  *ret_old = was.entries;
  return true;
}

/* Give a tag to the copy of a node. 0: none is free until the next sweep ends. */
static uint16_t tag_locked(vsi_keys *keys, unsigned node) {
  for (unsigned i = 0; i < VSI_KEYS_TAGS && !keys->copies[node].tag; i++) {
    keys->last_tag = (keys->last_tag + 1) % VSI_KEYS_TAGS;
    if (keys->node_of[keys->last_tag] != VSI_KEYS_FREE) continue;
    keys->node_of[keys->last_tag] = (uint16_t)node;
    keys->copies[node].tag = (uint16_t)keys->last_tag;
  }
  return keys->copies[node].tag;
}

/* Add an entry to a node's copy. OK | EXISTS | NO_MEMORY */
static vestry_err add_locked(vsi_keys *keys, unsigned node, uint64_t hash) {
  vsi_key_segment *segment = segment_of(keys, hash);
  const uint64_t entry = hash << TAG_BITS | tag_locked(keys, node);
  if (!(entry % VSI_KEYS_TAGS)) return VESTRY_NO_MEMORY;
  if (segment->capacity && *place_of(segment, entry)) return VESTRY_EXISTS;
  if (segment->used >= segment->capacity / 8 * 7) {
    const size_t more = segment->capacity / 2;
    void *old = NULL;
    if (!rebuild_locked(keys, segment, segment->capacity + (more ? more : FIRST_CAPACITY), &old))
      return VESTRY_NO_MEMORY;
    vsi_free(keys->host, old);
  }
  *place_of(segment, entry) = entry;
  segment->used++;
  keys->copies[node].count++;
  keys->copies[node].sum += hash;
  return VESTRY_OK;
}

/* Remove an entry of a node's copy, if it is there. It leaves a hole, at which searches would stop; so later entries
 * whose home is not behind the hole are moved into it. */
static void remove_locked(vsi_keys *keys, unsigned node, uint64_t hash) {
  vsi_key_segment *segment = segment_of(keys, hash);
  const size_t capacity = segment->capacity;
  uint64_t *place = capacity ? place_of(segment, hash << TAG_BITS | keys->copies[node].tag) : NULL;
  if (!place || !*place) return;
  size_t hole = (size_t)(place - segment->entries);
  for (size_t at = behind(capacity, hole); segment->entries[at]; at = behind(capacity, at)) {
    size_t home = home_of(capacity, segment->entries[at]);
    if (distance(capacity, home, at) < distance(capacity, hole, at)) continue;
    segment->entries[hole] = segment->entries[at];
    hole = at;
  }
  segment->entries[hole] = 0;
  segment->used--;
  keys->copies[node].count--;
  keys->copies[node].sum -= hash;
}

/* -------------------------------------------------------------------------------------------- this node's keys ---- */

static void await_locked(vsi_keys *keys, vsi_own_key *entry, bool *ret_first) {
  if (entry->is_waiting) return;
  const bool is_channel = hash_of(entry) & VSI_KEYS_CHANNEL, is_first = STAILQ_EMPTY(&keys->waiting);
  *ret_first = is_first || (is_channel && !keys->has_waiting_channel);
  if (is_first) keys->waiting_ns = vsi_now_ns(keys->host);
  keys->has_waiting_channel |= is_channel;
  entry->is_waiting = 1;
  STAILQ_INSERT_TAIL(&keys->waiting, entry, waiting);
}

vestry_err vsi_keys_come(vsi_keys *keys, uint64_t hash, bool *ret_first) {
  *ret_first = false;
  vsi_mutex_lock(&keys->lock);
  vsi_own_key *entry = hold_own_locked(keys, hash);
  if (entry && entry->count < COUNT_MOST) {
    if (entry->count++ == 0) {
      if (!entry->is_announced) await_locked(keys, entry, ret_first);
      share_locked(keys, entry);
    }
  } else {
    entry = NULL;
  }
  vsi_mutex_unlock(&keys->lock);
  return entry ? VESTRY_OK : VESTRY_NO_MEMORY;
}

enum { CLOCK_BITS = 40, CLOCK_JUMP_MS = 1000 };

static uint64_t clock_locked(const vsi_keys *keys) {
  return vsi_now_ns(keys->host) / VSI_NS_PER_MS + keys->ahead_ms;
}

uint64_t vsi_keys_clock_at(vsi_keys *keys, uint64_t own_ns) {
  vsi_mutex_lock(&keys->lock);
  uint64_t clock_ms = own_ns / VSI_NS_PER_MS + keys->ahead_ms;
  vsi_mutex_unlock(&keys->lock);
  return clock_ms;
}

static uint64_t stamp_of(const vsi_keys *keys, const vsi_own_key *own) {
  return own->stamp ? own->stamp + keys->jumps_ms : 0;
}

/* Advance the cluster clock to that of another node. A jump of more than CLOCK_JUMP_MS shows that this node was alone
 * until now: then the stamps of its streams advance by the same time. */
void vsi_keys_advance_clock(vsi_keys *keys, uint64_t clock_ms) {
  vsi_mutex_lock(&keys->lock);
  uint64_t own_ms = clock_locked(keys), more_ms = clock_ms > own_ms ? clock_ms - own_ms : 0;
  if (more_ms && clock_ms >> (CLOCK_BITS - 1) == 0) {
    keys->ahead_ms += more_ms;
    if (more_ms > CLOCK_JUMP_MS) keys->jumps_ms += more_ms;
  }
  vsi_mutex_unlock(&keys->lock);
}

void vsi_keys_replaced(vsi_keys *keys, uint64_t hash, vestry_handle handle, bool *ret_first) {
  *ret_first = false;
  vsi_mutex_lock(&keys->lock);
  vsi_own_key *entry = find_own_locked(keys, hash);
  if (entry && entry->count && keys->left[handle % VSI_KEYS_LEFT] != handle) {
    uint64_t clock_ms = clock_locked(keys);
    entry->handle = handle;
    entry->stamp = (clock_ms > keys->highest_stamp ? clock_ms : keys->highest_stamp + 1) - keys->jumps_ms;
    await_locked(keys, entry, ret_first);
  }
  vsi_mutex_unlock(&keys->lock);
}

void vsi_keys_leave(vsi_keys *keys, uint64_t hash, vestry_handle handle, bool *ret_first) {
  *ret_first = false;
  vsi_mutex_lock(&keys->lock);
  if (handle) keys->left[handle % VSI_KEYS_LEFT] = handle;
  vsi_own_key *entry = find_own_locked(keys, hash);
  if (entry && entry->count) {
    if (--entry->count == 0) {
      entry->handle = 0;
      if (!entry->is_waiting) entry->stamp = 0;
      if (entry->is_announced) await_locked(keys, entry, ret_first);
      share_locked(keys, entry);
    }
    free_if_unused_locked(keys, entry);
  }
  vsi_mutex_unlock(&keys->lock);
}

bool vsi_keys_are_here(vsi_keys *keys, uint64_t hash) {
  vsi_mutex_lock(&keys->lock);
  const vsi_own_key *entry = find_own_locked(keys, hash);
  bool are = entry && entry->count > 0;
  vsi_mutex_unlock(&keys->lock);
  return are;
}

vsi_bits vsi_keys_others(vsi_keys *keys, uint64_t hash) {
  vsi_bits others = {0};
  size_t at = SIZE_MAX;
  vsi_mutex_lock(&keys->lock);
  for (unsigned node; (node = next_holder_locked(keys, hash, &at)) < VSI_NODES_MAX;) vsi_bits_add(&others, node);
  vsi_mutex_unlock(&keys->lock);
  return others;
}

size_t vsi_keys_memory_bytes(vsi_keys *keys) {
  vsi_mutex_lock(&keys->lock);
  size_t bytes = 0;
  for (size_t i = 0; i < VSI_KEYS_MAPS; i++)
    bytes += keys->own[i].count * sizeof(vsi_own_key) + (sizeof(vsi_map_link *) << keys->own[i].bits);
  for (size_t i = 0; i < VSI_KEYS_SEGMENTS; i++) bytes += keys->segments[i].capacity * sizeof(uint64_t);
  vsi_mutex_unlock(&keys->lock);
  return bytes;
}

/* ------------------------------------------------------------------------------------------------- announcing ----- */

static void announce_locked(vsi_keys *keys, vsi_own_key *entry) {
  bool is_here = entry->count > 0;
  entry->is_waiting = 0;
  if (is_here != (bool)entry->is_announced) {
    keys->copies[VSI_KEYS_OWN].count += is_here ? 1 : UINT64_MAX;
    keys->copies[VSI_KEYS_OWN].sum += is_here ? hash_of(entry) : -hash_of(entry);
  }
  entry->is_announced = is_here;
}

size_t vsi_keys_take(vsi_keys *keys, vsi_key_change *changes, size_t room, bool *more, uint64_t *ret_since_ns) {
  size_t count = 0;
  vsi_mutex_lock(&keys->lock);
  if (!STAILQ_EMPTY(&keys->waiting)) *ret_since_ns = keys->waiting_ns;
  for (vsi_own_key *own; count < room && (own = STAILQ_FIRST(&keys->waiting)) != NULL;) {
    const bool was_announced = own->is_announced;
    STAILQ_REMOVE_HEAD(&keys->waiting, waiting);
    announce_locked(keys, own);
    /* The stamp of a REPLACE is announced even if the node had announced the key before. */
    if (was_announced != own->is_announced ||
        (own->stamp && (was_announced || is_elsewhere_locked(keys, hash_of(own)))))
      changes[count++] = (vsi_key_change){hash_of(own), stamp_of(keys, own), !own->is_announced};
    /* The stamp is needed for one announcement only, because a stream that has left replaces nothing afterwards. */
    if (!own->count) own->stamp = 0;
    free_if_unused_locked(keys, own);
  }
  *more = !STAILQ_EMPTY(&keys->waiting);
  keys->has_waiting_channel &= *more;
  vsi_mutex_unlock(&keys->lock);
  return count;
}

/* The upper bits of a hash choose its bucket, so a position in a map stays right when the map grows. The upper bits of
 * *at are the index of the map, the others the position. */
size_t vsi_keys_list(vsi_keys *keys, vsi_key_change *changes, size_t room, uint64_t *at) {
  size_t count = 0;
  vsi_mutex_lock(&keys->lock);
  do {
    const vsi_map *map = &keys->own[*at >> (64 - MAP_BITS)];
    vsi_map_link *const first = *vsi_map_bucket(map, *at << MAP_BITS);
    size_t chain = 0;
    for (vsi_map_link *link = first; link; link = link->next) chain++;
    if (count && count + chain > room) break;
    for (vsi_map_link *link = first; link && count < room; link = link->next) {
      const vsi_own_key *own = VSI_MAP_OWNER(link, vsi_own_key, in);
      if (own->is_announced) changes[count++] = (vsi_key_change){hash_of(own), stamp_of(keys, own), false};
    }
    *at += UINT64_C(1) << (64 - MAP_BITS - map->bits); /* 0 behind the last map */
  } while (*at);
  vsi_mutex_unlock(&keys->lock);
  return count;
}

/* -------------------------------------------------------------------------------------------------- dispatches ---- */

enum { HIT_KEPT_MS = 10000 };

static uint32_t half_of(uint64_t hash) {
  return (uint32_t)(hash >> 16) | 1;
}

void vsi_keys_hit(vsi_keys *keys, uint64_t hash, uint64_t now_ns) {
  _Atomic(uint64_t) *place = &keys->hits[(hash >> 1) % VSI_KEYS_HITS];
  uint32_t now_ms = (uint32_t)(now_ns / VSI_NS_PER_MS), half = half_of(hash);
  uint64_t now = (uint64_t)half << 32 | now_ms, was = atomic_load_explicit(place, memory_order_seq_cst);
  while (was != now) {
    uint32_t was_half = (uint32_t)(was >> 32);
    bool is_alone = !was || was_half == half || now_ms - (uint32_t)was > HIT_KEPT_MS;
    uint64_t next = is_alone ? now : now_ms;
    /* seq_cst: see share_locked */
    if (was == next ||
        atomic_compare_exchange_weak_explicit(place, &was, next, memory_order_seq_cst, memory_order_seq_cst))
      return;
  }
}

bool vsi_keys_was_hit(vsi_keys *keys, uint64_t hash, uint64_t since_ns, uint64_t now_ns) {
  uint64_t hit = atomic_load_explicit(&keys->hits[(hash >> 1) % VSI_KEYS_HITS], memory_order_seq_cst);
  uint32_t now_ms = (uint32_t)(now_ns / VSI_NS_PER_MS), ago_ms = now_ms - (uint32_t)hit;
  uint64_t window_ms = (now_ns - since_ns) / VSI_NS_PER_MS + 1;
  if (!hit || (ago_ms > window_ms && ago_ms <= INT32_MAX)) return false;
  return (uint32_t)(hit >> 32) == half_of(hash) || (!(hit >> 32) && vsi_keys_are_here(keys, hash));
}

/* ------------------------------------------------------------------------------------------- other nodes' keys ---- */

/* Determine the streams to close here. false: there are some, and has_room is false. */
static bool replace_locked(const vsi_keys *keys, vsi_own_key *entry, vsi_key_change change, bool its_id_wins,
                           bool has_room, vsi_keys_replaced_here *replaced) {
  const uint64_t stamp = stamp_of(keys, entry);
  bool loses = stamp < change.stamp || (stamp == change.stamp && its_id_wins);
  if (!change.stamp || !entry->count || (entry->handle && !loses)) return true;
  if (!has_room) return false;
  replaced->has_others = entry->count > (entry->handle != 0);
  replaced->handle = entry->handle;
  entry->handle = 0;
  return true;
}

void vsi_keys_prefetch(vsi_keys *keys, const vsi_key_change *changes, size_t count) {
  vsi_mutex_lock(&keys->lock);
  for (size_t i = 0; i < count; i++) {
    const uint64_t entry = changes[i].hash << TAG_BITS;
    const vsi_key_segment *segment = segment_of(keys, changes[i].hash);
    if (segment->capacity) __builtin_prefetch(&segment->entries[home_of(segment->capacity, entry)], 1);
    vsi_map_prefetch_bucket(map_of(keys, changes[i].hash), entry);
  }
  for (size_t i = 0; i < count; i++)
    vsi_map_prefetch_first(map_of(keys, changes[i].hash), changes[i].hash << TAG_BITS, sizeof(vsi_map_link));
  vsi_mutex_unlock(&keys->lock);
}

vestry_err vsi_keys_apply(vsi_keys *keys, unsigned node, vsi_key_change change, bool its_id_wins,
                          vsi_keys_replaced_here *ret_replaced, bool *ret_is_new) {
  bool is_closed = true;
  vestry_err error = VESTRY_EXISTS;
  vsi_keys_replaced_here replaced = {0, false};
  vsi_mutex_lock(&keys->lock);
  if (change.stamp > keys->highest_stamp) keys->highest_stamp = change.stamp;
  if (change.is_gone)
    remove_locked(keys, node, change.hash);
  else
    error = add_locked(keys, node, change.hash);
  vsi_own_key *own = find_own_locked(keys, change.hash);
  if (own) {
    if (error != VESTRY_NO_MEMORY)
      is_closed = replace_locked(keys, own, change, its_id_wins, ret_replaced != NULL, &replaced);
    share_locked(keys, own);
  }
  vsi_mutex_unlock(&keys->lock);
  if (ret_is_new) *ret_is_new = !error;
  if (ret_replaced) *ret_replaced = replaced;
  if (!is_closed) return VESTRY_FULL;
  return error == VESTRY_EXISTS ? VESTRY_OK : error;
}

void vsi_keys_forget(vsi_keys *keys, unsigned node) {
  vsi_mutex_lock(&keys->lock);
  vsi_key_copy *copy = &keys->copies[node];
  if (copy->tag) keys->node_of[copy->tag] = copy->count ? VSI_KEYS_DROPPED : VSI_KEYS_FREE;
  keys->has_dropped |= copy->count > 0;
  *copy = (vsi_key_copy){0};
  vsi_mutex_unlock(&keys->lock);
}

/* Change the state of all tags that have it. */
static void turn_tags_locked(vsi_keys *keys, unsigned from, unsigned to) {
  for (size_t i = 1; i < VSI_KEYS_TAGS; i++)
    if (keys->node_of[i] == from) keys->node_of[i] = (uint16_t)to;
}

/* Remove the entries of dropped copies from a segment. false: out of memory. */
static bool sweep_locked(vsi_keys *keys, vsi_key_segment *segment, void **ret_old) {
  size_t left = 0;
  for (size_t i = 0; i < segment->capacity; i++) left += segment->entries[i] && !is_dropped(keys, segment->entries[i]);
  return left == segment->used || rebuild_locked(keys, segment, left + left / 2 + FIRST_CAPACITY, ret_old);
}

bool vsi_keys_sweep(vsi_keys *keys) {
  void *old = NULL;
  vsi_mutex_lock(&keys->lock);
  if (!keys->unswept_count && keys->has_dropped) {
    turn_tags_locked(keys, VSI_KEYS_DROPPED, VSI_KEYS_SWEPT);
    keys->has_dropped = false;
    keys->unswept_count = VSI_KEYS_SEGMENTS;
  }
  bool goes_on = keys->unswept_count && sweep_locked(keys, &keys->segments[keys->unswept_count - 1], &old);
  if (goes_on && --keys->unswept_count == 0) turn_tags_locked(keys, VSI_KEYS_SWEPT, VSI_KEYS_FREE);
  bool has_more = goes_on && (keys->unswept_count || keys->has_dropped);
  vsi_mutex_unlock(&keys->lock);
  vsi_free(keys->host, old);
  return has_more;
}

void vsi_keys_sum_of(vsi_keys *keys, unsigned node, uint64_t *ret_count, uint64_t *ret_sum) {
  vsi_mutex_lock(&keys->lock);
  *ret_count = keys->copies[node].count;
  *ret_sum = keys->copies[node].sum;
  vsi_mutex_unlock(&keys->lock);
}

bool vsi_keys_are_waiting(vsi_keys *keys) {
  vsi_mutex_lock(&keys->lock);
  bool any = !STAILQ_EMPTY(&keys->waiting);
  vsi_mutex_unlock(&keys->lock);
  return any;
}
