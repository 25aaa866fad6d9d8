#include "presence/table.h"

#include "base/memory.h"

enum { FIRST_BITS = 8 };

/* Tables of 2^bits buckets. OK | NO_MEMORY: as it was. */
static vestry_err make_tables(vestry_presence *presence, unsigned bits) {
  vsi_place **places = vsi_calloc(presence->host, (size_t)1 << bits, sizeof *places);
  vsi_guest **guests = vsi_calloc(presence->host, (size_t)1 << bits, sizeof *guests);
  if (!places || !guests) {
    vsi_free(presence->host, places);
    vsi_free(presence->host, guests);
    return VESTRY_NO_MEMORY;
  }
  presence->places = places;
  presence->guests = guests;
  presence->bits = bits;
  return VESTRY_OK;
}

vestry_err vsi_presence_init(vestry_presence *presence) {
  vsi_ring_init(&presence->gone);
  vsi_ring_init(&presence->news);
  pthread_mutex_init(&presence->lock, NULL);
  pthread_mutex_init(&presence->telling, NULL);
  vestry_err error = make_tables(presence, FIRST_BITS);
  return error ? error : vsi_keyed_hash_init(&presence->hash, presence->host);
}

static void free_presence(vestry_presence *presence) {
  for (size_t i = 0; presence->guests && i >> presence->bits == 0; i++) {
    for (vsi_guest *next, *one = presence->guests[i]; one; one = next) {
      next = one->next_in_bucket;
      vsi_free(presence->host, one);
    }
    for (vsi_place *next, *at = presence->places[i]; at; at = next) {
      next = at->next;
      vsi_free(presence->host, at);
    }
  }
  vsi_free(presence->host, presence->places);
  vsi_free(presence->host, presence->guests);
  pthread_mutex_destroy(&presence->lock);
  pthread_mutex_destroy(&presence->telling);
  vsi_free(presence->host, presence);
}

void vsi_presence_unref(vestry_presence *presence) {
  pthread_mutex_lock(&presence->lock);
  bool is_last = --presence->refs == 0;
  pthread_mutex_unlock(&presence->lock);
  if (is_last) free_presence(presence);
}

void vsi_presence_grow_locked(vestry_presence *presence) {
  size_t buckets_count = (size_t)1 << presence->bits;
  vsi_place **places = presence->places;
  vsi_guest **guests = presence->guests;
  if (presence->count + presence->reserved_count < buckets_count || make_tables(presence, presence->bits + 1)) return;
  for (size_t i = 0; i < buckets_count; i++) {
    for (vsi_place *next, *at = places[i]; at; at = next) {
      vsi_place **bucket = vsi_presence_places_locked(presence, at->packed.hash);
      next = at->next;
      at->next = *bucket;
      *bucket = at;
    }
    for (vsi_guest *next, *one = guests[i]; one; one = next) {
      vsi_guest **bucket = vsi_presence_guests_locked(presence, one->hash);
      next = one->next_in_bucket;
      one->next_in_bucket = *bucket;
      *bucket = one;
    }
  }
  vsi_free(presence->host, places);
  vsi_free(presence->host, guests);
}
