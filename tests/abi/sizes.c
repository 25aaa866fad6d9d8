/* SPDX-License-Identifier: MIT */
/* Structs whose size differs from that of this library. The missing members of a shorter struct have their defaults,
 * and the unknown bytes of a longer one must be zero. A struct that the library fills is never written beyond its
 * size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/sizes_extensions.h"
#include "abi/sizes_jobs.h"
#include "vestry/testing/memory.h"
#include "vestry/testing/memory_network.h"
#include "vestry/vestry.h"

/* A struct of the library followed by further bytes, as in a program for a later version. */
#define LONGER(type)                                                                                                   \
  struct {                                                                                                             \
    type known;                                                                                                        \
    unsigned char more[24];                                                                                            \
  }

static vestry *v;

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  vestry_reply_key(reply, VESTRY_KEY("page"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

/* ---- structs that are read --------------------------------------------------------------------------------------- */
static void nothing(void *value) {
  (void)value;
}
static void nothing_for(void *value, vestry_cause cause) {
  (void)value, (void)cause;
}
static void no_message(const vestry_bus_message *message, void *ctx) {
  (void)message, (void)ctx;
}
static vestry_err no_effect(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  (void)context, (void)effect, (void)ctx;
  return VESTRY_OK;
}
static void no_run(vestry_actor *self, void *ctx) {
  (void)self, (void)ctx;
}
static const vestry_value_ops value = {.ref = nothing, .unref = nothing, .close = nothing_for};

static vestry_err take_options(const void *given) {
  vestry *made;
  vestry_err error = vestry_create(given, &made);
  if (!error) vestry_destroy(made);
  return error;
}
static vestry_err take_connection(const void *given) {
  return take_options(&(vestry_options){.threads_count = VESTRY_THREADS_NONE, .connection = given});
}
static vestry_err take_bounds(const void *given) {
  return take_options(&(vestry_options){.threads_count = VESTRY_THREADS_NONE, .bounds = given});
}
static vestry_err take_hooks(const void *given) {
  return take_options(&(vestry_options){.threads_count = VESTRY_THREADS_NONE, .hooks = given});
}
static vestry_err take_limits(const void *given) {
  return take_options(&(vestry_options){.threads_count = VESTRY_THREADS_NONE, .signals = given});
}
static vestry_err take_limits_to_parse(const void *given) {
  json_t *signals;
  vestry_err error = vestry_signals_parse("{}", 2, given, &signals, NULL);
  if (!error) json_decref(signals);
  return error;
}
static vestry_err take_runtime(const void *given) {
  vestry_runtime *made;
  vestry_err error = vestry_runtime_create(given, &made);
  if (!error) vestry_runtime_destroy(made);
  return error;
}
static vestry_err take_actor(const void *given) {
  vestry_actor *made;
  vestry_err error = vestry_actor_create(vestry_parts_of(v)->runtime, given, &made);
  if (!error) vestry_actor_unref(made);
  return error;
}
static vestry_err take_store(const void *given) {
  vestry_store *made;
  vestry_err error = vestry_store_create("lru", given, &made);
  if (!error) vestry_store_destroy(made);
  return error;
}
static vestry_err take_value(const void *given) {
  return take_store(&(vestry_store_options){.value = given});
}
static vestry_err take_subscriber(const void *given) {
  vestry_subscription *made;
  vestry_err error = vestry_subscribe(v, (vestry_scope){0}, VESTRY_KEY("t"), given, &made);
  if (!error) vestry_unsubscribe(made);
  return error;
}
static vestry_err take_history(const void *given) {
  const vestry_key *key = VESTRY_KEY("history");
  vestry_err error = vestry_history_begin(v, (vestry_scope){0}, key, given);
  if (!error) error = vestry_history_end(v, (vestry_scope){0}, key);
  return error;
}
static vestry_err take_interceptor(const void *given) {
  vestry_registry *registry;
  assert_int_equal(vestry_registry_create(NULL, &registry), VESTRY_OK);
  vestry_err error = vestry_registry_intercept(registry, given);
  vestry_registry_destroy(registry);
  return error;
}
static vestry_err take_dispatch(const void *given) {
  json_t *effects = json_array();
  vestry_err error = vestry_dispatch_with(v, effects, given, NULL);
  json_decref(effects);
  return error;
}
static vestry_err take_call(const void *given) {
  vestry_memory_exchange *made;
  vestry_err error = vestry_memory_request(v, given, live, NULL, &made);
  if (!error) vestry_memory_destroy(made);
  return error;
}
static vestry_err take_elements(const void *given) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_elements(NULL, "<p>", 3, given, &event);
  vestry_event_unref(event);
  return error;
}
static vestry_err take_signals(const void *given) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_signals_text(NULL, "{}", 2, given, &event);
  vestry_event_unref(event);
  return error;
}
static vestry_err take_script(const void *given) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_script(NULL, "f()", 3, given, &event);
  vestry_event_unref(event);
  return error;
}
static vestry_err take_custom(const void *given) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_custom(NULL, "x", NULL, 0, given, &event);
  vestry_event_unref(event);
  return error;
}
static vestry_err take_backend_action(const void *given) {
  char text[100];
  return vestry_backend_action_string(text, sizeof text, VESTRY_METHOD_GET, given, "/");
}

static vestry_err take_presence(const void *given) {
  vestry_presence *made;
  vestry_err error = vestry_presence_create(v, given, &made);
  if (!error) vestry_presence_destroy(made);
  return error;
}
static vestry_err take_csrf(const void *given) {
  vestry_csrf *made;
  vestry_err error = vestry_csrf_create(v, given, &made);
  if (!error) vestry_csrf_destroy(made);
  return error;
}
static vestry_err take_once(const void *given) {
  vestry_once *made;
  vestry_err error = vestry_once_create(v, given, &made);
  if (!error) vestry_once_destroy(made);
  return error;
}
static vestry_err take_once_storage(const void *given) {
  return take_once(&(vestry_once_options){.storage = given});
}
static vestry_err begin_upload(void *app, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file,
                               void **ret_file) {
  (void)app, (void)req, (void)reply, (void)file, (void)ret_file;
  return VESTRY_FAILED;
}
static vestry_err write_upload(void *file, const vestry_request *req, vestry_reply *reply, const void *bytes,
                               size_t len) {
  (void)file, (void)req, (void)reply, (void)bytes, (void)len;
  return VESTRY_FAILED;
}
static vestry_err end_upload(void *file, const vestry_request *req, vestry_reply *reply) {
  (void)file, (void)req, (void)reply;
  return VESTRY_FAILED;
}
static void abort_upload(void *file, vestry_err why) {
  (void)file, (void)why;
}
static const vestry_upload_writer upload_writer = {
    .begin = begin_upload, .write = write_upload, .end = end_upload, .abort = abort_upload};
static vestry_err take_upload_view(const void *given) {
  vestry_html html;
  vestry_html_init(&html, NULL);
  vestry_html_add(&html, "<form>");
  vestry_err error = vestry_html_upload(&html, given);
  vestry_html_finish(&html);
  return error;
}

static vestry_err take_uploads(const void *given) {
  vestry_uploads *made;
  vestry_err error = vestry_uploads_create(v, given, &made);
  if (!error) vestry_uploads_destroy(made);
  return error;
}

static char uploads_path[] = "/tmp/vestry-sizes-XXXXXX";
static vestry_err take_upload_folder(const void *given) {
  vestry_upload_folder *made;
  vestry_err error = vestry_upload_folder_open(v, given, &made);
  if (!error) vestry_upload_folder_close(made);
  return error;
}

static vestry_err take_forms(const void *given) {
  vestry_forms *made;
  vestry_err error = vestry_forms_create(v, given, &made);
  if (!error) vestry_forms_destroy(made);
  return error;
}

static vestry_err take_observe(const void *given) {
  vestry_observe *made;
  vestry_err error = vestry_observe_create(v, given, &made);
  if (!error) vestry_observe_destroy(made);
  return error;
}
static void no_info(const vestry_stream_info *info, void *ctx) {
  (void)info, (void)ctx;
}
static vestry_err take_stream_query(const void *given) {
  vestry_observe *made;
  assert_int_equal(vestry_observe_create(v, NULL, &made), VESTRY_OK);
  vestry_err error = vestry_observe_streams(made, given, no_info, NULL, NULL);
  vestry_observe_destroy(made);
  return error;
}
static void no_close(const vestry_close_info *info, void *ctx) {
  (void)info, (void)ctx;
}
static vestry_err take_close_query(const void *given) {
  vestry_observe *made;
  assert_int_equal(vestry_observe_create(v, NULL, &made), VESTRY_OK);
  vestry_err error = vestry_observe_closes(made, given, no_close, NULL, NULL);
  vestry_observe_destroy(made);
  return error;
}
static void no_channel(const vestry_channel_info *info, void *ctx) {
  (void)info, (void)ctx;
}
static vestry_err take_channel_query(const void *given) {
  vestry_observe *made;
  assert_int_equal(vestry_observe_create(v, NULL, &made), VESTRY_OK);
  vestry_err error = vestry_observe_channels(made, given, no_channel, NULL, NULL);
  vestry_observe_destroy(made);
  return error;
}
static vestry_err take_rate(const void *given) {
  vestry_rate *made;
  vestry_err error = vestry_rate_create(v, given, &made);
  if (!error) vestry_rate_destroy(made);
  return error;
}
static vestry_err no_step(vestry_watcher *watcher, vestry_connection *of, void *ctx) {
  (void)watcher, (void)of, (void)ctx;
  return VESTRY_OK;
}
static vestry_err watch_it(const vestry_request *req, vestry_reply *reply, void *given) {
  (void)req;
  return vestry_reply_watch(reply, given);
}
static vestry_err take_watch(const void *given) {
  vestry_memory_exchange *made;
  vestry_err error = vestry_memory_request(v, NULL, watch_it, (void *)given, &made);
  if (error) return error;
  error = vestry_memory_look(made).status == 204 ? VESTRY_OK : VESTRY_INVALID;
  vestry_memory_destroy(made);
  return error;
}
static vestry_err take_pages(const void *given) {
  vestry_pages *made;
  vestry_err error = vestry_pages_create(v, given, &made);
  if (!error) vestry_pages_destroy(made);
  return error;
}
static vestry_err no_render(vestry_render *render, vestry_html *html, void *app) {
  (void)render, (void)html, (void)app;
  return VESTRY_OK;
}
static vestry_err take_page(const void *given) {
  vestry_pages *pages;
  vestry_page *made;
  vestry_err error = vestry_pages_create(v, NULL, &pages);
  if (error) return error;
  error = vestry_page_create(pages, given, &made);
  vestry_pages_destroy(pages);
  return error;
}
typedef struct window_taken {
  const void *given;
  vestry_err error;
} window_taken;
static vestry_err render_window(vestry_render *render, vestry_html *html, void *app) {
  window_taken *given = app;
  vestry_window window;
  vestry_render_begin(render, html);
  given->error = vestry_window_begin(render, html, given->given, &window);
  if (given->error) return given->error;
  vestry_window_end(html, &window);
  return vestry_render_end(render, html);
}
static vestry_err take_window(const void *given) {
  window_taken taken_by = {.given = given, .error = VESTRY_FAILED};
  vestry_pages *pages;
  vestry_page *page;
  vestry_memory_exchange *document;
  vestry_err error = vestry_pages_create(v, NULL, &pages);
  if (error) return error;
  error = vestry_page_create(pages, &(vestry_page_options){.render = render_window, .layout = "s", .app = &taken_by},
                             &page);
  if (!error) error = vestry_memory_request(v, NULL, vestry_page_handler, page, &document);
  if (!error) vestry_memory_destroy(document);
  vestry_pages_destroy(pages);
  return error ? error : taken_by.error;
}
static vestry_err take_files(const void *given) {
  vestry_files *made;
  vestry_err error = vestry_files_create(given, &made);
  if (!error) vestry_files_destroy(made);
  return error;
}
static vestry_err take_network(const void *given) {
  vestry_memory_network *made;
  vestry_err error = vestry_memory_network_create(vestry_parts_of(v)->runtime, given, &made);
  if (!error) vestry_memory_network_destroy(made);
  return error;
}
static vestry_err take_broker_events(const void *given) {
  vestry_memory_network *network;
  vestry_broker broker;
  assert_int_equal(vestry_memory_network_create(vestry_parts_of(v)->runtime, NULL, &network), VESTRY_OK);
  assert_int_equal(vestry_memory_network_join(network, &broker), VESTRY_OK);
  vestry_err error = broker.ops->start(broker.broker, NULL, 0, given);
  broker.ops->destroy(broker.broker);
  vestry_memory_network_destroy(network);
  return error;
}
static vestry_err take_cluster(const void *given) {
  vestry *of;
  vestry_memory_network *network;
  vestry_broker broker;
  vestry_cluster *made;
  assert_int_equal(vestry_create(&(vestry_options){.runtime = vestry_parts_of(v)->runtime}, &of), VESTRY_OK);
  assert_int_equal(vestry_memory_network_create(vestry_parts_of(v)->runtime, NULL, &network), VESTRY_OK);
  assert_int_equal(vestry_memory_network_join(network, &broker), VESTRY_OK);
  vestry_err error = vestry_cluster_create(of, &broker, given, &made);
  if (!error) vestry_cluster_destroy(made);
  broker.ops->destroy(broker.broker);
  vestry_memory_network_destroy(network);
  vestry_destroy(of);
  return error;
}
static vestry_server no_server;
static vestry_err start_nothing(vestry *of, const vestry_server_options *how, vestry_server **ret_server) {
  (void)of, (void)how;
  *ret_server = &no_server;
  return VESTRY_OK;
}
static vestry_err stop_nothing(vestry_server *server, uint64_t timeout_ms) {
  (void)server, (void)timeout_ms;
  return VESTRY_OK;
}
static void destroy_no_server(vestry_server *server) {
  (void)server;
}
static void no_room(vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity) {
  (void)server, (void)ret_streams, (void)ret_capacity;
}
static const vestry_server_adapter server_adapter = {
    .name = "none", .start = start_nothing, .stop = stop_nothing, .destroy = destroy_no_server, .room = no_room};
static vestry_err take_server(const void *given) {
  vestry_server *made;
  vestry_err error = vestry_server_create(v, &server_adapter, given, &made);
  if (!error) vestry_server_destroy(made);
  return error;
}
static vestry_err save_nothing(void *ctx, const char *hash, const vestry_session_record *record) {
  (void)ctx, (void)hash, (void)record;
  return VESTRY_OK;
}
static vestry_err load_nothing(void *ctx, const char *hash, vestry_session_record *ret_record) {
  (void)ctx, (void)hash, (void)ret_record;
  return VESTRY_NOT_FOUND;
}
static vestry_err remove_nothing(void *ctx, const char *name) {
  (void)ctx, (void)name;
  return VESTRY_OK;
}
static const vestry_session_storage_ops storage = {
    .save = save_nothing, .load = load_nothing, .remove = remove_nothing, .remove_user = remove_nothing};

static vestry_err begin_nothing(void *ctx, const vestry_once_submission *press, vestry_once_found *ret_found,
                                void *answer, size_t capacity, size_t *ret_len) {
  (void)ctx, (void)press, (void)ret_found, (void)answer, (void)capacity, (void)ret_len;
  return VESTRY_LIMIT;
}
static vestry_err finish_nothing(void *ctx, const vestry_once_submission *press, const void *answer, size_t len) {
  (void)ctx, (void)press, (void)answer, (void)len;
  return VESTRY_OK;
}
static vestry_err forget_nothing(void *ctx, const vestry_once_submission *press) {
  (void)ctx, (void)press;
  return VESTRY_OK;
}
static const vestry_once_storage_ops once_storage = {
    .begin = begin_nothing, .finish = finish_nothing, .forget = forget_nothing};

static const vestry_options options = {.threads_count = VESTRY_THREADS_NONE};
static const vestry_runtime_options runtime = {.threads_count = VESTRY_THREADS_NONE};
static const vestry_actor_options actor = {.run = no_run};
static const vestry_file no_file = {.path = "x"};
static const vestry_files_options files = {.embedded = &no_file, .embedded_count = 1};
static const vestry_store_options store = {.value = &value};
typedef struct csp_taken {
  const void *given;
  vestry_err error;
} csp_taken;
static vestry_err reply_csp(const vestry_request *req, vestry_reply *reply, void *ctx) {
  csp_taken *taken = ctx;
  (void)req;
  return taken->error = vestry_reply_csp(reply, taken->given);
}
static vestry_err take_csp(const void *given) {
  csp_taken taken = {.given = given};
  vestry_memory_exchange *exchange;
  vestry_err error = vestry_memory_request(v, NULL, reply_csp, &taken, &exchange);
  if (!error) vestry_memory_destroy(exchange);
  return error ? error : taken.error;
}

static const vestry_subscriber subscriber = {.call = no_message};
static const vestry_interceptor interceptor = {.name = "x", .phase = VESTRY_PHASE_EFFECT, .before = no_effect};
static const vestry_watch watch = {.step = no_step};
static void no_observation(vestry_render *render, void *ctx) {
  (void)render, (void)ctx;
}
static const vestry_render_observer observer = {.begin = no_observation, .end = no_observation};
static vestry_err take_observer(const void *given) {
  vestry_pages *pages;
  vestry_err error = vestry_pages_create(v, NULL, &pages);
  if (error) return error;
  error = vestry_pages_observe(pages, given);
  vestry_pages_destroy(pages);
  return error;
}
static vestry_err take_change(const void *given) {
  vestry_pages *made;
  vestry_err error = vestry_pages_create(v, NULL, &made);
  if (error) return error;
  error = vestry_refresh_for(made, "a", given, NULL);
  vestry_pages_destroy(made);
  return error;
}
static const vestry_change change_made = {.kind = VESTRY_REFRESH_TABLE, .name = "orders"};
static const vestry_page_options page_made = {.render = no_render};
static const vestry_window_options window_made = {.id = "list", .rows = {.count = 1}};
static const vestry_cluster_options cluster_made = {
    .node = "a", .secret = "0123456789012345678901234567890123456789", .secret_len = 40};
static const unsigned char zero[512];
static const vestry_metric metric = {.name = "a"};
static vestry_err add_metric(vestry_metrics *metrics, void *ctx) {
  return vestry_metrics_add(metrics, ctx);
}
static vestry_err take_metric(const void *given) {
  static char text[65536];
  vestry_observe *looks;
  const vestry_observe_options with = {.more = add_metric, .more_ctx = (void *)(uintptr_t)given};
  vestry_err error = vestry_observe_create(v, &with, &looks);
  if (error) return error;
  error = vestry_observe_metrics(looks, VESTRY_METRICS_OPEN, text, sizeof text, NULL);
  vestry_observe_destroy(looks);
  return error;
}
static const vestry_observe_options observe = {.pages = NULL};
static const vestry_rate_options rate = {.count = 1};
static const vestry_upload_folder_options upload_folder = {.path = uploads_path};
static const vestry_upload_view_options upload_view = {.signal = "_a"};
static const vestry_uploads_options uploads = {.pattern = "/files", .writer = &upload_writer};

static const struct {
  const char *name;
  vestry_err (*take)(const void *given);
  const void *good; /* its first `size` bytes are valid */
  size_t size;
} taken[] = {
    {"vestry_options", take_options, &options, sizeof options},
    {"vestry_bounds", take_bounds, zero, sizeof(vestry_bounds)},
    {"vestry_connection_options", take_connection, zero, sizeof(vestry_connection_options)},
    {"vestry_connection_hooks", take_hooks, zero, sizeof(vestry_connection_hooks)},
    {"vestry_signals_limits", take_limits, zero, sizeof(vestry_signals_limits)},
    {"vestry_signals_limits", take_limits_to_parse, zero, sizeof(vestry_signals_limits)},
    {"vestry_runtime_options", take_runtime, &runtime, sizeof runtime},
    {"vestry_actor_options", take_actor, &actor, sizeof actor},
    {"vestry_store_options", take_store, &store, sizeof store},
    {"vestry_value_ops", take_value, &value, sizeof value},
    {"vestry_subscriber", take_subscriber, &subscriber, sizeof subscriber},
    {"vestry_history_options", take_history, zero, sizeof(vestry_history_options)},
    {"vestry_interceptor", take_interceptor, &interceptor, sizeof interceptor},
    {"vestry_dispatch_options", take_dispatch, zero, sizeof(vestry_dispatch_options)},
    {"vestry_memory_call", take_call, zero, sizeof(vestry_memory_call)},
    {"vestry_contract_adapter", sizes_take_contract, &sizes_contract, sizeof sizes_contract},
    {"vestry_elements_options", take_elements, zero, sizeof(vestry_elements_options)},
    {"vestry_signals_options", take_signals, zero, sizeof(vestry_signals_options)},
    {"vestry_script_options", take_script, zero, sizeof(vestry_script_options)},
    {"vestry_custom_event_options", take_custom, zero, sizeof(vestry_custom_event_options)},
    {"vestry_session_options", sizes_take_sessions, zero, sizeof(vestry_session_options)},
    {"vestry_secret", sizes_take_secret, &sizes_secret, sizeof sizes_secret},
    {"vestry_bus_options", sizes_take_bus, zero, sizeof(vestry_bus_options)},
    {"vestry_session_storage_ops", sizes_take_storage, &storage, sizeof storage},
    {"vestry_presence_options", take_presence, zero, sizeof(vestry_presence_options)},
    {"vestry_application_options", sizes_take_application, zero, sizeof(vestry_application_options)},
    {"vestry_csp", take_csp, zero, sizeof(vestry_csp)},
    {"vestry_csrf_options", take_csrf, zero, sizeof(vestry_csrf_options)},
    {"vestry_once_options", take_once, zero, sizeof(vestry_once_options)},
    {"vestry_once_storage_ops", take_once_storage, &once_storage, sizeof once_storage},
    {"vestry_forms_options", take_forms, zero, sizeof(vestry_forms_options)},
    {"vestry_metric", take_metric, &metric, sizeof metric},
    {"vestry_observe_options", take_observe, &observe, sizeof observe},
    {"vestry_stream_query", take_stream_query, zero, sizeof(vestry_stream_query)},
    {"vestry_close_query", take_close_query, zero, sizeof(vestry_close_query)},
    {"vestry_channel_query", take_channel_query, zero, sizeof(vestry_channel_query)},
    {"vestry_rate_options", take_rate, &rate, sizeof rate},
    {"vestry_upload_view_options", take_upload_view, &upload_view, sizeof upload_view},
    {"vestry_uploads_options", take_uploads, &uploads, sizeof uploads},
    {"vestry_upload_folder_options", take_upload_folder, &upload_folder, sizeof upload_folder},
    {"vestry_watch", take_watch, &watch, sizeof watch},
    {"vestry_pages_options", take_pages, zero, sizeof(vestry_pages_options)},
    {"vestry_render_observer", take_observer, &observer, sizeof observer},
    {"vestry_change", take_change, &change_made, sizeof change_made},
    {"vestry_page_options", take_page, &page_made, sizeof page_made},
    {"vestry_window_options", take_window, &window_made, sizeof window_made},
    {"vestry_files_options", take_files, &files, sizeof files},
    {"vestry_server_options", take_server, zero, sizeof(vestry_server_options)},
    {"vestry_memory_network_options", take_network, zero, sizeof(vestry_memory_network_options)},
    {"vestry_broker_events", take_broker_events, zero, sizeof(vestry_broker_events)},
    {"vestry_cluster_options", take_cluster, &cluster_made, sizeof cluster_made},
    {"vestry_backend_action_options", take_backend_action, zero, sizeof(vestry_backend_action_options)},
#ifdef HAS_SQLITE
    {"vestry_jobs_options", sizes_take_jobs, zero, sizeof(vestry_jobs_options)},
    {"vestry_job_order", sizes_take_job_order, &sizes_job_order, sizeof sizes_job_order},
    {"vestry_sql_rows", sizes_take_rows, &sizes_rows, sizeof sizes_rows},
    {"vestry_sql_shape", sizes_take_shape, &sizes_shape, sizeof sizes_shape},
#endif
};

static void what_goes_in_may_have_another_size(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    union {
      size_t size;
      unsigned char bytes[1024];
    } given = {.bytes = {0}};
    size_t size = taken[i].size;
    memcpy(&given, taken[i].good, size);
    print_message("%s, %zu bytes\n", taken[i].name, size);
    assert_int_equal(taken[i].take(&given), VESTRY_OK); /* size 0: the frozen layout */
    given.size = size;
    assert_int_equal(taken[i].take(&given), VESTRY_OK);
    given.size = size + 24; /* a program for a later version, which sets no unknown member */
    assert_int_equal(taken[i].take(&given), VESTRY_OK);
    for (size_t at = size; at < size + 24; at++) {
      given.bytes[at] = 1;
      assert_int_equal(taken[i].take(&given), VESTRY_INVALID);
      given.bytes[at] = 0;
    }
    for (size_t wrong = 1; wrong < sizeof(size_t); wrong++) {
      given.size = wrong;
      assert_int_equal(taken[i].take(&given), VESTRY_INVALID);
    }
    /* A program for an earlier version: the bytes after its struct are not read. */
    if (taken[i].good == zero) {
      memset(given.bytes + sizeof(size_t), 0xa5, sizeof given - sizeof(size_t));
      given.size = sizeof(size_t);
      vestry_err error = taken[i].take(&given);
      assert_true(!error || (taken[i].take == take_dispatch && error == VESTRY_CLOSED));
    }
  }
}

/* ---- structs that are filled ------------------------------------------------------------------------------------- */
static vestry_connection *connection;
static vestry_pages *pages;

static void fill_pages_stats(void *ret) {
  vestry_pages_stats_get(pages, ret);
}
static void fill_stats(void *ret) {
  vestry_stats_get(v, ret);
}
static void fill_store_stats(void *ret) {
  vestry_store_stats_get(vestry_parts_of(v)->store, ret);
}
static void fill_connection_stats(void *ret) {
  vestry_connection_stats_get(connection, ret);
}
static void fill_channel_stats(void *ret) {
  assert_int_equal(vestry_broadcast_stats_get(v, (vestry_scope){0}, VESTRY_KEY("room"), ret), VESTRY_OK);
}
static void fill_history_stats(void *ret) {
  const vestry_key *key = VESTRY_KEY("history");
  (void)vestry_history_begin(v, (vestry_scope){0}, key, NULL);
  (void)vestry_history_stats_get(v, (vestry_scope){0}, key, ret);
  (void)vestry_history_end(v, (vestry_scope){0}, key);
}
static void fill_channels_stats(void *ret) {
  vestry_channels_stats_get(v, ret);
}
static void fill_uploads_stats(void *ret) {
  vestry_uploads *made;
  assert_int_equal(vestry_uploads_create(v, &uploads, &made), VESTRY_OK);
  vestry_uploads_stats_get(made, ret);
  vestry_uploads_destroy(made);
}
static void fill_upload_folder_stats(void *ret) {
  vestry_upload_folder *made;
  assert_int_equal(vestry_upload_folder_open(v, &upload_folder, &made), VESTRY_OK);
  vestry_upload_folder_stats_get(made, ret);
  vestry_upload_folder_close(made);
}
static void fill_cluster(void *ret, bool is_count) {
  vestry *of;
  vestry_memory_network *network;
  vestry_broker broker;
  vestry_cluster *cluster;
  assert_int_equal(vestry_create(&(vestry_options){.runtime = vestry_parts_of(v)->runtime}, &of), VESTRY_OK);
  assert_int_equal(vestry_memory_network_create(vestry_parts_of(v)->runtime, NULL, &network), VESTRY_OK);
  assert_int_equal(vestry_memory_network_join(network, &broker), VESTRY_OK);
  assert_int_equal(vestry_cluster_create(of, &broker, &cluster_made, &cluster), VESTRY_OK);
  if (is_count)
    assert_int_equal(vestry_cluster_count_get(cluster, (vestry_scope){0}, VESTRY_KEY(1), ret), VESTRY_OK);
  else
    vestry_cluster_stats_get(cluster, ret);
  vestry_cluster_destroy(cluster);
  broker.ops->destroy(broker.broker);
  vestry_memory_network_destroy(network);
  vestry_destroy(of);
}
static void fill_cluster_stats(void *ret) {
  fill_cluster(ret, false);
}
static void fill_cluster_count(void *ret) {
  fill_cluster(ret, true);
}
static void fill_presence_stats(void *ret) {
  vestry_presence *made;
  assert_int_equal(vestry_presence_create(v, NULL, &made), VESTRY_OK);
  vestry_presence_stats_get(made, ret);
  vestry_presence_destroy(made);
}
static void fill_network_stats(void *ret) {
  vestry_memory_network *network;
  assert_int_equal(vestry_memory_network_create(vestry_parts_of(v)->runtime, NULL, &network), VESTRY_OK);
  vestry_memory_network_stats_get(network, ret);
  vestry_memory_network_destroy(network);
}
static void fill_dispatch_result(void *ret) {
  json_t *effects = json_pack("[[s,{s:i}]]", "patch-signals", "n", 1);
  vestry_dispatch_options to = {.key = VESTRY_KEY("page")};
  assert_int_equal(vestry_dispatch_with(v, effects, &to, ret), VESTRY_OK);
  json_decref(effects);
}
static void fill_stream_info(void *ret) {
  vestry_observe *made;
  assert_int_equal(vestry_observe_create(v, NULL, &made), VESTRY_OK);
  assert_int_equal(vestry_observe_stream(made, vestry_connection_look(connection).id, ret), VESTRY_OK);
  vestry_observe_destroy(made);
}
static void fill_put_result(void *ret) {
  static int one;
  vestry_store *made;
  assert_int_equal(vestry_store_create("hash", &store, &made), VESTRY_OK);
  assert_int_equal(vestry_store_put(made, (vestry_scope){NULL, 0}, VESTRY_KEY(1), &one, VESTRY_KEEP_REPLACE, 0, ret),
                   VESTRY_OK);
  vestry_store_destroy(made);
}

static const struct {
  const char *name;
  void (*fill)(void *ret);
  size_t size;
} filled[] = {
    {"vestry_pages_stats", fill_pages_stats, sizeof(vestry_pages_stats)},
    {"vestry_stats", fill_stats, sizeof(vestry_stats)},
    {"vestry_session_stats", sizes_fill_session_stats, sizeof(vestry_session_stats)},
    {"vestry_watch_stats", sizes_fill_watch_stats, sizeof(vestry_watch_stats)},
    {"vestry_lease_stats", sizes_fill_lease_stats, sizeof(vestry_lease_stats)},
    {"vestry_histories_stats", sizes_fill_histories_stats, sizeof(vestry_histories_stats)},
    {"vestry_store_stats", fill_store_stats, sizeof(vestry_store_stats)},
    {"vestry_connection_stats", fill_connection_stats, sizeof(vestry_connection_stats)},
    {"vestry_channel_stats", fill_channel_stats, sizeof(vestry_channel_stats)},
    {"vestry_channels_stats", fill_channels_stats, sizeof(vestry_channels_stats)},
    {"vestry_history_stats", fill_history_stats, sizeof(vestry_history_stats)},
    {"vestry_bus_stats", sizes_fill_bus_stats, sizeof(vestry_bus_stats)},
    {"vestry_uploads_stats", fill_uploads_stats, sizeof(vestry_uploads_stats)},
    {"vestry_upload_folder_stats", fill_upload_folder_stats, sizeof(vestry_upload_folder_stats)},
    {"vestry_cluster_count", fill_cluster_count, sizeof(vestry_cluster_count)},
    {"vestry_presence_stats", fill_presence_stats, sizeof(vestry_presence_stats)},
    {"vestry_cluster_stats", fill_cluster_stats, sizeof(vestry_cluster_stats)},
    {"vestry_memory_network_stats", fill_network_stats, sizeof(vestry_memory_network_stats)},
    {"vestry_dispatch_result", fill_dispatch_result, sizeof(vestry_dispatch_result)},
    {"vestry_put_result", fill_put_result, sizeof(vestry_put_result)},
    {"vestry_stream_info", fill_stream_info, sizeof(vestry_stream_info)},
#ifdef HAS_SQLITE
    {"vestry_jobs_stats", sizes_fill_jobs_stats, sizeof(vestry_jobs_stats)},
#endif
};

static void what_comes_out_fits_the_room(void **state) {
  (void)state;
  enum { ROOM = 4096, STALE = 0xa5 };
  vestry_memory_exchange *page;
  const vestry_memory_call call = {.method = "PUT", .datastar = true, .body = "{}", .body_len = 2};
  assert_int_equal(vestry_memory_request(v, &call, live, NULL, &page), VESTRY_OK);
  connection = vestry_memory_look(page).connection;
  assert_int_equal(vestry_join(v, (vestry_scope){0}, VESTRY_KEY("room"), connection), VESTRY_OK);
  assert_int_equal(vestry_pages_create(v, NULL, &pages), VESTRY_OK);
  for (size_t i = 0; i < sizeof filled / sizeof *filled; i++) {
    union {
      size_t size;
      unsigned char bytes[ROOM];
    } got;
    const size_t own = filled[i].size, sizes[] = {0, sizeof(size_t), sizeof(size_t) + 4, own - 8, own, own + 64};
    print_message("%s, %zu bytes\n", filled[i].name, own);
    assert_true(own + 64 < ROOM);
    for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
      memset(&got, STALE, sizeof got);
      got.size = sizes[j];
      filled[i].fill(&got);
      assert_int_equal(got.size, sizes[j]);
      size_t end = sizes[j] ? sizes[j] : own;
      for (size_t at = own; at < end; at++) assert_int_equal(got.bytes[at], 0); /* unknown members are zero */
      for (size_t at = end; at < ROOM; at++) assert_int_equal(got.bytes[at], STALE);
    }
  }
  vestry_pages_destroy(pages);
  vestry_memory_destroy(page);
  vestry_memory_settle(v);
}

/* ---- tables of functions ----------------------------------------------------------------------------------------- */

static void tables_may_be_longer(void **state) {
  (void)state;
  LONGER(vestry_profile_ops) ops = {.known = vestry_profile_gzip};
  const vestry_profile profile = {.ops = &ops.known};
  const vestry_options with = {.threads_count = VESTRY_THREADS_NONE, .profiles = &profile, .profiles_count = 1};
  ops.known.size = sizeof ops;
  assert_int_equal(take_options(&with), VESTRY_OK);
  ops.more[23] = 1;
  assert_int_equal(take_options(&with), VESTRY_INVALID);
  ops.known.size = sizeof ops.known - 1; /* shorter than in any version */
  assert_int_equal(take_options(&with), VESTRY_INVALID);
  ops.known.size = 0;
  assert_int_equal(take_options(&with), VESTRY_OK);
}

static int begin(void **state) {
  (void)state;
  if (!mkdtemp(uploads_path)) return -1;
#ifdef HAS_SQLITE
  sizes_open_jobs(uploads_path);
#endif
  return (int)vestry_create(&options, &v);
}

static int end(void **state) {
  (void)state;
  vestry_destroy(v);
#ifdef HAS_SQLITE
  sizes_close_jobs();
#endif
  return rmdir(uploads_path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_goes_in_may_have_another_size),
      cmocka_unit_test(what_comes_out_fits_the_room),
      cmocka_unit_test(tables_may_be_longer),
  };
  return cmocka_run_group_tests_name("structs of another size", tests, begin, end);
}
