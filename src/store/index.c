#include "store/index.h"

#include <string.h>

#include "base/memory.h"

/* A ck_hs that has been filled and emptied for long is full of tombstones: they stop no probe, and an insertion that
 * meets no empty slot probes to its limit, a thirty-second of the table. ck_hs_gc shortens probes but leaves the
 * tombstones, ck_hs_rebuild drops them but never shrinks; so the index makes a new set when half as many objects have
 * been removed as the set held at most. As ck_hs grows at half full, a set is at most three quarters full of objects
 * and tombstones together, and each removal has paid for the copying of a few objects. */
enum { SMALLEST = 16 };

/* ck's allocator hooks have no context, and an index allocates from its own host. So the host rides along on the
 * thread for the length of one ck call; nothing reads it outside of one. */
static _Thread_local const vestry_host *calling_host;

static void *hook_malloc(size_t size) {
  return vsi_alloc(calling_host, size);
}

static void *hook_realloc(void *memory, size_t old_size, size_t size, bool defer) {
  (void)old_size, (void)defer;
  return vsi_realloc(calling_host, memory, size);
}

/* defer: readers may still be probing the old map. Here readers hold the same lock as the writer that frees it. */
static void hook_free(void *memory, size_t size, bool defer) {
  (void)size, (void)defer;
  vsi_free(calling_host, memory);
}

static const struct ck_malloc hooks = {hook_malloc, hook_realloc, hook_free};

static unsigned long hash_of(const void *object, unsigned long seed) {
  (void)seed;
  return (unsigned long)((const vsi_index_key *)object)->hash;
}

static bool are_equal(const void *a, const void *b) {
  const vsi_index_key *one = a, *other = b;
  return one->hash == other->hash && one->len == other->len && memcmp(one->data, other->data, one->len) == 0;
}

static bool make_set(ck_hs_t *set, const vestry_host *host, size_t capacity) {
  calling_host = host;
  return ck_hs_init(set, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT | CK_HS_MODE_DELETE, hash_of, are_equal,
                    (struct ck_malloc *)&hooks /* ck does not write to it */, capacity, 0);
}

static void free_set(ck_hs_t *set, const vestry_host *host) {
  calling_host = host;
  ck_hs_destroy(set);
}

vestry_err vsi_index_init(vsi_index *index, const vestry_host *host) {
  *index = (vsi_index){.host = host};
  if (make_set(&index->set, host, SMALLEST)) return VESTRY_OK;
  index->host = NULL;
  return VESTRY_NO_MEMORY;
}

void vsi_index_finish(vsi_index *index) {
  if (index->host) free_set(&index->set, index->host);
  index->host = NULL;
}

size_t vsi_index_count(vsi_index *index) {
  return ck_hs_count(&index->set);
}

void *vsi_index_find(vsi_index *index, const vsi_index_key *key) {
  return ck_hs_get(&index->set, (unsigned long)key->hash, key);
}

vestry_err vsi_index_add(vsi_index *index, vsi_index_key *object) {
  calling_host = index->host;
  if (!ck_hs_put(&index->set, (unsigned long)object->hash, object)) return VESTRY_NO_MEMORY;
  size_t count = ck_hs_count(&index->set);
  if (count > index->most_count) index->most_count = count;
  return VESTRY_OK;
}

/* Copy what is left into a set of its size. Out of memory: the old one goes on, slower, until as much again has been
 * removed. */
static void renew(vsi_index *index) {
  size_t count = ck_hs_count(&index->set);
  index->removed_count = 0;
  ck_hs_t fresh;
  if (!make_set(&fresh, index->host, count < SMALLEST ? SMALLEST : count * 2)) return;
  ck_hs_iterator_t at = CK_HS_ITERATOR_INITIALIZER;
  for (void *object; ck_hs_next(&index->set, &at, &object);) {
    if (ck_hs_put_unique(&fresh, hash_of(object, 0), object)) continue;
    free_set(&fresh, index->host);
    return;
  }
  free_set(&index->set, index->host);
  index->set = fresh;
  index->most_count = count;
}

void vsi_index_remove(vsi_index *index, vsi_index_key *object) {
  ck_hs_remove(&index->set, (unsigned long)object->hash, object);
  index->removed_count++;
  if (index->removed_count > SMALLEST && index->removed_count > index->most_count / 2) renew(index);
}
