/* SPDX-License-Identifier: MIT */
/* Folders for uploads: opening and closing a folder, and its contents. When a folder is opened, its entries are read in
 * two passes. The first loads the records of uploads that can be resumed. The second removes the temporary files that
 * belong to no such upload, and counts the complete files. */
#include "vestry/app/upload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/files/known.h"
#include "app/upload/stored.h"
#include "app/upload/unfinished.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/siphash.h"
#include "instance/instance.h"

#define DEFAULT_BYTES         (UINT64_C(10) << 30)
#define DEFAULT_UNFINISHED_MS (UINT64_C(24) * 60 * 60 * 1000)
enum { SWEEP_MS = 60000 };

/* ---- contents ---------------------------------------------------------------------------------------------------- */

/* Return whether the name is one of vestry's, with this ending. */
static bool is_ours(const char *name, const char *after) {
  return vsi_hex_is(name, VSI_STORED_LEN) && strcmp(name + VSI_STORED_LEN, after) == 0;
}

/* First pass: load the uploads that can be resumed, and remove what a crash left of records. OK | IO | NO_MEMORY */
static vestry_err look_at_resumed(vestry_upload_folder *folder, const char *name) {
  if (is_ours(name, VSI_STORED_NEXT)) return folder->disk->remove(folder->fd, name) ? VESTRY_IO : VESTRY_OK;
  return is_ours(name, VSI_STORED_RESUME) ? vsi_unfinished_load(folder, name) : VESTRY_OK;
}

/* Second pass: remove all other incomplete files, which the end of a process left, and count the bytes of the
 * complete ones. OK |
 * IO */
static vestry_err look_at_other(vestry_upload_folder *folder, const char *name) {
  struct stat about;
  if (is_ours(name, VSI_STORED_PART) && !vsi_unfinished_has(folder, name))
    return folder->disk->remove(folder->fd, name) ? VESTRY_IO : VESTRY_OK;
  if (!is_ours(name, "") || vsi_unfinished_has(folder, name)) return VESTRY_OK;
  if (fstatat(folder->fd, name, &about, AT_SYMLINK_NOFOLLOW)) return VESTRY_IO;
  if (!S_ISREG(about.st_mode)) return VESTRY_OK;
  folder->used_bytes += (uint64_t)about.st_size;
  return VESTRY_OK;
}

static vestry_err each(vestry_upload_folder *folder, DIR *list,
                       vestry_err (*look)(vestry_upload_folder *folder, const char *name)) {
  vestry_err error = VESTRY_OK;
  rewinddir(list);
  for (;;) {
    errno = 0;
    const struct dirent *at = readdir(list);
    if (!at) return errno ? VESTRY_IO : VESTRY_OK;
    error = look(folder, at->d_name);
    if (error) return error;
  }
}

static vestry_err look_at_all(vestry_upload_folder *folder) {
  int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *list = fd < 0 ? NULL : fdopendir(fd);
  if (!list) {
    if (fd >= 0) close(fd);
    return errno == ENOMEM ? VESTRY_NO_MEMORY : VESTRY_IO;
  }
  vestry_err error = each(folder, list, look_at_resumed);
  if (!error) error = each(folder, list, look_at_other);
  closedir(list);
  return error;
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

static vestry_err open_descriptor(vestry_upload_folder *folder) {
  folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder->fd < 0) return errno == ENOENT || errno == ENOTDIR ? VESTRY_NOT_FOUND : VESTRY_IO;
  if (!flock(folder->fd, LOCK_EX | LOCK_NB)) return VESTRY_OK;
  return errno == EWOULDBLOCK ? VESTRY_BUSY : VESTRY_IO;
}

static void sweep(vestry_timer *timer, void *ctx) {
  (void)timer;
  vsi_unfinished_sweep(ctx);
}

/* Read the id that the kernel chose when it was booted. Within one boot, the kernel keeps all bytes that a process has
 * written to a file, however the process ended. */
static void read_boot(char boot[VSI_BOOT_BYTES]) {
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  ssize_t len = fd < 0 ? 0 : read(fd, boot, VSI_BOOT_BYTES - 1);
  if (fd >= 0) close(fd);
  boot[len > 0 ? len : 0] = '\0';
}

/* Make the digits by which another node recognizes an upload of this folder. They stay the same after a restart. */
static vestry_err name_node(vestry_upload_folder *folder) {
  char host[HOST_NAME_MAX + 1] = "";
  struct stat about;
  if (fstat(folder->fd, &about) || gethostname(host, HOST_NAME_MAX)) return VESTRY_IO;
  const uint64_t hash = vsi_siphash_1_3((vsi_siphash_key){about.st_ino, 0}, host, strlen(host));
  snprintf(folder->node, sizeof folder->node, "%08x", (unsigned)hash);
  return VESTRY_OK;
}

void vestry_upload_folder_close(vestry_upload_folder *folder) {
  if (!folder) return;
  vestry_timer_destroy(folder->timer);
  vsi_unfinished_forget(folder);
  vsi_mutex_finish(&folder->lock);
  if (folder->fd >= 0) close(folder->fd);
  vsi_free(folder->v->host, folder->place);
  vsi_free(folder->v->host, folder);
}

/* Return why a folder cannot be opened, as a text for the log. errno is that of a failed system call. */
static const char *reason_of(vestry_err error) {
  if (error == VESTRY_BUSY) return "the folder is already open in this or another process; choose another folder";
  return error == VESTRY_NOT_FOUND || error == VESTRY_IO ? strerror(errno) : vestry_strerror(error);
}

vestry_err vestry_upload_folder_open(vestry *v, const vestry_upload_folder_options *given,
                                     vestry_upload_folder **ret_folder) {
  if (!v) return VESTRY_INVALID;
  if (!ret_folder) return vsi_mistake(v->host, "vestry_upload_folder_open", "ret_folder is NULL");
  vestry_upload_folder_options o = given ? *given : (vestry_upload_folder_options){0};
  if (!o.path || !*o.path) return vsi_mistake(v->host, "vestry_upload_folder_open", "options.path is missing");
  const size_t path_len = strlen(o.path) + 1;
  vestry_upload_folder *folder = vsi_calloc(v->host, 1, sizeof *folder + path_len);
  if (!folder) return VESTRY_NO_MEMORY;
  folder->v = v;
  folder->disk = &vsi_disk_of_system;
  folder->dropped = o.dropped;
  folder->app = o.app;
  folder->max_unfinished = VSI_UNFINISHED_MOST;
  folder->max_bytes = o.max_bytes ? o.max_bytes : DEFAULT_BYTES;
  memcpy(folder->path, o.path, path_len);
  folder->keep_s = (int64_t)((o.unfinished_ms ? o.unfinished_ms : DEFAULT_UNFINISHED_MS) / 1000);
  folder->fd = -1;
  vsi_mutex_init(&folder->lock, VSI_LOCK_UPLOAD_FOLDER);
  read_boot(folder->boot);
  vestry_err error = open_descriptor(folder);
  if (!error && !(folder->place = vsi_folder_path(v->host, o.path))) error = VESTRY_NO_MEMORY;
  if (!error) error = name_node(folder);
  if (!error) error = look_at_all(folder);
  if (!error) error = vestry_timer_create(v->runtime, sweep, folder, &folder->timer);
  if (!error) error = vestry_timer_set(folder->timer, 0, SWEEP_MS);
  if (error) {
    vsi_log(v->host, VESTRY_LOG_ERROR, "vestry_upload_folder_open: %s: %s", o.path, reason_of(error));
    vestry_upload_folder_close(folder);
    return error;
  }
  *ret_folder = folder;
  return VESTRY_OK;
}

vestry_err vestry_upload_folder_remove(vestry_upload_folder *folder, const char *stored) {
  struct stat about;
  if (!folder) return VESTRY_INVALID;
  if (!stored || !is_ours(stored, ""))
    return vsi_mistake(folder->v->host, "vestry_upload_folder_remove",
                       "the name is not vestry_kept_file.stored of a file of this folder");
  if (fstatat(folder->fd, stored, &about, AT_SYMLINK_NOFOLLOW) || folder->disk->remove(folder->fd, stored))
    return errno == ENOENT ? VESTRY_NOT_FOUND : VESTRY_IO;
  vsi_upload_folder_give(folder, (uint64_t)about.st_size);
  vsi_unfinished_lost(folder, stored);
  return VESTRY_OK;
}
