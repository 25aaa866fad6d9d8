/* SPDX-License-Identifier: MIT */
#include "app/upload/place.h"

#include "app/guard/person.h"
#include "base/log.h"
#include "instance/instance.h"

vestry_err vsi_upload_places_init(vsi_upload_places *places, const vestry_host *host) {
  vestry_err error = vsi_siphash_key_random(host, &places->key);
  if (!error) vsi_mutex_init(&places->lock, VSI_LOCK_UPLOAD_PLACES);
  return error;
}

static vestry_err judge_locked(const vsi_upload_places *places, uint64_t person) {
  const uint32_t half = places->max_count / 2 + places->max_count % 2;
  uint32_t others = 0;
  for (const vsi_upload_place *at = LIST_FIRST(&places->all); at; at = LIST_NEXT(at, in))
    others += at->person == person;
  if (person && others >= places->max_per_person_count) return VESTRY_BUSY;
  if (!person && others >= half) return VESTRY_LIMIT;
  return places->stats.open_count < places->max_count ? VESTRY_OK : VESTRY_LIMIT;
}

vestry_err vsi_upload_place_take(vsi_upload_places *places, const vestry_request *req, vsi_upload_place *place) {
  const vsi_person person = vsi_person_of(req);
  place->person = vsi_person_hash(places->key, &person);
  vsi_mutex_lock(&places->lock);
  const bool warns = !place->person && !places->is_warned;
  places->is_warned |= warns;
  vestry_err error = judge_locked(places, place->person);
  if (error) {
    places->stats.refused_count++;
  } else {
    LIST_INSERT_HEAD(&places->all, place, in);
    places->stats.begun_count++;
    places->stats.open_count++;
  }
  vsi_mutex_unlock(&places->lock);
  if (warns)
    vsi_log(req->v->host, VESTRY_LOG_WARN,
            "uploads: %s: all clients without a user and an address share one limit, half of the places; behind a "
            "proxy set vestry_options.is_behind_proxy",
            req->path);
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
