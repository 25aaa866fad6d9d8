/* SPDX-License-Identifier: MIT */
/* An invalid argument of a function that applications call at their start is logged with the function and the
 * argument. */
#include "http/routes/routes.h"
#include "support/site.h"
#include "vestry/adapter.h"
#include "vestry/app/bus.h"
#include "vestry/app/csrf.h"
#include "vestry/app/files.h"
#include "vestry/app/history.h"
#include "vestry/app/once.h"
#include "vestry/app/page.h"
#include "vestry/app/presence.h"
#include "vestry/app/session.h"
#include "vestry/cluster/cluster.h"
#include "vestry/testing/memory_network.h"
#include "vestry/vestry.h"

static void must_log(site *w, vestry_err error, const char *function, const char *what) {
  assert_int_equal(error, VESTRY_INVALID);
  assert_int_equal(atomic_exchange(&w->th.log_lines, 0), 1);
  if (strncmp(w->th.last_log, function, strlen(function)) != 0 || !strstr(w->th.last_log, what))
    fail_msg("neither %s nor %s: %s", function, what, w->th.last_log);
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  return VESTRY_OK;
}

TEST_CASE(invalid_start_arguments_are_logged) {
  site w;
  vestry_pages *pages = NULL;
  vestry_page *page = NULL;
  vestry_once *once = NULL;
  vestry_csrf *csrf = NULL;
  vestry_presence *presence = NULL;
  vestry_files *files = NULL;
  vestry_cluster *cluster = NULL;
  vestry_memory_network *network;
  vestry_broker broker;
  site_begin_with(&w, (vestry_options){0}, (site_has){.sessions = &(vestry_session_options){0}});
  must_log(&w, vestry_pages_create(w.v, &(vestry_pages_options){.secret = "x"}, &pages), "vestry_pages_create",
           "secret and secret_len");
  must_log(&w, vestry_pages_create(w.v, &(vestry_pages_options){.interval_ms = UINT32_MAX}, &pages),
           "vestry_pages_create", "interval_ms is 4294967295, but must be from 1 to 60000");
  assert_int_equal(vestry_pages_create(w.v, NULL, &w.pages), VESTRY_OK);
  must_log(&w, vestry_page_create(w.pages, NULL, &page), "vestry_page_create", "render");
  must_log(&w, vestry_page_create(w.pages, &(vestry_page_options){.render = render, .id = "a b"}, &page),
           "vestry_page_create", "id");
  must_log(&w, vestry_once_create(w.v, &(vestry_once_options){.max_count = 1, .max_anonymous_count = 2}, &once),
           "vestry_once_create", "max_anonymous_count");
  static const char *const origins[] = {"shop.example/path"};
  must_log(&w, vestry_csrf_create(w.v, &(vestry_csrf_options){.trusted_origins_count = 1}, &csrf), "vestry_csrf_create",
           "trusted_origins");
  must_log(
      &w,
      vestry_csrf_create(w.v, &(vestry_csrf_options){.trusted_origins = origins, .trusted_origins_count = 1}, &csrf),
      "vestry_csrf_create", "https://HOST or http://HOST");
  must_log(&w, vestry_presence_create(w.v, &(vestry_presence_options){.name = ""}, &presence), "vestry_presence_create",
           "name \"\" must have from 1 to 64 bytes");
  must_log(&w, vestry_presence_create(w.v, &(vestry_presence_options){.grace_ms = UINT64_MAX}, &presence),
           "vestry_presence_create", "grace_ms is 18446744073709551615, but must be from 1 to 86400000");
  must_log(&w, vestry_files_create(&(vestry_files_options){.host = &w.th.host}, &files), "vestry_files_create",
           "folder");
  assert_int_equal(vestry_memory_network_create(vestry_parts_of(w.v)->runtime, NULL, &network), VESTRY_OK);
  assert_int_equal(vestry_memory_network_join(network, &broker), VESTRY_OK);
  must_log(&w,
           vestry_cluster_create(w.v, &broker,
                                 &(vestry_cluster_options){.node = "a", .secret = "short", .secret_len = 5}, &cluster),
           "vestry_cluster_create", "32 bytes");
  assert_true(!pages && !page && !once && !csrf && !presence && !files && !cluster);
  broker.ops->destroy(broker.broker);
  vestry_memory_network_destroy(network);
  site_end(&w);
}

/* ---- objects of another instance --------------------------------------------------------------------------------- */

static struct {
  vestry_connection *connection;
  vestry_presence *presence;
  vestry_page *page;
} strange;

static vestry_err reply_to_stranger(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_connection(reply, strange.connection);
}
static vestry_err be_present_elsewhere(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_present(reply, strange.presence, VESTRY_KEY("place"), "ann");
}
static vestry_err serve_page_of_stranger(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, strange.page, NULL);
}
static vestry_err target_stranger(vestry_dispatch_context *context, const json_t *effect, void *app) {
  if (strange.connection) assert_int_equal(vestry_context_target(context, strange.connection), VESTRY_INVALID);
  return VESTRY_OK;
}
static void ignore_message(const vestry_bus_message *message, void *app) {}
static vestry_err keep(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("k"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

static int status_of(vestry *v, vestry_handler_fn handler) {
  vestry_memory_exchange *exchange = NULL;
  const vestry_memory_call call = {.method = "GET", .path = "/", .datastar = true};
  assert_int_equal(vestry_memory_request(v, &call, handler, NULL, &exchange), VESTRY_OK);
  vestry_memory_settle(v);
  const int status = vestry_memory_look(exchange).status;
  vestry_memory_destroy(exchange);
  vestry_memory_settle(v);
  return status;
}

TEST_CASE(objects_of_another_instance_are_refused) {
  const vestry_scope everybody = {0};
  site w, other;
  site_begin_pages(&other, (vestry_options){0}, NULL);
  site_begin_pages(&w, (vestry_options){0}, NULL);
  const vestry_interceptor around = {.phase = VESTRY_PHASE_CONNECT, .before = target_stranger, .name = "target"};
  assert_int_equal(vestry_registry_intercept(vestry_parts_of(w.v)->registry, &around), VESTRY_OK);
  assert_int_equal(status_of(w.v, keep), 200);
  vestry_memory_exchange *stream = NULL;
  const vestry_memory_call call = {.method = "GET", .path = "/", .datastar = true};
  assert_int_equal(vestry_memory_request(other.v, &call, keep, NULL, &stream), VESTRY_OK);
  vestry_memory_settle(other.v);
  vestry_connection *connection = strange.connection = vestry_memory_look(stream).connection;
  const size_t before = vestry_memory_look(stream).received.len;

  json_t *effects = json_pack("[[s,{s:i}]]", "patch-signals", "n", 1);
  must_log(&w, vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.connection = connection}, NULL),
           "dispatch", "options.connection");
  assert_int_equal(vestry_dispatch_with(other.v, effects, &(vestry_dispatch_options){.connection = connection}, NULL),
                   VESTRY_OK);
  json_decref(effects);
  must_log(
      &w,
      vestry_store_put(vestry_parts_of(w.v)->store, everybody, VESTRY_KEY("k"), connection, VESTRY_KEEP_MANY, 0, NULL),
      "vestry_store_put", "another instance");
  must_log(&w, vestry_join(w.v, everybody, VESTRY_KEY("c"), connection), "vestry_join", "another instance");
  must_log(&w, vestry_resume(w.v, everybody, VESTRY_KEY("c"), connection, NULL, NULL, NULL), "vestry_resume",
           "another instance");
  const vestry_subscriber subscriber = {.call = ignore_message, .connection = connection};
  must_log(&w, vestry_subscribe(w.v, everybody, VESTRY_KEY("t"), &subscriber, NULL), "vestry_subscribe",
           "another instance");
  must_log(&w, vestry_store_drive(vestry_parts_of(w.v)->store, vestry_parts_of(other.v)->runtime), "vestry_store_drive",
           "another host");
  must_log(&w, vestry_publish(w.v, everybody, NULL, "", 0, NULL), "vestry_publish", "the key is NULL");
  assert_int_equal(vestry_page_create(other.pages, &(vestry_page_options){.render = render}, &strange.page), VESTRY_OK);
  assert_int_equal(vestry_presence_create(other.v, NULL, &strange.presence), VESTRY_OK);
  assert_int_equal(status_of(w.v, reply_to_stranger), 500);
  assert_int_equal(status_of(w.v, be_present_elsewhere), 500);
  assert_int_equal(status_of(w.v, serve_page_of_stranger), 500);
  vestry_memory_settle(other.v);
  assert_int_equal(vestry_memory_look(stream).received.len - before,
                   strlen("event: datastar-patch-signals\ndata: signals {\"n\":1}\n\n"));

  /* A store that no instance has may hold streams of several; the end of one instance does not end those of others. */
  vestry_store *store;
  assert_int_equal(vestry_store_create("hash", &(vestry_store_options){.value = &vestry_connection_values}, &store),
                   VESTRY_OK);
  assert_int_equal(vestry_store_put(store, everybody, VESTRY_KEY("k"), connection, VESTRY_KEEP_MANY, 0, NULL),
                   VESTRY_OK);
  site_end(&w);
  assert_true(vestry_connection_is_open(connection));
  strange.connection = NULL;
  vestry_memory_destroy(stream);
  vestry_memory_settle(other.v);
  vestry_store_destroy(store);
  vestry_presence_destroy(strange.presence);
  site_end(&other);
}

/* ---- vestry_stop and vestry_destroy in a callback ---------------------------------------------------------------- */

static site ending;
static int ended; /* callbacks that tried to end the instance */

static void end_here(void) {
  ended++;
  assert_int_equal(vestry_stop(ending.v, 0), VESTRY_BUSY);
  assert_non_null(strstr(ending.th.last_log, "vestry_stop"));
  assert_int_equal(vestry_destroy(ending.v), VESTRY_BUSY);
  assert_non_null(strstr(ending.th.last_log, "vestry_destroy"));
}

static vestry_err end_in_effect(vestry_dispatch_context *context, const json_t *args, void *app) {
  end_here();
  return VESTRY_OK;
}
static vestry_err end_in_interceptor(vestry_dispatch_context *context, const json_t *effect, void *app) {
  end_here();
  return VESTRY_OK;
}
static void end_in_open(vestry_connection *connection, void *app) {
  end_here();
}
static void end_in_close(vestry_connection *connection, vestry_cause cause, void *app) {
  end_here();
}
static vestry_verdict end_in_error(vestry_connection *connection, vestry_err error, void *app) {
  end_here();
  return VESTRY_VERDICT_GO_ON;
}
static void end_in_timer(vestry_timer *timer, void *app) {
  end_here();
}
static void end_in_purge(const vestry_purged *purged, void *app) {
  end_here();
}
static vestry_err end_in_scope(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *len, void *app) {
  *len = 0;
  end_here();
  return VESTRY_OK;
}
static void end_in_subscriber(const vestry_bus_message *message, void *app) {
  end_here();
}
static vestry_err end_in_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  end_here();
  vestry_reply_key(reply, VESTRY_KEY("k"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

/* The functions below know no instance. Each ends one at its first call. */
static bool ends_in_log;
static void end_in_log(void *ctx, vestry_log_level level, const char *line) {
  ending.th.log_lines++;
  snprintf(ending.th.last_log, sizeof ending.th.last_log, "%s", line);
  if (!ends_in_log) return;
  ends_in_log = false;
  end_here();
}
static void end_in_list(const vestry_listed *listed, void *app) {
  end_here();
}
static vestry_err end_in_mounts(void *app, const char *method, const char *pattern) {
  end_here();
  return VESTRY_OK;
}
static void end_in_unmounted(void *app, const char *method, const char *pattern) {
  end_here();
}
static void end_in_span(const vestry_span *span, void *app) {
  end_here();
}
static void end_in_destroy(void *data) {
  end_here();
}
static vestry_err keep_data(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_stream(reply, &(vestry_stream_options){.data = app, .destroy = end_in_destroy});
  return keep(req, reply, app);
}

TEST_CASE(stop_and_destroy_in_callbacks_without_an_instance_are_refused) {
  const vestry_tracer tracer = {.on_span = end_in_span};
  const vsi_route_follower follower = {.mounts = end_in_mounts, .unmounted = end_in_unmounted};
  site_begin(&ending, (vestry_options){0});
  ending.th.host.log = end_in_log;
  vestry *v = ending.v;
  vestry_memory_exchange *stream = NULL;
  const vestry_memory_call call = {.method = "GET", .path = "/", .datastar = true};
  ended = 0;
  ending.th.host.tracer = &tracer;
  assert_int_equal(vestry_memory_request(v, &call, keep_data, &ending, &stream), VESTRY_OK);
  vestry_memory_settle(v);
  ending.th.host.tracer = NULL;
  assert_true(ended > 0);
  ended = 1;
  vestry_list_cursor cursor = {0};
  assert_int_equal(vestry_store_list(vestry_parts_of(v)->store, NULL, 0, &cursor, end_in_list, NULL), VESTRY_OK);
  assert_int_equal(ended, 2);
  assert_int_equal(vestry_route(v, "GET", "/", keep, NULL), VESTRY_OK);
  assert_int_equal(vsi_routes_follow(v, &follower, &ended), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/x", keep, &ended), VESTRY_OK);
  vsi_routes_end(v, &ended);
  assert_int_equal(ended, 5);
  assert_int_equal(vsi_routes_follow(v, NULL, &ended), VESTRY_OK);
  ends_in_log = true;
  assert_int_equal(vestry_close_scope(v, (vestry_scope){0}, VESTRY_CAUSE_CLOSED), VESTRY_INVALID); /* logs a mistake */
  assert_true(ended > 5);
  ended = 0;
  vestry_memory_destroy(stream);
  vestry_memory_settle(v);
  assert_int_equal(ended, 1); /* the stream's data */
  site_end(&ending);
}

TEST_CASE(stop_and_destroy_in_callbacks_are_refused) {
  const vestry_scope everybody = {0};
  const vestry_connection_hooks hooks = {.on_open = end_in_open, .on_close = end_in_close, .on_error = end_in_error};
  site_begin(&ending, (vestry_options){.purge = end_in_purge,
                                       .scope = end_in_scope,
                                       .hooks = &hooks,
                                       .connection = &(vestry_connection_options){.max_queued_count = 1}});
  vestry *v = ending.v;
  struct vestry_registry *registry = vestry_parts_of(v)->registry;
  const vestry_interceptor around = {.phase = VESTRY_PHASE_DISPATCH, .before = end_in_interceptor, .name = "end"};
  assert_int_equal(vestry_registry_effect(registry, "end", end_in_effect, NULL), VESTRY_OK);
  assert_int_equal(vestry_registry_intercept(registry, &around), VESTRY_OK);
  vestry_memory_exchange *stream = NULL;
  const vestry_memory_call call = {.method = "GET", .path = "/", .datastar = true};
  assert_int_equal(vestry_memory_request(v, &call, end_in_handler, NULL, &stream), VESTRY_OK);
  vestry_memory_settle(v);
  assert_true(ended >= 3); /* scope, handler, open */
  ended = 0;
  assert_int_equal(vestry_dispatch(v, everybody, VESTRY_KEY("k"), VESTRY_LIST("end")), VESTRY_OK);
  assert_int_equal(ended, 2); /* interceptor, effect */
  ended = 0;
  vestry_subscription *subscription = NULL;
  const vestry_subscriber subscriber = {.call = end_in_subscriber};
  assert_int_equal(vestry_subscribe(v, everybody, VESTRY_KEY("t"), &subscriber, &subscription), VESTRY_OK);
  assert_int_equal(vestry_publish(v, everybody, VESTRY_KEY("t"), NULL, 0, NULL), VESTRY_OK);
  assert_int_equal(ended, 1);
  (void)vestry_unsubscribe(subscription);
  vestry_timer *timer = NULL;
  assert_int_equal(vestry_timer_create(vestry_parts_of(v)->runtime, end_in_timer, NULL, &timer), VESTRY_OK);
  assert_int_equal(vestry_timer_set(timer, 1, 0), VESTRY_OK);
  site_pass_ms(&ending, 10);
  vestry_timer_destroy(timer);
  assert_int_equal(ended, 2);
  ended = 0;
  vestry_connection *connection = vestry_memory_look(stream).connection;
  assert_int_equal(vestry_connection_patch_signals(connection, VESTRY_OBJECT("n", 1), NULL), VESTRY_OK);
  assert_int_equal(vestry_connection_patch_signals(connection, VESTRY_OBJECT("n", 2), NULL), VESTRY_FULL);
  assert_int_equal(ended, 1); /* on_error */
  ended = 0;
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  vestry_memory_settle(v);
  assert_true(ended >= 2); /* purge, close */
  vestry_memory_destroy(stream);
  assert_int_equal(vestry_stop(v, 0), VESTRY_OK); /* outside of callbacks */
  site_end(&ending);
}
