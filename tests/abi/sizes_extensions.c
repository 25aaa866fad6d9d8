/* SPDX-License-Identifier: MIT */
#include "abi/sizes_extensions.h"

#include "support/test.h"

const vestry_secret sizes_secret = {.secret = "0123456789012345678901234567890123456789", .secret_len = 40};

static vestry *create(void) {
  vestry *v;
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v), VESTRY_OK);
  return v;
}

vestry_err sizes_take_sessions(const void *given) {
  vestry *v = create();
  vestry_err error = vestry_sessions_create(v, given);
  vestry_destroy(v);
  return error;
}

vestry_err sizes_take_storage(const void *given) {
  return sizes_take_sessions(&(vestry_session_options){.storage = given});
}

vestry_err sizes_take_secret(const void *given) {
  vestry *v = create();
  vestry_err error = vestry_secret_set(v, given);
  vestry_destroy(v);
  return error;
}

vestry_err sizes_take_application(const void *given) {
  vestry_application *made = NULL;
  vestry_err error = vestry_application_create(given, &made);
  return error ? error : vestry_application_destroy(made);
}

vestry_err sizes_take_bus(const void *given) {
  vestry *v = create();
  vestry_err error = vestry_bus_create(v, given);
  vestry_destroy(v);
  return error;
}

static vestry_err start(vestry *v, const vestry_contract_settings *settings, void **ret_server, uint16_t *ret_port) {
  (void)v, (void)settings, (void)ret_server, (void)ret_port;
  return VESTRY_UNSUPPORTED;
}

static vestry_err stop(void *server, uint64_t timeout_ms) {
  (void)server, (void)timeout_ms;
  return VESTRY_OK;
}

static void destroy(void *server) {
  (void)server;
}

const vestry_contract_adapter sizes_contract = {.name = "none", .start = start, .stop = stop, .destroy = destroy};

vestry_err sizes_take_contract(const void *given) {
  return vestry_contract_run(given, "") ? VESTRY_INVALID : VESTRY_OK;
}

/* An instance without these extensions: all counters are zero, as far as the struct has room for them. */
#define FILL(name, function)                                                                                           \
  void sizes_fill_##name(void *ret) {                                                                                  \
    vestry *v = create();                                                                                              \
    function(v, ret);                                                                                                  \
    vestry_destroy(v);                                                                                                 \
  }
FILL(bus_stats, vestry_bus_stats_get)
FILL(session_stats, vestry_session_stats_get)
FILL(watch_stats, vestry_watch_stats_get)
FILL(lease_stats, vestry_lease_stats_get)
FILL(histories_stats, vestry_histories_stats_get)
