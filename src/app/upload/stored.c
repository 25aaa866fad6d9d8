/* SPDX-License-Identifier: MIT */
/* essay: a file that is complete or absent, even after a crash */
/* A file is written to ID.part. When its request is complete, the file is synced and then renamed to ID. So after a
 * crash the name exists with the complete file, or it does not exist. The folder is synced afterwards, so that the name
 * is on the disk before the client gets the response. If a request has several files, all are synced before the first
 * is renamed: file systems that allocate space late detect a full disk only during a sync.
 *
 * The files of one request are renamed one after the other, so a crash between two renames keeps some of them, which
 * `done` has not seen.
 *
 * A single sync at the end of a large file would take as long as writing all of it. Therefore the system is requested
 * at intervals to begin to write out the bytes so far, without waiting. */
#include "app/upload/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/log.h"
#include "base/memory.h"
#include "instance/instance.h"

enum { BEGIN_BYTES = 8 << 20 };

static const char *part_name(const vsi_stored *stored, char name[VSI_STORED_ROOM]) {
  return vsi_stored_name(stored->id, VSI_STORED_PART, name);
}

static vestry_err make_file(vsi_stored *stored, const vestry_request *req, vestry_reply *reply) {
  const vestry_host *host = stored->folder->v->host;
  unsigned char bytes[VSI_STORED_LEN / 2];
  char name[VSI_STORED_ROOM];
  vestry_err error = host->random(host->ctx, bytes, sizeof bytes);
  if (error) return error;
  vsi_hex_write(stored->id, bytes, sizeof bytes);
  const bool is_there = vsi_upload_folder_is_there(stored->folder);
  stored->fd = is_there ? stored->folder->disk->make(stored->folder->fd, part_name(stored, name)) : -1;
  return stored->fd >= 0 ? VESTRY_OK : vsi_upload_folder_failed(stored->folder, "cannot create a file", req, reply);
}

/* Return whether the disk has this much free space; true if that is unknown. */
static bool has_disk(const vestry_upload_folder *folder, uint64_t bytes) {
  uint64_t room;
  return folder->disk->room(folder->fd, &room) || room >= bytes;
}

static vsi_stored *create(vestry_upload_folder *folder, const vestry_incoming *file) {
  const size_t path_len = strlen(folder->path);
  vsi_stored *stored = vsi_calloc(folder->v->host, 1, sizeof *stored + path_len + 1 + VSI_STORED_LEN + 1);
  if (!stored) return NULL;
  stored->folder = folder;
  stored->id = stored->path + sprintf(stored->path, "%s/", folder->path);
  snprintf(stored->field, sizeof stored->field, "%s", file->field);
  snprintf(stored->name, sizeof stored->name, "%s", file->name);
  snprintf(stored->type, sizeof stored->type, "%s", file->type);
  return stored;
}

vestry_err vsi_stored_begin(vestry_upload_folder *folder, const vestry_request *req, vestry_reply *reply,
                            const vestry_incoming *file, bool announced, vsi_stored **ret_stored) {
  const uint64_t promised = announced ? file->max_bytes : 0;
  if (!has_disk(folder, promised) || !vsi_upload_folder_take(folder, promised))
    return vsi_upload_folder_full(req, reply);
  vsi_stored *stored = create(folder, file);
  vestry_err error = stored ? make_file(stored, req, reply) : VESTRY_NO_MEMORY;
  if (error) {
    vsi_free(folder->v->host, stored);
    vsi_upload_folder_give(folder, promised);
    return error;
  }
  stored->promised = promised;
  *ret_stored = stored;
  return VESTRY_OK;
}

/* Open the file again. A complete file is not changed. */
static vestry_err open_again(vsi_stored *stored, const vestry_request *req, vestry_reply *reply) {
  const vsi_disk *disk = stored->folder->disk;
  char name[VSI_STORED_ROOM];
  stored->fd = vsi_upload_folder_is_there(stored->folder)
                   ? disk->open(stored->folder->fd, stored->is_whole ? stored->id : part_name(stored, name))
                   : -1;
  if (stored->fd >= 0 && (stored->is_whole || !disk->truncate(stored->fd, (off_t)stored->len))) return VESTRY_OK;
  vestry_err error = vsi_upload_folder_failed(stored->folder, "cannot reopen a file", req, reply);
  if (stored->fd >= 0) close(stored->fd);
  return error;
}

vestry_err vsi_stored_resume(vestry_upload_folder *folder, const vestry_request *req, vestry_reply *reply,
                             const vsi_stored_plan *plan, vsi_stored **ret_stored) {
  const uint64_t more = plan->is_whole ? 0 : plan->more;
  if (!has_disk(folder, more) || !vsi_upload_folder_take(folder, more)) return vsi_upload_folder_full(req, reply);
  vsi_stored *stored = create(folder, &plan->file);
  vestry_err error = stored ? VESTRY_OK : VESTRY_NO_MEMORY;
  if (!error) {
    memcpy(stored->id, plan->id, VSI_STORED_LEN);
    stored->len = stored->begun = plan->len;
    stored->promised = plan->len + more;
    stored->is_whole = stored->is_renamed = plan->is_whole;
    error = open_again(stored, req, reply);
  }
  if (error) {
    vsi_free(folder->v->host, stored);
    vsi_upload_folder_give(folder, more);
    return error;
  }
  *ret_stored = stored;
  return VESTRY_OK;
}

bool vsi_stored_sync(vsi_stored *stored) {
  /* After a failure, a later sync may succeed although bytes are lost. */
  if (stored->folder->disk->sync(stored->fd)) stored->is_unsure = true;
  return !stored->is_unsure;
}

void vsi_stored_cut(vsi_stored *stored, uint64_t len) {
  (void)stored->folder->disk->truncate(stored->fd, (off_t)len); /* on failure it is truncated when it is opened again */
  stored->len = len;
}

bool vsi_stored_leave(vsi_stored *stored) {
  const vestry_upload_folder *folder = stored->folder;
  char name[VSI_STORED_ROOM];
  close(stored->fd);
  if (stored->is_renamed && !stored->is_whole &&
      !folder->disk->rename(folder->fd, stored->id, part_name(stored, name))) {
    stored->is_renamed = false;
    (void)folder->disk->sync(folder->fd); /* on failure, a crash leaves it under its final name, and it stays */
  }
  const bool is_renamed = stored->is_renamed;
  vsi_upload_folder_give(stored->folder, stored->promised - stored->len);
  vsi_free(stored->folder->v->host, stored);
  return is_renamed;
}

static vestry_err take_room(vsi_stored *stored, size_t len, const vestry_request *req, vestry_reply *reply) {
  const uint64_t left = stored->promised - stored->len, more = len > left ? len - left : 0;
  if (more && !vsi_upload_folder_take(stored->folder, more)) return vsi_upload_folder_full(req, reply);
  stored->promised += more;
  return VESTRY_OK;
}

vestry_err vsi_stored_write(vsi_stored *stored, const vestry_request *req, vestry_reply *reply, const void *bytes,
                            size_t len) {
  if (stored->is_whole) {
    stored->promised = stored->len += len;
    return VESTRY_OK;
  }
  vestry_err error = take_room(stored, len, req, reply);
  if (!error && !vsi_disk_write(stored->folder->disk, stored->fd, bytes, len, &stored->len))
    return vsi_upload_folder_failed(stored->folder, "cannot write a file", req, reply);
  if (!error && stored->len - stored->begun >= BEGIN_BYTES) {
    (void)sync_file_range(stored->fd, (off_t)stored->begun, (off_t)(stored->len - stored->begun),
                          SYNC_FILE_RANGE_WRITE); /* the final sync writes what this could not */
    stored->begun = stored->len;
  }
  return error;
}

/* Rename all files. Returns the step that failed, or NULL. */
static const char *rename_all(vsi_stored *const *all, size_t count) {
  const vestry_upload_folder *folder = all[0]->folder;
  char name[VSI_STORED_ROOM];
  for (size_t i = 0; i < count; i++) {
    if (!all[i]->is_renamed && folder->disk->rename(folder->fd, part_name(all[i], name), all[i]->id))
      return "cannot rename a file";
    all[i]->is_renamed = true;
  }
  return folder->disk->sync(folder->fd) ? "cannot sync the folder" : NULL;
}

vestry_err vsi_stored_keep(vsi_stored *const *all, size_t count, const vestry_request *req, vestry_reply *reply) {
  const char *what = NULL;
  for (size_t i = 0; i < count && !what; i++)
    if (!vsi_stored_sync(all[i])) what = "cannot sync a file";
  if (count && !what && !vsi_upload_folder_is_there(all[0]->folder)) what = "cannot keep a file";
  if (count && !what) what = rename_all(all, count);
  return what ? vsi_upload_folder_failed(all[0]->folder, what, req, reply) : VESTRY_OK;
}

vestry_kept_file vsi_stored_describe(const vsi_stored *stored) {
  return (vestry_kept_file){.stored = stored->id,
                            .path = stored->path,
                            .field = stored->field,
                            .name = stored->name,
                            .type = stored->type,
                            .bytes = stored->len};
}

/* Remove a file that has its final name, or at least rename it, so that the next start removes it. false: it keeps its
 * name. */
static bool unname(const vestry_upload_folder *folder, const char *id) {
  char name[VSI_STORED_ROOM];
  return vsi_stored_erase(folder, id, "") ||
         !folder->disk->rename(folder->fd, id, vsi_stored_name(id, VSI_STORED_PART, name));
}

/* Remove a file that is not kept. A temporary file that cannot be removed is removed by the next start. */
static void drop(const vsi_stored *stored) {
  vestry_upload_folder *folder = stored->folder;
  if (!stored->is_renamed)
    (void)vsi_stored_erase(folder, stored->id, VSI_STORED_PART);
  else if (!unname(folder, stored->id))
    vsi_log_repeated(folder->v->host, &folder->failures, vsi_log_reason("refused"), VESTRY_LOG_ERROR,
                     "upload to %s: cannot remove the refused file %s: %s; remove it manually", folder->path,
                     stored->id, strerror(errno));
}

static void end_one(vsi_stored *stored, vestry_err why) {
  vestry_upload_folder *folder = stored->folder;
  close(stored->fd);
  if (why) drop(stored);
  vsi_upload_folder_give(folder, stored->promised - (why ? 0 : stored->len));
  if (why && folder->dropped) {
    const vestry_kept_file kept = vsi_stored_describe(stored);
    folder->dropped(folder->app, &kept, why);
  }
  vsi_free(folder->v->host, stored);
}

void vsi_stored_end(vsi_stored *const *all, size_t count, vestry_err why) {
  for (size_t i = 0; i < count; i++) end_one(all[i], why);
}
