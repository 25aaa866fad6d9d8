/* SPDX-License-Identifier: MIT */
/* File systems whose processes may not share memory: one process may use the file, and the log says so. */
#include <linux/magic.h>
#include <sys/vfs.h>

#include "support/folder.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/data/sqlite.h"

static long type; /* 0: the true one */

int __real_statfs(const char *path, struct statfs *ret_of);
int __wrap_statfs(const char *path, struct statfs *ret_of);
int __wrap_statfs(const char *path, struct statfs *ret_of) {
  const int result = __real_statfs(path, ret_of);
  if (type) ret_of->f_type = type;
  return result;
}

typedef struct scene {
  test_host th;
  char folder[FOLDER_BYTES], path[96];
} scene;

static vestry_err open_pool(scene *s, vestry_sql_pool **ret_pool) {
  const vestry_sqlite_pool_options options = {
      .host = &s->th.host, .path = s->path, .schema = "CREATE TABLE t(id INTEGER PRIMARY KEY)", .schema_version = 1};
  return vestry_sqlite_pool_create(&options, ret_pool);
}

static void begin(scene *s) {
  test_host_init(&s->th);
  folder_make(s->folder, "far");
  snprintf(s->path, sizeof s->path, "%s/x.db", s->folder);
}

static void end(scene *s) {
  type = 0;
  folder_remove(s->folder);
  test_host_assert_clean(&s->th);
}

TEST_CASE(one_process_uses_a_file_without_shared_memory) {
  static const long types[] = {0x65735546, 0x01021997, NFS_SUPER_MAGIC, 0x00c36400};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    scene s;
    vestry_sql_pool *first, *second = NULL;
    begin(&s);
    type = types[i];
    assert_int_equal(open_pool(&s, &first), VESTRY_OK);
    assert_non_null(strstr(s.th.last_log, "use a local file system"));
    assert_int_equal(open_pool(&s, &second), VESTRY_BUSY);
    assert_non_null(strstr(s.th.last_log, "another process uses the file"));
    assert_null(second);
    vestry_sql_pool_destroy(first);
    assert_int_equal(open_pool(&s, &second), VESTRY_OK);
    vestry_sql_pool_destroy(second);
    end(&s);
  }
}

TEST_CASE(several_processes_use_a_local_file) {
  static const long types[] = {0, EXT4_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, 0x2fc12fc1 /* ZFS */};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    scene s;
    vestry_sql_pool *first, *second;
    begin(&s);
    type = types[i];
    assert_int_equal(open_pool(&s, &first), VESTRY_OK);
    assert_int_equal(open_pool(&s, &second), VESTRY_OK);
    assert_int_equal(s.th.log_lines, 0);
    vestry_sql_pool_destroy(first);
    vestry_sql_pool_destroy(second);
    end(&s);
  }
}
