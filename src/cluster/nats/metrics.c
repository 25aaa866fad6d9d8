/* SPDX-License-Identifier: MIT */
/* The counters of a NATS broker, as metrics. */
#include "ops/observe/metric_rows.h"
#include "vestry/cluster/nats.h"

vestry_err vestry_nats_metrics(vestry_metrics *metrics, void *broker) {
  vestry_nats_stats stats = {0};
  if (!metrics || !broker) return VESTRY_INVALID;
  vestry_nats_stats_get(broker, &stats);
  const vsi_metric_row rows[] = {
      {"vestry_nats_published", "Messages that the outbox has taken.", NULL, NULL, 0, stats.published_count},
      {"vestry_nats_written", "Messages that the socket has taken.", NULL, NULL, 0, stats.written_count},
      {"vestry_nats_discarded", "Messages that waited when the connection ended.", NULL, NULL, 0,
       stats.discarded_count},
      {"vestry_nats_received", "Messages that the server has sent.", NULL, NULL, 0, stats.received_count},
      {"vestry_nats_connects", "Times that the connection has come up.", NULL, NULL, 0, stats.connections_count},
      {"vestry_nats_attempts", "Times that a connection was tried.", NULL, NULL, 0, stats.attempts_count},
      {"vestry_nats_send_queue_bytes", "Bytes that wait to be written.", NULL, NULL, VESTRY_METRIC_GAUGE,
       stats.send_queue_bytes},
  };
  return VSI_METRIC_ROWS_ADD(metrics, rows);
}
