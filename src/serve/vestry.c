/* SPDX-License-Identifier: MIT */
/* Creating an instance from its parts, and ending it in three steps: close, stop and destroy. The parts are the objects
 * of the lower modules: the runtime, the store, the group (all connections of the instance), the codings of its write
 * profiles, the channels, the routes and the registry. */
#include "base/log.h"
#include "base/memory.h"
#include "channel/channel.h"
#include "channel/channels.h"
#include "coding/coding.h"
#include "connection/connection.h"
#include "connection/queue.h"
#include "http/body.h"
#include "instance/stores.h"
#include "registry/dispatch.h"
#include "registry/names.h"
#include "runtime/runtime.h"
#include "serve/inside.h"

enum { DEFAULT_RETRY_AFTER_S = 2, DEFAULT_VALUES = 10000, VALUES_MOST = 1000000, THREADS_MOST = 256 };
_Static_assert(VESTRY_REPLY_KEYS_MAX <= VSI_STREAM_KEYS_MAX, "a stream context has room for the keys of a reply");
/* The reference count that jansson gives to its constants (null, true, false): references to them are not counted. */
#define UNCOUNTED             SIZE_MAX
#define DEFAULT_BODY_BYTES    ((size_t)1 << 20)
#define DEFAULT_REQUEST_BYTES ((size_t)256 << 20)
#define DEFAULT_ANSWER_BYTES  ((size_t)256 << 20)

/* ----------------------------------------------------------------------------------------- making one -------- */

static vestry_err create_runtime(vestry *v, const vestry_options *options) {
  v->runtime = options->runtime;
  if (v->runtime) return VESTRY_OK;
  v->runtime_is_own = true;
  return vestry_runtime_create(&(vestry_runtime_options){.host = v->host, .threads_count = options->threads_count},
                               &v->runtime);
}

/* Create the codings of the offered profiles, so that errors in them show now instead of in a request. */
static vestry_err create_profiles(vestry *v, const vestry_options *options) {
  vsi_codings *codings = vsi_group_codings(v->group);
  if (VSI_ENCODES) vsi_codings_limit(codings, options->bounds->max_channel_encoders_count);
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < options->profiles_count && !error; i++) {
    vsi_coding *coding;
    error = vsi_profile_resolve(&options->profiles[i], &v->profiles[i]);
    if (!error && VSI_ENCODES && v->profiles[i].ops != &vestry_profile_identity)
      error = vsi_coding_find(codings, &options->profiles[i], &coding);
  }
  atomic_init(&v->profiles_count, options->profiles_count); /* no other thread has the instance yet */
  return error;
}

/* Create the parts. ret_part: the faulty option on failure; NULL: the log has it already. options: its connection is
 * not NULL. */
static vestry_err fill_instance(vestry *v, const vestry_options *options, const char **ret_part) {
  *ret_part = options->runtime ? "options.runtime" : "options.threads_count";
  v->nothing = json_object();
  if (!v->nothing) return VESTRY_NO_MEMORY;
  v->nothing->refcount = UNCOUNTED; /* all threads dispatch with it */
  vestry_err error = vsi_registry_create(v->host, &v->registry);
  if (!error) error = create_runtime(v, options);
  if (!error) error = vsi_routes_create(v->host, &v->routes);
  if (!error) *ret_part = NULL, error = vsi_stores_create(v, options);
  if (!error)
    *ret_part = "options.connection->full", error = vsi_group_create(v->runtime, options->connection, &v->group);
  if (!error) vsi_group_own(v->group, v);
  if (!error) v->heartbeat_ms = vsi_group_heartbeat_ms(v->group);
  if (!error) vsi_group_limit(v->group, options->bounds->max_queued_bytes);
  if (!error) *ret_part = "options.profiles", error = create_profiles(v, options);
  if (!error)
    *ret_part = "options.bounds", error = vsi_channels_create(v->group, options->bounds->max_channels_count,
                                                              options->bounds->max_epoch_bytes, &v->channels);
  if (!error && options->bounds->max_streams_per_scope_count)
    error = vsi_shares_create(v->host, options->bounds->max_streams_per_scope_count, &v->shares);
  if (!error) error = vsi_effects_register(v->registry);
  return error;
}

/* Free all parts that were created. */
static void take_apart(vestry *v) {
  vsi_drain_destroy(v);
  vsi_extensions_finish(&v->extensions, v);
  vsi_shares_destroy(v->shares);
  vsi_stores_destroy(v);
  vsi_channels_destroy(v->channels);
  vsi_group_unref(v->group);
  if (v->runtime_is_own) vestry_runtime_destroy(v->runtime);
  vsi_routes_destroy(v->routes);
  vsi_registry_destroy(v->registry);
  if (v->nothing) v->nothing->refcount = 1;
  json_decref(v->nothing);
  json_decref(atomic_load_explicit(&v->no_signals, memory_order_relaxed)); /* no other thread is left */
  vsi_free(v->host, v);
}

static const vestry_host *host_of(const vestry_options *options) {
  if (options->host) return options->host;
  return options->runtime ? options->runtime->host : vestry_host_default();
}

static size_t request_bytes_of(const vestry_bounds *bounds) {
  return bounds->max_request_bytes ? bounds->max_request_bytes : DEFAULT_REQUEST_BYTES;
}

static size_t body_bytes_of(const vestry_bounds *bounds) {
  const size_t most = vsi_body_bytes_most(request_bytes_of(bounds));
  if (bounds->max_body_bytes) return bounds->max_body_bytes;
  return most < DEFAULT_BODY_BYTES ? most : DEFAULT_BODY_BYTES;
}

/* Return the mistake in the options, except in their ranges; NULL: none. */
static const char *find_mistake(const vestry_options *options, const vestry_host *host) {
  if (!host->reallocate || !host->now_ns || !host->random)
    return "options.host: reallocate, now_ns and random must be set; copy vestry_host_default() and change the copy";
  if (options->runtime && host != options->runtime->host)
    return "options.host is not the host of options.runtime; leave it NULL";
  if (options->bounds->max_body_bytes > vsi_body_bytes_most(request_bytes_of(options->bounds)))
    return "options.bounds->max_body_bytes exceeds 7/16 of max_request_bytes; raise max_request_bytes";
  return options->profiles_count && !options->profiles ? "options.profiles_count is set without options.profiles"
                                                       : NULL;
}

/* Check the ranges of the options, and log the first that is out of its range. */
static vestry_err check_ranges(const vestry_options *options, const vestry_host *host) {
  const vestry_bounds *bounds = options->bounds;
  const vestry_connection_options *connection = options->connection;
  const bool has_threads = !options->runtime && options->threads_count != VESTRY_THREADS_NONE;
  const vsi_option_range ranges[] = {
      {"options.threads_count", has_threads ? options->threads_count : 0, 1, THREADS_MOST},
      {"options.bounds->max_body_bytes", bounds->max_body_bytes, 1, VESTRY_BODY_BYTES_MAX},
      {"options.bounds->max_per_stream_count", bounds->max_per_stream_count, 1, VSI_STREAM_KEYS_MAX},
      {"options.bounds->max_epoch_bytes", bounds->max_epoch_bytes, 1, VSI_EPOCH_MAX_BYTES_MOST},
      {"options.bounds->max_values_count", bounds->max_values_count, 1, VALUES_MOST},
      {"options.connection->max_queued_count", connection->max_queued_count, 1, VSI_QUEUE_MAX_COUNT},
      {"options.connection->max_queued_bytes", connection->max_queued_bytes, 1, VSI_QUEUE_MAX_BYTES},
      {"options.connection->full", (uint64_t)connection->full, VESTRY_FULL_CLOSE, VESTRY_FULL_DROP},
      {"options.profiles_count", options->profiles_count, 1, VESTRY_PROFILES_MAX},
  };
  return vsi_option_ranges_check(host, "vestry_create", ranges, sizeof ranges / sizeof *ranges);
}

/* The default of a stream's queue leaves room for others: one stream that does not read fills at most half of what all
 * queues may hold, and so ends by its own bound, not because of the bound of all. */
static void bound_queue(vestry_connection_options *connection, const vestry_bounds *bounds) {
  const size_t most = bounds->max_queued_bytes / 2;
  if (!connection->max_queued_bytes && bounds->max_queued_bytes && most < VSI_DEFAULT_QUEUED_BYTES)
    connection->max_queued_bytes = most ? most : 1;
}

vestry_err vestry_create(const vestry_options *given, vestry **ret_instance) {
  vestry_options own = given ? *given : (vestry_options){0};
  const vestry_options *options = &own;
  const vestry_host *host = host_of(options);
  if (!ret_instance) return vsi_mistake(host, "vestry_create", "ret_instance is NULL");
  vestry_bounds bounds = options->bounds ? *options->bounds : (vestry_bounds){0};
  vestry_connection_options connection = options->connection ? *options->connection : (vestry_connection_options){0};
  own.bounds = &bounds;
  own.connection = &connection;
  const char *mistake = find_mistake(options, host), *part = NULL;
  if (mistake) return vsi_mistake(host, "vestry_create", mistake);
  if (check_ranges(options, host)) return VESTRY_INVALID;
  bound_queue(&connection, &bounds);
  vestry *v = vsi_calloc(host, 1, sizeof *v);
  if (!v) return VESTRY_NO_MEMORY;
  if (options->hooks) v->hooks = *options->hooks;
  if (options->signals) v->signals = *options->signals;
  v->host = host;
  v->scope = options->scope;
  v->scope_ctx = options->scope_ctx;
  vsi_extensions_init(&v->extensions);
  v->keep_open = options->keep_open;
  v->is_behind_proxy = options->is_behind_proxy;
  v->max_per_stream_count = bounds.max_per_stream_count ? bounds.max_per_stream_count : VESTRY_REPLY_KEYS_MAX;
  v->max_values_count = bounds.max_values_count ? bounds.max_values_count : DEFAULT_VALUES;
  v->max_body_bytes = body_bytes_of(&bounds);
  vsi_budget_init(&v->request_bytes, request_bytes_of(&bounds));
  vsi_budget_init(&v->response_bytes,
                  bounds.max_all_responses_bytes ? bounds.max_all_responses_bytes : DEFAULT_ANSWER_BYTES);
  v->retry_after_s = bounds.retry_after_s ? bounds.retry_after_s : DEFAULT_RETRY_AFTER_S;
  vestry_err error = fill_instance(v, options, &part);
  if (error) {
    if (part) vsi_log(host, VESTRY_LOG_ERROR, "vestry_create: %s: %s", part, vestry_strerror(error));
    take_apart(v);
    return error;
  }
  *ret_instance = v;
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------ counters --------- */

void vsi_stats_get(vestry *v, vsi_group_stats *ret_group, vestry_stats *ret_stats) {
  vsi_group_stats group;
  vsi_group_stats_get(v->group, &group);
  vestry_stats stats = {
      .opened_count = group.opened,
      .open_count = group.open,
      .closed_count = group.closed,
      .accepted_count = group.accepted,
      .written_count = group.written,
      .discarded_count = group.discarded,
      .conflated_count = group.conflated,
      .refused_count = group.refused,
      .heartbeats_count = group.heartbeats,
      .written_bytes = group.written_bytes,
      .wire_bytes = group.wire_bytes,
      .queued_bytes = group.queued_bytes,
      .queued_peak_bytes = group.queued_peak_bytes,
      .requests_count = atomic_load_explicit(&v->requests, memory_order_relaxed),
      .rejected_count = atomic_load_explicit(&v->rejected, memory_order_relaxed),
      .outnumbered_count = vsi_shares_outnumbered(v->shares),
  };
  for (size_t i = 0; i < VESTRY_CAUSE_COUNT; i++) stats.closed_by_cause[i] = group.closed_by_cause[i];
  for (int kind = 0; VSI_ENCODES && kind < VSI_ENCODE_KINDS_COUNT; kind++)
    stats.encodes_count += vsi_codings_encodes(vsi_group_codings(v->group), (vsi_encode_kind)kind);
  vsi_channels_stats channels;
  vsi_channels_stats_get(v->channels, &channels);
  stats.channels_made_count = channels.made_count;
  stats.channels_live_count = channels.live_count;
  stats.channels_ended_count = channels.ended_count;
  stats.channels_refused_count = channels.refused_count;
  vsi_intake_stats(v, &stats);
  vsi_drain_stats(v, &stats);
  *ret_group = group;
  *ret_stats = stats;
}

void vestry_stats_get(vestry *v, vestry_stats *ret_stats) {
  vsi_group_stats group;
  vestry_stats stats;
  vsi_stats_get(v, &group, &stats);
  if (ret_stats) *ret_stats = stats;
}

/* ------------------------------------------------------------------------------------------- its end --------- */

void vestry_close(vestry *v) {
  if (vsi_instance_is_forked(v)) return;
  /* acq_rel pairs with vsi_instance_is_closing. */
  if (atomic_exchange_explicit(&v->closing, true, memory_order_acq_rel)) return;
  vsi_group_close(v->group);
  vsi_extensions_close(&v->extensions);
  vsi_stores_close(v); /* after the group, which from then on accepts no new stream. A stream that is put into a store
                          before this line is removed here; a stream that is put later gets CLOSED */
}

/* Return whether this thread may wait. A callback that waited for the end of all streams would wait for its own thread,
 * and a callback that freed the instance would return into freed memory. OK | BUSY */
static vestry_err may_wait(const vestry *v, const char *function) {
  if (!vsi_instance_is_inside(v)) return VESTRY_OK;
  vsi_log_mistake(v->host, function,
                  "ignored, because it was called in a callback of the instance or on a thread of its runtime; call "
                  "vestry_close there, and this function on another thread");
  return VESTRY_BUSY;
}

vestry_err vestry_stop(vestry *v, uint64_t timeout_ms) {
  if (vsi_instance_is_forked(v)) return VESTRY_CLOSED;
  vestry_err error = may_wait(v, "vestry_stop");
  if (error) return error;
  vestry_close(v);
  error = vsi_group_wait(v->group, timeout_ms);
  if (!error) vsi_stores_rest(v); /* a stream may end before the purge hook of its entry, which expires meanwhile */
  return error;
}

vestry_err vestry_destroy(vestry *v) {
  if (!v) return VESTRY_OK;
  if (vsi_instance_is_forked(v)) return VESTRY_CLOSED;
  vestry_err error = may_wait(v, "vestry_destroy");
  if (!error) error = vestry_stop(v, VESTRY_NEVER_MS);
  if (error == VESTRY_TIMEOUT)
    vsi_log_mistake(v->host, "vestry_destroy",
                    "ignored, because some streams have not ended, and no thread of the runtime will end them; destroy "
                    "their server first");
  if (error) return error;
  take_apart(v);
  return VESTRY_OK;
}
