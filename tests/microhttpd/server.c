#include "microhttpd/server.h"

#include "microhttpd/tls.h"
#include "support/test.h"
#include "web/client.h"

static vestry_err mount(vestry_microhttpd *adapter, void *app) {
  server *s = app;
  s->adapter = adapter;
  server_mount(s);
  return VESTRY_OK;
}

void server_start(server *s, const server_settings *settings) {
  static const server_settings defaults = {.bare = false};
  if (!settings) settings = &defaults;
  server_begin(s, &microhttpd_seam, &settings->options);
  vestry_microhttpd_options options = settings->adapter;
  if (!options.address) options.address = "127.0.0.1";
  if (!options.threads_count) options.threads_count = 2;
  client_tls_ops_used = NULL;
  if (settings->tls) {
    tls_key_pair(&options.tls_key, &options.tls_certificate);
    client_tls_ops_used = &tls_client_ops;
  }
  if (!settings->bare) {
    options.mount = mount;
    options.mount_app = s;
  }
  vestry_microhttpd *adapter = NULL;
  assert_int_equal(vestry_microhttpd_create(s->v, &options, &adapter), VESTRY_OK);
  s->adapter = adapter;
  s->port = vestry_microhttpd_port(adapter);
  assert_true(s->port);
}

static void start(server *s, const web_settings *settings) {
  if (!settings) {
    server_start(s, NULL);
    return;
  }
  assert_false(settings->lost_ms && settings->stalled_ms); /* which are one here */
  server_start(s, &(server_settings){.adapter = {.max_streams = settings->room,
                                                 .address = settings->address,
                                                 .timeout_s = settings->silent_s,
                                                 .lost_ms = settings->lost_ms + settings->stalled_ms},
                                     .tls = settings->tls,
                                     .options = settings->options});
}

static vestry_err handle(server *s, const char *method, const char *path, vestry_handler_fn handler, void *app) {
  return vestry_microhttpd_handle(s->adapter, method, path, handler, app);
}

static vestry_err stop(server *s, uint64_t timeout_ms) {
  return vestry_microhttpd_stop(s->adapter, timeout_ms);
}

static void room(server *s, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vestry_microhttpd_room(s->adapter, ret_streams, ret_capacity);
}

static void destroy(server *s) {
  vestry_microhttpd_destroy(s->adapter);
}

const server_seam microhttpd_seam = {
    .name = "libmicrohttpd",
    .start = start,
    .handle = handle,
    .stop = stop,
    .room = room,
    .destroy = destroy,
    .has_tls = true,
    .always_keeps = true,
    .waits_for_none = true,
    .closes_broken = true,
    .refuses_itself = true,
    .stops_s = 5,
};
