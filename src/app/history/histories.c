/* SPDX-License-Identifier: MIT */
/* essay: a history that ends exactly once */
/* Histories by key.
 *
 * A history holds a reference to its channel. Therefore the channel exists without members too, and a cluster announces
 * it to the other nodes. Three callers can end a history: the application, its timer, and the instance. The one that
 * removes the history from its channel, while it holds the channel's semaphore, frees it; so a history ends once.
 * Afterwards no publish and no stream finds it. Destroying the timer waits for its function, unless that function
 * itself ends the history.
 *
 * All histories together have a maximum size. If it is reached, an event of a small history takes the room of older
 * events of a larger one. Otherwise some full histories, which may be silent, would keep the others from storing any
 * event. The thread that publishes holds the semaphore of its channel, so it must not wait for another one; a history
 * whose channel is busy is left as it is.
 *
 * The timer fires when the oldest event becomes too old, and when the history has been idle for long enough. Its
 * function does not wait for the semaphore: if another thread holds it, the timer fires again soon. */
#include "base/mutex.h"
#include "vestry/app/history.h"

#include <pthread.h>
#include <string.h>
#include <sys/queue.h>

#include "app/history/histories.h"
#include "app/history/resume.h"
#include "base/log.h"
#include "base/memory.h"
#include "channel/broadcast.h"
#include "channel/channels.h"
#include "http/reply.h"

enum { AGAIN_MS = 10, LOOKS_COUNT = 16 };
#define DEFAULT_HISTORY_BYTES ((size_t)64 << 20)

/* The history of a channel. */
typedef struct kept_history {
  vsi_history history; /* first, because vsi_channel.recording points to it */
  struct vsi_histories *all;
  vsi_channel *channel;         /* a reference */
  vestry_timer *timer;          /* NULL: the history never expires */
  TAILQ_ENTRY(kept_history) in; /* guarded by the lock */
} kept_history;

typedef struct vsi_histories {
  const vestry_host *host;
  vestry_runtime *runtime;
  vsi_budget budget;
  vsi_mutex lock; /* see docs/locking.md; no other function is called while it is held */
  pthread_cond_t fewer;
  /* guarded by the lock */
  TAILQ_HEAD(, kept_history) list; /* histories that are in their channels */
  uint64_t begun, ended;
} vsi_histories;

/* ----------------------------------------------------------------------------------------- all histories ---------- */

static vestry_err make_histories(vestry *v, size_t max_bytes, void **ret_state) {
  vsi_histories *all = *ret_state = vsi_calloc(v->host, 1, sizeof *all);
  if (!all) return VESTRY_NO_MEMORY;
  all->host = v->host;
  all->runtime = v->runtime;
  vsi_budget_init(&all->budget, max_bytes ? max_bytes : DEFAULT_HISTORY_BYTES);
  vsi_mutex_init(&all->lock, VSI_LOCK_HISTORIES);
  TAILQ_INIT(&all->list);
  pthread_cond_init(&all->fewer, NULL);
  return VESTRY_OK;
}

static vestry_err create_histories(vestry *v, void **ret_state) {
  return make_histories(v, 0, ret_state);
}

static void destroy_histories(vestry *v, void *state);
static const vsi_extension kind = {
    .name = "vestry_histories_create", .create = create_histories, .destroy = destroy_histories};

/* Return the histories of an instance; NULL: it never had one. */
static vsi_histories *histories_of(const vestry *v) {
  return vsi_extension_find(v, &kind);
}

vestry_err vestry_histories_create(vestry *v, size_t max_bytes) {
  void *all;
  if (!v) return VESTRY_INVALID;
  vestry_err error = make_histories(v, max_bytes, &all);
  if (error) return error;
  error = vsi_extension_add(v, &kind, all);
  if (error) destroy_histories(v, all);
  return error == VESTRY_EXISTS ? vsi_extension_repeated(v, &kind) : error;
}

void vsi_histories_lose(vestry *v) {
  vsi_histories *all = histories_of(v);
  if (!all) return;
  vsi_mutex_lock(&all->lock);
  for (kept_history *at = TAILQ_FIRST(&all->list); at; at = TAILQ_NEXT(at, in)) vsi_history_lose(&at->history);
  vsi_mutex_unlock(&all->lock);
}

void vestry_histories_stats_get(vestry *v, vestry_histories_stats *ret_stats) {
  vestry_histories_stats stats = {0};
  vsi_histories *all = histories_of(v);
  if (all) {
    stats.bytes = atomic_load_explicit(&all->budget.used, memory_order_relaxed);
    stats.peak_bytes = atomic_load_explicit(&all->budget.peak, memory_order_relaxed);
    vsi_mutex_lock(&all->lock);
    stats.begun_count = all->begun;
    stats.ended_count = all->ended;
    vsi_mutex_unlock(&all->lock);
    stats.live_count = stats.begun_count - stats.ended_count;
  }
  if (ret_stats) *ret_stats = stats;
}

/* --------------------------------------------------------------------------------------------------- end ---------- */

/* Remove a history from its channel; the caller then frees it. The semaphore is held. */
static void take_out(kept_history *one) {
  atomic_store_explicit(&one->channel->recording, NULL, memory_order_relaxed);
  vsi_mutex_lock(&one->all->lock);
  TAILQ_REMOVE(&one->all->list, one, in);
  vsi_mutex_unlock(&one->all->lock);
}

static void free_history(kept_history *one) {
  vestry_timer_destroy(one->timer);
  vsi_history_finish(&one->history);
  vsi_channel_unref(one->channel);
  vsi_free(one->all->host, one);
}

/* Free a history that was removed, and count its end. */
static void finish(kept_history *one) {
  vsi_histories *all = one->all;
  free_history(one);
  vsi_mutex_lock(&all->lock);
  all->ended++;
  pthread_cond_broadcast(&all->fewer);
  vsi_mutex_unlock(&all->lock);
}

static kept_history *history_of(const vsi_channel *channel) {
  return (kept_history *)atomic_load_explicit(&channel->recording, memory_order_relaxed); /* the semaphore is held */
}

/* End the history of a channel. Returns OK | NOT_FOUND | BUSY. */
static vestry_err end_history(vsi_channel *channel) {
  vestry_err error = vsi_channel_go_in(channel);
  if (error) return error;
  kept_history *one = history_of(channel);
  if (one) take_out(one);
  vsi_channel_come_out(channel);
  if (!one) return VESTRY_NOT_FOUND;
  finish(one);
  return VESTRY_OK;
}

/* Return a reference to the channel of any history; NULL: there is none. */
static vsi_channel *find_any(vsi_histories *all) {
  vsi_mutex_lock(&all->lock);
  vsi_channel *channel = TAILQ_EMPTY(&all->list) ? NULL : vsi_channel_ref(TAILQ_FIRST(&all->list)->channel);
  vsi_mutex_unlock(&all->lock);
  return channel;
}

/* End all histories. No thread calls a function of a history; timers may be running. */
static void destroy_histories(vestry *v, void *state) {
  vsi_histories *all = state;
  (void)v;
  for (vsi_channel *channel; (channel = find_any(all)) != NULL;) {
    (void)end_history(channel); /* NOT_FOUND: the timer has ended it */
    vsi_channel_unref(channel);
  }
  vsi_mutex_lock(&all->lock);
  while (all->begun > all->ended) vsi_mutex_wait(&all->lock, &all->fewer);
  vsi_mutex_unlock(&all->lock);
  pthread_cond_destroy(&all->fewer);
  vsi_mutex_finish(&all->lock);
  vsi_free(all->host, all);
}

/* ------------------------------------------------------------------------------------- room for others ------------ */

/* Return the largest of the next LOOKS_COUNT histories, if it keeps more than twice as much as this one; NULL: none
 * does. If this history keeps nothing, go on until a history is found that keeps something. Each call begins after the
 * last history of the call before. */
static kept_history *find_larger_locked(vsi_histories *all, const kept_history *than) {
  kept_history *found = NULL;
  size_t most = 2 * vsi_history_size(&than->history);
  uint64_t count = all->begun - all->ended; /* at least those in the list */
  for (uint64_t i = 0; i < count && (i < LOOKS_COUNT || !most); i++) {
    kept_history *at = TAILQ_FIRST(&all->list);
    TAILQ_REMOVE(&all->list, at, in);
    TAILQ_INSERT_TAIL(&all->list, at, in);
    size_t size = vsi_history_size(&at->history);
    if (at == than || size <= most) continue;
    most = size;
    found = at;
  }
  return found;
}

/* vsi_history.make_others_shrink. Halve a larger history. The semaphore of this one is held. */
static bool make_others_shrink(vsi_history *history) {
  kept_history *one = (kept_history *)history;
  vsi_mutex_lock(&one->all->lock);
  const kept_history *larger = find_larger_locked(one->all, one);
  vsi_channel *channel = larger ? vsi_channel_ref(larger->channel) : NULL;
  vsi_mutex_unlock(&one->all->lock);
  if (!channel) return false;
  bool shrinks = false;
  if (vsi_channel_try(channel)) {
    kept_history *at = history_of(channel); /* NULL, or another one, if the larger one has ended meanwhile */
    if (at) vsi_history_halve(&at->history);
    shrinks = at;
    vsi_channel_come_out(channel);
  }
  vsi_channel_unref(channel);
  return shrinks;
}

/* ------------------------------------------------------------------------------------------------- timer ---------- */

static bool has_members(vsi_channel *channel) {
  vsi_mutex_lock(&channel->lock);
  const bool has_any = channel->members.count > 0;
  vsi_mutex_unlock(&channel->lock);
  return has_any;
}

/* Set the timer to the time when the oldest event becomes too old, or the history may be idle. */
static void set_timer(kept_history *one, uint64_t now_ns) {
  uint64_t due_ns = vsi_history_due_ns(&one->history);
  uint64_t idle_ns = vsi_add_saturating(one->history.used_ns, one->history.max_age_ns);
  if (idle_ns < due_ns) due_ns = idle_ns;
  uint64_t wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
  (void)vestry_timer_set(one->timer, wait_ns / VSI_NS_PER_MS + 1, 0); /* CLOSED: the runtime ends */
}

/* Expire events. Returns whether the history has been idle for long enough to end; otherwise the timer is set. The
 * semaphore is held. */
static bool look_at_history(kept_history *one) {
  uint64_t now_ns = vsi_now_ns(one->all->host);
  vsi_history_expire(&one->history, now_ns);
  if (has_members(one->channel)) one->history.used_ns = now_ns;
  bool is_idle = STAILQ_EMPTY(&one->history.kept) && now_ns >= one->history.used_ns &&
                 now_ns - one->history.used_ns >= one->history.max_age_ns;
  if (!is_idle) set_timer(one, now_ns);
  return is_idle;
}

/* The function of a history's timer. It may use the history and its channel, because a thread that ends the history
 * waits for this call before it frees them (free_history). */
static void is_due(vestry_timer *timer, void *ctx) {
  kept_history *one = ctx;
  vsi_channel *channel = one->channel;
  if (!vsi_channel_try(channel)) {
    (void)vestry_timer_set(timer, AGAIN_MS, 0);
    return;
  }
  bool is_mine = history_of(channel) == one, is_idle = is_mine && look_at_history(one);
  if (is_idle) take_out(one);
  vsi_channel_come_out(channel);
  if (is_idle) finish(one); /* last, because destroy_histories() waits for it, and the channels are freed next */
}

/* --------------------------------------------------------------------------------------------- beginning ---------- */

/* Create a history of a channel. Takes the reference to the channel, also on failure. */
static vestry_err keep(vestry *v, vsi_channel *channel, const vestry_history_options *options, kept_history **ret_one) {
  void *all;
  vestry_err error = vsi_extension_use(v, &kind, &all);
  kept_history *one = error ? NULL : vsi_calloc(v->host, 1, sizeof *one);
  if (!one) {
    vsi_channel_unref(channel);
    return error ? error : VESTRY_NO_MEMORY;
  }
  one->all = all;
  one->channel = channel;
  error = vsi_history_init(&one->history, v->host, &one->all->budget, options);
  one->history.make_others_shrink = make_others_shrink;
  if (!error && options->max_age_ms != VESTRY_NEVER_MS)
    error = vestry_timer_create(v->runtime, is_due, one, &one->timer);
  if (error)
    free_history(one);
  else
    *ret_one = one;
  return error;
}

/* Put a history into its channel. The semaphore is held. */
static void put_in(kept_history *one) {
  vsi_histories *all = one->all;
  atomic_store_explicit(&one->channel->recording, &one->history.recording, memory_order_relaxed);
  vsi_mutex_lock(&all->lock);
  TAILQ_INSERT_HEAD(&all->list, one, in);
  all->begun++;
  vsi_mutex_unlock(&all->lock);
  if (one->timer) set_timer(one, one->history.used_ns);
}

/* Begin a history. Takes the reference to the channel. */
static vestry_err begin_history(vestry *v, vsi_channel *channel, const vestry_history_options *options) {
  kept_history *one = NULL;
  vestry_err error = keep(v, channel, options, &one);
  if (error) return error;
  error = vsi_channel_go_in(channel);
  if (!error) {
    kept_history *former = history_of(channel);
    if (former)
      former->history.used_ns = vsi_now_ns(v->host);
    else
      put_in(one);
    if (former) error = VESTRY_EXISTS;
    vsi_channel_come_out(channel);
  }
  if (error) free_history(one);
  return error;
}

vestry_err vestry_history_begin(vestry *v, vestry_scope scope, const vestry_key *key,
                                const vestry_history_options *given) {
  vsi_scoped_key name;
  vsi_channel *channel;
  if (!v) return VESTRY_INVALID;
  vestry_history_options options = given ? *given : (vestry_history_options){0};
  if (vsi_instance_is_closing(v)) return VESTRY_CLOSED;
  vestry_err error = vsi_store_pack(v->store, &name, scope, key);
  if (error) return vsi_key_refuse(v->host, "vestry_history_begin", error);
  error = vsi_channels_hold(v->channels, name.key->data, name.key->len, name.key->hash, &channel);
  vsi_scoped_key_finish(&name);
  return error ? error : begin_history(v, channel, &options);
}

vestry_err vestry_history_end(vestry *v, vestry_scope scope, const vestry_key *key) {
  vsi_channel *channel;
  if (!v) return VESTRY_INVALID;
  vestry_err error = vsi_name_find(v, scope, key, &channel);
  if (error) return vsi_key_refuse(v->host, "vestry_history_end", error);
  error = end_history(channel);
  vsi_channel_unref(channel);
  return error;
}

static vestry_history_stats stats_of(vsi_history *history) {
  vsi_history_settle(history);
  vestry_history_stats stats = history->stats;
  stats.kept_count = history->recording.kept_count;
  stats.kept_bytes = history->recording.kept_bytes;
  stats.last_seq = history->next - 1;
  return stats;
}

vestry_err vestry_history_stats_get(vestry *v, vestry_scope scope, const vestry_key *key,
                                    vestry_history_stats *ret_stats) {
  vsi_channel *channel;
  if (!v) return VESTRY_INVALID;
  if (!ret_stats) return vsi_mistake(v->host, "vestry_history_stats_get", "ret_stats is NULL");
  vestry_err error = vsi_name_find(v, scope, key, &channel);
  if (error) return vsi_key_refuse(v->host, "vestry_history_stats_get", error);
  error = vsi_channel_go_in(channel);
  if (!error) {
    kept_history *one = history_of(channel);
    vestry_history_stats stats = one ? stats_of(&one->history) : (vestry_history_stats){0};
    vsi_channel_come_out(channel);
    if (!one) error = VESTRY_NOT_FOUND;
    if (one && ret_stats) *ret_stats = stats;
  }
  vsi_channel_unref(channel);
  return error;
}

/* ---------------------------------------------------------------------------------------------- resuming ---------- */

/* Get a reference to the channel of a name if it has a history. Takes the name. OK | NOT_FOUND */
static vestry_err find_kept(vestry *v, vsi_scoped_key *name, vsi_channel **ret_channel) {
  vsi_channel *channel = vsi_channels_find(v->channels, name->key->data, name->key->len, name->key->hash);
  vsi_scoped_key_finish(name);
  if (channel && vsi_channel_keeps(channel)) {
    *ret_channel = channel;
    return VESTRY_OK;
  }
  if (channel) vsi_channel_unref(channel);
  return VESTRY_NOT_FOUND;
}

vestry_err vestry_resume(vestry *v, vestry_scope scope, const vestry_key *key, vestry_connection *connection,
                         const char *last_event_id, vestry_resume_fn on_resume, void *ctx) {
  vsi_scoped_key name;
  vsi_channel *channel;
  const vsi_history_last last = vsi_history_last_of(last_event_id);
  if (!v) return VESTRY_INVALID;
  if (!connection || !vsi_group_has(v->group, connection))
    return vsi_mistake(v->host, "vestry_resume", "the connection is NULL, or belongs to another instance");
  vestry_err error = vsi_store_pack(v->store, &name, scope, key);
  if (error) return vsi_key_refuse(v->host, "vestry_resume", error);
  error = find_kept(v, &name, &channel);
  if (error) return error;
  error = vsi_channel_resume(channel, connection, &last, on_resume, ctx);
  vsi_channel_unref(channel);
  return error;
}

/* A stream that joins a channel and resumes after its last event. */
typedef struct attached {
  vsi_attachment attachment; /* first */
  const vestry_host *host;
  vsi_channel *channel; /* a reference */
  vsi_history_last last;
  vestry_resume_fn on_resume; /* NULL: there is no function */
  void *ctx;
} attached;

static void drop_resuming(vsi_attachment *attachment) {
  attached *one = (attached *)attachment;
  vsi_channel_unref(one->channel);
  vsi_free(one->host, one);
}

static vestry_err begin_resuming(vsi_attachment *attachment, vestry_connection *connection) {
  const attached *one = (attached *)attachment;
  vestry_err error = vsi_channel_resume(one->channel, connection, &one->last, one->on_resume, one->ctx);
  if (error && error != VESTRY_EXISTS) return error;
  drop_resuming(attachment);
  return VESTRY_OK;
}

vestry_err vestry_reply_resume(vestry_reply *reply, vestry_scope scope, const vestry_key *key,
                               vestry_resume_fn on_resume, void *ctx) {
  vsi_scoped_key name;
  vsi_channel *channel;
  vestry_err error = vsi_reply_pack(reply, &name, scope, key);
  if (error) return error;
  error = find_kept(reply->v, &name, &channel);
  if (error) return error; /* the history may have ended just now, so the handler decides */
  attached *one = vsi_alloc(reply->host, sizeof *one);
  if (one)
    *one = (attached){{.begin = begin_resuming, .drop = drop_resuming}, reply->host, channel,
                      vsi_history_last_of(reply->last_event_id),        on_resume,   ctx};
  else
    vsi_channel_unref(channel);
  return vsi_reply_attach(reply, VESTRY_OK, one ? &one->attachment : NULL);
}
