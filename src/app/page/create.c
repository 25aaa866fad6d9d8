/* SPDX-License-Identifier: MIT */
/* Creation and destruction of pages, their options, and the wait for renders in tests. */
#include "app/page/pages.h"

#include <sched.h>
#include <string.h>

#include "app/bus/bus.h"
#include "app/guard/proof.h"
#include "app/page/fragment.h"
#include "app/page/render_run.h"
#include "app/page/schedule.h"
#include "app/page/sent.h"
#include "app/page/serve.h"
#include "app/page/state_tag.h"
#include "app/page/tally.h"
#include "app/page/topic.h"
#include "app/session/seal.h"
#include "app/stream/lease.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/wait.h"
#include "connection/connection.h"
#include "http/reply.h"
#include "instance/instance.h"
#include "runtime/runtime.h"

enum {
  THREADS_COUNT = 2,
  THREADS_MOST = 256,
  INTERVAL_MS = 15,
  INTERVAL_MOST_MS = 60000,
  RELOAD_MS = 5000,
  RETRY_MS = 1000,
  SPREAD_MOST_MS = 3600000,
  RESUME_CACHE_COUNT = 4096 /* tabs in the resume cache, 328 bytes each; allocated when the first tab is stored */
};
#define KEPT_BYTES     ((size_t)64 << 20)
#define REQUESTS_BYTES ((size_t)256 << 20)

static uint32_t hash_build(const char *build) {
  static const vsi_siphash_key all_equal = {0, 0}; /* a fixed key, so that all machines get the same number for the
                                                      same build */
  return build ? (uint32_t)vsi_siphash_1_3(all_equal, build, strlen(build)) : 0;
}

static vestry_err copy_texts(vestry_pages *pages, const vestry_pages_options *options) {
  const char *offline = options->offline_text ? options->offline_text : "Offline. Trying again…";
  const char *failing = options->failing_text ? options->failing_text : "This page cannot be updated at the moment.";
  pages->offline_text = vsi_strdup(pages->host, offline, strlen(offline));
  pages->failing_text = vsi_strdup(pages->host, failing, strlen(failing));
  return pages->offline_text && pages->failing_text ? VESTRY_OK : VESTRY_NO_MEMORY;
}

static vestry_err make_well(vestry_pages *pages) {
  static const char well[] = "{\"_vestry\":{\"offline\":false,\"failing\":false}}";
  return vestry_event_signals(pages->host, VESTRY_VALUES(well), NULL, &pages->well);
}

/* ------------------------------------------------------------------------------ extension of an instance ---------- */

/* Publish a completed action before its request is answered, so that pages show its result at once
 * (app/page/sent.c). */
static void publish_done(void *state, const vestry_request *req, vestry_reply *reply, bool was_done) {
  vsi_bus *bus = state;
  const char *sent = was_done ? vestry_request_header(req, "Vestry-Sent") : NULL;
  if (!sent || reply->status >= 400 || vsi_request_is_safe(req)) return;
  (void)vsi_bus_publish(bus, VSI_BUS_DONE, &(vestry_bus_message){.data = sent, .len = strlen(sent)}, NULL);
}

static vestry_err use_bus(vestry *v, void **ret_state) {
  vsi_bus *bus;
  vestry_err error = vsi_bus_use(v, &bus);
  if (!error) *ret_state = bus;
  return error;
}

/* The extension of all vestry_pages of an instance. Its state is the bus on which completed actions are published. */
static const vsi_extension kind = {
    .name = "vestry_pages_create", .create = use_bus, .conclude = publish_done, .written = vsi_page_written};

/* Prepare an instance for pages: add the extension, seals for their forms, and leases. */
static vestry_err extend(vestry *v, vsi_bus **ret_bus) {
  void *state;
  const vsi_seals *seals;
  vsi_leases *leases;
  vestry_err error = vsi_extension_use(v, &kind, &state);
  if (!error) *ret_bus = state;
  if (!error) error = vsi_seals_use(v, &seals);
  return error ? error : vsi_leases_use(v, &leases);
}

static vestry_err fill(vestry_pages *pages, const vestry_pages_options *options) {
  vsi_bus *bus = NULL;
  uint32_t threads_count = options->threads_count ? options->threads_count : THREADS_COUNT;
  pages->quick_most = threads_count;
  pages->runtime = options->runtime;
  if (!pages->runtime && vsi_runtime_is_stepped(pages->v->runtime)) pages->runtime = pages->v->runtime;
  vestry_err error = vsi_secret_make(pages, options);
  if (!error) error = copy_texts(pages, options);
  if (!error) error = vsi_resume_cache_create(pages->host, RESUME_CACHE_COUNT, &pages->resume_cache);
  if (!error) error = make_well(pages);
  if (!error && !pages->runtime) {
    threads_count += threads_count > 1 && threads_count < THREADS_MOST; /* a spare one */
    const vestry_runtime_options own = {.host = pages->host, .threads_count = threads_count};
    error = vestry_runtime_create(&own, &pages->runtime);
    pages->runtime_is_own = !error;
  }
  if (!error) error = vestry_timer_create(pages->runtime, vsi_schedule_fire, pages, &pages->timer);
  if (!error && pages->runtime_is_own)
    error = vestry_timer_create(pages->v->runtime, vsi_workers_fire, pages, &pages->late);
  if (!error) error = vsi_workers_create(pages, threads_count);
  if (!error) error = extend(pages->v, &bus);
  if (!error)
    error =
        vsi_bus_subscribe(bus, VSI_BUS_DONE, &(vestry_subscriber){.call = vsi_sent_done, .ctx = pages}, &pages->done);
  if (!error && pages->runtime_is_own) vsi_topics_open_inbox(pages);
  return error;
}

static vestry_err check(const vestry_host *host, const vestry_pages_options *options) {
  const vsi_option_range ranges[] = {
      {"threads_count", options->threads_count, 1, THREADS_MOST},
      {"interval_ms", options->interval_ms, 1, INTERVAL_MOST_MS},
      {"reload_ms", options->reload_ms, 1, SPREAD_MOST_MS},
      {"retry_ms", options->retry_ms, 1, SPREAD_MOST_MS},
  };
  if (!options->secret != !options->secret_len)
    return vsi_mistake(host, "vestry_pages_create", "secret and secret_len must be set together");
  return vsi_option_ranges_check(host, "vestry_pages_create", ranges, sizeof ranges / sizeof *ranges);
}

vestry_err vestry_pages_create(struct vestry *v, const vestry_pages_options *given, vestry_pages **ret_pages) {
  if (!v) return VESTRY_INVALID;
  if (!ret_pages) return vsi_mistake(v->host, "vestry_pages_create", "ret_pages is NULL");
  vestry_pages_options options = given ? *given : (vestry_pages_options){0};
  if (check(v->host, &options)) return VESTRY_INVALID;
  vestry_pages *pages = vsi_calloc(v->host, 1, sizeof *pages);
  if (!pages) return VESTRY_NO_MEMORY;
  pages->v = v;
  pages->host = v->host;
  pages->refs = 1;
  pages->interval_ns = (options.interval_ms ? options.interval_ms : INTERVAL_MS) * VSI_NS_PER_MS;
  pages->max_kept_bytes = options.max_kept_bytes ? options.max_kept_bytes : KEPT_BYTES;
  pages->max_requests_bytes = options.max_requests_bytes ? options.max_requests_bytes : REQUESTS_BYTES;
  pages->parts.pages = pages;
  pages->take_refreshes = vsi_topics_take;
  pages->build = hash_build(options.build);
  pages->reload_ms = options.reload_ms ? options.reload_ms : RELOAD_MS;
  pages->retry_ms = options.retry_ms ? options.retry_ms : RETRY_MS;
  STAILQ_INIT(&pages->dirty);
  vsi_tallies_init(&pages->tallies);
  vsi_ring_init(&pages->kept);
  vsi_ring_init(&pages->lingering);
  vsi_mutex_init(&pages->lock, VSI_LOCK_PAGES);
  pthread_cond_init(&pages->quiet, NULL);
  vestry_err error = fill(pages, &options);
  if (error) {
    vestry_pages_destroy(pages);
    return error;
  }
  *ret_pages = pages;
  return VESTRY_OK;
}

void vestry_pages_destroy(vestry_pages *pages) {
  if (!pages || vestry_is_forked(pages->v)) return;
  (void)vestry_unsubscribe(pages->done);
  vsi_pages_lock(pages);
  pages->is_closed = true;
  while (pages->running_count) vsi_mutex_wait(&pages->lock, &pages->quiet);
  vsi_fragments_end_lingering(pages);
  vsi_pages_reap(pages);
  /* acquire pairs with vsi_pages_unlock_woken: from now on no thread wakes a worker */
  while (atomic_load_explicit(&pages->notifying_count, memory_order_acquire)) sched_yield();
  vestry_timer_destroy(pages->late); /* first, because its function sets the other one */
  vestry_timer_destroy(pages->timer);
  vsi_workers_end(pages);
  if (pages->runtime_is_own) vestry_runtime_destroy(pages->runtime);
  vsi_pages_unref(pages);
}

struct vestry *vestry_pages_instance(const vestry_pages *pages) {
  return pages->v;
}

void vestry_pages_stats_get(vestry_pages *pages, vestry_pages_stats *ret_stats) {
  vsi_pages_lock(pages);
  pages->stats.fragments_count = pages->fragments_count - pages->lingering_count;
  pages->stats.requests_bytes = pages->requests_bytes;
  pages->stats.topics_count = pages->topics.count;
  const vestry_pages_stats stats = pages->stats;
  vsi_pages_unlock(pages);
  if (ret_stats) *ret_stats = stats;
}

/* Wait until every refresh up to a number is rendered and written. For tests. */

enum { STEPS_A_VIEW = 100 };

static bool is_written(const vestry_connection *connection) {
  uint32_t count;
  bool is_shut;
  vsi_queue_load(&connection->queue, &count, NULL, &is_shut);
  return !count || is_shut;
}

static bool is_shared_written(const vsi_shared *shared) {
  for (const vsi_ring *at = shared->subscriptions.next; at != &shared->subscriptions; at = at->next)
    if (!is_written(VSI_RING_OWNER(at, vsi_subscription, of_shared)->connection)) return false;
  return vsi_ring_is_empty(&shared->joining);
}

static bool is_fragment_settled(const vsi_fragment *fragment, uint64_t seq) {
  const vestry_connection *connection = fragment->is_shared ? NULL : vsi_private_of(fragment)->viewer.connection;
  if (connection && !vestry_connection_is_open(connection)) return true; /* such a fragment is not rendered again */
  if (vsi_fragment_lingers(fragment)) return true;                       /* likewise */
  if (fragment->is_first || fragment->all_number != fragment->page->pages->all_number) return false;
  if (fragment->marked_seq && fragment->marked_seq <= seq) return false;
  return connection ? is_written(connection) : is_shared_written(vsi_shared_of(fragment));
}

static bool is_settled(const vestry_pages *pages, uint64_t seq) {
  if (pages->running_count || !STAILQ_EMPTY(&pages->dirty) || pages->is_all_walked) return false;
  for (size_t i = 0; i < pages->fragments_count; i++)
    if (!is_fragment_settled(pages->fragments[i], seq)) return false;
  return true;
}

static vestry_err settle_by_steps(vestry_pages *pages, uint64_t seq) {
  bool settled = false, has_more = true;
  vsi_pages_lock(pages);
  size_t steps = STEPS_A_VIEW * (pages->fragments_count + 10);
  pages->is_hasty = true;
  for (; !settled && has_more && steps; steps--) {
    vsi_schedule_wake(pages);
    vsi_pages_unlock(pages);
    has_more = vestry_runtime_step(pages->runtime);
    if (pages->v->runtime != pages->runtime) has_more |= vestry_runtime_step(pages->v->runtime);
    vsi_pages_lock(pages);
    settled = is_settled(pages, seq);
  }
  pages->is_hasty = false;
  vsi_pages_unlock(pages);
  return settled ? VESTRY_OK : VESTRY_TIMEOUT;
}

/* Poll every millisecond, because other threads write the streams and do not signal the end of a write. */
vestry_err vestry_pages_settle(vestry_pages *pages, uint64_t seq, uint64_t timeout_ms) {
  if (!pages) return VESTRY_INVALID;
  if (vsi_runtime_is_stepped(pages->runtime)) return settle_by_steps(pages, seq);
  uint64_t end_ns = vsi_monotonic_in_ms(timeout_ms);
  vsi_pages_lock(pages);
  bool settled;
  while (!(settled = is_settled(pages, seq))) {
    uint64_t soon_ns = vsi_monotonic_in_ms(1);
    if (soon_ns >= end_ns) break;
    (void)vsi_wait_until(&pages->quiet, &pages->lock, soon_ns);
  }
  vsi_pages_unlock(pages);
  return settled ? VESTRY_OK : VESTRY_TIMEOUT;
}
