#include "store/buckets.h"

#include <string.h>

#include "base/memory.h"
#include "store/find.h"

/* A table is an array of buckets of one cache line: seven words and a count.
 *
 *   word     22 bits of the hash's lower half | 42 bits of the slot's address (slots lie on cache lines)   0: empty
 *   passed   how many words have been put into a later bucket because this one was full (after Bronson and Shi, F14)
 *
 * A key's home is the upper half of its hash scaled to the number of buckets, so the order of buckets is the order of
 * hashes, whatever the size. A word lies in its home or, if that was full, in the next bucket with room; each bucket it
 * went past counts it. A reader goes on to the next bucket only while the count says that somebody went past: a miss
 * costs one line as a rule. Taking a word out clears it and counts down: no tombstones.
 *
 * Readers and one writer. A writer counts up before it stores a word, and clears a word before it counts down (all
 * release; readers load with seq_cst, which sections.c needs, hence also with acquire). So a reader that stops at a
 * count of 0 has not missed a word that was there before it began. Replacing the newest slot of a key is one store: no
 * reader finds the key gone.
 *
 * Changing size. A table larger by an eighth (or half as large) is made; from then on new words go into it, and every
 * write moves a few words over: into the new one first, then out of the old one. A reader looks into the old table
 * first, then into the new: a word that had left the old one by then was in the new one before. `old` is set before
 * `current`, and read after it. After a miss a reader makes sure that `current` is still the table it looked into, for
 * words may have moved on to a third; otherwise it looks again. The emptied table is freed after a grace period, but
 * nobody waits for that: a reader that is held up keeps tables, not writers, from going on. No operation moves more
 * than MOVES buckets. If the writes end before the move does, readers that meet two tables go on with it now and then.
 */

enum { MOVES = 16, SMALLEST_TABLE = 4, SMALL_TABLE = 1024 };

static uint64_t word_of(const vsi_slot *slot, uint64_t tag) {
  return tag << VSI_ADDRESS_BITS | (uint64_t)(uintptr_t)slot >> 6;
}

static vsi_table_memory *table_make(const vestry_host *host, uint32_t count) {
  vsi_table_memory *table = vsi_calloc(host, 1, sizeof *table + VSI_CACHE_LINE + (size_t)count * sizeof(vsi_bucket));
  if (!table) return NULL;
  table->count = count;
  table->at = vsi_cache_line_up(table + 1);
  return table;
}

/* Words that a table holds well: with more, buckets overflow too often. In a small one, which takes little memory and
 * stays in the cache, what an overflow costs is the branch that nobody foresaw: it is filled less. */
static size_t well_filled(uint32_t count) {
  return (size_t)count * (count < SMALL_TABLE ? 17 : 24) / 4;
}

static void set_bounds(vsi_buckets *buckets, const vsi_table_memory *table) {
  buckets->grow_at = well_filled(table->count);
  buckets->shrink_at = table->count > SMALLEST_TABLE ? well_filled(table->count) / 4 : 0;
  /* relaxed: a pair that does not match asks for a line that nobody needs */
  atomic_store_explicit(&buckets->hint_at, (uintptr_t)table->at, memory_order_relaxed);
  atomic_store_explicit(&buckets->hint_count, table->count, memory_order_relaxed);
}

static void free_list(const vestry_host *host, vsi_table_memory *table) {
  for (vsi_table_memory *next; table; table = next) {
    next = table->next;
    vsi_free(host, table);
  }
}

vestry_err vsi_buckets_init(vsi_buckets *buckets, const vestry_host *host, vsi_grace *grace) {
  memset(buckets, 0, sizeof *buckets);
  buckets->host = host;
  buckets->grace = grace;
  vsi_table_memory *table = table_make(host, SMALLEST_TABLE);
  if (!table) return VESTRY_NO_MEMORY;
  atomic_init(&buckets->current, table);
  set_bounds(buckets, table);
  return VESTRY_OK;
}

void vsi_buckets_finish(vsi_buckets *buckets) {
  vsi_free(buckets->host, atomic_load_explicit(&buckets->current, memory_order_relaxed));
  vsi_free(buckets->host, atomic_load_explicit(&buckets->old, memory_order_relaxed));
  free_list(buckets->host, buckets->retired);
  free_list(buckets->host, buckets->retiring);
}

static vsi_slot *find_in(const vsi_table_memory *table, const vsi_probe *probe) {
  uint32_t at = vsi_bucket_home(table, (uint32_t)(probe->hash >> 32));
  for (uint32_t left = table->count; left; left--) {
    vsi_slot *slot = vsi_bucket_find(&table->at[at], probe);
    if (slot) return slot;
    if (!atomic_load_explicit(&table->at[at].passed, memory_order_seq_cst)) return NULL;
    at = vsi_bucket_after(table, at);
  }
  return NULL;
}

vsi_slot *vsi_buckets_find(const vsi_buckets *buckets, const vsi_probe *probe) {
  for (;;) {
    vsi_table_memory *current = atomic_load_explicit(&buckets->current, memory_order_seq_cst);
    vsi_table_memory *old = atomic_load_explicit(&buckets->old, memory_order_seq_cst);
    vsi_slot *slot = NULL;
    if (old) slot = find_in(old, probe);
    if (!slot) slot = find_in(current, probe);
    if (slot || current == atomic_load_explicit(&buckets->current, memory_order_seq_cst)) return slot;
  }
}

VSI_SELDOM vsi_slot *vsi_find_again(const vsi_buckets *buckets, vsi_probe probe) {
  return vsi_buckets_find(buckets, &probe);
}

/* -------------------------------------------------------------------------------------------------- writing ---- */

static void add_to(vsi_table_memory *table, uint64_t word, uint32_t upper) {
  for (uint32_t at = vsi_bucket_home(table, upper);; at = vsi_bucket_after(table, at)) {
    vsi_bucket *in = &table->at[at];
    uint32_t room = ~in->filled & ((1u << VSI_BUCKET_WORDS) - 1);
    if (__builtin_expect(room != 0, 1)) {
      uint32_t i = (uint32_t)__builtin_ctz(room);
      in->filled |= 1u << i;
      atomic_store_explicit(&in->words[i], word, memory_order_release); /* readers see the slot filled */
      return;
    }
    uint32_t passed = atomic_load_explicit(&in->passed, memory_order_relaxed);
    atomic_store_explicit(&in->passed, passed + 1, memory_order_release);
  }
}

/* Where a slot's word is in a table, or NULL. */
static inline _Atomic(uint64_t) *word_in(const vsi_table_memory *table, const vsi_slot *slot, uint32_t *ret_at) {
  uint64_t address = (uint64_t)(uintptr_t)slot >> 6;
  uint32_t at = vsi_bucket_home(table, slot->hash);
  for (uint32_t left = table->count; left; left--) {
    vsi_bucket *in = &table->at[at];
    for (uint32_t hits = vsi_bucket_leading_to(in, address); hits; hits &= hits - 1) {
      _Atomic(uint64_t) *word = &in->words[__builtin_ctz(hits)];
      if ((atomic_load_explicit(word, memory_order_relaxed) & VSI_ADDRESS_MASK) != address) continue;
      *ret_at = at;
      return word;
    }
    if (!atomic_load_explicit(&in->passed, memory_order_relaxed)) return NULL;
    at = vsi_bucket_after(table, at);
  }
  return NULL;
}

/* Clear a word that lies in bucket `found`; those it went past count it no longer. */
static void clear(vsi_table_memory *table, _Atomic(uint64_t) *word, uint32_t upper, uint32_t found) {
  table->at[found].filled &= ~(1u << (word - table->at[found].words));
  atomic_store_explicit(word, 0, memory_order_release);
  for (uint32_t at = vsi_bucket_home(table, upper); at != found; at = vsi_bucket_after(table, at)) {
    vsi_bucket *in = &table->at[at];
    uint32_t passed = atomic_load_explicit(&in->passed, memory_order_relaxed);
    atomic_store_explicit(&in->passed, passed - 1, memory_order_release);
  }
}

static inline _Atomic(uint64_t) *locate(const vsi_buckets *buckets, const vsi_slot *slot, vsi_table_memory **ret_table,
                                        uint32_t *ret_at) {
  vsi_table_memory *tables[2] = {atomic_load_explicit(&buckets->current, memory_order_relaxed),
                                 atomic_load_explicit(&buckets->old, memory_order_relaxed)};
  for (int i = 0; i < 2 && tables[i]; i++) {
    _Atomic(uint64_t) *word = word_in(tables[i], slot, ret_at);
    if (!word) continue;
    *ret_table = tables[i];
    return word;
  }
  return NULL;
}

void vsi_buckets_link(vsi_buckets *buckets, vsi_slot *slot, uint64_t hash) {
  add_to(atomic_load_explicit(&buckets->current, memory_order_relaxed), word_of(slot, vsi_bucket_tag(hash)),
         slot->hash);
}

void vsi_buckets_add(vsi_buckets *buckets, vsi_slot *slot, uint64_t hash) {
  vsi_buckets_link(buckets, slot, hash);
  buckets->words_count++;
}

void vsi_buckets_swap(vsi_buckets *buckets, vsi_slot *from, vsi_slot *to) {
  vsi_table_memory *table = NULL;
  uint32_t at = 0;
  _Atomic(uint64_t) *word = locate(buckets, from, &table, &at);
  uint64_t tag = atomic_load_explicit(word, memory_order_relaxed) >> VSI_ADDRESS_BITS;
  atomic_store_explicit(word, word_of(to, tag), memory_order_release);
}

void vsi_buckets_unlink(vsi_buckets *buckets, vsi_slot *slot) {
  vsi_table_memory *table = NULL;
  uint32_t at = 0;
  _Atomic(uint64_t) *word = locate(buckets, slot, &table, &at);
  clear(table, word, slot->hash, at);
}

void vsi_buckets_erase(vsi_buckets *buckets, vsi_slot *slot) {
  vsi_buckets_unlink(buckets, slot);
  buckets->words_count--;
}

static void move_some(vsi_buckets *buckets, vsi_sections *sections) {
  vsi_table_memory *old = atomic_load_explicit(&buckets->old, memory_order_relaxed);
  vsi_table_memory *current = atomic_load_explicit(&buckets->current, memory_order_relaxed);
  for (int moves = 0; moves < MOVES && buckets->moved < old->count; moves++) {
    vsi_bucket *from = &old->at[buckets->moved];
    for (int i = 0; i < VSI_BUCKET_WORDS; i++) {
      uint64_t word = atomic_load_explicit(&from->words[i], memory_order_relaxed);
      if (!word) continue;
      uint32_t upper = vsi_bucket_slot(word)->hash;
      add_to(current, word, upper);
      clear(old, &from->words[i], upper, buckets->moved);
    }
    buckets->moved++;
  }
  if (buckets->moved < old->count) return;
  atomic_store_explicit(&buckets->old, NULL, memory_order_release);
  old->next = buckets->retiring;
  buckets->retiring = old;
  vsi_buckets_let_go(buckets, sections);
}

static vestry_err resize(vsi_buckets *buckets, uint32_t count) {
  vsi_table_memory *table = table_make(buckets->host, count);
  if (!table) return VESTRY_NO_MEMORY;
  vsi_table_memory *current = atomic_load_explicit(&buckets->current, memory_order_relaxed);
  buckets->moved = 0;
  atomic_store_explicit(&buckets->old, current, memory_order_release);
  atomic_store_explicit(&buckets->current, table, memory_order_release); /* after old: see vsi_buckets_find */
  set_bounds(buckets, table);
  return VESTRY_OK;
}

void vsi_buckets_prefetch(const vsi_buckets *buckets, uint32_t upper) {
  uint64_t home = (uint64_t)upper * atomic_load_explicit(&buckets->hint_count, memory_order_relaxed) >> 32;
  uintptr_t at = atomic_load_explicit(&buckets->hint_at, memory_order_relaxed);
  vsi_prefetch_to_write((const void *)(at + home * sizeof(vsi_bucket)));
}

void vsi_buckets_let_go(vsi_buckets *buckets, vsi_sections *sections) {
  if (buckets->retired && !vsi_grace_is_over(sections, buckets->grace)) return;
  free_list(buckets->host, buckets->retired);
  buckets->retired = buckets->retiring;
  buckets->retiring = NULL;
  if (!buckets->retired || !vsi_grace_begin(sections, buckets->grace)) return;
  free_list(buckets->host, buckets->retired);
  buckets->retired = NULL;
}

bool vsi_buckets_move_on(vsi_buckets *buckets, vsi_sections *sections) {
  if (atomic_load_explicit(&buckets->old, memory_order_relaxed)) move_some(buckets, sections);
  return atomic_load_explicit(&buckets->old, memory_order_relaxed) != NULL;
}

vestry_err vsi_buckets_resize(vsi_buckets *buckets, vsi_sections *sections) {
  vsi_buckets_let_go(buckets, sections);
  (void)vsi_buckets_move_on(buckets, sections);
  uint32_t count = atomic_load_explicit(&buckets->current, memory_order_relaxed)->count;
  vestry_err error = VESTRY_OK;
  if (buckets->words_count >= buckets->grow_at) {
    if (count <= UINT32_MAX / 4 && !vsi_buckets_is_moving(buckets)) error = resize(buckets, count + count / 8 + 1);
  } else if (buckets->words_count < buckets->shrink_at) {
    if (!vsi_buckets_is_moving(buckets)) (void)resize(buckets, count / 2 < SMALLEST_TABLE ? SMALLEST_TABLE : count / 2);
  }
  /* Without memory, or while a change is under way, it may fill up to its last words, but not entirely. */
  count = atomic_load_explicit(&buckets->current, memory_order_relaxed)->count;
  if (buckets->words_count + 1 > (size_t)count * VSI_BUCKET_WORDS - count / 2) return error ? error : VESTRY_NO_MEMORY;
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------- listing ---- */

static void range_in(const vsi_table_memory *table, uint32_t from, uint32_t to, void (*fn)(vsi_slot *slot, void *ctx),
                     void *ctx) {
  uint32_t last = vsi_bucket_home(table, to);
  uint32_t at = vsi_bucket_home(table, from);
  for (uint32_t left = table->count; left; left--, at = vsi_bucket_after(table, at)) {
    vsi_bucket *in = &table->at[at];
    for (int i = 0; i < VSI_BUCKET_WORDS; i++) {
      uint64_t word = atomic_load_explicit(&in->words[i], memory_order_relaxed);
      if (word && vsi_bucket_slot(word)->hash >= from && vsi_bucket_slot(word)->hash <= to)
        fn(vsi_bucket_slot(word), ctx);
    }
    /* Beyond the last home there is something of the range only as far as words went past. */
    bool beyond = vsi_bucket_home(table, from) <= last && (at >= last || at < vsi_bucket_home(table, from));
    if (beyond && !atomic_load_explicit(&in->passed, memory_order_relaxed)) return;
  }
}

void vsi_buckets_range(const vsi_buckets *buckets, uint32_t from, uint32_t to, void (*fn)(vsi_slot *slot, void *ctx),
                       void *ctx) {
  vsi_table_memory *old = atomic_load_explicit(&buckets->old, memory_order_relaxed);
  if (old) range_in(old, from, to, fn, ctx);
  range_in(atomic_load_explicit(&buckets->current, memory_order_relaxed), from, to, fn, ctx);
}

uint32_t vsi_buckets_stride(const vsi_buckets *buckets) {
  uint32_t count = atomic_load_explicit(&buckets->current, memory_order_relaxed)->count;
  return UINT32_MAX / count * 4;
}
