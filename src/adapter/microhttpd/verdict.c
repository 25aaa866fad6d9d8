/* SPDX-License-Identifier: MIT */
/* The cause with which a stream ends, determined by the state of its socket in the kernel. */
#include "adapter/microhttpd/verdict.h"

#include <errno.h>
#include <linux/tcp.h> /* glibc's struct tcp_info ends before the window */
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

/* The longest interval between probes of a closed window (TCP_RTO_MAX of the kernel). */
enum { MOST_BETWEEN_PROBES_MS = 120000 };

/* The kernel gives up with the same error after the same time, whether the peer is silent or keeps its window closed.
 * If it kept its window closed, the window is still closed, or, if the window is only too small, the peer has
 * acknowledged bytes meanwhile. */
vestry_cause vsi_microhttpd_verdict(int fd, int error) {
  if (error != ETIMEDOUT && error != EHOSTUNREACH && error != ENETUNREACH) return VESTRY_CAUSE_HANGUP;
  struct tcp_info info;
  unsigned timeout_ms = 0;
  socklen_t info_len = sizeof info, timeout_len = sizeof timeout_ms;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_len) != 0 ||
      getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &timeout_len) != 0)
    return VESTRY_CAUSE_LOST;
  bool tells_window = info_len >= offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd;
  if (tells_window && !info.tcpi_snd_wnd) return VESTRY_CAUSE_STALLED;
  return info.tcpi_last_ack_recv < (timeout_ms ? timeout_ms : MOST_BETWEEN_PROBES_MS) ? VESTRY_CAUSE_STALLED
                                                                                      : VESTRY_CAUSE_LOST;
}
