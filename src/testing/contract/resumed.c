/* SPDX-License-Identifier: MIT */
/* The server is a process that is repeatedly killed in the middle of an upload. The client requests the offset each
 * time, and continues from it. */

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testing/contract/check.h"
#include "testing/contract/client.h"
#include "testing/contract/rules.h"
#include "testing/contract/server.h"
#include "testing/contract/suites.h"
#include "vestry/app/upload.h"

enum { PIECE = 1 << 20, PIECES = 200, KILLS = 20, STEP = 9, PATH = 128, FOLDER_BYTES = 64 };

static char folder[FOLDER_BYTES], location[PATH];
static char piece[PIECE];
static pid_t child;
static uint16_t port;

/* Each piece begins with its number. */
static const char *piece_of(int number) {
  for (size_t i = 0; i < PIECE; i += sizeof number) memcpy(piece + i, &number, sizeof number);
  return piece;
}

static void make_folder(void) {
  const char *fast = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm"; /* where fsync is free */
  snprintf(folder, sizeof folder, "%s/vestry-resumed-XXXXXX", fast);
  CHECK(mkdtemp(folder));
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *at) {
  (void)stat, (void)kind, (void)at;
  return remove(path);
}

/* The server's process, until it is killed. */
static _Noreturn void serve(int reported) {
  static vsi_server s;
  vestry_upload_folder *to;
  vestry_uploads *uploads;
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failing test leaves no process behind */
  vsi_server_start(&s, &(vestry_contract_settings){.keeps_connections = true}, NULL);
  CHECK_ERROR(vestry_upload_folder_open(s.v, &(vestry_upload_folder_options){.path = folder}, &to), VESTRY_OK);
  const vestry_uploads_options options = {
      .pattern = "/files", .folder = to, .max_file_bytes = (uint64_t)PIECE * PIECES};
  CHECK_ERROR(vestry_uploads_create(s.v, &options, &uploads), VESTRY_OK);
  if (write(reported, &s.port, sizeof s.port) != (ssize_t)sizeof s.port) _exit(1);
  for (;;) pause();
}

static void start(void) {
  int reported[2];
  CHECK_EQUAL(pipe(reported), 0);
  child = fork();
  CHECK(child >= 0);
  if (!child) serve(reported[1]);
  CHECK_EQUAL(read(reported[0], &port, sizeof port), sizeof port);
  close(reported[0]);
  close(reported[1]);
}

static void kill_it(void) {
  CHECK_EQUAL(kill(child, SIGKILL), 0);
  CHECK_EQUAL(waitpid(child, NULL, 0), child);
}

static uint64_t offset_of(void) {
  vsi_client c;
  vsi_client_connect(&c, port, false);
  vsi_client_sendf(&c, "HEAD %s HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n\r\n", location);
  CHECK_EQUAL(vsi_client_status(&c), 200);
  const char *text = vsi_client_header(&c, "Upload-Offset");
  CHECK(text);
  const uint64_t offset = strtoull(text, NULL, 10);
  vsi_client_close(&c);
  return offset;
}

static void create(void) {
  vsi_client c;
  vsi_client_connect(&c, port, false);
  vsi_client_sendf(&c,
                   "POST /files HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\nUpload-Length: %llu\r\n"
                   "Content-Length: 0\r\n\r\n",
                   (unsigned long long)PIECE * PIECES);
  CHECK_EQUAL(vsi_client_status(&c), 201);
  const char *text = vsi_client_header(&c, "Location");
  CHECK(text);
  snprintf(location, sizeof location, "%s", text);
  vsi_client_close(&c);
}

static void go_on(vsi_client *c, uint64_t from) {
  vsi_client_connect(c, port, false);
  vsi_client_sendf(c,
                   "PATCH %s HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: %llu\r\n"
                   "Content-Type: application/offset+octet-stream\r\nContent-Length: %llu\r\n\r\n",
                   location, (unsigned long long)from, (unsigned long long)PIECE * PIECES - from);
}

/* Send `len` bytes from there on, or fewer at the end. */
static void send_some(vsi_client *c, uint64_t from, uint64_t len) {
  const uint64_t all = (uint64_t)PIECE * PIECES, to = from + len < all ? from + len : all;
  for (uint64_t at = from; at < to;) {
    const size_t into = at % PIECE, some = PIECE - into < to - at ? PIECE - into : (size_t)(to - at);
    vsi_client_send(c, piece_of((int)(at / PIECE)) + into, some);
    at += some;
  }
}

static void assert_kept(void) {
  char path[PATH * 2 + FOLDER_BYTES] = "", *text = malloc(PIECE);
  DIR *list = opendir(folder);
  CHECK(list);
  for (const struct dirent *at; (at = readdir(list));) {
    CHECK_NOT(strstr(at->d_name, ".part"));
    if (strlen(at->d_name) == 32) snprintf(path, sizeof path, "%s/%.32s", folder, at->d_name);
  }
  closedir(list);
  FILE *file = fopen(path, "rb");
  CHECK(file);
  for (int i = 0; i < PIECES; i++) {
    CHECK_EQUAL(fread(text, 1, PIECE, file), PIECE);
    CHECK_BYTES(text, piece_of(i), PIECE);
  }
  CHECK_EQUAL(fread(text, 1, 1, file), 0);
  fclose(file);
  free(text);
}

/* capability: L1 */
static void upload_resumes_after_the_server_is_killed(void) {
  make_folder();
  start();
  create();
  uint64_t from = 0;
  for (int i = 0; i < KILLS; i++) {
    vsi_client c;
    go_on(&c, from);
    /* Not at the end of a piece; the remaining bytes may be in the sockets when the server dies. */
    send_some(&c, from, (uint64_t)STEP * PIECE + 12345 * (unsigned)i);
    CHECK_UNTIL(offset_of() >= from + (STEP - 1) * (uint64_t)PIECE);
    kill_it();
    vsi_client_close(&c);
    start();
    const uint64_t now = offset_of();
    CHECK(now >= from + (STEP - 1) * (uint64_t)PIECE);
    from = now;
  }
  vsi_client c;
  go_on(&c, from);
  send_some(&c, from, (uint64_t)PIECE * PIECES);
  CHECK_EQUAL(vsi_client_status(&c), 204);
  CHECK_TEXT(vsi_client_header(&c, "Upload-Offset"), "209715200");
  vsi_client_close(&c);
  kill_it();
  start(); /* and the file stays complete */
  CHECK_EQUAL(offset_of(), (uint64_t)PIECE * PIECES);
  kill_it();
  assert_kept();
  CHECK_EQUAL(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static const vsi_case cases[] = {
    VSI_CASE(upload_resumes_after_the_server_is_killed, VSI_RULE_PIECES, NULL),
};

const vsi_suite vsi_resumed_suite = VSI_SUITE("resumed", cases);
