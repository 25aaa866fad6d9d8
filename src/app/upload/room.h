/* SPDX-License-Identifier: MIT */
/* What is asked of the operating system for a folder, so that tests can have each of it fail. Each function returns as
 * the system's does, with errno. */
#ifndef VSI_UPLOAD_ROOM_H
#define VSI_UPLOAD_ROOM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/map.h"
#include "base/mutex.h"
#include "vestry/app/upload.h"

typedef struct vsi_disk {
  int (*make)(int folder, const char *name); /* a file that was not there, for writing */
  int (*open)(int folder, const char *name); /* one that is there, for reading and writing */
  ssize_t (*write)(int fd, const void *bytes, size_t len, off_t at);
  int (*truncate)(int fd, off_t len);
  int (*sync)(int fd); /* a file's, or the folder's */
  int (*rename)(int folder, const char *from, const char *to);
  int (*remove)(int folder, const char *name);
  int (*room)(int folder, uint64_t *ret_bytes); /* that are free */
  int64_t (*now_s)(void);                       /* since 1970: it goes on while no process runs */
} vsi_disk;

extern const vsi_disk vsi_disk_of_system;

/* Write all of it, in as many calls as it takes. at: where; it moves on by what was written. false: not all, with
 * errno. */
bool vsi_disk_write(const vsi_disk *disk, int fd, const void *bytes, size_t len, uint64_t *at);

/* Make a file whole or not at all: written and synced, but its name is not. A file of that name that a failure left is
 * replaced. false: it is not there, with errno. */
bool vsi_disk_put(const vsi_disk *disk, int folder, const char *name, const void *first, size_t first_len,
                  const void *second, size_t second_len);

/* A folder that uploads go to: its descriptor, what its files have together, and what was left by a crash. */

/* A name: 32 digits. A file that is coming has ".part" after it; what is known of one that can be resumed is beside it
 * in ".resume", and while that is written in ".next"; ".drop" lists files that go together (app/upload/stored.h). */
enum { VSI_STORED_LEN = 32, VSI_STORED_ROOM = 48, VSI_BOOT_BYTES = 40 };
#define VSI_STORED_PART   ".part"
#define VSI_STORED_RESUME ".resume"
#define VSI_STORED_NEXT   ".next"
#define VSI_STORED_DROP   ".drop"

struct vestry_upload_folder {
  vestry *v;
  const vsi_disk *disk; /* constant, like all up to the lock; tests have another one */
  int fd;
  uint64_t max_bytes;
  void (*dropped)(void *app, const vestry_kept_file *file, vestry_err why); /* NULL: nothing is told */
  void *app;
  int64_t keep_s;            /* what is broken off can be resumed for so long */
  char boot[VSI_BOOT_BYTES]; /* of the machine, since it was started; "": not known */
  vestry_timer *timer;       /* of what expires */
  vsi_mutex lock;            /* innermost */
  vsi_map unfinished;        /* guarded by lock, like the next two: vsi_unfinished, by their names */
  size_t done_count;         /* of these, records of files that are kept */
  size_t max_unfinished;     /* unfinished ones, and as many records of kept files; constant but for tests */
  vestry_upload_folder_stats stats;
  char path[];
};

/* Take room for so many bytes, or give it back. false: there is none, in the folder. */
bool vsi_upload_folder_take(vestry_upload_folder *folder, uint64_t bytes);
void vsi_upload_folder_give(vestry_upload_folder *folder, uint64_t bytes);
/* A file comes; and what became of it, with the room that it gives back. */
void vsi_upload_folder_begun(vestry_upload_folder *folder);
void vsi_upload_folder_over(vestry_upload_folder *folder, bool is_kept, uint64_t bytes);
/* One that was kept has gone after all. */
void vsi_upload_folder_lost(vestry_upload_folder *folder, uint64_t bytes);
/* The disk has failed, with errno: count it and log it, and answer it: 507 if there is no room, also none of a quota of
 * the system's. Returns what the writer is to return. */
vestry_err vsi_upload_folder_failed(vestry_upload_folder *folder, const char *what, const vestry_request *req,
                                    vestry_reply *reply);
vestry_err vsi_upload_folder_full(vestry_upload_folder *folder, const vestry_request *req, vestry_reply *reply);

#endif
