/* SPDX-License-Identifier: MIT */
/* Uploads: rejections before the body is read, the calls of a writer, and exactly one end for each file. */
#include <stdlib.h>

#include "app/upload/form.h"
#include "base/trace.h"
#include "support/spans.h"
#include "upload/shelf.h"
#include "vestry/app/once.h"

enum { FILES = 32, ROOM = 1 << 18 };

/* A file as the writer received it. */
typedef struct kept {
  char field[64], name[300], type[140];
  char bytes[ROOM];
  size_t len;
  uint64_t max_bytes;
  int ends, aborts;
  vestry_err why;
} kept;

typedef struct suite {
  site on;
  vestry_uploads *uploads;
  kept *files;
  size_t count;
  vestry_err begin_error, write_error, end_error; /* results of the writer */
  size_t fails_at;                                /* index of the file with which it fails */
  int done, guarded;
  char field[64];         /* the field that `done` found */
  vestry_err guard_error; /* result of the guard */
  bool is_out;            /* the guard redirects to the log-in page */
  int status;             /* of `done`; 0: 201 */
  size_t largest;         /* largest piece */
} suite;

static suite *of(void *file) {
  return *(suite **)file;
}

typedef struct handle {
  suite *s;
  kept *kept;
} handle;

static vestry_err begin_file(void *app, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file,
                             void **ret_file) {
  suite *s = app;
  if (s->begin_error && s->count == s->fails_at) return s->begin_error;
  assert_true(s->count < FILES);
  handle *made = malloc(sizeof *made);
  kept *k = &s->files[s->count++];
  *made = (handle){s, k};
  snprintf(k->field, sizeof k->field, "%s", file->field);
  snprintf(k->name, sizeof k->name, "%s", file->name);
  snprintf(k->type, sizeof k->type, "%s", file->type);
  k->max_bytes = file->max_bytes;
  *ret_file = made;
  return VESTRY_OK;
}

static vestry_err write_piece(void *file, const vestry_request *req, vestry_reply *reply, const void *bytes,
                              size_t len) {
  kept *k = ((handle *)file)->kept;
  suite *s = of(file);
  assert_int_equal(k->ends + k->aborts, 0);
  assert_true(len > 0 && k->len + len <= ROOM);
  if (len > s->largest) s->largest = len;
  if (s->write_error && (size_t)(k - s->files) == s->fails_at) return s->write_error;
  memcpy(k->bytes + k->len, bytes, len);
  k->len += len;
  return VESTRY_OK;
}

static vestry_err end_file(void *file, const vestry_request *req, vestry_reply *reply) {
  handle *h = file;
  suite *s = h->s;
  kept *k = h->kept;
  free(h);
  assert_int_equal(k->ends++ + k->aborts, 0);
  return s->end_error && (size_t)(k - s->files) == s->fails_at ? s->end_error : VESTRY_OK;
}

static void abort_file(void *file, vestry_err why) {
  handle *h = file;
  assert_int_equal(h->kept->ends + h->kept->aborts++, 0);
  h->kept->why = why;
  free(h);
}

static const vestry_upload_writer writer = {
    .begin = begin_file, .write = write_piece, .end = end_file, .abort = abort_file};

static vestry_err done(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  const char *field = vestry_request_value(req, VESTRY_IN_FORM, "title");
  s->done++;
  snprintf(s->field, sizeof s->field, "%s", field ? field : "(none)");
  if (s->status == 303) return vestry_reply_redirect(reply, 303, "/films");
  return vestry_reply_status(reply, s->status ? s->status : 201);
}

static vestry_err look(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  s->guarded++;
  (void)vestry_request_header(req, "Origin");
  if (s->is_out) {
    assert_int_equal(vestry_reply_redirect(reply, 303, "/login"), VESTRY_OK);
    return VESTRY_FAILED;
  }
  const char *field = vestry_request_value(req, VESTRY_IN_FORM, "pass");
  return field && strcmp(field, "no") == 0 ? VESTRY_NOT_FOUND : s->guard_error;
}

static void begin_with(suite *s, vestry_uploads_options options) {
  *s = (suite){.files = calloc(FILES, sizeof(kept))};
  site_begin(&s->on, (vestry_options){.scope = site_by_cookie});
  if (!options.pattern) options.pattern = "/files";
  if (!options.writer) options.writer = &writer;
  options.app = s;
  if (!options.max_file_bytes) options.max_file_bytes = 100000;
  options.done = done;
  assert_int_equal(vestry_uploads_create(s->on.v, &options, &s->uploads), VESTRY_OK);
  assert_int_equal(vestry_guard(s->on.v, "/", look, s), VESTRY_OK);
}

static vestry_uploads_stats stats_of(suite *s) {
  vestry_uploads_stats stats = {0};
  vestry_uploads_stats_get(s->uploads, &stats);
  return stats;
}

/* Each file that was begun has exactly one end, and the counters add up. */
static void end_suite(suite *s) {
  for (size_t i = 0; i < s->count; i++) assert_int_equal(s->files[i].ends + s->files[i].aborts, 1);
  vestry_stats all = {0};
  vestry_stats_get(s->on.v, &all);
  assert_int_equal(all.request_bytes, 0);
  shelf_close(s->uploads);
  site_end(&s->on);
  free(s->files);
}

/* ---- a body that is a file --------------------------------------------------------------------------------------- */

#define SUITE_CASE(name)                                                                                               \
  TEST_CASE_WITH(name, suite, s, begin_with(s, (vestry_uploads_options){.max_file_bytes = 0}), end_suite(s))

/* capability: L1 */
SUITE_CASE(body_reaches_the_writer_in_pieces) {
  const char *text = shelf_text(100000);
  static const int64_t lengths[] = {0, -1};
  static const size_t pieces[] = {0, 1000, 99999};
  for (size_t l = 0; l < 2; l++)
    for (size_t p = 0; p < 3; p++) {
      s->count = 0;
      memset(s->files, 0, sizeof *s->files);
      int status =
          shelf_post(&s->on,
                     &(wire){.headers = {{"Content-Type", "Image/PNG; q=1"}, {"Upload-Name", "..%2Fa%20b%C3%A9.png"}},
                             .body = text,
                             .body_len = 100000,
                             .announced = lengths[l],
                             .piece = pieces[p]},
                     NULL);
      assert_int_equal(status, 201);
      assert_int_equal(s->count, 1);
      assert_int_equal(s->files->len, 100000);
      assert_memory_equal(s->files->bytes, text, 100000);
      assert_string_equal(s->files->name, "a b\xC3\xA9.png");
      assert_string_equal(s->files->type, "image/png");
      assert_string_equal(s->files->field, "");
      assert_int_equal(s->files->max_bytes, 100000);
      assert_int_equal(s->files->ends, 1);
    }
  assert_true(s->largest <= VESTRY_RECEIVE_BYTES);
  assert_int_equal(stats_of(s).done_count, 6);
  assert_int_equal(stats_of(s).written_bytes, 600000);
  vestry_stats all = {0};
  vestry_stats_get(s->on.v, &all);
  assert_true(all.request_peak_bytes <= 65536);
}

/* capability: L1 */
TEST_CASE(rejected_body_is_not_read) {
  suite s;
  size_t read;
  begin_with(&s, (vestry_uploads_options){.types = "image/*, application/pdf", .max_file_bytes = 1000});
  const char *text = shelf_text(2000);
  const vestry_header png = {"Content-Type", "image/png"}, html = {"Content-Type", "text/html"};
  assert_int_equal(shelf_post(&s.on, &(wire){.headers = {png}, .body = text, .body_len = 1001}, &read), 413);
  assert_int_equal(read, 0);
  assert_int_equal(shelf_post(&s.on, &(wire){.headers = {png}, .body = text, .announced = INT64_MAX}, &read), 413);
  assert_int_equal(read, 0);
  assert_int_equal(shelf_post(&s.on, &(wire){.headers = {html}, .body = text, .body_len = 10}, &read), 415);
  assert_int_equal(read, 0);
  assert_int_equal(shelf_post(&s.on, &(wire){.body = text, .body_len = 10}, &read), 415);
  assert_int_equal(read, 0);
  s.begin_error = VESTRY_LIMIT; /* a quota of the writer */
  assert_int_equal(shelf_post(&s.on, &(wire){.headers = {png}, .body = text, .body_len = 10}, &read), 503);
  assert_int_equal(read, 0);
  s.begin_error = VESTRY_OK;
  s.guard_error = VESTRY_NOT_FOUND;
  assert_int_equal(shelf_post(&s.on, &(wire){.headers = {png}, .body = text, .body_len = 10}, &read), 404);
  assert_int_equal(read, 0);
  assert_int_equal(s.count, 0);
  s.guard_error = VESTRY_OK;
  assert_int_equal(shelf_post(&s.on, &(wire){.headers = {png}, .body = text, .body_len = 10}, &read), 201);
  end_suite(&s);
}

/* capability: L1 */
TEST_CASE(body_of_another_length_than_announced_is_aborted) {
  suite s;
  begin_with(&s, (vestry_uploads_options){.max_file_bytes = 1000});
  const char *text = shelf_text(5000);
  assert_int_equal(shelf_post(&s.on, &(wire){.body = text, .body_len = 5000, .announced = -1, .piece = 300}, NULL),
                   413);
  assert_int_equal(s.files[0].aborts, 1);
  assert_int_equal(s.files[0].len, 900);
  assert_int_equal(shelf_post(&s.on, &(wire){.body = text, .body_len = 400, .announced = 500}, NULL), 400);
  assert_int_equal(s.files[1].why, VESTRY_IO);
  assert_int_equal(s.done, 0);
  end_suite(&s);
}

/* capability: L1 */
SUITE_CASE(failed_file_is_aborted_once) {
  const char *text = shelf_text(50000);
  static const struct {
    vestry_err read, write, end;
    int status;
    vestry_err why; /* OK: the file ended normally */
  } cases[] = {
      {VESTRY_IO, VESTRY_OK, VESTRY_OK, 400, VESTRY_IO},
      {VESTRY_TIMEOUT, VESTRY_OK, VESTRY_OK, 408, VESTRY_TIMEOUT},
      {VESTRY_OK, VESTRY_FULL, VESTRY_OK, 503, VESTRY_FULL},
      {VESTRY_OK, VESTRY_IO, VESTRY_OK, 500, VESTRY_IO},
      {VESTRY_OK, VESTRY_OK, VESTRY_IO, 500, VESTRY_OK},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    s->fails_at = i;
    s->write_error = cases[i].write;
    s->end_error = cases[i].end;
    wire r = {.body = text, .body_len = 40000, .announced = cases[i].read ? 50000 : 0, .read_error = cases[i].read};
    assert_int_equal(shelf_post(&s->on, &r, NULL), cases[i].status);
    assert_int_equal(s->files[i].why, cases[i].why);
    assert_int_equal(s->files[i].ends, cases[i].why == VESTRY_OK);
  }
  assert_int_equal(s->done, 0);
  assert_int_equal(stats_of(s).failed_count, 5);
}

SUITE_CASE(empty_body_is_a_file) {
  assert_int_equal(shelf_post(&s->on, &(wire){.body = ""}, NULL), 201);
  assert_int_equal(shelf_post(&s->on, &(wire){.body = "", .announced = -1}, NULL), 201);
  assert_int_equal(s->files[0].ends + s->files[1].ends, 2);
}

/* ---- forms ------------------------------------------------------------------------------------------------------- */

#define FORM                                                                                                           \
  { "Content-Type", "multipart/form-data; boundary=XyZ" }
#define FIELD(name) "--XyZ\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define FILE_(name, of)                                                                                                \
  "--XyZ\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"" of "\"\r\nContent-Type: image/png\r\n\r\n"

static int post_form(suite *s, const char *body, size_t piece) {
  return shelf_post(&s->on, &(wire){.headers = {FORM}, .body = body, .body_len = strlen(body), .piece = piece}, NULL);
}

/* capability: L1 */
TEST_CASE(form_files_and_fields_are_parsed) {
  static const char body[] = FIELD("pass") "yes\r\n" FILE_("one", "C:\\x\\a.png") "first\r\n" FILE_(
      "none", "") "\r\n" FILE_("two", "b%22.png") "second\r\n" FIELD("title") "T \xC3\xA9\r\n--XyZ--\r\n";
  for (size_t piece = 0; piece < 40; piece++) {
    suite s;
    begin_with(&s, (vestry_uploads_options){.max_files_count = 2});
    assert_int_equal(post_form(&s, body, piece), 201);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.guarded, 1);
    assert_string_equal(s.files[0].name, "a.png");
    assert_string_equal(s.files[0].field, "one");
    assert_string_equal(s.files[1].name, "b\".png");
    assert_memory_equal(s.files[0].bytes, "first", 6);
    assert_memory_equal(s.files[1].bytes, "second", 7);
    assert_string_equal(s.field, "T \xC3\xA9");
    end_suite(&s);
  }
}

/* Some clients that are no browsers encode a file's name as in RFC 8187, beside another name or alone. */
/* capability: L1 */
TEST_CASE(encoded_file_names_are_read) {
  static const char body[] = FILE_(
      "one",
      "=?utf-8?B?w6kucG5n?=\"; filename*=\"utf-8''%C3%A9.png") "first\r\n"
                                                               "--XyZ\r\nContent-Disposition: form-data; name=two; "
                                                               "filename*=UTF-8'en'a%22b%2Fc.png; filename=old\r\n\r\n"
                                                               "second\r\n--XyZ\r\nContent-Disposition: form-data; "
                                                               "name=three; filename*=bare\r\n\r\nthird\r\n"
                                                               "--XyZ\r\nContent-Disposition: form-data; name=four; "
                                                               "filename*=ISO-8859-1''caf%E9.png; filename=cafe.png"
                                                               "\r\n\r\nfourth\r\n--XyZ--";
  for (size_t piece = 0; piece < 40; piece += 13) {
    suite s;
    begin_with(&s, (vestry_uploads_options){.max_files_count = 4});
    assert_int_equal(post_form(&s, body, piece), 201);
    assert_int_equal(s.count, 4);
    assert_string_equal(s.files[3].name, "cafe.png"); /* the other name is in another character set */
    assert_string_equal(s.files[0].name, "\xC3\xA9.png");
    assert_string_equal(s.files[1].name, "c.png");
    assert_string_equal(s.files[2].name, "bare");
    end_suite(&s);
  }
}

/* capability: L1 */
TEST_CASE(invalid_form_aborts_all_files) {
  static const struct {
    const char *body;
    int status;
    size_t begun;
  } cases[] = {
      /* The body breaks off. */
      {FILE_("a", "x") "1\r\n" FILE_("b", "y") "2", 400, 2},
      {FILE_("a", "x") "1\r\n--XyZoops\r\n\r\n", 400, 1},                                       /* no line break */
      {FILE_("a", "x") "1\r\n" FILE_("b", "y") "2\r\n" FILE_("c", "z") "3\r\n--XyZ--", 413, 2}, /* too many files */
      /* Rejected by the guard. */
      {FIELD("pass") "no\r\n" FILE_("a", "x") "1\r\n--XyZ--", 404, 0},
      {FIELD("pass") "no\r\n--XyZ--", 404, 0},
      {FIELD("a") "\xFF\r\n--XyZ--", 400, 0},
      {FILE_("a", "") "bytes\r\n--XyZ--", 400, 0},
      {"no form", 400, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    suite s;
    begin_with(&s, (vestry_uploads_options){.max_files_count = 2});
    assert_int_equal(post_form(&s, cases[i].body, 7), cases[i].status);
    assert_int_equal(s.count, cases[i].begun);
    for (size_t f = 0; f < s.count; f++) assert_int_equal(s.files[f].aborts, 1);
    assert_int_equal(s.done, 0);
    end_suite(&s);
  }
}

/* A script that sends the form follows redirects unseen. So it gets the redirect of `done` as a 200 with a header, and
 * that of a guard as a 403. */
/* capability: L1 */
TEST_CASE(script_gets_a_confirmation_instead_of_a_redirect) {
  static const char body[] = FILE_("a", "x") "1\r\n--XyZ--";
  static const struct {
    int status;
    bool is_out, is_script;
    int answer;
    const char *kept, *location;
  } cases[] = {
      {303, false, true, 200, "303", "/films"}, {303, false, false, 303, "", "/films"},
      {201, false, true, 201, "201", ""},       {422, false, true, 422, "", ""},
      {303, true, true, 403, "", "/login"},     {303, true, false, 303, "", "/login"},
  };
  suite s;
  begin_with(&s, (vestry_uploads_options){.max_file_bytes = 0});
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char value[40];
    s.status = cases[i].status;
    s.is_out = cases[i].is_out;
    wire r = {.method = "POST", .path = "/files", .headers = {FORM}, .body = body, .body_len = strlen(body)};
    if (cases[i].is_script) r.headers[1] = (vestry_header){"Vestry-Upload", "1"};
    wire_request(&s.on, &r, NULL, NULL);
    assert_int_equal(r.status, cases[i].answer);
    (void)wire_value(&r, "Vestry-Kept", value, sizeof value);
    assert_string_equal(value, cases[i].kept);
    (void)wire_value(&r, "Location", value, sizeof value);
    assert_string_equal(value, cases[i].location);
    wire_finish(&r);
  }
  assert_int_equal(s.count, 4);
  end_suite(&s);
}

/* The first of three files has ended, and the end of the second fails. The first stays ended, and is not aborted as
 * well. */
TEST_CASE(failed_end_aborts_only_later_files) {
  suite s;
  begin_with(&s, (vestry_uploads_options){.max_files_count = 3});
  s.end_error = VESTRY_IO;
  s.fails_at = 1;
  assert_int_equal(post_form(&s, FILE_("a", "x") "1\r\n" FILE_("b", "y") "2\r\n" FILE_("c", "z") "3\r\n--XyZ--", 0),
                   500);
  assert_int_equal(s.files[0].ends, 1);
  assert_int_equal(s.files[1].ends, 1);
  assert_int_equal(s.files[2].aborts, 1);
  end_suite(&s);
}

TEST_CASE(form_fields_are_bounded_in_total) {
  suite s;
  begin_with(&s, (vestry_uploads_options){.max_fields_bytes = 65536});
  char *body = malloc(200000);
  size_t len = (size_t)sprintf(body, "%s", FIELD("title"));
  memset(body + len, 'x', 70000);
  strcpy(body + len + 70000, "\r\n--XyZ--");
  assert_int_equal(post_form(&s, body, 0), 413);
  memset(body + len, 'x', 60000);
  strcpy(body + len + 60000, "\r\n--XyZ--");
  assert_int_equal(post_form(&s, body, 0), 201);
  /* For each length of the first field, the bytes of the next one count too. */
  for (size_t first = 65510; first < 65550; first++) {
    memset(body + len, 'x', first);
    char *at = stpcpy(body + len + first, "\r\n" FIELD("more"));
    memset(at, 'y', 100000);
    strcpy(at + 100000, "\r\n--XyZ--");
    assert_int_equal(post_form(&s, body, 0), 413);
  }
  free(body);
  end_suite(&s);
}

/* Post a form with a text of this many letters, and a file of three bytes. *ret_is_named: the answer is that the text
 * is too long. */
static int post_letters(suite *s, const char *letter, size_t count, bool *ret_is_named) {
  static const char rest[] = "\r\n" FILE_("photo", "a.png") "PNG\r\n--XyZ--";
  char *body = malloc(count * strlen(letter) + sizeof FIELD("text") + sizeof rest), *at = stpcpy(body, FIELD("text"));
  for (size_t i = 0; i < count; i++) at = stpcpy(at, letter);
  strcpy(at, rest);
  wire r = {.method = "POST", .path = "/files", .headers = {FORM}, .body = body, .body_len = strlen(body)};
  s->count = 0;
  memset(s->files, 0, sizeof *s->files);
  wire_request(&s->on, &r, NULL, NULL);
  *ret_is_named = r.text && strstr(r.text, "The text in this form is too long: at most 1048576 bytes are allowed.");
  wire_finish(&r);
  free(body);
  return r.status;
}

/* capability: L1 */
TEST_CASE(text_beside_a_file_has_the_bound_of_other_bodies) {
  suite s;
  bool is_named;
  enum { BOUND = 1 << 20, NAME = sizeof "text" }; /* each text has a byte for its end */
  begin_with(&s, (vestry_uploads_options){.max_file_bytes = 0});
  static const char *const letters[] = {"a", "\xD0\x96", "\xE4\xBB\x8A"};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(post_letters(&s, letters[i], 50000, &is_named), 201);
    assert_int_equal(s.files->len, 3);
  }
  assert_int_equal(post_letters(&s, "a", BOUND - NAME - 1, &is_named), 201);
  assert_int_equal(post_letters(&s, "a", BOUND - NAME, &is_named), 413);
  assert_true(is_named);
  assert_int_equal(s.count, 0);
  end_suite(&s);
}

/* Text that waits for its files uses at most half of the memory of all requests. */
TEST_CASE(text_beside_a_file_leaves_room_for_other_requests) {
  suite s;
  bool is_named;
  vestry_stats stats = {0};
  const size_t half = ((size_t)128 << 20) + 1;
  begin_with(&s, (vestry_uploads_options){.max_file_bytes = 0});
  assert_true(vestry_request_bytes_take(s.on.v, half));
  assert_int_equal(post_letters(&s, "a", 1000, &is_named), 503);
  assert_int_equal(s.count, 0);
  vestry_stats_get(s.on.v, &stats);
  assert_int_equal(stats.refused_by_reason[VESTRY_REFUSAL_BUDGET], 1);
  assert_int_equal(stats.request_bytes, half);
  vestry_request_bytes_give(s.on.v, half);
  assert_int_equal(post_letters(&s, "a", 1000, &is_named), 201);
  end_suite(&s);
}

/* ---- pushed bodies ----------------------------------------------------------------------------------------------- */

static vestry_receiving *push_begin(suite *s, wire *r) {
  vestry_receiving *receiving = NULL;
  r->method = "POST";
  if (!r->path) r->path = "/files";
  assert_int_equal(vestry_receive_begin(s->on.v, &wire_ops, r, &receiving), VESTRY_OK);
  vestry_receive_open(receiving);
  return receiving;
}

static void push_bytes(vestry_receiving *receiving, const char *bytes, size_t len) {
  size_t room;
  char *to = vestry_receive_room(receiving, &room);
  if (!to) return;
  assert_true(room >= len);
  memcpy(to, bytes, len);
  vestry_receive_put(receiving, len);
}

static void push_some(vestry_receiving *receiving, const char *bytes, size_t len) {
  push_bytes(receiving, bytes, len);
  vestry_receive_write(receiving);
}

static int push_end(vestry_receiving *receiving, wire *r) {
  vestry_connection *connection;
  vestry_receive_close(receiving);
  assert_int_equal(vestry_receive_end(receiving, VESTRY_OK, &connection), VESTRY_OK);
  assert_null(connection);
  int status = r->status;
  wire_finish(r);
  return status;
}

/* capability: L1 */
TEST_CASE(pushed_uploads_are_limited_per_person) {
  suite s;
  begin_with(&s, (vestry_uploads_options){.max_count = 3, .max_per_person_count = 2});
  wire one = {.announced = 6}, two = {.announced = 6}, three = {.announced = 6},
       other = {.peer = "192.0.2.2", .announced = 1};
  vestry_receiving *first = push_begin(&s, &one), *second = push_begin(&s, &two), *third = push_begin(&s, &three);
  vestry_receiving *fourth = push_begin(&s, &other);
  assert_true(vestry_receive_wants(first) && vestry_receive_wants(second) && vestry_receive_wants(fourth));
  assert_false(vestry_receive_wants(third)); /* limit per person */
  push_some(first, "abc", 3);
  push_some(third, "abc", 3);
  push_some(second, "x", 1);
  push_some(first, "def", 3);
  assert_int_equal(push_end(first, &one), 201);
  assert_int_equal(push_end(third, &three), 429);
  (void)vestry_receive_end(second, VESTRY_TIMEOUT, NULL);
  (void)vestry_receive_end(fourth, VESTRY_IO, NULL);
  assert_memory_equal(s.files[0].bytes, "abcdef", 7);
  assert_int_equal(s.files[1].why, VESTRY_TIMEOUT);
  assert_int_equal(s.files[2].why, VESTRY_IO);
  wire_finish(&two);
  wire_finish(&other);
  vestry_receiving *none;
  wire elsewhere = {.method = "POST", .path = "/elsewhere"};
  assert_int_equal(vestry_receive_begin(s.on.v, &wire_ops, &elsewhere, &none), VESTRY_NOT_FOUND);
  wire_finish(&elsewhere);
  end_suite(&s);
}

/* The server may have freed the request when its client breaks off: the rest of the body is not parsed any more,
 * because it could contain the first file, for which the guards run. */
/* capability: L1 */
SUITE_CASE(broken_form_calls_neither_guard_nor_writer) {
  static const char file[] = "--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\nabc";
  wire form = {.headers = {{"Content-Type", "multipart/form-data; boundary=XyZ"}}, .announced = 100000};
  wire body = {.announced = 100000};
  vestry_receiving *first = push_begin(s, &form), *second = push_begin(s, &body);
  push_bytes(first, file, sizeof file - 1);
  push_bytes(second, "abc", 3);
  form.freed = body.freed = true;
  (void)vestry_receive_end(first, VESTRY_IO, NULL);
  (void)vestry_receive_end(second, VESTRY_TIMEOUT, NULL);
  assert_int_equal(s->guarded, 1); /* that of the body, when it began */
  assert_int_equal(s->count, 1);
  assert_int_equal(s->files[0].len, 0);
  wire_finish(&form);
  wire_finish(&body);
}

TEST_CASE(upload_over_max_count_gets_503) {
  suite s;
  begin_with(&s, (vestry_uploads_options){.max_count = 1});
  wire one = {.announced = 6}, two = {.peer = "192.0.2.2", .announced = 6};
  vestry_receiving *first = push_begin(&s, &one), *second = push_begin(&s, &two);
  assert_int_equal(push_end(second, &two), 503);
  (void)vestry_receive_end(first, VESTRY_IO, NULL);
  wire_finish(&one);
  assert_int_equal(stats_of(&s).refused_count, 1);
  assert_int_equal(shelf_post(&s.on, &(wire){.body = "x", .body_len = 1}, NULL), 201);
  end_suite(&s);
}

/* ---- invalid options, memory ------------------------------------------------------------------------------------- */

TEST_CASE(invalid_options_are_rejected_and_logged) {
  suite s;
  begin_with(&s, (vestry_uploads_options){.max_count = 1});
  vestry_uploads *none = NULL;
  const vestry_upload_writer half = {.begin = begin_file};
  const vestry_uploads_options wrong[] = {
      {.pattern = NULL, .writer = &writer},
      {.pattern = "/x", .writer = NULL},
      {.pattern = "/x", .writer = &half},
      {.pattern = "/x", .writer = &writer, .max_files_count = VESTRY_UPLOAD_FILES_MAX + 1},
      {.pattern = "/x", .writer = &writer, .max_file_bytes = UINT64_MAX},
      {.pattern = "/x", .writer = &writer, .max_fields_bytes = SIZE_MAX},
      {.pattern = "x", .writer = &writer},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    *s.on.th.last_log = '\0';
    assert_int_equal(vestry_uploads_create(s.on.v, &wrong[i], &none), VESTRY_INVALID);
    assert_true(*s.on.th.last_log);
  }
  assert_int_equal(
      vestry_uploads_create(s.on.v, &(vestry_uploads_options){.pattern = "/files", .writer = &writer}, &none),
      VESTRY_EXISTS);
  assert_null(none);
  end_suite(&s);
}

TEST_CASE(allocation_failure_ends_each_file_once) {
  static const char body[] = FIELD("title") "T\r\n" FILE_("a", "x") "1\r\n" FILE_("b", "y") "2\r\n--XyZ--";
  suite s;
  begin_with(&s, (vestry_uploads_options){.max_files_count = 2});
  bool failed = true;
  for (long number = 0; failed; number++) {
    int was_done = s.done;
    s.count = 0;
    memset(s.files, 0, 2 * sizeof *s.files);
    test_host_fail_in(&s.on.th, number);
    int status = post_form(&s, body, 50);
    failed = test_host_has_failed(&s.on.th);
    test_host_fail_no_more(&s.on.th);
    assert_true(status == 201 || status == 500);
    if (!failed) assert_int_equal(status, 201);
    assert_true(status == 201 ? s.done == was_done + 1 : s.done <= was_done + 1);
    for (size_t i = 0; i < s.count; i++) assert_int_equal(s.files[i].ends + s.files[i].aborts, 1);
  }
  s.count = 0;
  vestry_uploads *more = NULL;
  vestry_err error = VESTRY_NO_MEMORY;
  for (long number = 0; error; number++) {
    test_host_fail_in(&s.on.th, number);
    error = vestry_uploads_create(s.on.v, &(vestry_uploads_options){.pattern = "/more", .writer = &writer}, &more);
    test_host_fail_no_more(&s.on.th);
    assert_true(!error || error == VESTRY_NO_MEMORY);
  }
  vestry_uploads_destroy(more);
  vestry_uploads_destroy(NULL);
  end_suite(&s);
}

/* A guard against repeats lets each upload pass, also an interrupted one, with a nonce that is already used. */
SUITE_CASE(uploads_pass_a_guard_against_repeats) {
  vestry_once *once;
  assert_int_equal(vestry_once_create(s->on.v, &(vestry_once_options){.required = true}, &once), VESTRY_OK);
  assert_int_equal(vestry_guard(s->on.v, "/", vestry_once_guard, once), VESTRY_OK);
  const vestry_header headers[] = {{"Content-Type", "image/png"}, {"X-Once", "any"}};
  for (int i = 0; i < 3; i++) {
    wire r = {.headers = {headers[0], headers[1]}, .body = "file", .body_len = 4, .announced = i == 1 ? 10 : 0};
    assert_int_equal(shelf_post(&s->on, &r, NULL), i == 1 ? 400 : 201);
  }
  assert_int_equal(s->done, 2);
  assert_int_equal(vestry_stop(s->on.v, VESTRY_NEVER_MS), VESTRY_OK);
  vestry_once_destroy(once);
}

/* An upload is a request, and so has a span in its trace. */
SUITE_CASE(upload_is_a_request_span) {
  spans reported;
  vestry_trace given;
  static const char text[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  spans_begin(&reported, &s->on.th.host);
  assert_int_equal(vsi_trace_read(text, strlen(text), &given), VESTRY_OK);
  wire r = {.headers = {{"Content-Type", "image/png"}, {"traceparent", text}}, .body = "file", .body_len = 4};
  assert_int_equal(shelf_post(&s->on, &r, NULL), 201);
  spans_assert_child(spans_one(&reported, VESTRY_SPAN_REQUEST), &given);
  assert_null(vestry_trace_here());
}
