/* SPDX-License-Identifier: MIT */
/* The memory that responses of each kind hold, requested by clients that read nothing, beside clients that read. */

#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testing/contract/check.h"
#include "testing/contract/client.h"
#include "testing/contract/rules.h"
#include "testing/contract/server.h"
#include "testing/contract/suites.h"
#include "vestry/app/files.h"

/* READERS of LARGE need ten times the budget of responses. */
enum { MB = 1 << 20, LARGE = 8 * MB, READERS = 40, MOST = 32 * MB, SLACK = 16 * MB };
/* Streams are lost if their peer is silent for this time. Responses are not streams. */
enum { LOST_MS = 500, PAUSE_MS = 4 * LOST_MS };

/* Sanitizers keep freed memory. */
extern void __asan_init(void) __attribute__((weak));
extern void __tsan_init(void) __attribute__((weak));

static bool is_plain(void) {
  return !__asan_init && !__tsan_init;
}

static vsi_server s;
static char *text; /* LARGE bytes, in which any shift is detectable */
static char folder[32];
static vestry_file table[1];
static vestry_files *files, *embedded;

static size_t resident(void) {
  FILE *statm = fopen("/proc/self/statm", "r");
  CHECK(statm);
  size_t size, pages;
  CHECK_EQUAL(fscanf(statm, "%zu %zu", &size, &pages), 2);
  fclose(statm);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Bytes that all threads of this process have read, with any call. */
static size_t read_so_far(void) {
  FILE *io = fopen("/proc/self/io", "r");
  CHECK(io);
  size_t bytes;
  CHECK_EQUAL(fscanf(io, "rchar: %zu", &bytes), 1);
  fclose(io);
  return bytes;
}

/* ---- responses --------------------------------------------------------------------------------------------------- */

static void path_of(const char *name, char path[64]) {
  snprintf(path, 64, "%s/%s", folder, name);
}

static void write_file(const char *name, size_t len) {
  char path[64];
  path_of(name, path);
  FILE *file = fopen(path, "w");
  CHECK(file);
  CHECK_EQUAL(fwrite(text, 1, len, file), len);
  CHECK_EQUAL(fclose(file), 0);
}

static vestry_err large_html(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_body(reply, NULL, text, LARGE);
}

/* Number of refused bodies, and of bodies that existed without being counted. */
static _Atomic(uint64_t) unmade_count, uncounted_count;

static vestry_err counted_html(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  vestry_err error = vestry_reply_body(reply, NULL, text, LARGE);
  if (error) CHECK_ERROR(error, VESTRY_LIMIT);
  if (error) atomic_fetch_add(&unmade_count, 1);
  if (!error && vsi_server_stats(&s).response_bytes < LARGE) atomic_fetch_add(&uncounted_count, 1);
  return error;
}

static vestry_err find_nothing(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)reply, (void)app;
  return VESTRY_NOT_FOUND;
}

/* A header and a content type without a value; a stream if the client requests one. */
static vestry_err empty_values(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  CHECK_ERROR(vestry_reply_header(reply, "X-Title", ""), VESTRY_OK);
  if (req->is_datastar) return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
  return vestry_reply_body(reply, "", "text", 4);
}

static void start(void) {
  text = malloc(LARGE);
  CHECK(text);
  for (size_t i = 0; i < LARGE; i += 4) memcpy(text + i, &(uint32_t){(uint32_t)(i * 2654435761u)}, 4);
  strcpy(folder, "/tmp/vestry-answers-XXXXXX");
  CHECK(mkdtemp(folder));
  write_file("large.txt", LARGE);
  write_file("both.txt", 4096);
  write_file("both.txt.br", LARGE);
  table[0] = (vestry_file){.path = "large.txt", .bytes = text, .len = LARGE};
#ifdef __GLIBC__
  mallopt(M_TRIM_THRESHOLD, MB); /* so that freed memory is returned, and visible */
#endif
  vsi_server_start(&s, &(vestry_contract_settings){.max_streams = READERS + 20, .lost_ms = LOST_MS},
                   &(vestry_options){.bounds = &(vestry_bounds){.max_all_responses_bytes = MOST}});
  CHECK_ERROR(vestry_files_create(&(vestry_files_options){.folder = folder}, &files), VESTRY_OK);
  CHECK_ERROR(vestry_files_create(&(vestry_files_options){.embedded = table, .embedded_count = 1}, &embedded),
              VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/folder/{path...}", vestry_files_handler, files), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/embedded/{path...}", vestry_files_handler, embedded), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/html", large_html, NULL), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/counted", counted_html, NULL), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/fails", find_nothing, NULL), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/empty", empty_values, NULL), VESTRY_OK);
  CHECK_ERROR(vestry_error_page(s.v, 404, large_html, NULL), VESTRY_OK);
}

/* For cases about responses that the adapter holds, or reads from a file while it sends them. */
static void start_holding(void) {
  start();
  if (!vsi_server_has_body_function(&s)) SKIP("the adapter has no function `respond_body`");
}

static void stop(void) {
  vsi_server_stop(&s);
  vestry_files_destroy(files);
  vestry_files_destroy(embedded);
  static const char *const names[] = {"large.txt", "both.txt", "both.txt.br"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[64];
    path_of(names[i], path);
    CHECK_EQUAL(unlink(path), 0);
  }
  CHECK_EQUAL(rmdir(folder), 0);
  free(text);
}

/* Requests for these kinds make the server send at least a byte, even if the client reads no more than that. */
typedef struct kind {
  const char *path, *headers;
  int status;
  size_t most; /* bytes that one response holds in memory */
} kind;
static const kind kinds[] = {
    {"/folder/large.txt", "", 200, VESTRY_BODY_PIECE_BYTES},
    {"/folder/both.txt", "Accept-Encoding: br\r\n", 200, VESTRY_BODY_PIECE_BYTES},
    {"/folder/large.txt", "Range: bytes=1-\r\n", 206, VESTRY_BODY_PIECE_BYTES},
    {"/embedded/large.txt", "", 200, LARGE},
    {"/html", "", 200, LARGE},
    {"/fails", "", 404, LARGE},
};

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void ask_for(const kind *of, vsi_client *c, bool small) {
  vsi_client_connect(c, s.port, small);
  vsi_client_sendf(c, "GET %s HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n", of->path, of->headers);
  CHECK_EQUAL(vsi_client_status(c), of->status);
}

/* Read the whole body, and compare it byte for byte. */
static void read_whole(const kind *of, vsi_client *c) {
  vsi_client_read_all(c);
  CHECK(c->complete);
  size_t skipped = of->status == 206;
  CHECK_EQUAL(c->body_len, LARGE - skipped);
  CHECK_BYTES(c->body, text + skipped, c->body_len);
  vsi_client_close(c);
}

static void assert_whole(const kind *of) {
  vsi_client c;
  ask_for(of, &c, false);
  read_whole(of, &c);
}

/* The same for a part so small that this client holds little memory, too. */
static void assert_part(void) {
  vsi_client c;
  vsi_client_ask(&c, s.port, "GET", "/folder/large.txt", "Range: bytes=5000-104999\r\nConnection: close\r\n");
  CHECK_EQUAL(vsi_client_status(&c), 206);
  vsi_client_read_all(&c);
  CHECK_EQUAL(c.body_len, 100000);
  CHECK_BYTES(c.body, text + 5000, c.body_len);
  vsi_client_close(&c);
}

static void responses_of_each_kind_arrive_complete(void) {
  start();
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) assert_whole(&kinds[i]);
  CHECK_UNTIL(!vsi_server_stats(&s).response_bytes);
  CHECK_EQUAL(vsi_server_stats(&s).responses_cut_count, 0);
  CHECK(vsi_server_stats(&s).response_peak_bytes <= LARGE);
  stop();
}

/* A client that reads nothing for some time and then continues: its window closes, and the connection is not reset. */
static void paused_reader_gets_the_complete_response(void) {
  enum { KINDS = sizeof kinds / sizeof *kinds };
  static vsi_client readers[KINDS];
  struct pollfd ends[KINDS];
  start_holding();
  for (size_t i = 0; i < KINDS; i++) {
    ask_for(&kinds[i], &readers[i], true);
    ends[i] = (struct pollfd){.fd = readers[i].fd}; /* poll reports only a reset */
  }
  CHECK_EQUAL(poll(ends, KINDS, PAUSE_MS), 0);
  for (size_t i = 0; i < KINDS; i++) read_whole(&kinds[i], &readers[i]);
  CHECK_UNTIL(!vsi_server_stats(&s).response_bytes);
  CHECK_EQUAL(vsi_server_stats(&s).responses_cut_count, 0);
  stop();
}

/* Each response is settled: held, aborted, or refused with 503; all together are within the budget. Some of the large
 * ones were aborted. */
static bool is_settled(const kind *of, const vestry_stats *before) {
  vestry_stats stats = vsi_server_stats(&s);
  CHECK(stats.response_peak_bytes <= MOST);
  uint64_t cut = stats.responses_cut_count - before->responses_cut_count;
  uint64_t away = cut + stats.rejected_count - before->rejected_count;
  return (cut || of->most < LARGE) && away + stats.response_bytes / of->most == READERS &&
         stats.response_bytes <= MOST - MOST / 8;
}

static void hold(const kind *of, vsi_client readers[READERS]) {
  const vestry_stats before = vsi_server_stats(&s);
  for (size_t i = 0; i < READERS; i++) {
    vsi_client_connect(&readers[i], s.port, true);
    vsi_client_sendf(&readers[i], "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", of->path, of->headers);
  }
  CHECK_UNTIL(is_settled(of, &before));
}

/* Memory that handlers allocated for refused or aborted responses is freed a moment later. */
static void wait_for_resident(const kind *of, size_t most) {
  if (!is_plain()) return;
  const double until = vsi_seconds_now() + vsi_patience_s;
  for (unsigned looks = 0; resident() > most && vsi_seconds_now() < until; looks++) vsi_pause(looks);
  if (resident() > most) FAIL("%s %s: %zu MB are more than %zu", of->path, of->headers, resident() / MB, most / MB);
}

static void stalled_readers_stay_within_the_response_budget(void) {
  static vsi_client readers[READERS];
  start_holding();
  /* so that the allocator has seen each kind */
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) assert_whole(&kinds[i]);
  CHECK_UNTIL(!vsi_server_stats(&s).response_bytes);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    const kind *of = &kinds[i];
    size_t before = resident(), most = of->most * READERS < MOST ? of->most * READERS : MOST;
    hold(of, readers);
    wait_for_resident(of, before + most + SLACK);
    /* a client that connects in the meantime and reads is served */
    vsi_server_assert_serves(&s);
    assert_part();
    for (size_t reader = 0; reader < READERS; reader++) vsi_client_close(&readers[reader]);
    CHECK_UNTIL(!vsi_server_stats(&s).response_bytes);
    wait_for_resident(of, before + SLACK / 2);
  }
  stop();
}

/* A request over the budget is refused before memory is allocated for the response: by the builder. */
static void response_over_the_budget_is_not_built(void) {
  static vsi_client readers[READERS];
  static const kind of = {"/counted", "", 200, LARGE};
  start_holding();
  assert_whole(&of);
  CHECK_UNTIL(!vsi_server_stats(&s).response_bytes);
  atomic_store(&unmade_count, 0);
  const vestry_stats before = vsi_server_stats(&s);
  hold(&of, readers);
  CHECK(atomic_load(&unmade_count) > 0);
  /* the builder counts a refused body before its handler does */
  CHECK_UNTIL(atomic_load(&unmade_count) == vsi_server_stats(&s).rejected_count - before.rejected_count);
  CHECK_EQUAL(atomic_load(&uncounted_count), 0);
  for (size_t reader = 0; reader < READERS; reader++) vsi_client_close(&readers[reader]);
  CHECK_UNTIL(!vsi_server_stats(&s).response_bytes);
  stop();
}

/* A single response larger than the whole budget is refused, and aborts no other response. */
static vestry_err huge_html(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  char *huge = malloc(MOST + 1);
  CHECK(huge);
  memset(huge, 'h', MOST + 1);
  vestry_err error = vestry_reply_body(reply, NULL, huge, MOST + 1);
  free(huge);
  return error;
}

static void response_larger_than_the_budget_gets_503(void) {
  vsi_client reader, c;
  start();
  CHECK_ERROR(vestry_route(s.v, "GET", "/huge", huge_html, NULL), VESTRY_OK);
  vsi_client_connect(&reader, s.port, true);
  vsi_client_sendf(&reader, "GET /html HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  CHECK_EQUAL(vsi_client_status(&reader), 200);
  vsi_client_ask(&c, s.port, "GET", "/huge", NULL);
  CHECK_EQUAL(vsi_client_status(&c), 503);
  CHECK(vsi_client_header(&c, "Retry-After"));
  vsi_client_close(&c);
  vsi_client_read_all(&reader);
  CHECK(reader.complete);
  vsi_client_close(&reader);
  CHECK_EQUAL(vsi_server_stats(&s).responses_cut_count, 0);
  stop();
}

static void ask_and_finish(const char *method, const char *path, const char *headers, int status, const char *length) {
  vsi_client c;
  char all[256];
  snprintf(all, sizeof all, "%sConnection: close\r\n", headers);
  vsi_client_ask(&c, s.port, method, path, all);
  CHECK_EQUAL(vsi_client_status(&c), status);
  const char *value = vsi_client_header(&c, "Content-Length");
  if (length) CHECK_TEXT(value ? value : "", length);
  vsi_client_finish(&c, strcmp(method, "HEAD") == 0);
  vsi_client_close(&c);
}

/* Put the file's tag into a condition. A file that was changed a moment ago has another tag in each response. */
static bool has_tag(char if_none[static 96]) {
  vsi_client c;
  vsi_client_ask(&c, s.port, "GET", "/folder/large.txt", "Range: bytes=0-0\r\n");
  CHECK_EQUAL(vsi_client_status(&c), 206);
  const char *tag = vsi_client_header(&c, "ETag");
  CHECK(tag);
  snprintf(if_none, 96, "If-None-Match: %s\r\n", tag);
  vsi_client_close(&c);
  vsi_client_ask(&c, s.port, "HEAD", "/folder/large.txt", if_none);
  const bool is_same = vsi_client_status(&c) == 304;
  vsi_client_close(&c);
  return is_same;
}

/* Only the bytes that are sent are read. */
static void small_ranges_read_few_bytes(void) {
  start_holding();
  char if_none[96], length[16];
  snprintf(length, sizeof length, "%d", LARGE);
  CHECK_UNTIL(has_tag(if_none));
  size_t begin = read_so_far();
  for (int i = 0; i < 20; i++) {
    ask_and_finish("GET", "/folder/large.txt", if_none, 304, NULL);
    ask_and_finish("HEAD", "/folder/large.txt", "", 200, length);
    ask_and_finish("GET", "/folder/large.txt", "Range: bytes=4000000-4000000\r\n", 206, "1");
  }
  if (read_so_far() - begin >= LARGE) FAIL("%zu bytes were read", read_so_far() - begin);
  ask_and_finish("HEAD", "/embedded/large.txt", "", 200, length);
  CHECK_EQUAL(vsi_server_stats(&s).response_peak_bytes, 0);
  /* a handler must build a body so that its length is known; it counts during this time */
  ask_and_finish("HEAD", "/html", "", 200, length);
  CHECK_EQUAL(vsi_server_stats(&s).response_peak_bytes, LARGE);
  CHECK_UNTIL(!vsi_server_stats(&s).response_bytes);
  stop();
}

/* A response may end early, but never contains other bytes than the announced ones. */
static void shrinking_file_ends_the_response_early(void) {
  start_holding();
  vsi_client c;
  char path[64];
  vsi_client_connect(&c, s.port, true);
  vsi_client_sendf(&c, "GET /folder/large.txt HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_EQUAL(vsi_client_status(&c), 200);
  path_of("large.txt", path);
  CHECK_EQUAL(truncate(path, 0), 0);
  vsi_client_read_all(&c);
  CHECK_NOT(c.complete);
  CHECK(c.body_len < LARGE);
  vsi_client_close(&c);
  CHECK_UNTIL(!vsi_server_stats(&s).response_bytes);
  vsi_server_assert_serves(&s);
  stop();
}

static void response_with_empty_values_is_sent(void) {
  start();
  vsi_client c;
  vsi_client_ask(&c, s.port, "GET", "/empty", "");
  CHECK_EQUAL(vsi_client_status(&c), 200);
  CHECK_TEXT(vsi_client_header(&c, "Content-Type"), "text/html; charset=utf-8");
  const char *title = vsi_client_header(&c, "X-Title");
  CHECK(!title || !*title);
  vsi_client_finish(&c, false);
  CHECK_TEXT(c.body, "text");
  vsi_client_close(&c);
  vsi_client_ask(&c, s.port, "GET", "/empty", "Datastar-Request: true\r\n");
  CHECK_EQUAL(vsi_client_status(&c), 200);
  CHECK_TEXT(vsi_client_header(&c, "Content-Type"), "text/event-stream");
  vsi_client_close(&c);
  stop();
}

static const vsi_case cases[] = {
    VSI_CASE(responses_of_each_kind_arrive_complete, VSI_RULE_RESPOND, NULL),
    VSI_CASE(stalled_readers_stay_within_the_response_budget, VSI_RULE_ANSWER_MEMORY, NULL),
    VSI_CASE(response_larger_than_the_budget_gets_503, VSI_RULE_ANSWER_MEMORY, NULL),
    VSI_CASE(small_ranges_read_few_bytes, VSI_RULE_FILE, NULL),
    VSI_CASE(shrinking_file_ends_the_response_early, VSI_RULE_FILE, NULL),
    VSI_CASE(response_over_the_budget_is_not_built, VSI_RULE_ANSWER_MEMORY, NULL),
    VSI_CASE(paused_reader_gets_the_complete_response, VSI_RULE_PAUSE, NULL),
    VSI_CASE(response_with_empty_values_is_sent, VSI_RULE_RESPOND, NULL),
};

const vsi_suite vsi_answers_suite = VSI_SUITE("answers", cases);
