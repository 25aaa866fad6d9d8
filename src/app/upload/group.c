/* SPDX-License-Identifier: MIT */
#include "app/upload/group.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hex.h"

static const char *name_of(const char *id, const char *after, char name[VSI_STORED_ROOM]) {
  snprintf(name, VSI_STORED_ROOM, "%.*s%s", (int)VSI_STORED_LEN, id, after);
  return name;
}

bool vsi_upload_group_mark(const vsi_upload_group *group) {
  const vestry_upload_folder *folder = group->folder;
  char name[VSI_STORED_ROOM];
  return vsi_disk_put(folder->disk, folder->fd, name_of(group->ids, VSI_STORED_DROP, name), group->ids,
                      group->count * VSI_STORED_LEN, "", 0) &&
         !folder->disk->sync(folder->fd);
}

bool vsi_upload_group_unmark(const vsi_upload_group *group) {
  char name[VSI_STORED_ROOM];
  return !group->folder->disk->remove(group->folder->fd, name_of(group->ids, VSI_STORED_DROP, name)) || errno == ENOENT;
}

static bool drop_one(const vestry_upload_folder *folder, const char *id) {
  static const char *const after[] = {"", VSI_STORED_PART};
  char name[VSI_STORED_ROOM];
  for (size_t i = 0; i < 2; i++)
    if (folder->disk->remove(folder->fd, name_of(id, after[i], name)) && errno != ENOENT) return false;
  return true;
}

/* A list that is cut off is of files none of which had its final name yet. */
vestry_err vsi_upload_group_drop(const vestry_upload_folder *folder, const char *list_name) {
  char ids[sizeof((vsi_upload_group *)0)->ids];
  int fd = folder->disk->open(folder->fd, list_name);
  if (fd < 0) return VESTRY_IO;
  const ssize_t len = pread(fd, ids, sizeof ids, 0);
  close(fd);
  if (len < 0) return VESTRY_IO;
  for (size_t at = 0; at + VSI_STORED_LEN <= (size_t)len; at += VSI_STORED_LEN)
    if (vsi_hex_is(ids + at, VSI_STORED_LEN) && !drop_one(folder, ids + at)) return VESTRY_IO;
  return folder->disk->remove(folder->fd, list_name) ? VESTRY_IO : VESTRY_OK;
}
