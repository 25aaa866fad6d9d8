/* SPDX-License-Identifier: MIT */
/* Processes of an application in a cluster: they need a name each, and the secret of their instances. */
#include "nats/server.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"
#include "vestry/cluster/nats.h"

static vestry_err create(test_host *th, vestry_nats_node *node, const char *secret, vestry_application **ret_app) {
  const vestry_options instance = {.host = &th->host, .threads_count = 2};
  const vestry_application_options options = {.insecure = true,
                                              .instance = &instance,
                                              .secret = secret ? &(vestry_secret){secret, 32, NULL, 0} : NULL,
                                              VESTRY_NATS(node)};
  return vestry_application_create(&options, ret_app);
}

HOST_CASE(applications_with_one_secret_are_one_cluster) {
  static const char secret[] = "the same secret for both of them";
  nats_server server;
  vestry_application *a, *b, *alone;
  nats_server_init(&server);
  nats_server_start(&server, NULL);
  vestry_nats_node of_a = {.name = "a", .url = server.url}, of_b = {.name = "b", .url = server.url}, of_none = {0};
  assert_int_equal(create(th, &of_a, secret, &a), VESTRY_OK);
  assert_int_equal(create(th, &of_b, secret, &b), VESTRY_OK);
  assert_int_equal(create(th, &of_none, secret, &alone), VESTRY_OK);
  assert_null(of_none.cluster);
  UNTIL(vestry_cluster_member(of_a.cluster, "b") == VESTRY_MEMBER_ALIVE);
  UNTIL(vestry_cluster_member(of_b.cluster, "a") == VESTRY_MEMBER_ALIVE);
  assert_int_equal(vestry_application_destroy(alone), VESTRY_OK);
  assert_int_equal(vestry_application_destroy(b), VESTRY_OK);
  UNTIL(vestry_cluster_member(of_a.cluster, "b") == VESTRY_MEMBER_LEFT);
  assert_int_equal(vestry_application_destroy(a), VESTRY_OK);
  nats_server_finish(&server);
}

HOST_CASE(application_without_a_secret_does_not_join) {
  vestry_nats_node node = {.name = "a", .url = "nats://127.0.0.1:1"};
  vestry_application *app;
  assert_int_equal(create(th, &node, NULL, &app), VESTRY_INVALID);
  assert_null(node.broker.ops);
  assert_non_null(strstr(th->last_log, "cannot create its cluster"));
  assert_true(th->log_lines > 0);
}
