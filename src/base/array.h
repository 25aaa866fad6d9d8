/* SPDX-License-Identifier: MIT */
/* Growing arrays. An array is three members of the struct that holds it: its items, their number, and the number for
 * which there is room. Zeroes are an empty array; vsi_free frees its items. Header only, like base/memory.h.
 *
 * The first items may lie in the holder itself, in a C array `few`. Then short arrays allocate nothing, and
 * VSI_ARRAY_FREE frees the items.
 *
 * The room doubles, so that adding an item has a constant cost on average. */
#ifndef VSI_BASE_ARRAY_H
#define VSI_BASE_ARRAY_H

#include "base/assert.h"
#include "base/memory.h"
#include "vestry/error.h"

/* Reserve room for `more` items after the existing `count`; without memory the array is unchanged. items, a T *, and
 * room, a size_t, are the array's members, and are written. OK | NO_MEMORY */
#define VSI_ARRAY_RESERVE(host, items, count, room, more)                                                              \
  vsi_array_make_room(host, &(items), count, &(room), more, sizeof *(items))

/* Do the same for an array whose items are in the C array `few` while they have room there. */
#define VSI_ARRAY_RESERVE_FROM(host, few, items, count, room, more)                                                    \
  vsi_array_make_room_from(host, few, &(items), count, &(room), more, sizeof *(items))
#define VSI_ARRAY_FREE(host, few, items) vsi_free(host, (items) == (few) ? NULL : (items))

static inline vestry_err vsi_array_make_room(const vestry_host *host, void *items_at, size_t count, size_t *room,
                                             size_t more, size_t size) {
  VSI_ASSERT(count <= *room);
  if (more <= *room - count) return VESTRY_OK;
  const size_t most = SIZE_MAX / 2 / size; /* it can be doubled once more */
  if (count > most || more > most - count) return VESTRY_NO_MEMORY;
  size_t larger = *room ? *room : size < 8 ? 64 / size : 8;
  while (larger < count + more) larger *= 2;
  void *items;
  memcpy(&items, items_at, sizeof items); /* it is a T ** for any T */
  items = vsi_realloc(host, items, larger * size);
  if (!items) return VESTRY_NO_MEMORY;
  memcpy(items_at, &items, sizeof items);
  *room = larger;
  return VESTRY_OK;
}

static inline vestry_err vsi_array_make_room_from(const vestry_host *host, const void *few, void *items_at,
                                                  size_t count, size_t *room, size_t more, size_t size) {
  void *items, *none = NULL;
  memcpy(&items, items_at, sizeof items);
  if (items == few && more <= *room - count) return VESTRY_OK;
  if (items != few) return vsi_array_make_room(host, items_at, count, room, more, size);
  if (vsi_array_make_room(host, &none, count, room, more, size)) return VESTRY_NO_MEMORY;
  if (count) memcpy(none, few, count * size);
  memcpy(items_at, &none, sizeof none);
  return VESTRY_OK;
}

#endif
