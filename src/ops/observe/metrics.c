/* SPDX-License-Identifier: MIT */
/* The metrics of the library: which counter becomes which series. Each struct is one snapshot, so sums that hold in the
 * struct hold in its series. */
#include "app/page/pages.h"
#include "instance/instance.h"
#include "ops/observe/text.h"
#include "serve/inside.h"
#include "store/store.h"
#include "vestry/app/history.h"
#include "vestry/app/session.h"
#include "vestry/app/stream.h"
#include "vestry/app/watch.h"
#include "vestry/cause.h"
#include "vestry/version.h"

/* ---------------------------------------------------------------------------------------------- one series -------- */

static void put_metric(vestry_metrics *m, vestry_metric_kind kind, const char *name, const char *help, double value) {
  (void)vestry_metrics_add(m, &(vestry_metric){.name = name, .help = help, .kind = kind, .value = value});
}

static void total(vestry_metrics *m, const char *name, const char *help, uint64_t value) {
  put_metric(m, VESTRY_METRIC_COUNTER, name, help, (double)value);
}

static void gauge(vestry_metrics *m, const char *name, const char *help, uint64_t value) {
  put_metric(m, VESTRY_METRIC_GAUGE, name, help, (double)value);
}

/* Add one series of a family. */
static void one_of(vestry_metrics *m, const char *name, const char *help, const char *label, const char *is,
                   uint64_t value) {
  (void)vestry_metrics_add(
      m, &(vestry_metric){.name = name, .help = help, .label = label, .label_value = is, .value = (double)value});
}

/* Add a family of counters, one for each value of its label; the last one has no value. */
typedef struct labelled {
  const char *is;
  uint64_t count;
} labelled;

static void count_each(vestry_metrics *m, const char *name, const char *help, const char *label, const labelled *each) {
  for (; each->is; each++) one_of(m, name, help, label, each->is, each->count);
}
#define COUNT_EACH(m, name, help, label, ...)                                                                          \
  count_each(m, name, help, label, (const labelled[]){__VA_ARGS__, {NULL, 0}})

static void put_times(vestry_metrics *m, const char *name, const char *help, const vsi_histogram_counts *times) {
  (void)vestry_metrics_add(m, &(vestry_metric){.name = name,
                                               .help = help,
                                               .kind = VESTRY_METRIC_HISTOGRAM,
                                               .value = times->sum_s,
                                               .bounds = times->bounds_s,
                                               .counts = times->counts,
                                               .bounds_count = VSI_HISTOGRAM_BOUNDS_COUNT});
}

static void count_codings(vestry_metrics *m, const char *name, const char *help, const uint64_t *counts) {
  static const char *const codings[] = {"identity", "br", "gzip"}; /* by vsi_coding_kind */
  for (int kind = 0; kind < VSI_CODING_KINDS_COUNT; kind++)
    one_of(m, name, help, "coding", codings[kind], counts[kind]);
}

static void count_causes(vestry_metrics *m, const char *name, const char *help, const uint64_t *counts) {
  for (int cause = VESTRY_CAUSE_NONE + 1; cause < VESTRY_CAUSE_COUNT; cause++)
    one_of(m, name, help, "cause", vestry_cause_name((vestry_cause)cause), counts[cause]);
}

/* ------------------------------------------------------------------------------------------------ families -------- */

/* Put the series of streams, their events and queues. */
static void put_streams(vestry_metrics *m, vestry *v, const vsi_group_stats *group, const vestry_stats *stats) {
  gauge(m, "vestry_streams_open", "Open streams.", stats->open_count);
  total(m, "vestry_streams_opened", "Streams opened.", stats->opened_count);
  count_causes(m, "vestry_streams_closed", "Streams that ended, by cause.", stats->closed_by_cause);
  put_times(m, "vestry_stream_age_seconds", "Age of streams when they ended.", &group->ages);
  total(m, "vestry_events_accepted", "Events accepted by the queues of streams.", stats->accepted_count);
  COUNT_EACH(m, "vestry_events_settled", "Events that left a queue, by outcome.", "outcome",
             {"written", stats->written_count}, {"conflated", stats->conflated_count},
             {"discarded", stats->discarded_count});
  COUNT_EACH(m, "vestry_events_refused", "Events refused by a queue, by error.", "error", {"full", group->refused},
             {"too_large", group->too_large}, {"no_memory", group->no_memory});
  put_times(m, "vestry_delivery_seconds", "Time of an event from the queue to the socket; one event in 16 is timed.",
            &group->deliveries);
  count_codings(m, "vestry_event_bytes", "Bytes of written events before encoding, by coding.", group->event_bytes_by);
  count_codings(m, "vestry_wire_bytes", "Bytes accepted by transports after encoding, with heartbeats, by coding.",
                group->wire_bytes_by);
  static const char *const encodes[] = {"standalone", "in_sync", "followed"}; /* by vsi_encode_kind */
  const vsi_codings *codings = vsi_group_codings(v->group);
  for (int kind = 0; VSI_ENCODES && kind < VSI_ENCODE_KINDS_COUNT; kind++)
    one_of(m, "vestry_channel_encodes", "Runs of an encoder over an event, by kind.", "kind", encodes[kind],
           vsi_codings_encodes(codings, (vsi_encode_kind)kind));
  total(m, "vestry_heartbeats", "Heartbeats written.", stats->heartbeats_count);
  gauge(m, "vestry_queued_bytes", "Bytes in all queues now.", stats->queued_bytes);
  gauge(m, "vestry_queued_peak_bytes", "Maximum of the bytes in all queues so far.", stats->queued_peak_bytes);
  gauge(m, "vestry_queued_limit_bytes", "Limit of the bytes in all queues.",
        vsi_group_environment(v->group)->budget->max);
  gauge(m, "vestry_drain_left", "Streams that a drain still has to end.",
        stats->drain_has_begun ? stats->open_count : 0);
}

static void put_parts(vestry_metrics *m, vestry *v) {
  vestry_lease_stats leases = {0};
  vestry_watch_stats watches = {0};
  vestry_lease_stats_get(v, &leases);
  vestry_watch_stats_get(v, &watches);
  gauge(m, "vestry_leases_live", "Streams whose tab has renewed its lease.", leases.live_count);
  gauge(m, "vestry_watches_live", "Active watches of streams.", watches.live_count);
  total(m, "vestry_watch_steps", "Steps of watches.", watches.steps_count);
  total(m, "vestry_watch_errors", "Streams ended by an error of a watch's step.", watches.errors_count);
}

static void put_channels(vestry_metrics *m, vestry *v, const vestry_stats *stats) {
  vestry_histories_stats histories = {0};
  gauge(m, "vestry_channels_live", "Channels by key now.", stats->channels_live_count);
  total(m, "vestry_channels_made", "Channels by key created.", stats->channels_made_count);
  total(m, "vestry_channels_refused", "Channels by key refused because max_channels_count existed.",
        stats->channels_refused_count);
  vestry_histories_stats_get(v, &histories);
  gauge(m, "vestry_histories_live", "Histories of channels now.", histories.live_count);
  gauge(m, "vestry_history_bytes", "Bytes stored by histories of channels.", histories.bytes);
}

static void put_runtime(vestry_metrics *m, const vestry *v) {
  vsi_histogram_counts lag;
  vsi_histogram_get(&v->runtime->pool.lag, &vsi_moments, &lag);
  put_times(m, "vestry_runtime_lag_seconds", "Time for which ready work waits for a thread; one at a time is timed.",
            &lag);
  const vsi_pool *pool = &v->runtime->pool;
  gauge(m, "vestry_runtime_batching", "1: small writes of streams are sent in batches; 0: each is a system call.",
        atomic_load_explicit(&pool->batches, memory_order_relaxed));
  total(m, "vestry_runtime_batches", "Batches of writes that were sent.",
        atomic_load_explicit(&pool->batches_count, memory_order_relaxed));
  total(m, "vestry_runtime_batched_writes", "Writes of streams that were sent in a batch.",
        atomic_load_explicit(&pool->batched_count, memory_order_relaxed));
  total(m, "vestry_runtime_rings_lost", "Times a thread wrote streams one by one for want of descriptors or memory.",
        atomic_load_explicit(&pool->rings_lost_count, memory_order_relaxed));
}

static void put_requests(vestry_metrics *m, const vestry_stats *stats) {
  total(m, "vestry_requests", "Requests served.", stats->requests_count);
  total(m, "vestry_requests_rejected", "Requests rejected with 503.", stats->rejected_count);
  for (int why = VESTRY_REFUSAL_NONE + 1; why < VESTRY_REFUSAL_COUNT; why++)
    one_of(m, "vestry_refused", "Connections and requests refused before a handler, by reason.", "reason",
           vestry_refusal_name((vestry_refusal)why), stats->refused_by_reason[why]);
  gauge(m, "vestry_request_bytes", "Memory of active requests.", stats->request_bytes);
  gauge(m, "vestry_response_bytes", "Memory of responses that are being sent.", stats->response_bytes);
  total(m, "vestry_responses_cut", "Responses cut because all responses together exceeded their limit.",
        stats->responses_cut_count);
}

static void put_sessions(vestry_metrics *m, vestry *v) {
  vestry_session_stats stats = {0};
  vestry_session_stats_get(v, &stats);
  gauge(m, "vestry_sessions_live", "Sessions with a user.", stats.live_count);
  COUNT_EACH(m, "vestry_logins", "Logins, by outcome.", "outcome", {"ok", stats.logins_count},
             {"failed", stats.failed_count});
}

static void put_store(vestry_metrics *m, const vestry *v) {
  vestry_store_stats of_store = {0}, *stats = &of_store;
  vestry_store_stats_get(v->store, stats);
  gauge(m, "vestry_store_entries", "Entries in the store.", stats->live_count);
  total(m, "vestry_store_put", "Entries put into the store.", stats->put_count);
  count_causes(m, "vestry_store_removed", "Entries removed from the store, by cause.", stats->removed_by_cause);
  COUNT_EACH(m, "vestry_store_lookups", "Lookups by key, by result.", "result", {"hit", stats->hits_count},
             {"miss", stats->misses_count});
  vsi_histogram_counts evictions;
  vsi_store_evictions(v->store, &evictions);
  put_times(m, "vestry_store_eviction_age_seconds",
            "Time for which evicted entries had been unused; one eviction in 16 is timed.", &evictions);
}

/* Put the series of live pages. changes: time from a change to the socket. */
static void put_page_metrics(vestry_metrics *m, vestry_pages *pages, const vsi_histogram_counts *changes) {
  vestry_pages_stats of_pages = {0}, *stats = &of_pages;
  vestry_pages_stats_get(pages, stats);
  gauge(m, "vestry_page_streams_open", "Open streams of pages.", stats->streams_count);
  gauge(m, "vestry_page_fragments", "Rendered fragments: private pages, shared pages and parts.",
        stats->fragments_count);
  gauge(m, "vestry_page_topics", "Topics on which at least one page depends.", stats->topics_count);
  total(m, "vestry_page_refreshes", "Refreshes of topics, and of all pages.", stats->refreshes_count);
  total(m, "vestry_page_documents", "Documents served.", stats->documents_count);
  COUNT_EACH(m, "vestry_page_renders", "Renders for streams, by outcome.", "outcome", {"changed", stats->changed_count},
             {"unchanged", stats->unchanged_count}, {"current", stats->current_count}, {"failed", stats->failed_count},
             {"dropped", stats->dropped_count});
  vsi_histogram_counts times;
  vsi_histogram_get(&pages->render_times, &vsi_moments, &times);
  put_times(m, "vestry_page_render_seconds", "Time that handlers take to render for streams.", &times);
  put_times(m, "vestry_page_change_seconds", "Time from a change to the socket of a stream whose page shows it.",
            changes);
  total(m, "vestry_page_unsent", "Changed renders that a stream could not accept at once.", stats->unsent_count);
  total(m, "vestry_page_postponed", "Renders that waited because the last event was not written yet.",
        stats->postponed_count);
  gauge(m, "vestry_page_kept_bytes", "Bytes of stored contents of pages.", stats->kept_bytes);
  gauge(m, "vestry_page_requests_bytes", "Bytes of the stored requests from which pages are rendered.",
        stats->requests_bytes);
  total(m, "vestry_page_requests_refused", "Streams and parts refused because there was no room for their request.",
        stats->requests_refused_count);
}

/* Put the series of a node of a cluster. */
static void put_cluster(vestry_metrics *m, const vestry_cluster_stats *stats) {
  gauge(m, "vestry_cluster_nodes_alive", "Other nodes that are alive.", stats->alive_count);
  gauge(m, "vestry_cluster_nodes_unsynced", "Other nodes that are alive and whose keys are not known completely.",
        stats->unsynced_count);
  gauge(m, "vestry_cluster_keys", "Announced keys of this node.", stats->keys_count);
  gauge(m, "vestry_cluster_others_keys", "Announced keys of all other nodes.", stats->others_keys_count);
  COUNT_EACH(m, "vestry_cluster_remote_requests", "Requests to other nodes, by outcome.", "outcome",
             {"ok", stats->ok_count}, {"not_found", stats->not_found_count}, {"timeout", stats->timeout_count},
             {"unsent", stats->unsent_count}, {"refused", stats->refused_count});
  gauge(m, "vestry_cluster_waiting", "Requests to other nodes that wait for an answer.", stats->waiting_count);
  total(m, "vestry_cluster_answered", "Requests of other nodes that this node answered.", stats->answered_count);
  total(m, "vestry_cluster_sent", "Messages accepted by the broker.", stats->sent_count);
  total(m, "vestry_cluster_send_failed", "Messages refused by the broker.", stats->send_failed_count);
  total(m, "vestry_cluster_received", "Messages received.", stats->received_count);
  COUNT_EACH(m, "vestry_cluster_left_out", "Messages ignored, by reason.", "reason",
             {"duplicate", stats->duplicates_count}, {"malformed", stats->malformed_count},
             {"stale", stats->stale_count}, {"over_budget", stats->over_budget_count});
  total(m, "vestry_cluster_gaps", "Gaps in the messages of other nodes.", stats->gaps_count);
  total(m, "vestry_cluster_lost", "Messages lost in gaps.", stats->lost_count);
}

void vsi_metrics_put_all(vestry_metrics *metrics, vestry *v, vestry_pages *pages, vestry_cluster *cluster) {
  (void)vestry_metrics_add(metrics, &(vestry_metric){.name = "vestry_build_info",
                                                     .help = "Version of the library; always 1.",
                                                     .kind = VESTRY_METRIC_GAUGE,
                                                     .label = "version",
                                                     .label_value = vestry_version(),
                                                     .value = 1});
  vestry_stats stats = {0};
  vsi_group_stats group;
  vsi_stats_get(v, &group, &stats);
  put_streams(metrics, v, &group, &stats);
  put_parts(metrics, v);
  put_requests(metrics, &stats);
  put_sessions(metrics, v);
  put_channels(metrics, v, &stats);
  put_runtime(metrics, v);
  put_store(metrics, v);
  if (pages) put_page_metrics(metrics, pages, &group.changes);
  if (cluster) {
    vestry_cluster_stats of_cluster = {0};
    vestry_cluster_stats_get(cluster, &of_cluster);
    put_cluster(metrics, &of_cluster);
  }
}
