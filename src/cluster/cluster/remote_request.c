/* SPDX-License-Identifier: MIT */
/* essay: order of the remote requests for one key */
/* Requests to other nodes, and their responses.
 *
 * A request goes to the nodes that have announced the key, and to the nodes whose keys are not known completely. If
 * there is none, or all of them respond that they have no stream, the announcements of others may be late. Then all
 * live nodes get a question: whether they have streams of the key. The request goes to the nodes that have some and did
 * not get it before. So effects are never performed twice, and a dispatch for which no node has a stream costs a
 * question and its replies. Questions about several keys share a message: a question waits until a time (keys_ms) has
 * passed since the last one. With few nodes it does not wait.
 *
 * Order. The requests of this node for one key must arrive in order, but a node that is found by a question gets its
 * request later. So the requests of a key form a line, and those in it are under way together or wait:
 *
 *     in line ──→ sent, to all nodes of the line ──a node has a stream, or failed──→ finished
 *        │                       │                                                      ↑
 *        │            no node has a stream ──→ question about the key ──no other node───┤
 *        └──no node is known────────────────────────────↑      └──sent to those that are found──→ …
 *
 * A younger request begins at once if all older ones are under way to the nodes to which it goes, because links keep
 * the order of requests and of responses. Otherwise it waits until none of the line is under way. A question applies to
 * all requests that are in the line when it is sent: a node that has no stream then had none for any of them.
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
  vsi_bits awaited;          /* nodes among them that must still respond */
  bool is_under_way;         /* nodes must still respond, to it or to a question */
  bool was_asked;            /* all nodes got a question about it */
  bool was_sent;             /* to at least one node */
  bool is_found;             /* streams were found here: only nodes that are known to hold the key get it */
  uint8_t flags;             /* flags of its message */
  uint32_t count;            /* number of connections so far */
  vestry_err error;
  vestry_answer_fn on_answer;
  void *ctx;
  vsi_buffer message; /* sealed for each receiver */
  bool is_followed;   /* it belongs to a trace */
  vestry_span span;   /* valid if is_followed */
} vsi_remote_request;

/* The requests of one key, oldest first. */
typedef struct vsi_line {
  vsi_map_link in; /* first member; by the key's hash */
  STAILQ_HEAD(, vsi_remote_request) requests;
  size_t count, under_way_count;
  vsi_bits to;          /* nodes to which all requests that are under way went, now or before */
  vsi_ring by_question; /* in the list of lines whose question was not sent yet, if must_ask */
  bool must_ask;
  uint64_t question; /* number of the question that all nodes got; 0: none */
  vsi_bits asked;    /* nodes that must still reply */
  vsi_bits holders;  /* nodes that have replied that they have streams */
} vsi_line;

/* -------------------------------------------------------------------------------------------- waiting requests ---- */

static vsi_remote_request *oldest(const vestry_cluster *cluster) {
  const vsi_ring *all = &cluster->remote_requests;
  return vsi_ring_is_empty(all) ? NULL : VSI_RING_OWNER(all->next, vsi_remote_request, by_age);
}

static vsi_line *line_of(const vestry_cluster *cluster, uint64_t hash) {
  return VSI_MAP_OWNER(vsi_map_first(&cluster->lines, hash), vsi_line, in);
}

/* Put a request into the line of its key, which is created if there is none. OK | NO_MEMORY */
static vestry_err enter_line(vestry_cluster *cluster, vsi_remote_request *request) {
  vsi_line *line = line_of(cluster, request->hash);
  if (!line) {
    if (vsi_map_reserve(&cluster->lines, cluster->host, cluster->lines.count + 1)) return VESTRY_NO_MEMORY;
    line = vsi_calloc(cluster->host, 1, sizeof *line);
    if (!line) return VESTRY_NO_MEMORY;
    STAILQ_INIT(&line->requests);
    vsi_map_add(&cluster->lines, &line->in, request->hash);
  }
  request->line = line;
  line->count++;
  STAILQ_INSERT_TAIL(&line->requests, request, in_line);
  return VESTRY_OK;
}

/* Change whether nodes must still respond to a request. */
static void set_under_way(vsi_remote_request *request, bool is) {
  request->line->under_way_count += (size_t)is - (size_t)request->is_under_way;
  request->is_under_way = is;
}

static void leave_line(vsi_remote_request *request) {
  vsi_line *line = request->line;
  if (!line) return;
  set_under_way(request, false);
  line->count--;
  STAILQ_REMOVE(&line->requests, request, vsi_remote_request, in_line);
  request->line = NULL;
}

static void free_line(vestry_cluster *cluster, vsi_line *line) {
  if (line->must_ask) vsi_ring_remove(&line->by_question);
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

/* End a request. The caller then settles its line. */
static void end(vestry_cluster *cluster, vsi_remote_request *request, vestry_err error) {
  leave_line(request);
  vsi_map_remove(&cluster->requests, &request->in);
  vsi_ring_remove(&request->by_age);
  /* A node that has opened a stream of the key meanwhile did not get this request. It has a gap when it announces the
   * stream. */
  if (request->count && !request->was_asked) vsi_recent_note(cluster, request->hash, &request->sent_to);
  request->error = error;
  count_end(cluster, request);
  request->next = cluster->finished;
  cluster->finished = request;
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

void vsi_remote_requests_finish(vestry_cluster *cluster, void *finished) {
  for (vsi_remote_request *next, *done = finished; done; done = next) {
    next = done->next;
    report_span(cluster, done);
    request_answer(done->on_answer, done->error, done->count, done->ctx);
    free_request(cluster, done);
  }
}

/* ------------------------------------------------------------------------------------------------- sending -------- */

static vsi_bits nodes_to_query(vestry_cluster *cluster, const vsi_remote_request *request) {
  const vsi_bits holders = vsi_keys_others(&cluster->keys, request->hash), unsynced = vsi_peers_unsynced(cluster);
  return request->is_found ? holders : vsi_bits_any(holders, &unsynced);
}

static vestry_err conclude(const vestry_cluster *cluster, const vsi_remote_request *request) {
  if (request->error || request->count) return request->error;
  if (request->is_found || vsi_peers_are_known(cluster)) return VESTRY_NOT_FOUND;
  /* No queried node had a stream, but some nodes may not have been queried. */
  return cluster->is_up && !cluster->is_refused ? VESTRY_TIMEOUT : VESTRY_IO;
}

/* Send a request to some nodes. Ends it if it is sent to none. */
static void send_to(vestry_cluster *cluster, vsi_remote_request *request, const vsi_bits *to) {
  for (size_t i = 0; i < cluster->peers_count; i++) {
    if (!vsi_bits_has(to, i) || vsi_bits_has(&request->sent_to, i)) continue;
    vestry_err error =
        vsi_message_send(cluster, cluster->peers[i], &request->message, VSI_WIRE_REQUEST, request->flags, false);
    if (!error)
      vsi_bits_add(&request->awaited, i), request->was_sent = true;
    else if (!request->error)
      request->error = error;
  }
  request->sent_to = vsi_bits_any(request->sent_to, to);
  set_under_way(request, !vsi_bits_is_empty(&request->awaited));
  if (!request->is_under_way) end(cluster, request, conclude(cluster, request));
}

/* Send the requests of a line to some nodes: all of them, or those that are under way, to which a question applied. */
static void send_line(vestry_cluster *cluster, vsi_line *line, const vsi_bits *to, bool all) {
  line->to = *to;
  for (vsi_remote_request *next, *request = STAILQ_FIRST(&line->requests); request; request = next) {
    next = STAILQ_NEXT(request, in_line);
    if (all || request->is_under_way) send_to(cluster, request, to);
  }
}

/* ------------------------------------------------------------------------------------------------ questions ------- */

/* The question about a line's key was sent, or an error has prevented it. It applies to all requests of the line. */
static void note_question(vestry_cluster *cluster, vsi_line *line, const vsi_bits *asked, vestry_err error) {
  vsi_ring_remove(&line->by_question);
  line->must_ask = false;
  line->question = cluster->last_question;
  line->asked = *asked;
  line->to = line->holders = (vsi_bits){{0}};
  vsi_remote_request *request;
  STAILQ_FOREACH(request, &line->requests, in_line) {
    request->was_asked = true;
    set_under_way(request, true);
  }
  while (error && (request = STAILQ_FIRST(&line->requests)) != NULL) end(cluster, request, error);
  if (vsi_bits_is_empty(asked)) send_line(cluster, line, asked, false);
  if (!line->count) free_line(cluster, line);
}

/* Send the questions of some lines in one message. */
static void send_some_questions(vestry_cluster *cluster) {
  const size_t room = vsi_message_room(cluster, SIZE_MAX) / sizeof(uint64_t), most = room > 1 ? room - 1 : 1;
  size_t count = 0;
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put(&buffer, ++cluster->last_question, 8);
  const vsi_ring *at = cluster->questions.next;
  for (; at != &cluster->questions && count < most; at = at->next, count++)
    vsi_wire_put(&buffer, VSI_RING_OWNER(at, vsi_line, by_question)->in.hash, 8);
  const vsi_bits alive = cluster->alive;
  vestry_err error = VESTRY_OK;
  if (!vsi_bits_is_empty(&alive)) error = vsi_message_send(cluster, NULL, &buffer, VSI_WIRE_QUESTION, 0, false);
  vsi_buffer_finish(&buffer);
  for (; count; count--)
    note_question(cluster, VSI_RING_OWNER(cluster->questions.next, vsi_line, by_question), &alive, error);
}

/* Send the questions that wait, if enough time has passed since the last ones or must. Returns whether any was sent. */
static bool ask(vestry_cluster *cluster, bool must) {
  if (vsi_ring_is_empty(&cluster->questions)) return false;
  const uint64_t ms = atomic_load_explicit(&cluster->keys_ms, memory_order_relaxed);
  const uint64_t ago_ms = (vsi_now_ns(cluster->host) - cluster->asked_ns) / VSI_NS_PER_MS;
  if (!must && ms > VSI_FLUSH_MS && ago_ms < ms) {
    (void)vestry_timer_set(cluster->question_timer, ms - ago_ms, 0); /* CLOSED: the runtime is ending */
    return false;
  }
  cluster->asked_ns = vsi_now_ns(cluster->host);
  while (!vsi_ring_is_empty(&cluster->questions)) send_some_questions(cluster);
  return true;
}

/* ------------------------------------------------------------------------------------------------ lines ----------- */

/* Advance the requests of a line if none is under way. May free the line. */
static void settle(vestry_cluster *cluster, vsi_line *line) {
  while (line->count && !line->under_way_count && !line->must_ask) {
    line->question = 0;
    const vsi_remote_request *first = STAILQ_FIRST(&line->requests);
    const bool has_begun = first->was_asked || !vsi_bits_is_empty(&first->sent_to);
    const vsi_bits to = has_begun ? (vsi_bits){{0}} : nodes_to_query(cluster, first);
    line->must_ask = vsi_bits_is_empty(&to);
    if (line->must_ask)
      vsi_ring_add_last(&cluster->questions, &line->by_question);
    else
      send_line(cluster, line, &to, true);
  }
  if (!line->count) free_line(cluster, line);
  (void)ask(cluster, false);
}

/* Advance a request that begins. */
static void begin_in_line(vestry_cluster *cluster, vsi_remote_request *request) {
  vsi_line *line = request->line;
  const vsi_bits to = nodes_to_query(cluster, request), others = vsi_bits_less(to, &line->to);
  const bool are_all_under_way = line->under_way_count + 1 == line->count && line->count > 1;
  if (request->is_found && vsi_bits_is_empty(&to))
    end(cluster, request, conclude(cluster, request));
  else if (are_all_under_way && !vsi_bits_is_empty(&to) && vsi_bits_is_empty(&others))
    send_to(cluster, request, &to);
  settle(cluster, line);
}

bool vsi_remote_requests_pass_by(const vestry_cluster *cluster, uint64_t hash, unsigned node) {
  const vsi_line *line = line_of(cluster, hash);
  return line && line->under_way_count && !line->question && !vsi_bits_has(&line->to, node);
}

/* ------------------------------------------------------------------------------------------------ replies --------- */

/* As `ask`, without the lock. */
static bool send_questions(vestry_cluster *cluster, bool must) {
  vsi_cluster_lock(cluster);
  const bool any = ask(cluster, must);
  vsi_cluster_unlock(cluster);
  return any;
}

void vsi_remote_questions_due(vestry_timer *timer, void *cluster) {
  (void)timer;
  (void)send_questions(cluster, false);
}

/* Handle what a node replies about a key. */
static void take_reply(vestry_cluster *cluster, const vsi_peer *peer, uint64_t question, uint64_t word) {
  vsi_line *line = line_of(cluster, word & ~VSI_WIRE_HELD_BIT);
  if (!line || line->question != question || !vsi_bits_has(&line->asked, peer->index)) return; /* too late */
  vsi_bits_remove(&line->asked, peer->index);
  if (word & VSI_WIRE_HELD_BIT) vsi_bits_add(&line->holders, peer->index);
  if (!vsi_bits_is_empty(&line->asked)) return;
  line->question = 0;
  send_line(cluster, line, &line->holders, false);
  settle(cluster, line);
}

void vsi_remote_questions_take(vestry_cluster *cluster, const vsi_peer *peer, const vsi_wire_message *message) {
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  const uint64_t question = vsi_wire_number(&reader, 8);
  while (reader.left >= 8) take_reply(cluster, peer, question, vsi_wire_number(&reader, 8));
}

/* ----------------------------------------------------------------------------------------- beginning, answers ----- */

/* Write the message of a request. OK | NO_MEMORY */
static vestry_err write_request(vsi_remote_request *request, const vestry_scoped_key *key, const json_t *effects,
                                const json_t *data) {
  const bool has_data = json_object_size(data) > 0;
  char *effects_text = vsi_json_dump(effects), *data_text = has_data ? vsi_json_dump(data) : NULL;
  vestry_err error = effects_text && (data_text || !has_data) ? VESTRY_OK : VESTRY_NO_MEMORY;
  if (!error) {
    vsi_wire_put(&request->message, request->id, 8);
    vsi_wire_put_name(&request->message, vsi_cluster_name_of(key));
    vsi_wire_put(&request->message, strlen(effects_text), 4);
    vsi_buffer_append_str(&request->message, effects_text);
    if (data_text) vsi_buffer_append_str(&request->message, data_text);
    request->flags |= vsi_wire_put_trace(&request->message, request->is_followed ? &request->span.trace : NULL);
    error = request->message.error;
  }
  json_free_t free_json;
  json_get_alloc_funcs(NULL, &free_json);
  free_json(effects_text);
  free_json(data_text);
  return error;
}

/* Enter a request, and send it unless it must wait. Under the lock. OK | NO_MEMORY */
static vestry_err begin(vestry_cluster *cluster, vsi_remote_request *request) {
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
    end(cluster, request, VESTRY_FULL);
    return VESTRY_OK;
  }
  if (is_first) (void)vestry_timer_set(cluster->deadline, cluster->answer_ns / VSI_NS_PER_MS, 0); /* CLOSED: stopping */
  begin_in_line(cluster, request);
  return VESTRY_OK;
}

/* Begin a request. given: is_found, on_answer, ctx, and the results of this node, count and error. on_answer is called,
 * unless an error is returned. ret_id may be NULL. OK | NO_MEMORY | CLOSED */
static vestry_err request_begin(vestry_cluster *cluster, const vestry_scoped_key *key, const json_t *effects,
                                const vestry_dispatch_options *options, vsi_remote_request given, uint64_t *ret_id) {
  vsi_remote_request *request = vsi_calloc(cluster->host, 1, sizeof *request);
  if (!request) return VESTRY_NO_MEMORY;
  *request = given;
  request->flags = options->fail_fast ? VSI_WIRE_FAIL_FAST : 0;
  vsi_wire_begin(&request->message, cluster->host);
  request->is_followed = vsi_trace_carried(cluster->host);
  if (request->is_followed)
    vsi_trace_make(cluster->host, vestry_trace_here(), VESTRY_SPAN_REMOTE_REQUEST, &request->span);
  request->hash = vsi_cluster_hash_key(cluster, key);
  request->id = 1 + atomic_fetch_add_explicit(&cluster->last_request_id, 1, memory_order_relaxed);
  vestry_err error = write_request(request, key, effects, options->data);
  vsi_cluster_lock(cluster);
  if (!error && cluster->has_ended) error = VESTRY_CLOSED;
  if (!error) error = begin(cluster, request);
  if (!error && ret_id) *ret_id = request->id;
  vsi_cluster_unlock(cluster);
  if (error) free_request(cluster, request);
  return error;
}

void vsi_remote_request_take(vestry_cluster *cluster, const vsi_peer *peer, const vsi_wire_message *message) {
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
  if (!vsi_bits_is_empty(&request->awaited)) return;
  vsi_line *line = request->line;
  set_under_way(request, false);
  if (request->count || request->error || request->is_found) end(cluster, request, conclude(cluster, request));
  settle(cluster, line);
}

/* --------------------------------------------------------------------------------------------- timeouts ----------- */

/* End a request, and advance its line. */
static void end_and_settle(vestry_cluster *cluster, vsi_remote_request *request, vestry_err error) {
  vsi_line *line = request->line;
  end(cluster, request, error);
  settle(cluster, line);
}

/* End the requests that are due, 256 at most, so that other threads get the lock in between. false: there may be
 * more. */
static bool end_those_due(vestry_cluster *cluster, uint64_t now_ns) {
  enum { AT_ONCE = 256 };
  int left = AT_ONCE;
  for (vsi_remote_request *request; (request = oldest(cluster)) != NULL && request->due_ns <= now_ns && left > 0;
       left--)
    end_and_settle(cluster, request, VESTRY_TIMEOUT);
  return left > 0;
}

void vsi_remote_requests_due(vestry_timer *timer, void *ctx) {
  vestry_cluster *cluster = ctx;
  for (bool is_over = false; !is_over;) {
    vsi_cluster_lock(cluster);
    uint64_t now_ns = vsi_now_ns(cluster->host);
    is_over = end_those_due(cluster, now_ns);
    const vsi_remote_request *next = is_over ? oldest(cluster) : NULL;
    if (next) (void)vestry_timer_set(timer, (next->due_ns - now_ns + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS, 0);
    vsi_cluster_unlock(cluster);
  }
}

void vsi_remote_requests_end(vestry_cluster *cluster, vestry_err error) {
  vsi_cluster_lock(cluster);
  for (vsi_remote_request *request; (request = oldest(cluster)) != NULL;) {
    vsi_line *line = request->line;
    end(cluster, request, error);
    if (!line->count) free_line(cluster, line);
  }
  vsi_cluster_unlock(cluster);
}

static void give_up(vestry_cluster *cluster, uint64_t id, vestry_err error) {
  vsi_cluster_lock(cluster);
  vsi_remote_request *request = find(cluster, id);
  if (request) end_and_settle(cluster, request, error);
  vsi_cluster_unlock(cluster);
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
 * timers never fire. Therefore, when no step is left, questions do not wait, and then the request gets TIMEOUT. */
static void await(vestry_cluster *cluster, waiter *w, uint64_t id) {
  bool is_stepped = vsi_runtime_is_stepped(cluster->runtime), is_done = false;
  while (is_stepped && !(is_done = !sem_trywait(&w->done)) &&
         (vestry_runtime_step(cluster->runtime) || send_questions(cluster, true)))
    continue;
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
  const vsi_remote_request request = {.is_found = is_found, .on_answer = wake, .ctx = &w};
  vestry_err error = request_begin(cluster, key, effects, options, request, &id);
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
  const vsi_remote_request request = {
      .is_found = here > 0, .count = here, .error = here ? error : VESTRY_OK, .on_answer = on_answer, .ctx = ctx};
  return request_begin(cluster, key, effects, options, request, NULL);
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

vestry_err vestry_cluster_publish(vestry_cluster *cluster, vestry_scope scope, const vestry_key *key, const void *data,
                                  size_t len) {
  if (!cluster) return VESTRY_INVALID;
  if (len && !data) return vsi_mistake(cluster->host, "vestry_cluster_publish", "the data is NULL");
  vsi_scoped_key name;
  vestry_err error = vsi_store_pack(cluster->v->store, &name, scope, key);
  if (error) return vsi_key_refuse(cluster->host, "vestry_cluster_publish", error);
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put_name(&buffer, vsi_cluster_name_of(name.key));
  vsi_buffer_append(&buffer, data, len);
  uint8_t flags = vsi_wire_put_trace(&buffer, vsi_trace_carried(cluster->host));
  vsi_cluster_lock(cluster);
  if (!vsi_bits_is_empty(&cluster->alive))
    error = vsi_message_send(cluster, NULL, &buffer, VSI_WIRE_PUBLISH, flags, true);
  vsi_cluster_unlock(cluster);
  vsi_buffer_finish(&buffer);
  vestry_err here = vsi_publish_here(cluster->v, name.key, data, len);
  vsi_scoped_key_finish(&name);
  return here && here != VESTRY_NOT_FOUND ? here : error;
}
