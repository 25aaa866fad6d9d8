/* SPDX-License-Identifier: MIT */
/* essay: order of the remote requests for one key */
/* Requests to other nodes, and their responses.
 *
 * A request goes first to the nodes that have announced the key, and to the nodes whose keys are not known completely.
 * If all of them respond that they have no stream, the announcements may be late, and the request goes to all other
 * live nodes. This second round takes place only after such a response of every node, so effects are never performed
 * twice.
 *
 * Order. The requests of this node for one key must arrive in order, but a node of the second round gets its message
 * later. So the requests of a key form a line until no further round is needed. Only the first of the line may begin
 * its second round. A younger one begins its first round only if it goes to nodes to which all older ones went, because
 * links keep the order of requests and of responses. Once a request has to wait, the line is closed: each younger one
 * waits, too, until it follows one that has begun as the first of the line.
 *
 *     in line ──open, or the first──→ first round ──a node has a stream, or failed──→ finished
 *                                          │                                             ↑
 *                             no node has a stream ──it is the first──→ second round ────┘
 *
 * All requests have the same timeout, so they are due in the order in which they began. At most max_waiting_count wait;
 * one more gets FULL. */
#include "cluster/cluster/remote_request.h"

#include <semaphore.h>
#include <string.h>
#include <sys/queue.h>

#include "app/bus/bus.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/message.h"
#include "registry/dispatch.h"
#include "runtime/runtime.h"
#include "json/load.h"

_Thread_local unsigned vsi_cluster_inside;

/* A request that waits for responses. */
typedef struct vsi_remote_request {
  vsi_map_link in;                 /* first member; by its id */
  struct vsi_remote_request *next; /* in the list of finished requests */
  vsi_ring by_age;                 /* in the list of all requests, by age */
  struct vsi_line *line;           /* in which it is; NULL: none */
  STAILQ_ENTRY(vsi_remote_request) in_line;
  uint64_t id, hash, due_ns; /* hash: of the key */
  vsi_bits sent_to;          /* nodes to which it was sent */
  vsi_bits awaited;          /* nodes that must still respond */
  bool has_begun;            /* its first round was sent */
  bool was_sent;             /* to at least one node */
  bool is_found;             /* streams were found here: only nodes that are known to hold the key get it */
  bool goes_to_all;          /* no further round is needed */
  uint8_t flags;             /* flags of its message */
  uint32_t count;            /* number of connections so far */
  vestry_err error;
  vestry_answer_fn on_answer;
  void *ctx;
  vsi_buffer message; /* sealed for each receiver */
  bool is_followed;   /* it belongs to a trace */
  vestry_span span;   /* valid if is_followed */
} vsi_remote_request;

/* The requests of one key that may need another round, oldest first. */
typedef struct vsi_line {
  vsi_map_link in; /* first member; by the key's hash */
  STAILQ_HEAD(, vsi_remote_request) requests;
  vsi_bits common; /* nodes to which all begun requests went (at least these) */
  bool is_closed;  /* one of the requests waits for those before it */
} vsi_line;

/* -------------------------------------------------------------------------------------------- waiting requests ---- */

static vsi_remote_request *oldest(const vestry_cluster *cluster) {
  const vsi_ring *all = &cluster->remote_requests;
  return vsi_ring_is_empty(all) ? NULL : VSI_RING_OWNER(all->next, vsi_remote_request, by_age);
}

static vsi_line *line_of(const vestry_cluster *cluster, uint64_t hash) {
  return VSI_MAP_OWNER(vsi_map_first(&cluster->lines, hash), vsi_line, in);
}

/* Put a request into the line of its key, which is created if the request may need another round. OK | NO_MEMORY */
static vestry_err enter_line(vestry_cluster *cluster, vsi_remote_request *request) {
  vsi_line *line = line_of(cluster, request->hash);
  if (!line && request->goes_to_all) return VESTRY_OK;
  if (!line) {
    if (vsi_map_reserve(&cluster->lines, cluster->host, cluster->lines.count + 1)) return VESTRY_NO_MEMORY;
    line = vsi_calloc(cluster->host, 1, sizeof *line);
    if (!line) return VESTRY_NO_MEMORY;
    STAILQ_INIT(&line->requests);
    vsi_map_add(&cluster->lines, &line->in, request->hash);
  }
  request->line = line;
  STAILQ_INSERT_TAIL(&line->requests, request, in_line);
  return VESTRY_OK;
}

static void leave_line(vsi_remote_request *request) {
  if (request->line) STAILQ_REMOVE(&request->line->requests, request, vsi_remote_request, in_line);
  request->line = NULL;
}

static void free_line_if_empty(vestry_cluster *cluster, vsi_line *line) {
  if (!line || !STAILQ_EMPTY(&line->requests)) return;
  vsi_map_remove(&cluster->lines, &line->in);
  vsi_free(cluster->host, line);
}

/* vsi_hash_number gives each id a different hash, so the first entry is the only one. */
static vsi_remote_request *find(const vestry_cluster *cluster, uint64_t id) {
  return VSI_MAP_OWNER(vsi_map_first(&cluster->requests, vsi_hash_number(id)), vsi_remote_request, in);
}

static void count_end(vestry_cluster *cluster, const vsi_remote_request *request) {
  vestry_cluster_stats *stats = &cluster->stats;
  stats->waiting_count--;
  switch (request->error) {
  case VESTRY_OK: stats->ok_count++; break;
  case VESTRY_NOT_FOUND: stats->not_found_count++; break;
  case VESTRY_TIMEOUT: stats->timeout_count++; break;
  default: *(request->was_sent || request->is_found ? &stats->refused_count : &stats->unsent_count) += 1; break;
  }
}

/* End a request. The caller then releases its line. */
static void end(vestry_cluster *cluster, vsi_remote_request *request, vestry_err error, vsi_remote_request **done) {
  leave_line(request);
  vsi_map_remove(&cluster->requests, &request->in);
  vsi_ring_remove(&request->by_age);
  /* A node that has opened a stream of the key meanwhile did not get this request. It has a gap when it announces the
   * stream. */
  if (request->count && !request->goes_to_all) vsi_recent_note(cluster, request->hash, &request->sent_to);
  request->error = error;
  count_end(cluster, request);
  request->next = *done;
  *done = request;
}

static void free_request(vestry_cluster *cluster, vsi_remote_request *request) {
  vsi_buffer_finish(&request->message);
  vsi_free(cluster->host, request);
}

/* Call on_answer with the result of a request. Without the lock; on_answer may be NULL. */
static void request_answer(vestry_answer_fn on_answer, vestry_err error, uint32_t count, void *ctx) {
  vsi_cluster_inside++;
  if (on_answer) on_answer(error, count, ctx);
  vsi_cluster_inside--;
}

static void report_span(const vestry_cluster *cluster, vsi_remote_request *request) {
  if (!request->is_followed) return;
  request->span.count = request->count;
  request->span.error = request->error;
  vsi_trace_report(cluster->host, &request->span);
}

void vsi_remote_requests_finish(vestry_cluster *cluster, vsi_remote_request *done) {
  for (vsi_remote_request *next; done; done = next) {
    next = done->next;
    report_span(cluster, done);
    request_answer(done->on_answer, done->error, done->count, done->ctx);
    free_request(cluster, done);
  }
}

/* ------------------------------------------------------------------------------------------------- sending -------- */

static vsi_bits nodes_to_query(vestry_cluster *cluster, const vsi_remote_request *request) {
  const vsi_bits alive = vsi_peers_alive(cluster), unsynced = vsi_peers_unsynced(cluster);
  if (request->has_begun) return vsi_bits_less(alive, &request->sent_to);
  const vsi_bits holders = vsi_bits_both(vsi_keys_others(&cluster->keys, request->hash), &alive);
  return request->is_found ? holders : vsi_bits_any(holders, &unsynced);
}

static bool is_first(const vsi_remote_request *request) {
  return !request->line || STAILQ_FIRST(&request->line->requests) == request;
}

/* Return whether a request must wait, because an older one of its key may still have to go to a node of `to`. */
static bool must_wait(const vsi_remote_request *request, const vsi_bits *to) {
  if (is_first(request)) return false;
  const vsi_bits others = vsi_bits_less(*to, &request->line->common);
  return request->has_begun || request->line->is_closed || !vsi_bits_is_empty(&others);
}

/* Send a request: in the first round to the nodes that may hold the key, in the second to all others. */
static void send_to(vestry_cluster *cluster, vsi_remote_request *request, const vsi_bits *to) {
  vsi_line *line = request->line;
  if (line) line->common = is_first(request) ? *to : vsi_bits_both(line->common, to);
  request->goes_to_all |= request->has_begun;
  request->has_begun = true;
  for (size_t i = 0; i < cluster->peers_count; i++) {
    if (!vsi_bits_has(to, i)) continue;
    vestry_err error =
        vsi_message_send(cluster, cluster->peers[i], &request->message, VSI_WIRE_REQUEST, request->flags, false);
    if (!error)
      vsi_bits_add(&request->awaited, i), request->was_sent = true;
    else if (!request->error)
      request->error = error;
  }
  request->sent_to = vsi_bits_any(request->sent_to, to);
}

bool vsi_remote_requests_pass_by(const vestry_cluster *cluster, uint64_t hash, unsigned node) {
  const vsi_line *line = line_of(cluster, hash);
  const vsi_remote_request *first = line ? STAILQ_FIRST(&line->requests) : NULL;
  return first && first->has_begun && !vsi_bits_has(&line->common, node);
}

static vestry_err conclude(const vestry_cluster *cluster, const vsi_remote_request *request) {
  if (request->error || request->count) return request->error;
  if (request->is_found || vsi_peers_are_known(cluster)) return VESTRY_NOT_FOUND;
  /* No queried node had a stream, but some nodes may not have been queried. */
  return cluster->is_up && !cluster->is_refused ? VESTRY_TIMEOUT : VESTRY_IO;
}

/* Send a request to its next nodes, unless it must wait. Returns whether it is finished; *ret_error: its result. */
static bool go_on(vestry_cluster *cluster, vsi_remote_request *request, vestry_err *ret_error) {
  while (vsi_bits_is_empty(&request->awaited)) {
    if (request->has_begun && (request->goes_to_all || request->count || request->error)) {
      *ret_error = conclude(cluster, request);
      return true;
    }
    const vsi_bits to = nodes_to_query(cluster, request);
    if (must_wait(request, &to)) {
      request->line->is_closed = true;
      return false;
    }
    send_to(cluster, request, &to);
  }
  return false;
}

static vestry_err write_request(vsi_remote_request *request, const vsi_remote_query *query) {
  const vestry_scoped_key *key = query->key;
  bool has_data = json_object_size(query->data) > 0;
  char *effects = vsi_json_dump(query->effects);
  char *data = has_data ? vsi_json_dump(query->data) : NULL;
  vestry_err error = effects && (data || !has_data) ? VESTRY_OK : VESTRY_NO_MEMORY;
  if (!error) {
    const vsi_wire_request contents = {
        .id = request->id,
        .name = vsi_cluster_name_of(key),
        .effects = {effects, strlen(effects)},
        .data = {data, data ? strlen(data) : 0},
    };
    vsi_wire_put_request(&request->message, &contents);
    request->flags |= vsi_wire_put_trace(&request->message, request->is_followed ? &request->span.trace : NULL);
    vsi_wire_end(&request->message);
    error = request->message.error;
  }
  json_free_t free_json;
  json_get_alloc_funcs(NULL, &free_json);
  free_json(effects);
  free_json(data);
  return error;
}

/* Advance a request. Returns whether it is still in its line. */
static bool advance_one(vestry_cluster *cluster, vsi_remote_request *request, vsi_remote_request **done) {
  vestry_err error;
  const bool is_over = go_on(cluster, request, &error);
  if (!is_over && !request->goes_to_all) return true;
  leave_line(request);
  if (is_over) end(cluster, request, error, done);
  return false;
}

/* Advance the requests of a line after one has left it. May free the line. */
static void release(vestry_cluster *cluster, vsi_line *line, vsi_remote_request **done) {
  for (vsi_remote_request *next, *request = line ? STAILQ_FIRST(&line->requests) : NULL; request; request = next) {
    const bool had_begun = request->has_begun;
    next = STAILQ_NEXT(request, in_line);
    if (!had_begun && is_first(request)) line->is_closed = false;
    if (advance_one(cluster, request, done) && (had_begun || line->is_closed)) break;
  }
  free_line_if_empty(cluster, line);
}

/* Advance a request that begins, or that a node has answered. */
static void advance(vestry_cluster *cluster, vsi_remote_request *request, vsi_remote_request **done) {
  vsi_line *line = request->line;
  if (!advance_one(cluster, request, done)) release(cluster, line, done);
}

/* Enter a request and send its first round. Under the lock. OK | NO_MEMORY */
static vestry_err begin(vestry_cluster *cluster, vsi_remote_request *request, vsi_remote_request **done) {
  bool is_full = cluster->stats.waiting_count >= cluster->max_waiting_count;
  if (vsi_map_reserve(&cluster->requests, cluster->host, cluster->requests.count + 1)) return VESTRY_NO_MEMORY;
  if (!is_full && enter_line(cluster, request)) return VESTRY_NO_MEMORY;
  request->due_ns = vsi_add_saturating(vsi_now_ns(cluster->host), cluster->answer_ns);
  cluster->stats.remote_requests_count++;
  cluster->stats.waiting_count++;
  bool is_first = !oldest(cluster);
  vsi_map_add(&cluster->requests, &request->in, vsi_hash_number(request->id));
  vsi_ring_add_last(&cluster->remote_requests, &request->by_age);
  if (is_full) {
    cluster->stats.over_waiting_count++;
    end(cluster, request, VESTRY_FULL, done);
    return VESTRY_OK;
  }
  if (is_first) (void)vestry_timer_set(cluster->deadline, cluster->answer_ns / VSI_NS_PER_MS, 0); /* CLOSED: stopping */
  advance(cluster, request, done);
  return VESTRY_OK;
}

/* Begin a request. on_answer is called, unless an error is returned. ret_id may be NULL. OK | NO_MEMORY | CLOSED */
static vestry_err request_begin(vestry_cluster *cluster, const vsi_remote_query *query, uint64_t *ret_id) {
  vsi_remote_request *request = vsi_calloc(cluster->host, 1, sizeof *request);
  if (!request) return VESTRY_NO_MEMORY;
  request->on_answer = query->on_answer;
  request->ctx = query->ctx;
  request->count = query->count;
  request->error = query->error;
  request->is_found = request->goes_to_all = query->is_found;
  request->flags = query->is_fail_fast ? VSI_WIRE_FAIL_FAST : 0;
  vsi_wire_begin(&request->message, cluster->host);
  request->is_followed = vsi_trace_carried(cluster->host);
  if (request->is_followed)
    vsi_trace_make(cluster->host, vestry_trace_here(), VESTRY_SPAN_REMOTE_REQUEST, &request->span);
  request->hash = vsi_cluster_hash_key(cluster, query->key);
  vsi_cluster_lock(cluster);
  request->id = ++cluster->last_request_id;
  vsi_cluster_unlock(cluster);
  vsi_remote_request *done = NULL;
  vestry_err error = write_request(request, query);
  vsi_cluster_lock(cluster);
  if (!error && cluster->has_ended) error = VESTRY_CLOSED;
  if (!error) error = begin(cluster, request, &done);
  if (!error && ret_id) *ret_id = request->id;
  vsi_cluster_unlock(cluster);
  if (error) free_request(cluster, request);
  vsi_remote_requests_finish(cluster, done);
  return error;
}

void vsi_remote_request_take(vestry_cluster *cluster, const vsi_peer *peer, const vsi_wire_message *message,
                             vsi_remote_request **done) {
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  uint64_t id = vsi_wire_number(&reader, 8);
  vestry_err error = (vestry_err)vsi_wire_number(&reader, 1);
  uint32_t count = (uint32_t)vsi_wire_number(&reader, 4);
  vsi_remote_request *request = find(cluster, id);
  if (reader.has_failed || !request || !vsi_bits_has(&request->awaited, peer->index)) return; /* too late */
  vsi_bits_remove(&request->awaited, peer->index);
  request->count = request->count > UINT32_MAX - count ? UINT32_MAX : request->count + count;
  bool is_no = error == VESTRY_NOT_FOUND && !count;
  if (error && !is_no && !request->error) request->error = error > VESTRY_BUSY ? VESTRY_FAILED : error;
  advance(cluster, request, done);
}

/* --------------------------------------------------------------------------------------------- timeouts ----------- */

/* End the requests that are due, 256 at most, so that other threads get the lock in between. false: there may be
 * more. */
static bool end_those_due(vestry_cluster *cluster, uint64_t now_ns, vsi_remote_request **done) {
  enum { AT_ONCE = 256 };
  int left = AT_ONCE;
  for (vsi_remote_request *request; (request = oldest(cluster)) != NULL && request->due_ns <= now_ns && left > 0;
       left--) {
    vsi_line *line = request->line;
    end(cluster, request, VESTRY_TIMEOUT, done);
    release(cluster, line, done);
  }
  return left > 0;
}

void vsi_remote_requests_due(vestry_timer *timer, void *ctx) {
  vestry_cluster *cluster = ctx;
  for (bool is_over = false; !is_over;) {
    vsi_remote_request *done = NULL;
    vsi_cluster_lock(cluster);
    uint64_t now_ns = vsi_now_ns(cluster->host);
    is_over = end_those_due(cluster, now_ns, &done);
    const vsi_remote_request *next = is_over ? oldest(cluster) : NULL;
    if (next) (void)vestry_timer_set(timer, (next->due_ns - now_ns + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS, 0);
    vsi_cluster_unlock(cluster);
    vsi_remote_requests_finish(cluster, done);
  }
}

void vsi_remote_requests_end(vestry_cluster *cluster, vestry_err error) {
  vsi_remote_request *done = NULL;
  vsi_cluster_lock(cluster);
  for (vsi_remote_request *request; (request = oldest(cluster)) != NULL;) {
    vsi_line *line = request->line;
    end(cluster, request, error, &done);
    free_line_if_empty(cluster, line);
  }
  vsi_cluster_unlock(cluster);
  vsi_remote_requests_finish(cluster, done);
}

void vsi_remote_requests_free(vestry_cluster *cluster) {
  vsi_map_finish(&cluster->requests, cluster->host);
  vsi_map_finish(&cluster->lines, cluster->host);
}

static void give_up(vestry_cluster *cluster, uint64_t id, vestry_err error) {
  vsi_remote_request *done = NULL;
  vsi_cluster_lock(cluster);
  vsi_remote_request *request = find(cluster, id);
  vsi_line *line = request ? request->line : NULL;
  if (request) end(cluster, request, error, &done);
  release(cluster, line, &done);
  vsi_cluster_unlock(cluster);
  vsi_remote_requests_finish(cluster, done);
}

/* ------------------------------------------------------------------------------------------------- waiting -------- */

typedef struct waiter {
  sem_t done;
  /* Set before done is posted. */
  vestry_err error;
  uint32_t count;
} waiter;

static void wake(vestry_err error, uint32_t count, void *ctx) {
  waiter *w = ctx;
  w->error = error;
  w->count = count;
  sem_post(&w->done);
}

/* Wait for the responses, or for TIMEOUT by the timer. On a stepped runtime the clock may stand still, so that the
 * timer never fires. Therefore the request gets TIMEOUT when no step is left. */
static void await(vestry_cluster *cluster, waiter *w, uint64_t id) {
  bool is_stepped = vsi_runtime_is_stepped(cluster->runtime), is_done = false;
  while (is_stepped && !(is_done = !sem_trywait(&w->done)) && vestry_runtime_step(cluster->runtime)) continue;
  if (is_stepped && !is_done) give_up(cluster, id, VESTRY_TIMEOUT);
  while (!is_done && sem_wait(&w->done)) continue; /* interrupted by a signal */
}

/* Send a request and wait. BUSY: this thread must not wait, because it is inside the runtime, or inside a function of
 * the application that the cluster calls. */
vestry_err vsi_dispatch_to_others(const vestry_scoped_key *key, json_t *effects, const vestry_dispatch_options *options,
                                  bool is_found, uint32_t *ret_count, void *ctx) {
  vestry_cluster *cluster = ctx;
  *ret_count = 0;
  if (vsi_cluster_inside || vsi_runtime_is_inside(cluster->runtime)) return VESTRY_BUSY;
  waiter w;
  uint64_t id;
  sem_init(&w.done, 0, 0);
  const vsi_remote_query query = {.key = key,
                                  .effects = effects,
                                  .data = options->data,
                                  .is_found = is_found,
                                  .is_fail_fast = options->fail_fast,
                                  .on_answer = wake,
                                  .ctx = &w};
  vestry_err error = request_begin(cluster, &query, &id);
  if (!error) {
    await(cluster, &w, id);
    error = w.error;
    *ret_count = w.count;
  }
  sem_destroy(&w.done);
  return error;
}

/* Dispatch to other nodes, and publishing to all. */

/* Usually costs a hash, a clock and two loads. */
bool vsi_dispatch_is_shared(const vestry_scoped_key *key, void *ctx) {
  vestry_cluster *cluster = ctx;
  const vestry_host *host = cluster->host;
  vsi_keys_hit(&cluster->keys, vsi_cluster_hash_key(cluster, key),
               host->coarse_ns ? host->coarse_ns(host->ctx) : vsi_now_ns(host));
  return atomic_load_explicit(&cluster->keys.shared_count, memory_order_seq_cst) > 0; /* see share_locked in keys.c */
}

/* Dispatch on this node, and then on others if the key may have streams there. */
static vestry_err dispatch(vestry_cluster *cluster, const vestry_scoped_key *key, json_t *effects,
                           const vestry_dispatch_options *options, vestry_answer_fn on_answer, void *ctx) {
  uint32_t here;
  vestry_err error =
      vsi_dispatch_here(cluster->v, NULL, key, &(vsi_effects){.list = effects}, options, false, NULL, &here);
  if (error == VESTRY_CLOSED && !here) return error;
  if (options->only_here || (here ? !vsi_dispatch_is_shared(key, cluster) : error != VESTRY_NOT_FOUND)) {
    request_answer(on_answer, error, here, ctx);
    return VESTRY_OK;
  }
  const vsi_remote_query query = {
      .key = key,
      .effects = effects,
      .data = options->data,
      .is_found = here > 0,
      .is_fail_fast = options->fail_fast,
      .count = here,
      .error = here ? error : VESTRY_OK,
      .on_answer = on_answer,
      .ctx = ctx,
  };
  return request_begin(cluster, &query, NULL);
}

vestry_err vestry_cluster_dispatch(vestry_cluster *cluster, json_t *effects, const vestry_dispatch_options *given,
                                   vestry_answer_fn on_answer, void *ctx) {
  if (!cluster) return VESTRY_INVALID;
  vestry_dispatch_options options = given ? *given : (vestry_dispatch_options){0};
  if (!json_is_array(effects)) return vsi_mistake(cluster->host, "vestry_cluster_dispatch", "effects is not an array");
  if (!options.key || options.connection || (options.data && !json_is_object(options.data)))
    return vsi_mistake(
        cluster->host, "vestry_cluster_dispatch",
        "options.key is required, options.connection is not allowed, and options.data must be an object");
  options.results = NULL;
  vsi_scoped_key key;
  vestry_err error = vsi_store_pack(cluster->v->store, &key, options.scope, options.key);
  if (error) return vsi_key_refuse(cluster->host, "vestry_cluster_dispatch", error);
  error = dispatch(cluster, key.key, effects, &options, on_answer, ctx);
  vsi_scoped_key_finish(&key);
  return error;
}

static vestry_err publish(vestry_cluster *cluster, const vestry_scoped_key *key, const void *data, size_t len) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put_name(&buffer, vsi_cluster_name_of(key));
  vsi_buffer_append(&buffer, data, len);
  uint8_t flags = vsi_wire_put_trace(&buffer, vsi_trace_carried(cluster->host));
  vsi_wire_end(&buffer);
  vsi_cluster_lock(cluster);
  const vsi_bits alive = vsi_peers_alive(cluster);
  vestry_err error =
      vsi_bits_is_empty(&alive) ? VESTRY_OK : vsi_message_send_to_all(cluster, &buffer, VSI_WIRE_PUBLISH, flags, true);
  vsi_cluster_unlock(cluster);
  vsi_buffer_finish(&buffer);
  vestry_err here = vsi_publish_here(cluster->v, key, data, len);
  return here && here != VESTRY_NOT_FOUND ? here : error;
}

vestry_err vestry_cluster_publish(vestry_cluster *cluster, vestry_scope scope, const vestry_key *key, const void *data,
                                  size_t len) {
  if (!cluster) return VESTRY_INVALID;
  if (len && !data) return vsi_mistake(cluster->host, "vestry_cluster_publish", "the data is NULL");
  vsi_scoped_key name;
  vestry_err error = vsi_store_pack(cluster->v->store, &name, scope, key);
  if (error) return vsi_key_refuse(cluster->host, "vestry_cluster_publish", error);
  error = publish(cluster, name.key, data, len);
  vsi_scoped_key_finish(&name);
  return error;
}
