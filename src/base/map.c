/* SPDX-License-Identifier: MIT */
#include "base/map.h"

vsi_map_link *vsi_map_after(const vsi_map *map, const vsi_map_link *at) {
  if (!map->buckets || (at && at->next)) return at ? at->next : NULL;
  const size_t end = (size_t)1 << map->bits;
  size_t bucket = at ? (size_t)(at->hash >> (64 - map->bits)) + 1 : 0;
  while (bucket < end && !map->buckets[bucket]) bucket++;
  return bucket < end ? map->buckets[bucket] : NULL;
}

void vsi_map_free_all(vsi_map *map, const vestry_host *host, size_t offset) {
  for (vsi_map_link *next, *at = vsi_map_after(map, NULL); at; at = next) {
    next = vsi_map_after(map, at);
    vsi_free(host, vsi_map_owner(at, offset));
  }
  vsi_map_finish(map, host);
}

vestry_err vsi_map_room_make(vsi_map_room *room, const vestry_host *host, unsigned bits) {
  if (!bits || (room->buckets && room->bits >= bits)) return VESTRY_OK;
  vsi_free(host, room->buckets);
  room->buckets = vsi_calloc(host, (size_t)1 << bits, sizeof *room->buckets);
  room->bits = bits;
  return room->buckets ? VESTRY_OK : VESTRY_NO_MEMORY;
}

void vsi_map_room_take(vsi_map *map, vsi_map_room *room) {
  if (!room->buckets || (map->buckets && room->bits <= map->bits)) return;
  vsi_map former = *map;
  *map = (vsi_map){.buckets = room->buckets, .bits = room->bits};
  for (vsi_map_link *next, *at = vsi_map_after(&former, NULL); at; at = next) {
    next = vsi_map_after(&former, at);
    vsi_map_add(map, at, at->hash);
  }
  *room = (vsi_map_room){former.buckets, former.bits};
}

vestry_err vsi_map_reserve(vsi_map *map, const vestry_host *host, size_t count) {
  vsi_map_room room = {NULL, 0};
  vestry_err error = vsi_map_room_make(&room, host, vsi_map_wanted(map, count));
  vsi_map_room_take(map, &room);
  vsi_map_room_free(&room, host);
  return map->buckets ? VESTRY_OK : error;
}
