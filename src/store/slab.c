#include "store/slab.h"

#include <string.h>

#include "base/memory.h"
#include "base/processor.h"
#include "store/scoped_key.h"

/* Chunk c is in segment k = floor(log2(c + 1)), so segments double, are never moved, and a number becomes an address in
 * three loads; who has the lock has a flat array of chunks besides. The lowest chunk with room is filled first: entries
 * gather at the bottom, and chunks above fall empty and go. A chunk that goes leaves its highest generation behind; so
 * do slots whose generation has run out, which are never free again. */

/* Empty chunks are kept while free slots are fewer than this and an eighth of those in use. */
enum { SPARE_SLOTS = 4 * VSI_SLOTS_A_CHUNK };

void vsi_slab_init(vsi_slab *slab, const vestry_host *host, bool with_extras) {
  memset(slab, 0, sizeof *slab);
  slab->host = host;
  slab->with_extras = with_extras;
}

void vsi_slab_finish(vsi_slab *slab) {
  for (uint32_t c = 0; c < slab->chunks_count; c++) vsi_free(slab->host, vsi_slab_chunk(slab, c)->memory);
  for (int k = 0; k < VSI_SLAB_SEGMENTS; k++)
    vsi_free(slab->host, atomic_load_explicit(&slab->segments[k], memory_order_relaxed));
  vsi_free(slab->host, slab->roomy);
  vsi_free(slab->host, slab->flat);
  vsi_slab_init(slab, slab->host, slab->with_extras);
}

static void mark_roomy(vsi_slab *slab, uint32_t chunk) {
  slab->roomy[chunk / 64] |= UINT64_C(1) << chunk % 64;
  if (chunk / 64 < slab->lowest) slab->lowest = chunk / 64;
}

/* One more segment, and bits for it. */
static vestry_err grow(vsi_slab *slab) {
  uint32_t segment = 31 - (uint32_t)__builtin_clz(slab->chunks_count + 1);
  uint32_t more = UINT32_C(1) << segment;
  if ((slab->chunks_count + more) > VSI_SLAB_MAX_SLOTS / VSI_SLOTS_A_CHUNK) return VESTRY_NO_MEMORY;
  uint32_t words = (slab->chunks_count + more + 63) / 64;
  if (words > slab->roomy_words) {
    uint64_t *roomy = vsi_realloc(slab->host, slab->roomy, words * sizeof *roomy);
    if (!roomy) return VESTRY_NO_MEMORY;
    memset(roomy + slab->roomy_words, 0, (words - slab->roomy_words) * sizeof *roomy);
    slab->roomy = roomy;
    slab->roomy_words = words;
  }
  vsi_slot **flat = vsi_realloc(slab->host, slab->flat, (slab->chunks_count + more) * sizeof(vsi_slot *));
  if (!flat) return VESTRY_NO_MEMORY;
  slab->flat = flat;
  vsi_chunk *chunks = vsi_calloc(slab->host, more, sizeof *chunks);
  if (!chunks) return VESTRY_NO_MEMORY;
  atomic_store_explicit(&slab->segments[segment], chunks, memory_order_release); /* pairs with vsi_slab_chunk */
  slab->chunks_count += more;
  return VESTRY_OK;
}

static vestry_err fill_chunk(vsi_slab *slab, uint32_t c) {
  vsi_chunk *chunk = vsi_slab_chunk(slab, c);
  size_t slots_size = VSI_SLOTS_A_CHUNK * sizeof(vsi_slot);
  size_t extras_size = slab->with_extras ? VSI_SLOTS_A_CHUNK * sizeof(vsi_extra) : 0;
  void *memory = vsi_calloc(slab->host, 1, slots_size + extras_size + VSI_CACHE_LINE);
  if (!memory) return VESTRY_NO_MEMORY;
  vsi_slot *slots = vsi_cache_line_up(memory);
  if ((uint64_t)(uintptr_t)slots >> 48) { /* the index has 48 bits for an address */
    vsi_free(slab->host, memory);
    return VESTRY_NO_MEMORY;
  }
  for (uint32_t i = 0; i < VSI_SLOTS_A_CHUNK; i++) {
    slots[i].number = c * VSI_SLOTS_A_CHUNK + i + 1;
    slots[i].generation = chunk->generation + 1;
    slots[i].next = i + 1 < VSI_SLOTS_A_CHUNK ? i + 2 : 0;
  }
  chunk->memory = memory;
  chunk->extras = extras_size ? (vsi_extra *)(slots + VSI_SLOTS_A_CHUNK) : NULL;
  chunk->free_first = 1;
  chunk->free_count = VSI_SLOTS_A_CHUNK;
  slab->flat[c] = slots;
  atomic_store_explicit(&chunk->slots, slots, memory_order_relaxed); /* numbers are published with release later */
  slab->free_count += VSI_SLOTS_A_CHUNK;
  mark_roomy(slab, c);
  return VESTRY_OK;
}

/* Bring a chunk in: the lowest that is not there. Looked for from the start, but once in 64 slots only. */
static vestry_err add_chunk(vsi_slab *slab) {
  for (uint32_t c = 0; c < slab->chunks_count; c++) {
    vsi_chunk *chunk = vsi_slab_chunk(slab, c);
    if (!chunk->memory && chunk->generation < UINT32_MAX - 1) return fill_chunk(slab, c);
  }
  uint32_t c = slab->chunks_count;
  vestry_err error = grow(slab);
  return error ? error : fill_chunk(slab, c);
}

/* Several: so that a store that gives and takes in turn does not go to the chunks each time. */
vestry_err vsi_slab_fetch(vsi_slab *slab) {
  if (!slab->free_count && add_chunk(slab)) return VESTRY_NO_MEMORY;
  while (slab->free_count && slab->shelf_count < VSI_SHELF_MOVES) {
    while (!slab->roomy[slab->lowest]) slab->lowest++; /* free_count says that there is one */
    uint32_t c = slab->lowest * 64 + (uint32_t)__builtin_ctzll(slab->roomy[slab->lowest]);
    vsi_chunk *chunk = vsi_slab_chunk(slab, c);
    vsi_slot *slot = atomic_load_explicit(&chunk->slots, memory_order_relaxed) + (chunk->free_first - 1);
    chunk->free_first = (uint16_t)slot->next;
    if (--chunk->free_count == 0) slab->roomy[c / 64] &= ~(UINT64_C(1) << c % 64);
    slab->free_count--;
    slab->live_count++;
    slab->shelf[slab->shelf_count++] = slot;
  }
  return VESTRY_OK;
}

static void drop_chunk(vsi_slab *slab, uint32_t c) {
  vsi_chunk *chunk = vsi_slab_chunk(slab, c);
  vsi_slot *slots = atomic_load_explicit(&chunk->slots, memory_order_relaxed);
  for (uint32_t i = 0; i < VSI_SLOTS_A_CHUNK; i++)
    if (slots[i].generation > chunk->generation) chunk->generation = slots[i].generation;
  atomic_store_explicit(&chunk->slots, NULL, memory_order_relaxed);
  vsi_free(slab->host, chunk->memory);
  chunk->memory = NULL;
  chunk->extras = NULL;
  chunk->free_first = chunk->free_count = 0;
  slab->free_count -= VSI_SLOTS_A_CHUNK;
  slab->roomy[c / 64] &= ~(UINT64_C(1) << c % 64);
}

/* Let chunks go that are empty and too many. Some in the list are in use again by now. */
static void drop_spare(vsi_slab *slab) {
  while (slab->spare_first && slab->free_count > SPARE_SLOTS + slab->live_count / 8) {
    uint32_t c = slab->spare_first - 1;
    vsi_chunk *chunk = vsi_slab_chunk(slab, c);
    slab->spare_first = chunk->spare_next;
    chunk->listed = false;
    if (chunk->free_count == VSI_SLOTS_A_CHUNK) drop_chunk(slab, c);
  }
}

static void give_back(vsi_slab *slab, vsi_slot *slot) {
  uint32_t c = (slot->number - 1) / VSI_SLOTS_A_CHUNK;
  vsi_chunk *chunk = vsi_slab_chunk(slab, c);
  slab->live_count--;
  slot->next = chunk->free_first;
  chunk->free_first = (uint16_t)((slot->number - 1) % VSI_SLOTS_A_CHUNK + 1);
  chunk->free_count++;
  slab->free_count++;
  mark_roomy(slab, c);
  if (chunk->free_count == VSI_SLOTS_A_CHUNK && !chunk->listed) {
    chunk->listed = true;
    chunk->spare_next = slab->spare_first;
    slab->spare_first = c + 1;
  }
  drop_spare(slab);
}

void vsi_slab_return(vsi_slab *slab) {
  uint32_t count = slab->shelf_count < VSI_SHELF_MOVES ? slab->shelf_count : VSI_SHELF_MOVES;
  for (uint32_t i = 0; i < count; i++) give_back(slab, slab->shelf[i]);
  memmove(slab->shelf, slab->shelf + count, (slab->shelf_count - count) * sizeof(vsi_slot *));
  slab->shelf_count -= count;
}

vsi_slot *vsi_slab_find(const vsi_slab *slab, uint32_t number, uint32_t generation) {
  if (!number || (number - 1) / VSI_SLOTS_A_CHUNK >= slab->chunks_count) return NULL;
  vsi_chunk *chunk = vsi_slab_chunk(slab, (number - 1) / VSI_SLOTS_A_CHUNK);
  if (!chunk->memory) return NULL;
  vsi_slot *slot = vsi_slab_at(slab, number);
  return slot->generation == generation && vsi_slot_state_of(slot) == VSI_SLOT_LIVE ? slot : NULL;
}

vestry_slice vsi_slot_key(const vsi_slot *slot) {
  if (slot->len != VSI_SLOT_OUTSIDE) return (vestry_slice){slot->key, slot->len};
  const vsi_outside *outside;
  memcpy(&outside, slot->key, sizeof outside);
  return (vestry_slice){outside->bytes, outside->len};
}

vestry_scoped_key vsi_slot_scoped_key(const vsi_slot *slot) {
  vestry_slice key = vsi_slot_key(slot);
  return vsi_scoped_key_read(key.data, key.len);
}
