/* SPDX-License-Identifier: MIT */
#include "web/lost_peers.h"

#include <stdlib.h>

#include "support/patience.h"
#include "support/test.h"
#include "testing/contract/check.h"
#include "testing/contract/client.h"
#include "vestry/event.h"
#include "web/network.h"

static vsi_server s;

void lost_peers_wait_heartbeats(vsi_client *c, unsigned count) {
  char text[512] = "";
  assert_in_range(count, 1, sizeof text / 3 - 1);
  for (unsigned i = 0; i < count; i++) strcat(text, ":\n\n");
  vsi_client_expect(c, text);
}

typedef struct far_client {
  vsi_client client;
  const network *network;
} far_client;

static void ask_from_afar(void *ctx) {
  far_client *far = ctx;
  vsi_client_connect_to(&far->client, network_address, s.port, false);
  vsi_client_sendf(&far->client, "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
}

double lost_peers_seconds(const vestry_contract_adapter *adapter, const vestry_contract_settings *settings,
                          const vestry_connection_options *connection_options, unsigned heartbeats, size_t bytes) {
  network n;
  if (!network_open(&n)) skip();
  vsi_adapter = *adapter;
  vsi_patience_s = PATIENCE_S;
  vsi_server_start(&s, settings, &(vestry_options){.connection = connection_options});
  far_client far = {.network = &n};
  network_at_far_end(&n, ask_from_afar, &far);
  assert_int_equal(vsi_client_status(&far.client), 200);
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  vestry_connection *connection = vsi_recorder_connection(&s.recorder, 0);
  lost_peers_wait_heartbeats(&far.client, heartbeats); /* and the peer still exists */
  assert_int_equal(vestry_connection_look(connection).cause, VESTRY_CAUSE_NONE);
  /* before the cut: a slow machine may need longer for this than the peer's time-out */
  char *html = bytes ? malloc(bytes) : NULL;
  vestry_event *event = NULL;
  if (html) {
    memset(html, 'x', bytes);
    assert_int_equal(vestry_event_elements(NULL, html, bytes, NULL, &event), VESTRY_OK);
    free(html);
  }
  double since = vsi_seconds_now();
  network_cut(&n);
  if (event) assert_int_equal(vestry_connection_send(connection, event), VESTRY_OK);
  vestry_event_unref(event);
  vestry_cause cause = vsi_server_cause(&s, connection);
  double took = vsi_seconds_now() - since;
  vsi_client_close(&far.client);
  network_close(&n);
  assert_int_equal(cause, VESTRY_CAUSE_LOST);
  const vestry_stats stats = vsi_server_stats(&s);
  assert_int_equal(stats.queued_bytes, 0); /* the bytes that waited for it are freed */
  vsi_server_stop(&s);
  return took;
}

void lost_peers_leave_time_to_send_again(const vestry_contract_adapter *adapter) {
  const vestry_connection_options connection = {.heartbeat_ms = 100};
  double took = lost_peers_seconds(adapter, NULL, &connection, 8, 0);
  print_message("lost after %.0f ms; promised: a heartbeat of 100 + lost 2,000\n", took * 1e3);
  assert_true(took >= 1.9 && took < VSI_PROMPT_S);
}
