/* SPDX-License-Identifier: MIT */
/* essay: the elements of a content that are sent separately when it changes */
/* Units: the elements of a content that have an id.
 *
 * A content is compared with the content that the view was sent last, unit by unit, and only the units that differ are
 * sent (unit_patch.c). The earlier content itself is not stored, only a list of its units with two hashes of each unit:
 * one of all its bytes, and one of its bytes outside of the units inside of it. unit.c divides a content into
 * units, and unit_list.c makes that list.
 *
 * A run is a sequence of units with nothing between them, not even white space, and thus of siblings in the document.
 * A gap is the text between two runs; it is empty only beside a tbody without a tag, which the parser inserts. The own
 * bytes of a unit are its start tag, its gaps and its end tag. Hence, if the own bytes of a unit are equal, it has the
 * same gaps, and number k of its runs is at the same place in both contents; only the first run (behind the start tag)
 * and the last one (before the end tag) can be empty.
 *
 * Both hashes include the place of the unit: a hash of the own bytes of all units around it, as far as they are before
 * it. If only places differ, the own bytes of a unit around differ, too, and that one is sent. A unit with an equal
 * hash of all bytes has the same bytes, and the parser has the same open elements before it; so it need not be read
 * again. */
#ifndef VSI_PAGE_UNIT_H
#define VSI_PAGE_UNIT_H

#include "app/page/text_hash.h"
#include "app/page/unit_list.h"
#include "base/buffer.h"
#include "event/mark.h"

enum { VSI_UNIT_PATCHES_MAX = 256 }; /* patches of an event; the client performs each of them separately */

/* Bytes of a content that are hashed differently. */
typedef struct vsi_unit_text {
  vestry_slice content;
  const vsi_text_key *key;  /* of the hashes of elements without units inside; secret */
  const size_t *inserts_at; /* offsets where a text is hashed in addition, ascending */
  const char *const *inserts;
  size_t inserts_count;
} vsi_unit_text;

/* Divide a content, which must be borrowed as long as the units, as must `had`: the list of a content of the same view,
 * most of which is probably in this one, too; NULL: none. Each unit has the same meaning to the client alone as
 * in the content. The key is secret, so that no user can choose texts with equal hashes.
 * Returns OK | UNSUPPORTED (`why`: the content must be sent as a whole) | NO_MEMORY. In each case the units must be
 * finished. Linear time. */
vestry_err vsi_units_divide(vsi_units *units, const vestry_host *host, const vsi_unit_text *text, vsi_siphash_key key,
                            const vsi_unit_list *had);
void vsi_units_finish(vsi_units *units);
/* Patches that turn one content into another. */
typedef struct vsi_unit_patches {
  vsi_patch patches[VSI_UNIT_PATCHES_MAX];
  size_t count;
  vsi_buffer selectors; /* terminated */
} vsi_unit_patches;

/* Find the patches that turn the content of units->list into the new content. The state of an element in the client
 * (focus, open details, scroll position) is kept as with the whole content. In particular, an element that moves is
 * never removed and inserted: the unit around its places is sent.
 * Returns OK | UNSUPPORTED (the whole content is better, or necessary) | NO_MEMORY. After OK the patches must be
 * finished; they refer to the new content. */
vestry_err vsi_unit_patches_find(const vsi_units *units, vsi_unit_patches *ret_patches);
void vsi_unit_patches_finish(vsi_unit_patches *patches);

#endif
