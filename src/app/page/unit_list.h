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
  VSI_UNITS_MAX = 16384,     /* units of a content */
  VSI_UNIT_DEPTH_MAX = 62,   /* units around a unit */
  VSI_UNIT_ID_MAX = 128,     /* bytes of an id */
  VSI_UNIT_BYTES = 12,       /* of a list, for each unit */
  VSI_UNIT_LIST_BYTES = 256, /* of a list, in addition */
};
#define VSI_UNIT_NONE UINT32_MAX

typedef struct vsi_unit {
  union {
    uint32_t begin; /* in the content: the '<' of the start tag */
    uint32_t len;   /* of a unit of a list: its bytes, or those before the first unit inside of it; 0: not known */
  };
  union {
    uint32_t end;   /* in the content: after the end tag */
    uint32_t entry; /* of a unit of a list: its place in the list */
  };
  uint32_t parent;     /* index of the innermost unit around it; the root, which is at index 0, has itself */
  uint32_t after;      /* index after the units inside of it */
  uint32_t run;        /* number of its run in the parent */
  uint32_t gap;        /* bytes between it and the unit before it in its parent; 0: it is the first */
  uint32_t tail;       /* bytes after the last unit inside of it; valid if there is one */
  uint32_t gaps_count; /* not of units of a list */
  uint32_t was;        /* the unit of the list with the same id; NONE. Not of units of a list */
  uint8_t depth;       /* of the root: 0 */
  uint8_t id_len;      /* 0: only the hash of the id is known */
  bool is_same;        /* it is the same as in the list, with the units inside of it */
  bool has_others;     /* ids that are not those of units are in it */
  union {
    const char *id;
    uint64_t name; /* if id_len is 0 */
  };
  uint64_t own; /* hash of the own bytes and of the place, 48 bits */
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
  uint32_t *to_now; /* for each of them, the unit with the same id in `all`; NONE */
  char *had_ids;
  bool has_lengths;         /* the list has numbers of bytes */
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

/* Read units->list into units->had, and reserve memory for as many units. Returns OK | NO_MEMORY. */
vestry_err vsi_unit_list_read(vsi_units *units);
/* Make a list of units, in one allocation of at most VSI_UNIT_BYTES for each unit and VSI_UNIT_LIST_BYTES. of:
 * identifies the content. NULL: no memory. */
vsi_unit_list *vsi_unit_list_make(const vsi_units *units, uint64_t of);
/* Take and drop references, on any thread. NULL is accepted. host: of the units. */
vsi_unit_list *vsi_unit_list_ref(vsi_unit_list *list);
void vsi_unit_list_unref(vsi_unit_list *list, const vestry_host *host);
/* Return the identity of a list's content, its ids that are not those of units, and the size of its memory. */
uint64_t vsi_unit_list_of(const vsi_unit_list *list);
uint64_t vsi_unit_list_others(const vsi_unit_list *list);
size_t vsi_unit_list_bytes(const vsi_unit_list *list);

#endif
