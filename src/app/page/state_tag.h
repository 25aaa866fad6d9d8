/* SPDX-License-Identifier: MIT */
/* State tags: the id of an event, which identifies the content that a tab has. Only the secret relates a tag to its
 * content. */
#ifndef VSI_PAGE_STATE_TAG_H
#define VSI_PAGE_STATE_TAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/siphash.h"
#include "vestry/host.h"

enum { VSI_STATE_TAG_PARTS_MAX = 16, VSI_STATE_TAG_BYTES = 32 + 1 + 8 + 1 + 16 + VSI_STATE_TAG_PARTS_MAX * 25 + 1 };

/* The content of one part, as a tag claims it. */
typedef struct vsi_part_claim {
  uint32_t name;    /* hash that identifies the part */
  uint64_t content; /* hash of the content, combined with a hash of the part, so that it matches no other part */
} vsi_part_claim;

/* A tag is written in hexadecimal. Without optional fields it is HASH.BUILD; with all of them it is
 * HASH.BUILD.VERSION~PART~PART. */
typedef struct vsi_state_tag {
  vsi_hash_128 hash; /* hash of the page's content; 0: the tag claims parts only */
  uint32_t build;    /* hash of the application's build */
  bool has_version;
  uint64_t version; /* a hash of the application's version */
  size_t parts_count;
  vsi_part_claim parts[VSI_STATE_TAG_PARTS_MAX]; /* in any order */
} vsi_state_tag;

/* Return whether a tag claims the content of a single part and nothing else. */
static inline bool vsi_state_tag_is_of_part(const vsi_state_tag *tag) {
  return !tag->hash.high && !tag->hash.low && tag->parts_count == 1;
}

/* Write a tag, terminated. Returns its length. */
size_t vsi_state_tag_write(const vsi_state_tag *tag, char text[VSI_STATE_TAG_BYTES]);
/* Parse a tag that a client sent. Returns false if the text is not a tag. */
bool vsi_state_tag_read(const char *text, vsi_state_tag *ret_tag);

/* The states of tabs whose streams have ended, for tabs that reconnect. */

typedef struct vsi_resume_cache vsi_resume_cache;

/* Create a table for max_count tabs. When it is full, a new tab replaces the oldest one. The caller's lock guards the
 * table. Returns OK | NO_MEMORY | IO (no randomness). */
vestry_err vsi_resume_cache_create(const vestry_host *host, size_t max_count, vsi_resume_cache **ret_cache);
void vsi_resume_cache_destroy(vsi_resume_cache *cache); /* NULL is accepted */

/* Store the state of the tab with that document. The tag is valid if the last event id that the tab received belongs to
 * a part whose hash is `last`. Without memory the tab is not stored. */
void vsi_resume_cache_put(vsi_resume_cache *cache, uint64_t document, uint64_t last, const vsi_state_tag *tag);
/* Get the state of the tab with that document, and remove it from the table. last: from the last event id that the tab
 * received. Returns false if the tab is not stored, or was stored with another `last`. */
bool vsi_resume_cache_take(vsi_resume_cache *cache, uint64_t document, uint64_t last, vsi_state_tag *ret_tag);

#endif
