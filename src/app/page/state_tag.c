/* SPDX-License-Identifier: MIT */
#include "app/page/state_tag.h"

#include <endian.h>
#include <string.h>

#include "base/map.h"

/* State tags as text. They are hexadecimal instead of base64, because hexadecimal is shorter after compression. A tag
 * is sent with each change, and usually compressed together with it. It has the same number of random bits in both
 * notations, but base64 uses more different letters, and each letter that occurs nowhere else in the change lengthens
 * the codes of all others. For example, brotli compresses a change of 100 bytes with its tag to 104 bytes with
 * base64url, and to 96 with hexadecimal. */
enum { DIGITS_64 = 16, DIGITS_32 = 8, BITS = 4 };

/* Write digits, whose number is a multiple of eight: the bits of eight digits are first moved to a byte each. */
static char *put(char *at, uint64_t number, size_t count) {
  for (size_t i = count; i > 0; number >>= 32) {
    uint64_t each = number & UINT32_MAX;
    each = (each | each << 16) & UINT64_C(0x0000FFFF0000FFFF);
    each = (each | each << 8) & UINT64_C(0x00FF00FF00FF00FF);
    each = (each | each << BITS) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    const uint64_t letters = (each + UINT64_C(0x0606060606060606)) >> BITS & UINT64_C(0x0101010101010101);
    each = htobe64(each + UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10));
    memcpy(at + (i -= DIGITS_32), &each, DIGITS_32);
  }
  return at + count;
}

/* Parse digits. Returns NULL if a character is not a digit. */
static const char *get(const char *at, size_t count, uint64_t *ret_number) {
  uint64_t number = 0;
  for (size_t i = 0; i < count; i++) {
    const unsigned figure = (unsigned)at[i] - '0', letter = (unsigned)at[i] - 'a';
    if (figure > 9 && letter > 5) return NULL;
    number = number << BITS | (figure > 9 ? letter + 10 : figure);
  }
  *ret_number = number;
  return at + count;
}

size_t vsi_state_tag_write(const vsi_state_tag *tag, char text[VSI_STATE_TAG_BYTES]) {
  char *at = put(put(text, tag->hash.high, DIGITS_64), tag->hash.low, DIGITS_64);
  *at++ = '.';
  at = put(at, tag->build, DIGITS_32);
  if (tag->has_version) {
    *at++ = '.';
    at = put(at, tag->version, DIGITS_64);
  }
  for (size_t i = 0; i < tag->parts_count; i++) {
    *at++ = '~';
    at = put(put(at, tag->parts[i].name, DIGITS_32), tag->parts[i].content, DIGITS_64);
  }
  *at = '\0';
  return (size_t)(at - text);
}

bool vsi_state_tag_read(const char *text, vsi_state_tag *ret_tag) {
  vsi_state_tag tag = {.parts_count = 0};
  uint64_t build;
  const char *at = get(text, DIGITS_64, &tag.hash.high);
  if (at) at = get(at, DIGITS_64, &tag.hash.low);
  if (at) at = *at == '.' ? get(at + 1, DIGITS_32, &build) : NULL;
  if (!at) return false;
  tag.build = (uint32_t)build;
  if (*at == '.') {
    tag.has_version = true;
    at = get(at + 1, DIGITS_64, &tag.version);
  }
  while (at && *at == '~' && tag.parts_count < VSI_STATE_TAG_PARTS_MAX) {
    vsi_part_claim *part = &tag.parts[tag.parts_count++];
    uint64_t name = 0;
    at = get(at + 1, DIGITS_32, &name);
    if (at) at = get(at, DIGITS_64, &part->content);
    part->name = (uint32_t)name;
  }
  if (!at || *at) return false;
  *ret_tag = tag;
  return true;
}

/* essay: the state of a tab that reconnects */
/* The states that tabs had when their streams ended.
 *
 * A tab that reconnects sends the id of the last event that it received. For an event of the page's own content, this
 * id is the whole tag. The event of a part, however, has the same bytes for all pages that share the part, so its id
 * cannot cover the rest of each page. The server knows the rest, because it knows which events it put into the stream
 * of the tab, and in which order. If the tab received the last of them, it received all of them. Therefore the server
 * keeps the tag of the tab for a while, under a number in the document.
 *
 * The number of slots is fixed; a new tab takes the slot that was filled longest ago. The hash is keyed with a secret,
 * because clients send the numbers. */

typedef struct slot {
  vsi_map_link in;         /* first */
  uint64_t document, last; /* document 0: the slot is free */
  vsi_state_tag tag;
} slot;

struct vsi_resume_cache {
  const vestry_host *host;
  vsi_siphash_key secret;
  size_t count, newest; /* newest: index of the slot that is taken next */
  slot *tabs;           /* NULL: not allocated yet */
  vsi_map map;          /* the slots in use */
};

vestry_err vsi_resume_cache_create(const vestry_host *host, size_t max_count, vsi_resume_cache **ret_cache) {
  vsi_resume_cache *cache = vsi_calloc(host, 1, sizeof *cache);
  if (!cache) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_siphash_key_random(host, &cache->secret);
  if (error) {
    vsi_free(host, cache);
    return error;
  }
  cache->host = host;
  cache->count = max_count;
  *ret_cache = cache;
  return VESTRY_OK;
}

void vsi_resume_cache_destroy(vsi_resume_cache *cache) {
  if (!cache) return;
  vsi_map_finish(&cache->map, cache->host);
  vsi_free(cache->host, cache->tabs);
  vsi_free(cache->host, cache);
}

/* Allocate the table when the first tab is stored, because most applications have no parts. */
static bool make(vsi_resume_cache *cache) {
  if (vsi_map_reserve(&cache->map, cache->host, cache->count)) return false;
  if (!cache->tabs) cache->tabs = vsi_calloc(cache->host, cache->count, sizeof *cache->tabs);
  return cache->tabs != NULL;
}

static void forget(vsi_resume_cache *cache, slot *one) {
  vsi_map_remove(&cache->map, &one->in);
  one->document = 0;
}

static uint64_t hash_of(const vsi_resume_cache *cache, uint64_t document) {
  return vsi_siphash_1_3(cache->secret, &document, sizeof document);
}

static slot *find(const vsi_resume_cache *cache, uint64_t document) {
  vsi_map_link *at = vsi_map_first(&cache->map, hash_of(cache, document));
  while (at && ((slot *)at)->document != document) at = vsi_map_further(at);
  return (slot *)at;
}

void vsi_resume_cache_put(vsi_resume_cache *cache, uint64_t document, uint64_t last, const vsi_state_tag *tag) {
  if (!document || !make(cache)) return;
  slot *one = find(cache, document);
  if (one) forget(cache, one);
  one = &cache->tabs[cache->newest];
  cache->newest = (cache->newest + 1) % cache->count;
  if (one->document) forget(cache, one);
  one->document = document;
  one->last = last;
  one->tag = *tag;
  vsi_map_add(&cache->map, &one->in, hash_of(cache, document));
}

bool vsi_resume_cache_take(vsi_resume_cache *cache, uint64_t document, uint64_t last, vsi_state_tag *ret_tag) {
  slot *one = find(cache, document);
  if (!one) return false;
  bool is_same = one->last == last;
  if (is_same) *ret_tag = one->tag;
  forget(cache, one);
  return is_same;
}
