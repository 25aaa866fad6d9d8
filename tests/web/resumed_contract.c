/* SPDX-License-Identifier: MIT */
/* The server is a process that is repeatedly killed in the middle of an upload. The client requests the offset each
 * time, and continues from it. */
#include "web/resumed_contract.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/folder.h"
#include "support/test.h"
#include "support/until.h"
#include "vestry/app/upload.h"
#include "web/client.h"

enum { PIECE = 1 << 20, PIECES = 200, KILLS = 20, STEP = 9, PATH = 128 };

static const server_seam *seam;
static char folder[FOLDER_BYTES], location[PATH];
static char piece[PIECE];
static pid_t child;
static uint16_t port;

/* Each piece begins with its number. */
static const char *piece_of(int number) {
  for (size_t i = 0; i < PIECE; i += sizeof number) memcpy(piece + i, &number, sizeof number);
  return piece;
}

/* The server's process, until it is killed. */
static _Noreturn void serve(int reported) {
  static server s;
  vestry_upload_folder *to;
  vestry_uploads *uploads;
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failing test leaves no process behind */
  seam->start(&s, &(web_settings){.keep_alive = true});
  assert_int_equal(vestry_upload_folder_open(s.v, &(vestry_upload_folder_options){.path = folder}, &to), VESTRY_OK);
  const vestry_uploads_options options = {
      .pattern = "/files", .folder = to, .max_file_bytes = (uint64_t)PIECE * PIECES};
  assert_int_equal(vestry_uploads_create(s.v, &options, &uploads), VESTRY_OK);
  if (write(reported, &s.port, sizeof s.port) != (ssize_t)sizeof s.port) _exit(1);
  for (;;) pause();
}

static void start(void) {
  int reported[2];
  assert_int_equal(pipe(reported), 0);
  child = fork();
  assert_true(child >= 0);
  if (!child) serve(reported[1]);
  assert_int_equal(read(reported[0], &port, sizeof port), sizeof port);
  close(reported[0]);
  close(reported[1]);
}

static void kill_it(void) {
  assert_int_equal(kill(child, SIGKILL), 0);
  assert_int_equal(waitpid(child, NULL, 0), child);
}

static uint64_t offset_of(void) {
  client c;
  client_connect(&c, port, false);
  client_sendf(&c, "HEAD %s HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n\r\n", location);
  assert_int_equal(client_status(&c), 200);
  const char *text = client_header(&c, "Upload-Offset");
  assert_non_null(text);
  const uint64_t offset = strtoull(text, NULL, 10);
  client_close(&c);
  return offset;
}

static void create(void) {
  client c;
  client_connect(&c, port, false);
  client_sendf(&c,
               "POST /files HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\nUpload-Length: %llu\r\n"
               "Content-Length: 0\r\n\r\n",
               (unsigned long long)PIECE * PIECES);
  assert_int_equal(client_status(&c), 201);
  const char *text = client_header(&c, "Location");
  assert_non_null(text);
  snprintf(location, sizeof location, "%s", text);
  client_close(&c);
}

static void go_on(client *c, uint64_t from) {
  client_connect(c, port, false);
  client_sendf(c,
               "PATCH %s HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: %llu\r\n"
               "Content-Type: application/offset+octet-stream\r\nContent-Length: %llu\r\n\r\n",
               location, (unsigned long long)from, (unsigned long long)PIECE * PIECES - from);
}

/* Send `len` bytes from there on, or fewer at the end. */
static void send_some(client *c, uint64_t from, uint64_t len) {
  const uint64_t all = (uint64_t)PIECE * PIECES, to = from + len < all ? from + len : all;
  for (uint64_t at = from; at < to;) {
    const size_t into = at % PIECE, some = PIECE - into < to - at ? PIECE - into : (size_t)(to - at);
    client_send(c, piece_of((int)(at / PIECE)) + into, some);
    at += some;
  }
}

static void assert_kept(void) {
  char path[PATH * 2 + FOLDER_BYTES] = "", *text = malloc(PIECE);
  DIR *list = opendir(folder);
  assert_non_null(list);
  for (const struct dirent *at; (at = readdir(list));) {
    assert_null(strstr(at->d_name, ".part"));
    if (strlen(at->d_name) == 32) snprintf(path, sizeof path, "%s/%.32s", folder, at->d_name);
  }
  closedir(list);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  for (int i = 0; i < PIECES; i++) {
    assert_int_equal(fread(text, 1, PIECE, file), PIECE);
    assert_memory_equal(text, piece_of(i), PIECE);
  }
  assert_int_equal(fread(text, 1, 1, file), 0);
  fclose(file);
  free(text);
}

/* capability: L1 */
static void upload_resumes_after_the_server_is_killed(void **state) {
  (void)state;
  folder_make(folder, "resumed");
  start();
  create();
  uint64_t from = 0;
  for (int i = 0; i < KILLS; i++) {
    client c;
    go_on(&c, from);
    /* Not at the end of a piece; the remaining bytes may be in the sockets when the server dies. */
    send_some(&c, from, (uint64_t)STEP * PIECE + 12345 * (unsigned)i);
    UNTIL(offset_of() >= from + (STEP - 1) * (uint64_t)PIECE);
    kill_it();
    client_close(&c);
    start();
    const uint64_t now = offset_of();
    assert_true(now >= from + (STEP - 1) * (uint64_t)PIECE);
    from = now;
  }
  client c;
  go_on(&c, from);
  send_some(&c, from, (uint64_t)PIECE * PIECES);
  assert_int_equal(client_status(&c), 204);
  assert_string_equal(client_header(&c, "Upload-Offset"), "209715200");
  client_close(&c);
  kill_it();
  start(); /* and the file stays complete */
  assert_int_equal(offset_of(), (uint64_t)PIECE * PIECES);
  kill_it();
  assert_kept();
  folder_remove(folder);
}

int resumed_contract_run(const server_seam *tested) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(upload_resumes_after_the_server_is_killed),
  };
  char name[80];
  seam = tested;
  snprintf(name, sizeof name, "%s, uploads whose server is killed", seam->name);
  return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
