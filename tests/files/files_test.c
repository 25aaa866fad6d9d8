/* SPDX-License-Identifier: MIT */
/* Static files: replies, headers, and files that must not be served. */
#include "vestry/app/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/files/conditions.h"
#include "app/files/known.h"
#include "serve/wire.h"
#include "support/descriptors.h"
#include "support/folder.h"
#include "vestry/routes.h"

/* ------------------------------------------------------------------------------------------------- the suite ------ */

typedef struct suite {
  site on;
  vestry_files *files;
  char top[FOLDER_BYTES], folder[FOLDER_BYTES + 8]; /* the folder is in top, beside a file that must not be served */
  int fd;
} suite;

static void path_of(const suite *s, const char *name, char path[256]) {
  snprintf(path, 256, "%s/%s", s->folder, name);
}

static void put_at(const suite *s, const char *name, const char *text, time_t modified_s) {
  char path[256];
  path_of(s, name, path);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
  const struct timespec times[2] = {{modified_s, 0}, {modified_s, 0}};
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void put(const suite *s, const char *name, const char *text) {
  put_at(s, name, text, 784111777); /* Sun, 06 Nov 1994 08:49:37 GMT */
}

static void make_folder(suite *s) {
  char path[256];
  folder_make(s->top, "files");
  snprintf(s->folder, sizeof s->folder, "%s/site", s->top);
  assert_int_equal(mkdir(s->folder, 0700), 0);
  path_of(s, "css", path);
  assert_int_equal(mkdir(path, 0700), 0);
  path_of(s, ".git", path);
  assert_int_equal(mkdir(path, 0700), 0);
  put(s, "a.txt", "0123456789");
  put(s, "empty.bin", "");
  put(s, "css/site.css", "p{}");
  put(s, ".git/config", "secret");
  put(s, ".env", "secret");
  put(s, "../secret.txt", "secret");
  path_of(s, "link.txt", path);
  assert_int_equal(symlink("../secret.txt", path), 0);
  path_of(s, "inner.txt", path);
  assert_int_equal(symlink("a.txt", path), 0);
  path_of(s, "out", path);
  assert_int_equal(symlink("..", path), 0);
  path_of(s, "fifo", path);
  assert_int_equal(mkfifo(path, 0600), 0);
  s->fd = open(s->folder, O_RDONLY | O_DIRECTORY);
  assert_true(s->fd >= 0);
}

static void remove_folder(suite *s) {
  close(s->fd);
  folder_remove(s->top);
}

static void begin(suite *s, vestry_files_options options) {
  make_folder(s);
  site_begin(&s->on, (vestry_options){0});
  options.host = &s->on.th.host;
  if (!options.embedded) options.folder = s->folder;
  assert_int_equal(vestry_files_create(&options, &s->files), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/{path...}", vestry_files_handler, s->files), VESTRY_OK);
}

static void end(suite *s) {
  vestry_files_destroy(s->files);
  site_end(&s->on);
  remove_folder(s);
}

/* Send the request, and compare status and body. */
static void ask(suite *s, wire *r, int status, const char *text) {
  wire_request(&s->on, r, NULL, NULL);
  assert_int_equal(r->status, status);
  if (text) assert_string_equal(r->text ? r->text : "", text);
}

static void etag_now(suite *s, const char *path, const char *accept, char etag[128]) {
  wire r = {.path = path, .headers = {{accept ? "Accept-Encoding" : NULL, accept}}};
  ask(s, &r, 200, NULL);
  assert_true(wire_value(&r, "ETag", etag, 128));
  wire_finish(&r);
}

/* Get the lasting ETag: that of a file which was written just now changes with each request. */
static void etag_of(suite *s, const char *path, const char *accept, char etag[128]) {
  char former[128];
  etag_now(s, path, accept, etag);
  do {
    memcpy(former, etag, sizeof former);
    etag_now(s, path, accept, etag);
  } while (strcmp(former, etag) != 0);
}

/* ---------------------------------------------------------------------------------------------- the tests --------- */

/* capability: K7 */
TEST_CASE(file_is_served_with_its_headers) {
  suite s;
  begin(&s, (vestry_files_options){.max_age_s = 60});
  wire r = {.path = "/css/site.css"};
  ask(&s, &r, 200, "p{}");
  assert_true(wire_has_header(&r, "Content-Type: text/css; charset=utf-8"));
  assert_true(wire_has_header(&r, "X-Content-Type-Options: nosniff"));
  assert_true(wire_has_header(&r, "Cache-Control: max-age=60"));
  assert_true(wire_has_header(&r, "Vary: Accept-Encoding"));
  assert_true(wire_has_header(&r, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"));
  assert_true(wire_has_header(&r, "Accept-Ranges: bytes"));
  assert_null(strstr(r.head, "Content-Encoding"));
  wire_finish(&r);
  wire empty = {.path = "/empty.bin"};
  ask(&s, &empty, 200, "");
  assert_true(wire_has_header(&empty, "Content-Type: application/octet-stream"));
  wire_finish(&empty);
  assert_string_equal(vsi_content_type("a.d/b"), "application/octet-stream");
  assert_string_equal(vsi_content_type("a/B.PNG"), "image/png");
  end(&s);
}

/* capability: K7 */
TEST_CASE(paths_outside_the_folder_are_not_found) {
  static const char *const hostile[] = {"",
                                        "/",
                                        "..",
                                        ".",
                                        "../secret.txt",
                                        "css/../../secret.txt",
                                        "css/../a.txt",
                                        "./a.txt",
                                        "css/./site.css",
                                        "//etc/passwd",
                                        "/etc/passwd",
                                        "/a.txt",
                                        "a.txt/",
                                        "a.txt/b",
                                        "css",
                                        "css/",
                                        "css//site.css",
                                        ".env",
                                        ".git/config",
                                        ".git",
                                        "link.txt",
                                        "inner.txt",
                                        "out/secret.txt",
                                        "out/site/a.txt",
                                        "out",
                                        "fifo",
                                        "...",
                                        "a.txt\n",
                                        "a.txt\t",
                                        "\x7f",
                                        "css\\site.css",
                                        "%2e%2e/secret.txt",
                                        "nothing",
                                        "/proc/self/root/etc/passwd"};
  suite s;
  begin(&s, (vestry_files_options){0});
  char longest[6000];
  memset(longest, 'a', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  int fd = -1;
  struct stat stat;
  for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
    if (vsi_folder_open(s.fd, hostile[i], &fd, &stat) != VESTRY_NOT_FOUND) fail_msg("'%s'", hostile[i]);
  assert_int_equal(vsi_folder_open(s.fd, NULL, &fd, &stat), VESTRY_NOT_FOUND);
  assert_int_equal(vsi_folder_open(s.fd, longest, &fd, &stat), VESTRY_NOT_FOUND);
  longest[300] = longest[600] = '/'; /* a component that is too long */
  assert_int_equal(vsi_folder_open(s.fd, longest, &fd, &stat), VESTRY_NOT_FOUND);
  assert_int_equal(fd, -1);
  assert_int_equal(vsi_folder_open(s.fd, "css/site.css", &fd, &stat), VESTRY_OK);
  assert_int_equal(stat.st_size, 3);
  close(fd);
  for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    char path[128];
    snprintf(path, sizeof path, "/%s", hostile[i]);
    wire r = {.path = path};
    wire_request(&s.on, &r, NULL, NULL);
    assert_true(r.status == 404 || r.status == 400);
    wire_finish(&r);
  }
  end(&s);
}

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, begin(s, (vestry_files_options){0}), end(s))

/* capability: K7 */
SUITE_CASE(conditional_requests_get_304) {
  char etag[128], listed[300], weak[140];
  etag_of(s, "/a.txt", NULL, etag);
  assert_int_equal(etag[0], '"');
  snprintf(listed, sizeof listed, "\"x,y\" ,, W/\"z\",%s", etag);
  snprintf(weak, sizeof weak, "W/%s", etag);
  static const char then[] = "Sun, 06 Nov 1994 08:49:37 GMT", before[] = "Sun, 06 Nov 1994 08:49:36 GMT";
  const struct {
    const char *tags, *since;
    int status;
  } rows[] = {
      {etag, NULL, 304},
      {listed, NULL, 304},
      {weak, NULL, 304},
      {"*", NULL, 304},
      {"\"other\"", NULL, 200},
      {"\"", NULL, 200},
      {"", NULL, 200},
      {"nonsense", then, 200}, /* a date counts only without tags */
      {"\"other\"", then, 200},
      {etag, before, 304},
      {NULL, then, 304},
      {NULL, "Mon, 07 Nov 1994 08:49:37 GMT", 304},
      {NULL, before, 200},
      {NULL, "Sunday, 06-Nov-94 08:49:37 GMT", 304},
      {NULL, "Sun Nov  6 08:49:37 1994", 304},
      {NULL, "Sun Nov  6 08:49:36 1994", 200},
      {NULL, "tomorrow", 200},
      {NULL, "Sun, 06 Nov 1994 08:49:37 GMT+1", 200},
      {NULL, "Sun, 06 Foo 2094 08:49:37 GMT", 200},
      {NULL, "Sun, 99 Nov 2094 08:49:37 GMT", 200},
      {NULL, "", 200},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    wire r = {.path = "/a.txt"};
    size_t n = 0;
    if (rows[i].tags) r.headers[n++] = (vestry_header){"If-None-Match", rows[i].tags};
    if (rows[i].since) r.headers[n++] = (vestry_header){"If-Modified-Since", rows[i].since};
    wire_request(&s->on, &r, NULL, NULL);
    if (r.status != rows[i].status) fail_msg("row %zu: %d", i, r.status);
    assert_string_equal(r.text ? r.text : "", r.status == 304 ? "" : "0123456789");
    assert_true(wire_has_header(&r, "Cache-Control: no-cache")); /* a 304 has what a 200 would have: 15.4.5 */
    assert_non_null(strstr(r.head, etag));
    wire_finish(&r);
  }
  assert_int_equal(vestry_route(s->on.v, "POST", "/{path...}", vestry_files_handler, s->files), VESTRY_OK);
  wire post = {.method = "POST", .path = "/a.txt", .headers = {{"If-None-Match", "*"}, {"Range", "bytes=0-1"}}};
  ask(s, &post, 200, "0123456789");
  wire_finish(&post);
}

/* capability: K7 */
SUITE_CASE(failed_preconditions_get_412) {
  char etag[128], listed[300], weak[140];
  etag_of(s, "/a.txt", NULL, etag);
  snprintf(listed, sizeof listed, "W/\"z\", \"x,y\" ,,%s", etag);
  snprintf(weak, sizeof weak, "W/%s", etag);
  static const char then[] = "Sun, 06 Nov 1994 08:49:37 GMT", before[] = "Sun, 06 Nov 1994 08:49:36 GMT";
  const struct {
    const char *tags, *since, *none;
    int status;
  } rows[] = {
      {etag, NULL, NULL, 200},
      {listed, NULL, NULL, 200},
      {"*", NULL, NULL, 200},
      {weak, NULL, NULL, 412}, /* compared strongly: 13.1.1 */
      {"\"other\"", NULL, NULL, 412},
      {"", NULL, NULL, 412},
      {"\"", NULL, NULL, 412},
      {etag, before, NULL, 200}, /* a date counts only without tags */
      {"\"other\"", then, NULL, 412},
      {NULL, then, NULL, 200},
      {NULL, "Mon, 07 Nov 1994 08:49:37 GMT", NULL, 200},
      {NULL, before, NULL, 412},
      {NULL, "yesterday", NULL, 200},
      {etag, NULL, etag, 304}, /* If-Match precedes If-None-Match: 13.2.2 */
      {"\"other\"", NULL, etag, 412},
      {NULL, before, etag, 412},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    wire r = {.path = "/a.txt"};
    size_t n = 0;
    if (rows[i].tags) r.headers[n++] = (vestry_header){"If-Match", rows[i].tags};
    if (rows[i].since) r.headers[n++] = (vestry_header){"If-Unmodified-Since", rows[i].since};
    if (rows[i].none) r.headers[n++] = (vestry_header){"If-None-Match", rows[i].none};
    wire_request(&s->on, &r, NULL, NULL);
    if (r.status != rows[i].status) fail_msg("row %zu: %d", i, r.status);
    assert_string_equal(r.text ? r.text : "", r.status == 200 ? "0123456789" : "");
    assert_int_equal(wire_has_header(&r, "Content-Length: 10"), r.status == 304);
    wire_finish(&r);
  }
  wire part = {.path = "/a.txt", .headers = {{"If-Match", "\"other\""}, {"Range", "bytes=0-1"}}};
  ask(s, &part, 412, "");
  wire_finish(&part);
  assert_int_equal(vestry_route(s->on.v, "POST", "/{path...}", vestry_files_handler, s->files), VESTRY_OK);
  wire post = {.method = "POST", .path = "/a.txt", .headers = {{"If-Match", "\"other\""}}};
  ask(s, &post, 200, "0123456789");
  wire_finish(&post);
}

/* capability: K7 */
TEST_CASE(ranges_get_206_or_416) {
  static const struct {
    const char *range;
    int status;
    const char *body, *content_range;
  } rows[] = {
      {"bytes=0-3", 206, "0123", "bytes 0-3/10"},
      {"BYTES=0-0", 206, "0", "bytes 0-0/10"},
      {"bytes=8-", 206, "89", "bytes 8-9/10"},
      {"bytes=9-99999999999999999999999", 206, "9", "bytes 9-9/10"},
      {"bytes=-3", 206, "789", "bytes 7-9/10"},
      {"bytes=-99999999999999999999999", 206, "0123456789", "bytes 0-9/10"},
      {"bytes=10-", 416, "", "bytes */10"},
      {"bytes=99999999999999999999999-", 416, "", "bytes */10"},
      {"bytes=-0", 416, "", "bytes */10"},
      {"bytes=3-2", 200, "0123456789", NULL},
      {"bytes=0-1,3-4", 200, "0123456789", NULL},
      {"bytes=", 200, "0123456789", NULL},
      {"bytes=-", 200, "0123456789", NULL},
      {"bytes=--1", 200, "0123456789", NULL},
      {"bytes=+1-2", 200, "0123456789", NULL},
      {"bytes=1-2x", 200, "0123456789", NULL},
      {"bytes=x-2", 200, "0123456789", NULL},
      {"lines=0-3", 200, "0123456789", NULL},
      {"", 200, "0123456789", NULL},
  };
  suite s;
  begin(&s, (vestry_files_options){0});
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    wire r = {.path = "/a.txt", .headers = {{"Range", rows[i].range}}};
    char value[128];
    wire_request(&s.on, &r, NULL, NULL);
    if (r.status != rows[i].status) fail_msg("%s: %d", rows[i].range, r.status);
    assert_string_equal(r.text ? r.text : "", rows[i].body);
    assert_int_equal(wire_value(&r, "Content-Range", value, sizeof value), rows[i].content_range != NULL);
    if (rows[i].content_range) assert_string_equal(value, rows[i].content_range);
    wire_finish(&r);
  }
  wire nothing = {.path = "/empty.bin", .headers = {{"Range", "bytes=0-"}}};
  ask(&s, &nothing, 416, "");
  wire_finish(&nothing);
  wire last_of_nothing = {.path = "/empty.bin", .headers = {{"Range", "bytes=-1"}}};
  ask(&s, &last_of_nothing, 416, "");
  wire_finish(&last_of_nothing);
  wire head = {.method = "HEAD", .path = "/a.txt", .headers = {{"Range", "bytes=0-3"}}};
  ask(&s, &head, 200, NULL); /* ranges are defined for GET only: 14.2 */
  wire_finish(&head);
  char etag[128], weak[140];
  etag_of(&s, "/a.txt", NULL, etag);
  snprintf(weak, sizeof weak, "W/%s", etag);
  const struct {
    const char *only_if;
    int status;
  } ifs[] = {{etag, 206}, {weak, 200}, {"\"other\"", 200}, {"Sun, 06 Nov 1994 08:49:37 GMT", 200}};
  for (size_t i = 0; i < sizeof ifs / sizeof *ifs; i++) {
    wire r = {.path = "/a.txt", .headers = {{"Range", "bytes=1-2"}, {"If-Range", ifs[i].only_if}}};
    ask(&s, &r, ifs[i].status, ifs[i].status == 206 ? "12" : "0123456789");
    wire_finish(&r);
  }
  end(&s);
}

/* capability: K7 */
SUITE_CASE(precompressed_files_are_negotiated) {
  put(s, "app.js", "plain");
  put(s, "app.js.br", "brotli");
  put(s, "app.js.gz", "gzipped");
  static const struct {
    const char *accept, *body, *coding;
  } rows[] = {
      {NULL, "plain", NULL},
      {"gzip, deflate, br", "brotli", "br"},
      {"gzip", "gzipped", "gzip"},
      {"br;q=0.1, gzip", "gzipped", "gzip"},
      {"br;q=0, gzip;q=0", "plain", NULL},
      {"zstd", "plain", NULL},
      {"zstd, identity;q=0", "plain", NULL},
      {"", "plain", NULL},
  };
  char etags[3][128];
  etag_of(s, "/app.js", NULL, etags[0]);
  etag_of(s, "/app.js", "br", etags[1]);
  etag_of(s, "/app.js", "gzip", etags[2]);
  for (int i = 0; i < 3; i++) assert_string_not_equal(etags[i], etags[(i + 1) % 3]);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    wire r = {.path = "/app.js", .headers = {{rows[i].accept ? "Accept-Encoding" : NULL, rows[i].accept}}};
    char value[128];
    ask(s, &r, 200, rows[i].body);
    assert_true(wire_has_header(&r, "Content-Type: text/javascript; charset=utf-8"));
    assert_true(wire_has_header(&r, "Vary: Accept-Encoding"));
    assert_int_equal(wire_value(&r, "Content-Encoding", value, sizeof value), rows[i].coding != NULL);
    if (rows[i].coding) assert_string_equal(value, rows[i].coding);
    wire_finish(&r);
  }
  wire known = {.path = "/app.js", .headers = {{"Accept-Encoding", "br"}, {"If-None-Match", etags[1]}}};
  ask(s, &known, 304, "");
  wire_finish(&known);
  wire other = {.path = "/app.js", .headers = {{"Accept-Encoding", "br"}, {"If-None-Match", etags[0]}}};
  ask(s, &other, 200, "brotli");
  wire_finish(&other);
  wire part = {.path = "/app.js", .headers = {{"Accept-Encoding", "br"}, {"Range", "bytes=1-2"}}};
  ask(s, &part, 206, "la");
  assert_null(strstr(part.head, "Content-Encoding"));
  wire_finish(&part);
  put_at(s, "app.js", "changed", 784111778); /* the encoded files are now older */
  wire stale = {.path = "/app.js", .headers = {{"Accept-Encoding", "br, gzip"}}};
  ask(s, &stale, 200, "changed");
  wire_finish(&stale);
}

/* capability: K7 */
SUITE_CASE(changed_file_has_a_new_etag) {
  char etag[128];
  etag_of(s, "/a.txt", NULL, etag);
  put(s, "a.txt", "9876543210"); /* of the same length, and within the same second */
  wire r = {.path = "/a.txt", .headers = {{"If-None-Match", etag}}};
  ask(s, &r, 200, "9876543210");
  wire_finish(&r);
  wire part = {.path = "/a.txt", .headers = {{"Range", "bytes=0-1"}, {"If-Range", etag}}};
  ask(s, &part, 200, "9876543210");
  wire_finish(&part);
  for (int i = 0; i < 20; i++) { /* mostly within one step of the file system's clock */
    put(s, "a.txt", "former one");
    etag_now(s, "/a.txt", NULL, etag);
    put(s, "a.txt", "later one.");
    wire again = {.path = "/a.txt", .headers = {{"If-None-Match", etag}}};
    ask(s, &again, 200, "later one.");
    wire_finish(&again);
  }
  char path[256];
  path_of(s, "a.txt", path);
  assert_int_equal(unlink(path), 0);
  wire gone = {.path = "/a.txt"};
  ask(s, &gone, 404, NULL);
  wire_finish(&gone);
}

TEST_CASE(file_over_max_file_bytes_gets_500) {
  suite s;
  begin(&s, (vestry_files_options){.max_file_bytes = 9});
  wire r = {.path = "/a.txt"};
  ask(&s, &r, 500, NULL);
  assert_true(s.on.th.log_lines > 0);
  wire_finish(&r);
  put(&s, "b.txt", "small");
  put(&s, "b.txt.gz", "not so small");
  wire plain = {.path = "/b.txt", .headers = {{"Accept-Encoding", "gzip"}}};
  ask(&s, &plain, 200, "small");
  wire_finish(&plain);
  end(&s);
}

static const vestry_file table[] = {
    {.path = "app.js", .bytes = "abc", .len = 3, .br = "B", .br_len = 1},
    {.path = "odd", .bytes = "<p>", .len = 3, .content_type = "text/html"},
    {.path = "nothing"},
};

/* capability: K7 */
TEST_CASE(embedded_files_are_served) {
  suite s;
  begin(&s, (vestry_files_options){.embedded = table, .embedded_count = 3});
  char etag[128], value[128];
  wire r = {.path = "/app.js"};
  ask(&s, &r, 200, "abc");
  assert_false(wire_value(&r, "Last-Modified", value, sizeof value));
  assert_true(wire_value(&r, "ETag", etag, 128));
  wire_finish(&r);
  wire known = {.path = "/app.js", .headers = {{"If-None-Match", etag}}};
  ask(&s, &known, 304, "");
  wire_finish(&known);
  wire dated = {.path = "/app.js", .headers = {{"If-Modified-Since", "Sun, 06 Nov 2094 08:49:37 GMT"}}};
  ask(&s, &dated, 200, "abc");
  wire_finish(&dated);
  wire encoded = {.path = "/app.js", .headers = {{"Accept-Encoding", "gzip, br"}}};
  ask(&s, &encoded, 200, "B");
  assert_true(wire_has_header(&encoded, "Content-Encoding: br"));
  wire_finish(&encoded);
  wire part = {.path = "/app.js", .headers = {{"Range", "bytes=-1"}}};
  ask(&s, &part, 206, "c");
  wire_finish(&part);
  wire odd = {.path = "/odd"};
  ask(&s, &odd, 200, "<p>");
  assert_true(wire_has_header(&odd, "Content-Type: text/html"));
  wire_finish(&odd);
  wire nothing = {.path = "/nothing"};
  ask(&s, &nothing, 200, "");
  wire_finish(&nothing);
  wire other = {.path = "/a.txt"}; /* exists in the folder */
  ask(&s, &other, 404, NULL);
  wire_finish(&other);
  end(&s);
}

/* An error page from a file, with its own Cache-Control; conditional headers are ignored. */
static vestry_err lost(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_header(reply, "Cache-Control", "no-store");
  return vestry_reply_file(req, reply, app, "a.txt");
}

SUITE_CASE(error_page_from_a_file_ignores_conditions) {
  assert_int_equal(vestry_error_page(s->on.v, 404, lost, s->files), VESTRY_OK);
  wire r = {.path = "/lost", .headers = {{"If-None-Match", "*"}, {"Range", "bytes=0-1"}}};
  ask(s, &r, 404, "0123456789");
  assert_true(wire_has_header(&r, "Cache-Control: no-store"));
  assert_null(strstr(r.head, "no-cache"));
  wire_finish(&r);
}

TEST_CASE(invalid_options_are_rejected) {
  static const vestry_file nameless[] = {{.bytes = "x", .len = 1}}, hollow[] = {{.path = "x", .len = 1}},
                           odd[] = {{.path = "x", .content_type = "a\nb"}};
  const struct {
    vestry_files_options options;
    vestry_err error;
  } rows[] = {
      {{0}, VESTRY_INVALID},
      {{.folder = "/tmp", .embedded = table}, VESTRY_INVALID},
      {{.folder = "/nowhere/at/all"}, VESTRY_NOT_FOUND},
      {{.folder = "/dev/null"}, VESTRY_NOT_FOUND},
      {{.embedded = nameless, .embedded_count = 1}, VESTRY_INVALID},
      {{.embedded = hollow, .embedded_count = 1}, VESTRY_INVALID},
      {{.embedded = odd, .embedded_count = 1}, VESTRY_INVALID},
  };
  vestry_files *files = NULL;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_int_equal(vestry_files_create(&rows[i].options, &files), rows[i].error);
  assert_int_equal(vestry_files_create(NULL, &files), VESTRY_INVALID);
  test_host th;
  test_host_init(&th);
  assert_int_equal(vestry_files_create(&(vestry_files_options){.host = &th.host, .folder = "/nowhere/at/all"}, &files),
                   VESTRY_NOT_FOUND);
  assert_non_null(strstr(th.last_log, "/nowhere/at/all: No such file"));
  test_host_assert_clean(&th);
  assert_null(files);
  vestry_files_destroy(NULL);
}

/* The handler records its own error, because the reply's status does not show it. */
typedef struct fitting {
  const suite *s;
  const vestry_file *embedded;
  const char *range;
  vestry_err error;
  vestry_files *files;
} fitting;

static vestry_err fit(const vestry_request *req, vestry_reply *reply, void *app) {
  fitting *f = app;
  f->error = vestry_reply_file(req, reply, f->files, "app.js");
  return f->error;
}

static vestry_err serve_short_of_memory(test_host *th, void *ctx) {
  fitting *f = ctx;
  vestry *v;
  vestry_files_options options = {.host = &th->host, .embedded = f->embedded, .embedded_count = f->embedded ? 1 : 0};
  if (!f->embedded) options.folder = f->s->folder;
  vestry_err error = vestry_files_create(&options, &f->files);
  if (error) return error;
  error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (!error) {
    site w = {.v = v};
    wire r = {.headers = {{"Range", f->range}, {"Accept-Encoding", "br"}}};
    if (!f->range) r.headers[0] = (vestry_header){"X-None", "1"};
    f->error = VESTRY_NO_MEMORY; /* if the handler is not called */
    (void)wire_serve(&w, &r, fit, f);
    error = f->error;
    if (!error && r.status == 500) error = VESTRY_NO_MEMORY;
    if (!error) assert_int_equal(r.status, f->range ? 206 : 200);
    wire_finish(&r);
    vestry_destroy(v);
  }
  vestry_files_destroy(f->files);
  return error;
}

static void ask_for(suite *s, const char *path, int status, const char *text) {
  wire r = {.path = path};
  ask(s, &r, status, text);
  wire_finish(&r);
}

/* A deployment moves the folder away and another one into its place. */
/* capability: K7 */
TEST_CASE(files_of_a_replaced_folder_are_served) {
  suite s;
  char away[FOLDER_BYTES + 16];
  begin(&s, (vestry_files_options){0});
  const int before = descriptors_lowest_free();
  ask_for(&s, "/a.txt", 200, "0123456789");
  snprintf(away, sizeof away, "%s.away", s.folder);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(rename(s.folder, away), 0);
    test_host_advance_ms(&s.on.th, 1000);
    ask_for(&s, "/a.txt", 200, i ? "new" : "0123456789"); /* as long as there is no other folder */
    if (!i) assert_non_null(strstr(s.on.th.last_log, "was moved or removed"));
    assert_int_equal(mkdir(s.folder, 0700), 0);
    put(&s, i ? "b.txt" : "a.txt", "new");
    test_host_advance_ms(&s.on.th, 1000);
    ask_for(&s, i ? "/b.txt" : "/a.txt", 200, "new");
    ask_for(&s, "/css/site.css", 404, NULL);
    folder_remove(away);
  }
  assert_int_equal(s.on.th.log_lines, 1); /* once a minute */
  assert_true(descriptors_lowest_free() <= before);
  end(&s);
}

TEST_CASE(allocation_failure_is_returned) {
  suite s;
  make_folder(&s);
  put(&s, "app.js", "plain");
  put(&s, "app.js.br", "brotli");
  for (int i = 0; i < 4; i++) {
    fitting f = {.s = &s, .embedded = i & 1 ? table : NULL, .range = i & 2 ? "bytes=0-1" : NULL};
    test_host_fail_each(serve_short_of_memory, &f, false);
  }
  remove_folder(&s);
}

/* After requests for present, encoded, oversized and missing files, no descriptor stays open. */
/* capability: K7 */
TEST_CASE(requests_leak_no_descriptors) {
  suite s;
  begin(&s, (vestry_files_options){.max_file_bytes = 9});
  put(&s, "b.js", "plain");
  put(&s, "b.js.br", "brotli");
  put(&s, "b.js.gz", "gzipped");
  static const char *const paths[] = {"/b.js", "/a.txt", "/fifo", "/css", "/nothing", "/link.txt"};
  const int before = descriptors_lowest_free();
  for (size_t i = 0; i < 60; i++) {
    wire r = {.path = paths[i % 6], .headers = {{"Accept-Encoding", "gzip, br"}, {i & 1 ? "X" : "If-None-Match", "*"}}};
    wire_request(&s.on, &r, NULL, NULL);
    wire_finish(&r);
  }
  assert_true(descriptors_lowest_free() <= before);
  end(&s);
}
