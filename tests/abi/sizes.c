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
static vestry_connection *connection;

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

static const vestry_options options = {.threads_count = VESTRY_THREADS_NONE};
static const vestry_runtime_options runtime = {.threads_count = VESTRY_THREADS_NONE};
static const vestry_actor_options actor = {.run = no_run};
static const vestry_store_options store = {.value = &value};
static const vestry_interceptor interceptor = {.name = "x", .phase = VESTRY_PHASE_EFFECT, .before = no_effect};
static const sizes_taken taken[] = {
    {"vestry_options", take_options, &options, sizeof options},
    {"vestry_bounds", take_bounds, sizes_zero, sizeof(vestry_bounds)},
    {"vestry_connection_options", take_connection, sizes_zero, sizeof(vestry_connection_options)},
    {"vestry_connection_hooks", take_hooks, sizes_zero, sizeof(vestry_connection_hooks)},
    {"vestry_signals_limits", take_limits, sizes_zero, sizeof(vestry_signals_limits)},
    {"vestry_signals_limits", take_limits_to_parse, sizes_zero, sizeof(vestry_signals_limits)},
    {"vestry_runtime_options", take_runtime, &runtime, sizeof runtime},
    {"vestry_actor_options", take_actor, &actor, sizeof actor},
    {"vestry_store_options", take_store, &store, sizeof store},
    {"vestry_value_ops", take_value, &value, sizeof value},
    {"vestry_interceptor", take_interceptor, &interceptor, sizeof interceptor},
    {"vestry_dispatch_options", take_dispatch, sizes_zero, sizeof(vestry_dispatch_options)},
    {"vestry_memory_call", take_call, sizes_zero, sizeof(vestry_memory_call)},
    {"vestry_elements_options", take_elements, sizes_zero, sizeof(vestry_elements_options)},
    {"vestry_signals_options", take_signals, sizes_zero, sizeof(vestry_signals_options)},
    {"vestry_script_options", take_script, sizes_zero, sizeof(vestry_script_options)},
    {"vestry_custom_event_options", take_custom, sizes_zero, sizeof(vestry_custom_event_options)},
    {"vestry_server_options", take_server, sizes_zero, sizeof(vestry_server_options)},
    {"vestry_memory_network_options", take_network, sizes_zero, sizeof(vestry_memory_network_options)},
    {"vestry_broker_events", take_broker_events, sizes_zero, sizeof(vestry_broker_events)},
    {"vestry_backend_action_options", take_backend_action, sizes_zero, sizeof(vestry_backend_action_options)},
#ifdef HAS_SQLITE
    {"vestry_jobs_options", sizes_take_jobs, sizes_zero, sizeof(vestry_jobs_options)},
    {"vestry_job_order", sizes_take_job_order, &sizes_job_order, sizeof sizes_job_order},
    {"vestry_sql_rows", sizes_take_rows, &sizes_rows, sizeof sizes_rows},
    {"vestry_sql_shape", sizes_take_shape, &sizes_shape, sizeof sizes_shape},
#endif
};

static void check_taken(const sizes_taken *of) {
  union {
    size_t size;
    unsigned char bytes[1024];
  } given = {.bytes = {0}};
  size_t size = of->size;
  memcpy(&given, of->good, size);
  print_message("%s, %zu bytes\n", of->name, size);
  assert_int_equal(of->take(&given), VESTRY_OK); /* size 0: the frozen layout */
  given.size = size;
  assert_int_equal(of->take(&given), VESTRY_OK);
  given.size = size + 24; /* a program for a later version, which sets no unknown member */
  assert_int_equal(of->take(&given), VESTRY_OK);
  for (size_t at = size; at < size + 24; at++) {
    given.bytes[at] = 1;
    assert_int_equal(of->take(&given), VESTRY_INVALID);
    given.bytes[at] = 0;
  }
  for (size_t wrong = 1; wrong < sizeof(size_t); wrong++) {
    given.size = wrong;
    assert_int_equal(of->take(&given), VESTRY_INVALID);
  }
  /* A program for an earlier version: the bytes after its struct are not read. */
  if (of->good == sizes_zero) {
    memset(given.bytes + sizeof(size_t), 0xa5, sizeof given - sizeof(size_t));
    given.size = sizeof(size_t);
    vestry_err error = of->take(&given);
    assert_true(!error || (of->take == take_dispatch && error == VESTRY_CLOSED));
  }
}

static void what_goes_in_may_have_another_size(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) check_taken(&taken[i]);
  for (size_t i = 0; i < sizes_extensions_taken_count; i++) check_taken(&sizes_extensions_taken[i]);
}

/* ---- structs that are filled ------------------------------------------------------------------------------------- */

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

static void fill_channels_stats(void *ret) {
  vestry_channels_stats_get(v, ret);
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

static void fill_put_result(void *ret) {
  static int one;
  vestry_store *made;
  assert_int_equal(vestry_store_create("hash", &store, &made), VESTRY_OK);
  assert_int_equal(vestry_store_put(made, (vestry_scope){NULL, 0}, VESTRY_KEY(1), &one, VESTRY_KEEP_REPLACE, 0, ret),
                   VESTRY_OK);
  vestry_store_destroy(made);
}

static const sizes_filled filled[] = {
    {"vestry_stats", fill_stats, sizeof(vestry_stats)},
    {"vestry_store_stats", fill_store_stats, sizeof(vestry_store_stats)},
    {"vestry_connection_stats", fill_connection_stats, sizeof(vestry_connection_stats)},
    {"vestry_channel_stats", fill_channel_stats, sizeof(vestry_channel_stats)},
    {"vestry_channels_stats", fill_channels_stats, sizeof(vestry_channels_stats)},
    {"vestry_memory_network_stats", fill_network_stats, sizeof(vestry_memory_network_stats)},
    {"vestry_dispatch_result", fill_dispatch_result, sizeof(vestry_dispatch_result)},
    {"vestry_put_result", fill_put_result, sizeof(vestry_put_result)},
#ifdef HAS_SQLITE
    {"vestry_jobs_stats", sizes_fill_jobs_stats, sizeof(vestry_jobs_stats)},
#endif
};

static void check_filled(const sizes_filled *of) {
  enum { ROOM = 4096, STALE = 0xa5 };
  union {
    size_t size;
    unsigned char bytes[ROOM];
  } got;
  const size_t own = of->size, sizes[] = {0, sizeof(size_t), sizeof(size_t) + 4, own - 8, own, own + 64};
  print_message("%s, %zu bytes\n", of->name, own);
  assert_true(own + 64 < ROOM);
  for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
    memset(&got, STALE, sizeof got);
    got.size = sizes[j];
    of->fill(&got);
    assert_int_equal(got.size, sizes[j]);
    size_t end = sizes[j] ? sizes[j] : own;
    for (size_t at = own; at < end; at++) assert_int_equal(got.bytes[at], 0); /* unknown members are sizes_zero */
    for (size_t at = end; at < ROOM; at++) assert_int_equal(got.bytes[at], STALE);
  }
}

static void what_comes_out_fits_the_room(void **state) {
  (void)state;
  vestry_memory_exchange *page;
  const vestry_memory_call call = {.method = "PUT", .datastar = true, .body = "{}", .body_len = 2};
  assert_int_equal(vestry_memory_request(v, &call, live, NULL, &page), VESTRY_OK);
  connection = vestry_memory_look(page).connection;
  assert_int_equal(vestry_join(v, (vestry_scope){0}, VESTRY_KEY("room"), connection), VESTRY_OK);
  sizes_use(v, connection);
  for (size_t i = 0; i < sizeof filled / sizeof *filled; i++) check_filled(&filled[i]);
  for (size_t i = 0; i < sizes_extensions_filled_count; i++) check_filled(&sizes_extensions_filled[i]);
  sizes_use(v, NULL);
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
  if (!mkdtemp(sizes_folder)) return -1;
#ifdef HAS_SQLITE
  sizes_open_jobs(sizes_folder);
#endif
  const vestry_err error = vestry_create(&options, &v);
  if (!error) sizes_use(v, NULL);
  return (int)error;
}

static int end(void **state) {
  (void)state;
  vestry_destroy(v);
#ifdef HAS_SQLITE
  sizes_close_jobs();
#endif
  return rmdir(sizes_folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_goes_in_may_have_another_size),
      cmocka_unit_test(what_comes_out_fits_the_room),
      cmocka_unit_test(tables_may_be_longer),
  };
  return cmocka_run_group_tests_name("structs of another size", tests, begin, end);
}
