/* SPDX-License-Identifier: MIT */
/* essay: which node holds which key: each node owns its set, and the others copy it */
/* Which node holds which key.
 *
 * Digests. Each node owns the set of its keys, as hashes made with the cluster's secret, and announces changes of it;
 * the other nodes copy it. No node changes the set of another node, so no agreement is needed: a copy is correct or
 * late, and the digest (the number of keys and the sum of their hashes) shows which.
 *
 * One table contains this node's set and all copies, so that one lookup finds whether a key is here and elsewhere. An
 * entry remains while any node holds the key, or while this node still has to announce that it no longer does. Two keys
 * with the same hash are one key in the digest. Then nodes get a request in vain, or nodes are queried for a key that
 * no node has. The receiver finds streams by the full key, so no wrong stream is reached.
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

#include "base/memory.h"

enum { FIRST_CAPACITY = 64, COUNT_MOST = (1 << 21) - 1 };

vestry_err vsi_keys_init(vsi_keys *keys, const vestry_host *host) {
  memset(keys, 0, sizeof *keys);
  keys->host = host;
  keys->capacity = FIRST_CAPACITY;
  keys->entries = vsi_calloc(host, keys->capacity, sizeof *keys->entries);
  if (!keys->entries) return VESTRY_NO_MEMORY;
  vsi_mutex_init(&keys->lock, VSI_LOCK_CLUSTER_KEYS);
  return VESTRY_OK;
}

void vsi_keys_finish(vsi_keys *keys) {
  if (!keys->entries) return;
  vsi_free(keys->host, keys->entries);
  vsi_mutex_finish(&keys->lock);
  keys->entries = NULL;
}

/* --------------------------------------------------------------------------------------------------- the table ---- */

/* The home of a hash, where the search for it begins, is given by its remainder and not by its high bits. The reason:
 * another node sends its hashes in the order of its table. If the high bits gave the home, the hashes would arrive in
 * ascending order, and a smaller table here would fill up at one end, where searches would become long.
 *
 * The lowest bit is not used, because it only marks names of channels (VSI_KEYS_CHANNEL). The table grows by half when
 * 7/8 of it are used. So while keys are being added, a key takes at most 55 bytes (32 bytes * 8/7 * 1.5). */
static size_t home_of(size_t capacity, uint64_t hash) {
  return (size_t)((hash >> 1) % capacity);
}

/* Return the place after this one; the first place follows the last. */
static size_t behind(size_t capacity, size_t at) {
  return at + 1 < capacity ? at + 1 : 0;
}

/* Number of places from one to the other, forwards. */
static size_t distance(size_t capacity, size_t from, size_t to) {
  return to >= from ? to - from : to + capacity - from;
}

static vsi_key_entry *place_of(vsi_key_entry *entries, size_t capacity, uint64_t hash) {
  size_t at = home_of(capacity, hash);
  while (entries[at].is_used && entries[at].hash != hash) at = behind(capacity, at);
  return &entries[at];
}

static vsi_key_entry *find_locked(vsi_keys *keys, uint64_t hash) {
  vsi_key_entry *entry = place_of(keys->entries, keys->capacity, hash);
  return entry->is_used ? entry : NULL;
}

static bool grow_locked(vsi_keys *keys) {
  size_t capacity = keys->capacity + keys->capacity / 2;
  vsi_key_entry *entries = vsi_calloc(keys->host, capacity, sizeof *entries);
  if (!entries) return false;
  for (size_t i = 0; i < keys->capacity; i++)
    if (keys->entries[i].is_used) *place_of(entries, capacity, keys->entries[i].hash) = keys->entries[i];
  vsi_free(keys->host, keys->entries);
  keys->entries = entries;
  keys->capacity = capacity;
  return true;
}

/* Find or add the entry of a key. NULL: out of memory. */
static vsi_key_entry *hold_locked(vsi_keys *keys, uint64_t hash) {
  vsi_key_entry *entry = place_of(keys->entries, keys->capacity, hash);
  if (entry->is_used) return entry;
  if (keys->used >= keys->capacity / 8 * 7) {
    if (!grow_locked(keys)) return NULL;
    entry = place_of(keys->entries, keys->capacity, hash);
  }
  *entry = (vsi_key_entry){.hash = hash, .is_used = 1};
  keys->used++;
  return entry;
}

/* Free an unused entry. It leaves a hole, at which searches would stop; so later entries whose home is not behind the
 * hole are moved into it. */
static void free_if_unused_locked(vsi_keys *keys, vsi_key_entry *entry) {
  if (entry->count || entry->others || entry->is_announced || entry->is_waiting) return;
  size_t capacity = keys->capacity, hole = (size_t)(entry - keys->entries);
  for (size_t at = behind(capacity, hole); keys->entries[at].is_used; at = behind(capacity, at)) {
    size_t home = home_of(capacity, keys->entries[at].hash);
    if (distance(capacity, home, at) < distance(capacity, hole, at)) continue;
    keys->entries[hole] = keys->entries[at];
    hole = at;
  }
  keys->entries[hole].is_used = 0;
  keys->used--;
}

/* -------------------------------------------------------------------------------------------- this node's keys ---- */

static bool is_shared(const vsi_key_entry *entry) {
  return entry->count && entry->others && !(entry->hash & VSI_KEYS_CHANNEL);
}

/* Update shared_count after a change of an entry; was: its state before the change. */
static void recount_locked(vsi_keys *keys, const vsi_key_entry *entry, bool was) {
  bool is = is_shared(entry);
  /* seq_cst: a key that begins to be shared is counted here before vsi_keys_was_hit looks for a dispatch, and a
   * dispatch is recorded (vsi_keys_hit) before the count is read (instance/elsewhere.h). So at least one of the two
   * sees the other. */
  if (is && !was) atomic_fetch_add_explicit(&keys->shared_count, 1, memory_order_seq_cst);
  if (was && !is) atomic_fetch_sub_explicit(&keys->shared_count, 1, memory_order_seq_cst);
}

static void await_locked(vsi_keys *keys, vsi_key_entry *entry, bool *ret_first) {
  *ret_first = false;
  if (entry->is_waiting || keys->has_more_waiting) return;
  *ret_first = keys->waiting_count == 0;
  if (*ret_first) keys->waiting_ns = vsi_now_ns(keys->host);
  if (keys->waiting_count == VSI_KEYS_WAITING) {
    keys->has_more_waiting = true;
    return;
  }
  entry->is_waiting = 1;
  keys->waiting[keys->waiting_count++] = entry->hash;
}

vestry_err vsi_keys_come(vsi_keys *keys, uint64_t hash, bool *ret_first) {
  *ret_first = false;
  vsi_mutex_lock(&keys->lock);
  vsi_key_entry *entry = hold_locked(keys, hash);
  if (entry && entry->count < COUNT_MOST) {
    bool was = is_shared(entry);
    if (entry->count++ == 0 && !entry->is_announced) await_locked(keys, entry, ret_first);
    recount_locked(keys, entry, was);
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

uint64_t vsi_keys_clock(vsi_keys *keys) {
  return vsi_keys_clock_at(keys, vsi_now_ns(keys->host));
}

uint64_t vsi_keys_clock_at(vsi_keys *keys, uint64_t own_ns) {
  vsi_mutex_lock(&keys->lock);
  uint64_t clock_ms = own_ns / VSI_NS_PER_MS + keys->ahead_ms;
  vsi_mutex_unlock(&keys->lock);
  return clock_ms;
}

/* Advance the cluster clock to that of another node. A jump of more than CLOCK_JUMP_MS shows that this node was alone
 * until now: then the stamps of its streams advance by the same time. */
void vsi_keys_advance_clock(vsi_keys *keys, uint64_t clock_ms) {
  vsi_mutex_lock(&keys->lock);
  uint64_t own_ms = clock_locked(keys), more_ms = clock_ms > own_ms ? clock_ms - own_ms : 0;
  if (more_ms && clock_ms >> (CLOCK_BITS - 1) == 0) {
    keys->ahead_ms += more_ms;
    for (size_t i = 0; more_ms > CLOCK_JUMP_MS && i < keys->capacity; i++)
      if (keys->entries[i].is_used && keys->entries[i].stamp) keys->entries[i].stamp += more_ms;
  }
  vsi_mutex_unlock(&keys->lock);
}

void vsi_keys_replaced(vsi_keys *keys, uint64_t hash, vestry_handle handle, bool *ret_first) {
  *ret_first = false;
  vsi_mutex_lock(&keys->lock);
  vsi_key_entry *entry = find_locked(keys, hash);
  if (entry && entry->count && keys->left[handle % VSI_KEYS_LEFT] != handle) {
    uint64_t clock_ms = clock_locked(keys);
    entry->handle = handle;
    entry->stamp = clock_ms > keys->highest_stamp ? clock_ms : keys->highest_stamp + 1;
    await_locked(keys, entry, ret_first);
  }
  vsi_mutex_unlock(&keys->lock);
}

void vsi_keys_leave(vsi_keys *keys, uint64_t hash, vestry_handle handle, bool *ret_first) {
  *ret_first = false;
  vsi_mutex_lock(&keys->lock);
  if (handle) keys->left[handle % VSI_KEYS_LEFT] = handle;
  vsi_key_entry *entry = find_locked(keys, hash);
  if (entry && entry->count) {
    bool was = is_shared(entry);
    if (--entry->count == 0) {
      entry->handle = 0;
      if (!entry->is_waiting) entry->stamp = 0;
      if (entry->is_announced) await_locked(keys, entry, ret_first);
    }
    recount_locked(keys, entry, was);
    free_if_unused_locked(keys, entry);
  }
  vsi_mutex_unlock(&keys->lock);
}

bool vsi_keys_are_here(vsi_keys *keys, uint64_t hash) {
  vsi_mutex_lock(&keys->lock);
  const vsi_key_entry *entry = find_locked(keys, hash);
  bool are = entry && entry->count > 0;
  vsi_mutex_unlock(&keys->lock);
  return are;
}

uint64_t vsi_keys_others(vsi_keys *keys, uint64_t hash) {
  vsi_mutex_lock(&keys->lock);
  const vsi_key_entry *entry = find_locked(keys, hash);
  uint64_t others = entry ? entry->others : 0;
  vsi_mutex_unlock(&keys->lock);
  return others;
}

size_t vsi_keys_holders(vsi_keys *keys, uint64_t hash) {
  vsi_mutex_lock(&keys->lock);
  const vsi_key_entry *entry = find_locked(keys, hash);
  size_t count = entry ? (size_t)__builtin_popcountll(entry->others) + (entry->count > 0) : 0;
  vsi_mutex_unlock(&keys->lock);
  return count;
}

size_t vsi_keys_memory_bytes(vsi_keys *keys) {
  vsi_mutex_lock(&keys->lock);
  size_t bytes = keys->capacity * sizeof *keys->entries;
  vsi_mutex_unlock(&keys->lock);
  return bytes;
}

/* ------------------------------------------------------------------------------------------------- announcing ----- */

static void announce_locked(vsi_keys *keys, vsi_key_entry *entry) {
  bool is_here = entry->count > 0;
  entry->is_waiting = 0;
  if (is_here != (bool)entry->is_announced) {
    keys->count += is_here ? 1 : UINT64_MAX;
    keys->sum += is_here ? entry->hash : -entry->hash;
  }
  entry->is_announced = is_here;
}

/* The stamp is needed for one announcement only, because a stream that has left replaces nothing afterwards. */
static void forget_stamp_locked(vsi_key_entry *entry) {
  if (!entry->count) entry->stamp = 0;
}

/* Mark everything as announced, and free the entries that this leaves unused. */
static void announce_all_locked(vsi_keys *keys) {
  for (size_t i = 0; i < keys->capacity; i++)
    if (keys->entries[i].is_used) {
      announce_locked(keys, &keys->entries[i]);
      forget_stamp_locked(&keys->entries[i]);
    }
  for (size_t i = 0; i < keys->capacity;) { /* freeing an entry may move another one to its place */
    size_t used = keys->used;
    if (keys->entries[i].is_used) free_if_unused_locked(keys, &keys->entries[i]);
    if (used == keys->used) i++;
  }
  keys->waiting_count = 0;
  keys->has_more_waiting = false;
}

bool vsi_keys_take(vsi_keys *keys, vsi_key_change changes[VSI_KEYS_WAITING], size_t *ret_count,
                   uint64_t *ret_since_ns) {
  size_t count = 0;
  vsi_mutex_lock(&keys->lock);
  if (keys->waiting_count) *ret_since_ns = keys->waiting_ns;
  const bool announces_all = keys->has_more_waiting;
  if (announces_all) announce_all_locked(keys);
  for (size_t i = 0; i < keys->waiting_count; i++) {
    vsi_key_entry *entry = find_locked(keys, keys->waiting[i]);
    if (!entry || !entry->is_waiting) continue;
    bool was_announced = entry->is_announced;
    announce_locked(keys, entry);
    /* The stamp of a REPLACE is announced even if the node had announced the key before. */
    if (was_announced != entry->is_announced || (entry->stamp && (was_announced || entry->others)))
      changes[count++] = (vsi_key_change){entry->hash, entry->stamp, !entry->is_announced};
    forget_stamp_locked(entry);
    free_if_unused_locked(keys, entry);
  }
  keys->waiting_count = 0;
  vsi_mutex_unlock(&keys->lock);
  *ret_count = count;
  return announces_all;
}

void vsi_keys_list(vsi_keys *keys, vsi_key_change *changes, size_t room, vsi_keys_list_fn fn, void *ctx) {
  size_t count = 0;
  vsi_mutex_lock(&keys->lock);
  for (size_t at = 0; at < keys->capacity; at++) {
    const vsi_key_entry *entry = &keys->entries[at];
    if (!entry->is_used || !entry->is_announced) continue;
    if (count == room) {
      fn(changes, count, false, ctx);
      count = 0;
    }
    changes[count++] = (vsi_key_change){entry->hash, entry->stamp, false};
  }
  fn(changes, count, true, ctx);
  vsi_mutex_unlock(&keys->lock);
}

/* -------------------------------------------------------------------------------------------------- dispatches ---- */

enum { HIT_KEPT_MS = 10000 };

static uint32_t half_of(uint64_t hash) {
  return (uint32_t)(hash >> 32) | 1;
}

void vsi_keys_hit(vsi_keys *keys, uint64_t hash, uint64_t now_ns) {
  _Atomic(uint64_t) *place = &keys->hits[(hash >> 1) % VSI_KEYS_HITS];
  uint32_t now_ms = (uint32_t)(now_ns / VSI_NS_PER_MS), half = half_of(hash);
  uint64_t now = (uint64_t)half << 32 | now_ms, was = atomic_load_explicit(place, memory_order_seq_cst);
  while (was != now) {
    uint32_t was_half = (uint32_t)(was >> 32);
    bool is_alone = !was || was_half == half || now_ms - (uint32_t)was > HIT_KEPT_MS;
    uint64_t next = is_alone ? now : now_ms;
    /* seq_cst: see recount_locked */
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

static void drop_locked(vsi_keys *keys, unsigned node, vsi_key_entry *entry) {
  bool was = is_shared(entry);
  entry->others &= ~(UINT64_C(1) << node);
  keys->of_others[node]--;
  keys->sum_of_others[node] -= entry->hash;
  recount_locked(keys, entry, was);
}

/* Determine the streams to close here. false: there are some, and has_room is false. */
static bool replace_locked(vsi_key_entry *entry, vsi_key_change change, bool its_id_wins, bool has_room,
                           vsi_keys_replaced_here *replaced) {
  bool loses = entry->stamp < change.stamp || (entry->stamp == change.stamp && its_id_wins);
  if (!change.stamp || !entry->count || (entry->handle && !loses)) return true;
  if (!has_room) return false;
  replaced->has_others = entry->count > (entry->handle != 0);
  replaced->handle = entry->handle;
  entry->handle = 0;
  return true;
}

static bool hold_other_locked(vsi_keys *keys, unsigned node, vsi_key_entry *entry) {
  uint64_t bit = UINT64_C(1) << node;
  bool was = is_shared(entry), is_new = !(entry->others & bit);
  if (is_new) {
    keys->of_others[node]++;
    keys->sum_of_others[node] += entry->hash;
  }
  entry->others |= bit;
  recount_locked(keys, entry, was);
  return is_new;
}

vestry_err vsi_keys_apply(vsi_keys *keys, unsigned node, vsi_key_change change, bool its_id_wins,
                          vsi_keys_replaced_here *ret_replaced, bool *ret_is_new) {
  bool is_closed = true, is_new = false;
  vsi_keys_replaced_here replaced = {0, false};
  vsi_mutex_lock(&keys->lock);
  if (change.stamp > keys->highest_stamp) keys->highest_stamp = change.stamp;
  vsi_key_entry *entry = change.is_gone ? find_locked(keys, change.hash) : hold_locked(keys, change.hash);
  if (entry) is_closed = replace_locked(entry, change, its_id_wins, ret_replaced != NULL, &replaced);
  if (entry && !change.is_gone) {
    is_new = hold_other_locked(keys, node, entry);
  } else if (entry && entry->others >> node & 1) {
    drop_locked(keys, node, entry);
    free_if_unused_locked(keys, entry);
  }
  vsi_mutex_unlock(&keys->lock);
  if (ret_is_new) *ret_is_new = is_new;
  if (ret_replaced) *ret_replaced = replaced;
  if (!is_closed) return VESTRY_FULL;
  return entry || change.is_gone ? VESTRY_OK : VESTRY_NO_MEMORY;
}

void vsi_keys_forget(vsi_keys *keys, unsigned node) {
  uint64_t bit = UINT64_C(1) << node;
  vsi_mutex_lock(&keys->lock);
  for (size_t i = 0; i < keys->capacity && keys->of_others[node];) {
    vsi_key_entry *entry = &keys->entries[i];
    size_t used = keys->used;
    if (entry->is_used && (entry->others & bit)) {
      drop_locked(keys, node, entry);
      free_if_unused_locked(keys, entry);
    }
    if (used == keys->used) i++;
  }
  vsi_mutex_unlock(&keys->lock);
}

void vsi_keys_announced_sum(vsi_keys *keys, uint64_t *ret_count, uint64_t *ret_sum) {
  vsi_mutex_lock(&keys->lock);
  *ret_count = keys->count;
  *ret_sum = keys->sum;
  vsi_mutex_unlock(&keys->lock);
}

void vsi_keys_sum_of(vsi_keys *keys, unsigned node, uint64_t *ret_count, uint64_t *ret_sum) {
  vsi_mutex_lock(&keys->lock);
  *ret_count = keys->of_others[node];
  *ret_sum = keys->sum_of_others[node];
  vsi_mutex_unlock(&keys->lock);
}

bool vsi_keys_are_waiting(vsi_keys *keys) {
  vsi_mutex_lock(&keys->lock);
  bool any = keys->waiting_count > 0;
  vsi_mutex_unlock(&keys->lock);
  return any;
}
