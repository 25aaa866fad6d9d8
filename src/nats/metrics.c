/* SPDX-License-Identifier: MIT */
/* The counters of a NATS broker, as metrics. */
#include "vestry/metrics.h"
#include "vestry/nats.h"

vestry_err vestry_nats_metrics(vestry_metrics *metrics, void *broker) {
  vestry_nats_stats stats = {0};
  if (!metrics || !broker) return VESTRY_INVALID;
  vestry_nats_stats_get(broker, &stats);
  const struct {
    const char *name, *help;
    vestry_metric_kind kind;
    uint64_t value;
  } rows[] = {
      {"vestry_nats_published", "Messages that the outbox has taken.", 0, stats.published_count},
      {"vestry_nats_written", "Messages that the socket has taken.", 0, stats.written_count},
      {"vestry_nats_discarded", "Messages that waited when the connection ended.", 0, stats.discarded_count},
      {"vestry_nats_received", "Messages that the server has sent.", 0, stats.received_count},
      {"vestry_nats_connects", "Times that the connection has come up.", 0, stats.connections_count},
      {"vestry_nats_attempts", "Times that a connection was tried.", 0, stats.attempts_count},
      {"vestry_nats_outbox_bytes", "Bytes that wait to be written.", VESTRY_METRIC_GAUGE, stats.out_bytes},
  };
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < sizeof rows / sizeof *rows && !error; i++)
    error = vestry_metrics_add(metrics, &(vestry_metric){.name = rows[i].name,
                                                         .help = rows[i].help,
                                                         .kind = rows[i].kind,
                                                         .value = (double)rows[i].value,
                                                         .is_library = true});
  return error;
}
