/* SPDX-License-Identifier: MIT */
/* Each client sends one upload after the other over a relay with a distance and a rate. Some of them are whole, some
 * are refused while their bytes are on the way, some break off, and some break off and are continued (tus 1.0.0). Each
 * file of the server is compared with what its client has sent. VESTRY_SEED: of the random choices; VESTRY_FAR_MS: one
 * way, 50 for a distance of 100 ms. */
#include "web/far.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/folder.h"
#include "support/relay.h"
#include "support/test.h"
#include "testing/contract/check.h"
#include "testing/contract/client.h"
#include "testing/contract/server.h"
#include "vestry/app/upload.h"

enum { CLIENTS = 4, TURNS = 8, MOST = 600000, REFUSED = 1 << 20, WAY_MS = 10, BYTES_A_SECOND = 50000000 / 8 };

/* A file begins with these words, and goes on with the bytes of `text` from there. */
typedef struct beginning {
  uint32_t number, from, len;
} beginning;

typedef struct far_client {
  pthread_t thread;
  relay *way;
  uint64_t random;
  unsigned number; /* of its next file */
} far_client;

static vsi_server s;
static char text[2 * MOST];
static atomic_int kept[CLIENTS * TURNS];

static uint32_t any(far_client *c, uint32_t below) {
  c->random = c->random * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(c->random >> 33) % below;
}

/* The oracle. */
static vestry_err done(const vestry_request *req, vestry_reply *reply, void *app) {
  char *bytes = malloc(MOST + 1);
  vestry_kept_file file = {0};
  beginning is;
  CHECK_ERROR(vestry_uploads_kept(req, 0, &file), VESTRY_OK);
  FILE *stored = fopen(file.path, "rb");
  CHECK(stored);
  const size_t len = fread(bytes, 1, MOST + 1, stored);
  fclose(stored);
  CHECK(len > sizeof is);
  memcpy(&is, bytes, sizeof is);
  CHECK_EQUAL(len, is.len);
  CHECK_BYTES(bytes + sizeof is, text + is.from, len - sizeof is);
  free(bytes);
  kept[is.number]++;
  return vestry_reply_status(reply, 204);
}

/* Send bytes of a file, from an offset. */
static void send_part(vsi_client *to, const beginning *of, size_t at, size_t len) {
  const size_t more = at < sizeof *of ? sizeof *of - at < len ? sizeof *of - at : len : 0;
  if (more) vsi_client_send(to, (const char *)of + at, more);
  if (len > more) vsi_client_send(to, text + of->from + at + more - sizeof *of, len - more);
}

static beginning any_file(far_client *c) {
  return (beginning){c->number++, any(c, MOST), (uint32_t)sizeof(beginning) + 1 + any(c, MOST - sizeof(beginning) - 1)};
}

static void begin_whole(far_client *c, vsi_client *to, const char *type, size_t len) {
  vsi_client_connect(to, (uint16_t)relay_port(c->way), false);
  vsi_client_sendf(to, "POST /files HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", type, len);
}

static void send_whole(far_client *c) {
  vsi_client to;
  const beginning file = any_file(c);
  begin_whole(c, &to, "text/plain", file.len);
  send_part(&to, &file, 0, file.len);
  CHECK_EQUAL(vsi_client_status(&to), 204);
  vsi_client_close(&to);
  CHECK_EQUAL(kept[file.number], 1);
}

static void break_off(far_client *c) {
  vsi_client to;
  const beginning file = any_file(c);
  begin_whole(c, &to, "text/plain", file.len);
  send_part(&to, &file, 0, any(c, file.len));
  relay_cut(c->way);
  vsi_client_close(&to);
}

/* The response reaches the client, although it still sends. */
static void get_refused(far_client *c) {
  vsi_client to;
  begin_whole(c, &to, "image/png", REFUSED);
  vsi_client_send(&to, text, REFUSED);
  CHECK_EQUAL(vsi_client_status(&to), 415);
  vsi_client_close(&to);
}

static void resume(far_client *c) {
  char location[sizeof((vsi_client *)NULL)->header];
  vsi_client to;
  const beginning file = any_file(c);
  vsi_client_connect(&to, (uint16_t)relay_port(c->way), false);
  vsi_client_sendf(&to,
                   "POST /files HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\nUpload-Length: %u\r\n"
                   "Upload-Metadata: filetype dGV4dC9wbGFpbg==\r\nContent-Length: 0\r\n\r\n",
                   file.len);
  CHECK_EQUAL(vsi_client_status(&to), 201);
  CHECK(vsi_client_header(&to, "Location"));
  snprintf(location, sizeof location, "%s", to.header);
  vsi_client_close(&to);
  for (size_t at = 0, sent = 0; at < file.len;) {
    const size_t left = file.len - at, part = any(c, 3) ? any(c, (uint32_t)left + 1) : left;
    vsi_client_connect(&to, (uint16_t)relay_port(c->way), false);
    vsi_client_sendf(&to,
                     "PATCH %s HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: %zu\r\n"
                     "Content-Type: application/offset+octet-stream\r\nContent-Length: %zu\r\n\r\n",
                     location, at, left);
    send_part(&to, &file, at, part);
    sent = at + part > sent ? at + part : sent;
    /* 409: more bytes of the former part have arrived, after the response to HEAD. */
    if (part == left) CHECK(vsi_client_status(&to) == 204 || vsi_client_status(&to) == 409);
    if (part < left) relay_cut(c->way);
    vsi_client_close(&to);
    vsi_client_connect(&to, (uint16_t)relay_port(c->way), false);
    vsi_client_sendf(&to, "HEAD %s HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n\r\n", location);
    CHECK_EQUAL(vsi_client_status(&to), 200);
    CHECK(vsi_client_header(&to, "Upload-Offset"));
    const size_t now = strtoull(to.header, NULL, 10);
    vsi_client_close(&to);
    CHECK(now >= at && now <= sent);
    at = now;
  }
  CHECK_EQUAL(kept[file.number], 1);
}

static void *run_client(void *ctx) {
  static void (*const turns[])(far_client * c) = {send_whole, break_off, get_refused, resume};
  for (unsigned i = 0; i < TURNS; i++) turns[any(ctx, sizeof turns / sizeof *turns)](ctx);
  return NULL;
}

static uint64_t number_of(const char *name, uint64_t otherwise) {
  const char *value = getenv(name);
  return value ? strtoull(value, NULL, 10) : otherwise;
}

static void files_of_clients_far_away_are_what_they_sent(void) {
  static far_client clients[CLIENTS];
  char path[FOLDER_BYTES];
  vestry_upload_folder *folder;
  vestry_uploads *uploads;
  const uint64_t seed = number_of("VESTRY_SEED", 1);
  folder_make(path, "far");
  memset(kept, 0, sizeof kept);
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 31 + i / 4093);
  vsi_server_start(&s, &(vestry_contract_settings){.keeps_connections = true}, NULL);
  CHECK_ERROR(vestry_upload_folder_open(s.v, &(vestry_upload_folder_options){.path = path}, &folder), VESTRY_OK);
  const vestry_uploads_options options = {
      .pattern = "/files", .folder = folder, .done = done, .types = "text/*", .max_file_bytes = REFUSED};
  CHECK_ERROR(vestry_uploads_create(s.v, &options, &uploads), VESTRY_OK);
  for (unsigned i = 0; i < CLIENTS; i++) {
    clients[i] = (far_client){.random = seed * CLIENTS + i, .number = i * TURNS};
    clients[i].way = relay_open_far(s.port, (unsigned)number_of("VESTRY_FAR_MS", WAY_MS), BYTES_A_SECOND);
    CHECK_EQUAL(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
  }
  for (unsigned i = 0; i < CLIENTS; i++) pthread_join(clients[i].thread, NULL);
  for (unsigned i = 0; i < CLIENTS; i++) relay_close(clients[i].way);
  vestry_uploads_stats stats = {0};
  CHECK_UNTIL((vestry_uploads_stats_get(uploads, &stats), stats.open_count == 0));
  CHECK_EQUAL(stats.begun_count, stats.done_count + stats.failed_count);
  vsi_server_stop_adapter(&s);
  vestry_uploads_destroy(uploads);
  vestry_upload_folder_close(folder);
  vsi_server_finish(&s);
  folder_remove(path);
}

static bool begin_tls(void) {
  vsi_client_tls_ops_used = vsi_client_tls_ops_offered;
  return vsi_client_tls_ops_offered != NULL;
}

int far_run(const vestry_contract_adapter *adapter) {
  static const vsi_case cases[] = {VSI_CASE_TLS(files_of_clients_far_away_are_what_they_sent, "uploads", NULL)};
  const vsi_suite suite = VSI_SUITE("far", cases);
  (void)vestry_contract_run(adapter, ""); /* it keeps the adapter for the case */
  return (int)vsi_suite_run(&suite, &(vsi_runner){.title = adapter->name, .begin_tls = begin_tls});
}
