/* SPDX-License-Identifier: MIT */
/* Bodies that arrive in pieces over sockets. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "testing/contract/check.h"
#include "testing/contract/client.h"
#include "testing/contract/rules.h"
#include "testing/contract/server.h"
#include "testing/contract/suites.h"
#include "vestry/app/upload.h"

enum { MB = 1 << 20, LARGE = 24 * MB, PIECE = VESTRY_RECEIVE_BYTES };
/* The time between a slow client's pieces, and the time that each piece may take. */
enum { STEP_S = 20, SILENT_S = 30 };
enum { OTHERS = 32 };

static vsi_server s;
static vestry_uploads *uploads;
static char *text; /* LARGE bytes */

/* The writer's calls; one file at a time. */
static _Atomic(uint64_t) written, wrong, largest;
static _Atomic(int) begun, ended, aborted, why;
/* The call in which the writer waits; whether it waits. */
enum { NOWHERE, AT_BEGIN, AT_WRITE, AT_END };
static _Atomic(int) held_at;
static _Atomic(bool) is_held;
static _Atomic(uint64_t) fails_at;   /* the offset at which the writer fails; 0: it does not */
static _Atomic(size_t) response_len; /* number of bytes of text; 0: "kept" */
static _Atomic(int) guarded;         /* calls of the guard */
static _Atomic(bool) refuses;        /* the guard answers 403 */

static void hold(int place) {
  if (atomic_load(&held_at) != place) return;
  atomic_store(&is_held, true);
  CHECK_UNTIL(atomic_load(&held_at) != place);
  atomic_store(&is_held, false);
}

static vestry_err begin_file(void *app, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file,
                             void **ret_file) {
  (void)app, (void)req, (void)reply, (void)file;
  hold(AT_BEGIN);
  atomic_store(&written, 0);
  atomic_fetch_add(&begun, 1);
  *ret_file = &begun;
  return VESTRY_OK;
}

static vestry_err write_piece(void *file, const vestry_request *req, vestry_reply *reply, const void *bytes,
                              size_t len) {
  (void)file, (void)req;
  hold(AT_WRITE);
  uint64_t at = atomic_load(&written);
  if (fails_at && at >= fails_at) {
    vestry_reply_status(reply, 507);
    vestry_reply_body(reply, "text/plain", "full", 4);
    return VESTRY_FAILED;
  }
  if (at + len > LARGE || memcmp(text + at, bytes, len) != 0) atomic_fetch_add(&wrong, 1);
  if (len > atomic_load(&largest)) atomic_store(&largest, len);
  atomic_store(&written, at + len);
  return VESTRY_OK;
}

static vestry_err end_file(void *file, const vestry_request *req, vestry_reply *reply) {
  (void)file, (void)req, (void)reply;
  hold(AT_END);
  atomic_fetch_add(&ended, 1);
  return VESTRY_OK;
}

static void abort_file(void *file, vestry_err error) {
  (void)file;
  atomic_store(&why, error);
  atomic_fetch_add(&aborted, 1);
}

static const vestry_upload_writer writer = {
    .begin = begin_file, .write = write_piece, .end = end_file, .abort = abort_file};

static vestry_err done(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_body(reply, "text/plain", response_len ? text : "kept", response_len ? response_len : 4);
}

/* A guard reads headers. */
static vestry_err guard(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  const char *host = vestry_request_header(req, "Host");
  atomic_fetch_add(&guarded, 1);
  if (!host || (strcmp(host, "a") != 0 && strcmp(host, "localhost") != 0)) atomic_fetch_add(&wrong, 1);
  if (!atomic_load(&refuses)) return VESTRY_OK;
  vestry_reply_status(reply, 403);
  vestry_reply_body(reply, "text/plain", "no", 2);
  return VESTRY_FAILED;
}

static void start_silent(unsigned silent_s) {
  text = malloc(LARGE);
  for (size_t i = 0; i < LARGE; i++) text[i] = (char)(i * 31 + i / 4093);
  begun = ended = aborted = why = 0;
  written = wrong = largest = fails_at = 0;
  response_len = 0;
  guarded = 0;
  refuses = false;
  const vestry_contract_settings settings = {.keeps_connections = true, .silent_ms = silent_s * UINT64_C(1000)};
  vsi_server_start(&s, &settings, NULL);
  const vestry_uploads_options options = {
      .pattern = "/files", .writer = &writer, .done = done, .types = "text/*", .max_file_bytes = LARGE};
  CHECK_ERROR(vestry_uploads_create(s.v, &options, &uploads), VESTRY_OK);
  CHECK_ERROR(vestry_guard(s.v, "/files", guard, NULL), VESTRY_OK);
}

static void start(void) {
  start_silent(SILENT_S);
}

static vestry_uploads_stats uploads_stats(void) {
  vestry_uploads_stats stats = {0};
  vestry_uploads_stats_get(uploads, &stats);
  return stats;
}

static void finish(void) {
  vsi_server_stop_adapter(&s);
  const vestry_uploads_stats stats = uploads_stats();
  CHECK_EQUAL(stats.open_count, 0);
  CHECK_EQUAL(stats.begun_count, stats.done_count + stats.failed_count);
  CHECK_EQUAL(begun, ended + aborted);
  CHECK_EQUAL(wrong, 0);
  vestry_uploads_destroy(uploads);
  vsi_server_finish(&s);
  free(text);
}

static void stop(void) {
  vsi_server_assert_serves(&s);
  finish();
}

static void begin(vsi_client *c, const char *framing) {
  vsi_client_connect(c, s.port, false);
  vsi_client_sendf(c, "POST /files HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n%s\r\n\r\n", framing);
}

static void assert_kept(vsi_client *c) {
  CHECK_EQUAL(vsi_client_status(c), 200);
  vsi_client_finish(c, false);
  CHECK_TEXT(c->body, "kept");
  vsi_client_close(c);
  CHECK_EQUAL(written, LARGE);
  CHECK(largest <= PIECE);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* capability: L1 */
static void large_upload_holds_little_memory(void) {
  vsi_client c;
  char line[64];
  start();
  snprintf(line, sizeof line, "Content-Length: %d", LARGE);
  begin(&c, line);
  vsi_client_send(&c, text, LARGE);
  assert_kept(&c);
  begin(&c, "Transfer-Encoding: chunked");
  for (size_t at = 0; at < LARGE; at += 3 * MB) {
    vsi_client_sendf(&c, "%x\r\n", 3 * MB);
    vsi_client_send(&c, text + at, 3 * MB);
    vsi_client_sendf(&c, "\r\n");
  }
  vsi_client_sendf(&c, "0\r\n\r\n");
  assert_kept(&c);
  CHECK_EQUAL(ended, 2);
  const vestry_stats stats = vsi_server_stats(&s);
  CHECK(stats.request_peak_bytes < MB);
  stop();
}

/* capability: L1 */
static void multipart_form_is_parsed(void) {
  static const char before[] = "--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n"
                               "Content-Type: text/plain\r\n\r\n",
                    after[] = "\r\n--XyZ--\r\n";
  vsi_client c;
  start();
  vsi_client_connect(&c, s.port, false);
  vsi_client_sendf(&c,
                   "POST /files HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=XyZ\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   sizeof before - 1 + LARGE + sizeof after - 1, before);
  vsi_client_send(&c, text, LARGE);
  vsi_client_sendf(&c, "%s", after);
  assert_kept(&c);
  stop();
}

/* A client that sends Expect: 100-continue gets the refusal before it sends the body; one that sends at once gets it,
 * too. */
/* capability: L1 */
static void upload_over_limit_is_refused_by_its_head(void) {
  vsi_client c;
  start();
  begin(&c, "Content-Length: 1000000000\r\nExpect: 100-continue");
  CHECK_EQUAL(vsi_client_status(&c), 413);
  vsi_client_close(&c);
  vsi_client_connect(&c, s.port, false);
  vsi_client_sendf(&c, "POST /files HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n", MB);
  vsi_client_send(&c, text, MB);
  CHECK_EQUAL(vsi_client_status(&c), 415);
  vsi_client_close(&c);
  CHECK_EQUAL(begun, 0);
  stop();
}

/* capability: L1 */
static void lost_client_aborts_the_upload_once(void) {
  vsi_client c;
  start();
  for (int i = 1; i <= 6; i++) {
    begin(&c, i % 2 ? "Content-Length: 1000000" : "Transfer-Encoding: chunked");
    if (i % 2 == 0) vsi_client_sendf(&c, "fffff\r\n");
    vsi_client_send(&c, text, PIECE); /* civetweb passes on no smaller piece */
    CHECK_UNTIL(begun == i && written == PIECE);
    if (i % 3)
      vsi_client_close(&c);
    else
      vsi_client_abort(&c);
    CHECK_UNTIL(aborted == i);
    CHECK_ERROR(why, VESTRY_IO);
  }
  stop();
}

/* A slow writer slows its client down: the bytes that the client sends stay in the sockets. */
/* capability: L1 */
static void slow_writer_applies_back_pressure(void) {
  vsi_client c;
  char line[64];
  start();
  snprintf(line, sizeof line, "Content-Length: %d", LARGE);
  atomic_store(&held_at, AT_WRITE);
  begin(&c, line);
  CHECK_UNTIL(begun == 1);
  vestry_stats stats = {0};
  const size_t sent = vsi_client_offer(&c, text, LARGE);
  vestry_stats_get(s.v, &stats);
  CHECK(stats.request_bytes < MB);
  CHECK(sent < LARGE);
  atomic_store(&held_at, NOWHERE);
  vsi_client_send(&c, text + sent, LARGE - sent);
  assert_kept(&c);
  stop();
}

/* The client gets the response while it sends, and need not send the rest. */
/* capability: L1 */
static void failed_writer_answers_during_the_upload(void) {
  vsi_client c;
  char line[64];
  start();
  snprintf(line, sizeof line, "Content-Length: %d", LARGE);
  atomic_store(&fails_at, 2 * MB);
  begin(&c, line);
  vsi_client_send(&c, text, 2 * MB + PIECE);
  CHECK_EQUAL(vsi_client_status(&c), 507);
  vsi_client_finish(&c, false);
  CHECK_TEXT(c.body, "full");
  vsi_client_close(&c);
  CHECK_UNTIL(aborted == 1);
  CHECK_ERROR(why, VESTRY_FAILED);
  CHECK_EQUAL(written, 2 * MB);
  stop();
}

/* Begin a form with a file. len: of the form; 0: it is chunked. */
static void begin_form(vsi_client *c, size_t len) {
  static const char head[] = "POST /files HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=XyZ\r\n";
  static const char part[] = "--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n"
                             "Content-Type: text/plain\r\n\r\n";
  vsi_client_connect(c, s.port, false);
  if (len)
    vsi_client_sendf(c, "%sContent-Length: %zu\r\n\r\n%s", head, len, part);
  else
    vsi_client_sendf(c, "%sTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n", head, sizeof part - 1, part);
}

/* Send `len` bytes of text, in chunks or not. */
static void send_text(vsi_client *c, size_t len, bool in_chunks) {
  enum { EACH = 4096 };
  for (size_t at = 0; at < len; at += EACH) {
    if (in_chunks) vsi_client_sendf(c, "%x\r\n", EACH);
    vsi_client_send(c, text + at, EACH);
    if (in_chunks) vsi_client_sendf(c, "\r\n");
  }
}

/* A form whose first file is refused gets the response, however much of it would follow. */
/* capability: L1 */
static void refused_form_gets_a_response_before_its_end(void) {
  start();
  atomic_store(&refuses, true);
  for (int in_chunks = 0; in_chunks < 2; in_chunks++) {
    vsi_client c;
    begin_form(&c, in_chunks ? 0 : LARGE);
    /* The length is known at once; otherwise four megabytes are discarded first. */
    send_text(&c, in_chunks ? 5 * MB : MB, in_chunks);
    CHECK_EQUAL(vsi_client_status(&c), 403);
    vsi_client_finish(&c, false);
    CHECK_TEXT(c.body, "no");
    vsi_client_close(&c);
  }
  CHECK_UNTIL(uploads_stats().failed_count == 2);
  CHECK_EQUAL(begun, 0);
  CHECK_EQUAL(guarded, 2);
  stop();
}

/* A chunked body that is too large, or that no handler takes. */
static void unwanted_chunked_body_gets_a_response(void) {
  start();
  for (int is_routed = 0; is_routed < 2; is_routed++) {
    vsi_client c;
    if (!is_routed && vsi_adapter.has_own_paths) continue;
    vsi_client_connect(&c, s.port, false);
    vsi_client_sendf(&c, "POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                     is_routed ? "/echo" : "/nowhere");
    send_text(&c, 6 * MB, true);
    CHECK_EQUAL(vsi_client_status(&c), is_routed ? 413 : 404);
    vsi_client_close(&c);
  }
  stop();
}

/* The part of a form that had arrived is not parsed any more, because its guard would read headers that the server has
 * freed. civetweb passes each part on at once, while the request exists. */
/* capability: L1 */
static void form_that_breaks_off_calls_no_guard(void) {
  enum { CLIENTS = 100 };
  start();
  for (uint64_t i = 1; i <= CLIENTS; i++) {
    vsi_client c;
    begin_form(&c, MB);
    vsi_client_send(&c, text, 3);
    /* A reset can discard a head that the server has not read. A client that leaves frames unread resets, too. */
    const bool is_reset = i % 4 == 0;
    if (is_reset || vsi_client_tls_ops_used) CHECK_UNTIL(uploads_stats().begun_count == i);
    if (is_reset) {
      vsi_client_abort(&c);
    } else {
      vsi_client_close(&c);
    }
    CHECK_UNTIL(uploads_stats().failed_count == i); /* the writer compares the pieces of one file at a time */
  }
  if (vsi_adapter.closes_broken) CHECK_EQUAL(guarded, 0);
  stop();
}

/* Send an upload, and do not read its response yet. */
static void send_upload(vsi_client *c) {
  begin(c, "Content-Length: 300000");
  vsi_client_send(c, text, 300000);
}

/* Clients that do not read their responses delay neither other uploads nor a stop. */
/* capability: L1 */
static void stalled_readers_of_responses_hold_no_writer(void) {
  enum { READERS = 10 };
  static vsi_client readers[READERS];
  start_silent(vsi_patience_s); /* the server's library counts the time in which a client does not read */
  vsi_server_hold_clock(true);
  atomic_store(&response_len, LARGE / 4);
  for (int i = 0; i < READERS; i++) {
    send_upload(&readers[i]);
    CHECK_UNTIL(uploads_stats().done_count == (uint64_t)i + 1);
  }
  atomic_store(&response_len, 0);
  vsi_client c;
  send_upload(&c);
  CHECK_EQUAL(vsi_client_status(&c), 200);
  vsi_client_finish(&c, false);
  CHECK_TEXT(c.body, "kept");
  vsi_client_close(&c);
  for (int i = 0; i < READERS - 1; i++) {
    vsi_client_finish(&readers[i], false);
    CHECK(readers[i].complete);
    CHECK_EQUAL(readers[i].body_len, LARGE / 4);
    vsi_client_close(&readers[i]);
  }
  atomic_fetch_add(&vsi_server_clock_ahead_ns, UINT64_C(6000000000)); /* it has more time, but not from a stop */
  CHECK_ERROR(vsi_adapter.stop(s.running, vsi_patience_s * UINT64_C(1000)), VESTRY_OK);
  vsi_client_read_all(&readers[READERS - 1]);
  CHECK_NOT(readers[READERS - 1].complete);
  vsi_client_close(&readers[READERS - 1]);
  vsi_server_hold_clock(false);
  finish();
  atomic_store(&vsi_server_clock_ahead_ns, 0);
}

/* The response to a large body may be large, too. */
/* capability: L1 */
static void upload_may_get_a_large_response(void) {
  vsi_client c;
  char line[64];
  start();
  atomic_store(&response_len, LARGE / 4);
  snprintf(line, sizeof line, "Content-Length: %d", LARGE);
  begin(&c, line);
  vsi_client_send(&c, text, LARGE);
  CHECK_EQUAL(vsi_client_status(&c), 200);
  CHECK_TEXT(vsi_client_header(&c, "Content-Type"), "text/plain");
  CHECK(vsi_client_header(&c, "Date"));
  vsi_client_finish(&c, false);
  CHECK_EQUAL(c.body_len, LARGE / 4);
  CHECK_BYTES(c.body, text, LARGE / 4);
  vsi_client_close(&c);
  stop();
}

/* While a writer waits, other requests are served: so many that each thread of the server gets some of them. */
/* capability: L1 */
static void blocked_writer_does_not_delay_other_requests(void) {
  vsi_client c;
  if (vsi_adapter.waits_in_handlers) SKIP("a writer that blocks holds the thread of other requests");
  start();
  for (int place = AT_BEGIN; place <= AT_END; place++) {
    atomic_store(&held_at, place);
    begin(&c, "Content-Length: 100000");
    vsi_client_send(&c, text, 100000);
    CHECK_UNTIL(is_held);
    for (int i = 0; i < OTHERS; i++) vsi_server_assert_serves(&s);
    CHECK_EQUAL(ended, place - AT_BEGIN);
    atomic_store(&held_at, NOWHERE);
    CHECK_EQUAL(vsi_client_status(&c), 200);
    vsi_client_close(&c);
    CHECK_EQUAL(written, 100000);
  }
  stop();
}

/* The lost client is detected when the writer returns. */
/* capability: L1 */
static void client_lost_during_a_blocked_write_aborts_the_upload(void) {
  vsi_client c;
  start();
  for (int place = AT_BEGIN; place <= AT_WRITE; place++) {
    atomic_store(&held_at, place);
    begin(&c, "Content-Length: 1000000");
    vsi_client_send(&c, text, PIECE);
    CHECK_UNTIL(is_held);
    if (place == AT_BEGIN)
      vsi_client_abort(&c);
    else
      vsi_client_close(&c);
    CHECK_EQUAL(aborted, place - AT_BEGIN);
    atomic_store(&held_at, NOWHERE);
    CHECK_UNTIL(aborted == place);
    CHECK_ERROR(why, VESTRY_IO);
  }
  stop();
}

/* A stop waits for the writer's current call, and aborts the rest of that upload. */
/* capability: L1 */
static void stop_waits_for_the_writer_and_aborts_the_upload(void) {
  vsi_client c;
  start();
  atomic_store(&held_at, AT_WRITE);
  begin(&c, "Content-Length: 1000000");
  vsi_client_send(&c, text, PIECE);
  CHECK_UNTIL(is_held);
  CHECK_ERROR(vsi_adapter.stop(s.running, 1), VESTRY_TIMEOUT);
  CHECK_EQUAL(aborted, 0);
  atomic_store(&held_at, NOWHERE);
  vsi_client_close(&c);
  CHECK_UNTIL(aborted == 1);
  CHECK_ERROR(why, VESTRY_IO);
  finish();
}

static bool has_time_ended_it(void) {
  atomic_fetch_add(&vsi_server_clock_ahead_ns, UINT64_C(1000000000));
  return aborted;
}

/* Each piece has the time-out of another body as a whole. */
/* capability: L1 */
static void timeout_of_an_upload_restarts_with_each_piece(void) {
  vsi_client c;
  char line[64];
  start();
  snprintf(line, sizeof line, "Content-Length: %d\r\nConnection: close", LARGE);
  begin(&c, line);
  vsi_server_hold_clock(true);
  for (uint64_t sent = PIECE; sent <= 6 * PIECE; sent += PIECE) {
    vsi_client_send(&c, text + sent - PIECE, PIECE);
    CHECK_UNTIL(written == sent);
    atomic_fetch_add(&vsi_server_clock_ahead_ns, STEP_S * UINT64_C(1000000000));
  }
  CHECK_EQUAL(aborted, 0);
  CHECK_UNTIL(has_time_ended_it());
  vsi_client_read_all(&c);
  vsi_client_close(&c);
  CHECK_EQUAL(aborted, 1);
  CHECK_ERROR(why, VESTRY_TIMEOUT);
  vsi_server_hold_clock(false);
  stop();
  atomic_store(&vsi_server_clock_ahead_ns, 0);
}

/* The client shuts down its half, which ends the body. */
/* capability: L1 */
static void half_closed_client_aborts_the_upload(void) {
  vsi_client c;
  start();
  begin(&c, "Content-Length: 1000000");
  vsi_client_send(&c, text, PIECE); /* civetweb passes on no smaller piece */
  CHECK_UNTIL(written == PIECE);
  vsi_client_shut(&c);
  CHECK_UNTIL(aborted == 1);
  vsi_client_close(&c);
  stop();
}

/* Without TLS: cases that observe sockets, the clock of a single body, or responses that the adapter writes itself. */
static const vsi_case cases[] = {
    VSI_CASE_TLS(large_upload_holds_little_memory, VSI_RULE_PIECES, NULL),
    VSI_CASE_TLS(multipart_form_is_parsed, VSI_RULE_PIECES, NULL),
    VSI_CASE_TLS(upload_over_limit_is_refused_by_its_head, VSI_RULE_EARLY, NULL),
    VSI_CASE_TLS(failed_writer_answers_during_the_upload, VSI_RULE_EARLY, NULL),
    VSI_CASE_TLS(refused_form_gets_a_response_before_its_end, VSI_RULE_EARLY, NULL),
    VSI_CASE_TLS(unwanted_chunked_body_gets_a_response, VSI_RULE_EARLY, "has_own_paths"),
    VSI_CASE_TLS(form_that_breaks_off_calls_no_guard, VSI_RULE_LOST_UPLOAD, "closes_broken"),
    VSI_CASE_TLS(upload_may_get_a_large_response, VSI_RULE_RESPOND, NULL),
    VSI_CASE_TLS(lost_client_aborts_the_upload_once, VSI_RULE_LOST_UPLOAD, NULL),
    VSI_CASE_TLS(client_lost_during_a_blocked_write_aborts_the_upload, VSI_RULE_LOST_UPLOAD, NULL),
    VSI_CASE_TLS(stop_waits_for_the_writer_and_aborts_the_upload, VSI_RULE_STOP_WAITS, NULL),
    VSI_CASE(timeout_of_an_upload_restarts_with_each_piece, VSI_RULE_UPLOAD_TIME, NULL),
    VSI_CASE(slow_writer_applies_back_pressure, VSI_RULE_PIECES, NULL),
    VSI_CASE(half_closed_client_aborts_the_upload, VSI_RULE_LOST_UPLOAD, NULL),
    VSI_CASE(stalled_readers_of_responses_hold_no_writer, VSI_RULE_WRITER, NULL),
    VSI_CASE_TLS(blocked_writer_does_not_delay_other_requests, VSI_RULE_WRITER, "waits_in_handlers"),
};

const vsi_suite vsi_uploads_suite = VSI_SUITE("uploads", cases);
