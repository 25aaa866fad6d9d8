#include "store/scopes.h"

#include <string.h>

#include "base/memory.h"
#include "store/ages.h"
#include "store/scoped_key.h"

/* A scope's record is there from its first share, or pin, to its last. Each put that is under way pins the record,
 * which then has room for its slot: what has made room for a newcomer has not left in vain. Members are an array in the
 * order in which they entered; the least recently used one is looked for when it is needed, over all of them, and
 * leaving moves those behind up: bounds per scope are small numbers by nature.
 *
 * A member is live: it leaves the record before it leaves its shard. So what readers may read of a slot can be read
 * here too, and its number and generation, which do not change while it is live. */

typedef struct record {
  vsi_index_key key; /* first: it is indexed by it */
  size_t shares;     /* members, and what is reserved */
  size_t pins;       /* puts under way */
  size_t count, capacity;
  vsi_slot **members;
  vsi_extra **extras; /* of the members */
  unsigned char bytes[];
} record;

vestry_err vsi_scopes_init(vsi_scopes *scopes, const vestry_host *host, vsi_siphash_key hash_key) {
  scopes->host = host;
  scopes->hash_key = hash_key;
  pthread_mutex_init(&scopes->lock, NULL); /* cannot fail with default attributes on Linux */
  return vsi_index_init(&scopes->index, host);
}

void vsi_scopes_finish(vsi_scopes *scopes) {
  if (!scopes->host) return;
  vsi_index_finish(&scopes->index);
  pthread_mutex_destroy(&scopes->lock);
}

/* The bytes before the key are the scope's, with their length. */
static vsi_index_key index_key(const vsi_scopes *scopes, const vestry_scoped_key *key) {
  return (vsi_index_key){vsi_siphash_1_3(scopes->hash_key, key->data, key->key_offset), key->data, key->key_offset};
}

static record *find_locked(vsi_scopes *scopes, const vestry_scoped_key *key) {
  vsi_index_key wanted = index_key(scopes, key);
  return vsi_index_find(&scopes->index, &wanted);
}

static record *add_locked(vsi_scopes *scopes, const vestry_scoped_key *key) {
  vsi_index_key wanted = index_key(scopes, key);
  record *made = vsi_calloc(scopes->host, 1, offsetof(record, bytes) + wanted.len);
  if (!made) return NULL;
  memcpy(made->bytes, wanted.data, wanted.len);
  made->key = (vsi_index_key){wanted.hash, made->bytes, wanted.len};
  if (vsi_index_add(&scopes->index, &made->key)) {
    vsi_free(scopes->host, made);
    return NULL;
  }
  return made;
}

static void drop_if_unused_locked(vsi_scopes *scopes, record *in) {
  if (in->shares || in->pins) return;
  vsi_index_remove(&scopes->index, &in->key);
  vsi_free(scopes->host, in->members);
  vsi_free(scopes->host, in->extras);
  vsi_free(scopes->host, in);
}

/* Room for one more member than there are and may come. OK | NO_MEMORY. */
static vestry_err widen_locked(vsi_scopes *scopes, record *in) {
  if (in->count + in->pins < in->capacity) return VESTRY_OK;
  size_t capacity = in->capacity ? in->capacity * 2 : 4;
  vsi_slot **members = vsi_realloc(scopes->host, in->members, capacity * sizeof(vsi_slot *));
  if (members) in->members = members;
  vsi_extra **extras = vsi_realloc(scopes->host, in->extras, capacity * sizeof(vsi_extra *));
  if (extras) in->extras = extras;
  if (!members || !extras) return VESTRY_NO_MEMORY;
  in->capacity = capacity;
  return VESTRY_OK;
}

static const vsi_slot *oldest_locked(const record *in) {
  const vsi_slot *oldest = NULL;
  uint32_t oldest_touch = 0;
  for (size_t i = 0; i < in->count; i++) {
    uint32_t touch = atomic_load_explicit(&in->members[i]->touch, memory_order_relaxed);
    bool older = oldest && vsi_tick_age(vsi_touch_tick(oldest_touch), vsi_touch_tick(touch)) > 0;
    /* of one tick: the one that was not used since it was filed, then the one that entered first */
    bool same = oldest && vsi_touch_tick(oldest_touch) == vsi_touch_tick(touch);
    if (oldest && !older && !(same && (oldest_touch & 1) > (touch & 1))) continue;
    oldest = in->members[i];
    oldest_touch = touch;
  }
  return oldest;
}

static vestry_err pin_locked(vsi_scopes *scopes, const vestry_scoped_key *key) {
  record *in = find_locked(scopes, key);
  if (!in) in = add_locked(scopes, key);
  if (!in) return VESTRY_NO_MEMORY;
  vestry_err error = widen_locked(scopes, in);
  if (!error) in->pins++;
  drop_if_unused_locked(scopes, in);
  return error;
}

vestry_err vsi_scopes_reserve(vsi_scopes *scopes, const vestry_scoped_key *key, size_t max, bool *pinned,
                              vestry_handle *ret_oldest,
                              vestry_handle (*handle_of)(const void *ctx, const vsi_slot *slot), const void *ctx) {
  pthread_mutex_lock(&scopes->lock);
  vestry_err error = *pinned ? VESTRY_OK : pin_locked(scopes, key);
  if (!error) {
    *pinned = true;
    record *in = find_locked(scopes, key);
    if (in->shares >= max) {
      const vsi_slot *oldest = oldest_locked(in);
      *ret_oldest = oldest ? handle_of(ctx, oldest) : 0;
      error = VESTRY_LIMIT;
    } else {
      in->shares++;
    }
  }
  pthread_mutex_unlock(&scopes->lock);
  return error;
}

void vsi_scopes_cancel(vsi_scopes *scopes, const vestry_scoped_key *key) {
  pthread_mutex_lock(&scopes->lock);
  record *in = find_locked(scopes, key);
  in->shares--;
  drop_if_unused_locked(scopes, in);
  pthread_mutex_unlock(&scopes->lock);
}

void vsi_scopes_unpin(vsi_scopes *scopes, const vestry_scoped_key *key) {
  pthread_mutex_lock(&scopes->lock);
  record *in = find_locked(scopes, key);
  in->pins--;
  drop_if_unused_locked(scopes, in);
  pthread_mutex_unlock(&scopes->lock);
}

void vsi_scopes_enter(vsi_scopes *scopes, const vestry_scoped_key *key, vsi_slot *slot, vsi_extra *extra) {
  pthread_mutex_lock(&scopes->lock);
  record *in = find_locked(scopes, key);
  extra->scope_place = (uint32_t)in->count;
  in->members[in->count] = slot;
  in->extras[in->count++] = extra;
  in->pins--;
  pthread_mutex_unlock(&scopes->lock);
}

void vsi_scopes_leave(vsi_scopes *scopes, vsi_slot *slot, vsi_extra *extra) {
  vestry_scoped_key key = vsi_slot_scoped_key(slot);
  pthread_mutex_lock(&scopes->lock);
  record *in = find_locked(scopes, &key);
  uint32_t place = extra->scope_place;
  in->count--;
  /* Those behind move up, so that members stay in the order in which they entered. */
  for (size_t i = place; i < in->count; i++) {
    in->members[i] = in->members[i + 1];
    in->extras[i] = in->extras[i + 1];
    in->extras[i]->scope_place = (uint32_t)i;
  }
  in->shares--;
  drop_if_unused_locked(scopes, in);
  pthread_mutex_unlock(&scopes->lock);
}
