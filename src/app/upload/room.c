/* SPDX-License-Identifier: MIT */
#include "app/upload/room.h"

#include <errno.h>
#include <string.h>

#include "app/guard/proof.h"
#include "base/log.h"
#include "instance/instance.h"

bool vsi_upload_folder_take(vestry_upload_folder *folder, uint64_t bytes) {
  vestry_upload_folder_stats *stats = &folder->stats;
  vsi_mutex_lock(&folder->lock);
  bool has_room = stats->used_bytes <= folder->max_bytes && bytes <= folder->max_bytes - stats->used_bytes;
  if (has_room) stats->used_bytes += bytes;
  vsi_mutex_unlock(&folder->lock);
  return has_room;
}

void vsi_upload_folder_give(vestry_upload_folder *folder, uint64_t bytes) {
  vsi_mutex_lock(&folder->lock);
  folder->stats.used_bytes -= bytes;
  vsi_mutex_unlock(&folder->lock);
}

void vsi_upload_folder_begun(vestry_upload_folder *folder) {
  vsi_mutex_lock(&folder->lock);
  folder->stats.coming_count++;
  vsi_mutex_unlock(&folder->lock);
}

void vsi_upload_folder_over(vestry_upload_folder *folder, bool is_kept, uint64_t bytes) {
  vsi_mutex_lock(&folder->lock);
  folder->stats.used_bytes -= bytes;
  folder->stats.coming_count--;
  folder->stats.kept_count += is_kept;
  vsi_mutex_unlock(&folder->lock);
}

void vsi_upload_folder_lost(vestry_upload_folder *folder, uint64_t bytes) {
  vsi_mutex_lock(&folder->lock);
  folder->stats.kept_count--;
  folder->stats.used_bytes -= bytes;
  vsi_mutex_unlock(&folder->lock);
}

vestry_err vsi_upload_folder_full(vestry_upload_folder *folder, const vestry_request *req, vestry_reply *reply) {
  vsi_mutex_lock(&folder->lock);
  folder->stats.refused_count++;
  vsi_mutex_unlock(&folder->lock);
  return vsi_refuse(req, reply, 507, "There is no room for this file. It was not kept.");
}

vestry_err vsi_upload_folder_failed(vestry_upload_folder *folder, const char *what, const vestry_request *req,
                                    vestry_reply *reply) {
  const int error = errno;
  const bool is_full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  vsi_log(folder->v->host, VESTRY_LOG_ERROR, "an upload to %s: %s: %s", folder->path, what, strerror(error));
  if (is_full) return vsi_upload_folder_full(folder, req, reply);
  vsi_mutex_lock(&folder->lock);
  folder->stats.failed_count++;
  vsi_mutex_unlock(&folder->lock);
  return vsi_refuse(req, reply, 500, "This file could not be written. It was not kept.");
}
