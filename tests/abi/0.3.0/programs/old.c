/* SPDX-License-Identifier: MIT */
/* A program of an application, written and compiled when the layouts were frozen. */
#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "vestry/app/bus.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

static unsigned opened, closed, purged, heard, intercepted;

static void on_open(vestry_connection *connection, void *ctx) {
  (void)connection, (void)ctx;
  opened++;
}

static void on_close(vestry_connection *connection, vestry_cause cause, void *ctx) {
  (void)connection, (void)cause, (void)ctx;
  closed++;
}

static void on_purge(const vestry_purged *what, void *ctx) {
  (void)ctx;
  assert(what->key_len && what->value);
  purged++;
}

static void on_message(const vestry_bus_message *message, void *ctx) {
  (void)ctx;
  heard += message->len == 3;
}

static vestry_err around(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  (void)context, (void)effect, (void)ctx;
  intercepted++;
  return VESTRY_OK;
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  vestry_reply_key(reply, VESTRY_KEY("page", 1));
  vestry_reply_stream(
      reply, &(vestry_stream_options){.hooks = &(vestry_connection_hooks){.on_open = on_open, .on_close = on_close}});
  vestry_reply_stream(reply,
                      &(vestry_stream_options){.connection = &(vestry_connection_options){.heartbeat_ms = 1000}});
  vestry_reply_stream(reply, &(vestry_stream_options){.profiles = &(vestry_profile){.ops = &vestry_profile_identity},
                                                      .profiles_count = 1});
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

static void nothing(void *value) {
  (void)value;
}

static void nothing_for(void *value, vestry_cause cause) {
  (void)value, (void)cause;
}

static void a_store_of_its_own(const vestry_host *host) {
  const vestry_value_ops value = {.ref = nothing, .unref = nothing, .close = nothing_for};
  const vestry_store_options options = {.host = host, .value = &value, .max_count = 1, .purge = on_purge};
  vestry_store *store;
  assert(!vestry_store_create("lru", &options, &store));
  vestry_put_result put = {.size = sizeof put};
  int one, two;
  assert(!vestry_store_put(store, (vestry_scope){"s", 1}, VESTRY_KEY(1), &one, VESTRY_KEEP_REPLACE, 0, &put));
  assert(!vestry_store_put(store, (vestry_scope){"s", 1}, VESTRY_KEY(2), &two, VESTRY_KEEP_REPLACE, 0, &put));
  assert(put.handle && put.displaced_count == 1 && !put.refreshed);
  vestry_store_stats stats = {.size = sizeof stats};
  vestry_store_stats_get(store, &stats);
  assert(stats.put_count == 2 && stats.live_count == 1 && stats.removed_by_cause[VESTRY_CAUSE_SIZE] == 1);
  vestry_store_destroy(store);
  assert(purged == 2);
}

static void a_page(vestry *v) {
  vestry_memory_exchange *page;
  const vestry_memory_call call = {.method = "PUT", .datastar = true, .body = "{}", .body_len = 2};
  assert(!vestry_memory_request(v, &call, live, NULL, &page));
  vestry_memory_settle(v);
  vestry_connection *connection = vestry_memory_look(page).connection;
  assert(connection && opened == 1);
  json_t *effects = json_pack("[[s,{s:i}],[s]]", "patch-signals", "n", 1, "nobody's");
  vestry_dispatch_result result = {.size = sizeof result};
  assert(vestry_dispatch_with(v, effects, &(vestry_dispatch_options){.key = VESTRY_KEY("page", 1)}, &result));
  assert(result.effects_count == 1 && result.errors_count == 1 && result.errors[0].error == VESTRY_NOT_FOUND);
  assert(!strcmp(result.errors[0].name, "nobody's") && intercepted == 2);
  json_decref(effects);
  const vestry_key *topic = VESTRY_KEY("t");
  const vestry_subscriber subscriber = {.call = on_message, .connection = connection};
  assert(!vestry_subscribe(v, (vestry_scope){0}, topic, &subscriber, NULL));
  assert(!vestry_publish(v, (vestry_scope){0}, topic, "abc", 3, NULL) && heard == 1);
  vestry_bus_stats told = {.size = sizeof told};
  vestry_bus_stats_get(v, &told);
  assert(told.live_count == 1 && told.called_count == 1);
  const vestry_key *room = VESTRY_KEY("room");
  assert(!vestry_join(v, (vestry_scope){0}, room, connection));
  vestry_event *event;
  const vestry_elements_options elements = {.event = {.id = "7"}, .selector = "#a", .mode = VESTRY_PATCH_APPEND};
  assert(!vestry_event_elements(NULL, "<p>", 3, &elements, &event));
  assert(!vestry_broadcast(v, (vestry_scope){0}, room, event, NULL));
  vestry_event_unref(event);
  vestry_channel_stats published = {.size = sizeof published};
  assert(!vestry_broadcast_stats_get(v, (vestry_scope){0}, room, &published));
  assert(published.members_count == 1 && published.accepted_count == 1);
  vestry_memory_settle(v);
  vestry_connection_stats sent = {.size = sizeof sent};
  vestry_connection_stats_get(connection, &sent);
  assert(sent.accepted_count == 2 && sent.written_count == 2 && sent.state == VESTRY_STATE_OPEN);
  assert(strstr(vestry_memory_look(page).received.data, "data: selector #a\ndata: mode append\n"));
  vestry_memory_destroy(page);
  vestry_memory_settle(v);
}

static void html(void) {
  struct {
    vestry_html html;
    unsigned char behind[64];
  } own;
  memset(own.behind, 7, sizeof own.behind);
  vestry_html_init(&own.html, NULL);
  vestry_slice made;
  assert(!vestry_html_add(&own.html, "<p title=\"%s\">%s</p>", "\"", "<"));
  assert(!vestry_html_result(&own.html, &made));
  assert(!strcmp(made.data, "<p title=\"&quot;\">&lt;</p>"));
  vestry_html_finish(&own.html);
  /* a builder that is larger than the program's would overwrite these bytes */
  for (size_t i = 0; i < sizeof own.behind; i++) assert(own.behind[i] == 7);
}

int main(void) {
  html();
  const vestry_host host = *vestry_host_default();
  a_store_of_its_own(&host);
  const vestry_connection_options connection = {.max_queued_count = 10};
  const vestry_signals_limits signals = {.max_bytes = 1000};
  const vestry_options options = {
      .host = &host, .threads_count = VESTRY_THREADS_NONE, .connection = &connection, .signals = &signals};
  vestry *v;
  assert(!vestry_create(&options, &v));
  const vestry_interceptor interceptor = {.name = "around", .phase = VESTRY_PHASE_EFFECT, .before = around};
  assert(!vestry_registry_intercept(vestry_parts_of(v)->registry, &interceptor));
  a_page(v);
  assert(!vestry_drain(v, 0));
  vestry_stats stats = {.size = sizeof stats};
  vestry_stats_get(v, &stats);
  assert(stats.drain_has_begun && !stats.open_count);
  assert(stats.opened_count == 1 && stats.closed_count == 1 && stats.closed_by_cause[VESTRY_CAUSE_HANGUP] == 1);
  assert(closed == 1 && stats.refused_by_reason[VESTRY_REFUSAL_BUDGET] == 0);
  vestry_destroy(v);
  return 0;
}
