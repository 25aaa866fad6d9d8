/* SPDX-License-Identifier: MIT */
#include "web/uploads_contract.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "support/test.h"
#include "support/until.h"
#include "vestry/app/upload.h"
#include "web/client.h"

enum { MB = 1 << 20, LARGE = 24 * MB, PIECE = VESTRY_RECEIVE_BYTES };
/* The time between a slow client's pieces, and the time that each piece may take. */
enum { STEP_S = 20, SILENT_S = 30 };
enum { OTHERS = 32 };

static const server_seam *seam;
static server s;
static vestry_uploads *uploads;
static char *text; /* LARGE bytes */

/* The writer's calls; one file at a time. */
static _Atomic(uint64_t) written, wrong, largest;
static _Atomic(int) begun, ended, aborted, why;
/* The call in which the writer waits; whether it waits. */
enum { NOWHERE, AT_BEGIN, AT_WRITE, AT_END };
static _Atomic(int) held_at;
static _Atomic(bool) is_held;
static _Atomic(uint64_t) fails_at; /* the offset at which the writer fails; 0: it does not */
static _Atomic(size_t) answer_len; /* number of bytes of text; 0: "kept" */
static _Atomic(int) guarded;       /* calls of the guard */
static _Atomic(bool) refuses;      /* the guard answers 403 */
static bool with_tls;

static void hold(int place) {
  if (atomic_load(&held_at) != place) return;
  atomic_store(&is_held, true);
  UNTIL(atomic_load(&held_at) != place);
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
  return vestry_reply_body(reply, "text/plain", answer_len ? text : "kept", answer_len ? answer_len : 4);
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
  answer_len = 0;
  guarded = 0;
  refuses = false;
  seam->start(&s, &(web_settings){.keep_alive = true, .silent_s = silent_s, .tls = with_tls});
  const vestry_uploads_options options = {
      .pattern = "/files", .writer = &writer, .done = done, .types = "text/*", .max_file_bytes = LARGE};
  assert_int_equal(vestry_uploads_create(s.v, &options, &uploads), VESTRY_OK);
  assert_int_equal(vestry_guard(s.v, "/files", guard, NULL), VESTRY_OK);
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
  server_stop_adapter(&s);
  const vestry_uploads_stats stats = uploads_stats();
  assert_int_equal(stats.open_count, 0);
  assert_int_equal(stats.begun_count, stats.done_count + stats.failed_count);
  assert_int_equal(begun, ended + aborted);
  assert_int_equal(wrong, 0);
  vestry_uploads_destroy(uploads);
  server_finish(&s);
  free(text);
}

static void stop(void) {
  server_assert_serves(&s);
  finish();
}

static void begin(client *c, const char *framing) {
  client_connect(c, s.port, false);
  client_sendf(c, "POST /files HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n%s\r\n\r\n", framing);
}

static void assert_kept(client *c) {
  assert_int_equal(client_status(c), 200);
  client_finish(c, false);
  assert_string_equal(c->body, "kept");
  client_close(c);
  assert_int_equal(written, LARGE);
  assert_true(largest <= PIECE);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* capability: L1 */
static void large_upload_holds_little_memory(void **state) {
  (void)state;
  client c;
  char line[64];
  start();
  snprintf(line, sizeof line, "Content-Length: %d", LARGE);
  begin(&c, line);
  client_send(&c, text, LARGE);
  assert_kept(&c);
  begin(&c, "Transfer-Encoding: chunked");
  for (size_t at = 0; at < LARGE; at += 3 * MB) {
    client_sendf(&c, "%x\r\n", 3 * MB);
    client_send(&c, text + at, 3 * MB);
    client_sendf(&c, "\r\n");
  }
  client_sendf(&c, "0\r\n\r\n");
  assert_kept(&c);
  assert_int_equal(ended, 2);
  vestry_stats stats = {.size = sizeof stats};
  vestry_stats_get(s.v, &stats);
  assert_true(stats.request_peak_bytes < MB);
  stop();
}

/* capability: L1 */
static void multipart_form_is_parsed(void **state) {
  (void)state;
  static const char before[] = "--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n"
                               "Content-Type: text/plain\r\n\r\n",
                    after[] = "\r\n--XyZ--\r\n";
  client c;
  start();
  client_connect(&c, s.port, false);
  client_sendf(&c,
               "POST /files HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=XyZ\r\n"
               "Content-Length: %zu\r\n\r\n%s",
               sizeof before - 1 + LARGE + sizeof after - 1, before);
  client_send(&c, text, LARGE);
  client_sendf(&c, "%s", after);
  assert_kept(&c);
  stop();
}

/* A client that sends Expect: 100-continue gets the refusal before it sends the body; one that sends at once gets it,
 * too. */
/* capability: L1 */
static void upload_over_limit_is_refused_by_its_head(void **state) {
  (void)state;
  client c;
  start();
  begin(&c, "Content-Length: 1000000000\r\nExpect: 100-continue");
  assert_int_equal(client_status(&c), 413);
  client_close(&c);
  client_connect(&c, s.port, false);
  client_sendf(&c, "POST /files HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n", MB);
  client_send(&c, text, MB);
  assert_int_equal(client_status(&c), 415);
  client_close(&c);
  assert_int_equal(begun, 0);
  stop();
}

/* capability: L1 */
static void lost_client_aborts_the_upload_once(void **state) {
  (void)state;
  client c;
  start();
  for (int i = 1; i <= 6; i++) {
    begin(&c, i % 2 ? "Content-Length: 1000000" : "Transfer-Encoding: chunked");
    if (i % 2 == 0) client_sendf(&c, "fffff\r\n");
    client_send(&c, text, PIECE); /* civetweb passes on no smaller piece */
    UNTIL(begun == i && written == PIECE);
    if (i % 3)
      client_close(&c);
    else
      client_abort(&c);
    UNTIL(aborted == i);
    assert_int_equal(why, VESTRY_IO);
  }
  stop();
}

/* A slow writer slows its client down: the bytes that the client sends stay in the sockets. */
/* capability: L1 */
static void slow_writer_applies_back_pressure(void **state) {
  (void)state;
  client c;
  char line[64];
  start();
  snprintf(line, sizeof line, "Content-Length: %d", LARGE);
  atomic_store(&held_at, AT_WRITE);
  begin(&c, line);
  UNTIL(begun == 1);
  vestry_stats stats = {.size = sizeof stats};
  size_t sent = 0;
  for (ssize_t n; sent < LARGE && (n = send(c.fd, text + sent, LARGE - sent, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;)
    sent += (size_t)n;
  vestry_stats_get(s.v, &stats);
  assert_true(stats.request_bytes < MB);
  assert_true(sent < LARGE);
  atomic_store(&held_at, NOWHERE);
  client_send(&c, text + sent, LARGE - sent);
  assert_kept(&c);
  stop();
}

/* The client gets the answer while it sends, and need not send the rest. */
/* capability: L1 */
static void failed_writer_answers_during_the_upload(void **state) {
  (void)state;
  client c;
  char line[64];
  start();
  snprintf(line, sizeof line, "Content-Length: %d", LARGE);
  atomic_store(&fails_at, 2 * MB);
  begin(&c, line);
  client_send(&c, text, 2 * MB + PIECE);
  assert_int_equal(client_status(&c), 507);
  client_finish(&c, false);
  assert_string_equal(c.body, "full");
  client_close(&c);
  UNTIL(aborted == 1);
  assert_int_equal(why, VESTRY_FAILED);
  assert_int_equal(written, 2 * MB);
  stop();
}

/* Begin a form with a file. len: of the form; 0: it is chunked. */
static void begin_form(client *c, size_t len) {
  static const char head[] = "POST /files HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=XyZ\r\n";
  static const char part[] = "--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n"
                             "Content-Type: text/plain\r\n\r\n";
  client_connect(c, s.port, false);
  if (len)
    client_sendf(c, "%sContent-Length: %zu\r\n\r\n%s", head, len, part);
  else
    client_sendf(c, "%sTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n", head, sizeof part - 1, part);
}

/* Send `len` bytes of text, in chunks or not. */
static void send_text(client *c, size_t len, bool in_chunks) {
  enum { EACH = 4096 };
  for (size_t at = 0; at < len; at += EACH) {
    if (in_chunks) client_sendf(c, "%x\r\n", EACH);
    client_send(c, text + at, EACH);
    if (in_chunks) client_sendf(c, "\r\n");
  }
}

/* A form whose first file is refused gets the answer, however much of it would follow. */
/* capability: L1 */
static void refused_form_gets_an_answer_before_its_end(void **state) {
  (void)state;
  start();
  atomic_store(&refuses, true);
  for (int in_chunks = 0; in_chunks < 2; in_chunks++) {
    client c;
    begin_form(&c, in_chunks ? 0 : LARGE);
    /* The length is known at once; otherwise four megabytes are discarded first. */
    send_text(&c, in_chunks ? 5 * MB : MB, in_chunks);
    assert_int_equal(client_status(&c), 403);
    client_finish(&c, false);
    assert_string_equal(c.body, "no");
    client_close(&c);
  }
  UNTIL(uploads_stats().failed_count == 2);
  assert_int_equal(begun, 0);
  assert_int_equal(guarded, 2);
  stop();
}

/* A chunked body that is too large, or that no handler takes. */
static void unwanted_chunked_body_gets_an_answer(void **state) {
  (void)state;
  start();
  for (int is_routed = 0; is_routed < 2; is_routed++) {
    client c;
    if (!is_routed && seam->has_own_paths) continue;
    client_connect(&c, s.port, false);
    client_sendf(&c, "POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                 is_routed ? "/echo" : "/nowhere");
    send_text(&c, 6 * MB, true);
    assert_int_equal(client_status(&c), is_routed ? 413 : 404);
    client_close(&c);
  }
  stop();
}

/* The part of a form that had arrived is not parsed any more, because its guard would read headers that the server has
 * freed. civetweb passes each part on at once, while the request exists. */
/* capability: L1 */
static void form_that_breaks_off_calls_no_guard(void **state) {
  (void)state;
  enum { CLIENTS = 100 };
  start();
  for (uint64_t i = 1; i <= CLIENTS; i++) {
    client c;
    begin_form(&c, MB);
    client_send(&c, text, 3);
    if (i % 4) {
      client_close(&c);
    } else {
      UNTIL(uploads_stats().begun_count == i); /* an earlier reset could discard the head */
      client_abort(&c);
    }
  }
  UNTIL(uploads_stats().failed_count == CLIENTS);
  if (seam->closes_broken) assert_int_equal(guarded, 0);
  stop();
}

/* Send an upload, and do not read its answer yet. */
static void send_upload(client *c) {
  begin(c, "Content-Length: 300000");
  client_send(c, text, 300000);
}

/* Clients that do not read their answers delay neither other uploads nor a stop. */
/* capability: L1 */
static void stalled_readers_of_answers_hold_no_writer(void **state) {
  (void)state;
  enum { READERS = 10 };
  static client readers[READERS];
  start_silent(PATIENCE_S); /* the server's library counts the time in which a client does not read */
  server_hold_clock(true);
  atomic_store(&answer_len, LARGE / 4);
  for (int i = 0; i < READERS; i++) {
    send_upload(&readers[i]);
    UNTIL(uploads_stats().done_count == (uint64_t)i + 1);
  }
  atomic_store(&answer_len, 0);
  client c;
  send_upload(&c);
  assert_int_equal(client_status(&c), 200);
  client_finish(&c, false);
  assert_string_equal(c.body, "kept");
  client_close(&c);
  for (int i = 0; i < READERS - 1; i++) {
    client_finish(&readers[i], false);
    assert_true(readers[i].complete);
    assert_int_equal(readers[i].body_len, LARGE / 4);
    client_close(&readers[i]);
  }
  atomic_fetch_add(&server_clock_ahead_ns, UINT64_C(6000000000)); /* it has more time, but not from a stop */
  assert_int_equal(seam->stop(&s, PATIENCE_S * 1000), VESTRY_OK);
  client_read_all(&readers[READERS - 1]);
  assert_false(readers[READERS - 1].complete);
  client_close(&readers[READERS - 1]);
  server_hold_clock(false);
  finish();
  atomic_store(&server_clock_ahead_ns, 0);
}

/* The answer to a large body may be large, too. */
/* capability: L1 */
static void upload_may_get_a_large_answer(void **state) {
  (void)state;
  client c;
  char line[64];
  start();
  atomic_store(&answer_len, LARGE / 4);
  snprintf(line, sizeof line, "Content-Length: %d", LARGE);
  begin(&c, line);
  client_send(&c, text, LARGE);
  assert_int_equal(client_status(&c), 200);
  assert_string_equal(client_header(&c, "Content-Type"), "text/plain");
  assert_non_null(client_header(&c, "Date"));
  client_finish(&c, false);
  assert_int_equal(c.body_len, LARGE / 4);
  assert_memory_equal(c.body, text, LARGE / 4);
  client_close(&c);
  stop();
}

/* While a writer waits, other requests are served: so many that each thread of the server gets some of them. */
/* capability: L1 */
static void blocked_writer_does_not_delay_other_requests(void **state) {
  (void)state;
  client c;
  start();
  for (int place = AT_BEGIN; place <= AT_END; place++) {
    atomic_store(&held_at, place);
    begin(&c, "Content-Length: 100000");
    client_send(&c, text, 100000);
    UNTIL(is_held);
    for (int i = 0; i < OTHERS; i++) server_assert_serves(&s);
    assert_int_equal(ended, place - AT_BEGIN);
    atomic_store(&held_at, NOWHERE);
    assert_int_equal(client_status(&c), 200);
    client_close(&c);
    assert_int_equal(written, 100000);
  }
  stop();
}

/* The lost client is detected when the writer returns. */
/* capability: L1 */
static void client_lost_during_a_blocked_write_aborts_the_upload(void **state) {
  (void)state;
  client c;
  start();
  for (int place = AT_BEGIN; place <= AT_WRITE; place++) {
    atomic_store(&held_at, place);
    begin(&c, "Content-Length: 1000000");
    client_send(&c, text, PIECE);
    UNTIL(is_held);
    if (place == AT_BEGIN)
      client_abort(&c);
    else
      client_close(&c);
    assert_int_equal(aborted, place - AT_BEGIN);
    atomic_store(&held_at, NOWHERE);
    UNTIL(aborted == place);
    assert_int_equal(why, VESTRY_IO);
  }
  stop();
}

/* A stop waits for the writer's current call, and aborts the rest of that upload. */
/* capability: L1 */
static void stop_waits_for_the_writer_and_aborts_the_upload(void **state) {
  (void)state;
  client c;
  start();
  atomic_store(&held_at, AT_WRITE);
  begin(&c, "Content-Length: 1000000");
  client_send(&c, text, PIECE);
  UNTIL(is_held);
  assert_int_equal(seam->stop(&s, 1), VESTRY_TIMEOUT);
  assert_int_equal(aborted, 0);
  atomic_store(&held_at, NOWHERE);
  client_close(&c);
  UNTIL(aborted == 1);
  assert_int_equal(why, VESTRY_IO);
  finish();
}

static bool has_time_ended_it(void) {
  atomic_fetch_add(&server_clock_ahead_ns, UINT64_C(1000000000));
  return aborted;
}

/* Each piece has the time-out of another body as a whole. */
/* capability: L1 */
static void timeout_of_an_upload_restarts_with_each_piece(void **state) {
  (void)state;
  client c;
  char line[64];
  start();
  snprintf(line, sizeof line, "Content-Length: %d", LARGE);
  begin(&c, line);
  server_hold_clock(true);
  for (uint64_t sent = PIECE; sent <= 6 * PIECE; sent += PIECE) {
    client_send(&c, text + sent - PIECE, PIECE);
    UNTIL(written == sent);
    atomic_fetch_add(&server_clock_ahead_ns, STEP_S * UINT64_C(1000000000));
  }
  assert_int_equal(aborted, 0);
  UNTIL(has_time_ended_it());
  client_read_all(&c);
  client_close(&c);
  assert_int_equal(aborted, 1);
  assert_int_equal(why, VESTRY_TIMEOUT);
  server_hold_clock(false);
  stop();
  atomic_store(&server_clock_ahead_ns, 0);
}

/* The client shuts down its half, which ends the body. */
/* capability: L1 */
static void half_closed_client_aborts_the_upload(void **state) {
  (void)state;
  client c;
  start();
  begin(&c, "Content-Length: 1000000");
  client_send(&c, text, PIECE); /* civetweb passes on no smaller piece */
  UNTIL(written == PIECE);
  client_shut(&c);
  UNTIL(aborted == 1);
  client_close(&c);
  stop();
}

static int run_group(bool tls) {
  /* These tests observe the sockets, or the clock of a single body. */
  const struct CMUnitTest plain[] = {
      cmocka_unit_test(timeout_of_an_upload_restarts_with_each_piece),
      cmocka_unit_test(slow_writer_applies_back_pressure),
      cmocka_unit_test(half_closed_client_aborts_the_upload),
  };
  const struct CMUnitTest any[] = {
      cmocka_unit_test(large_upload_holds_little_memory),
      cmocka_unit_test(multipart_form_is_parsed),
      cmocka_unit_test(upload_over_limit_is_refused_by_its_head),
      cmocka_unit_test(failed_writer_answers_during_the_upload),
      cmocka_unit_test(refused_form_gets_an_answer_before_its_end),
      cmocka_unit_test(unwanted_chunked_body_gets_an_answer),
      cmocka_unit_test(form_that_breaks_off_calls_no_guard),
      cmocka_unit_test(upload_may_get_a_large_answer),
      cmocka_unit_test(lost_client_aborts_the_upload_once),
      cmocka_unit_test(client_lost_during_a_blocked_write_aborts_the_upload),
      cmocka_unit_test(stop_waits_for_the_writer_and_aborts_the_upload),
  };
  const struct CMUnitTest others[] = {cmocka_unit_test(blocked_writer_does_not_delay_other_requests)};
  const struct CMUnitTest direct[] = {cmocka_unit_test(stalled_readers_of_answers_hold_no_writer)};
  char name[80];
  with_tls = tls;
  snprintf(name, sizeof name, "%s, uploads%s", seam->name, tls ? ", TLS" : "");
  int failed = cmocka_run_group_tests_name(name, any, NULL, NULL);
  if (!tls) failed += cmocka_run_group_tests_name(name, plain, NULL, NULL);
  if (seam->answers_directly && !tls) failed += cmocka_run_group_tests_name(name, direct, NULL, NULL);
  if (!seam->waits_for_writers) failed += cmocka_run_group_tests_name(name, others, NULL, NULL);
  return failed;
}

int uploads_contract_run(const server_seam *tested) {
  seam = tested;
  int failed = run_group(false);
  return seam->has_tls ? failed + run_group(true) : failed;
}
