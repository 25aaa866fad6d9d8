/* SPDX-License-Identifier: MIT */
/* The units of a content (unit.h), and the list of them that is kept until the next one. */
#ifndef VSI_PAGE_UNIT_LIST_H
#define VSI_PAGE_UNIT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/siphash.h"
#include "vestry/host.h"

enum {
  VSI_UNITS_MAX = 16384,   /* units of a content */
  VSI_UNIT_DEPTH_MAX = 62, /* units around a unit */
  VSI_UNIT_ID_MAX = 128,   /* bytes of an id */
  VSI_UNIT_BYTES = 16,     /* of a list, for each unit, without its id */
  VSI_UNIT_HASH_BITS = 46
};
#define VSI_UNIT_HASH_MOST ((UINT64_C(1) << VSI_UNIT_HASH_BITS) - 1)
#define VSI_UNIT_NONE      UINT32_MAX

typedef struct vsi_unit {
  uint32_t begin, end; /* in the content: the '<' of the start tag; after the end tag. Not of units of a list, and of
                          units that are inside of one that is the same */
  uint32_t parent;     /* index of the innermost unit around it; the root, which is at index 0, has itself */
  uint32_t after;      /* index after the units inside of it */
  uint32_t run;        /* number of its run in the parent */
  uint32_t gaps_count; /* of units that were read */
  uint32_t was;        /* the unit of the list with the same id; NONE. Not of units of a list */
  uint16_t len;        /* number of its bytes, if `outer` is not 0 */
  uint8_t depth;       /* of the root: 0 */
  uint8_t id_len;
  bool is_same; /* it is the same as in the list, with the units inside of it */
  const char *id;
  uint64_t own;   /* hash of the own bytes and of the place */
  uint64_t outer; /* hash of all its bytes and of the place; 0: more than these decide whether it is the same, or it is
                     too large to be compared at once */
} vsi_unit;

/* The list of units of a content that was sent. */
typedef struct vsi_unit_list vsi_unit_list;

/* A hash table by name: name << 24 | value; 0: free. */
typedef struct vsi_unit_names {
  uint64_t *slots;
  size_t room, count;
} vsi_unit_names;

/* A content in units, and the units of the content before. */
typedef struct vsi_units {
  const vestry_host *host;
  const char *text;
  vsi_siphash_key key;
  vsi_unit *all; /* in the order of their start tags */
  size_t count, room;
  const vsi_unit_list *list; /* of the content before, borrowed; NULL: none */
  vsi_unit *had;             /* its units */
  size_t had_count;
  char *had_ids;
  uint32_t *to_now;         /* for each of them, the unit with the same id in `all`; NONE */
  vsi_unit_names names;     /* of ids that no unit of the list has */
  vsi_unit_names had_names; /* of the units of the list, once an id was searched: the index, plus 1 */
  uint64_t others;   /* sum of hashes of the ids that are not those of units (of elements of svg, of options, …), each
                      together with the unit around it */
  bool is_other_now; /* an id of a unit of the list is not that of a unit any more */
  const char *why;   /* why the content could not be divided; static */
} vsi_units;

/* Return the hash of an id by which units are found. */
static inline uint64_t vsi_unit_name(vsi_siphash_key key, vestry_slice id) {
  return vsi_siphash_1_3(key, id.data, id.len) >> 24;
}
static inline vestry_slice vsi_unit_id(const vsi_units *units, uint32_t i) {
  return (vestry_slice){units->all[i].id, units->all[i].id_len};
}

/* Read units->list into units->had, and reserve memory for as many units. Returns OK |
 * NO_MEMORY. */
vestry_err vsi_unit_list_read(vsi_units *units);
/* Make a list of units, in one allocation of VSI_UNIT_BYTES for each unit, and the bytes of its id that the id of the
 * unit before has not, too. of: identifies the content. NULL: no memory. */
vsi_unit_list *vsi_unit_list_make(const vsi_units *units, uint64_t of);
/* Take and drop references, on any thread. NULL is accepted. host: of the units. */
vsi_unit_list *vsi_unit_list_ref(vsi_unit_list *list);
void vsi_unit_list_unref(vsi_unit_list *list, const vestry_host *host);
/* Return the identity of a list's content, its ids that are not those of units, and the size of its memory. */
uint64_t vsi_unit_list_of(const vsi_unit_list *list);
uint64_t vsi_unit_list_others(const vsi_unit_list *list);
size_t vsi_unit_list_bytes(const vsi_unit_list *list);

#endif
