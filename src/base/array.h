/* SPDX-License-Identifier: MIT */
/* Growing arrays. An array is three members of the struct that holds it: its items, their number, and the number for
 * which there is room. Zeroes are an empty array; vsi_free frees its items. Header only, like base/memory.h.
 *
 * The first items may lie in the holder itself, in a C array `few`. Then short arrays allocate nothing, and
 * VSI_ARRAY_FREE frees the items.
 *
 * The room doubles, so that adding an item has a constant cost on average.
 *
 * In a build with VSI_NO_SLACK (CMake's VESTRY_NO_SLACK, the default with the address sanitizer), each reservation
 * moves the items and leaves no more room than requested. The sanitizer then finds each read of a pointer that was kept
 * across an append; otherwise such a read fails only at a length just below a power of two. Arrays of more than 4 KiB
 * have 1/64 of slack, and those of more than 256 KiB grow by half, because tests that build megabytes byte by byte
 * would take minutes. */
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

#ifdef VSI_NO_SLACK
enum { VSI_ARRAY_MOVES_BYTES = 4 * 1024, VSI_ARRAY_LARGE_BYTES = 256 * 1024 };

/* Move the array to room for `wanted` items at another address. Room that was reserved before is kept, because callers
 * reserve so that later appends cannot fail. For the same reason, the items stay where they are if they fit and there
 * is no memory. */
static inline vestry_err vsi_array_move(const vestry_host *host, void *items_at, size_t *room, size_t wanted,
                                        size_t size) {
  const size_t had = *room;
  if (wanted <= had && had > VSI_ARRAY_MOVES_BYTES / size) return VESTRY_OK;
  size_t larger = wanted > had ? wanted : had;
  if (larger > VSI_ARRAY_MOVES_BYTES / size) larger += larger / (larger > VSI_ARRAY_LARGE_BYTES / size ? 2 : 64);
  void *items, *moved = vsi_alloc(host, larger * size);
  if (!moved) return wanted <= had && had ? VESTRY_OK : VESTRY_NO_MEMORY;
  memcpy(&items, items_at, sizeof items);
  if (items) memcpy(moved, items, had * size);
  memcpy(items_at, &moved, sizeof moved);
  vsi_free(host, items);
  *room = larger;
  return VESTRY_OK;
}
#endif

static inline vestry_err vsi_array_make_room(const vestry_host *host, void *items_at, size_t count, size_t *room,
                                             size_t more, size_t size) {
  VSI_ASSERT(count <= *room);
#ifndef VSI_NO_SLACK
  if (more <= *room - count) return VESTRY_OK;
#endif
  const size_t most = SIZE_MAX / 2 / size; /* it can be doubled once more */
  if (count > most || more > most - count) return VESTRY_NO_MEMORY;
#ifdef VSI_NO_SLACK
  return vsi_array_move(host, items_at, room, count + more, size);
#else
  size_t larger = *room ? *room : size < 8 ? 64 / size : 8;
  while (larger < count + more) larger *= 2;
  void *items;
  memcpy(&items, items_at, sizeof items); /* it is a T ** for any T */
  items = vsi_realloc(host, items, larger * size);
  if (!items) return VESTRY_NO_MEMORY;
  memcpy(items_at, &items, sizeof items);
  *room = larger;
  return VESTRY_OK;
#endif
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
