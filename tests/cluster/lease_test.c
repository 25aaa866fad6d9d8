/* SPDX-License-Identifier: MIT */
/* Lease renewals for streams of other nodes: a load balancer may send them to any node. */
#include <string.h>

#include "cluster/nodes.h"
#include "vestry/app/stream.h"

/* WAITS_MS: the longest delay of a renewal for another node. MANY: more than fit one message. */
enum { LEASE_MS = 25000, DIGITS = 64, WAITS_MS = 250, MANY = 1500 };
#define FIRST "data: lease "

static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("stream"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, UINT32_MAX);
}

static vestry_memory_exchange *open_stream(node *of, char lease[DIGITS + 1]) {
  static const vestry_header wanted = {"Vestry-Signs", "lease"};
  const vestry_memory_call call = {.path = "/", .datastar = true, .headers = &wanted, .headers_count = 1};
  vestry_memory_exchange *made;
  assert_int_equal(vestry_memory_request(of->v, &call, stream, NULL, &made), VESTRY_OK);
  nodes_settle(of->in);
  const char *at = strstr(vestry_memory_since(made).data, FIRST);
  assert_non_null(at);
  memcpy(lease, at + strlen(FIRST), DIGITS);
  lease[DIGITS] = '\0';
  return made;
}

/* Send a request about a lease, and return the status. */
static int status_of(node *at, const char *lease) {
  const vestry_header header = {"Vestry-Lease", lease};
  const vestry_memory_call call = {.method = "POST", .path = "/", .headers = &header, .headers_count = 1};
  vestry_memory_exchange *made;
  assert_int_equal(vestry_memory_request(at->v, &call, stream, NULL, &made), VESTRY_OK);
  const int status = vestry_memory_look(made).status;
  vestry_memory_destroy(made);
  return status;
}

static void answer_only(node *at, const char *lease) {
  assert_int_equal(status_of(at, lease), 204);
}

/* Renew, and wait until the renewal has reached the node of the stream. */
static void answer_at(node *at, const char *lease) {
  answer_only(at, lease);
  nodes_pass_ms(at->in, WAITS_MS);
}

static vestry_lease_stats leases_of(const node *of) {
  vestry_lease_stats leases = {0};
  vestry_lease_stats_get(of->v, &leases);
  assert_int_equal(leases.begun_count, leases.live_count + leases.ended_count);
  return leases;
}

static vestry_stats stats_of(const node *of) {
  vestry_stats stats = {0};
  vestry_stats_get(of->v, &stats);
  return stats;
}

/* Return the number of messages that a node sends while renewals are delayed. */
static uint64_t sent_meanwhile(node *of) {
  uint64_t before = node_stats(of).sent_count;
  nodes_pass_ms(of->in, WAITS_MS);
  return node_stats(of).sent_count - before;
}

/* capability: L9 */
TEST_CASE(renewal_reaches_the_node_of_its_stream) {
  nodes n;
  char lease[DIGITS + 1];
  nodes_begin(&n, 3, NULL);
  vestry_memory_exchange *page = open_stream(&n.all[0], lease);
  for (int i = 0; i < 6; i++) {
    answer_at(&n.all[1 + i % 2], lease);
    assert_int_equal(leases_of(&n.all[0]).renewals_count, i + 1);
    nodes_pass_ms(&n, LEASE_MS * 2 / 3 - WAITS_MS);
  }
  assert_false(vestry_memory_look(page).ended);
  assert_int_equal(leases_of(&n.all[1]).unknown_count, 0);
  nodes_pass_ms(&n, LEASE_MS / 3 + WAITS_MS + 1);
  assert_true(vestry_memory_look(page).ended);
  assert_int_equal(stats_of(&n.all[0]).closed_by_cause[VESTRY_CAUSE_LEASE_EXPIRED], 1);
  assert_int_equal(leases_of(&n.all[1]).begun_count, 0);
  for (size_t i = 0; i < 3; i++) assert_int_equal(node_stats(&n.all[i]).malformed_count, 0);
  vestry_memory_destroy(page);
  nodes_end(&n);
}

/* capability: L9 */
TEST_CASE(undeliverable_renewal_is_refused_and_is_no_gap) {
  nodes n;
  char lease[DIGITS + 1], stray[DIGITS + 1];
  nodes_begin(&n, 2, NULL);
  vestry_memory_exchange *page = open_stream(&n.all[0], lease);
  answer_at(&n.all[1], lease);
  size_t gaps = n.all[0].gaps;
  memcpy(stray, lease, sizeof stray);
  stray[0] = stray[0] == '0' ? '1' : '0'; /* of no stream */
  assert_int_equal(status_of(&n.all[1], stray), 404);
  memset(stray + 32, '0', 16); /* of no node */
  assert_int_equal(status_of(&n.all[1], stray), 404);
  nodes_pass_ms(&n, WAITS_MS);
  assert_int_equal(leases_of(&n.all[0]).renewals_count, 1);
  assert_int_equal(leases_of(&n.all[1]).unknown_count, 2);
  assert_int_equal(n.all[0].gaps, gaps);
  vestry_memory_destroy(page);
  nodes_end(&n);
}

/* The nodes, or a node and the broker, are divided at any time between two renewals. Renewals get lost until the nodes
 * notice it; then the node that the tab reaches refuses them, and the tab releases the lease. */
/* capability: L9 */
TEST_CASE(lost_renewal_ends_no_stream) {
  enum { HEARTBEAT_MS = 15000, ROUNDS = 6 };
  static const char *const parts[] = {"ab", "a-", "-b", "--"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    for (uint64_t before = 0; before <= 4000; before += 500) { /* a node is dead after 3 s */
      nodes n;
      char lease[DIGITS + 1], released[DIGITS + 20];
      nodes_begin(&n, 2, NULL);
      vestry_memory_exchange *page = open_stream(&n.all[0], lease);
      snprintf(released, sizeof released, "%s released", lease);
      answer_at(&n.all[1], lease);
      nodes_pass_ms(&n, HEARTBEAT_MS - before);
      nodes_divide(&n, parts[i]);
      nodes_pass_ms(&n, before);
      bool is_refused = false;
      for (int round = 0; round < ROUNDS && !is_refused; round++) {
        is_refused = status_of(&n.all[1], lease) == 404;
        if (!is_refused) nodes_pass_ms(&n, HEARTBEAT_MS);
      }
      assert_true(is_refused);
      assert_int_equal(status_of(&n.all[1], released), 404);
      assert_int_equal(status_of(&n.all[0], released), 204);
      nodes_pass_ms(&n, 2 * LEASE_MS);
      assert_false(vestry_memory_look(page).ended);
      nodes_divide(&n, NULL);
      nodes_pass_ms(&n, HEARTBEAT_MS);
      answer_at(&n.all[1], lease); /* the lease begins again, and ends the stream of a lost tab */
      nodes_pass_ms(&n, LEASE_MS);
      assert_int_equal(stats_of(&n.all[0]).closed_by_cause[VESTRY_CAUSE_LEASE_EXPIRED], 1);
      vestry_memory_destroy(page);
      nodes_end(&n);
    }
  }
}

/* capability: L9 */
TEST_CASE(forged_renewal_sends_no_message) {
  nodes n;
  char lease[DIGITS + 1], forged[DIGITS + 1];
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  vestry_memory_exchange *page = open_stream(a, lease);
  answer_at(b, lease);
  nodes_pass_ms(&n, 10 * WAITS_MS);
  uint64_t usual = sent_meanwhile(b);
  for (size_t i = 0; i < DIGITS; i++) { /* each digit is sealed: of the lease, of the node's number, and of the seal */
    memcpy(forged, lease, sizeof forged);
    forged[i] = forged[i] == '0' ? '1' : '0';
    assert_int_equal(status_of(b, forged), 404);
  }
  memset(forged, 'f', DIGITS);
  assert_int_equal(status_of(b, forged), 404);
  assert_int_equal(leases_of(b).unknown_count, DIGITS + 1);
  assert_int_equal(sent_meanwhile(b), usual);
  assert_int_equal(leases_of(a).renewals_count, 1);
  vestry_memory_destroy(page);
  nodes_end(&n);
}

/* capability: L9 */
TEST_CASE(repeated_renewals_send_one_message) {
  nodes n;
  char lease[DIGITS + 1];
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  vestry_memory_exchange *page = open_stream(a, lease);
  uint64_t usual = sent_meanwhile(b);
  for (int i = 0; i < 5000; i++) answer_only(b, lease);
  assert_int_equal(sent_meanwhile(b), usual + 1);
  assert_int_equal(leases_of(a).renewals_count, 1);
  /* The stream has ended: the other node does not know that, and gets no message. */
  vestry_memory_destroy(page);
  nodes_settle(&n);
  for (int i = 0; i < 5000; i++) answer_only(b, lease);
  assert_int_equal(sent_meanwhile(b), usual + 1);
  assert_int_equal(node_stats(a).malformed_count, 0);
  nodes_end(&n);
}

/* capability: L9 */
TEST_CASE(renewals_of_many_streams_share_messages) {
  nodes n;
  static char leases[2][MANY][DIGITS + 1];
  static vestry_memory_exchange *pages[2][MANY];
  nodes_begin(&n, 3, NULL);
  node *c = &n.all[2];
  for (size_t of = 0; of < 2; of++)
    for (size_t i = 0; i < MANY; i++) pages[of][i] = open_stream(&n.all[of], leases[of][i]);
  nodes_pass_ms(&n, 10 * WAITS_MS);
  uint64_t usual = sent_meanwhile(c), before = node_stats(c).sent_count;
  for (size_t i = 0; i < MANY; i++)
    for (size_t of = 0; of < 2; of++) answer_only(c, leases[of][i]);
  nodes_pass_ms(&n, WAITS_MS);
  assert_int_equal(node_stats(c).sent_count - before, usual + 2 * 3); /* 3,000 by 1,024: three for each node */
  for (size_t of = 0; of < 2; of++) {
    assert_int_equal(leases_of(&n.all[of]).renewals_count, MANY);
    for (size_t i = 0; i < MANY; i++) vestry_memory_destroy(pages[of][i]);
  }
  nodes_end(&n);
}

/* capability: L9 */
TEST_CASE(renewal_works_again_after_a_failed_allocation) {
  nodes n;
  char lease[DIGITS + 1];
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  vestry_memory_exchange *page = open_stream(a, lease);
  bool has_failed = true;
  for (long i = 0; has_failed; i++) {
    answer_only(b, lease);
    test_host_fail_in(&n.th, i);
    nodes_pass_ms(&n, WAITS_MS);
    has_failed = test_host_has_failed(&n.th);
    test_host_fail_no_more(&n.th);
  }
  uint64_t count = leases_of(a).renewals_count;
  answer_at(b, lease);
  assert_int_equal(leases_of(a).renewals_count, count + 1);
  vestry_memory_destroy(page);
  nodes_end(&n);
}
