/* SPDX-License-Identifier: MIT */
/* Uploads that are resumed by tus 1.0.0: after broken connections, restarts and crashes, and with hostile clients. */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/upload/tus.h"
#include "support/folder.h"
#include "upload/shelf.h"

enum { MB = 1 << 20, LEN = 100000, PATH = 128 };

static int64_t now_s;
static int64_t manual_now_s(void) {
  return now_s;
}
static vsi_disk disk;

typedef struct suite {
  site on;
  char path[FOLDER_BYTES];
  uint64_t max_bytes;
  vestry_upload_folder *folder;
  vestry_uploads *uploads;
  int done, dropped;
  vestry_err why, answering;
  char kept[PATH], stored[VSI_STORED_LEN + 1], name[64], type[64];
} suite;

/* Status and headers of a reply. */
typedef struct reply_head {
  int status;
  bool has_version;
  char offset[PATH], location[PATH], length[PATH], metadata[PATH], expires[PATH];
} reply_head;

static vestry_err done(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  vestry_kept_file file = {0};
  assert_int_equal(vestry_uploads_kept(req, 0, &file), VESTRY_OK);
  assert_int_equal(vestry_uploads_kept(req, 1, &(vestry_kept_file){0}), VESTRY_NOT_FOUND);
  snprintf(s->kept, sizeof s->kept, "%s", file.path);
  snprintf(s->stored, sizeof s->stored, "%s", file.stored);
  snprintf(s->name, sizeof s->name, "%s", file.name);
  snprintf(s->type, sizeof s->type, "%s", file.type);
  assert_int_equal(access(file.path, F_OK), 0);
  s->done++;
  vestry_err error = vestry_reply_redirect(reply, 303, "/elsewhere");
  return s->answering ? s->answering : error;
}

static void note_dropped(void *app, const vestry_kept_file *file, vestry_err why) {
  suite *s = app;
  s->dropped++;
  s->why = why;
}

static void open_folder(suite *s) {
  const vestry_upload_folder_options options = {
      .path = s->path, .max_bytes = s->max_bytes, .dropped = note_dropped, .app = s, .unfinished_ms = 3600000};
  assert_int_equal(vestry_upload_folder_open(s->on.v, &options, &s->folder), VESTRY_OK);
  s->folder->disk = &disk;
  const vestry_uploads_options uploads = {.pattern = "/of/{who}/files",
                                          .max_file_bytes = MB,
                                          .types = "image/*",
                                          .max_per_person_count = 3,
                                          .folder = s->folder,
                                          .app = s,
                                          .done = done};
  assert_int_equal(vestry_uploads_create(s->on.v, &uploads, &s->uploads), VESTRY_OK);
}

static void begin(suite *s) {
  *s = (suite){.max_bytes = 10 * MB};
  disk = vsi_disk_of_system;
  disk.now_s = manual_now_s;
  now_s = time(NULL);
  site_begin(&s->on, (vestry_options){.scope = site_by_cookie});
  folder_make(s->path, "resume");
  open_folder(s);
}

/* Returns the number of files of all kinds. */
static size_t check(suite *s) {
  return shelf_check(s->path, s->folder).files;
}

static void close_folder(suite *s) {
  shelf_close(s->uploads);
  vestry_upload_folder_close(s->folder);
}

static void again(suite *s) {
  close_folder(s);
  open_folder(s);
}

static void end(suite *s) {
  check(s);
  close_folder(s);
  folder_remove(s->path);
  site_end(&s->on);
}

static void note(const wire *r, reply_head *a) {
  char value[PATH];
  *a = (reply_head){.status = r->status};
  (void)wire_value(r, "Upload-Offset", a->offset, PATH);
  (void)wire_value(r, "Upload-Length", a->length, PATH);
  (void)wire_value(r, "Upload-Metadata", a->metadata, PATH);
  (void)wire_value(r, "Upload-Expires", a->expires, PATH);
  (void)wire_value(r, "Location", a->location, PATH);
  a->has_version = wire_value(r, "Tus-Resumable", value, sizeof value) && strcmp(value, "1.0.0") == 0;
  const bool is_broken = r->announced > 0 && (size_t)r->announced > r->body_len;
  assert_true(a->has_version || is_broken || r->status == 500); /* without memory, a 500 has no headers */
}

static reply_head ask(suite *s, wire r) {
  reply_head a;
  size_t free_at = 0;
  while (r.headers[free_at].name) free_at++;
  r.headers[free_at] = (vestry_header){"Tus-Resumable", "1.0.0"};
  wire_request(&s->on, &r, NULL, NULL);
  note(&r, &a);
  wire_finish(&r);
  return a;
}

#define METADATA "filename w6l0w6kucG5n, filetype aW1hZ2UvcG5n,x" /* été.png, image/png */

static reply_head create(suite *s, const char *length) {
  return ask(s, (wire){.method = "POST",
                       .path = "/of/a b/files",
                       .headers = {{"Upload-Length", length}, {"Upload-Metadata", METADATA}}});
}

/* Return the location as a decoded request path. */
static const char *path_of(const reply_head *a) {
  static char path[PATH];
  const char *rest = strstr(a->location, "/files/");
  assert_non_null(rest);
  snprintf(path, sizeof path, "/of/a b%s", rest);
  return path;
}

static reply_head patch(suite *s, const reply_head *a, size_t from, size_t len, int64_t announced) {
  char number[32];
  snprintf(number, sizeof number, "%zu", from);
  return ask(s, (wire){.method = "PATCH",
                       .path = path_of(a),
                       .headers = {{"Upload-Offset", number}, {"Content-Type", VSI_TUS_TYPE}},
                       .body = shelf_text(2 * MB) + from,
                       .body_len = len,
                       .announced = announced});
}

static reply_head head(suite *s, const reply_head *a) {
  return ask(s, (wire){.method = "HEAD", .path = path_of(a)});
}

static void assert_kept(const suite *s, size_t len) {
  shelf_assert_text(s->kept, shelf_text(len), len);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, begin(s), end(s))

/* capability: L1 */
SUITE_CASE(broken_upload_is_resumed) {
  reply_head made = create(s, "100000"), a;
  assert_int_equal(made.status, 201);
  assert_int_equal(strncmp(made.location, "/of/a%20b/files/resume/", 23), 0);
  assert_string_equal(made.offset, "0");
  assert_true(*made.expires);
  a = patch(s, &made, 0, 40000, LEN); /* the body breaks off */
  assert_int_equal(a.status, 400);
  a = head(s, &made);
  assert_int_equal(a.status, 200);
  assert_string_equal(a.offset, "40000");
  assert_string_equal(a.length, "100000");
  assert_string_equal(a.metadata, METADATA);
  again(s); /* another process */
  check(s);
  a = patch(s, &made, 40000, 10000, 0); /* a complete request with part of the file */
  assert_int_equal(a.status, 204);
  assert_string_equal(a.offset, "50000");
  assert_int_equal(s->done, 0);
  a = patch(s, &made, 50000, 50000, -1); /* chunked */
  assert_int_equal(a.status, 204);
  assert_string_equal(a.offset, "100000");
  assert_string_equal(a.location, ""); /* not the Location of the application's reply */
  assert_int_equal(s->done, 1);
  assert_string_equal(s->name, "\xC3\xA9t\xC3\xA9.png");
  assert_string_equal(s->type, "image/png");
  assert_kept(s, LEN);
  assert_null(strstr(made.location, s->stored)); /* the location does not contain the file's name */
  for (int i = 0; i < 2; i++, again(s)) {
    a = head(s, &made); /* a client whose reply was lost sends HEAD again */
    assert_string_equal(a.offset, "100000");
    assert_int_equal(patch(s, &made, LEN, 0, 0).status, 204);
    assert_int_equal(patch(s, &made, LEN, 1, -1).status, 413);
  }
  assert_int_equal(s->done, 1);
  assert_int_equal(s->dropped, 0);
}

/* capability: L1 */
SUITE_CASE(invalid_requests_are_rejected) {
  assert_int_equal(create(s, "1048577").status, 413);
  assert_int_equal(create(s, "-1").status, 400);
  assert_int_equal(create(s, "").status, 400);
  assert_int_equal(create(s, "99999999999999999999999").status, 400);
  assert_int_equal(ask(s, (wire){.method = "POST", .path = "/of/b/files", .headers = {{"Upload-Length", "1"}}}).status,
                   415);
  assert_int_equal(check(s), 0);
  reply_head made = create(s, "100000");
  const wire at = {.path = path_of(&made)};
  assert_int_equal(patch(s, &made, 1, 10, 0).status, 409);
  assert_int_equal(patch(s, &made, 0, LEN + 1, 0).status, 413);
  assert_int_equal(patch(s, &made, 0, LEN + 1, -1).status, 413); /* the bytes up to the limit stay */
  wire r = at;
  r.method = "PATCH";
  assert_int_equal(ask(s, r).status, 400); /* without an offset */
  r.headers[0] = (vestry_header){"Upload-Offset", "0"};
  r.body = "x";
  r.body_len = 1;
  assert_int_equal(ask(s, r).status, 415);
  r = at;
  r.method = "HEAD";
  r.headers[0] = (vestry_header){"Cookie", "somebody"};
  assert_int_equal(ask(s, r).status, 404); /* of another scope */
  r.headers[0] = (vestry_header){"Tus-Resumable", "0.2.2"};
  assert_int_equal(ask(s, r).status, 412);
  static const char *const wrong[] = {"/of/a b/files/resume/0123456789abcdef0123456789abcdef", "/of/a b/files/resume/x",
                                      "/of/a b/files/resume/..%2f"};
  for (size_t i = 0; i < 3; i++) assert_int_equal(ask(s, (wire){.method = "DELETE", .path = wrong[i]}).status, 404);
  /* An upload that does not exist here, of this node and of another one, to which the proxy sends the request then. */
  char other[PATH];
  snprintf(other, sizeof other, "%s", path_of(&made));
  char *secret = strstr(other, "/resume/") + strlen("/resume/"), *node = secret + 32;
  assert_int_equal(strlen(node), 8);
  node[0] = node[0] == '0' ? '1' : '0';
  assert_int_equal(ask(s, (wire){.method = "HEAD", .path = other}).status, 200); /* the machine has another name now */
  secret[0] = secret[0] == '0' ? '1' : '0';
  assert_int_equal(ask(s, (wire){.method = "HEAD", .path = other}).status, 503);
  snprintf(node, 9, "%s", strstr(path_of(&made), "/resume/") + strlen("/resume/") + 32);
  assert_int_equal(ask(s, (wire){.method = "HEAD", .path = other}).status, 404);
  /* The number of unfinished uploads per person is limited. */
  assert_int_equal(create(s, "5").status, 201);
  assert_int_equal(create(s, "5").status, 201);
  assert_int_equal(create(s, "5").status, 429);
  assert_int_equal(ask(s, (wire){.method = "DELETE", .path = path_of(&made)}).status, 204);
  assert_int_equal(s->why, VESTRY_CLOSED);
  assert_int_equal(head(s, &made).status, 404);
  made = create(s, "0");
  assert_int_equal(made.status, 201);
  assert_int_equal(s->done, 1);
  assert_int_equal(s->dropped, 1);
}

static vestry_receiving *push(suite *s, wire *r, const char *path, const char *offset) {
  vestry_receiving *receiving = NULL;
  r->method = "PATCH";
  r->path = path;
  r->headers[0] = (vestry_header){"Upload-Offset", offset};
  r->headers[1] = (vestry_header){"Content-Type", VSI_TUS_TYPE};
  r->headers[2] = (vestry_header){"Tus-Resumable", "1.0.0"};
  r->announced = -1;
  pthread_mutex_init(&r->lock, NULL);
  assert_int_equal(vestry_receive_begin(s->on.v, &wire_ops, r, &receiving), VESTRY_OK);
  vestry_receive_open(receiving);
  return receiving;
}

static void push_some(vestry_receiving *receiving, const char *bytes, size_t len) {
  size_t room;
  char *to = vestry_receive_room(receiving, &room);
  if (to) {
    assert_true(room >= len);
    memcpy(to, bytes, len);
    vestry_receive_put(receiving, len);
  }
  vestry_receive_write(receiving);
}

static void push_end(vestry_receiving *receiving) {
  vestry_connection *none;
  vestry_receive_close(receiving);
  assert_int_equal(vestry_receive_end(receiving, VESTRY_OK, &none), VESTRY_OK);
}

/* If two requests send to one upload, the later one takes over, provided that its offset is right. */
/* capability: L1 */
SUITE_CASE(later_request_takes_an_upload_over) {
  reply_head made = create(s, "20");
  char path[PATH];
  snprintf(path, sizeof path, "%s", path_of(&made));
  const char *text = shelf_text(20);
  wire a = {0}, b = {0}, c = {0};
  vestry_receiving *first = push(s, &a, path, "0");
  push_some(first, text, 5);
  vestry_receiving *second = push(s, &b, path, "0");
  assert_false(vestry_receive_wants(second));
  push_end(second);
  assert_int_equal(b.status, 409);
  vestry_receiving *third = push(s, &c, path, "5");
  push_some(first, "wrong", 5);
  push_some(third, text + 5, 15);
  push_end(third);
  assert_int_equal(c.status, 204);
  assert_false(vestry_receive_wants(first));
  push_end(first);
  assert_int_equal(a.status, 423);
  assert_int_equal(s->done, 1);
  assert_kept(s, 20);
  wire_finish(&a);
  wire_finish(&b);
  wire_finish(&c);
  /* One upload is deleted during a request; another request is abandoned after a later one took over. */
  made = create(s, "20");
  snprintf(path, sizeof path, "%s", path_of(&made));
  a = b = (wire){0};
  first = push(s, &a, path, "0");
  push_some(first, text, 5);
  second = push(s, &b, path, "5");
  (void)vestry_receive_end(first, VESTRY_IO, NULL);
  assert_int_equal(ask(s, (wire){.method = "DELETE", .path = path}).status, 204);
  push_some(second, text, 5);
  push_end(second);
  assert_int_equal(b.status, 423);
  wire_finish(&a);
  wire_finish(&b);
}

/* capability: L1 */
SUITE_CASE(expired_uploads_are_removed) {
  reply_head made = create(s, "100000"), whole = create(s, "10");
  patch(s, &made, 0, 1000, LEN);
  patch(s, &whole, 0, 10, 0);
  site_pass_ms(&s->on, 3599000);
  assert_string_equal(head(s, &made).offset, "1000");
  site_pass_ms(&s->on, 1000);
  assert_int_equal(head(s, &made).status, 404);
  site_pass_ms(&s->on, 60000);
  assert_int_equal(s->dropped, 1);
  assert_int_equal(s->why, VESTRY_TIMEOUT);
  assert_int_equal(check(s), 1); /* the complete file */
  /* Expired uploads are also removed after a restart. */
  now_s -= 7200;
  made = create(s, "100000");
  again(s);
  site_pass_ms(&s->on, 60000);
  assert_int_equal(s->dropped, 2);
  assert_int_equal(check(s), 1);
}

/* Files that a process leaves if it ends between two steps. */
/* capability: L1 */
TEST_CASE(upload_is_resumed_after_a_crash_between_steps) {
  suite s;
  char from[PATH + 8], to[PATH + 16];
  begin(&s);
  reply_head made = create(&s, "1000");
  patch(&s, &made, 0, 400, 1000);
  /* 999 of 1,000 bytes arrived, and the client sends the last one after a restart. */
  assert_int_equal(patch(&s, &made, 400, 599, 600).status, 400);
  again(&s);
  assert_string_equal(head(&s, &made).offset, "999");
  s.answering = VESTRY_OK;
  assert_int_equal(patch(&s, &made, 999, 1, 0).status, 204);
  assert_int_equal(s.done, 1);
  assert_kept(&s, 1000);
  /* The file has its final name, and its record does not state that. */
  made = create(&s, "1000");
  patch(&s, &made, 0, 999, 1000);
  char id[VSI_STORED_LEN + 1] = "";
  close_folder(&s);
  DIR *list = opendir(s.path);
  for (const struct dirent *at; (at = readdir(list));)
    if (strstr(at->d_name, VSI_STORED_PART)) memcpy(id, at->d_name, VSI_STORED_LEN);
  closedir(list);
  snprintf(from, sizeof from, "%s/%s.part", s.path, id);
  snprintf(to, sizeof to, "%s/%s", s.path, id);
  FILE *file = fopen(from, "ab");
  fputc(shelf_text(1000)[999], file);
  fclose(file);
  assert_int_equal(rename(from, to), 0);
  open_folder(&s);
  check(&s);
  assert_string_equal(head(&s, &made).offset, "999");
  assert_int_equal(patch(&s, &made, 999, 1, 0).status, 204);
  assert_int_equal(s.done, 2);
  assert_string_equal(s.stored, id);
  assert_kept(&s, 1000);
  /* The same after a reboot. A file that `done` may have accepted stays when its record expires. */
  made = create(&s, "1000");
  s.answering = VESTRY_OK;
  assert_int_equal(patch(&s, &made, 0, 1000, 0).status, 204);
  close_folder(&s);
  snprintf(from, sizeof from, "%s/%s.resume", s.path, s.stored);
  file = fopen(from, "r+b");
  fseek(file, 16, SEEK_SET); /* after the magic number: the boot id */
  fputs("another", file);
  fseek(file, offsetof(vsi_unfinished_record, state), SEEK_SET);
  fwrite(&(uint32_t){VSI_RECORD_COMES}, 4, 1, file);
  fclose(file);
  open_folder(&s);
  check(&s);
  assert_string_equal(head(&s, &made).offset, "999");
  assert_kept(&s, 1000);
  site_pass_ms(&s.on, 3600000);
  assert_int_equal(head(&s, &made).status, 404);
  assert_kept(&s, 1000);
  assert_int_equal(s.dropped, 0);
  again(&s);
  assert_kept(&s, 1000);
  check(&s);
  /* After a reboot only synced bytes count. */
  made = create(&s, "1000");
  patch(&s, &made, 0, 300, 1000);
  close_folder(&s);
  list = opendir(s.path);
  for (const struct dirent *at; (at = readdir(list));)
    if (strstr(at->d_name, VSI_STORED_PART)) memcpy(id, at->d_name, VSI_STORED_LEN);
  closedir(list);
  snprintf(from, sizeof from, "%s/%s.part", s.path, id);
  file = fopen(from, "ab");
  fputs("never synced", file);
  fclose(file);
  snprintf(from, sizeof from, "%s/%s.resume", s.path, id);
  file = fopen(from, "r+b");
  fseek(file, 16, SEEK_SET); /* after the magic number: the boot id */
  fputs("another", file);
  fclose(file);
  open_folder(&s);
  check(&s);
  assert_string_equal(head(&s, &made).offset, "300");
  assert_int_equal(patch(&s, &made, 300, 700, 0).status, 204);
  assert_kept(&s, 1000);
  /* Invalid records. */
  close_folder(&s);
  static const char *const left[] = {".resume", ".part", ".next"};
  for (size_t i = 0; i < 3; i++) {
    snprintf(from, sizeof from, "%s/0123456789abcdef0123456789abcdef%s", s.path, left[i]);
    file = fopen(from, "w");
    for (int n = 0; n < 1000; n++) fputc(n, file);
    fclose(file);
  }
  open_folder(&s);
  for (size_t i = 0; i < 3; i++) {
    snprintf(from, sizeof from, "%s/0123456789abcdef0123456789abcdef%s", s.path, left[i]);
    assert_int_equal(access(from, F_OK), -1);
  }
  end(&s);
}

/* capability: L1 */
SUITE_CASE(file_that_done_rejects_is_removed) {
  static const struct {
    vestry_err error;
    int status;
  } answers[] = {{VESTRY_MALFORMED, 400}, {VESTRY_EXISTS, 409}, {VESTRY_LIMIT, 503}, {VESTRY_IO, 500}};
  for (int i = 0; i < 4; i++) {
    reply_head made = create(s, "1000");
    s->answering = answers[i].error;
    reply_head a = patch(s, &made, 0, 1000, 0);
    assert_int_equal(a.status, answers[i].status);
    assert_true(a.has_version);
    assert_string_equal(a.location, "");
    assert_int_equal(s->dropped, i + 1);
    assert_int_equal(head(s, &made).status, 404);
    assert_int_equal(check(s), 0);
  }
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static reply_head create_from(suite *s, const char *peer, const char *header, const char *length) {
  return ask(s, (wire){.method = "POST",
                       .path = "/of/a/files",
                       .peer = peer,
                       .headers = {{"Upload-Length", length}, {"Upload-Metadata", METADATA}, {header, "192.0.2.99"}}});
}

/* An address identifies a person, an IPv6 address by its /64; a proxy, or a peer on this machine, does not. */
/* capability: L1 */
SUITE_CASE(unfinished_uploads_are_limited_per_address) {
  for (int i = 0; i < 3; i++) assert_int_equal(create_from(s, "192.0.2.1", NULL, "5").status, 201);
  assert_int_equal(create_from(s, "192.0.2.1", NULL, "5").status, 429);
  assert_int_equal(create_from(s, "::ffff:192.0.2.1", NULL, "5").status, 429);
  assert_int_equal(create_from(s, "192.0.2.2", NULL, "5").status, 201);
  char peer[64];
  for (int i = 0; i < 5; i++) {
    snprintf(peer, sizeof peer, "2001:db8:1:1::%x", i);
    assert_int_equal(create_from(s, peer, NULL, "5").status, i < 3 ? 201 : 429);
  }
  assert_int_equal(create_from(s, "2001:db8:1:2::1", NULL, "5").status, 201);
  static const char *const nobody[] = {"127.0.0.1", "::1", "", "127.1.2.3"};
  for (int i = 0; i < 8; i++) assert_int_equal(create_from(s, nobody[i % 4], NULL, "5").status, 201);
  for (int i = 0; i < 4; i++) assert_int_equal(create_from(s, "192.0.2.1", "X-Forwarded-For", "5").status, 201);
}

/* capability: L1 */
TEST_CASE(unfinished_uploads_are_limited_behind_a_proxy) {
  suite s = {.max_bytes = 10 * MB};
  site_begin(&s.on, (vestry_options){.is_behind_proxy = true});
  folder_make(s.path, "resume");
  open_folder(&s);
  for (int i = 0; i < 5; i++)
    assert_int_equal(create_from(&s, "127.0.0.1", "X-Forwarded-For", "5").status, i < 3 ? 201 : 429);
  /* An unknown client. */
  for (int i = 0; i < 5; i++) assert_int_equal(create_from(&s, "127.0.0.1", NULL, "5").status, 201);
  end(&s);
}

/* Records of finished uploads do not count against the limit of unfinished ones. */
/* capability: L1 */
SUITE_CASE(finished_uploads_do_not_count_as_unfinished) {
  s->folder->max_unfinished = 6;
  const reply_head other = create_from(s, "198.51.100.7", NULL, "5");
  assert_int_equal(patch(s, &other, 0, 5, 0).status, 204);
  reply_head first = {0};
  for (int i = 0; i < 15; i++, site_pass_ms(&s->on, 1000)) {
    const reply_head made = create(s, "5");
    assert_int_equal(made.status, 201);
    assert_int_equal(patch(s, &made, 0, 5, 0).status, 204);
    if (!i) first = made;
    assert_string_equal(head(s, &made).offset, "5");
  }
  assert_int_equal(head(s, &first).status, 404);    /* the oldest records are evicted; their files stay */
  assert_string_equal(head(s, &other).offset, "5"); /* a client evicts its own */
  assert_int_equal(check(s), 16 + 6);
  again(s);
  assert_int_equal(check(s), 16 + 6);
}

/* Unidentified clients get half of the uploads. They evict each other's, if these had no request for a minute. */
/* capability: L1 */
SUITE_CASE(unidentified_clients_get_half_of_the_uploads) {
  s->folder->max_unfinished = 8;
  reply_head far = create_from(s, "", NULL, "1000");
  assert_int_equal(patch(s, &far, 0, 10, 0).status, 204);
  for (int i = 0; i < 3; i++) assert_int_equal(create_from(s, "", NULL, "5").status, 201);
  assert_int_equal(create_from(s, "", NULL, "5").status, 503); /* no upload has been idle for a minute */
  for (int i = 0; i < 3; i++) assert_int_equal(create_from(s, "192.0.2.1", NULL, "5").status, 201);
  site_pass_ms(&s->on, 61000);
  for (int i = 0; i < 4; i++) assert_int_equal(create_from(s, "", NULL, "5").status, 201);
  assert_int_equal(s->dropped, 4);
  assert_int_equal(s->why, VESTRY_LIMIT);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static int calls, fails_at;
static bool fails(void) {
  bool is_it = calls++ == fails_at;
  if (is_it) errno = ENOSPC;
  return is_it;
}
static int make_file(int folder, const char *name) {
  return fails() ? -1 : vsi_disk_of_system.make(folder, name);
}
static int open_file(int folder, const char *name) {
  return fails() ? -1 : vsi_disk_of_system.open(folder, name);
}
static ssize_t write_file(int fd, const void *bytes, size_t len, off_t at) {
  return fails() ? -1 : vsi_disk_of_system.write(fd, bytes, len, at);
}
static int cut_file(int fd, off_t len) {
  return fails() ? -1 : vsi_disk_of_system.truncate(fd, len);
}
static int sync_file(int fd) {
  return fails() ? -1 : vsi_disk_of_system.sync(fd);
}
static int rename_file(int folder, const char *from, const char *to) {
  return fails() ? -1 : vsi_disk_of_system.rename(folder, from, to);
}

/* After any failure the client resumes at the reported offset, and the file is kept. */
/* capability: L1 */
TEST_CASE(upload_is_resumed_after_a_disk_failure) {
  bool has_failed = true;
  for (int at = 0; has_failed; at++) {
    suite s;
    begin(&s);
    disk.make = make_file;
    disk.open = open_file;
    disk.write = write_file;
    disk.truncate = cut_file;
    disk.sync = sync_file;
    disk.rename = rename_file;
    calls = 0;
    fails_at = at;
    reply_head made = create(&s, "5000");
    if (made.status != 201) {
      assert_int_equal(made.status, 507);
      assert_int_equal(check(&s), 0);
      made = create(&s, "5000");
    }
    assert_int_equal(made.status, 201);
    for (int tries = 0; !s.done; tries++) {
      assert_true(tries < 5);
      const reply_head a = head(&s, &made);
      assert_int_equal(a.status, 200);
      const size_t from = strtoul(a.offset, NULL, 10);
      const int status = patch(&s, &made, from, from < 2000 ? 2000 : 5000 - from, 0).status;
      assert_true(status == 204 || status == 507);
      check(&s);
    }
    has_failed = calls > at;
    assert_kept(&s, 5000);
    disk = vsi_disk_of_system;
    disk.now_s = manual_now_s;
    end(&s);
  }
}

static bool names_fail;
static int keep_name(int folder, const char *from, const char *to) {
  if (names_fail && strstr(to, VSI_STORED_PART)) {
    errno = EIO;
    return -1;
  }
  return vsi_disk_of_system.rename(folder, from, to);
}
static int fail_folder_once(int fd) {
  struct stat about;
  assert_int_equal(fstat(fd, &about), 0);
  if (S_ISDIR(about.st_mode) && calls++ == fails_at) {
    errno = EIO;
    names_fail = true;
    return -1;
  }
  return vsi_disk_of_system.sync(fd);
}

/* The folder's sync fails after the file got its final name, and so does the rename back. The client resumes, even
 * after a restart; without that the file stays. */
/* capability: L1 */
TEST_CASE(upload_is_resumed_after_a_failed_rename_back) {
  for (int way = 0; way < 4; way++) {
    suite s;
    begin(&s);
    disk.rename = keep_name;
    disk.sync = fail_folder_once;
    calls = 0;
    fails_at = 1; /* the first sync was for the record */
    names_fail = false;
    const reply_head made = create(&s, "1000");
    assert_int_equal(patch(&s, &made, 0, 1000, 0).status, 500);
    assert_int_equal(s.done, 0);
    assert_int_equal(shelf_read(s.path).kept, 1);
    names_fail = way < 2;
    if (way & 1) again(&s);
    assert_string_equal(head(&s, &made).offset, "999");
    if (way < 2) {
      assert_int_equal(patch(&s, &made, 999, 1, 0).status, 204);
      assert_int_equal(s.done, 1);
      assert_kept(&s, 1000);
    } else {
      site_pass_ms(&s.on, 3600000);
      assert_int_equal(s.dropped, 0);
      assert_int_equal(check(&s), 1);
    }
    disk = vsi_disk_of_system;
    disk.now_s = manual_now_s;
    end(&s);
  }
}

SUITE_CASE(upload_is_resumed_after_an_allocation_failure) {
  bool failed = true;
  for (long number = 0; failed; number++) {
    test_host_fail_in(&s->on.th, number);
    reply_head made = create(s, "3000");
    if (made.status == 201) patch(s, &made, 0, 1000, 3000);
    failed = test_host_has_failed(&s->on.th);
    test_host_fail_no_more(&s->on.th);
    check(s);
    if (made.status != 201) {
      site_pass_ms(&s->on, 7200000); /* an upload whose creation could not be reported expires */
      continue;
    }
    const size_t from = strtoul(head(s, &made).offset, NULL, 10);
    assert_int_equal(patch(s, &made, from, 3000 - from, 0).status, 204);
    assert_kept(s, 3000);
  }
  vestry_upload_folder_options same = {.path = s->path};
  vestry_err error = VESTRY_NO_MEMORY;
  reply_head made = create(s, "3000");
  assert_int_equal(made.status, 201);
  close_folder(s);
  for (long number = 0; error; number++) {
    test_host_fail_in(&s->on.th, number);
    error = vestry_upload_folder_open(s->on.v, &same, &s->folder);
    test_host_fail_no_more(&s->on.th);
    assert_true(!error || error == VESTRY_NO_MEMORY);
  }
  vestry_upload_folder_close(s->folder);
  open_folder(s);
  assert_string_equal(head(s, &made).offset, "0");
}
