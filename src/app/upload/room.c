/* SPDX-License-Identifier: MIT */
#include "app/upload/room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "app/files/known.h"
#include "app/guard/proof.h"
#include "base/log.h"
#include "instance/instance.h"

/* ---- the system's functions -------------------------------------------------------------------------------------- */

static int make_file(int folder, const char *name) {
  return openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static int open_file(int folder, const char *name) {
  return openat(folder, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
}

static int rename_file(int folder, const char *from, const char *to) {
  return renameat(folder, from, folder, to);
}

static int remove_file(int folder, const char *name) {
  return unlinkat(folder, name, 0);
}

static int free_room(int folder, uint64_t *ret_bytes) {
  struct statvfs about;
  if (fstatvfs(folder, &about)) return -1;
  *ret_bytes = (uint64_t)about.f_bavail * about.f_frsize;
  return 0;
}

static int64_t now_s(void) {
  return time(NULL);
}

const vsi_disk vsi_disk_of_system = {make_file,   open_file,   pwrite,    ftruncate, fsync,
                                     rename_file, remove_file, free_room, now_s};

bool vsi_disk_write(const vsi_disk *disk, int fd, const void *bytes, size_t len, uint64_t *at) {
  for (const char *from = bytes; len;) {
    ssize_t written = disk->write(fd, from, len, (off_t)*at);
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = EIO;
    if (written <= 0) return false;
    *at += (uint64_t)written;
    from += written;
    len -= (size_t)written;
  }
  return true;
}

bool vsi_disk_put(const vsi_disk *disk, int folder, const char *name, const void *first, size_t first_len,
                  const void *second, size_t second_len) {
  uint64_t at = 0;
  int fd = disk->make(folder, name);
  if (fd < 0 && errno == EEXIST && !disk->remove(folder, name)) fd = disk->make(folder, name);
  if (fd < 0) return false;
  const bool is_put = vsi_disk_write(disk, fd, first, first_len, &at) &&
                      vsi_disk_write(disk, fd, second, second_len, &at) && !disk->sync(fd);
  const int why = errno;
  close(fd);
  if (!is_put) (void)disk->remove(folder, name);
  errno = why;
  return is_put;
}

/* ---- the contents of a folder ------------------------------------------------------------------------------------ */

const char *vsi_stored_name(const char *id, const char *ending, char name[VSI_STORED_ROOM]) {
  snprintf(name, VSI_STORED_ROOM, "%.*s%s", (int)VSI_STORED_LEN, id, ending);
  return name;
}

bool vsi_stored_erase(const vestry_upload_folder *folder, const char *id, const char *ending) {
  char name[VSI_STORED_ROOM];
  return !folder->disk->remove(folder->fd, vsi_stored_name(id, ending, name)) || errno == ENOENT;
}

bool vsi_upload_folder_is_there(const vestry_upload_folder *folder) {
  if (vsi_folder_is_at(folder->fd, folder->place)) return true;
  errno = ESTALE;
  return false;
}

bool vsi_upload_folder_take(vestry_upload_folder *folder, uint64_t bytes) {
  vsi_mutex_lock(&folder->lock);
  bool has_room = folder->used_bytes <= folder->max_bytes && bytes <= folder->max_bytes - folder->used_bytes;
  if (has_room) folder->used_bytes += bytes;
  vsi_mutex_unlock(&folder->lock);
  return has_room;
}

void vsi_upload_folder_give(vestry_upload_folder *folder, uint64_t bytes) {
  vsi_mutex_lock(&folder->lock);
  folder->used_bytes -= bytes;
  vsi_mutex_unlock(&folder->lock);
}

vestry_err vsi_upload_folder_full(const vestry_request *req, vestry_reply *reply) {
  return vsi_refuse_request(req, reply, 507, "There is no space for this file. It was not stored.");
}

vestry_err vsi_upload_folder_failed(vestry_upload_folder *folder, const char *what, const vestry_request *req,
                                    vestry_reply *reply) {
  const int error = errno;
  const bool is_full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  vsi_log_repeated(folder->v->host, &folder->failures, 0, VESTRY_LOG_ERROR, "upload to %s: %s: %s", folder->path, what,
                   error == ESTALE ? "the folder was moved or replaced while this program uses it; move it back, or "
                                     "restart the program"
                                   : strerror(error));
  return is_full ? vsi_upload_folder_full(req, reply)
                 : vsi_refuse_request(req, reply, 500, "This file could not be written. It was not stored.");
}
