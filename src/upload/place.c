/* SPDX-License-Identifier: MIT */
#include "upload/place.h"

#include <string.h>

vestry_err vsi_upload_places_init(vsi_upload_places *places, const vestry_host *host) {
  vestry_err error = vsi_siphash_key_random(host, &places->key);
  if (!error) vsi_mutex_init(&places->lock, VSI_LOCK_UPLOAD_PLACES);
  return error;
}

void vsi_upload_places_finish(vsi_upload_places *places) {
  vsi_mutex_finish(&places->lock);
}

vestry_uploads_stats vsi_upload_places_stats(vsi_upload_places *places) {
  vsi_mutex_lock(&places->lock);
  const vestry_uploads_stats stats = places->stats;
  vsi_mutex_unlock(&places->lock);
  return stats;
}

static uint64_t person_of(const vsi_upload_places *places, const vestry_request *req) {
  const char *peer = vestry_request_peer(req);
  if (req->scope.len) return vsi_siphash_1_3(places->key, req->scope.data, req->scope.len);
  return vsi_siphash_1_3(places->key, peer, strlen(peer));
}

static vestry_err judge_locked(const vsi_upload_places *places, uint64_t person) {
  uint32_t others = 0;
  for (const vsi_upload_place *at = LIST_FIRST(&places->all); at; at = LIST_NEXT(at, in))
    others += at->person == person;
  if (others >= places->max_per_person_count) return VESTRY_BUSY;
  return places->stats.open_count < places->max_count ? VESTRY_OK : VESTRY_LIMIT;
}

vestry_err vsi_upload_place_take(vsi_upload_places *places, const vestry_request *req, vsi_upload_place *place) {
  place->person = person_of(places, req);
  vsi_mutex_lock(&places->lock);
  vestry_err error = judge_locked(places, place->person);
  if (error) {
    places->stats.refused_count++;
  } else {
    LIST_INSERT_HEAD(&places->all, place, in);
    places->stats.begun_count++;
    places->stats.open_count++;
  }
  vsi_mutex_unlock(&places->lock);
  return error;
}

void vsi_upload_place_give(vsi_upload_places *places, vsi_upload_place *place, bool is_done, uint64_t written_bytes) {
  vestry_uploads_stats *stats = &places->stats;
  vsi_mutex_lock(&places->lock);
  LIST_REMOVE(place, in);
  stats->open_count--;
  stats->done_count += is_done;
  stats->failed_count += !is_done;
  stats->written_bytes += written_bytes;
  vsi_mutex_unlock(&places->lock);
}
