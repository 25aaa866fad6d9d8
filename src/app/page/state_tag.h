/* SPDX-License-Identifier: MIT */
/* State tags: what a tab has, in an event's id. Only with the secret can it be told which content a tag is of. */
#ifndef VSI_PAGE_STATE_TAG_H
#define VSI_PAGE_STATE_TAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/siphash.h"

enum { VSI_STATE_TAG_PARTS_MAX = 16, VSI_STATE_TAG_BYTES = 32 + 1 + 8 + 1 + 16 + VSI_STATE_TAG_PARTS_MAX * 25 + 1 };

/* What a part has (state_tag.h). */
typedef struct vsi_part_claim {
  uint32_t name;    /* which part */
  uint64_t content; /* its content's hash, so that it fits no other part */
} vsi_part_claim;

/* Without its optional fields a tag is HASH.BUILD; with all HASH.BUILD.VERSION~PART~PART: numbers in hex. */
typedef struct vsi_state_tag {
  vsi_hash_128 hash; /* of the content; 0: parts alone */
  uint32_t build;    /* of the application that made it */
  bool has_version;
  uint64_t version; /* hashed */
  size_t parts_count;
  vsi_part_claim parts[VSI_STATE_TAG_PARTS_MAX]; /* in any order */
} vsi_state_tag;

/* Whether a tag claims the content of one part, and nothing else. */
static inline bool vsi_state_tag_is_of_part(const vsi_state_tag *tag) {
  return !tag->hash.high && !tag->hash.low && tag->parts_count == 1;
}

/* Terminated. Returns its length. */
size_t vsi_state_tag_write(const vsi_state_tag *tag, char text[VSI_STATE_TAG_BYTES]);
/* false: it is none; text is a client's. */
bool vsi_state_tag_read(const char *text, vsi_state_tag *ret_tag);

#endif
