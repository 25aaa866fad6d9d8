/* SPDX-License-Identifier: MIT */
/* Files of uploads: their bytes, the request that sends one, and the checks of a folder against its counters. */
#ifndef TESTS_UPLOAD_SHELF_H
#define TESTS_UPLOAD_SHELF_H

#include "app/upload/unfinished.h"
#include "serve/wire.h"
#include "vestry/app/upload.h"

enum { SHELF_MOST = 2 << 20 };

/* Return the bytes of a file of this length, at most SHELF_MOST. */
const char *shelf_text(size_t len);
/* Assert that a file has these bytes and no more. */
void shelf_assert_text(const char *path, const char *expected, size_t len);

/* POST, to /files unless the request has a path. Returns the status. *ret_read: bytes of the body that were read. */
int shelf_post(site *on, wire *r, size_t *ret_read);

/* The content of a folder. Hidden files do not count. */
typedef struct shelf_content {
  size_t files, kept, coming;
  uint64_t bytes; /* without those of records */
} shelf_content;

/* Read a folder, in which no file may be left from a change of a name. */
shelf_content shelf_read(const char *path);
/* The same; its counters have the same values. */
shelf_content shelf_check(const char *path, vestry_upload_folder *folder);
/* Assert that no upload is open and each had one end, and destroy them. */
void shelf_close(vestry_uploads *uploads);

#endif
