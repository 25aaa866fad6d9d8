/* SPDX-License-Identifier: MIT */
#include "testing/memory_network.h"

#include "cluster/nodes.h"
#include "event/layout.h"
#include "runtime/deadline.h"
#include "runtime/runtime.h"
#include "vestry/testing/memory_network.h"

#include <stdlib.h>

const char nodes_secret[32] = "thirty-two bytes, all of them.";

static const char *const names[NODES_MOST] = {"a", "b", "c", "d"};

/* ----------------------------------------------------- callbacks, which must not run on the broker's thread ------- */

static void on_gap(const vestry_gap *gap, void *ctx) {
  node *of = ctx;
  assert_int_equal(of->in->on_broker, 0);
  of->gaps++;
  of->lost += gap->lost_count;
}

static void on_member(const char *name, vestry_member_state state, void *ctx) {
  node *of = ctx;
  assert_int_equal(of->in->on_broker, 0);
  for (size_t i = 0; i < NODES_MOST; i++)
    if (of->in->all[i].name && strcmp(of->in->all[i].name, name) == 0) of->reported[i] = state;
}

static void on_change(const vestry_presence_change *change, void *ctx) {
  node *of = ctx;
  int place = (int)change->place->parts[1].integer, user = change->user[1] - '0';
  assert_true(place < PLACES_MOST && user < PEOPLE_MOST);
  assert_true(of->believes[place][user] != change->here); /* arrivals and departures alternate */
  of->believes[place][user] = change->here;
  *(change->here ? &of->comings : &of->leavings) += 1;
}

/* ["note"]: counts; ["note", "FULL"]: fails with this error. */
static vestry_err note(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  assert_int_equal(((node *)ctx)->in->on_broker, 0);
  ((node *)ctx)->effects++;
  const char *error = json_string_value(json_array_get(args, 0));
  return !error ? VESTRY_OK : strcmp(error, "FULL") == 0 ? VESTRY_FULL : VESTRY_FAILED;
}

static void on_purge(const vestry_purged *purged, void *ctx) {
  node *of = ctx;
  assert_int_equal(of->in->on_broker, 0);
  of->replaced += purged->cause == VESTRY_CAUSE_REPLACED;
}

/* ["relay"]: dispatches to ("room", "far") and waits, which is forbidden here. */
static vestry_err relay(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  return vestry_dispatch(vestry_context_info(context)->v, (vestry_scope){NULL, 0}, VESTRY_KEY("room", "far"),
                         VESTRY_LIST("note"));
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  node *of = app;
  of->renders++;
  vestry_render_topic(render, of->in->topic);
  vestry_html_add(html, "<!doctype html><title>x</title>");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%zu</p>", of->renders);
  return vestry_render_end(render, html);
}

/* ------------------------------------------------------------------------------------- events of the broker ------- */

static nodes *world;

static void hold(node *of, const char *subject, const void *data, size_t len, vestry_broker_state state) {
  held *one = calloc(1, sizeof *one + len);
  assert_non_null(one);
  one->state = state;
  one->subject = subject ? strdup(subject) : NULL;
  one->len = len;
  if (len) memcpy(one->data, data, len);
  STAILQ_INSERT_TAIL(&of->held, one, at);
}

static void on_message(const char *subject, const void *data, size_t len, void *ctx) {
  node *of = ctx;
  if (of->is_paused) {
    hold(of, subject, data, len, VESTRY_BROKER_UP);
    return;
  }
  of->in->on_broker++;
  of->events.on_message(subject, data, len, of->events.ctx);
  of->in->on_broker--;
}

static void on_state(vestry_broker_state state, void *ctx) {
  node *of = ctx;
  if (of->is_paused) {
    hold(of, NULL, NULL, 0, state);
    return;
  }
  of->in->on_broker++;
  of->events.on_state(state, of->events.ctx);
  of->in->on_broker--;
}

static vestry_err start_watched(void *broker, const char *const *subjects, size_t count,
                                const vestry_broker_events *events) {
  node *of = world->all;
  while (of->broker.broker != broker) of++;
  of->events = *events;
  return vsi_memory_broker_ops.start(
      broker, subjects, count, &(vestry_broker_events){.on_message = on_message, .on_state = on_state, .ctx = of});
}

/* ------------------------------------------------------------------------------------------ starts and ends ------- */

static uint64_t node_now_ns(void *ctx) {
  const node *of = ctx;
  return (of->has_stopped_clock ? of->paused_ns : atomic_load(&of->in->th.now_ns)) - of->behind_ns;
}

static void *node_reallocate(void *ctx, void *memory, size_t size_bytes) {
  test_host *th = &((node *)ctx)->in->th;
  return th->host.reallocate(th, memory, size_bytes);
}

static vestry_err node_random(void *ctx, void *buffer, size_t len) {
  test_host *th = &((node *)ctx)->in->th;
  return th->host.random(th, buffer, len);
}

static void node_log(void *ctx, vestry_log_level level, const char *line) {
  test_host *th = &((node *)ctx)->in->th;
  th->host.log(th, level, line);
}

static bool has_own_runtime(const node *of) {
  return of->runtime && of->runtime != of->in->runtime;
}

static bool steps_itself(const node *of) {
  return has_own_runtime(of) && !of->is_paused;
}

void nodes_settle(nodes *n) {
  for (bool has_worked = true; has_worked;) {
    has_worked = vestry_runtime_step(n->runtime);
    for (size_t i = 0; i < NODES_MOST; i++)
      if (n->all[i].in && steps_itself(&n->all[i])) has_worked |= vestry_runtime_step(n->all[i].runtime);
  }
}

void nodes_skip_ms(nodes *n, uint64_t ms) {
  for (uint64_t end_ns = n->th.now_ns + ms * 1000000; n->th.now_ns < end_ns;) {
    uint64_t next_ns = next_deadline_ns(&n->runtime->ticker);
    for (size_t i = 0; i < NODES_MOST; i++) {
      const node *of = &n->all[i];
      if (!of->in || !steps_itself(of)) continue;
      uint64_t its_ns = next_deadline_ns(&of->runtime->ticker);
      if (its_ns < UINT64_MAX - of->behind_ns && its_ns + of->behind_ns < next_ns) next_ns = its_ns + of->behind_ns;
    }
    uint64_t wait_ms = next_ns <= n->th.now_ns ? 1 : (next_ns - n->th.now_ns + 999999) / 1000000;
    uint64_t left_ms = (end_ns - n->th.now_ns + 999999) / 1000000;
    test_host_advance_ms(&n->th, wait_ms < left_ms ? wait_ms : left_ms);
    nodes_settle(n);
  }
}

void node_pause(node *of, bool stops_clock) {
  assert_true(has_own_runtime(of) && !of->is_paused);
  of->is_paused = true;
  of->has_stopped_clock = stops_clock;
  of->paused_ns = of->in->th.now_ns;
}

void node_wake(node *of, bool timers_first) {
  of->is_paused = false;
  if (of->has_stopped_clock) of->behind_ns += of->in->th.now_ns - of->paused_ns;
  of->has_stopped_clock = false;
  while (timers_first && vestry_runtime_step(of->runtime)) continue;
  for (held *one; (one = STAILQ_FIRST(&of->held)) != NULL;) {
    STAILQ_REMOVE_HEAD(&of->held, at);
    if (one->subject)
      on_message(one->subject, one->data, one->len, of);
    else
      on_state(one->state, of);
    free(one->subject);
    free(one);
  }
  nodes_settle(of->in);
}

void nodes_pass_ms(nodes *n, uint64_t ms) {
  for (; ms > 0; ms--) {
    test_host_advance_ms(&n->th, 1);
    nodes_settle(n);
  }
}

vestry_err node_try(nodes *n, size_t place, const char *name, const vestry_cluster_options *given) {
  node *of = &n->all[place];
  *of = (node){.in = n, .index = n->joined, .name = name, .runtime = n->runtime};
  STAILQ_INIT(&of->held);
  of->host = n->th.host;
  of->host.ctx = of;
  of->host.reallocate = node_reallocate;
  of->host.now_ns = node_now_ns;
  of->host.random = node_random;
  of->host.log = node_log;
  const vestry_runtime_options own_runtime = {.host = &of->host, .threads_count = VESTRY_THREADS_NONE};
  if (n->can_pause) assert_int_equal(vestry_runtime_create(&own_runtime, &of->runtime), VESTRY_OK);
  const vestry_connection_options dropping = {.full = VESTRY_FULL_DROP};
  const vestry_options options = {
      .host = of->runtime->host, .runtime = of->runtime, .connection = &dropping, .purge = on_purge, .purge_ctx = of};
  static const char *const allow[] = {"patch-signals", "note", "relay", NULL};
  vestry_cluster_options own = {.node = name, .secret = nodes_secret, .secret_len = sizeof nodes_secret};
  if (given) own = *given;
  vestry_err error = vestry_create(&options, &of->v);
  if (!error) error = vestry_registry_effect(vestry_parts_of(of->v)->registry, "note", note, of);
  if (!error) error = vestry_registry_effect(vestry_parts_of(of->v)->registry, "secret-note", note, of);
  if (!error) error = vestry_registry_effect(vestry_parts_of(of->v)->registry, "relay", relay, of);
  if (!error) error = vestry_pages_create(of->v, &(vestry_pages_options){.threads_count = 1}, &of->pages);
  if (!error) error = vestry_page_create(of->pages, &(vestry_page_options){.render = render, .app = of}, &of->page);
  if (!error) error = vestry_memory_network_join(n->network, &of->broker);
  if (!error) n->joined++;
  if (!error) {
    of->ops = *of->broker.ops;
    of->ops.start = start_watched;
    of->broker.ops = &of->ops;
  }
  own.pages = of->pages;
  own.allow = own.allow ? own.allow : allow;
  own.on_gap = on_gap;
  own.on_member = on_member;
  own.ctx = of;
  if (!error) error = vestry_cluster_create(of->v, &of->broker, &own, &of->cluster);
  if (!error && n->have_presence) node_presence_begin(of);
  if (!error) return VESTRY_OK;
  if (of->broker.ops) of->broker.ops->destroy(of->broker.broker);
  vestry_pages_destroy(of->pages);
  vestry_destroy(of->v);
  if (has_own_runtime(of)) vestry_runtime_destroy(of->runtime);
  *of = (node){.name = NULL};
  return error;
}

node *node_start(nodes *n, size_t place, const char *name, const vestry_cluster_options *options) {
  assert_int_equal(node_try(n, place, name, options), VESTRY_OK);
  if (place >= n->count) n->count = place + 1;
  return &n->all[place];
}

static void end(node *of) {
  if (!of->cluster) return;
  vestry_cluster_stats stats = node_stats(of);
  assert_int_equal(stats.remote_requests_count, stats.ok_count + stats.not_found_count + stats.timeout_count +
                                                    stats.unsent_count + stats.refused_count + stats.waiting_count);
  assert_int_equal(stats.received_count,
                   stats.taken_count + stats.duplicates_count + stats.malformed_count + stats.stale_count);
  assert_int_equal(vestry_stop(of->v, 0), VESTRY_OK);
  node_presence_end(of);
  vestry_cluster_destroy(of->cluster);
  of->broker.ops->destroy(of->broker.broker);
  of->broker.broker = NULL;
  vestry_pages_destroy(of->pages);
  vestry_destroy(of->v);
  for (size_t i = 0; i < of->streams_count; i++) vestry_memory_destroy(of->streams[i]);
  of->streams_count = 0;
  of->cluster = NULL;
  if (has_own_runtime(of)) vestry_runtime_destroy(of->runtime);
  of->runtime = NULL;
}

void node_kill(node *of) {
  of->broker.ops->stop(of->broker.broker);
  end(of);
}

void node_stop(node *of) {
  end(of);
}

void nodes_prepare(nodes *n, const vestry_memory_network_options *options) {
  memset(n, 0, sizeof *n);
  strcpy(n->topic, "room");
  world = n;
  test_host_init(&n->th);
  const vestry_runtime_options runtime = {.host = &n->th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_runtime_create(&runtime, &n->runtime), VESTRY_OK);
  assert_int_equal(vestry_memory_network_create(n->runtime, options, &n->network), VESTRY_OK);
}

void nodes_begin(nodes *n, size_t count, const vestry_memory_network_options *options) {
  nodes_prepare(n, options);
  for (size_t i = 0; i < count; i++) node_start(n, i, names[i], NULL);
  nodes_pass_ms(n, 600);
}

void nodes_end(nodes *n) {
  nodes_settle(n);
  for (size_t i = 0; i < n->count; i++) end(&n->all[i]);
  nodes_settle(n);
  vestry_memory_network_destroy(n->network);
  vestry_runtime_destroy(n->runtime);
  test_host_assert_clean(&n->th);
}

void nodes_divide(nodes *n, const char *parts) {
  uint8_t of[256] = {0};
  assert_true(n->joined <= sizeof of);
  for (size_t i = 0; parts && parts[i]; i++)
    of[n->all[i].index] = parts[i] == '-' ? VESTRY_MEMORY_NETWORK_DOWN : (uint8_t)(parts[i] - 'a');
  assert_int_equal(vestry_memory_network_divide(n->network, of, parts ? n->joined : 0), VESTRY_OK);
  nodes_settle(n);
}

/* -------------------------------------------------------------------------------------------------- streams ------- */

typedef struct visit {
  const char *kept, *joined;
  vestry_keep_policy policy;
  vestry_presence *presence;
  int place, user;
} visit;

static vestry_err open_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  const visit *of = app;
  if (of->kept) vestry_reply_key(reply, VESTRY_KEY("room", of->kept));
  vestry_reply_keep(reply, of->kept ? of->policy : VESTRY_KEEP_REUSE, 0);
  if (of->joined) vestry_reply_join(reply, req->scope, VESTRY_KEY("board", of->joined));
  char user[8];
  snprintf(user, sizeof user, "p%d", of->user);
  vestry_err error = of->presence ? vestry_reply_present(reply, of->presence, VESTRY_KEY("place", of->place), user) : 0;
  if (error) return error;
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("opened", 1));
}

static vestry_memory_exchange *request(node *of, vestry_handler_fn handler, void *app) {
  vestry_memory_exchange *stream = NULL;
  const vestry_memory_call call = {.datastar = true};
  assert_int_equal(vestry_memory_request(of->v, &call, handler, app, &stream), VESTRY_OK);
  assert_true(of->streams_count < STREAMS_MOST);
  of->streams[of->streams_count++] = stream;
  nodes_settle(of->in);
  return stream;
}

vestry_memory_exchange *node_open(node *of, const char *key, vestry_keep_policy policy) {
  return request(of, open_handler, &(visit){.kept = key, .policy = policy});
}

vestry_memory_exchange *node_join(node *of, const char *key) {
  return request(of, open_handler, &(visit){.joined = key});
}

vestry_memory_exchange *node_show(node *of) {
  return request(of, vestry_page_handler, of->page);
}

void node_close(node *of, vestry_memory_exchange *stream) {
  vestry_memory_mode_set(stream, VESTRY_MEMORY_HANGS_UP);
  nodes_settle(of->in);
  for (size_t i = 0; i < of->streams_count; i++)
    if (of->streams[i] == stream) of->streams[i] = of->streams[--of->streams_count];
  vestry_memory_destroy(stream);
}

vestry_memory_exchange *node_present(node *of, int place, int user) {
  return request(of, open_handler, &(visit){.presence = of->presence, .place = place, .user = user});
}

void node_presence_begin(node *of) {
  memset(of->believes, 0, sizeof of->believes);
  assert_int_equal(vestry_presence_create(of->v,
                                          &(vestry_presence_options){.name = "here",
                                                                     .grace_ms = GRACE_MS,
                                                                     .max_count = of->in->max_present,
                                                                     .on_change = on_change,
                                                                     .ctx = of},
                                          &of->presence),
                   VESTRY_OK);
}

void node_presence_end(node *of) {
  vestry_presence_destroy(of->presence);
  of->presence = NULL;
}

bool node_has(const node *of, int place, int user) {
  char name[8];
  snprintf(name, sizeof name, "p%d", user);
  return vestry_presence_is(of->presence, VESTRY_KEY("place", place), name);
}

vestry_presence_stats node_presence_stats(const node *of) {
  vestry_presence_stats stats = {0};
  vestry_presence_stats_get(of->presence, &stats);
  return stats;
}

size_t count_in(vestry_memory_exchange *stream, const char *text) {
  vestry_slice all = vestry_memory_look(stream).received;
  size_t count = 0;
  for (const char *at = all.data; (at = strstr(at, text)) != NULL; at += strlen(text)) count++;
  return count;
}

/* ------------------------------------------------------------------------------------ dispatches and events ------- */

vestry_err node_dispatch(node *from, const char *key, const char *text, uint32_t *ret_count) {
  const vestry_key *room = VESTRY_KEY("room", key);
  json_t *effects = json_pack("[[s,{s:s}]]", "patch-signals", "s", text);
  vestry_dispatch_result result = {0};
  vestry_err error = vestry_dispatch_with(from->v, effects, &(vestry_dispatch_options){.key = room}, &result);
  json_decref(effects);
  nodes_settle(from->in);
  if (ret_count) *ret_count = result.connections_count;
  return error;
}

vestry_err node_broadcast(node *from, const char *key, const char *text) {
  vestry_event *event = NULL;
  assert_int_equal(vsi_event_comment(NULL, text, &event), VESTRY_OK);
  vestry_err error = vestry_broadcast(from->v, (vestry_scope){NULL, 0}, VESTRY_KEY("board", key), event, NULL);
  vestry_event_unref(event);
  return error;
}

static void take_answer(vestry_err error, uint32_t count, void *ctx) {
  answer *to = ctx;
  to->times++;
  to->error = error;
  to->count = count;
}

void node_ask(node *from, const char *key, const char *effects, answer *ret) {
  *ret = (answer){.times = 0};
  const vestry_key *room = VESTRY_KEY("room", key);
  json_t *list = json_loads(effects, 0, NULL);
  assert_int_equal(
      vestry_cluster_dispatch(from->cluster, list, &(vestry_dispatch_options){.key = room}, take_answer, ret),
      VESTRY_OK);
  json_decref(list);
}

vestry_cluster_stats node_stats(const node *of) {
  vestry_cluster_stats stats = {0};
  vestry_cluster_stats_get(of->cluster, &stats);
  return stats;
}
