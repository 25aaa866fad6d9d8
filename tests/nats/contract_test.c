/* SPDX-License-Identifier: MIT */
/* The broker contract for NATS. */
#include <stdlib.h>

#include "cluster/broker_contract.h"
#include "nats/server.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/cluster/nats.h"

typedef struct world {
  test_host th;
  nats_server server;
} world;

static void *begin(void) {
  world *w = calloc(1, sizeof *w);
  test_host_init(&w->th);
  nats_server_init(&w->server);
  nats_server_start(&w->server, NULL);
  return w;
}

static void end(void *ctx) {
  world *w = ctx;
  test_host_assert_clean(&w->th);
  nats_server_finish(&w->server);
  free(w);
}

static vestry_broker join(void *ctx) {
  world *w = ctx;
  const char *servers[] = {w->server.url};
  vestry_broker broker;
  assert_int_equal(vestry_nats_create(&(vestry_nats_options){.host = &w->th.host,
                                                             .servers = servers,
                                                             .servers_count = 1,
                                                             .reconnect_max_ms = 100,
                                                             /* so that a slow machine is not taken for a dead server */
                                                             .ping_ms = 30000,
                                                             .write_ms = 30000},
                                      &broker),
                   VESTRY_OK);
  return broker;
}

static void settle(void *ctx) {}

static void bring_down(void *ctx) {
  nats_server_kill(&((world *)ctx)->server);
}

static void bring_up(void *ctx) {
  nats_server_start(&((world *)ctx)->server, NULL);
}

int main(void) {
  const contract_world nats = {.name = "NATS",
                               .begin = begin,
                               .end = end,
                               .join = join,
                               .settle = settle,
                               .bring_down = bring_down,
                               .bring_up = bring_up};
  return broker_contract_run(&nats);
}
