/* SPDX-License-Identifier: MIT */
/* The settings of a civetweb server that concern vestry, read from its options as civetweb reads them. */
#include "adapter/civetweb/settings.h"

#include <civetweb.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "adapter/civetweb/room.h"

enum { DEFAULT_TIMEOUT_MS = 30000, LEAST_RESERVE = 2, MOST_RESERVE = 32 };

uint32_t vsi_civetweb_reserve(uint32_t asked, uint32_t threads_count) {
  if (asked) return asked;
  uint32_t tenth = threads_count / 10;
  return tenth < LEAST_RESERVE ? LEAST_RESERVE : tenth > MOST_RESERVE ? MOST_RESERVE : tenth;
}

/* Parse a number as civetweb does; 0 if it is negative or no number. */
static uint32_t number_of(const char *text) {
  long number = strtol(text, NULL, 10);
  return number < 0 || number > INT32_MAX ? 0 : (uint32_t)number;
}

/* A trailing s means TLS, r a redirect to TLS; nothing else can follow the digits. */
bool vsi_civetweb_names_tls_port(const char *ports) {
  for (const char *at = ports; *at;) {
    size_t len = strcspn(at, ",");
    size_t used = len;
    while (used && (at[used - 1] == ' ' || at[used - 1] == '\t')) used--;
    if (used >= 2 && (at[used - 1] == 's' || at[used - 1] == 'r') && isdigit((unsigned char)at[used - 2])) return true;
    at += len;
    if (*at == ',') at++;
  }
  return false;
}

bool vsi_civetweb_names_unix_socket(const char *ports) {
  for (const char *at = ports; *at; at += strcspn(at, ",")) {
    at += strspn(at, ", \t");
    if (at[0] == 'x') return true;
  }
  return false;
}

static void settle(vsi_civetweb_settings *settings, const char *name, const char *value) {
  if (strcmp(name, "num_threads") == 0)
    settings->threads_count = number_of(value);
  else if (strcmp(name, "request_timeout_ms") == 0)
    settings->request_timeout_ms = number_of(value) ? number_of(value) : DEFAULT_TIMEOUT_MS;
  else if (strcmp(name, "enable_keep_alive") == 0)
    settings->keep_alive = strcasecmp(value, "yes") == 0;
  else if (strcmp(name, "connection_queue") == 0)
    settings->queue_count = number_of(value);
  else if (strcmp(name, "max_request_size") == 0)
    settings->head_bytes = number_of(value);
  else if (strcmp(name, "decode_query_string") == 0)
    settings->query_is_decoded = strcasecmp(value, "yes") == 0;
  else if (strcmp(name, "decode_url") == 0)
    settings->path_is_raw = strcasecmp(value, "no") == 0;
  else if (strcmp(name, "tcp_nodelay") == 0)
    settings->nodelay = strcmp(value, "1") == 0;
  else if (strcmp(name, "listening_ports") == 0) {
    settings->tls = vsi_civetweb_names_tls_port(value);
    settings->unix_socket = vsi_civetweb_names_unix_socket(value);
  }
}

/* The defaults of civetweb. */
static const vsi_civetweb_settings unset = {
    .threads_count = 50, .queue_count = 20, .request_timeout_ms = DEFAULT_TIMEOUT_MS, .head_bytes = 16384};

void vsi_civetweb_settings_read(const struct mg_context *server, vsi_civetweb_settings *ret_settings) {
  static const char *const names[] = {"num_threads",       "connection_queue",    "request_timeout_ms",
                                      "enable_keep_alive", "decode_query_string", "tcp_nodelay",
                                      "listening_ports",   "max_request_size",    "decode_url"};
  *ret_settings = unset;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *value = mg_get_option(server, names[i]);
    if (value && *value) settle(ret_settings, names[i], value);
  }
}

/* Return whether TLS works. The feature bit only means that TLS was compiled in; only an initialization shows whether
 * the libraries of this machine fit. The calls are counted, so a civetweb that is initialized already stays
 * initialized. However, 1.15 reports the failure only to the first call in a process, because half of the
 * initialization remains and is taken for a complete one afterwards. */
static bool tls_works(void) {
  if (!mg_check_feature(MG_FEATURES_TLS)) return false;
  unsigned features = mg_init_library(MG_FEATURES_TLS);
  mg_exit_library();
  return (features & MG_FEATURES_TLS) != 0;
}

vestry_err vsi_civetweb_check_descriptors(const vsi_civetweb_settings *settings, char *why, size_t capacity) {
  uint64_t needed = vsi_civetweb_descriptors_needed(settings->threads_count, settings->queue_count);
  uint64_t allowed = vsi_civetweb_descriptors_allowed();
  if (needed <= allowed) return VESTRY_OK;
  snprintf(why, capacity,
           "num_threads (%u) and connection_queue (%u) need %" PRIu64 " descriptors, but RLIMIT_NOFILE is %" PRIu64
           "; raise it (ulimit -n), or use fewer threads",
           settings->threads_count, settings->queue_count, needed, allowed);
  return VESTRY_LIMIT;
}

static vestry_err check_threads(const vsi_civetweb_settings *settings, char *why, size_t capacity) {
  uint32_t wanted = settings->threads_count + 1; /* one thread accepts */
  uint32_t made = vsi_civetweb_try_threads(wanted);
  if (made == wanted) return VESTRY_OK;
  snprintf(why, capacity,
           "num_threads is %u, but the system permits only %u threads; check RLIMIT_NPROC (ulimit -u), pids.max and "
           "the memory",
           settings->threads_count, made);
  return VESTRY_LIMIT;
}

vestry_err vestry_civetweb_check(const char *const *settings, char *why, size_t capacity) {
  vsi_civetweb_settings made = unset;
  for (const char *const *at = settings; at && at[0] && at[1]; at += 2) settle(&made, at[0], at[1]);
  if (made.unix_socket && !mg_check_feature(MG_FEATURES_X_DOMAIN_SOCKET)) {
    snprintf(why, capacity, "listening_ports contains a UNIX socket, but this civetweb was built without UNIX sockets");
    return VESTRY_UNSUPPORTED;
  }
  if (made.tls && !tls_works()) {
    snprintf(why, capacity, "listening_ports contains a TLS port, but this civetweb cannot start TLS");
    return VESTRY_UNSUPPORTED;
  }
  uint32_t reserve = vsi_civetweb_reserve(0, made.threads_count);
  if (made.threads_count <= reserve) {
    snprintf(
        why, capacity,
        "num_threads is %u, and %u threads are reserved for requests, so none is left for streams; raise num_threads",
        made.threads_count, reserve);
    return VESTRY_INVALID;
  }
  if (!made.nodelay) {
    snprintf(why, capacity, "tcp_nodelay is not 1, so small patches would wait for 40 ms; set it");
    return VESTRY_INVALID;
  }
  vestry_err error = vsi_civetweb_check_descriptors(&made, why, capacity);
  return error ? error : check_threads(&made, why, capacity);
}
