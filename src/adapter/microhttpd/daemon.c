#include "adapter/microhttpd/daemon.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "adapter/microhttpd/habits.h"
#include "adapter/microhttpd/serve.h"
#include "adapter/microhttpd/stream.h"
#include "base/outside.h"

enum {
  DEFAULT_STREAMS = VSI_MICROHTTPD_DEFAULT_STREAMS,
  MAX_STREAMS = VSI_MICROHTTPD_MAX_STREAMS,
  LEAST_MORE_CONNECTIONS = 64,
  MAX_CONNECTIONS = 2 * MAX_STREAMS,
  DEFAULT_MEMORY_BYTES = 4096,
  LEAST_MEMORY_BYTES = 1024,
  MAX_MEMORY_BYTES = 16 << 20,
  DEFAULT_UNIX_MODE = 0660,
  MAX_UNIX_MODE = 0777,
  DEFAULT_TIMEOUT_S = 30,
  MAX_THREADS = 256,
  DESCRIPTORS = 8, /* of the door, the watch and the streams above */
  DESCRIPTORS_A_THREAD = 3,
  LEAST_SEND_BUFFER_BYTES = 4096,
  MAX_SEND_BUFFER_BYTES = 64 << 20,
  LEAST_RESERVE = 16, /* for the application */
  MOST_RESERVE = 256,
  STRICT = 1,
  LINE_BYTES = 512
};

static unsigned processors(void) {
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count < 2 ? 2 : count > MAX_THREADS ? MAX_THREADS : (unsigned)count;
}

bool vsi_microhttpd_send_buffer_fits(size_t bytes) {
  return !bytes || (bytes >= LEAST_SEND_BUFFER_BYTES && bytes <= MAX_SEND_BUFFER_BYTES);
}

vestry_err vsi_microhttpd_settings_resolve(const vestry_microhttpd_options *options,
                                           vsi_microhttpd_settings *ret_settings) {
  uint32_t streams = options->max_streams ? options->max_streams : DEFAULT_STREAMS;
  if (streams > MAX_STREAMS) return VESTRY_INVALID;
  uint32_t more = streams / 4 > LEAST_MORE_CONNECTIONS ? streams / 4 : LEAST_MORE_CONNECTIONS;
  vsi_microhttpd_settings made = {
      .address = options->address ? options->address : "0.0.0.0",
      .port = options->port,
      .unix_path = options->unix_path,
      .unix_mode = options->unix_mode ? options->unix_mode : DEFAULT_UNIX_MODE,
      .streams_count = streams,
      .threads_count = options->threads_count ? options->threads_count : processors(),
      .connections_count = options->max_connections ? options->max_connections : streams + more,
      .timeout_s = options->timeout_s ? options->timeout_s : DEFAULT_TIMEOUT_S,
      .send_buffer_bytes = options->send_buffer_bytes,
      .tls_key = options->tls_key,
      .tls_certificate = options->tls_certificate,
  };
  made.limits = (vsi_microhttpd_limits){
      .request_ms = options->request_timeout_ms ? options->request_timeout_ms : VSI_MICROHTTPD_DEFAULT_REQUEST_MS,
      .idle_ms = made.timeout_s * UINT64_C(1000),
      .memory_bytes = options->memory_bytes ? options->memory_bytes : DEFAULT_MEMORY_BYTES,
      .per_address = options->max_per_address,
  };
  /* Each thread has its share of the connections, and needs at least one. */
  if (made.threads_count > MAX_THREADS || made.connections_count > MAX_CONNECTIONS ||
      made.connections_count <= streams || made.connections_count < made.threads_count)
    return VESTRY_INVALID;
  if (made.limits.memory_bytes < LEAST_MEMORY_BYTES || made.limits.memory_bytes > MAX_MEMORY_BYTES)
    return VESTRY_INVALID;
  if (!vsi_microhttpd_send_buffer_fits(made.send_buffer_bytes)) return VESTRY_INVALID;
  if (!made.tls_key != !made.tls_certificate) return VESTRY_INVALID;
  if (made.unix_path && (options->address || options->port || !vsi_microhttpd_unix_path_fits(made.unix_path)))
    return VESTRY_INVALID;
  if (options->unix_mode && (!made.unix_path || made.unix_mode > MAX_UNIX_MODE)) return VESTRY_INVALID;
  *ret_settings = made;
  return VESTRY_OK;
}

/* What it says while it starts tells why it does not; later it tells of clients that broke off. */
static void log_line(void *cls, const char *format, va_list arguments) VESTRY_PRINTF(2, 0);
static void log_line(void *cls, const char *format, va_list arguments) {
  vestry_microhttpd *adapter = cls;
  if (vsi_microhttpd_stream_is_closing()) return;
  bool started = atomic_load_explicit(&adapter->daemon, memory_order_relaxed) != NULL; /* a mere look */
  char line[LINE_BYTES];
  size_t prefix = (size_t)snprintf(line, sizeof line, "%slibmicrohttpd: ", started ? "" : "vestry_microhttpd_create: ");
  vsnprintf(line + prefix, sizeof line - prefix, format, arguments);
  line[strcspn(line, "\n")] = '\0';
  vsi_outside_log(adapter->host, started ? VESTRY_LOG_DEBUG : VESTRY_LOG_ERROR, line);
}

static struct MHD_Daemon *start(vestry_microhttpd *adapter, const vsi_microhttpd_settings *settings) {
  /* A thread of 0.9.75 that is given more connections than its share of the limit keeps a lock for ever (not so since
   * 1.0). So it has no limit that it could reach: the door holds to it. */
  /* With TLS its epoll mode spins while a handshake is half done. Its poll mode looks at each connection of a thread
   * when anything happens, but at no stream: these are suspended. */
  unsigned flags = MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
  flags |= settings->tls_key ? MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_TLS : MHD_USE_EPOLL_INTERNAL_THREAD;
  struct MHD_OptionItem more[5];
  size_t count = 0;
  /* 1.0 reads folded lines as one, otherwise, and answers blanks in a target with a redirect. 0.9.75 would close on the
   * latter, and they are refused here (web/target.c). */
  if (adapter->is_strict) more[count++] = (struct MHD_OptionItem){MHD_OPTION_STRICT_FOR_CLIENT, STRICT, NULL};
  /* One thread is no pool. */
  if (settings->threads_count > 1)
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)settings->threads_count, NULL};
  if (settings->tls_key) {
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)settings->tls_key};
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)settings->tls_certificate};
  }
  more[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
  return MHD_start_daemon(flags, 0, NULL, NULL, vsi_microhttpd_access, adapter, MHD_OPTION_EXTERNAL_LOGGER, log_line,
                          adapter, MHD_OPTION_CONNECTION_LIMIT, UINT_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                          settings->limits.memory_bytes, MHD_OPTION_CONNECTION_TIMEOUT, settings->timeout_s,
                          MHD_OPTION_NOTIFY_CONNECTION, vsi_microhttpd_connected, adapter, MHD_OPTION_URI_LOG_CALLBACK,
                          vsi_microhttpd_started, adapter, MHD_OPTION_NOTIFY_COMPLETED, vsi_microhttpd_completed,
                          adapter, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

/* The descriptors that are left for connections, and for streams among them. */
static vestry_err fit(vestry_microhttpd *adapter, const vsi_microhttpd_settings *wanted,
                      vsi_microhttpd_settings *ret_settings) {
  struct rlimit limit;
  *ret_settings = *wanted;
  if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= 2 * (rlim_t)MAX_CONNECTIONS) return VESTRY_OK;
  unsigned all = (unsigned)limit.rlim_cur, reserve = all / 8;
  if (reserve < LEAST_RESERVE) reserve = LEAST_RESERVE;
  if (reserve > MOST_RESERVE) reserve = MOST_RESERVE;
  reserve += DESCRIPTORS + DESCRIPTORS_A_THREAD * wanted->threads_count;
  char line[LINE_BYTES];
  if (all < reserve + wanted->threads_count + 1) {
    snprintf(line, sizeof line,
             "vestry_microhttpd_create: RLIMIT_NOFILE is %u, and %u threads need %u descriptors: let there be more "
             "(ulimit -n)",
             all, (unsigned)wanted->threads_count, reserve + (unsigned)wanted->threads_count + 1);
    vsi_outside_log(adapter->host, VESTRY_LOG_ERROR, line);
    return VESTRY_IO;
  }
  unsigned most = all - reserve;
  if (wanted->connections_count <= most) return VESTRY_OK;
  ret_settings->connections_count = most;
  if (ret_settings->streams_count > most - (most + 4) / 5) ret_settings->streams_count = most - (most + 4) / 5;
  snprintf(line, sizeof line, "libmicrohttpd: RLIMIT_NOFILE is %u: %u connections and %u streams instead of %u and %u",
           all, most, (unsigned)ret_settings->streams_count, wanted->connections_count,
           (unsigned)wanted->streams_count);
  vsi_outside_log(adapter->host, VESTRY_LOG_WARN, line);
  return VESTRY_OK;
}

vestry_err vsi_microhttpd_settings_fit(vestry_microhttpd *adapter, vsi_microhttpd_settings *settings) {
  vsi_microhttpd_settings fitting;
  vestry_err error = fit(adapter, settings, &fitting);
  if (!error) *settings = fitting;
  return error;
}

/* Whether heads have to be looked at, or it refuses by itself those that can be read in two ways. */
static vestry_err learn_habits(vestry_microhttpd *adapter) {
  vsi_microhttpd_habits habits;
  vestry_err error = vsi_microhttpd_habits_find(adapter->host, &habits);
  if (error) return error;
  adapter->is_strict = habits.refuses_odd || !habits.finds_odd;
  adapter->measures_heads = !habits.refuses_odd && habits.keeps_heads;
  if (habits.refuses_odd || habits.finds_odd) return VESTRY_OK;
  char line[LINE_BYTES];
  snprintf(line, sizeof line,
           "libmicrohttpd %s takes heads that can be read in two ways, and vestry does not find them: put a proxy in "
           "front that refuses them, or take 0.9.75 or 1.0",
           MHD_get_version());
  vsi_outside_log(adapter->host, VESTRY_LOG_WARN, line);
  return VESTRY_OK;
}

vestry_err vsi_microhttpd_daemon_start(vestry_microhttpd *adapter, const vsi_microhttpd_settings *settings) {
  if (MHD_is_feature_supported(MHD_FEATURE_EPOLL) != MHD_YES ||
      (settings->tls_key && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)) {
    vsi_outside_log(
        adapter->host, VESTRY_LOG_ERROR,
        "vestry_microhttpd_create: this libmicrohttpd was built without epoll, or without TLS: take another");
    return VESTRY_UNSUPPORTED;
  }
  vestry_err error = learn_habits(adapter);
  if (error) return error;
  error =
      settings->unix_path
          ? vsi_microhttpd_door_make_unix(&adapter->door, adapter->v, settings->unix_path, settings->unix_mode)
          : vsi_microhttpd_door_make(&adapter->door, adapter->v, settings->address, settings->port, settings->lost_ms);
  struct MHD_Daemon *daemon = error ? NULL : start(adapter, settings);
  if (!daemon) return error ? error : VESTRY_IO;
  /* release pairs with vestry_microhttpd_port, which a handler may have called by now */
  atomic_store_explicit(&adapter->daemon, daemon, memory_order_release);
  adapter->door.is_tls = adapter->is_tls;
  return vsi_microhttpd_door_open(&adapter->door, daemon, settings->connections_count, &adapter->sockets);
}
