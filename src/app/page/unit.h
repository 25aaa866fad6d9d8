/* SPDX-License-Identifier: MIT */
/* essay: the elements of a content that are sent separately when it changes */
/* Units: the elements of a content that have an id.
 *
 * A content is compared with the content that the view was sent last, unit by unit, and only the units that differ are
 * sent (unit_patch.c). The earlier content itself is not stored, only a list of its units with hashes of each
 * element's own bytes, without the units inside of it. unit.c divides a content into units and makes that list.
 *
 * A run is a sequence of units with nothing between them, not even white space, and thus of siblings in the document.
 * A gap is the text between two runs; it is empty only beside a tbody without a tag, which the parser inserts. The own
 * bytes of a unit are its start tag, its gaps and its end tag. Hence, if the own bytes of a unit are equal, it has the
 * same gaps, and number k of its runs is at the same place in both contents; only the first run (behind the start tag)
 * and the last one (before the end tag) can be empty. */
#ifndef VSI_PAGE_UNIT_H
#define VSI_PAGE_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/siphash.h"
#include "event/mark.h"
#include "vestry/host.h"

enum {
  VSI_UNITS_MAX = 16384,      /* units of a content */
  VSI_UNIT_DEPTH_MAX = 62,    /* units around a unit */
  VSI_UNIT_ID_MAX = 128,      /* bytes of an id */
  VSI_UNIT_BYTES = 12,        /* of a list, for each unit */
  VSI_UNIT_LIST_BYTES = 256,  /* of a list, in addition */
  VSI_UNIT_PATCHES_MAX = 256, /* patches of an event; the client performs each of them separately */
};
#define VSI_UNIT_NONE UINT32_MAX

typedef struct vsi_unit {
  uint32_t begin, end; /* in the content: from '<' to the end of the end tag. Not known for units of a list */
  uint32_t parent;     /* index of the innermost unit around it; the root, which is at index 0, has itself */
  uint32_t after;      /* index after the units inside of it */
  uint32_t id;         /* in units->text */
  uint32_t run;        /* number of its run in the parent */
  uint32_t gaps_count;
  uint8_t id_len; /* 0: only the hash of the id is known */
  uint8_t depth;  /* of the root: 0 */
  uint64_t name;  /* hash of the id, 40 bits */
  uint64_t own;   /* hash of the own bytes, 48 bits */
} vsi_unit;

/* A content in units. */
typedef struct vsi_units {
  const vestry_host *host;
  const char *text;
  vsi_unit *all; /* in the order of their start tags */
  size_t count, room;
  uint64_t *slots; /* a hash table by name: name << 24 | index + 1; 0: free. Ids outside of units have no index */
  size_t slots_count, taken_count;
  uint64_t others; /* sum of hashes of the ids that are not those of units (of elements of svg, of options, …), each
                      together with the unit around it */
  vsi_buffer ids;  /* of a list: the ids */
  const char *why; /* why the content could not be divided; static */
} vsi_units;

/* Bytes of a content that are hashed differently. */
typedef struct vsi_unit_text {
  vestry_slice content;
  vestry_slice token, token_name; /* the hash has the name in place of each token. len 0: no token */
  const size_t *inserts_at;       /* offsets where a text is hashed in addition, ascending */
  const char *const *inserts;
  size_t inserts_count;
} vsi_unit_text;

/* The list of units of a content that was sent. */
typedef struct vsi_unit_list vsi_unit_list;

/* Divide a content, which must be borrowed as long as the units. Each unit has the same meaning to the client alone as
 * in the content. The key is secret, so that no user can choose texts with equal hashes.
 * Returns OK | UNSUPPORTED (`why`: the content must be sent as a whole) | NO_MEMORY. In each case the units must be
 * finished. Linear time. */
vestry_err vsi_units_divide(vsi_units *units, const vestry_host *host, const vsi_unit_text *text, vsi_siphash_key key);
void vsi_units_finish(vsi_units *units);
/* Return the index of the unit with this name, which is the hash of an id; NONE: there is none. */
uint32_t vsi_units_find(const vsi_units *units, uint64_t name);
static inline vestry_slice vsi_unit_id(const vsi_units *units, uint32_t i) {
  return (vestry_slice){units->text + units->all[i].id, units->all[i].id_len};
}

/* Make a list of units, in one allocation of at most VSI_UNIT_BYTES for each unit and VSI_UNIT_LIST_BYTES. of:
 * identifies the content. NULL: no memory. */
vsi_unit_list *vsi_unit_list_make(const vsi_units *units, uint64_t of);
/* Take and drop references, on any thread. NULL is accepted. host: of the units. */
vsi_unit_list *vsi_unit_list_ref(vsi_unit_list *list);
void vsi_unit_list_unref(vsi_unit_list *list, const vestry_host *host);
/* Return the identity of a list's content, and the size of its memory. */
uint64_t vsi_unit_list_of(const vsi_unit_list *list);
size_t vsi_unit_list_bytes(const vsi_unit_list *list);
/* Read a list into units without begin and end. Returns OK | NO_MEMORY. In each case the units must be finished. */
vestry_err vsi_unit_list_read(const vsi_unit_list *list, const vestry_host *host, vsi_siphash_key key,
                              vsi_units *ret_units);

/* Patches that turn one content into another. */
typedef struct vsi_unit_patches {
  vsi_patch patches[VSI_UNIT_PATCHES_MAX];
  size_t count;
  vsi_buffer selectors; /* terminated */
} vsi_unit_patches;

/* Find the patches that turn the content of the list into the new content. The state of an element in the client
 * (focus, open details, scroll position) is kept as with the whole content. In particular, an element that moves is
 * never removed and inserted: the unit around its places is sent.
 * Returns OK | UNSUPPORTED (the whole content is better, or necessary) | NO_MEMORY. After OK the patches must be
 * finished; they refer to the new content. */
vestry_err vsi_unit_patches_find(const vsi_unit_list *had, const vsi_units *units, vsi_siphash_key key,
                                 vsi_unit_patches *ret_patches);
void vsi_unit_patches_finish(vsi_unit_patches *patches);

#endif
