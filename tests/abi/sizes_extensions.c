/* SPDX-License-Identifier: MIT */
#include "abi/sizes_extensions.h"

#include "support/test.h"
#include "vestry/testing/memory.h"
#include "vestry/testing/memory_network.h"

static vestry *v;
static vestry_connection *connection;

void sizes_use(vestry *of, vestry_connection *with) {
  v = of;
  connection = with;
}

char sizes_folder[] = "/tmp/vestry-sizes-XXXXXX";
const unsigned char sizes_zero[512];

/* ---- structs that are read, by a new instance -------------------------------------------------------------------- */

static const vestry_secret secret = {.secret = "0123456789012345678901234567890123456789", .secret_len = 40};

static vestry *create(void) {
  vestry *made;
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &made), VESTRY_OK);
  return made;
}

static vestry_err take_sessions(const void *given) {
  vestry *of = create();
  vestry_err error = vestry_sessions_create(of, given);
  vestry_destroy(of);
  return error;
}

static vestry_err take_storage(const void *given) {
  return take_sessions(&(vestry_session_options){.storage = given});
}

static vestry_err take_secret(const void *given) {
  vestry *of = create();
  vestry_err error = vestry_secret_set(of, given);
  vestry_destroy(of);
  return error;
}

static vestry_err take_application(const void *given) {
  vestry_application *made = NULL;
  vestry_err error = vestry_application_create(given, &made);
  return error ? error : vestry_application_destroy(made);
}

static vestry_err take_bus(const void *given) {
  vestry *of = create();
  vestry_err error = vestry_bus_create(of, given);
  vestry_destroy(of);
  return error;
}

static vestry_err start(vestry *of, const vestry_contract_settings *settings, void **ret_server, uint16_t *ret_port) {
  (void)of, (void)settings, (void)ret_server, (void)ret_port;
  return VESTRY_UNSUPPORTED;
}

static vestry_err stop(void *server, uint64_t timeout_ms) {
  (void)server, (void)timeout_ms;
  return VESTRY_OK;
}

static void destroy(void *server) {
  (void)server;
}

static const vestry_contract_adapter contract = {.name = "none", .start = start, .stop = stop, .destroy = destroy};

static vestry_err take_contract(const void *given) {
  return vestry_contract_run(given, "") ? VESTRY_INVALID : VESTRY_OK;
}

/* ---- structs that are read, by the instance of the tests --------------------------------------------------------- */

static void no_message(const vestry_bus_message *message, void *ctx) {
  (void)message, (void)ctx;
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
static const vestry_file no_file = {.path = "x"};
static const vestry_files_options files = {.embedded = &no_file, .embedded_count = 1};
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
static const vestry_upload_folder_options upload_folder = {.path = sizes_folder};
static const vestry_upload_view_options upload_view = {.signal = "_a"};
static const vestry_uploads_options uploads = {.pattern = "/files", .writer = &upload_writer};

/* ---- structs that are filled ------------------------------------------------------------------------------------- */

/* An instance without these extensions: all counters are zero, as far as the struct has room for them. */
#define FILL(name, function)                                                                                           \
  static void fill_##name(void *ret) {                                                                                 \
    vestry *of = create();                                                                                             \
    function(of, ret);                                                                                                 \
    vestry_destroy(of);                                                                                                \
  }
FILL(bus_stats, vestry_bus_stats_get)
FILL(session_stats, vestry_session_stats_get)
FILL(watch_stats, vestry_watch_stats_get)
FILL(lease_stats, vestry_lease_stats_get)
FILL(histories_stats, vestry_histories_stats_get)

static void fill_pages_stats(void *ret) {
  vestry_pages *made;
  assert_int_equal(vestry_pages_create(v, NULL, &made), VESTRY_OK);
  vestry_pages_stats_get(made, ret);
  vestry_pages_destroy(made);
}

static void fill_history_stats(void *ret) {
  const vestry_key *key = VESTRY_KEY("history");
  (void)vestry_history_begin(v, (vestry_scope){0}, key, NULL);
  (void)vestry_history_stats_get(v, (vestry_scope){0}, key, ret);
  (void)vestry_history_end(v, (vestry_scope){0}, key);
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

static void fill_stream_info(void *ret) {
  vestry_observe *made;
  assert_int_equal(vestry_observe_create(v, NULL, &made), VESTRY_OK);
  assert_int_equal(vestry_observe_stream(made, vestry_connection_look(connection).id, ret), VESTRY_OK);
  vestry_observe_destroy(made);
}

const sizes_taken sizes_extensions_taken[] = {
    {"vestry_subscriber", take_subscriber, &subscriber, sizeof subscriber},
    {"vestry_history_options", take_history, sizes_zero, sizeof(vestry_history_options)},
    {"vestry_contract_adapter", take_contract, &contract, sizeof contract},
    {"vestry_session_options", take_sessions, sizes_zero, sizeof(vestry_session_options)},
    {"vestry_secret", take_secret, &secret, sizeof secret},
    {"vestry_bus_options", take_bus, sizes_zero, sizeof(vestry_bus_options)},
    {"vestry_session_storage_ops", take_storage, &storage, sizeof storage},
    {"vestry_presence_options", take_presence, sizes_zero, sizeof(vestry_presence_options)},
    {"vestry_application_options", take_application, sizes_zero, sizeof(vestry_application_options)},
    {"vestry_csp", take_csp, sizes_zero, sizeof(vestry_csp)},
    {"vestry_csrf_options", take_csrf, sizes_zero, sizeof(vestry_csrf_options)},
    {"vestry_once_options", take_once, sizes_zero, sizeof(vestry_once_options)},
    {"vestry_once_storage_ops", take_once_storage, &once_storage, sizeof once_storage},
    {"vestry_forms_options", take_forms, sizes_zero, sizeof(vestry_forms_options)},
    {"vestry_metric", take_metric, &metric, sizeof metric},
    {"vestry_observe_options", take_observe, &observe, sizeof observe},
    {"vestry_stream_query", take_stream_query, sizes_zero, sizeof(vestry_stream_query)},
    {"vestry_close_query", take_close_query, sizes_zero, sizeof(vestry_close_query)},
    {"vestry_channel_query", take_channel_query, sizes_zero, sizeof(vestry_channel_query)},
    {"vestry_rate_options", take_rate, &rate, sizeof rate},
    {"vestry_upload_view_options", take_upload_view, &upload_view, sizeof upload_view},
    {"vestry_uploads_options", take_uploads, &uploads, sizeof uploads},
    {"vestry_upload_folder_options", take_upload_folder, &upload_folder, sizeof upload_folder},
    {"vestry_watch", take_watch, &watch, sizeof watch},
    {"vestry_pages_options", take_pages, sizes_zero, sizeof(vestry_pages_options)},
    {"vestry_render_observer", take_observer, &observer, sizeof observer},
    {"vestry_change", take_change, &change_made, sizeof change_made},
    {"vestry_page_options", take_page, &page_made, sizeof page_made},
    {"vestry_window_options", take_window, &window_made, sizeof window_made},
    {"vestry_files_options", take_files, &files, sizeof files},
    {"vestry_cluster_options", take_cluster, &cluster_made, sizeof cluster_made},
};
const size_t sizes_extensions_taken_count = sizeof sizes_extensions_taken / sizeof *sizes_extensions_taken;

const sizes_filled sizes_extensions_filled[] = {
    {"vestry_pages_stats", fill_pages_stats, sizeof(vestry_pages_stats)},
    {"vestry_session_stats", fill_session_stats, sizeof(vestry_session_stats)},
    {"vestry_watch_stats", fill_watch_stats, sizeof(vestry_watch_stats)},
    {"vestry_lease_stats", fill_lease_stats, sizeof(vestry_lease_stats)},
    {"vestry_histories_stats", fill_histories_stats, sizeof(vestry_histories_stats)},
    {"vestry_history_stats", fill_history_stats, sizeof(vestry_history_stats)},
    {"vestry_bus_stats", fill_bus_stats, sizeof(vestry_bus_stats)},
    {"vestry_uploads_stats", fill_uploads_stats, sizeof(vestry_uploads_stats)},
    {"vestry_upload_folder_stats", fill_upload_folder_stats, sizeof(vestry_upload_folder_stats)},
    {"vestry_cluster_count", fill_cluster_count, sizeof(vestry_cluster_count)},
    {"vestry_presence_stats", fill_presence_stats, sizeof(vestry_presence_stats)},
    {"vestry_cluster_stats", fill_cluster_stats, sizeof(vestry_cluster_stats)},
    {"vestry_stream_info", fill_stream_info, sizeof(vestry_stream_info)},
};
const size_t sizes_extensions_filled_count = sizeof sizes_extensions_filled / sizeof *sizes_extensions_filled;
