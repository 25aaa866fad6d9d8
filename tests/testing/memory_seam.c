/* SPDX-License-Identifier: MIT */
#include "testing/memory_seam.h"

#include <stdlib.h>

#include "support/test.h"
#include "support/test_host.h"
#include "vestry/testing/memory.h"

typedef struct memory_server {
  test_host th;
  vestry *v;
  unsigned room;
} memory_server;

typedef struct exchange {
  memory_server *server;
  vestry_memory_exchange *memory;
} exchange;

static void *start(const vestry_options *options, unsigned room) {
  memory_server *server = calloc(1, sizeof *server);
  test_host_init(&server->th);
  server->room = room;
  vestry_options made = *options;
  made.host = &server->th.host;
  made.threads_count = VESTRY_THREADS_NONE;
  assert_int_equal(vestry_create(&made, &server->v), VESTRY_OK);
  return server;
}

static vestry *instance(void *server) {
  return ((memory_server *)server)->v;
}

static void stop(void *server) {
  assert_int_equal(vestry_stop(((memory_server *)server)->v, 0), VESTRY_OK);
}

static void destroy(void *server) {
  memory_server *stopped = server;
  vestry_destroy(stopped->v);
  test_host_assert_clean(&stopped->th);
  free(stopped);
}

static void settle(void *server) {
  vestry_memory_settle(((memory_server *)server)->v);
}

static void pass_ms(void *server, uint64_t ms) {
  test_host_advance_ms(&((memory_server *)server)->th, ms);
  settle(server);
}

static void *request(void *server, const vsi_contract_call *what) {
  memory_server *to = server;
  vestry_stats stats = {0};
  vestry_stats_get(to->v, &stats);
  vestry_memory_call call = {.method = what->method,
                             .path = what->path,
                             .query = what->query,
                             .datastar = what->datastar,
                             .headers = what->headers,
                             .headers_count = what->headers_count,
                             .body = what->body,
                             .body_len = what->body_len,
                             .no_length = what->no_length,
                             .body_error = what->breaks ? VESTRY_IO : VESTRY_OK,
                             .no_room = stats.open_count >= to->room};
  exchange *made = calloc(1, sizeof *made);
  made->server = to;
  assert_int_equal(vestry_memory_request(to->v, &call, NULL, NULL, &made->memory), VESTRY_OK);
  return made;
}

static int status(void *asked) {
  return vestry_memory_look(((exchange *)asked)->memory).status;
}

static const char *header(void *asked, const char *name) {
  return vestry_memory_header(((exchange *)asked)->memory, name, 0);
}

static void expect(void *asked, const char *text) {
  exchange *from = asked;
  settle(from->server);
  vestry_slice got = vestry_memory_look(from->memory).received;
  if (!memmem(got.data, got.len, text, strlen(text))) fail_msg("\"%s\" did not come", text);
}

static vestry_slice body(void *asked) {
  return vestry_memory_look(((exchange *)asked)->memory).received;
}

static bool end(void *asked) {
  exchange *from = asked;
  settle(from->server);
  bool clean = vestry_memory_look(from->memory).clean;
  assert_true(vestry_memory_look(from->memory).ended);
  return clean;
}

static void hang_up(void *asked) {
  vestry_memory_mode_set(((exchange *)asked)->memory, VESTRY_MEMORY_HANGS_UP);
}

static void forget(void *asked) {
  vestry_memory_destroy(((exchange *)asked)->memory);
  free(asked);
}

const vsi_contract_seam memory_seam = {start,  instance, stop, destroy, settle,  pass_ms, request, status,
                                       header, expect,   body, end,     hang_up, forget,  false,   false};
