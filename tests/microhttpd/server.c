/* SPDX-License-Identifier: MIT */
#include "microhttpd/server.h"

#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "adapter/microhttpd/head.h"
#include "microhttpd/tls.h"
#include "support/test.h"
#include "support/until.h"
#include "web/client.h"
#include "web/readings.h"

unsigned server_descriptors(void) {
  unsigned count = 0;
  DIR *all = opendir("/proc/self/fd");
  assert_non_null(all);
  while (readdir(all)) count++;
  closedir(all);
  return count;
}

void server_wait_descriptors(unsigned count) {
  UNTIL(server_descriptors() <= count);
  assert_int_equal(server_descriptors(), count);
}

bool server_library_refuses(void) {
  static const vestry_host host = {.log = NULL};
  vsi_microhttpd_capabilities capabilities = {.refuses_odd = false};
  assert_int_equal(vsi_microhttpd_capabilities_find(&host, &capabilities), VESTRY_OK);
  return capabilities.refuses_odd;
}

/* In 0.9.75 a line that begins with a colon or a NUL ends a head; together with a bare LF it looks like an empty line,
 * and a NUL before an LF like a CR. */
static bool is_blind_to(const readings_text *text) {
  return !server_library_refuses() &&
         (memmem(text->bytes, text->len, "\n:", 2) || memmem(text->bytes, text->len, "\n", 2) ||
          memmem(text->bytes, text->len, "\0\n", 2));
}

/* …and in a daemon of the application the query arrives decoded: a control byte replaces an encoded one. */
bool server_is_blind_to_attached(const readings_text *text) {
  const char *end = memchr(text->bytes, '\n', text->len), *query = memchr(text->bytes, '?', text->len);
  for (const char *at = query; end && at && at + 1 < end; at++)
    if ((unsigned char)*at < ' ' || *at == 0x7f) return true;
  return is_blind_to(text);
}

/* ---- UNIX sockets ------------------------------------------------------------------------------------------------ */

static char folder[64];

static void remove_folder(void) {
  if (rmdir(folder) != 0) fprintf(stderr, "%s is not empty\n", folder);
}

const char *server_free_path(void) {
  static char path[96];
  static unsigned number;
  if (!*folder) {
    snprintf(folder, sizeof folder, "/tmp/vestry-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    atexit(remove_folder);
  }
  snprintf(path, sizeof path, "%s/%u", folder, number++);
  return path;
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

void server_start(server *s, const server_settings *settings) {
  static const server_settings defaults = {.bare = false};
  if (!settings) settings = &defaults;
  server_begin(s, &microhttpd_seam, &settings->options);
  vestry_microhttpd_options options = settings->adapter;
  static char path[96];
  client_path_used = NULL;
  if (settings->unix_socket) {
    snprintf(path, sizeof path, "%s", server_free_path());
    client_path_used = options.unix_path = path;
  } else if (!options.address) {
    options.address = "127.0.0.1";
  }
  if (!options.threads_count) options.threads_count = 2;
  client_tls_ops_used = NULL;
  if (settings->tls) {
    tls_key_pair(&options.tls_key, &options.tls_certificate);
    client_tls_ops_used = &tls_client_ops;
  }
  if (!settings->bare) server_mount(s);
  vestry_server *adapter = NULL;
  assert_int_equal(vestry_microhttpd_create(s->v, &options, &adapter), VESTRY_OK);
  s->adapter = adapter;
  s->port = adapter->port;
  assert_true(settings->unix_socket ? !s->port : s->port);
}

static void start_on(server *s, const web_settings *settings, bool unix_socket) {
  static const web_settings defaults = {.room = 0};
  if (!settings) settings = &defaults;
  assert_false(settings->lost_ms && settings->stalled_ms); /* which are one setting here */
  const unsigned silent_s = settings->silent_s ? settings->silent_s : PATIENCE_S;
  server_start(s, &(server_settings){.unix_socket = unix_socket,
                                     .adapter = {.max_streams = settings->room,
                                                 .address = settings->address,
                                                 .timeout_s = silent_s,
                                                 .request_timeout_ms = silent_s * UINT64_C(1000),
                                                 .lost_ms = settings->lost_ms + settings->stalled_ms},
                                     .tls = settings->tls,
                                     .options = settings->options});
}

static void start(server *s, const web_settings *settings) {
  start_on(s, settings, false);
}

static void start_unix(server *s, const web_settings *settings) {
  start_on(s, settings, true);
}

static vestry_err stop(server *s, uint64_t timeout_ms) {
  return vestry_server_stop(s->adapter, timeout_ms);
}

static void room(server *s, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vestry_server_room(s->adapter, ret_streams, ret_capacity);
}

static void destroy(server *s) {
  vestry_server_destroy(s->adapter);
}

const server_seam microhttpd_seam = {
    .name = "libmicrohttpd",
    .start = start,
    .stop = stop,
    .room = room,
    .destroy = destroy,
    .has_tls = true,
    .always_keeps = true,
    .closes_streams = true,
    .waits_for_none = true,
    .closes_broken = true,
    .answers_directly = true,
    .refuses_itself = true,
    .refuses_most = server_library_refuses,
    .is_blind_to = is_blind_to,
    .stops_s = 5,
};

const server_seam microhttpd_unix_seam = {
    .name = "libmicrohttpd on a UNIX socket",
    .start = start_unix,
    .stop = stop,
    .room = room,
    .destroy = destroy,
    .has_tls = true,
    .always_keeps = true,
    .waits_for_none = true,
    .closes_broken = true,
    .refuses_itself = true,
    .refuses_most = server_library_refuses,
    .no_stalled = true,
    .stops_s = 5,
};
