/* SPDX-License-Identifier: MIT */
/* Checking the options of an adapter and filling in their defaults. The numbers of connections and streams are adapted
 * to the descriptors that the process may have. */
#include "adapter/microhttpd/settings.h"

#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "adapter/microhttpd/unix_socket.h"
#include "adapter/web/policy.h"
#include "base/log.h"

enum {
  LEAST_MORE_CONNECTIONS = 64,
  MAX_CONNECTIONS = 2 * VSI_MICROHTTPD_MAX_STREAMS,
  DEFAULT_HEAD_BYTES = 16384,
  MEMORY_A_HEAD = 4, /* the head, a copy of its cookies, records of headers and cookies, and the head of the answer */
  LEAST_MEMORY_BYTES = 1024,
  MAX_MEMORY_BYTES = 16 << 20,
  DEFAULT_UNIX_MODE = 0660,
  MAX_UNIX_MODE = 0777,
  DEFAULT_TIMEOUT_S = 30,
  MAX_THREADS = 256,
  DESCRIPTORS = 8, /* of the acceptor, the watch and the streams */
  DESCRIPTORS_A_THREAD = 3,
  LEAST_SEND_BUFFER_BYTES = 4096,
  MAX_SEND_BUFFER_BYTES = 64 << 20,
  LEAST_RESERVE = 16, /* for the application */
  MOST_RESERVE = 256
};

/* Return TCP_USER_TIMEOUT. The worst case is a connection that breaks just after a heartbeat: then one heartbeat passes
 * until there is something to acknowledge, then lost_ms. */
unsigned vsi_microhttpd_lost_ms(const vestry *v, uint64_t lost_ms) {
  if (lost_ms == VESTRY_NEVER_MS) return 0;
  if (!lost_ms) {
    lost_ms = vestry_parts_of(v)->heartbeat_ms;
    if (lost_ms == VESTRY_NEVER_MS) lost_ms = VSI_WEB_LOST_WITHOUT_HEARTBEAT_MS;
    if (lost_ms < VSI_WEB_LOST_LEAST_MS) lost_ms = VSI_WEB_LOST_LEAST_MS;
  }
  return lost_ms < INT_MAX ? (unsigned)lost_ms : INT_MAX; /* the kernel's limit */
}

static unsigned processors(void) {
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count < 2 ? 2 : count > MAX_THREADS ? MAX_THREADS : (unsigned)count;
}

bool vsi_microhttpd_send_buffer_fits(size_t bytes) {
  return !bytes || (bytes >= LEAST_SEND_BUFFER_BYTES && bytes <= MAX_SEND_BUFFER_BYTES);
}

vestry_err vsi_microhttpd_settings_resolve(const vestry *v, vestry_microhttpd_options *options) {
  if (!options->max_streams) options->max_streams = VSI_MICROHTTPD_DEFAULT_STREAMS;
  if (options->max_streams > VSI_MICROHTTPD_MAX_STREAMS) return VESTRY_INVALID;
  uint32_t streams = options->max_streams;
  if (!options->max_connections)
    options->max_connections = streams + (streams / 4 > LEAST_MORE_CONNECTIONS ? streams / 4 : LEAST_MORE_CONNECTIONS);
  if (!options->threads_count) options->threads_count = processors();
  if (!options->timeout_s) options->timeout_s = DEFAULT_TIMEOUT_S;
  if (!options->request_timeout_ms) options->request_timeout_ms = VSI_MICROHTTPD_DEFAULT_REQUEST_MS;
  if (options->max_head_bytes > MAX_MEMORY_BYTES / MEMORY_A_HEAD) return VESTRY_INVALID;
  if (!options->max_head_bytes)
    options->max_head_bytes = options->memory_bytes ? options->memory_bytes / MEMORY_A_HEAD : DEFAULT_HEAD_BYTES;
  if (!options->memory_bytes) options->memory_bytes = MEMORY_A_HEAD * options->max_head_bytes;
  options->lost_ms = vsi_microhttpd_lost_ms(v, options->lost_ms);
  /* Each thread has a share of the connections, and needs at least one. */
  if (options->threads_count > MAX_THREADS || options->max_connections > MAX_CONNECTIONS ||
      options->max_connections <= streams || options->max_connections < options->threads_count)
    return VESTRY_INVALID;
  if (options->memory_bytes < LEAST_MEMORY_BYTES || options->memory_bytes > MAX_MEMORY_BYTES ||
      options->memory_bytes / MEMORY_A_HEAD < options->max_head_bytes)
    return VESTRY_INVALID;
  if (!vsi_microhttpd_send_buffer_fits(options->send_buffer_bytes)) return VESTRY_INVALID;
  if (!options->tls_key != !options->tls_certificate) return VESTRY_INVALID;
  if (options->unix_path && (options->address || options->port || !vsi_microhttpd_unix_path_fits(options->unix_path)))
    return VESTRY_INVALID;
  if (options->unix_mode && (!options->unix_path || options->unix_mode > MAX_UNIX_MODE)) return VESTRY_INVALID;
  if (!options->unix_mode) options->unix_mode = DEFAULT_UNIX_MODE;
  if (!options->address) options->address = "0.0.0.0";
  return VESTRY_OK;
}

vestry_err vsi_microhttpd_settings_fit(const vestry_host *host, vestry_microhttpd_options *options) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= 2 * (rlim_t)MAX_CONNECTIONS) return VESTRY_OK;
  unsigned all = (unsigned)limit.rlim_cur, reserve = all / 8;
  if (reserve < LEAST_RESERVE) reserve = LEAST_RESERVE;
  if (reserve > MOST_RESERVE) reserve = MOST_RESERVE;
  reserve += DESCRIPTORS + DESCRIPTORS_A_THREAD * options->threads_count;
  if (all < reserve + options->threads_count + 1) {
    vsi_log(host, VESTRY_LOG_ERROR,
            "vestry_microhttpd_create: RLIMIT_NOFILE is %u, but %u threads need %u descriptors; raise it (ulimit -n)",
            all, options->threads_count, reserve + options->threads_count + 1);
    return VESTRY_IO;
  }
  unsigned most = all - reserve;
  if (options->max_connections <= most) return VESTRY_OK;
  uint32_t streams = most - (most + 4) / 5;
  if (streams > options->max_streams) streams = options->max_streams;
  vsi_log(
      host, VESTRY_LOG_WARN,
      "libmicrohttpd: RLIMIT_NOFILE is %u, so at most %u connections and %u streams are accepted instead of %u and %u",
      all, most, streams, options->max_connections, options->max_streams);
  options->max_connections = most;
  options->max_streams = streams;
  return VESTRY_OK;
}
