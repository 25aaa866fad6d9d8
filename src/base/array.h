/* SPDX-License-Identifier: MIT */
/* Arrays that grow. An array is three members of whatever holds it: its items, how many there are, and how many there
 * is room for; zeroes are an empty one, and vsi_free frees its items. Header only, as base/memory.h is.
 *
 * The first items may lie in the holder itself, in an array of C's: `few`. Then short arrays allocate nothing, and
 * VSI_ARRAY_FREE frees the items.
 *
 * The room doubles, so that an item which is added costs the same on average however many there are. */
#ifndef VSI_BASE_ARRAY_H
#define VSI_BASE_ARRAY_H

#include "base/memory.h"
#include "vestry/error.h"

/* Room for `more` items after the `count` that there are; without memory the array stays as it was. items, a T *, and
 * room, a size_t, are the array's own, and are written. OK | NO_MEMORY */
#define VSI_ARRAY_RESERVE(host, items, count, room, more)                                                              \
  vsi_array_make_room(host, &(items), count, &(room), more, sizeof *(items))

/* The same where the items are few, an array of C's, as long as they have room there. */
#define VSI_ARRAY_RESERVE_FROM(host, few, items, count, room, more)                                                    \
  vsi_array_make_room_from(host, few, &(items), count, &(room), more, sizeof *(items))
#define VSI_ARRAY_FREE(host, few, items) vsi_free(host, (items) == (few) ? NULL : (items))

static inline vestry_err vsi_array_make_room(const vestry_host *host, void *items_at, size_t count, size_t *room,
                                             size_t more, size_t size) {
  if (more <= *room - count) return VESTRY_OK;
  const size_t most = SIZE_MAX / 2 / size; /* it can be doubled once more */
  if (count > most || more > most - count) return VESTRY_NO_MEMORY;
  size_t larger = *room ? *room : size < 8 ? 64 / size : 8;
  while (larger < count + more) larger *= 2;
  void *items;
  memcpy(&items, items_at, sizeof items); /* it is a T **, whatever T */
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
  if (items != few || more <= *room - count) return vsi_array_make_room(host, items_at, count, room, more, size);
  if (vsi_array_make_room(host, &none, count, room, more, size)) return VESTRY_NO_MEMORY;
  if (count) memcpy(none, few, count * size);
  memcpy(items_at, &none, sizeof none);
  return VESTRY_OK;
}

#endif
