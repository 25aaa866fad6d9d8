/* SPDX-License-Identifier: MIT */
/* A node of a memory network. Its actor takes one event at a time under the network's lock, and calls the functions of
 * the events without it. stop waits for the function that is running. */
#include "testing/memory_network.h"

#include <string.h>

#include "base/array.h"
#include "base/memory.h"
#include "base/options.h"
#include "vestry/testing/memory_network.h"

enum { RUN_MAX = 64 }; /* events in one run of the actor, so that one node does not keep a thread */

/* ------------------------------------------------------------------------------------------------- arrival -------- */

/* The next call of the broker's events. */
typedef struct news {
  enum { NOTHING, STATE, MESSAGE } kind;
  vestry_broker_state state;
  vsi_parcel *parcel;
} news;

static news of_state(vestry_broker_state state) {
  return (news){STATE, state, NULL};
}

static news next_locked(vsi_memory_node *node) {
  vestry_memory_network *network = node->network;
  if (!node->started || node->stopped) return (news){NOTHING, VESTRY_BROKER_DOWN, NULL};
  bool is_up = vsi_memory_node_is_up(node);
  if (node->reported_late || is_up != node->reported_up) {
    node->reported_up = is_up && !node->reported_late;
    node->reported_late = false;
    return of_state(node->reported_up ? VESTRY_BROKER_UP : VESTRY_BROKER_DOWN);
  }
  uint64_t now_ns = vsi_now_ns(network->host);
  while (node->arrivals.count && node->arrivals.heap[0].due_ns <= now_ns) {
    vsi_parcel *parcel = vsi_arrivals_take(&node->arrivals).parcel;
    if (!parcel) {
      if (is_up) return of_state(VESTRY_BROKER_MAYBE_LOST);
      continue;
    }
    network->stats.delivered_count++;
    return (news){MESSAGE, VESTRY_BROKER_UP, parcel};
  }
  return (news){NOTHING, VESTRY_BROKER_DOWN, NULL};
}

static void tell(const vsi_memory_node *node, const news *n) {
  const vestry_broker_events *to = &node->events;
  if (n->kind == MESSAGE) {
    if (to->on_message) to->on_message(n->parcel->subject, n->parcel->data, n->parcel->len, to->ctx);
  } else if (to->on_state) {
    to->on_state(n->state, to->ctx);
  }
}

/* Run the actor again when the next message is due. */
static void rouse_later_locked(vsi_memory_node *node) {
  if (node->stopped || !node->arrivals.count) return;
  uint64_t now_ns = vsi_now_ns(node->network->host), due_ns = node->arrivals.heap[0].due_ns;
  if (due_ns <= now_ns)
    vestry_actor_notify(node->actor);
  else
    (void)vestry_timer_set(node->timer, (due_ns - now_ns + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS, 0); /* CLOSED: ended */
}

static void node_run(vestry_actor *actor, void *ctx) {
  (void)actor;
  vsi_memory_node *node = ctx;
  vestry_memory_network *network = node->network;
  if (!network) return; /* it could not join */
  vsi_mutex_lock(&network->lock);
  bool is_dry = false;
  for (int i = 0; !is_dry && i < RUN_MAX; i++) {
    news n = next_locked(node);
    is_dry = n.kind == NOTHING;
    if (is_dry) break;
    node->runs = true;
    vsi_mutex_unlock(&network->lock);
    tell(node, &n);
    vsi_mutex_lock(&network->lock);
    node->runs = false;
    vsi_parcel_unref(network->host, n.parcel);
    pthread_cond_broadcast(&network->changed);
  }
  if (is_dry)
    rouse_later_locked(node);
  else if (!node->stopped)
    vestry_actor_notify(node->actor);
  vsi_mutex_unlock(&network->lock);
}

static void node_due(vestry_timer *timer, void *ctx) {
  (void)timer;
  vsi_memory_node *node = ctx;
  vestry_actor_notify(node->actor);
}

/* ------------------------------------------------------------------------------------------- start and stop ------- */

static void free_subjects(const vestry_host *host, char **subjects, size_t count) {
  for (size_t i = 0; subjects && i < count; i++) vsi_free(host, subjects[i]);
  vsi_free(host, subjects);
}

/* Copy the subjects. NULL: out of memory. */
static char **copy_subjects(const vestry_host *host, const char *const *subjects, size_t count) {
  char **made = vsi_calloc(host, count, sizeof *made);
  for (size_t i = 0; made && i < count; i++)
    if (!(made[i] = vsi_strdup(host, subjects[i], strlen(subjects[i])))) {
      free_subjects(host, made, count);
      return NULL;
    }
  return made;
}

static vestry_err start(void *broker, const char *const *subjects, size_t count, const vestry_broker_events *given) {
  vsi_memory_node *node = broker;
  vestry_broker_events events;
  if (!node || VSI_OPTIONS_TAKE(vestry_broker_events, events, given) || !vestry_subjects_are_valid(subjects, count))
    return VESTRY_INVALID;
  char **own = copy_subjects(node->host, subjects, count);
  if (!own) return VESTRY_NO_MEMORY;
  vsi_mutex_lock(&node->network->lock);
  bool is_first = !node->started && !node->stopped;
  if (is_first) {
    node->events = events;
    node->subjects = own;
    node->subjects_count = count;
    node->started = true;
    vestry_actor_notify(node->actor);
  }
  vsi_mutex_unlock(&node->network->lock);
  if (!is_first) free_subjects(node->host, own, count);
  return is_first ? VESTRY_OK : VESTRY_INVALID;
}

static void stop(void *broker) {
  vsi_memory_node *node = broker;
  vestry_memory_network *network = node->network;
  vsi_mutex_lock(&network->lock);
  node->stopped = true;
  network->stats.cut_count += vsi_arrivals_finish(network->host, &node->arrivals);
  while (node->runs) vsi_mutex_wait(&network->lock, &network->changed);
  vestry_timer *timer = node->timer;
  node->timer = NULL;
  vsi_mutex_unlock(&network->lock);
  vestry_timer_destroy(timer);
}

static void destroy(void *broker) {
  vsi_memory_node *node = broker;
  if (!node) return;
  stop(node);
  vsi_mutex_lock(&node->network->lock);
  node->network->nodes[node->index] = NULL;
  vsi_mutex_unlock(&node->network->lock);
  vestry_actor_unref(node->actor);
}

static void node_done(void *ctx) {
  vsi_memory_node *node = ctx;
  vestry_memory_network *network = node->network;
  free_subjects(node->host, node->subjects, node->subjects_count);
  vsi_free(node->host, node);
  if (network) vsi_memory_network_unref(network);
}

/* ------------------------------------------------------------------------------------------ broker interface ------ */

static vestry_err publish_locked(vsi_memory_node *node, const char *subject, const void *data, size_t len) {
  vestry_memory_network *network = node->network;
  if (len > network->options.max_payload) return VESTRY_TOO_LARGE;
  if (!vsi_memory_node_is_up(node)) return VESTRY_IO;
  if (vsi_memory_chance(&node->refusals) % 10000 < network->options.full) return VESTRY_FULL;
  return vsi_memory_network_send(network, node, subject, data, len);
}

static vestry_err publish(void *broker, const char *subject, const void *data, size_t len) {
  vsi_memory_node *node = broker;
  if (!vestry_subject_is_valid(subject) || (len && !data)) return VESTRY_INVALID;
  vsi_mutex_lock(&node->network->lock);
  vestry_err error = publish_locked(node, subject, data, len);
  vsi_mutex_unlock(&node->network->lock);
  return error;
}

/* Nothing to do, because publish has sent the messages. */
static void flush(void *broker, bool at_once) {
  (void)broker, (void)at_once;
}

static vestry_broker_state state(void *broker) {
  vsi_memory_node *node = broker;
  vsi_mutex_lock(&node->network->lock);
  bool is_up = vsi_memory_node_is_up(node);
  vsi_mutex_unlock(&node->network->lock);
  return is_up ? VESTRY_BROKER_UP : VESTRY_BROKER_DOWN;
}

static size_t max_payload(void *broker) {
  vsi_memory_node *node = broker;
  vsi_mutex_lock(&node->network->lock);
  size_t max = node->network->options.max_payload;
  vsi_mutex_unlock(&node->network->lock);
  return max;
}

/* The data of a reservation is not stored, because it is never read. */
static vestry_err reserve_locked(vsi_memory_node *node, const char *name, uint64_t expected, uint64_t *ret_revision) {
  vestry_memory_network *network = node->network;
  size_t at = 0;
  while (at < network->reservations_count && strcmp(network->reservations[at].name, name) != 0) at++;
  if (at == network->reservations_count) {
    *ret_revision = 0;
    if (expected) return VESTRY_EXISTS;
    if (VSI_ARRAY_RESERVE(network->host, network->reservations, network->reservations_count, network->reservations_room,
                          1))
      return VESTRY_NO_MEMORY;
    network->reservations_count++;
    memcpy(network->reservations[at].name, name, strlen(name) + 1);
    network->reservations[at].revision = 0;
  }
  vsi_memory_reservation *reservation = &network->reservations[at];
  vestry_err error = reservation->revision == expected ? VESTRY_OK : VESTRY_EXISTS;
  if (!error) reservation->revision = ++network->revision;
  *ret_revision = reservation->revision;
  return error;
}

static vestry_err reserve(void *broker, const char *name, uint64_t expected, const void *data, size_t len,
                          uint64_t *ret_revision) {
  vsi_memory_node *node = broker;
  if (!vestry_subject_is_valid(name) || (len && !data) || !ret_revision) return VESTRY_INVALID;
  vsi_mutex_lock(&node->network->lock);
  vestry_err error = len > node->network->options.max_payload ? VESTRY_TOO_LARGE
                     : !vsi_memory_node_is_up(node)           ? VESTRY_IO
                     : node->part != 0                        ? VESTRY_TIMEOUT
                                                              : reserve_locked(node, name, expected, ret_revision);
  vsi_mutex_unlock(&node->network->lock);
  return error;
}

const vestry_broker_ops vsi_memory_broker_ops = {
    .size = sizeof(vestry_broker_ops),
    .start = start,
    .stop = stop,
    .publish = publish,
    .flush = flush,
    .state = state,
    .max_payload = max_payload,
    .reserve = reserve,
    .destroy = destroy,
};

vestry_err vestry_memory_network_join(vestry_memory_network *network, vestry_broker *ret_broker) {
  if (!network || !ret_broker) return VESTRY_INVALID;
  const vestry_host *host = network->host;
  vsi_memory_node *node = vsi_calloc(host, 1, sizeof *node);
  if (!node) return VESTRY_NO_MEMORY;
  node->host = host;
  node->network = network;
  vestry_err error = vestry_timer_create(network->runtime, node_due, node, &node->timer);
  const vestry_actor_options actor = {.run = node_run, .done = node_done, .ctx = node};
  if (!error) error = vestry_actor_create(network->runtime, &actor, &node->actor);
  if (!error) error = vsi_memory_network_enter(network, node);
  if (!error) {
    *ret_broker = (vestry_broker){&vsi_memory_broker_ops, node};
    return VESTRY_OK;
  }
  node->network = NULL; /* it could not join */
  vestry_timer_destroy(node->timer);
  if (node->actor)
    vestry_actor_unref(node->actor); /* its done function frees the node */
  else
    vsi_free(host, node);
  return error;
}
