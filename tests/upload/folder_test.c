/* SPDX-License-Identifier: MIT */
/* Uploads to a folder: a file is complete or absent, for any client and any failure of the disk. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/upload/room.h"
#include "support/folder.h"
#include "upload/shelf.h"
#include "vestry/app/session.h"

enum { MB = 1 << 20 };

typedef struct suite {
  site on;
  char path[FOLDER_BYTES];
  uint64_t max_bytes;
  vestry_upload_folder *folder;
  vestry_uploads *uploads;
  int done, dropped;
  vestry_err why, allowing, answering; /* the last drop's reason; results of allow and done */
  char stored[4][VSI_STORED_LEN + 1];  /* of the last request */
  char names[4][64], paths[4][128];
  size_t count;
  char dropped_name[64];
} suite;

static vestry_err allow(void *app, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file) {
  return ((suite *)app)->allowing;
}

static vestry_err done(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  struct stat about;
  vestry_kept_file file = {0};
  for (s->count = 0; !vestry_uploads_kept(req, s->count, &file); s->count++) {
    snprintf(s->stored[s->count], sizeof *s->stored, "%s", file.stored);
    snprintf(s->names[s->count], sizeof *s->names, "%s", file.name);
    snprintf(s->paths[s->count], sizeof *s->paths, "%s", file.path);
    assert_int_equal(stat(file.path, &about), 0);
    assert_int_equal(about.st_size, file.bytes);
  }
  s->done++;
  return s->answering ? s->answering : vestry_reply_status(reply, 201);
}

static void note_dropped(void *app, const vestry_kept_file *file, vestry_err why) {
  suite *s = app;
  s->dropped++;
  s->why = why;
  snprintf(s->dropped_name, sizeof s->dropped_name, "%s", file->name);
  assert_int_equal(access(file->path, F_OK), -1);
}

static void open_folder(suite *s) {
  const vestry_upload_folder_options options = {
      .path = s->path, .max_bytes = s->max_bytes, .dropped = note_dropped, .app = s};
  assert_int_equal(vestry_upload_folder_open(s->on.v, &options, &s->folder), VESTRY_OK);
  const vestry_uploads_options uploads = {.pattern = "/files",
                                          .max_file_bytes = MB,
                                          .max_files_count = 4,
                                          .folder = s->folder,
                                          .app = s,
                                          .done = done,
                                          .allow = allow};
  assert_int_equal(vestry_uploads_create(s->on.v, &uploads, &s->uploads), VESTRY_OK);
}

static void begin(suite *s, uint64_t max_bytes) {
  *s = (suite){.max_bytes = max_bytes};
  site_begin(&s->on, (vestry_options){.scope = site_by_cookie});
  folder_make(s->path, "uploads");
  open_folder(s);
}

static void check(suite *s) {
  const shelf_content found = shelf_check(s->path, s->folder);
  assert_int_equal(found.files, found.kept);
}

static void end_folder(suite *s) {
  shelf_close(s->uploads);
  vestry_upload_folder_close(s->folder);
}

static void end(suite *s) {
  check(s);
  end_folder(s);
  folder_remove(s->path);
  site_end(&s->on);
}

static int post_bytes(suite *s, size_t len, size_t announced, size_t *ret_read) {
  wire r = {.headers = {{"Content-Type", "text/plain"}, {"Upload-Name", "..%2F..%2Fetc%2Fpasswd"}},
            .body = shelf_text(len),
            .body_len = len,
            .announced = (int64_t)announced};
  return shelf_post(&s->on, &r, ret_read);
}

static const char form[] =
    "--XyZ\r\nContent-Disposition: form-data; name=\"a\"; filename=\"../one\"\r\n\r\nfirst\r\n"
    "--XyZ\r\nContent-Disposition: form-data; name=\"b\"; filename=\"/etc/two\"\r\n\r\nsecond\r\n--XyZ--\r\n";

static int post_form(suite *s, const char *body) {
  wire r = {.headers = {{"Content-Type", "multipart/form-data; boundary=XyZ"}}, .body = body, .body_len = strlen(body)};
  return shelf_post(&s->on, &r, NULL);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, begin(s, 0), end(s))

/* capability: L1 */
SUITE_CASE(uploaded_files_are_kept) {
  assert_int_equal(post_bytes(s, 300000, 0, NULL), 201);
  assert_int_equal(s->count, 1);
  assert_string_equal(s->names[0], "passwd");
  shelf_assert_text(s->paths[0], shelf_text(300000), 300000);
  assert_int_equal(post_bytes(s, 200000, (size_t)-1, NULL), 201); /* chunked */
  shelf_assert_text(s->paths[0], shelf_text(200000), 200000);
  assert_int_equal(post_form(s, form), 201);
  assert_int_equal(s->count, 2);
  shelf_assert_text(s->paths[0], "first", 5);
  shelf_assert_text(s->paths[1], "second", 6);
  assert_string_equal(s->names[1], "two");
  assert_int_equal(strspn(s->stored[1], "0123456789abcdef"), VSI_STORED_LEN);
  assert_string_not_equal(s->stored[0], s->stored[1]);
  assert_int_equal(shelf_read(s->path).kept, 4);
  assert_int_equal(s->dropped, 0);
}

/* capability: L1 */
SUITE_CASE(failed_uploads_leave_no_file) {
  assert_int_equal(post_bytes(s, 1000, 2000, NULL), 400); /* the body breaks off */
  assert_int_equal(s->dropped, 1);
  assert_int_equal(s->why, VESTRY_IO);
  assert_string_equal(s->dropped_name, "passwd");
  assert_int_equal(post_bytes(s, MB + 1, (size_t)-1, NULL), 413);
  assert_int_equal(s->why, VESTRY_FAILED);
  assert_int_equal(post_form(s, "--XyZ\r\nContent-Disposition: form-data; name=\"a\"; filename=\"x\"\r\n\r\nfirst"),
                   400);
  assert_int_equal(s->why, VESTRY_MALFORMED);
  assert_int_equal(s->dropped, 3);
  s->allowing = VESTRY_NOT_FOUND;
  size_t read;
  assert_int_equal(post_bytes(s, 1000, 0, &read), 404);
  assert_int_equal(read, 0);
  s->allowing = VESTRY_OK;
  assert_int_equal(s->dropped, 3); /* no file had begun */
  s->answering = VESTRY_EXISTS;    /* the files were stored, and the application rejects them */
  assert_int_equal(post_form(s, form), 409);
  assert_int_equal(s->why, VESTRY_EXISTS);
  assert_int_equal(s->dropped, 5);
  assert_int_equal(s->done, 1);
  assert_int_equal(shelf_read(s->path).files, 0);
}

static vestry_receiving *push(suite *s, wire *r) {
  vestry_receiving *receiving = NULL;
  r->method = "POST";
  r->path = "/files";
  r->peer = "192.0.2.1";
  pthread_mutex_init(&r->lock, NULL);
  assert_int_equal(vestry_receive_begin(s->on.v, &wire_ops, r, &receiving), VESTRY_OK);
  vestry_receive_open(receiving);
  return receiving;
}

/* An upload that can be resumed keeps the bytes that arrived before its client broke off. They are written without the
 * request, which the server may have freed. */
/* capability: L1 */
TEST_CASE(last_bytes_of_a_broken_request_are_kept) {
  suite s;
  size_t room;
  begin(&s, 100000);
  wire r = {.headers = {{"Tus-Resumable", "1.0.0"},
                        {"Upload-Length", "20"},
                        {"Content-Type", "application/offset+octet-stream"}},
            .announced = 20};
  vestry_receiving *receiving = push(&s, &r);
  memcpy(vestry_receive_room(receiving, &room), shelf_text(11), 11);
  vestry_receive_put(receiving, 11);
  r.freed = true;
  (void)vestry_receive_end(receiving, VESTRY_IO, NULL);
  assert_int_equal(s.folder->used_bytes, 11);
  assert_int_equal(s.dropped, 0);
  wire_finish(&r);
  end_folder(&s);
  folder_remove(s.path);
  site_end(&s.on);
}

/* capability: L1 */
TEST_CASE(upload_over_max_bytes_gets_507) {
  suite s;
  size_t read;
  vestry_connection *none;
  begin(&s, 100000);
  assert_int_equal(post_bytes(&s, 60000, 0, NULL), 201);
  assert_int_equal(post_bytes(&s, 40001, 0, &read), 507);
  assert_int_equal(read, 0); /* rejected by its length */
  assert_int_equal(post_bytes(&s, 40001, (size_t)-1, NULL), 507);
  check(&s);
  /* The first of two concurrent uploads has reserved its announced length. */
  wire a = {.body = shelf_text(30000), .body_len = 30000}, b = {.body = shelf_text(20000), .body_len = 20000};
  vestry_receiving *first = push(&s, &a), *second = push(&s, &b);
  assert_true(vestry_receive_wants(first));
  assert_false(vestry_receive_wants(second));
  vestry_receive_close(second);
  assert_int_equal(vestry_receive_end(second, VESTRY_OK, &none), VESTRY_OK);
  assert_int_equal(b.status, 507);
  (void)vestry_receive_end(first, VESTRY_TIMEOUT, NULL);
  assert_int_equal(s.why, VESTRY_TIMEOUT);
  wire_finish(&a);
  wire_finish(&b);
  assert_int_equal(post_bytes(&s, 40000, 0, NULL), 201);
  assert_int_equal(s.folder->used_bytes, 100000);
  /* Another process opens the folder. */
  end_folder(&s);
  open_folder(&s);
  check(&s);
  assert_int_equal(shelf_read(s.path).kept, 2);
  assert_int_equal(post_bytes(&s, 1, 0, &read), 507);
  assert_int_equal(vestry_upload_folder_remove(s.folder, s.stored[0]), VESTRY_OK);
  assert_int_equal(vestry_upload_folder_remove(s.folder, s.stored[0]), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_upload_folder_remove(s.folder, "../x"), VESTRY_INVALID);
  assert_int_equal(post_bytes(&s, 40000, 0, NULL), 201);
  end(&s);
}

static void put(const suite *s, const char *name) {
  char path[FOLDER_BYTES + 64];
  snprintf(path, sizeof path, "%s/%s", s->path, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs("bytes", file);
  fclose(file);
}

static bool has(const suite *s, const char *name) {
  char path[FOLDER_BYTES + 64];
  snprintf(path, sizeof path, "%s/%s", s->path, name);
  return access(path, F_OK) == 0;
}

/* capability: L1 */
TEST_CASE(unfinished_files_of_a_crash_are_removed) {
  static const char kept[] = "0123456789abcdef0123456789abcdef", left[] = "0123456789abcdef0123456789abcdee.part",
                    others[] = "0123456789ABCDEF0123456789abcdee.part";
  suite s;
  begin(&s, 0);
  end_folder(&s);
  put(&s, kept);
  put(&s, left);
  put(&s, others);
  put(&s, "notes.txt");
  open_folder(&s);
  assert_true(has(&s, kept) && !has(&s, left) && has(&s, others) && has(&s, "notes.txt"));
  assert_int_equal(shelf_read(s.path).kept, 1);
  assert_int_equal(s.folder->used_bytes, 5);
  vestry_upload_folder *twice = NULL;
  const vestry_upload_folder_options same = {.path = s.path}, nowhere = {.path = "/nowhere/at/all"},
                                     none = {.path = ""};
  assert_int_equal(vestry_upload_folder_open(s.on.v, &same, &twice), VESTRY_BUSY);
  assert_int_equal(vestry_upload_folder_open(s.on.v, &nowhere, &twice), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_upload_folder_open(s.on.v, &none, &twice), VESTRY_INVALID);
  assert_null(twice);
  end_folder(&s);
  folder_remove(s.path);
  site_end(&s.on);
}

/* ---- failing disks ----------------------------------------------------------------------------------------------- */

static struct {
  int calls, fails_at, error; /* number of the call that fails, from 0, and its error; -1: none */
  bool is_short;              /* no write takes more than 1,000 bytes */
  uint64_t room;
} disk;

static bool fails(void) {
  bool is_it = disk.calls++ == disk.fails_at;
  if (is_it) errno = disk.error;
  return is_it;
}
static int make_file(int folder, const char *name) {
  return fails() ? -1 : vsi_disk_of_system.make(folder, name);
}
static ssize_t write_file(int fd, const void *bytes, size_t len, off_t at) {
  if (fails()) return disk.error ? -1 : 0;
  return vsi_disk_of_system.write(fd, bytes, disk.is_short && len > 1000 ? 1000 : len, at);
}
static int sync_file(int fd) {
  return fails() ? -1 : vsi_disk_of_system.sync(fd);
}
static int rename_file(int folder, const char *from, const char *to) {
  return fails() ? -1 : vsi_disk_of_system.rename(folder, from, to);
}
static int free_room(int folder, uint64_t *ret_bytes) {
  *ret_bytes = disk.room;
  return 0;
}

/* capability: L1 */
TEST_CASE(failing_disk_leaves_no_partial_file) {
  static const int errors[] = {ENOSPC, EDQUOT, EIO, EINTR};
  vsi_disk failing = vsi_disk_of_system;
  failing.make = make_file;
  failing.write = write_file;
  failing.sync = sync_file;
  failing.rename = rename_file;
  failing.room = free_room;
  for (size_t e = 0; e < sizeof errors / sizeof *errors; e++)
    for (int at = 0, has_failed = 1; has_failed; at++) {
      suite s;
      begin(&s, 0);
      s.folder->disk = &failing;
      disk.calls = 0;
      disk.fails_at = at;
      disk.error = errors[e];
      disk.is_short = at % 2;
      disk.room = UINT64_MAX;
      const int status = at % 2 ? post_bytes(&s, 3000, 0, NULL) : post_form(&s, form);
      has_failed = disk.calls > at;
      if (!has_failed || errors[e] == EINTR) /* an interrupted write is repeated */
        assert_true(status == 201 || (has_failed && status == 500));
      else
        assert_int_equal(status, errors[e] == EIO ? 500 : 507);
      if (status != 201) assert_int_equal(shelf_read(s.path).files, 0);
      end(&s);
    }
  /* A full disk is detected before the body is read if the body's length is known. */
  suite s;
  size_t read;
  begin(&s, 0);
  s.folder->disk = &failing;
  disk.fails_at = -1;
  disk.room = 999;
  assert_int_equal(post_bytes(&s, 1000, 0, &read), 507);
  assert_int_equal(read, 0);
  assert_int_equal(post_bytes(&s, 999, 0, &read), 201);
  end(&s);
}

static suite *moving;

static void move_away(suite *s) {
  char away[FOLDER_BYTES + 8];
  snprintf(away, sizeof away, "%s.away", s->path);
  assert_int_equal(rename(s->path, away), 0);
  assert_int_equal(mkdir(s->path, 0700), 0);
}

static void move_back(suite *s) {
  char away[FOLDER_BYTES + 8];
  snprintf(away, sizeof away, "%s.away", s->path);
  assert_int_equal(rmdir(s->path), 0); /* nothing was written into the other folder */
  assert_int_equal(rename(away, s->path), 0);
}

static ssize_t move_and_write(int fd, const void *bytes, size_t len, off_t at) {
  if (moving) move_away(moving);
  moving = NULL;
  return pwrite(fd, bytes, len, at);
}

/* An administrator moves the folder and creates another one. A file that went into the moved folder would be missing at
 * its path, so it is not accepted, whenever the folder was moved. */
/* capability: L1 */
TEST_CASE(uploads_to_a_moved_folder_are_rejected) {
  suite s;
  vsi_disk disk_that_moves = vsi_disk_of_system;
  disk_that_moves.write = move_and_write;
  begin(&s, 0);
  move_away(&s);
  assert_int_equal(post_bytes(&s, 1000, 0, NULL), 500);
  assert_non_null(strstr(s.on.th.last_log, "was moved or replaced"));
  assert_int_equal(post_form(&s, form), 500);
  wire made = {.headers = {{"Tus-Resumable", "1.0.0"}, {"Upload-Length", "20"}}};
  assert_int_equal(shelf_post(&s.on, &made, NULL), 500);
  move_back(&s);
  assert_int_equal(post_bytes(&s, 1000, 0, NULL), 201);
  s.folder->disk = &disk_that_moves;
  for (int has_several = 0; has_several < 2; has_several++) {
    moving = &s;
    assert_int_equal(has_several ? post_form(&s, form) : post_bytes(&s, 1000, 0, NULL), 500);
    move_back(&s);
    assert_int_equal(shelf_read(s.path).files, 1);
  }
  assert_int_equal(s.done, 1);
  end(&s);
}

/* Each upload of a client fails, and the log stays short. */
TEST_CASE(full_disk_is_logged_once_a_minute) {
  enum { UPLOADS = 10 };
  suite s;
  vsi_disk failing = vsi_disk_of_system;
  failing.make = make_file;
  begin(&s, 0);
  s.folder->disk = &failing;
  disk.fails_at = 0;
  disk.error = ENOSPC;
  for (int minute = 0; minute < 2; minute++) {
    for (int i = 0; i < UPLOADS; i++) {
      disk.calls = 0;
      assert_int_equal(post_form(&s, form), 507);
    }
    assert_int_equal(s.on.th.log_lines, minute + 1);
    assert_non_null(strstr(s.on.th.last_log, "No space left on device"));
    test_host_advance_ms(&s.on.th, 60000);
  }
  assert_non_null(strstr(s.on.th.last_log, " (and 9 times before)"));
  end(&s);
}

SUITE_CASE(allocation_failure_leaves_no_partial_file) {
  bool failed = true;
  for (long number = 0; failed; number++) {
    const int was_done = s->done;
    test_host_fail_in(&s->on.th, number);
    int status = post_form(s, form);
    failed = test_host_has_failed(&s->on.th);
    test_host_fail_no_more(&s->on.th);
    assert_true(status == 201 || status == 500);
    assert_true(status == 500 || s->done == was_done + 1);
    check(s);
  }
  vestry_upload_folder *more = NULL;
  vestry_err error = VESTRY_NO_MEMORY;
  end_folder(s);
  for (long number = 0; error; number++) {
    test_host_fail_in(&s->on.th, number);
    *s->on.th.last_log = '\0';
    errno = 0;
    error = vestry_upload_folder_open(s->on.v, &(vestry_upload_folder_options){.path = s->path}, &more);
    test_host_fail_no_more(&s->on.th);
    assert_true(!error || error == VESTRY_NO_MEMORY);
    if (error && number) assert_non_null(strstr(s->on.th.last_log, vestry_strerror(error)));
  }
  vestry_upload_folder_close(more);
  vestry_upload_folder_close(NULL);
  open_folder(s);
}

/* ---- unfinished uploads of one person ---------------------------------------------------------------------------- */

static int64_t later_s;
static int64_t later_now_s(void) {
  return time(NULL) + later_s;
}

/* Send a request of tus without a body. location: receives that of the answer; NULL: not needed */
static int tus(suite *s, const char *method, const char *path, const char *peer, const char *cookie, char *location) {
  wire r = {.method = method,
            .path = path,
            .peer = peer,
            .headers = {{"Tus-Resumable", "1.0.0"}, {"Upload-Length", "1000"}, {cookie ? "Cookie" : NULL, cookie}}};
  wire_request(&s->on, &r, NULL, NULL);
  if (location) (void)wire_value(&r, "Location", location, 128);
  wire_finish(&r);
  return r.status;
}

static int create_from(suite *s, const char *peer) {
  return tus(s, "POST", "/files", peer, NULL, NULL);
}

/* capability: L1 */
TEST_CASE(step_of_the_system_clock_removes_no_upload) {
  suite s;
  char location[128] = "";
  begin(&s, 0);
  vsi_disk with_clock = vsi_disk_of_system;
  with_clock.now_s = later_now_s;
  later_s = 0;
  s.folder->disk = &with_clock;
  assert_int_equal(tus(&s, "POST", "/files", "192.0.2.1", NULL, location), 201);
  for (int days = -8; days <= 8; days += 8) { /* unfinished_ms is a day */
    later_s = days * INT64_C(86400);
    site_pass_ms(&s.on, 60000);
    assert_int_equal(tus(&s, "HEAD", location, "192.0.2.1", NULL, NULL), 200);
  }
  assert_int_equal(s.dropped, 0);
  site_pass_ms(&s.on, 86400000); /* it expires all the same */
  assert_int_equal(s.dropped, 1);
  assert_int_equal(s.why, VESTRY_TIMEOUT);
  end_folder(&s);
  folder_remove(s.path);
  site_end(&s.on);
}

/* Sixteen uploads that were begun and left do not lock an address out until they expire. */
/* capability: L1 */
TEST_CASE(person_at_the_limit_replaces_an_idle_upload) {
  suite s;
  begin(&s, 0);
  assert_int_equal(create_from(&s, "192.0.2.2"), 201);
  for (int i = 0; i < 16; i++) assert_int_equal(create_from(&s, "192.0.2.1"), 201);
  assert_int_equal(create_from(&s, "192.0.2.1"), 429);
  assert_int_equal(s.dropped, 0);
  site_pass_ms(&s.on, (VSI_UNFINISHED_IDLE_S + 1) * 1000);
  for (int i = 1; i <= 16; i++) {
    assert_int_equal(create_from(&s, "192.0.2.1"), 201);
    assert_int_equal(s.dropped, i);
    assert_int_equal(s.why, VESTRY_LIMIT);
  }
  assert_int_equal(create_from(&s, "192.0.2.1"), 429); /* the idle upload of another person stays */
  assert_int_equal(shelf_read(s.path).coming, 17);
  end_folder(&s);
  folder_remove(s.path);
  site_end(&s.on);
}

static vestry_err log_in(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_login(req, reply, vestry_request_value(req, VESTRY_IN_QUERY, "user"));
  return error ? error : vestry_reply_status(reply, 204);
}

static void log_in_as(suite *s, const char *query, char cookie[256]) {
  wire r = {.method = "POST", .path = "/login", .query = query};
  wire_request(&s->on, &r, NULL, NULL);
  assert_true(wire_keep_cookie(&r, cookie, 256));
  wire_finish(&r);
}

/* capability: L1 */
TEST_CASE(user_continues_an_upload_after_a_new_login) {
  suite s = {.dropped = 0};
  char first[256], second[256], other[256], made[128];
  site_begin_with(&s.on, (vestry_options){0}, (site_has){.sessions = &(vestry_session_options){.insecure = true}});
  folder_make(s.path, "uploads");
  open_folder(&s);
  assert_int_equal(vestry_route(s.on.v, "POST", "/login", log_in, NULL), VESTRY_OK);
  log_in_as(&s, "user=ada", first);
  log_in_as(&s, "user=ada", second);
  log_in_as(&s, "user=bob", other);
  assert_int_equal(tus(&s, "POST", "/files", NULL, first, made), 201);
  assert_int_equal(tus(&s, "HEAD", made, NULL, second, NULL), 200);
  assert_int_equal(tus(&s, "HEAD", made, NULL, other, NULL), 404);
  assert_int_equal(tus(&s, "HEAD", made, NULL, NULL, NULL), 404);
  assert_int_equal(tus(&s, "DELETE", made, NULL, second, NULL), 204);
  assert_int_equal(tus(&s, "HEAD", made, NULL, first, NULL), 404);
  end(&s);
}

SUITE_CASE(invalid_options_are_rejected) {
  vestry_uploads *none = NULL;
  static const vestry_upload_writer writer = {0};
  const vestry_uploads_options wrong[] = {
      {.pattern = "/x", .writer = &writer, .folder = s->folder},
      {.pattern = "/x", .writer = &writer, .allow = allow},
      {.pattern = "/x"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(vestry_uploads_create(s->on.v, &wrong[i], &none), VESTRY_INVALID);
  assert_null(none);
  vestry_kept_file file;
  assert_int_equal(vestry_uploads_kept(NULL, 0, &file), VESTRY_INVALID);
}
