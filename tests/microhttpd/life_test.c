/* The contract of life and of peers that go; then how libmicrohttpd sees a cut, and a destroy without a stop. */
#include <malloc.h>

#include "microhttpd/server.h"
#include "support/test.h"
#include "web/client.h"
#include "web/life_contract.h"
#include "web/peers_contract.h"

static server s;

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Headers beyond what malloc keeps for each thread and counts as in use: 1,032 bytes. */
enum { HEADERS = 3, HEADER_BYTES = 2000, IDLE_STREAMS = 8 };

static vestry_err open_with_headers(const vestry_request *req, vestry_reply *reply, void *app) {
  char value[HEADER_BYTES + 1], name[] = "X-Note-0";
  memset(value, 'v', HEADER_BYTES);
  value[HEADER_BYTES] = '\0';
  vestry_err error = server_open_stream(req, reply, app);
  for (int i = 0; !error && i < HEADERS; i++, name[7]++) error = vestry_reply_header(reply, name, value);
  return error;
}

static size_t allocated_bytes(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

/* What is allocated for each of some idle streams at this path, by libmicrohttpd too, less what their clients hold.
 * They stay open: one that has been closed is freed later, when libmicrohttpd comes by. */
static long idle_bytes(const char *path, client clients[IDLE_STREAMS]) {
  size_t before = allocated_bytes();
  for (int i = 0; i < IDLE_STREAMS; i++) {
    unsigned index = s.witness.opened;
    client_ask(&clients[i], s.port, "GET", path, "Datastar-Request: true\r\n");
    assert_int_equal(client_status(&clients[i]), 200);
    assert_true(witness_wait_opened(&s.witness, index + 1));
    server_patch(witness_connection(&s.witness, index), "{}"); /* written when the socket is vestry's */
    client_expect(&clients[i], "data: signals {}");
  }
  size_t after = allocated_bytes(), clients_bytes = 0;
  for (int i = 0; i < IDLE_STREAMS; i++) clients_bytes += clients[i].capacity + clients[i].body_capacity;
  return ((long)after - (long)before - (long)clients_bytes) / IDLE_STREAMS;
}

static void headers_are_forgotten_when_they_are_out(void **state) {
  (void)state;
  if (!mallinfo2().uordblks) skip(); /* another allocator's, a sanitizer's */
  mallopt(M_ARENA_MAX, 1);           /* mallinfo2 tells of one arena */
  server_start(&s, &(server_settings){.adapter.memory_bytes = 16384});
  assert_int_equal(vestry_microhttpd_handle(s.adapter, "GET", "/heavy", open_with_headers, &s), VESTRY_OK);
  static client clients[3][IDLE_STREAMS];
  (void)idle_bytes("/stream", clients[0]); /* tables grow with the first ones */
  long light = idle_bytes("/stream", clients[1]), heavy = idle_bytes("/heavy", clients[2]);
  assert_true(light > 16384);
  assert_true(heavy - light < HEADERS * HEADER_BYTES / 2);
  for (int batch = 0; batch < 3; batch++)
    for (int i = 0; i < IDLE_STREAMS; i++) client_close(&clients[batch][i]);
  server_stop(&s);
}

/* ---- peers that go ----------------------------------------------------------------------------------------------- */

static double seconds_until_lost(size_t bytes) {
  web_settings settings = {.lost_ms = 500, .options.connection.heartbeat_ms = 100};
  if (bytes) settings.options.connection.max_queued_bytes = bytes + 4096;
  return peers_seconds_until_lost(&microhttpd_seam, &settings, 7, bytes);
}

static void f5_finds_one_behind_a_cut(void **state) {
  (void)state;
  double took = seconds_until_lost(0);
  print_message("lost after %.0f ms; promised: heartbeat 100 + lost 500\n", took * 1e3);
  assert_true(took >= 0.4 && took < 10); /* the machine may be slow, but not that slow */
}

static void f5_finds_one_behind_a_cut_in_the_middle_of_a_write(void **state) {
  (void)state;
  double took = seconds_until_lost(16 << 20);
  print_message("lost after %.0f ms; promised: lost 500\n", took * 1e3);
  assert_true(took >= 0.4 && took < 10);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void destroy_stops(void **state) {
  (void)state;
  server_start(&s, NULL);
  client clients[3];
  vestry_connection *kept = NULL;
  for (int i = 0; i < 3; i++) kept = server_open(&s, &clients[i]);
  vestry_connection_ref(kept);
  vestry_microhttpd_destroy(s.adapter);
  s.adapter = NULL;
  assert_int_equal(vestry_connection_cause(kept), VESTRY_CAUSE_SHUTDOWN);
  /* It outlives its adapter. */
  assert_int_equal(vestry_connection_patch_signals(kept, "{}", 2, NULL), VESTRY_CLOSED);
  vestry_connection_writable(kept);
  vestry_connection_unref(kept);
  server_finish(&s); /* destroys NULL */
  for (int i = 0; i < 3; i++) client_close(&clients[i]);
}

int main(void) {
  const struct CMUnitTest memory[] = {cmocka_unit_test(headers_are_forgotten_when_they_are_out)};
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(f5_finds_one_behind_a_cut),
      cmocka_unit_test(f5_finds_one_behind_a_cut_in_the_middle_of_a_write),
      cmocka_unit_test(destroy_stops),
  };
  /* Memory first: there is one arena yet. */
  return cmocka_run_group_tests_name("libmicrohttpd, its memory", memory, NULL, NULL) +
         life_contract_run(&microhttpd_seam) + peers_contract_run(&microhttpd_seam) +
         cmocka_run_group_tests_name("libmicrohttpd, its own life", tests, NULL, NULL);
}
