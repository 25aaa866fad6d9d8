/* The contract of adapters, kept by libmicrohttpd over real sockets, plain and with TLS. */
#include "adapter/contract.h"

#include <stdlib.h>

#include "microhttpd/server.h"
#include "support/test.h"
#include "web/exchange.h"

static void *start_with(const vestry_options *options, unsigned room, bool tls) {
  server *s = calloc(1, sizeof *s);
  /* libmicrohttpd may overlook an end that came with data: then a request that broke off waits for the time-out. */
  server_start(s, &(server_settings){
                      .adapter = {.max_streams = room, .timeout_s = 2}, .bare = true, .tls = tls, .options = *options});
  return s;
}

static void *start(const vestry_options *options, unsigned room) {
  return start_with(options, room, false);
}

static void *start_tls(const vestry_options *options, unsigned room) {
  return start_with(options, room, true);
}

static void mount(void *to, const char *method, const char *path, vestry_handler_fn handler, void *app) {
  assert_int_equal(vestry_microhttpd_handle(((server *)to)->adapter, method, path, handler, app), VESTRY_OK);
}

static vestry *instance(void *of) {
  return ((server *)of)->v;
}

static void stop(void *stopped) {
  server_stop_adapter(stopped);
  assert_int_equal(vestry_stop(((server *)stopped)->v, 20000), VESTRY_OK);
}

static void destroy(void *stopped) {
  server_finish(stopped);
  free(stopped);
}

static void *ask(void *of, const contract_ask *what) {
  return web_ask(((server *)of)->port, what);
}

int main(void) {
  contract_seam seam = {
      .name = "libmicrohttpd",
      .start = start,
      .instance = instance,
      .mount = mount,
      .stop = stop,
      .destroy = destroy,
      .settle = web_settle,
      .pass_ms = web_pass_ms,
      .ask = ask,
      .status = web_status,
      .header = web_header,
      .expect = web_expect,
      .body = web_body,
      .end = web_end,
      .hang_up = web_hang_up,
      .forget = web_forget,
      .closes_broken = true,
  };
  contract_seam with_tls = seam;
  with_tls.name = "libmicrohttpd with TLS";
  with_tls.start = start_tls;
  return contract_run(&seam) + contract_run(&with_tls);
}
