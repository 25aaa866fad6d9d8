/* SPDX-License-Identifier: MIT */
/* The functions of the operating system that a folder uses, in a table, so that tests can let each of them fail. Each
 * returns as the system's function does, and sets errno. */
#ifndef VSI_UPLOAD_ROOM_H
#define VSI_UPLOAD_ROOM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/held_log.h"
#include "base/map.h"
#include "base/mutex.h"
#include "vestry/app/upload.h"

typedef struct vsi_disk {
  int (*make)(int folder, const char *name); /* create a new file for writing */
  int (*open)(int folder, const char *name); /* open an existing file for reading and writing */
  ssize_t (*write)(int fd, const void *bytes, size_t len, off_t at);
  int (*truncate)(int fd, off_t len);
  int (*sync)(int fd); /* of a file, or of the folder */
  int (*rename)(int folder, const char *from, const char *to);
  int (*remove)(int folder, const char *name);
  int (*room)(int folder, uint64_t *ret_bytes); /* free space */
  int64_t (*now_s)(void);                       /* seconds since 1970, for the times in records */
} vsi_disk;

extern const vsi_disk vsi_disk_of_system;

/* Write all bytes, in as many calls as necessary. *at: position, advanced by the bytes written. false: not all were
 * written; see errno. */
bool vsi_disk_write(const vsi_disk *disk, int fd, const void *bytes, size_t len, uint64_t *at);

/* Create a file with the bytes of two texts, and sync it. A file of this name that an earlier failure left is replaced.
 * The name itself is not synced. false: there is no file; see errno. */
bool vsi_disk_put(const vsi_disk *disk, int folder, const char *name, const void *first, size_t first_len,
                  const void *second, size_t second_len);

/* ---- a folder for uploads: its descriptor, the bytes of its files, and what a crash left */

/* Names of files. ID has 32 digits.
 *   ID          a complete file
 *   ID.part     a file that is arriving
 *   ID.resume   the record of an upload that can be resumed
 *   ID.next     a record that is being written */
enum { VSI_STORED_LEN = 32, VSI_STORED_ROOM = 48, VSI_BOOT_BYTES = 40, VSI_NODE_LEN = 8 };
#define VSI_STORED_PART   ".part"
#define VSI_STORED_RESUME ".resume"
#define VSI_STORED_NEXT   ".next"

struct vestry_upload_folder {
  vestry *v;
  const vsi_disk *disk; /* constant, as are all members up to the lock; tests use another one */
  int fd;
  char *place; /* the absolute path, which a later chdir does not change */
  uint64_t max_bytes;
  void (*dropped)(void *app, const vestry_kept_file *file, vestry_err why); /* NULL: not reported */
  void *app;
  int64_t keep_s;              /* time for which a broken upload can be resumed */
  char node[VSI_NODE_LEN + 1]; /* digits of the machine and the folder, in the addresses of uploads */
  char boot[VSI_BOOT_BYTES];   /* id of the machine's current boot; "": unknown */
  vestry_timer *timer;         /* removes what has expired */
  vsi_mutex lock;              /* innermost */
  vsi_map unfinished;          /* uploads by id (vsi_unfinished); guarded by lock, as are done_count and used_bytes */
  size_t done_count;           /* records of kept files among them */
  size_t max_unfinished;       /* maximum number of unfinished uploads, and also of records of kept files; constant,
                                except in tests */
  uint64_t used_bytes;         /* size of all files; an incomplete file counts with the size reserved for it */
  vsi_repeated_log failures;   /* of the disk; needs no lock */
  char path[];
};

/* Write the name of a file: VSI_STORED_LEN digits of its id, and an ending. Returns it. */
const char *vsi_stored_name(const char *id, const char *ending, char name[VSI_STORED_ROOM]);
/* Remove a file. Returns whether there is none of this name any more; otherwise see errno. */
bool vsi_stored_erase(const vestry_upload_folder *folder, const char *id, const char *ending);
/* Return whether the path still leads to this folder. Otherwise it was moved or replaced, so the application would not
 * find its files by their paths; errno is then ESTALE. */
bool vsi_upload_folder_is_there(const vestry_upload_folder *folder);
/* Take bytes of the folder's room; return them. false: there is not enough room. */
bool vsi_upload_folder_take(vestry_upload_folder *folder, uint64_t bytes);
void vsi_upload_folder_give(vestry_upload_folder *folder, uint64_t bytes);
/* Answer a failure of the disk: log it with errno, and answer with 507 if the disk or a quota of the system
 * is full, otherwise with 500. Returns the result of the writer. */
vestry_err vsi_upload_folder_failed(vestry_upload_folder *folder, const char *what, const vestry_request *req,
                                    vestry_reply *reply);
vestry_err vsi_upload_folder_full(const vestry_request *req, vestry_reply *reply);

#endif
