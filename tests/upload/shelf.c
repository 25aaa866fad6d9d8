/* SPDX-License-Identifier: MIT */
#include "upload/shelf.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

const char *shelf_text(size_t len) {
  static char text[SHELF_MOST];
  assert_true(len <= sizeof text);
  for (size_t i = 0; i < len; i++) text[i] = (char)(i * 31 + i / 251);
  return text;
}

void shelf_assert_text(const char *path, const char *expected, size_t len) {
  char *text = malloc(len + 1);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fread(text, 1, len + 1, file), len);
  assert_memory_equal(text, expected, len);
  fclose(file);
  free(text);
}

int shelf_post(site *on, wire *r, size_t *ret_read) {
  r->method = "POST";
  if (!r->path) r->path = "/files";
  wire_request(on, r, NULL, NULL);
  if (ret_read) *ret_read = r->at;
  const int status = r->status;
  wire_finish(r);
  return status;
}

shelf_content shelf_read(const char *path) {
  struct stat about;
  shelf_content found = {0};
  DIR *list = opendir(path);
  assert_non_null(list);
  for (const struct dirent *at; (at = readdir(list));) {
    if (at->d_name[0] == '.') continue;
    assert_int_equal(fstatat(dirfd(list), at->d_name, &about, 0), 0);
    assert_null(strstr(at->d_name, VSI_STORED_NEXT));
    found.files++;
    found.kept += strlen(at->d_name) == VSI_STORED_LEN;
    found.coming += strstr(at->d_name, VSI_STORED_PART) != NULL;
    if (!strstr(at->d_name, VSI_STORED_RESUME)) found.bytes += (uint64_t)about.st_size;
  }
  closedir(list);
  return found;
}

shelf_content shelf_check(const char *path, vestry_upload_folder *folder) {
  const shelf_content found = shelf_read(path);
  assert_int_equal(folder->used_bytes, found.bytes);
  return found;
}

void shelf_close(vestry_uploads *uploads) {
  vestry_uploads_stats stats = {0};
  vestry_uploads_stats_get(uploads, &stats);
  assert_int_equal(stats.open_count, 0);
  assert_int_equal(stats.begun_count, stats.done_count + stats.failed_count);
  vestry_uploads_destroy(uploads);
}
