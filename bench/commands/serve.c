/* SPDX-License-Identifier: MIT */
/* vestry-bench serve: a server to measure, which uses only the public headers.
 *
 *   GET /sub          joins the broadcast            POST /pub         {"v": BODY} to the broadcast
 *   GET /sub?key=K    is stored under K              POST /pub?key=K   {"v": BODY} to the streams under K
 *   GET /sub?channel  joins a channel by key         POST /pub?channel the same by vestry_broadcast
 *   GET /metrics      counters as OpenMetrics, for this machine only
 *   GET /stats        counters as JSON               POST /html        BODY as elements, to the broadcast, through a
 *                                                                      channel; POST /html?channel: by key
 *
 *   GET /large/html   4 MiB of HTML                  GET /large/file   the same from a file in a folder
 *
 *   POST /drain?ms=N  drains all streams over N ms
 *   POST /close?key=K ends the streams under K cleanly
 *
 *   SIGUSR2 removes /metrics and the console, and SIGUSR1 adds them again, to measure their cost. "observed" in /stats
 *   is 1 while they exist
 *   --pages: also the live pages of pages.c
 *   --members N: also logins and idempotent actions of members.c, at most N
 *   --cluster nats://HOST:PORT --node NAME: a node of a cluster; published events reach the streams of all nodes. Then
 *   POST /pub reports its result: 204 with Vestry-Delivered, the number of streams; 404: no stream; 504: a node has not
 *   answered; 503: not sent. /stats has the counters of the cluster
 *
 * Otherwise a POST gets 204 when its events are in the queues. POST /pub without a key publishes to a channel. In a
 * cluster it dispatches to the key that all streams of the broadcast have. */
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vestry/app/files.h>
#include <vestry/ops/observe.h>
#include <vestry/vestry.h>

#include "bench.h"
#include "cluster.h"
#include "members.h"
#include "memory.h"
#include "pages.h"
#include "server.h"

enum { BROADCAST_MAX = 1000000, MAX_BODY_BYTES = 8 << 20 };

/* Get the key that a request names, or that of the broadcast. It borrows from the request and from parts. */
static vestry_key key_of(const vestry_request *req, vestry_key parts[2]) {
  const char *name = vestry_request_value(req, VESTRY_IN_QUERY, "key");
  parts[0] = vestry_key_string(name ? "key" : "broadcast");
  if (name) parts[1] = vestry_key_bytes(name, strlen(name));
  return vestry_key_tuple(parts, name ? 2 : 1);
}

/* Scope of a channel by key, which all nodes of a cluster share. */
static const vestry_scope everybody = {NULL, 0};

static bool is_of_channel(const vestry_request *req) {
  return strncmp(req->query, "channel", 7) == 0;
}

/* Store each stream under a separate key, like tabs. */
static vestry_err sub_channel(vestry_reply *reply) {
  static _Atomic(int) tabs;
  vestry_err error = vestry_reply_key(reply, VESTRY_KEY("tab", atomic_fetch_add(&tabs, 1)));
  if (!error) error = vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  if (!error) error = vestry_reply_join(reply, everybody, VESTRY_KEY("channel"));
  if (!error) vestry_reply_any_client(reply);
  return error;
}

/* Broadcast an event to the channel that the request names, and drop the reference. */
static vestry_err broadcast_event(vestry *v, const vestry_request *req, vestry_err made, vestry_event *event,
                                  vestry_reply *reply) {
  const vestry_key *key = is_of_channel(req) ? VESTRY_KEY("channel") : VESTRY_KEY("broadcast");
  vestry_err error = made ? made : vestry_broadcast(v, everybody, key, event, NULL);
  vestry_event_unref(event);
  return error && error != VESTRY_FULL && error != VESTRY_NOT_FOUND ? error : vestry_reply_status(reply, 204);
}

static vestry_err sub(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  if (is_of_channel(req)) return sub_channel(reply);
  vestry_key parts[2], key = key_of(req, parts);
  vestry_err error = vestry_reply_key(reply, &key);
  if (!error) error = vestry_reply_keep(reply, VESTRY_KEEP_MANY, BROADCAST_MAX);
  if (!error) vestry_reply_any_client(reply);
  if (!error && key.len == 1) error = vestry_reply_join(reply, everybody, &key);
  return error;
}

/* Objects of the instance. */
typedef struct served {
  vestry *v;
  bench_pages *pages;      /* NULL: none */
  bench_cluster *cluster;  /* NULL: none */
  vestry_observe *observe; /* used by the main thread */
  atomic_bool is_observed;
} served;

/* Dispatch an effect to all connections under a key. */
static vestry_err publish(vestry *v, const vestry_key *key, json_t *effect, uint32_t *ret_count) {
  json_t *effects = json_pack("[o]", effect);
  if (!effects) return VESTRY_NO_MEMORY;
  vestry_dispatch_result result = {0};
  vestry_err error = vestry_dispatch_with(v, effects, &(vestry_dispatch_options){.key = key}, &result);
  json_decref(effects);
  *ret_count = result.connections_count;
  return error == VESTRY_CLOSED || error == VESTRY_FULL ? VESTRY_OK : error;
}

/* Read the body as a JSON value if it is valid JSON, otherwise as a string. */
static vestry_err body_value(const vestry_request *req, json_t **ret_value) {
  static const vestry_signals_limits limits = {.max_bytes = MAX_BODY_BYTES};
  vestry_slice body = req->body;
  vestry_err error = vestry_request_json(req, &limits, ret_value, NULL);
  if (error != VESTRY_MALFORMED) return error;
  json_t *text = json_stringn(body.len ? body.data : "", body.len);
  if (!text) return VESTRY_MALFORMED; /* not UTF-8 */
  *ret_value = text;
  return VESTRY_OK;
}

static vestry_err pub(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_key parts[2], key = key_of(req, parts);
  json_t *value;
  vestry_err error = body_value(req, &value);
  if (error) return error;
  const served *all = app;
  if (is_of_channel(req) || (key.len == 1 && !all->cluster)) {
    vestry_event *event = NULL;
    error = vestry_event_signals(NULL, VESTRY_OBJECT("v", value), NULL, &event);
    json_decref(value);
    return broadcast_event(all->v, req, error, event, reply);
  }
  json_t *effect = json_pack("[s,{s:o}]", "patch-signals", "v", value);
  if (!effect) return VESTRY_NO_MEMORY;
  uint32_t count = 0;
  error = publish(all->v, &key, effect, &count);
  if (all->cluster) return bench_cluster_answer(reply, error, count);
  return error && error != VESTRY_NOT_FOUND ? error : vestry_reply_status(reply, 204); /* no stream is not an error */
}

static vestry_err html(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_slice body = req->body;
  const served *all = app;
  vestry_event *event = NULL;
  vestry_err error = vestry_event_elements(NULL, body.data, body.len, NULL, &event);
  return broadcast_event(all->v, req, error, event, reply);
}

static vestry_err drain(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *ms = vestry_request_value(req, VESTRY_IN_QUERY, "ms");
  vestry_err error = ms ? vestry_drain(app, strtoull(ms, NULL, 10)) : VESTRY_NOT_FOUND;
  return error ? error : vestry_reply_status(reply, 204);
}

static vestry_err close_key(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_key parts[2], key = key_of(req, parts);
  vestry_err error =
      vestry_store_remove(vestry_parts_of(app)->store, (vestry_scope){0}, &key, VESTRY_CAUSE_CLOSED, NULL);
  return error ? error : vestry_reply_status(reply, 204);
}

static json_t *pages_stats(const served *all) {
  vestry_pages_stats s = {0};
  if (all->pages) vestry_pages_stats_get(bench_pages_of(all->pages), &s);
  const struct {
    const char *name;
    uint64_t number;
  } fields[] = {{"streams", s.streams_count},
                {"views", s.fragments_count},
                {"topics", s.topics_count},
                {"refreshes", s.refreshes_count},
                {"documents", s.documents_count},
                {"renders", s.renders_count},
                {"changed", s.changed_count},
                {"unchanged", s.unchanged_count},
                {"current", s.current_count},
                {"failed", s.failed_count},
                {"dropped", s.dropped_count},
                {"unsent", s.unsent_count},
                {"postponed", s.postponed_count},
                {"kept_bytes", s.kept_bytes},
                {"kept_dropped", s.kept_dropped_count},
                {"requests_bytes", s.requests_bytes},
                {"requests_refused", s.requests_refused_count},
                {"asks", s.long_polls_count},
                {"asks_brief", s.long_polls_brief_count},
                {"sleeping", all->pages ? bench_pages_sleeping(all->pages) : 0}};
  json_t *object = json_object();
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    json_object_set_new(object, fields[i].name, json_integer((json_int_t)fields[i].number));
  return object;
}

static vestry_err stats(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const served *all_of = ctx;
  vestry *app = all_of->v;
  (void)req;
  vestry_stats s = {0};
  vestry_stats_get(app, &s);
  vestry_store_stats kept = {0};
  vestry_store_stats_get(vestry_parts_of(app)->store, &kept);
  json_t *causes = json_object();
  for (int i = 1; i < VESTRY_CAUSE_COUNT; i++)
    json_object_set_new(causes, vestry_cause_name((vestry_cause)i), json_integer((json_int_t)s.closed_by_cause[i]));
  json_t *turned_away = json_object();
  for (int i = 1; i < VESTRY_REFUSAL_COUNT; i++)
    json_object_set_new(turned_away, vestry_refusal_name((vestry_refusal)i),
                        json_integer((json_int_t)s.refused_by_reason[i]));
  json_t *all = json_pack(
      "{s:I,s:I,s:I,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:I,s:I,s:I,s:I,s:o,s:{s:I,s:I,s:I}}", "opened",
      (json_int_t)s.opened_count, "open", (json_int_t)s.open_count, "closed", (json_int_t)s.closed_count, "causes",
      causes, "accepted", (json_int_t)s.accepted_count, "written", (json_int_t)s.written_count, "discarded",
      (json_int_t)s.discarded_count, "conflated", (json_int_t)s.conflated_count, "queued_bytes",
      (json_int_t)s.queued_bytes, "refused", (json_int_t)s.refused_count, "heartbeats", (json_int_t)s.heartbeats_count,
      "requests", (json_int_t)s.requests_count, "rejected", (json_int_t)s.rejected_count, "turned_away", turned_away,
      "request_bytes", (json_int_t)s.request_bytes, "request_peak_bytes", (json_int_t)s.request_peak_bytes, "memory",
      (json_int_t)bench_counted_bytes(), "encodes", (json_int_t)s.encodes_count, "pages", pages_stats(all_of), "store",
      "put", (json_int_t)kept.put_count, "removed", (json_int_t)kept.removed_count, "live",
      (json_int_t)kept.live_count);
  if (all) {
    json_object_set_new(all, "observed", json_integer(atomic_load(&all_of->is_observed)));
    json_object_set_new(all, "answer_bytes", json_integer((json_int_t)s.response_bytes));
    json_object_set_new(all, "answer_peak_bytes", json_integer((json_int_t)s.response_peak_bytes));
    json_object_set_new(all, "answers_cut", json_integer((json_int_t)s.responses_cut_count));
  }
  if (all)
    json_object_set_new(all, "channels",
                        json_pack("{s:I,s:I,s:I,s:I}", "live", (json_int_t)s.channels_live_count, "made",
                                  (json_int_t)s.channels_made_count, "ended", (json_int_t)s.channels_ended_count,
                                  "refused", (json_int_t)s.channels_refused_count));
  if (all && all_of->cluster) json_object_set_new(all, "cluster", bench_cluster_stats(all_of->cluster));
  char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
  json_decref(all);
  if (!text) return VESTRY_NO_MEMORY;
  vestry_err error = vestry_reply_body(reply, "application/json", text, strlen(text));
  free(text);
  return error;
}

/* ---- large answers ----------------------------------------------------------------------------------------------- */

enum { LARGE_BYTES = 4 << 20 };
#define LARGE_FOLDER "/tmp/vestry-bench-serve-" /* followed by the process id and letters */

static vestry_err large_html(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)req;
  return vestry_reply_body(reply, NULL, ctx, LARGE_BYTES);
}

typedef struct large {
  char *text, folder[48], file[56];
  vestry_files *files;
} large;

/* Remove the folders of servers that were killed; the names contain their process ids. */
static void large_sweep(void) {
  glob_t found = {0};
  if (glob(LARGE_FOLDER "*-*", GLOB_NOSORT, NULL, &found) == 0)
    for (size_t i = 0; i < found.gl_pathc; i++) {
      const char *folder = found.gl_pathv[i];
      const long pid = strtol(folder + sizeof LARGE_FOLDER - 1, NULL, 10);
      char file[64];
      if (pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH) continue;
      snprintf(file, sizeof file, "%s/file", folder);
      (void)unlink(file);
      (void)rmdir(folder);
    }
  globfree(&found);
}

static vestry_err large_create(vestry *v, large *all) {
  *all = (large){.text = malloc(LARGE_BYTES)};
  if (!all->text) return VESTRY_NO_MEMORY;
  memset(all->text, 'l', LARGE_BYTES);
  large_sweep();
  snprintf(all->folder, sizeof all->folder, LARGE_FOLDER "%ld-XXXXXX", (long)getpid());
  if (!mkdtemp(all->folder)) {
    *all->folder = '\0';
    return VESTRY_IO;
  }
  snprintf(all->file, sizeof all->file, "%s/file", all->folder);
  FILE *file = fopen(all->file, "w");
  bool written = file && fwrite(all->text, 1, LARGE_BYTES, file) == LARGE_BYTES;
  if (file) written &= fclose(file) == 0;
  vestry_err error =
      written ? vestry_files_create(&(vestry_files_options){.folder = all->folder}, &all->files) : VESTRY_IO;
  if (!error) error = vestry_route(v, "GET", "/large/html", large_html, all->text);
  return error ? error : vestry_route(v, "GET", "/large/{path...}", vestry_files_handler, all->files);
}

static void large_destroy(large *all) {
  vestry_files_destroy(all->files);
  if (*all->file) (void)unlink(all->file);
  if (*all->folder) (void)rmdir(all->folder);
  free(all->text);
}

static vestry_err mount(served *all) {
  vestry *v = all->v;
  vestry_err error = vestry_route(v, "GET", "/sub", sub, NULL);
  if (!error) error = vestry_route(v, "POST", "/pub", pub, all);
  if (!error) error = vestry_route(v, "POST", "/html", html, all);
  if (!error) error = vestry_route(v, "POST", "/drain", drain, v);
  if (!error) error = vestry_route(v, "POST", "/close", close_key, v);
  if (!error) error = vestry_route(v, "GET", "/stats", stats, all);
  return error;
}

static vestry_err observe(served *all) {
  if (all->observe) return VESTRY_OK;
  const vestry_observe_options options = {.pages = all->pages ? bench_pages_of(all->pages) : NULL,
                                          .cluster = all->cluster ? bench_cluster_of(all->cluster) : NULL,
                                          .trusts_loopback = true};
  vestry_err error = vestry_observe_create(all->v, &options, &all->observe);
  if (!error) error = vestry_observe_mount(all->observe, "");
  atomic_store(&all->is_observed, !error);
  return error;
}

static void cease_to_observe(served *all) {
  atomic_store(&all->is_observed, false);
  vestry_observe_destroy(all->observe);
  all->observe = NULL;
}

static vestry_err wait_for_end(served *all) {
  vestry_err error = VESTRY_OK;
  for (int received; !error && (received = bench_server_wait()) != SIGINT && received != SIGTERM;)
    if (received == SIGUSR1)
      error = observe(all);
    else
      cease_to_observe(all);
  return error;
}

static vestry_err run(served *all, bench_server *server, const bench_server_options *options) {
  printf("vestry-bench: %s adapter=%s streams=%" PRIu32 "\n", server->url, options->adapter, server->streams);
  fflush(stdout);
  vestry_err error = wait_for_end(all);
  bench_server_stop(server);
  return error;
}

static int serve(served *all, const bench_server_options *options) {
  int status = 1;
  bench_server server;
  large answers;
  vestry_err error = large_create(all->v, &answers);
  if (!error) error = mount(all);
  if (!error) error = observe(all);
  if (!error && bench_server_start(&server, all->v, options, &status)) {
    error = run(all, &server, options);
    status = error ? 1 : 0;
  }
  if (error) fprintf(stderr, "vestry-bench: %s\n", vestry_strerror(error));
  cease_to_observe(all);
  large_destroy(&answers);
  return status;
}

const vestry_profile_ops *bench_profile(const char *encoding) {
  return !strcmp(encoding, "identity") ? &vestry_profile_identity
         : !strcmp(encoding, "gzip")   ? &vestry_profile_gzip
         : !strcmp(encoding, "br")     ? &vestry_profile_brotli
                                       : NULL;
}

/* Read how streams write. Prints a message and returns false if the name is unknown. */
static bool bench_io(const char *name, vestry_runtime_io *ret_io) {
  static const char *const names[] = {"automatic", "batched", "plain"}; /* in the order of the enum */
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (!strcmp(names[i], name)) {
      *ret_io = (vestry_runtime_io)i;
      return true;
    }
  fprintf(stderr, "vestry-bench: --io: '%s' is not automatic, batched or plain\n", name);
  return false;
}

int bench_serve(int argc, char **argv) {
  uint64_t port = 8090, threads = 0, heartbeat_ms = 15000, streams = 10000, counts_memory = 0, pages_too = 0,
           queue_bytes = 0, budget_bytes = 0, workers = 0, request_bytes = 0, request_ms = 0, per_address = 0,
           response_bytes = 0, members_count = 0, is_plain = 0, memory_bytes = 0;
  const char *adapter = "civetweb", *encoding = "identity", *tls_key = NULL, *tls_certificate = NULL,
             *cluster_url = NULL, *node = NULL, *io = "automatic", *unix_path = NULL;
  const bench_option options[] = {{"--port", NULL, &port, 0, 65535},
                                  {"--unix-socket", &unix_path, NULL, 0, 0},
                                  {"--encoding", &encoding, NULL, 0, 0},
                                  {"--adapter", &adapter, NULL, 0, 0},
                                  {"--io", &io, NULL, 0, 0},
                                  {"--workers", NULL, &workers, 1, 256},
                                  {"--threads", NULL, &threads, 1, 20000},
                                  {"--streams", NULL, &streams, 1, 1000000},
                                  {"--tls-key", &tls_key, NULL, 0, 0},
                                  {"--tls-certificate", &tls_certificate, NULL, 0, 0},
                                  {"--no-tls", NULL, &is_plain, 0, 0},
                                  {"--memory-bytes", NULL, &memory_bytes, 1024, 16 << 20},
                                  {"--request-bytes", NULL, &request_bytes, 1, UINT64_C(1) << 40},
                                  {"--answer-bytes", NULL, &response_bytes, 1, UINT64_C(1) << 40},
                                  {"--request-ms", NULL, &request_ms, 10, 86400000},
                                  {"--per-address", NULL, &per_address, 1, 1000000},
                                  {"--heartbeat-ms", NULL, &heartbeat_ms, 10, 86400000},
                                  {"--queue-bytes", NULL, &queue_bytes, 1, 1 << 30},
                                  {"--budget-bytes", NULL, &budget_bytes, 1, UINT64_C(1) << 40},
                                  {"--cluster", &cluster_url, NULL, 0, 0},
                                  {"--node", &node, NULL, 0, 0},
                                  {"--pages", NULL, &pages_too, 0, 0},
                                  {"--members", NULL, &members_count, 10, 1000000},
                                  {"--count-memory", NULL, &counts_memory, 0, 0}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  vestry_profile profile = {.ops = bench_profile(encoding)};
  if (!profile.ops) {
    fprintf(stderr, "vestry-bench: --encoding: '%s' is not identity, gzip or br\n", encoding);
    return 2;
  }
  bench_server_block_signals();
  bench_raise_descriptors();
  vestry_options instance = {
      .store = "hash",
      .connection = &(vestry_connection_options){.heartbeat_ms = heartbeat_ms, .max_queued_bytes = queue_bytes},
      .bounds = &(vestry_bounds){.max_queued_bytes = budget_bytes,
                                 .max_body_bytes = MAX_BODY_BYTES,
                                 .max_request_bytes = request_bytes,
                                 .max_all_responses_bytes = response_bytes},
      .profiles = &profile,
      .profiles_count = profile.ops != &vestry_profile_identity};
  if (counts_memory) instance.host = bench_counting_host();
  vestry_runtime_options running = {.host = instance.host, .threads_count = (uint32_t)workers};
  if (!bench_io(io, &running.io)) return 2;
  const vestry_session_options sessions = bench_members_sessions(members_count);
  bench_members members = {0};
  vestry *v = NULL;
  bench_pages *pages = NULL;
  bench_cluster *cluster = NULL;
  vestry_err error = vestry_runtime_create(&running, &instance.runtime);
  if (!error) error = vestry_create(&instance, &v);
  if (!error && members_count) error = vestry_sessions_create(v, &sessions);
  if (!error && pages_too) error = bench_pages_create(v, &pages);
  if (!error && members_count) error = bench_members_mount(&members, v, members_count);
  if (!error && cluster_url)
    error = bench_cluster_create(v, cluster_url, node, pages ? bench_pages_of(pages) : NULL, &cluster);
  if (error) {
    fprintf(stderr, "vestry-bench: %s\n", vestry_strerror(error));
    bench_members_finish(&members);
    bench_pages_destroy(pages);
    vestry_destroy(v);
    vestry_runtime_destroy(instance.runtime);
    return 1;
  }
  status = serve(&(served){.v = v, .pages = pages, .cluster = cluster},
                 &(bench_server_options){.adapter = adapter,
                                         .port = (unsigned)port,
                                         .unix_path = unix_path,
                                         .threads = (unsigned)threads,
                                         .streams = (uint32_t)streams,
                                         .memory_bytes = memory_bytes,
                                         .request_ms = request_ms,
                                         .per_address = (uint32_t)per_address,
                                         .is_plain = is_plain,
                                         .tls_key = tls_key,
                                         .tls_certificate = tls_certificate});
  (void)vestry_stop(v, VESTRY_NEVER_MS);
  bench_members_finish(&members);
  bench_cluster_destroy(cluster);
  bench_pages_destroy(pages);
  vestry_destroy(v);
  vestry_runtime_destroy(instance.runtime);
  return status;
}
