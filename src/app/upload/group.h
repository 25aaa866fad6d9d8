/* SPDX-License-Identifier: MIT */
/* Files that go together, whatever ends the process: their list is in the folder while some of them may have their
 * final names and others not. */
#ifndef VSI_UPLOAD_GROUP_H
#define VSI_UPLOAD_GROUP_H

#include "app/upload/room.h"

/* The ids of files, one after the other; the first one names the list. */
typedef struct vsi_upload_group {
  const vestry_upload_folder *folder;
  size_t count;
  char ids[VESTRY_UPLOAD_FILES_MAX * VSI_STORED_LEN];
} vsi_upload_group;

/* Write the list: the next start removes these files, whatever name they have. false: it is not on the disk (errno). */
bool vsi_upload_group_mark(const vsi_upload_group *group);
/* Remove the list; the folder's sync puts that on the disk. false: it is there (errno). */
bool vsi_upload_group_unmark(const vsi_upload_group *group);
/* Of a folder that is opened: remove the files of a list, and then the list. OK | IO */
vestry_err vsi_upload_group_drop(const vestry_upload_folder *folder, const char *list_name);

#endif
