#include "adapter/microhttpd/daemon.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter/microhttpd/serve.h"
#include "adapter/web/host.h"

enum {
  DEFAULT_STREAMS = 10000,
  MAX_STREAMS = 1000000,
  LEAST_MORE_CONNECTIONS = 64,
  MAX_CONNECTIONS = 2 * MAX_STREAMS,
  DEFAULT_MEMORY_BYTES = 4096,
  LEAST_MEMORY_BYTES = 1024,
  MAX_MEMORY_BYTES = 16 << 20,
  DEFAULT_TIMEOUT_S = 30,
  MAX_THREADS = 256,
  BACKLOG = 4096,
  LINE_BYTES = 512
};

static unsigned processors(void) {
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count < 2 ? 2 : count > MAX_THREADS ? MAX_THREADS : (unsigned)count;
}

vestry_err vsi_microhttpd_settings_resolve(const vestry_microhttpd_options *options,
                                           vsi_microhttpd_settings *ret_settings) {
  uint32_t streams = options->max_streams ? options->max_streams : DEFAULT_STREAMS;
  if ((options->size && options->size < sizeof *options) || streams > MAX_STREAMS) return VESTRY_INVALID;
  uint32_t more = streams / 4 > LEAST_MORE_CONNECTIONS ? streams / 4 : LEAST_MORE_CONNECTIONS;
  vsi_microhttpd_settings made = {
      .address = options->address ? options->address : "0.0.0.0",
      .port = options->port,
      .streams_count = streams,
      .threads_count = options->threads_count ? options->threads_count : processors(),
      .connections_count = options->max_connections ? options->max_connections : streams + more,
      .timeout_s = options->timeout_s ? options->timeout_s : DEFAULT_TIMEOUT_S,
      .memory_bytes = options->memory_bytes ? options->memory_bytes : DEFAULT_MEMORY_BYTES,
      .tls_key = options->tls_key,
      .tls_certificate = options->tls_certificate,
  };
  /* Each thread has its share of the connections, and needs at least one. */
  if (made.threads_count > MAX_THREADS || made.connections_count > MAX_CONNECTIONS ||
      made.connections_count <= streams || made.connections_count < made.threads_count)
    return VESTRY_INVALID;
  if (made.memory_bytes < LEAST_MEMORY_BYTES || made.memory_bytes > MAX_MEMORY_BYTES) return VESTRY_INVALID;
  if (!made.tls_key != !made.tls_certificate) return VESTRY_INVALID;
  *ret_settings = made;
  return VESTRY_OK;
}

/* What it says while it starts tells why it does not; later it tells of clients that broke off. */
static void log_line(void *cls, const char *format, va_list arguments) VESTRY_PRINTF(2, 0);
static void log_line(void *cls, const char *format, va_list arguments) {
  vestry_microhttpd *adapter = cls;
  char line[LINE_BYTES] = "libmicrohttpd: ";
  size_t prefix = strlen(line);
  vsnprintf(line + prefix, sizeof line - prefix, format, arguments);
  line[strcspn(line, "\n")] = '\0';
  bool started = atomic_load_explicit(&adapter->daemon, memory_order_relaxed) != NULL; /* a mere look */
  vsi_web_log(adapter->host, started ? VESTRY_LOG_DEBUG : VESTRY_LOG_ERROR, line);
}

static struct MHD_Daemon *start(vestry_microhttpd *adapter, const vsi_microhttpd_settings *settings,
                                const struct addrinfo *at) {
  unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
  if (at->ai_family == AF_INET6) flags |= MHD_USE_IPv6;
  if (settings->tls_key) flags |= MHD_USE_TLS;
  struct MHD_OptionItem more[4];
  size_t count = 0;
  /* One thread is no pool. */
  if (settings->threads_count > 1)
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)settings->threads_count, NULL};
  if (settings->tls_key) {
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)settings->tls_key};
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)settings->tls_certificate};
  }
  more[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
  return MHD_start_daemon(flags, settings->port, NULL, NULL, vsi_microhttpd_access, adapter, MHD_OPTION_EXTERNAL_LOGGER,
                          log_line, adapter, MHD_OPTION_SOCK_ADDR, at->ai_addr, MHD_OPTION_CONNECTION_LIMIT,
                          settings->connections_count, MHD_OPTION_CONNECTION_MEMORY_LIMIT, settings->memory_bytes,
                          MHD_OPTION_CONNECTION_TIMEOUT, settings->timeout_s, MHD_OPTION_LISTEN_BACKLOG_SIZE,
                          (unsigned)BACKLOG, MHD_OPTION_NOTIFY_CONNECTION, vsi_microhttpd_connected, adapter,
                          MHD_OPTION_URI_LOG_CALLBACK, vsi_microhttpd_started, adapter, MHD_OPTION_NOTIFY_COMPLETED,
                          vsi_microhttpd_completed, adapter, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

vestry_err vsi_microhttpd_daemon_start(vestry_microhttpd *adapter, const vsi_microhttpd_settings *settings) {
  if (MHD_is_feature_supported(MHD_FEATURE_EPOLL) != MHD_YES ||
      (settings->tls_key && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES))
    return VESTRY_UNSUPPORTED;
  char port[8];
  snprintf(port, sizeof port, "%u", settings->port);
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
  struct addrinfo *at = NULL;
  if (getaddrinfo(settings->address, port, &hints, &at) != 0) return VESTRY_INVALID;
  struct MHD_Daemon *daemon = start(adapter, settings, at);
  freeaddrinfo(at);
  if (!daemon) return VESTRY_IO;
  /* release pairs with vestry_microhttpd_port, which a handler may have called by now */
  atomic_store_explicit(&adapter->daemon, daemon, memory_order_release);
  return VESTRY_OK;
}
