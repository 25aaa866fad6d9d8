/* SPDX-License-Identifier: MIT */
/* Arrays that grow. An array is three members of whatever holds it: its items, how many there are, and how many there
 * is room for; zeroes are an empty one, and vsi_free frees its items. Header only, as base/memory.h is.
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

#endif
