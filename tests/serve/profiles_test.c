/* SPDX-License-Identifier: MIT */
/* The encodings that a server offers, with a server that does nothing: requests come from the memory adapter. */
#include "support/site.h"
#include "vestry/adapter.h"
#include "vestry/server.h"

static vestry_server idle_server;

static vestry_err start(vestry *v, const vestry_server_options *options, vestry_server **ret_server) {
  idle_server = (vestry_server){.port = 1};
  *ret_server = &idle_server;
  return VESTRY_OK;
}

static vestry_err stop(vestry_server *server, uint64_t timeout_ms) {
  return VESTRY_OK;
}

static void destroy(vestry_server *server) {}

static void room(vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity) {}

static const vestry_server_adapter idle = {
    .name = "idle", .start = start, .stop = stop, .destroy = destroy, .room = room};

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
}

/* Return the Content-Encoding of a stream for a client that accepts all codings; NULL: none. */
static const char *coding_of(site *s, vestry_memory_exchange **ret_stream) {
  const vestry_header headers[] = {{"Accept-Encoding", "gzip, deflate, br"}};
  const vestry_memory_call call = {.datastar = true, .headers = headers, .headers_count = 1};
  assert_int_equal(vestry_memory_request(s->v, &call, live, NULL, ret_stream), VESTRY_OK);
  vestry_memory_settle(s->v);
  return vestry_memory_header(*ret_stream, "Content-Encoding", 0);
}

static void assert_coding(site *s, const char *wanted) {
  vestry_memory_exchange *stream;
  const char *got = coding_of(s, &stream);
  if (wanted)
    assert_string_equal(got, wanted);
  else
    assert_null(got);
  vestry_memory_destroy(stream);
}

static void serve(site *s, bool is_uncompressed) {
  vestry_server *server;
  const vestry_server_options options = {.is_uncompressed = is_uncompressed};
  assert_int_equal(vestry_server_create(s->v, &idle, &options, &server), VESTRY_OK);
  vestry_server_destroy(server);
}

/* capability: L17 */
TEST_CASE(server_offers_compression) {
  site s;
  site_begin(&s, (vestry_options){0});
  assert_coding(&s, NULL); /* vestry_create offers identity only */
  serve(&s, false);
  assert_coding(&s, "br");
  serve(&s, true); /* the offer stays */
  assert_coding(&s, "br");
  site_end(&s);
}

TEST_CASE(server_without_compression_offers_none) {
  site s;
  site_begin(&s, (vestry_options){0});
  serve(&s, true);
  assert_coding(&s, NULL);
  site_end(&s);
}

TEST_CASE(profiles_of_the_instance_count) {
  site s;
  const vestry_profile gzip = {.ops = &vestry_profile_gzip}, identity = {.ops = &vestry_profile_identity};
  site_begin(&s, (vestry_options){.profiles = &gzip, .profiles_count = 1});
  serve(&s, false);
  assert_coding(&s, "gzip");
  site_end(&s);
  site_begin(&s, (vestry_options){.profiles = &identity, .profiles_count = 1});
  serve(&s, false);
  assert_coding(&s, NULL);
  site_end(&s);
}

static vestry_err create_server(test_host *th, void *ctx) {
  vestry *v;
  vestry_server *server;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (error) return error;
  error = vestry_server_create(v, &idle, NULL, &server);
  (void)vestry_destroy(v);
  return error;
}

TEST_CASE(each_failed_allocation_is_reported) {
  test_host_fail_each(create_server, NULL, true);
}
