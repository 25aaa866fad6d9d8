/* What is asked and answered.
 *
 * First those are asked who hold the key, as far as they have told, and those of whom that is not known. If they all
 * say no, the digest was behind: then all others who live are asked. Nothing but a no is asked again; so what may have
 * been performed is never performed twice.
 *
 * Order. What this node sends for one key is to arrive in order, and who is asked second gets it later. So while one
 * might still have to be asked of others, a younger one of the same key that would go to one of these at once is held.
 * One that goes only where the older one went need not wait: links keep order, and so do their answers.
 *
 * All wait equally long, so they are due in the order in which they were asked. */
#include <string.h>

#include "base/memory.h"
#include "cluster/cluster.h"
#include "runtime/runtime.h"

_Thread_local unsigned vsi_cluster_inside;

/* ------------------------------------------------------------------------------------------------ those that wait - */

/* Those of one key share a bucket, which the id has too. */
static void insert(vestry_cluster *cluster, vsi_ask *ask) {
  vsi_ask **bucket = &cluster->asks[ask->id % VSI_ASK_BUCKETS];
  ask->next = *bucket;
  *bucket = ask;
  ask->older = cluster->newest;
  ask->newer = NULL;
  if (cluster->newest)
    cluster->newest->newer = ask;
  else
    cluster->oldest = ask;
  cluster->newest = ask;
}

static vsi_ask **find(vestry_cluster *cluster, uint64_t id) {
  vsi_ask **at = &cluster->asks[id % VSI_ASK_BUCKETS];
  while (*at && (*at)->id != id) at = &(*at)->next;
  return at;
}

static void take_out(vestry_cluster *cluster, vsi_ask *ask) {
  *find(cluster, ask->id) = ask->next;
  *(ask->older ? &ask->older->newer : &cluster->oldest) = ask->newer;
  *(ask->newer ? &ask->newer->older : &cluster->newest) = ask->older;
}

static void count_end(vestry_cluster *cluster, const vsi_ask *ask) {
  vestry_cluster_stats *stats = &cluster->stats;
  stats->waiting_count--;
  switch (ask->error) {
  case VESTRY_OK: stats->ok_count++; break;
  case VESTRY_NOT_FOUND: stats->not_found_count++; break;
  case VESTRY_TIMEOUT: stats->timeout_count++; break;
  default: *(ask->was_sent || ask->is_found ? &stats->refused_count : &stats->unsent_count) += 1; break;
  }
}

static void end(vestry_cluster *cluster, vsi_ask *ask, vestry_err error, vsi_ask **done) {
  take_out(cluster, ask);
  ask->error = error;
  count_end(cluster, ask);
  ask->next = *done;
  *done = ask;
}

static void free_ask(vestry_cluster *cluster, vsi_ask *ask) {
  vsi_buffer_finish(&ask->message);
  vsi_free(cluster->host, ask);
}

void vsi_asks_finish(vestry_cluster *cluster, vsi_ask *done) {
  for (vsi_ask *next; done; done = next) {
    next = done->next;
    vsi_cluster_inside++;
    if (done->on_answer) done->on_answer(done->error, done->count, done->ctx);
    vsi_cluster_inside--;
    free_ask(cluster, done);
  }
}

/* ------------------------------------------------------------------------------------------------- asking --------- */

static void send_to(vestry_cluster *cluster, vsi_ask *ask, uint64_t mask) {
  for (size_t i = 0; i < cluster->peers_count; i++) {
    if (!(mask >> i & 1)) continue;
    vestry_err error = vsi_peer_send(cluster, &cluster->peers[i], &ask->message, (vsi_wire_kind)ask->kind, 0, false);
    if (!error)
      ask->awaited |= UINT64_C(1) << i, ask->was_sent = true;
    else if (!ask->error)
      ask->error = error;
  }
  ask->asked |= mask;
}

static uint64_t whom_to_ask(vestry_cluster *cluster, const vsi_ask *ask) {
  uint64_t alive = vsi_members_alive(cluster);
  if (ask->has_begun) return alive & ~ask->asked;
  if (ask->kind == VSI_WIRE_LIST) return alive & ask->only;
  uint64_t holders = vsi_keys_others(&cluster->keys, ask->hash) & alive;
  return ask->is_found ? holders : holders | vsi_members_unsynced(cluster);
}

/* An older one of its key may still go where it would be first. */
static bool must_wait(const vestry_cluster *cluster, const vsi_ask *ask, uint64_t mask) {
  const vsi_ask *older = cluster->asks[ask->id % VSI_ASK_BUCKETS];
  for (; older; older = older->next)
    if (older->hash == ask->hash && older->id < ask->id &&
        (older->is_held || (!older->asks_all && mask & ~older->asked)))
      return true;
  return false;
}

static vestry_err conclude(const vestry_cluster *cluster, const vsi_ask *ask) {
  if (ask->error || ask->count) return ask->error;
  if (ask->is_found || vsi_members_are_known(cluster)) return VESTRY_NOT_FOUND;
  return cluster->is_up ? VESTRY_TIMEOUT : VESTRY_IO; /* nobody has said yes; but not all may have been asked */
}

/* Ask those who are next, unless it is held. Whether it is done with, and what came of it. */
static bool go_on(vestry_cluster *cluster, vsi_ask *ask, vestry_err *ret_error) {
  while (!ask->awaited) {
    if (ask->has_begun && (ask->asks_all || ask->count || ask->error)) {
      *ret_error = conclude(cluster, ask);
      return true;
    }
    uint64_t mask = whom_to_ask(cluster, ask);
    ask->is_held = must_wait(cluster, ask, mask);
    if (ask->is_held) return false;
    ask->asks_all |= ask->has_begun;
    ask->has_begun = true;
    send_to(cluster, ask, mask);
  }
  return false;
}

static vestry_err write_list(vsi_ask *ask, const vsi_asking *asking) {
  vsi_wire_list list = *asking->list;
  list.id = ask->id;
  vsi_wire_put_list(&ask->message, &list);
  vsi_wire_end(&ask->message);
  return ask->message.error;
}

static vestry_err write_ask(vsi_ask *ask, const vsi_asking *asking) {
  const vestry_scoped_key *key = asking->key;
  bool has_data = json_object_size(asking->data) > 0;
  char *effects = json_dumps(asking->effects, JSON_COMPACT);
  char *data = has_data ? json_dumps(asking->data, JSON_COMPACT) : NULL;
  vestry_err error = effects && (data || !has_data) ? VESTRY_OK : VESTRY_NO_MEMORY;
  if (!error) {
    const vsi_wire_ask said = {
        .id = ask->id,
        .name = vsi_cluster_name_of(key),
        .effects = {effects, strlen(effects)},
        .data = {data, data ? strlen(data) : 0},
    };
    vsi_wire_put_ask(&ask->message, &said);
    vsi_wire_end(&ask->message);
    error = ask->message.error;
  }
  json_free_t free_json;
  json_get_alloc_funcs(NULL, &free_json);
  free_json(effects);
  free_json(data);
  return error;
}

static vsi_ask *first_held(const vestry_cluster *cluster, uint64_t hash, uint64_t id) {
  vsi_ask *first = NULL, *ask = cluster->asks[id % VSI_ASK_BUCKETS];
  for (; ask; ask = ask->next)
    if (ask->hash == hash && ask->is_held && (!first || ask->id < first->id)) first = ask;
  return first;
}

/* Those that are held behind one that has ended, or has been sent to all. */
static void release(vestry_cluster *cluster, uint64_t hash, uint64_t id, vsi_ask **done) {
  for (vsi_ask *ask; (ask = first_held(cluster, hash, id)) != NULL;) {
    vestry_err error;
    bool is_over = go_on(cluster, ask, &error);
    if (ask->is_held) return;
    if (is_over) end(cluster, ask, error, done);
  }
}

/* It begins, or somebody has answered. */
static void advance(vestry_cluster *cluster, vsi_ask *ask, vsi_ask **done) {
  uint64_t hash = ask->hash, id = ask->id;
  vestry_err error;
  bool is_over = go_on(cluster, ask, &error), asks_all = ask->asks_all;
  if (is_over) end(cluster, ask, error, done);
  if (is_over || asks_all) release(cluster, hash, id, done);
}

/* Under the lock. */
static void begin(vestry_cluster *cluster, vsi_ask *ask, vsi_ask **done) {
  ask->due_ns = vsi_add_saturating(vsi_now_ns(cluster->host), cluster->answer_ns);
  cluster->stats.asked_count++;
  cluster->stats.waiting_count++;
  bool is_first = !cluster->oldest;
  insert(cluster, ask);
  if (is_first) (void)vestry_timer_set(cluster->deadline, cluster->answer_ns / VSI_NS_PER_MS, 0); /* CLOSED: the end */
  advance(cluster, ask, done);
}

vestry_err vsi_ask_begin(vestry_cluster *cluster, const vsi_asking *asking, uint64_t *ret_id) {
  vsi_ask *ask = vsi_calloc(cluster->host, 1, sizeof *ask);
  if (!ask) return VESTRY_NO_MEMORY;
  ask->on_answer = asking->on_answer;
  ask->ctx = asking->ctx;
  ask->count = asking->count;
  ask->error = asking->error;
  ask->is_found = ask->asks_all = asking->is_found;
  ask->kind = asking->list ? VSI_WIRE_LIST : VSI_WIRE_ASK;
  ask->asks_all |= asking->list != NULL;
  ask->only = asking->only;
  ask->page = asking->page;
  vsi_wire_begin(&ask->message, cluster->host);
  if (!asking->list) ask->hash = vsi_cluster_hash_key(cluster, asking->key);
  vsi_cluster_lock(cluster);
  if (asking->list) ask->hash = (cluster->last_ask_id + 1) << 1 | VSI_KEYS_CHANNEL; /* no other's: it waits for none */
  ask->id = ++cluster->last_ask_id * VSI_ASK_BUCKETS + ask->hash / 2 % VSI_ASK_BUCKETS;
  vsi_cluster_unlock(cluster);
  vsi_ask *done = NULL;
  vestry_err error = asking->list ? write_list(ask, asking) : write_ask(ask, asking);
  vsi_cluster_lock(cluster);
  if (!error && cluster->has_ended) error = VESTRY_CLOSED;
  if (!error) begin(cluster, ask, &done);
  if (!error && ret_id) *ret_id = ask->id;
  vsi_cluster_unlock(cluster);
  if (error) free_ask(cluster, ask);
  vsi_asks_finish(cluster, done);
  return error;
}

void vsi_ask_take(vestry_cluster *cluster, const vsi_peer *peer, const vsi_wire_message *message, vsi_ask **done) {
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  uint64_t id = vsi_wire_number(&reader, 8);
  vestry_err error = (vestry_err)vsi_wire_number(&reader, 1);
  uint32_t count = (uint32_t)vsi_wire_number(&reader, 4);
  vsi_ask *ask = *find(cluster, id);
  uint64_t bit = UINT64_C(1) << vsi_peer_index(cluster, peer);
  if (reader.has_failed || !ask || !(ask->awaited & bit)) return; /* it has come too late */
  ask->awaited &= ~bit;
  if (ask->page && reader.left) vsi_buffer_append(ask->page, reader.at, reader.left);
  ask->count = ask->count > UINT32_MAX - count ? UINT32_MAX : ask->count + count;
  bool is_no = error == VESTRY_NOT_FOUND && !count;
  if (error && !is_no && !ask->error) ask->error = error > VESTRY_BUSY ? VESTRY_FAILED : error;
  advance(cluster, ask, done);
}

/* --------------------------------------------------------------------------------------------- not answered ------- */

void vsi_asks_due(vestry_timer *timer, void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_ask *done = NULL;
  vsi_cluster_lock(cluster);
  uint64_t now_ns = vsi_now_ns(cluster->host);
  while (cluster->oldest && cluster->oldest->due_ns <= now_ns) {
    uint64_t hash = cluster->oldest->hash, id = cluster->oldest->id;
    end(cluster, cluster->oldest, VESTRY_TIMEOUT, &done);
    release(cluster, hash, id, &done);
  }
  if (cluster->oldest)
    (void)vestry_timer_set(timer, (cluster->oldest->due_ns - now_ns + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS, 0);
  vsi_cluster_unlock(cluster);
  vsi_asks_finish(cluster, done);
}

void vsi_asks_end(vestry_cluster *cluster, vestry_err error) {
  vsi_ask *done = NULL;
  vsi_cluster_lock(cluster);
  while (cluster->oldest) end(cluster, cluster->oldest, error, &done);
  vsi_cluster_unlock(cluster);
  vsi_asks_finish(cluster, done);
}

void vsi_ask_give_up(vestry_cluster *cluster, uint64_t id, vestry_err error) {
  vsi_ask *done = NULL;
  vsi_cluster_lock(cluster);
  vsi_ask *ask = *find(cluster, id);
  uint64_t hash = ask ? ask->hash : 0;
  if (ask) end(cluster, ask, error, &done);
  if (ask) release(cluster, hash, id, &done);
  vsi_cluster_unlock(cluster);
  vsi_asks_finish(cluster, done);
}

/* ------------------------------------------------------------------------------------------------- waiting -------- */

typedef struct waiter {
  pthread_mutex_t lock;
  pthread_cond_t done;
  /* guarded by lock */
  bool is_done;
  vestry_err error;
  uint32_t count;
} waiter;

static void wake(vestry_err error, uint32_t count, void *ctx) {
  waiter *w = ctx;
  pthread_mutex_lock(&w->lock);
  w->is_done = true;
  w->error = error;
  w->count = count;
  pthread_cond_signal(&w->done);
  pthread_mutex_unlock(&w->lock);
}

/* The answers come, or the timer says that they do not. A stepped runtime's timer may never: nobody turns the clock. */
static void await(vestry_cluster *cluster, waiter *w, uint64_t id) {
  if (vsi_runtime_is_stepped(cluster->runtime)) {
    while (!w->is_done && vestry_runtime_step(cluster->runtime)) continue;
    if (!w->is_done) vsi_ask_give_up(cluster, id, VESTRY_TIMEOUT);
  }
  pthread_mutex_lock(&w->lock);
  while (!w->is_done) pthread_cond_wait(&w->done, &w->lock);
  pthread_mutex_unlock(&w->lock);
}

vestry_err vsi_ask_wait(vestry_cluster *cluster, const vsi_asking *what, uint32_t *ret_count) {
  *ret_count = 0;
  if (vsi_cluster_inside || vsi_runtime_is_inside(cluster->runtime)) return VESTRY_BUSY;
  waiter w = {.is_done = false};
  uint64_t id;
  pthread_mutex_init(&w.lock, NULL);
  pthread_cond_init(&w.done, NULL);
  vsi_asking asking = *what;
  asking.on_answer = wake;
  asking.ctx = &w;
  vestry_err error = vsi_ask_begin(cluster, &asking, &id);
  if (!error) {
    await(cluster, &w, id);
    error = w.error;
    *ret_count = w.count;
  }
  pthread_cond_destroy(&w.done);
  pthread_mutex_destroy(&w.lock);
  return error;
}

vestry_err vsi_ask_and_wait(const vestry_scoped_key *key, json_t *effects, const vestry_dispatch_options *options,
                            bool is_found, uint32_t *ret_count, void *cluster) {
  const vsi_asking asking = {.key = key, .effects = effects, .data = options->data, .is_found = is_found};
  return vsi_ask_wait(cluster, &asking, ret_count);
}
