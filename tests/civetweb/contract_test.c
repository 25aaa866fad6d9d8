/* The contract of adapters, kept by civetweb over real sockets. */
#include "adapter/contract.h"

#include <stdlib.h>

#include "civetweb/server.h"
#include "support/test.h"
#include "web/exchange.h"

static void *start(const vestry_options *options, unsigned room) {
  server *s = calloc(1, sizeof *s);
  server_start(s, &(server_settings){.threads = room + 4, .reserve = 4, .bare = true, .options = *options});
  return s;
}

static void mount(void *to, const char *method, const char *path, vestry_handler_fn handler, void *app) {
  assert_int_equal(vestry_civetweb_handle(((server *)to)->adapter, method, path, handler, app), VESTRY_OK);
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

static const contract_seam civetweb_seam = {
    .name = "civetweb",
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
};

int main(void) {
  return contract_run(&civetweb_seam);
}
