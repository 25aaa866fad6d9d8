/* The life of pages: their threads, their end, and waiting for them. */
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/wait.h"
#include "connection/connection.h"
#include "instance/instance.h"
#include "page/page.h"
#include "runtime/runtime.h"

enum {
  THREADS_COUNT = 2,
  THREADS_MOST = 256,
  INTERVAL_MS = 15,
  INTERVAL_MOST_MS = 60000,
  RELOAD_MS = 5000,
  RETRY_MS = 1000,
  SPREAD_MOST_MS = 3600000,
  DEPARTED_COUNT = 4096, /* 224 bytes each, once there is one */
  STEPS_A_VIEW = 100
};
#define KEPT_BYTES     ((size_t)64 << 20)
#define REQUESTS_BYTES ((size_t)256 << 20)

/* ------------------------------------------------------------------------------------------------- its life ------- */

static void free_pages(vestry_pages *pages) {
  const vestry_host *host = pages->host;
  for (vestry_page *next, *page = pages->pages_list; page; page = next) {
    next = page->next;
    vsi_free(host, page);
  }
  for (size_t i = 0; i < pages->topics_size; i++) { /* those that were refreshed, and not walked any more */
    for (vsi_topic *next, *topic = pages->topics[i]; topic; topic = next) {
      next = topic->next;
      vsi_free(host, topic);
    }
  }
  vestry_event_unref(pages->well);
  vsi_departed_destroy(pages->departed);
  vsi_free(host, pages->offline_text);
  vsi_free(host, pages->failing_text);
  vsi_free(host, pages->topics);
  vsi_free(host, pages->shared);
  for (size_t i = 0; i < pages->workers_count; i++) vestry_html_finish(&pages->workers[i].html);
  vsi_free(host, pages->views);
  vsi_free(host, pages->shared_waiting);
  vsi_free(host, pages->workers);
  pthread_cond_destroy(&pages->quiet);
  pthread_mutex_destroy(&pages->lock);
  vsi_free(host, pages);
}

void vsi_pages_unref(vestry_pages *pages) {
  vsi_pages_lock(pages);
  bool is_last = --pages->refs == 0;
  vsi_pages_unlock(pages);
  if (is_last) free_pages(pages);
}

uint32_t vsi_pages_chance(const vestry_pages *pages, uint32_t below) {
  uint32_t number = 0;
  (void)pages->host->random(pages->host->ctx, &number, sizeof number);
  return below ? number % below : 0;
}

static void worker_done(void *ctx) {
  vsi_pages_unref(((vsi_worker *)ctx)->pages);
}

static vestry_err create_workers(vestry_pages *pages, size_t count) {
  pages->workers = vsi_calloc(pages->host, count, sizeof *pages->workers);
  if (!pages->workers) return VESTRY_NO_MEMORY;
  for (size_t i = 0; i < count; i++) {
    vsi_worker *worker = &pages->workers[i];
    worker->pages = pages;
    vestry_html_init(&worker->html, pages->host);
    const vestry_actor_options options = {.run = vsi_worker_run, .done = worker_done, .ctx = worker};
    pages->refs++;
    vestry_err error = vestry_actor_create(pages->runtime, &options, &worker->actor);
    if (error) {
      pages->refs--;
      return error;
    }
    pages->workers_count++;
    worker->is_idle = true;
    worker->next_idle = pages->idle;
    pages->idle = worker;
  }
  return VESTRY_OK;
}

/* What an application's secret makes of a purpose. */
static vsi_siphash_key derive_key(const void *secret, size_t len, uint64_t purpose) {
  const vsi_siphash_key first = {purpose, 0}, second = {purpose, 1};
  return (vsi_siphash_key){vsi_siphash_1_3(first, secret, len), vsi_siphash_1_3(second, secret, len)};
}

void vsi_pages_share_secret(vestry_pages *pages, const void *secret, size_t len) {
  if (pages->has_secret) return;
  pages->content_secret = derive_key(secret, len, 1);
  pages->version_secret = derive_key(secret, len, 2);
}

static vestry_err make_keys(vestry_pages *pages, const vestry_pages_options *options) {
  vestry_err error = vsi_siphash_key_random(pages->host, &pages->buckets_secret);
  if (!error) error = vsi_siphash_key_random(pages->host, &pages->own_secret);
  if (!error && options->secret) {
    vsi_pages_share_secret(pages, options->secret, options->secret_len);
    pages->has_secret = true;
    return VESTRY_OK;
  }
  if (!error) error = vsi_siphash_key_random(pages->host, &pages->content_secret);
  if (!error) error = vsi_siphash_key_random(pages->host, &pages->version_secret);
  return error;
}

static uint32_t hash_build(const char *build) {
  static const vsi_siphash_key all_equal = {0, 0}; /* all machines make the same of the same build */
  return build ? (uint32_t)vsi_siphash_1_3(all_equal, build, strlen(build)) : 0;
}

static vestry_err copy_texts(vestry_pages *pages, const vestry_pages_options *options) {
  const char *offline = options->offline_text ? options->offline_text : "Offline. Trying again…";
  const char *failing =
      options->failing_text ? options->failing_text : "This page cannot be brought up to date just now.";
  pages->offline_text = vsi_strdup(pages->host, offline, strlen(offline));
  pages->failing_text = vsi_strdup(pages->host, failing, strlen(failing));
  return pages->offline_text && pages->failing_text ? VESTRY_OK : VESTRY_NO_MEMORY;
}

static vestry_err make_well(vestry_pages *pages) {
  bool is_offline = false, is_failing = false; /* literals would be integers */
  const vestry_value *state = VESTRY_OBJECT("offline", is_offline, "failing", is_failing);
  return vestry_event_signals(pages->host, VESTRY_OBJECT("_vestry", state), NULL, &pages->well);
}

static vestry_err fill(vestry_pages *pages, const vestry_pages_options *options) {
  uint32_t threads_count = options->threads_count ? options->threads_count : THREADS_COUNT;
  pages->runtime = options->runtime;
  if (!pages->runtime && vsi_runtime_is_stepped(pages->v->runtime)) pages->runtime = pages->v->runtime;
  vestry_err error = make_keys(pages, options);
  if (!error) error = copy_texts(pages, options);
  if (!error) error = vsi_departed_create(pages->host, DEPARTED_COUNT, &pages->departed);
  if (!error) error = make_well(pages);
  if (!error && !pages->runtime) {
    const vestry_runtime_options own = {.host = pages->host, .threads_count = threads_count};
    error = vestry_runtime_create(&own, &pages->runtime);
    pages->runtime_is_own = !error;
  }
  if (!error) error = vestry_timer_create(pages->runtime, vsi_schedule_fire, pages, &pages->timer);
  if (!error) error = create_workers(pages, threads_count);
  return error;
}

static bool are_in_range(const vestry_pages_options *options) {
  return options->threads_count <= THREADS_MOST && options->interval_ms <= INTERVAL_MOST_MS &&
         options->reload_ms <= SPREAD_MOST_MS && options->retry_ms <= SPREAD_MOST_MS &&
         !options->secret == !options->secret_len;
}

vestry_err vestry_pages_create(struct vestry *v, const vestry_pages_options *given, vestry_pages **ret_pages) {
  vestry_pages_options options;
  if (!v || !ret_pages) return VESTRY_INVALID;
  if (VSI_OPTIONS_TAKE(options, given) || !are_in_range(&options))
    return vsi_mistake(
        v->host, "vestry_pages_create",
        "threads_count, interval_ms, reload_ms or retry_ms is out of its bounds, secret and secret_len do "
        "not go together, or the options are of a later vestry");
  vestry_pages *pages = vsi_calloc(v->host, 1, sizeof *pages);
  if (!pages) return VESTRY_NO_MEMORY;
  pages->v = v;
  pages->host = v->host;
  pages->refs = 1;
  pages->interval_ns = (options.interval_ms ? options.interval_ms : INTERVAL_MS) * VSI_NS_PER_MS;
  pages->max_kept_bytes = options.max_kept_bytes ? options.max_kept_bytes : KEPT_BYTES;
  pages->max_requests_bytes = options.max_requests_bytes ? options.max_requests_bytes : REQUESTS_BYTES;
  pages->parts.pages = pages;
  pages->build = hash_build(options.build);
  pages->reload_ms = options.reload_ms ? options.reload_ms : RELOAD_MS;
  pages->retry_ms = options.retry_ms ? options.retry_ms : RETRY_MS;
  pages->last_dirty = &pages->first_dirty;
  pthread_mutex_init(&pages->lock, NULL);
  pthread_cond_init(&pages->quiet, NULL);
  vestry_err error = fill(pages, &options);
  if (error) {
    vestry_pages_destroy(pages);
    return error;
  }
  /* release pairs with the runner that calls it (serve/hooks.c); all pages say the same */
  atomic_store_explicit(&v->page_written, vsi_page_written, memory_order_release);
  *ret_pages = pages;
  return VESTRY_OK;
}

void vestry_pages_destroy(vestry_pages *pages) {
  if (!pages || vestry_is_forked(pages->v)) return;
  vsi_pages_lock(pages);
  pages->is_closed = true;
  while (pages->running_count) pthread_cond_wait(&pages->quiet, &pages->lock);
  vsi_pages_unlock(pages);
  vestry_timer_destroy(pages->timer);
  for (size_t i = 0; i < pages->workers_count; i++) vestry_actor_unref(pages->workers[i].actor);
  if (pages->runtime_is_own) vestry_runtime_destroy(pages->runtime);
  vsi_pages_unref(pages);
}

struct vestry *vestry_pages_instance(const vestry_pages *pages) {
  return pages->v;
}

/* --------------------------------------------------------------------------------------------------- a page ------- */

vestry_err vestry_page_create(vestry_pages *pages, const vestry_page_options *given, vestry_page **ret_page) {
  vestry_page_options options;
  if (!pages || !ret_page) return VESTRY_INVALID;
  if (VSI_OPTIONS_TAKE(options, given) || !options.render == !options.handler)
    return vsi_mistake(pages->host, "vestry_page_create",
                       "one of render and handler is wanted, or the options are of a later vestry");
  const char *id = options.id ? options.id : "content", *element = options.element ? options.element : "main";
  const char *signals = options.signals ? options.signals : "^tabId$";
  if (!vsi_is_element_id(id) || !vsi_is_element_name(element))
    return vsi_mistake(pages->host, "vestry_page_create", "id or element cannot be an element's");
  size_t id_len = strlen(id) + 1, element_len = strlen(element) + 1, signals_len = strlen(signals) + 1;
  vestry_page *page = vsi_calloc(pages->host, 1, sizeof *page + id_len + element_len + signals_len);
  if (!page) return VESTRY_NO_MEMORY;
  char *texts = (char *)(page + 1);
  page->pages = pages;
  page->render = options.render;
  page->handler = options.handler;
  page->topics = options.topics;
  page->allow = options.allow;
  page->app = options.app;
  page->when_hidden = options.when_hidden;
  page->id = memcpy(texts, id, id_len);
  page->element = memcpy(texts + id_len, element, element_len);
  page->signals = memcpy(texts + id_len + element_len, signals, signals_len);
  vsi_pages_lock(pages);
  page->next = pages->pages_list;
  pages->pages_list = page;
  vsi_pages_unlock(pages);
  *ret_page = page;
  return VESTRY_OK;
}

/* --------------------------------------------------------------------------------------- waiting for all of it ---- */

static bool is_written(const vestry_connection *connection) {
  uint32_t count;
  size_t bytes;
  bool is_shut;
  vsi_queue_load(&connection->queue, &count, &bytes, &is_shut);
  return !count || is_shut;
}

static bool is_shared_written(const vsi_shared *shared) {
  for (const vsi_seat *seat = shared->seats; seat; seat = seat->next)
    if (!is_written(seat->connection)) return false;
  return !shared->joining;
}

static bool is_view_settled(const vsi_view *view, uint64_t seq) {
  const vestry_connection *connection = view->is_shared ? NULL : vsi_private_of(view)->viewer.connection;
  if (connection && !vestry_connection_is_open(connection)) return true; /* it is rendered no more */
  if (view->is_first || view->all_number != view->page->pages->all_number) return false;
  if (view->marked_seq && view->marked_seq <= seq) return false;
  return connection ? is_written(connection) : is_shared_written(vsi_shared_of(view));
}

static bool is_settled(const vestry_pages *pages, uint64_t seq) {
  if (pages->running_count || pages->first_dirty || pages->is_all_walked) return false;
  for (size_t i = 0; i < pages->views_count; i++)
    if (!is_view_settled(pages->views[i], seq)) return false;
  return true;
}

static vestry_err settle_by_steps(vestry_pages *pages, uint64_t seq) {
  bool settled = false, has_more = true;
  vsi_pages_lock(pages);
  size_t steps = STEPS_A_VIEW * (pages->reserved_count + 10);
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

/* Streams are written by others, who do not tell: so it looks again and again. */
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

void vestry_pages_stats_get(vestry_pages *pages, vestry_pages_stats *ret_stats) {
  vsi_pages_lock(pages);
  pages->stats.views_count = pages->reserved_count;
  pages->stats.requests_bytes = pages->requests_bytes;
  pages->stats.topics_count = pages->topics_count;
  const vestry_pages_stats stats = pages->stats;
  vsi_pages_unlock(pages);
  VSI_RESULT_GIVE(ret_stats, stats);
}
