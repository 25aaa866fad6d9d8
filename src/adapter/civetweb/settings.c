/* SPDX-License-Identifier: MIT */
/* The settings of a civetweb server that concern vestry, read from its options as civetweb reads them, and checks that
 * civetweb does not make itself.
 *
 * If civetweb cannot create a worker, it continues with those that it has. If it cannot create the accepting thread, it
 * continues without one, and reports nothing. And if descriptors run out, its accepting thread retries in a busy loop.
 * None of this can be repaired from outside while the server runs, but all of it can be predicted, because civetweb
 * never has more clients than threads, places in its queue, and one that is being accepted. */
#include "adapter/civetweb/adapter.h"

#include <civetweb.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/ascii.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "base/thread.h"

/* OTHER_DESCRIPTORS belong to no client: ports, files, logs, and those of the application. STACK_BYTES: as in Debian's
 * civetweb. SETTLE_TURNS: the kernel counts a joined thread for a moment longer. */
enum {
  DEFAULT_TIMEOUT_MS = 30000,
  LEAST_RESERVE = 2,
  MOST_RESERVE = 32,
  OTHER_DESCRIPTORS = 64,
  STACK_BYTES = 102400,
  SETTLE_TURNS = 10000
};

uint32_t vsi_civetweb_reserve(uint32_t asked, uint32_t threads_count) {
  if (asked) return asked;
  uint32_t tenth = threads_count / 10;
  return tenth < LEAST_RESERVE ? LEAST_RESERVE : tenth > MOST_RESERVE ? MOST_RESERVE : tenth;
}

/* ----------------------------------------------------------------------------------------------------- reading ---- */

/* A trailing s means TLS, r a redirect to TLS; nothing else can follow the digits. */
bool vsi_civetweb_names_tls_port(const char *ports) {
  for (const char *at = strpbrk(ports, "sr"); at; at = strpbrk(at + 1, "sr")) {
    const char *rest = at + 1 + strspn(at + 1, " \t");
    if (at > ports && vsi_is_digit(at[-1]) && (!*rest || *rest == ',')) return true;
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

/* The options of civetweb. set: the value that sets a bool; NULL: the member is a number. */
#define AT(member) offsetof(vsi_civetweb_settings, member)
static const struct {
  const char *name, *set;
  size_t at;
} options[] = {
    {"num_threads", NULL, AT(threads_count)},
    {"connection_queue", NULL, AT(queue_count)},
    {"request_timeout_ms", NULL, AT(request_timeout_ms)},
    {"max_request_size", NULL, AT(head_bytes)},
    {"enable_keep_alive", "yes", AT(keep_alive)},
    {"tcp_nodelay", "1", AT(nodelay)},
    {"decode_query_string", "yes", AT(query_is_decoded)},
    {"decode_url", "no", AT(path_is_raw)},
};
#undef AT
enum { OPTIONS_COUNT = sizeof options / sizeof *options };

/* The defaults of civetweb. */
static const vsi_civetweb_settings unset = {
    .threads_count = 50, .queue_count = 20, .request_timeout_ms = DEFAULT_TIMEOUT_MS, .head_bytes = 16384};

/* Parse a number as civetweb does; 0 if it is negative or no number. */
static uint32_t number_of(const char *text) {
  long number = strtol(text, NULL, 10);
  return number < 0 || number > INT32_MAX ? 0 : (uint32_t)number;
}

static void settle(vsi_civetweb_settings *settings, size_t option, const char *value) {
  char *member = (char *)settings + options[option].at;
  const bool is_set = options[option].set && vsi_strcasecmp(value, options[option].set) == 0;
  const uint32_t number = number_of(value);
  if (options[option].set)
    memcpy(member, &is_set, sizeof is_set);
  else
    memcpy(member, &number, sizeof number);
  if (!settings->request_timeout_ms) settings->request_timeout_ms = DEFAULT_TIMEOUT_MS;
}

void vsi_civetweb_settings_read(const struct mg_context *server, vsi_civetweb_settings *ret_settings) {
  *ret_settings = unset;
  for (size_t i = 0; i < OPTIONS_COUNT; i++) {
    const char *value = mg_get_option(server, options[i].name);
    if (value) settle(ret_settings, i, value);
  }
}

/* ---------------------------------------------------------------------------------------------------- checking ---- */

static vestry_err refuse(char *why, size_t capacity, vestry_err error, const char *format, ...) VESTRY_PRINTF(4, 5);
static vestry_err refuse(char *why, size_t capacity, vestry_err error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(why, capacity, format, arguments);
  va_end(arguments);
  return error;
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
  struct rlimit limit;
  const uint64_t needed = (uint64_t)settings->threads_count + settings->queue_count + 1 + OTHER_DESCRIPTORS;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || needed <= limit.rlim_cur) return VESTRY_OK;
  return refuse(why, capacity, VESTRY_LIMIT,
                "num_threads (%u) and connection_queue (%u) need %" PRIu64 " descriptors, but RLIMIT_NOFILE is %" PRIu64
                "; raise it (ulimit -n), or use fewer threads",
                settings->threads_count, settings->queue_count, needed, (uint64_t)limit.rlim_cur);
}

uint32_t vsi_civetweb_threads_possible(uint32_t least, uint32_t most) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= 2 * (rlim_t)most + 1 + OTHER_DESCRIPTORS) return most;
  const rlim_t others = 1 + OTHER_DESCRIPTORS, possible = limit.rlim_cur > others ? (limit.rlim_cur - others) / 2 : 0;
  return possible > least ? (uint32_t)possible : least;
}

static void *wait_for_the_end(void *argument) {
  vsi_mutex *end = argument;
  vsi_mutex_lock(end);
  vsi_mutex_unlock(end);
  return NULL;
}

/* Return the kernel's number of threads; 0: unknown. */
static unsigned long threads_now(void) {
  struct stat at;
  return stat("/proc/self/task", &at) == 0 ? (unsigned long)at.st_nlink : 0;
}

/* Create this many threads at once, and end them. Returns the number that could be created. */
static uint32_t try_threads(uint32_t count) {
  const vestry_host *host = vestry_host_default();
  pthread_t *threads = vsi_calloc(host, count, sizeof *threads);
  if (!threads) return 0;
  const unsigned long before = threads_now();
  vsi_mutex end = VSI_MUTEX_INITIALIZER(VSI_LOCK_CIVETWEB_TRIAL);
  pthread_attr_t attributes;
  uint32_t made = 0;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  vsi_mutex_lock(&end);
  while (made < count && vsi_thread_make(&threads[made], &attributes, wait_for_the_end, &end) == 0) made++;
  vsi_mutex_unlock(&end);
  pthread_attr_destroy(&attributes);
  for (uint32_t i = 0; i < made; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < SETTLE_TURNS && threads_now() > before; i++) sched_yield();
  vsi_free(host, threads);
  return made;
}

vestry_err vestry_civetweb_check(const char *const *settings, char *why, size_t capacity) {
  vsi_civetweb_settings made = unset;
  const char *ports = "";
  for (const char *const *at = settings; at && at[0] && at[1]; at += 2) {
    if (strcmp(at[0], "listening_ports") == 0) ports = at[1];
    for (size_t i = 0; i < OPTIONS_COUNT; i++)
      if (strcmp(at[0], options[i].name) == 0) settle(&made, i, at[1]);
  }
  if (vsi_civetweb_names_unix_socket(ports) && !mg_check_feature(MG_FEATURES_X_DOMAIN_SOCKET))
    return refuse(why, capacity, VESTRY_UNSUPPORTED,
                  "listening_ports contains a UNIX socket, but this civetweb was built without UNIX sockets");
  if (vsi_civetweb_names_tls_port(ports) && !tls_works())
    return refuse(why, capacity, VESTRY_UNSUPPORTED,
                  "listening_ports contains a TLS port, but this civetweb cannot start TLS");
  const uint32_t reserve = vsi_civetweb_reserve(0, made.threads_count);
  if (made.threads_count <= reserve)
    return refuse(why, capacity, VESTRY_INVALID,
                  "num_threads is %u, and %u threads are reserved for requests, so none is left for streams; raise "
                  "num_threads",
                  made.threads_count, reserve);
  if (!made.nodelay)
    return refuse(why, capacity, VESTRY_INVALID, "tcp_nodelay is not 1, so small patches would wait for 40 ms; set it");
  vestry_err error = vsi_civetweb_check_descriptors(&made, why, capacity);
  if (error) return error;
  const uint32_t wanted = made.threads_count + 1, possible = try_threads(wanted); /* one thread accepts */
  if (possible == wanted) return VESTRY_OK;
  return refuse(why, capacity, VESTRY_LIMIT,
                "num_threads is %u, but the system permits only %u threads; check RLIMIT_NPROC (ulimit -u), pids.max "
                "and the memory",
                made.threads_count, possible);
}
