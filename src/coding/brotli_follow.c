/* SPDX-License-Identifier: MIT */
/* essay: the difference from the previous event, encoded for a decoder whose last distances are unknown */
/* A brotli encoder for the difference between two events, and for single events (RFC 7932; section numbers refer to
 * it).
 *
 * Why not libbrotlienc. libbrotlienc could encode the previous event, whose output is discarded, and then the new one.
 * Its window would then equal the decoder's, but its last four distances would be those of the discarded output. The
 * decoder has the distances of the output that it received, which was encoded differently: standalone, in an epoch,
 * framed, or as a difference (coder.c explains these encodings). The library writes a remembered distance as a code of
 * about two bits. A new encoder starts without remembered distances (brotli.c), but it cannot be made to forget them
 * later, and its output does not show which ones it used. After a framed event, nine of ten such outputs decode to a
 * different text, and no decoder reports an error. Replaying the output that the stream really received would require
 * the event before the previous one, and so on to the first.
 *
 * So this encoder writes the difference, and uses none of the decoder's distances. Each distance is written explicitly,
 * except repetitions of one that was written before in the same output. No other state of the decoder is used. Literals
 * have one code in all contexts. The decoder's window is full, because each stream begins with a primer: a comment as
 * long as the window (brotli.c). So each distance up to the size of the window means text that the decoder has
 * received, and none means a word of the static dictionary.
 *
 * The output is one meta-block, followed by an alignment to a byte boundary:
 *
 *   header         ISLAST 0, MNIBBLES, MLEN, ISUNCOMPRESSED 0 (9.2)
 *   parameters     one block type of each kind, no postfix bits, no direct distances, one code of each kind
 *   prefix codes   literals; insert-and-copy lengths; distances (3.4, 3.5)
 *   commands       each: insert-and-copy symbol and extra bits, the literals, distance symbol and extra bits
 *   alignment      an empty metadata block
 *
 * Matches are searched in the previous event and in the part of the new one that is already written. The first
 * candidate is the last distance: if a piece of the page was replaced by one of equal length, the text after it is
 * found at the same distance as the text before it. Further candidates come from a hash of six bytes. Unchanged parts
 * of a page are found in long pieces; new parts become literals and short copies. If the events have little in common,
 * the standalone output is shorter, and the caller uses the shorter one.
 *
 * Without a previous event, the output is standalone. For each output, libbrotlienc clears a table of 256 KiB and
 * writes to half a MiB in all, which takes longer than to encode a part of a page, and displaces other data from the
 * caches. This encoder needs about ten bytes for each byte of the event. */
#include "coding/brotli_follow.h"

#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"

/* DEPTH_MOST, DEPTH_ALONE: candidates that are tried for a position, with and without a previous event. REPEAT_LEAST:
 * length of the shortest copy that repeats the last distance. */
enum {
  HASH_BITS_LEAST = 8,
  HASH_BITS_MOST = 14,
  HASH_BYTES = 6,
  DEPTH_MOST = 24,
  DEPTH_ALONE = 4,
  REPEAT_LEAST = 4,
  DENSE_BYTES = 16,
  EDGE_BYTES = 4
};
enum { LITERALS = 256, LENGTHS = 704, DISTANCES = 64, CODE_LENGTHS = 18, SYMBOLS_MOST = LENGTHS };
enum { DEPTH_LIMIT = 15, CODE_LENGTHS_LIMIT = 5, ZEROS = 17, LAST_DISTANCE = 0, FIRST_EXPLICIT = 16 };

typedef struct code {
  uint32_t counts[SYMBOLS_MOST];
  uint8_t depths[SYMBOLS_MOST];
  uint16_t words[SYMBOLS_MOST]; /* with bits reversed, as they are written */
} code;

typedef struct codes {
  code literals, lengths, distances;
} codes;

/* Literals to insert, then bytes to copy, with the symbols and the additional bits that stand for the lengths and for
 * the distance back to the source. copy 0: the last command, which only inserts. */
typedef struct command {
  uint32_t insert, copy, distance_more;
  uint16_t lengths;
  uint8_t distance, lengths_width, distance_width;
  uint64_t lengths_more;
} command;

typedef struct finder {
  const unsigned char *text; /* the end of the previous event, and the new one */
  uint32_t end;
  uint32_t farthest; /* maximum distance */
  uint32_t *heads;   /* by hash: the last position plus one; 0: none */
  uint32_t *before;  /* by position: the previous position with the same hash, plus one */
  uint32_t entered;  /* positions before this one are in the table */
  unsigned hash_bits;
  int depth;
  codes *codes; /* only the counts of the symbols */
  vsi_buffer *commands;
} finder;

/* ---------------------------------------------------------------------------------------------- commands ---------- */

/* A number in the form in which it is written: a symbol, and `width` additional bits with the value `more`. */
typedef struct part {
  uint32_t symbol, more, width;
} part;

#define END UINT32_MAX
/* Return a length as the last symbol whose base does not exceed it, with the difference in additional bits (section
 * 5). */
static part length_part(const uint32_t bases[32], const uint8_t widths[24], uint32_t len) {
  unsigned symbol = 0;
  for (unsigned step = 16; step; step /= 2) symbol += bases[symbol + step] <= len ? step : 0;
  return (part){symbol, len - bases[symbol], widths[symbol]};
}

static part insert_part(uint32_t len) {
  static const uint32_t bases[32] = {0,    1,     2,   3,   4,   5,   6,   8,   10,  14,   18,
                                     26,   34,    50,  66,  98,  130, 194, 322, 578, 1090, 2114,
                                     6210, 22594, END, END, END, END, END, END, END, END};
  static const uint8_t widths[] = {0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 12, 14, 24};
  return length_part(bases, widths, len);
}

static part copy_part(uint32_t len) {
  static const uint32_t bases[32] = {2,  3,   4,   5,   6,   7,   8,    9,    10,  12,  14,  18,  22,  30,  38,  54,
                                     70, 102, 134, 198, 326, 582, 1094, 2118, END, END, END, END, END, END, END, END};
  static const uint8_t widths[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 24};
  return length_part(bases, widths, len);
}

/* Return a distance as a symbol (section 4), without postfix bits and direct codes. last: the distance of the copy
 * before. */
static part distance_part(uint32_t distance, uint32_t last) {
  if (distance == last) return (part){LAST_DISTANCE, 0, 0};
  unsigned width = 30 - (unsigned)__builtin_clz(distance + 3), high = (distance + 3) >> width & 1;
  return (part){FIRST_EXPLICIT + 2 * (width - 1) + high, distance + 3 - ((2 + high) << width), width};
}

/* Return the insert-and-copy symbol, which stands for the symbols of both lengths (5). The upper bits of the two select
 * a cell of 64 symbols, and the lower three bits of each select a symbol in the cell. The cells that imply the last
 * distance are not used. */
static unsigned lengths_symbol(unsigned insert, unsigned copy) {
  static const uint8_t cells[3][3] = {{2, 3, 6}, {4, 5, 8}, {7, 9, 10}};
  return 64u * cells[insert >> 3][copy >> 3] + 8 * (insert & 7) + (copy & 7);
}

/* Add a command, and count its symbols. literals: those that it inserts. last: the distance of the copy before. */
static void add_command(finder *f, const unsigned char *literals, uint32_t insert, uint32_t copy, uint32_t distance,
                        uint32_t last) {
  const part inserted = insert_part(insert), copied = copy_part(copy ? copy : 2);
  const part back = copy ? distance_part(distance, last) : (part){0, 0, 0};
  const command now = {.insert = insert,
                       .copy = copy,
                       .distance_more = back.more,
                       .lengths = (uint16_t)lengths_symbol(inserted.symbol, copied.symbol),
                       .distance = (uint8_t)back.symbol,
                       .lengths_width = (uint8_t)(inserted.width + copied.width),
                       .distance_width = (uint8_t)back.width,
                       .lengths_more = inserted.more | (uint64_t)copied.more << inserted.width};
  f->codes->lengths.counts[now.lengths]++;
  if (copy) f->codes->distances.counts[now.distance]++;
  for (const unsigned char *end = literals + insert; literals < end; literals++) f->codes->literals.counts[*literals]++;
  vsi_buffer_append(f->commands, &now, sizeof now);
}

/* ----------------------------------------------------------------------------------------------- matches ---------- */

/* Return the size of a table for a text of this length, so that a small text clears a small one. */
static unsigned hash_bits_of(uint32_t len) {
  const unsigned bits = 32 - (unsigned)__builtin_clz(len | 1);
  return bits < HASH_BITS_LEAST ? HASH_BITS_LEAST : bits > HASH_BITS_MOST ? HASH_BITS_MOST : bits;
}

static uint32_t hash_at(const finder *f, const unsigned char *at) {
  uint32_t first, last; /* two overlapping loads: a copy of six bytes would go through memory */
  memcpy(&first, at, sizeof first);
  memcpy(&last, at + HASH_BYTES - sizeof last, sizeof last);
  return (uint32_t)(((uint64_t)last << 32 | first) * UINT64_C(0x9E3779B97F4A7C15) >> (64 - f->hash_bits));
}

/* Enter positions up to `to` into the table. */
static void enter(finder *f, uint32_t to) {
  uint32_t from = f->entered, last = f->end < HASH_BYTES ? 0 : f->end - HASH_BYTES + 1;
  f->entered = to;
  if (to > last) to = last;
  for (uint32_t at = from; at < to; at++) {
    uint32_t *head = &f->heads[hash_at(f, f->text + at)];
    f->before[at] = *head;
    *head = at + 1;
  }
}

static uint32_t length_of_match(const finder *f, uint32_t a, uint32_t b) {
  const unsigned char *text = f->text;
  uint32_t most = f->end - b, len = 0;
  while (len + 8 <= most) {
    const uint64_t different = vsi_hash_word(text + a + len, 8) ^ vsi_hash_word(text + b + len, 8);
    if (different) return len + (uint32_t)__builtin_ctzll(different) / 8;
    len += 8;
  }
  while (len < most && text[a + len] == text[b + len]) len++;
  return len;
}

/* Return whether the first REPEAT_LEAST bytes are the same. */
static bool is_same(const finder *f, uint32_t a, uint32_t b) {
  return memcmp(f->text + a, f->text + b, REPEAT_LEAST) == 0;
}

/* Find the best copy for a position. Returns its length; 0: none. last: distance of the last copy; 0: none yet. */
static uint32_t find(const finder *f, uint32_t at, uint32_t last, uint32_t *ret_distance) {
  if (f->end - at < HASH_BYTES) return 0;
  uint32_t best = last && is_same(f, at - last, at) ? length_of_match(f, at - last, at) : 0;
  *ret_distance = last;
  uint32_t place = f->heads[hash_at(f, f->text + at)];
  for (int depth = 0; place && depth < f->depth; depth++) {
    uint32_t candidate = place - 1;
    if (at - candidate > f->farthest) break;
    uint32_t least = best ? best + 3 : HASH_BYTES; /* an explicit distance costs about this much more */
    if (at + least <= f->end && f->text[candidate + least - 1] == f->text[at + least - 1]) {
      uint32_t len = length_of_match(f, candidate, at);
      if (len >= least) {
        best = len;
        *ret_distance = at - candidate;
      }
    }
    place = f->before[candidate];
  }
  return best;
}

/* Enter the positions of a copy. Of a long one (more than DENSE_BYTES), only EDGE_BYTES at each end are entered,
 * because the source of the copy is in the table already. */
static void enter_copy(finder *f, uint32_t to) {
  uint32_t from = f->entered;
  if (to > from && to - from > DENSE_BYTES) {
    enter(f, from + EDGE_BYTES);
    f->entered = to - EDGE_BYTES;
  }
  enter(f, to);
}

static void find_commands(finder *f, uint32_t from) {
  uint32_t literals = from, at = from, last = 0;
  enter(f, from);
  while (at < f->end) {
    uint32_t distance, copy = find(f, at, last, &distance);
    if (!copy) {
      enter(f, ++at);
      continue;
    }
    while (at > literals && distance < at && f->text[at - 1] == f->text[at - 1 - distance]) {
      at--;
      copy++;
    }
    add_command(f, f->text + literals, at - literals, copy, distance, last);
    at += copy;
    enter_copy(f, at);
    literals = at;
    last = distance;
  }
  if (literals < at) add_command(f, f->text + literals, at - literals, 0, 0, 0);
}

/* -------------------------------------------------------------------------------------------------- bits ---------- */

typedef struct bits {
  vsi_sink *sink;
  vestry_err error;
  uint64_t held;
  unsigned held_count; /* below 8 between two calls of put_bits */
  unsigned char bytes[256];
  size_t len;
} bits;

static void flush_bytes(bits *b) {
  vestry_err error = vsi_sink_put(b->sink, b->bytes, b->len);
  if (!b->error) b->error = error;
  b->len = 0;
}

/* Write the `count` lowest bits of a value, at most 48. Its other bits are 0. */
static inline void put_bits(bits *b, uint64_t value, unsigned count) {
  b->held |= value << b->held_count;
  b->held_count += count;
  if (b->len > sizeof b->bytes - sizeof b->held) flush_bytes(b);
  const uint64_t little = vsi_hash_word(&b->held, sizeof b->held);
  memcpy(b->bytes + b->len, &little, sizeof little);
  const unsigned whole = b->held_count / 8;
  b->len += whole;
  b->held >>= 8 * whole;
  b->held_count %= 8;
}

/* Align the output to a byte boundary: write an empty metadata block, which ends at one (9.2). If the output is at a
 * boundary already, write nothing. */
static void align(bits *b) {
  if (b->held_count) put_bits(b, 6, b->held_count <= 2 ? 8 - b->held_count : 16 - b->held_count);
  flush_bytes(b);
}

/* ------------------------------------------------------------------------------------------------- codes ---------- */

/* Build a Huffman tree with two queues: leaves by weight, and nodes in the order of their creation. used: number of
 * leaves, at least 2. Returns the greatest depth. */
static unsigned grow_tree(code *c, const uint16_t *leaves, unsigned used, uint32_t least) {
  uint32_t weights[2 * SYMBOLS_MOST];
  uint16_t parents[2 * SYMBOLS_MOST], depths[2 * SYMBOLS_MOST];
  for (unsigned i = 0; i < used; i++) weights[i] = c->counts[leaves[i]] < least ? least : c->counts[leaves[i]];
  unsigned leaf = 0, node = used, made = used;
  for (; made < 2 * used - 1; made++) {
    weights[made] = 0;
    for (int side = 0; side < 2; side++) {
      bool is_leaf = leaf < used && (node == made || weights[leaf] <= weights[node]);
      unsigned lightest = is_leaf ? leaf++ : node++;
      weights[made] += weights[lightest];
      parents[lightest] = (uint16_t)made;
    }
  }
  unsigned deepest = 0;
  depths[made - 1] = 0;
  for (unsigned i = made - 1; i-- > 0;) {
    depths[i] = (uint16_t)(depths[parents[i]] + 1);
    if (depths[i] > deepest) deepest = depths[i];
    if (i < used) c->depths[leaves[i]] = (uint8_t)depths[i];
  }
  return deepest;
}

/* Assign the words of a canonical code (3.2), first bit lowest. */
static void assign_words(code *c, unsigned size) {
  unsigned counts[DEPTH_LIMIT + 1] = {0}, next[DEPTH_LIMIT + 1], word = 0;
  for (unsigned i = 0; i < size; i++) counts[c->depths[i]]++;
  counts[0] = 0;
  for (unsigned depth = 1; depth <= DEPTH_LIMIT; depth++) next[depth] = word = (word + counts[depth - 1]) << 1;
  for (unsigned i = 0; i < size; i++) {
    if (!c->depths[i]) continue;
    unsigned value = next[c->depths[i]]++, reversed = 0;
    for (unsigned bit = 0; bit < c->depths[i]; bit++) reversed = reversed << 1 | (value >> bit & 1);
    c->words[i] = (uint16_t)reversed;
  }
}

/* Make a code for its counts. leaves: receives the used symbols. If there are at most four, they are in the order that
 * simple codes need (3.4): by depth, and by symbol if the depths are equal. Otherwise they are in the order of their
 * weights. Returns the number of used symbols; a code of one symbol or none has no bits. */
static unsigned make_code(code *c, unsigned size, unsigned limit, uint16_t *leaves) {
  unsigned used = 0;
  memset(c->depths, 0, size);
  for (unsigned i = 0; i < size; i++) {
    if (!c->counts[i]) continue;
    unsigned at = used++;
    for (; at && c->counts[leaves[at - 1]] > c->counts[i]; at--) leaves[at] = leaves[at - 1];
    leaves[at] = (uint16_t)i;
  }
  if (used == 1) c->words[*leaves] = 0; /* written with no bits */
  if (used < 2) return used;
  /* If the tree is too deep, rare symbols get a higher weight until it fits. The loop ends: at the latest when all
   * weights are equal, the depth of a tree of n symbols is log2(n), rounded up, and that is within the limit. */
  for (uint32_t least = 1; grow_tree(c, leaves, used, least) > limit; least *= 2) continue;
  assign_words(c, size);
  for (unsigned i = 0, at; i < used && used <= 4; i++) {
    uint16_t leaf = leaves[i];
    for (at = i; at; at--) {
      uint16_t other = leaves[at - 1];
      if (c->depths[other] < c->depths[leaf] || (c->depths[other] == c->depths[leaf] && other < leaf)) break;
      leaves[at] = other;
    }
    leaves[at] = leaf;
  }
  return used;
}

static inline void put_symbol(bits *b, const code *c, unsigned symbol) {
  put_bits(b, c->words[symbol], c->depths[symbol]);
}

/* Write a code of up to four symbols (3.4). */
static void put_simple_code(bits *b, const code *c, unsigned size, const uint16_t *leaves, unsigned used) {
  unsigned width = 32 - (unsigned)__builtin_clz(size - 1);
  put_bits(b, 1, 2);
  put_bits(b, used ? used - 1 : 0, 2);
  for (unsigned i = 0; i < used; i++) put_bits(b, leaves[i], width);
  if (!used) put_bits(b, 0, width);
  if (used == 4) put_bits(b, c->depths[leaves[3]] == 3, 1);
}

/* The depths of all symbols, in a separate alphabet (3.5). An item is a depth, or ZEROS with three bits: 3 to 10
 * symbols of depth 0. A ZEROS that directly follows another one changes the number n so far to 8 * (n - 2) + 3 + its
 * three bits. (The symbol for repeated depths is not used.) */
typedef struct depth_list {
  unsigned count;
  uint8_t items[SYMBOLS_MOST], more[SYMBOLS_MOST];
} depth_list;

static void add_zeros(depth_list *list, unsigned zeros) {
  if (zeros < 3) {
    while (zeros--) list->items[list->count++] = 0;
    return;
  }
  unsigned left = zeros - 3;
  if (left >> 3) add_zeros(list, (left >> 3) + 2); /* at least three, so that a ZEROS precedes this one */
  list->more[list->count] = left & 7;
  list->items[list->count++] = ZEROS;
}

/* Write the depths of the list's items (3.5), by a fixed code. */
static void put_item_depths(bits *b, const code *items, unsigned used) {
  static const uint8_t order[CODE_LENGTHS] = {1, 2, 3, 4, 0, 5, ZEROS, 6, 16, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  static const uint8_t words[CODE_LENGTHS_LIMIT + 1] = {0, 7, 3, 2, 1, 15}, widths[] = {2, 4, 3, 2, 2, 4};
  unsigned skipped = items->counts[1] || items->counts[2] ? 0 : items->counts[3] ? 2 : 3, end = CODE_LENGTHS;
  if (used > 1)
    while (!items->counts[order[end - 1]]) end--; /* the code is complete, so the decoder stops there, too */
  put_bits(b, skipped, 2);
  for (unsigned i = skipped; i < end; i++) {
    unsigned depth = !items->counts[order[i]] ? 0 : used > 1 ? items->depths[order[i]] : 1;
    put_bits(b, words[depth], widths[depth]);
  }
}

static void put_code(bits *b, code *c, unsigned size) {
  uint16_t leaves[SYMBOLS_MOST];
  unsigned used = make_code(c, size, DEPTH_LIMIT, leaves);
  if (used <= 4) {
    put_simple_code(b, c, size, leaves, used);
    return;
  }
  depth_list list = {.count = 0};
  for (unsigned i = 0, zeros = 0; i < size; i++) {
    if (!c->depths[i]) {
      zeros++;
      continue;
    }
    add_zeros(&list, zeros);
    zeros = 0;
    list.items[list.count++] = c->depths[i];
  }
  code items = {.counts = {0}};
  for (unsigned i = 0; i < list.count; i++) items.counts[list.items[i]]++;
  used = make_code(&items, CODE_LENGTHS, CODE_LENGTHS_LIMIT, leaves);
  put_item_depths(b, &items, used);
  for (unsigned i = 0; i < list.count; i++) {
    put_symbol(b, &items, list.items[i]);
    if (list.items[i] == ZEROS) put_bits(b, list.more[i], 3);
  }
}

static void put_commands(bits *b, const finder *f, uint32_t from, const codes *c) {
  const command *now = (const command *)(const void *)f->commands->data, *end = now + f->commands->len / sizeof *now;
  const unsigned char *at = f->text + from;
  for (; now < end; now++) {
    put_symbol(b, &c->lengths, now->lengths);
    put_bits(b, now->lengths_more, now->lengths_width);
    for (const unsigned char *last = at + now->insert; at < last; at++) put_symbol(b, &c->literals, *at);
    if (!now->copy) return; /* at the end the decoder copies nothing */
    put_symbol(b, &c->distances, now->distance);
    put_bits(b, now->distance_more, now->distance_width);
    at += now->copy;
  }
}

static vestry_err put_block(const finder *f, uint32_t from, vsi_sink *sink) {
  bits b = {.sink = sink};
  uint32_t len = f->end - from;
  unsigned nibbles = len <= 1u << 16 ? 4 : 5;
  codes *c = f->codes;
  put_bits(&b, 0, 1); /* ISLAST: not the last */
  put_bits(&b, nibbles - 4, 2);
  put_bits(&b, len - 1, 4 * nibbles);
  put_bits(&b, 0, 1);     /* ISUNCOMPRESSED: compressed */
  put_bits(&b, 0, 3);     /* one block type of each of the three kinds */
  put_bits(&b, 0, 2 + 4); /* distances: no postfix bits, no direct codes */
  put_bits(&b, 0, 2);     /* context mode of literals, which is not used */
  put_bits(&b, 0, 2);     /* one code for literals, one for distances */
  put_code(&b, &c->literals, LITERALS);
  put_code(&b, &c->lengths, LENGTHS);
  put_code(&b, &c->distances, DISTANCES);
  put_commands(&b, f, from, c);
  align(&b);
  return b.error;
}

/* Encode the end of f->text, from `from` on. */
static vestry_err encode(finder *f, uint32_t from, vsi_sink *sink) {
  memset(f->codes->literals.counts, 0, LITERALS * sizeof *f->codes->literals.counts);
  memset(f->codes->lengths.counts, 0, LENGTHS * sizeof *f->codes->lengths.counts);
  memset(f->codes->distances.counts, 0, DISTANCES * sizeof *f->codes->distances.counts);
  find_commands(f, from);
  return f->commands->error ? f->commands->error : put_block(f, from, sink);
}

vestry_err vsi_brotli_follow(vsi_brotli_room *room, unsigned window_bits, const void *previous, size_t previous_len,
                             const void *data, size_t len, vsi_sink *sink) {
  if (len > VSI_BROTLI_FOLLOW_MAX_BYTES) return VESTRY_UNSUPPORTED;
  finder f = {.farthest = (UINT32_C(1) << window_bits) - 16, .commands = &room->commands}; /* section 9.1 */
  const uint32_t from = previous_len < f.farthest ? (uint32_t)previous_len : f.farthest;
  f.end = from + (uint32_t)len;
  f.hash_bits = hash_bits_of(f.end);
  f.depth = from ? DEPTH_MOST : DEPTH_ALONE;
  const size_t heads_bytes = sizeof *f.heads << f.hash_bits, before_bytes = f.end * sizeof *f.before;
  vsi_buffer_clear(&room->commands);
  vsi_buffer_clear(&room->tables);
  char *tables = vsi_buffer_reserve(&room->tables, sizeof *f.codes + heads_bytes + before_bytes + (from ? f.end : 0));
  if (!tables) return VESTRY_NO_MEMORY;
  f.codes = (codes *)(void *)tables;
  f.heads = (uint32_t *)(void *)(tables + sizeof *f.codes);
  f.before = f.heads + ((size_t)1 << f.hash_bits);
  memset(f.heads, 0, heads_bytes);
  f.text = data;
  if (from) {
    unsigned char *text = (unsigned char *)f.before + before_bytes;
    memcpy(text, (const unsigned char *)previous + (previous_len - from), from);
    memcpy(text + from, data, len);
    f.text = text;
  }
  const vestry_err error = encode(&f, from, sink);
  if (room->tables.capacity + room->commands.capacity > VSI_BROTLI_KEPT_BYTES) vsi_brotli_room_finish(room);
  return error;
}
