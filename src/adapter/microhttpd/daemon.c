/* SPDX-License-Identifier: MIT */
/* Starting libmicrohttpd: its flags and options, and its log. */
#include "adapter/microhttpd/daemon.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "adapter/microhttpd/capabilities.h"
#include "adapter/microhttpd/refused.h"
#include "adapter/microhttpd/serve.h"
#include "adapter/microhttpd/transport.h"
#include "base/log.h"

enum { STRICT = 1, LINE_BYTES = 512 };

/* Log a line of libmicrohttpd. Lines during the start contain the reason of its failure; later lines are about clients
 * that broke off. */
static void log_line(void *cls, const char *format, va_list arguments) VESTRY_PRINTF(2, 0);
static void log_line(void *cls, const char *format, va_list arguments) {
  vsi_microhttpd *adapter = cls;
  if (vsi_microhttpd_transport_is_closing()) return;
  bool started = atomic_load_explicit(&adapter->daemon, memory_order_relaxed) != NULL; /* relaxed: only a check */
  if (started && !vsi_microhttpd_is_attached(adapter)) (void)vsi_microhttpd_refused_look(adapter, format, arguments);
  char line[LINE_BYTES];
  size_t prefix = (size_t)snprintf(line, sizeof line, "%slibmicrohttpd: ", started ? "" : "vestry_microhttpd_create: ");
  vsnprintf(line + prefix, sizeof line - prefix, format, arguments);
  line[strcspn(line, "\n")] = '\0';
  vsi_log(adapter->host, started ? VESTRY_LOG_DEBUG : VESTRY_LOG_ERROR, "%s", line);
}

static struct MHD_Daemon *start(vsi_microhttpd *adapter, const vestry_microhttpd_options *options) {
  /* With TLS, the epoll mode spins during an incomplete handshake. The poll mode looks at every connection of a thread
   * on each event, but not at streams, because these are suspended. */
  unsigned flags = MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
  flags |= options->tls_key ? MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_TLS : MHD_USE_EPOLL_INTERNAL_THREAD;
  struct MHD_OptionItem more[5];
  size_t count = 0;
  /* If libmicrohttpd is not strict, 1.0 joins folded lines, and redirects a request whose target contains blanks. If it
   * is strict, 0.9.75 closes the connection because of such a target; vestry itself rejects these targets
   * (web/target.c). */
  if (adapter->is_strict) more[count++] = (struct MHD_OptionItem){MHD_OPTION_STRICT_FOR_CLIENT, STRICT, NULL};
  /* One thread is no pool. */
  if (options->threads_count > 1)
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)options->threads_count, NULL};
  if (options->tls_key) {
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)options->tls_key};
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)options->tls_certificate};
  }
  more[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
  /* If a thread of 0.9.75 gets more connections than its share of the limit, it never releases a lock (fixed in 1.0).
   * Therefore libmicrohttpd gets a limit of connections that it cannot reach (UINT_MAX); the acceptor enforces the real
   * limit. */
  return MHD_start_daemon(flags, 0, NULL, NULL, vsi_microhttpd_access, adapter, MHD_OPTION_EXTERNAL_LOGGER, log_line,
                          adapter, MHD_OPTION_CONNECTION_LIMIT, UINT_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                          options->memory_bytes, MHD_OPTION_CONNECTION_TIMEOUT, options->timeout_s,
                          MHD_OPTION_NOTIFY_CONNECTION, vsi_microhttpd_connected, adapter, MHD_OPTION_URI_LOG_CALLBACK,
                          vsi_microhttpd_started, adapter, MHD_OPTION_NOTIFY_COMPLETED, vsi_microhttpd_completed,
                          adapter, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

/* Determine whether heads must be checked, or libmicrohttpd itself refuses heads that can be read in two ways. */
static vestry_err probe_capabilities(vsi_microhttpd *adapter) {
  vsi_microhttpd_capabilities capabilities;
  vestry_err error = vsi_microhttpd_capabilities_find(adapter->host, &capabilities);
  if (error) return error;
  adapter->is_strict = capabilities.refuses_odd || !capabilities.finds_odd;
  adapter->measures_heads = !capabilities.refuses_odd && capabilities.keeps_heads;
  if (capabilities.refuses_odd || capabilities.finds_odd) return VESTRY_OK;
  vsi_log(adapter->host, VESTRY_LOG_WARN,
          "libmicrohttpd %s accepts ambiguous request heads, which vestry cannot detect; use a proxy that refuses "
          "them, or version 0.9.75 or 1.0",
          MHD_get_version());
  return VESTRY_OK;
}

/* Return TCP_USER_TIMEOUT for connections that are not streams yet. The kernel counts how long a peer acknowledges
 * nothing, and also how long a peer that acknowledges keeps its window closed. A client may pause for timeout_s, so the
 * value is at least that. */
static unsigned silent_ms(const vestry_microhttpd_options *options) {
  const uint64_t unread_ms = options->timeout_s * UINT64_C(1000);
  if (!options->lost_ms || options->lost_ms >= unread_ms) return (unsigned)options->lost_ms;
  return unread_ms < INT_MAX ? (unsigned)unread_ms : INT_MAX;
}

vestry_err vsi_microhttpd_daemon_start(vsi_microhttpd *adapter, const vestry_microhttpd_options *options) {
  if (MHD_is_feature_supported(MHD_FEATURE_EPOLL) != MHD_YES ||
      (options->tls_key && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)) {
    vsi_log(adapter->host, VESTRY_LOG_ERROR,
            "vestry_microhttpd_create: this libmicrohttpd was built without epoll or without TLS; use another build");
    return VESTRY_UNSUPPORTED;
  }
  vestry_err error = probe_capabilities(adapter);
  if (error) return error;
  error = options->unix_path ? vsi_microhttpd_acceptor_make_unix(&adapter->acceptor, adapter->v, options->unix_path,
                                                                 options->unix_mode)
                             : vsi_microhttpd_acceptor_make(&adapter->acceptor, adapter->v, options->address,
                                                            options->port, silent_ms(options));
  if (!error) adapter->base.port = vsi_microhttpd_acceptor_port(&adapter->acceptor);
  struct MHD_Daemon *daemon = error ? NULL : start(adapter, options);
  if (!daemon) return error ? error : VESTRY_IO;
  atomic_store_explicit(&adapter->daemon, daemon, memory_order_relaxed); /* only this thread ends it */
  adapter->acceptor.is_tls = adapter->is_tls;
  return vsi_microhttpd_acceptor_open(&adapter->acceptor, daemon, options->max_connections, &adapter->sockets);
}
