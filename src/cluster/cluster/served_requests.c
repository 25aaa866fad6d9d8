/* SPDX-License-Identifier: MIT */
/* Requests and messages of other nodes that are performed here. The broker's thread copies them, and the actor performs
 * them one at a time. So the messages of one node are performed in order, and a slow effect delays neither heartbeats
 * nor responses. The copies are bounded in bytes (max_remote_bytes). Beyond the bound a request gets FULL, and any
 * other message is lost, which is reported as a gap.
 *
 * The broker's thread performs dispatches itself if no function of the application can run and nothing waits for the
 * actor, because waking another thread takes longer. It enters the actor meanwhile, which keeps the order. It performs
 * at most ROW_MAX dispatches in a row; more of them wait for the actor within its bounds, so that an overloaded node
 * returns FULL. The actor performs everything if `allow` has effects of the application, or if interceptors or
 * placeholders are registered.
 *
 * The actor also reports members and gaps to the application (members.c), and closes streams that other nodes have
 * replaced (replaced.c). One run of the actor performs at most RUN_MAX messages, so that reports are not late and a
 * runtime with one thread can run other actors. */
#include "cluster/cluster/served_requests.h"

#include <string.h>

#include "app/bus/bus.h"
#include "app/page/sent.h"
#include "app/page/topic.h"
#include "base/memory.h"
#include "channel/broadcast.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/keys.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/message.h"
#include "cluster/cluster/remote_request.h"
#include "cluster/cluster/replaced.h"
#include "event/layout.h"
#include "registry/dispatch.h"
#include "registry/names.h"
#include "runtime/runtime.h"
#include "json/load.h"

/* WORK_BYTES: size of a waiting message besides its body. RUN_MAX: messages in one run of the actor. ROW_MAX:
 * dispatches in a row on the broker's thread, and messages after which the actor is woken although more follow. */
enum { WORK_BYTES = 160, RUN_MAX = 64, ROW_MAX = 64 };

typedef struct work {
  vestry_message message;    /* first member */
  vsi_wire_message received; /* its body points to the body below */
  unsigned char body[];
} work;

/* Return whether requests of other nodes can run no function of the application: `allow` has only effects of vestry
 * itself, and no interceptor or placeholder is registered. Decided once, because names are registered before the first
 * dispatch. */
static bool is_quick(vestry_cluster *cluster) {
  const vestry_registry *names = cluster->v->registry;
  if (cluster->quickness) return cluster->quickness == VSI_QUICK;
  bool is = vsi_builtin_is_alone(names);
  for (size_t i = 0; is && i < cluster->allow_count; i++) is = vsi_builtin_is(names, cluster->allow[i]);
  cluster->quickness = is ? VSI_QUICK : VSI_SLOW;
  return is;
}

/* -------------------------------------------------------------------------------------------------- responses ----- */

/* Send an ANSWER. Under the lock. */
static void answer(vestry_cluster *cluster, vsi_peer *peer, uint64_t id, vestry_err error, uint32_t count) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put(&buffer, id, 8);
  vsi_wire_put(&buffer, error, 1);
  vsi_wire_put(&buffer, count, 4);
  (void)vsi_message_send(cluster, peer, &buffer, VSI_WIRE_ANSWER, 0, false); /* lost: the other node gets TIMEOUT */
  vsi_buffer_finish(&buffer);
}

void vsi_served_question(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put(&buffer, vsi_wire_number(&reader, 8), 8);
  while (reader.left >= 8) {
    const uint64_t hash = vsi_wire_number(&reader, 8) & ~VSI_WIRE_HELD_BIT;
    vsi_wire_put(&buffer, hash | (vsi_keys_are_here(&cluster->keys, hash) ? VSI_WIRE_HELD_BIT : 0), 8);
  }
  (void)vsi_message_send(cluster, peer, &buffer, VSI_WIRE_HELD, 0, false); /* lost: the other node gets TIMEOUT */
  vsi_buffer_finish(&buffer);
}

/* Find the node that has sent a message. NULL: another run has taken its place. Under the lock. */
static vsi_peer *find_peer(vestry_cluster *cluster, const vsi_wire_message *message) {
  vsi_peer *peer = vsi_peers_find(cluster, message->from);
  return peer && peer->epoch == message->epoch ? peer : NULL;
}

static void answer_to(vestry_cluster *cluster, const vsi_wire_message *message, bool has_more, uint64_t id,
                      vestry_err error, uint32_t count) {
  vsi_cluster_lock(cluster);
  cluster->stats.answered_count++;
  vsi_peer *peer = find_peer(cluster, message);
  if (peer) answer(cluster, peer, id, error, count);
  if (has_more && is_quick(cluster))
    vsi_mutex_unlock(&cluster->lock); /* flushed at the end of the run */
  else
    vsi_cluster_unlock_for(cluster, has_more);
}

/* -------------------------------------------------------------------------------------------------- arrival ------- */

static bool reserve(vestry_cluster *cluster, size_t bytes) {
  /* relaxed: a bound that orders nothing else */
  size_t before = atomic_fetch_add_explicit(&cluster->remote_bytes, bytes, memory_order_relaxed);
  if (before <= cluster->max_remote_bytes && bytes <= cluster->max_remote_bytes - before) return true;
  atomic_fetch_sub_explicit(&cluster->remote_bytes, bytes, memory_order_relaxed);
  return false;
}

static void free_work(vestry_cluster *cluster, work *w) {
  atomic_fetch_sub_explicit(&cluster->remote_bytes, w->received.len + WORK_BYTES, memory_order_relaxed);
  vsi_free(cluster->host, w);
}

void vsi_served_drop(vestry_message *message, void *ctx) {
  free_work(ctx, (work *)message);
}

static void refuse(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message, vestry_err error) {
  cluster->stats.over_budget_count += error == VESTRY_FULL;
  if (message->kind == VSI_WIRE_REQUEST) {
    vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
    uint64_t id = vsi_wire_number(&reader, 8);
    answer(cluster, peer, id, error, 0);
    return;
  }
  vsi_peer_lose(peer, 1);
  vsi_cluster_notify(cluster);
}

/* Copy a message for the actor. Beyond the bound or without memory, it is refused. */
static void keep(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  const size_t bytes = message->len + WORK_BYTES;
  const bool has_room = reserve(cluster, bytes);
  work *w = has_room ? vsi_alloc(cluster->host, sizeof *w + message->len) : NULL;
  if (!w) {
    if (has_room) atomic_fetch_sub_explicit(&cluster->remote_bytes, bytes, memory_order_relaxed);
    refuse(cluster, peer, message, has_room ? VESTRY_NO_MEMORY : VESTRY_FULL);
    return;
  }
  *w = (work){.received = *message};
  w->received.body = w->body;
  if (message->len) memcpy(w->body, message->body, message->len);
  if (vsi_message_actor_put(cluster->actor, &w->message))
    free_work(cluster, w); /* CLOSED: the runtime is ending */
  else
    cluster->put_count++;
}

bool vsi_served_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message, bool may_do) {
  if (message->kind == VSI_WIRE_REQUEST && may_do && !cluster->put_count && cluster->row_count < ROW_MAX &&
      is_quick(cluster)) {
    cluster->row_count++;
    return true;
  }
  keep(cluster, peer, message);
  return false;
}

void vsi_served_rouse(vestry_cluster *cluster, bool has_more) {
  if (!has_more) cluster->row_count = 0;
  if (!cluster->put_count || (has_more && cluster->put_count < ROW_MAX)) return;
  cluster->put_count = 0;
  vestry_actor_notify(cluster->actor);
}

/* -------------------------------------------------------------------------------------------------- performing ---- */

static bool is_allowed(const vestry_cluster *cluster, const json_t *effect) {
  const char *name = json_string_value(json_array_get(effect, 0));
  for (size_t i = 0; name && i < cluster->allow_count; i++)
    if (strcmp(cluster->allow[i], name) == 0) return true;
  return false;
}

/* Read a list of effects. INVALID if one of them is not in `allow`. */
static vestry_err read_effects(const vestry_cluster *cluster, vestry_slice text, json_t **ret_effects) {
  json_t *effects = vsi_json_load(text.data, text.len, JSON_ALLOW_NUL, NULL);
  bool is_well = json_is_array(effects);
  for (size_t i = 0; is_well && i < json_array_size(effects); i++)
    is_well = is_allowed(cluster, json_array_get(effects, i));
  if (is_well) {
    *ret_effects = effects;
    return VESTRY_OK;
  }
  json_decref(effects);
  return VESTRY_INVALID;
}

/* Dispatch effects of a REQUEST to the streams of this node. effects_text, data_text: JSON; data_text may be empty. */
static vestry_err dispatch(vestry_cluster *cluster, vsi_wire_name name, vestry_slice effects_text,
                           vestry_slice data_text, bool is_fail_fast, uint32_t *ret_count) {
  vsi_scoped_key key;
  json_t *effects = NULL, *data = NULL;
  vestry_err error = vsi_cluster_pack(cluster, name, &key);
  if (error) return error;
  error = vsi_targets_count(vestry_parts_of(cluster->v)->store, key.key, ret_count);
  if (!error) error = read_effects(cluster, effects_text, &effects);
  if (!error && data_text.len) data = vsi_json_load(data_text.data, data_text.len, JSON_ALLOW_NUL, NULL);
  if (!error && data_text.len && !json_is_object(data)) error = VESTRY_INVALID;
  const vestry_dispatch_options options = {.data = data, .fail_fast = is_fail_fast};
  if (!error)
    error =
        vsi_dispatch_here(cluster->v, NULL, key.key, &(vsi_effects){.list = effects}, &options, true, NULL, ret_count);
  vsi_scoped_key_finish(&key);
  json_decref(effects);
  json_decref(data);
  return error;
}

static void do_request(vestry_cluster *cluster, const vsi_wire_message *message, bool has_more) {
  uint32_t count = 0;
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  const uint64_t id = vsi_wire_number(&reader, 8);
  const vsi_wire_name name = vsi_wire_read_name(&reader);
  const vestry_slice effects = vsi_wire_bytes(&reader, vsi_wire_number(&reader, 4)), data = {reader.at, reader.left};
  if (reader.has_failed) return;
  vestry_err error = dispatch(cluster, name, effects, data, message->flags & VSI_WIRE_FAIL_FAST, &count);
  answer_to(cluster, message, has_more, id, error, count);
}

/* Write an event that was made on another node. */
static void layout_bytes(vsi_writer *writer, const void *ctx) {
  const vestry_slice *bytes = ctx;
  vsi_put(writer, bytes->data, bytes->len);
}

static vestry_err do_event(vestry_cluster *cluster, const vestry_scoped_key *channel, vsi_wire_reader *reader) {
  vestry_event *event;
  const vestry_slice state = vsi_wire_bytes(reader, vsi_wire_number(reader, 1)), bytes = {reader->at, reader->left};
  const char *text = bytes.data;
  if (reader->has_failed || bytes.len < 3 || text[bytes.len - 1] != '\n' || text[bytes.len - 2] != '\n')
    return VESTRY_MALFORMED;
  vestry_err error = vsi_event_build_state(cluster->host, state, layout_bytes, &bytes, &event);
  if (error) return error;
  error = vsi_broadcast_here(cluster->v, channel, event);
  vestry_event_unref(event);
  return error;
}

static vestry_err do_refresh(vestry_cluster *cluster, vsi_wire_reader *reader) {
  if (!cluster->pages) return VESTRY_OK;
  if (!reader->left) vsi_pages_refresh(cluster->pages, NULL, 0);
  while (reader->left) {
    const uint64_t len_and_kind = vsi_wire_number(reader, 2);
    const vestry_slice topic = vsi_wire_bytes(reader, len_and_kind & ~(uint64_t)VSI_WIRE_REPORT);
    if (!topic.len || topic.len > VESTRY_PAGE_TOPIC_MAX_BYTES) return VESTRY_MALFORMED;
    if (len_and_kind & VSI_WIRE_REPORT)
      vsi_sent_done_elsewhere(cluster->pages, topic.data, topic.len);
    else
      vsi_pages_refresh(cluster->pages, topic.data, topic.len);
  }
  return VESTRY_OK;
}

/* Perform a message without a response. */
static vestry_err perform_message(vestry_cluster *cluster, const vsi_wire_message *message) {
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  if (message->kind == VSI_WIRE_REFRESH) return do_refresh(cluster, &reader);
  vsi_wire_name name = vsi_wire_read_name(&reader);
  if (reader.has_failed) return VESTRY_MALFORMED;
  vsi_scoped_key key;
  vestry_err error = vsi_cluster_pack(cluster, name, &key);
  if (error) return error;
  if (message->kind == VSI_WIRE_EVENT)
    error = do_event(cluster, key.key, &reader);
  else
    error = vsi_publish_here(cluster->v, key.key, reader.at, reader.left);
  vsi_scoped_key_finish(&key);
  return error;
}

/* Return whether an error means a loss. Without a receiver nothing is lost, and a stream that could not take the event
 * reports that itself. */
static bool is_lost(vestry_err error) {
  return error && error != VESTRY_NOT_FOUND && error != VESTRY_CLOSED && error != VESTRY_FULL &&
         error != VESTRY_TOO_LARGE;
}

/* Perform a message. has_more: another one follows; their responses are flushed together. The message's trace is the
 * current one of this thread meanwhile, because the work belongs to it. */
static void perform(vestry_cluster *cluster, const vsi_wire_message *message, bool has_more) {
  const vestry_trace *former = vestry_trace_enter(message->is_traced ? &message->trace : NULL);
  if (message->kind == VSI_WIRE_REQUEST) {
    do_request(cluster, message, has_more);
  } else if (is_lost(perform_message(cluster, message))) {
    vsi_cluster_lock(cluster);
    vsi_peer *peer = vsi_peers_find(cluster, message->from);
    if (peer) vsi_peer_lose(peer, 1);
    vsi_cluster_unlock(cluster);
    vsi_cluster_notify(cluster);
  }
  (void)vestry_trace_enter(former);
}

void vsi_served_do(vestry_cluster *cluster, const vsi_wire_message *message) {
  if (vsi_message_actor_try_enter(cluster->actor)) {
    vsi_cluster_inside++;
    perform(cluster, message, false);
    vsi_cluster_inside--;
    vsi_message_actor_release(cluster->actor);
    return;
  }
  vsi_cluster_lock(cluster);
  vsi_peer *peer = find_peer(cluster, message);
  if (peer) keep(cluster, peer, message);
  cluster->put_count = 0;
  vestry_actor_notify(cluster->actor);
  vsi_cluster_unlock(cluster);
}

/* ---------------------------------------------------------------------------------------------- actor ------------- */

static bool begin_run(vestry_cluster *cluster) {
  vsi_cluster_lock(cluster);
  bool may_run = !cluster->has_ended;
  cluster->is_running = may_run;
  vsi_cluster_unlock(cluster);
  return may_run;
}

void vsi_served_run(vestry_actor *actor, void *ctx) {
  vestry_cluster *cluster = ctx;
  bool may_run = begin_run(cluster), has_more = false;
  vsi_cluster_inside++;
  for (int i = 0; may_run && i <= RUN_MAX && (has_more = vsi_members_report(cluster)); i++) continue;
  if (may_run) has_more |= vsi_replaced_close_some(cluster);
  if (may_run) has_more |= vsi_keys_sweep(&cluster->keys);
  int left = RUN_MAX;
  for (work *w = (work *)vestry_actor_receive(actor), *next; w; w = next) {
    next = --left ? (work *)vestry_actor_receive(actor) : NULL;
    if (may_run) perform(cluster, &w->received, next != NULL);
    free_work(cluster, w);
  }
  if (has_more || !left) vestry_actor_notify(actor);
  vsi_cluster_inside--;
  vsi_cluster_lock(cluster);
  cluster->is_running = false;
  pthread_cond_broadcast(&cluster->quiet);
  vsi_cluster_unlock(cluster);
}
