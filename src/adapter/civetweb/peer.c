/* SPDX-License-Identifier: MIT */
/* The peers of connections (peer.h): finding their sockets among the descriptors of this process, and the cause with
 * which a stream ends, determined by the state of its socket. */
#include "adapter/civetweb/peer.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* glibc's struct tcp_info ends before the window */
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/memory.h"

/* <netinet/tcp.h> defines it and <linux/tcp.h> does not; the two cannot be included together. */
enum { TCP_ESTABLISHED = 1 };

/* The kernel probes a closed window at growing intervals, up to two minutes. One probe may have been sent just now; the
 * second is sent only if the first was not answered. */
enum { UNANSWERED_PROBES = 2 };

/* Number of descriptors to look through if the process has no lower limit. */
enum { DESCRIPTORS_MOST = 1 << 20 };

static void read_bytes(unsigned char address[16], int family, const void *bytes) {
  static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
  size_t before = family == AF_INET6 ? 0 : sizeof mapped;
  memcpy(address, mapped, before);
  memcpy(address + before, bytes, 16 - before);
}

bool vsi_civetweb_peer_parse(const char *address, int port, int server_port, vsi_civetweb_peer *ret_peer) {
  char text[INET6_ADDRSTRLEN];
  unsigned char bytes[16];
  size_t len = strcspn(address, "%"); /* the name of an interface may follow */
  if (len >= sizeof text) return false;
  memcpy(text, address, len);
  text[len] = '\0';
  int family = strchr(text, ':') ? AF_INET6 : AF_INET;
  if (inet_pton(family, text, bytes) != 1) return false;
  *ret_peer = (vsi_civetweb_peer){.port = (uint16_t)port, .server_port = (uint16_t)server_port};
  read_bytes(ret_peer->address, family, bytes);
  return true;
}

/* --------------------------------------------------------------------------------------------------- searching ---- */

typedef union address {
  struct sockaddr any;
  struct sockaddr_in four;
  struct sockaddr_in6 six;
} address;

/* Get the port of an IP address, and its 16 bytes. */
static bool read_address(const address *from, unsigned char bytes[16], uint16_t *ret_port) {
  bool is_six = from->any.sa_family == AF_INET6;
  if (!is_six && from->any.sa_family != AF_INET) return false;
  read_bytes(bytes, from->any.sa_family, is_six ? (const void *)&from->six.sin6_addr : &from->four.sin_addr);
  *ret_port = ntohs(is_six ? from->six.sin6_port : from->four.sin_port);
  return true;
}

/* Call fn for a descriptor, unless it is closed, or no connected socket. */
static bool see(int fd, vsi_civetweb_socket_fn fn, void *ctx) {
  address there = {.any.sa_family = AF_UNSPEC}, here = there;
  socklen_t there_len = sizeof there, here_len = sizeof here;
  unsigned char own[16];
  vsi_civetweb_peer peer;
  if (getpeername(fd, &there.any, &there_len) || !read_address(&there, peer.address, &peer.port) ||
      getsockname(fd, &here.any, &here_len) || !read_address(&here, own, &peer.server_port))
    return true;
  return fn(ctx, fd, &peer);
}

static bool see_all_numbers(vsi_civetweb_socket_fn fn, void *ctx) {
  struct rlimit limit;
  const bool is_low = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_MOST;
  const int end = is_low ? (int)limit.rlim_cur : DESCRIPTORS_MOST;
  for (int fd = 0; fd < end && see(fd, fn, ctx); fd++) continue;
  return is_low;
}

bool vsi_civetweb_sockets_see(vsi_civetweb_socket_fn fn, void *ctx) {
  DIR *all = opendir("/proc/self/fd");
  if (!all) return see_all_numbers(fn, ctx);
  const struct dirent *at;
  while ((at = readdir(all)) && (at->d_name[0] == '.' || see(atoi(at->d_name), fn, ctx))) continue;
  closedir(all);
  return true;
}

/* ----------------------------------------------------------------------------------------------------- judging ---- */

/* If bytes wait and none is in flight, the window has no room for them. If the window is closed while bytes are in
 * flight, the kernel reports a window of 0; older kernels do not report the window. */
vsi_civetweb_socket vsi_civetweb_socket_read(int fd) {
  struct tcp_info info = {.tcpi_state = 0};
  socklen_t len = sizeof info;
  int unacked_bytes = 0;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) || ioctl(fd, SIOCOUTQ, &unacked_bytes))
    return (vsi_civetweb_socket){.established = false};
  const bool tells_window = len >= offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd;
  return (vsi_civetweb_socket){.established = info.tcpi_state == TCP_ESTABLISHED,
                               .unacked_bytes = (uint32_t)unacked_bytes,
                               .window_shut = !info.tcpi_unacked || (tells_window && !info.tcpi_snd_wnd),
                               .probes_count = info.tcpi_probes,
                               .since_ack_ms = info.tcpi_last_ack_recv};
}

/* Decide whether a peer is LOST. Unacknowledged bytes alone are no evidence: a heartbeat that was written a moment ago
 * is unacknowledged, and the last acknowledgement before it may be one heartbeat interval ago. Therefore the time runs
 * from the later of two events: the first check that found unacknowledged bytes, and the last acknowledgement. (If
 * bytes were acknowledged between two checks and others followed, that acknowledgement counts.) A live peer that does
 * not read acknowledges, too: first the bytes that fit into its window, then the probes of the closed window; see
 * UNANSWERED_PROBES. */
vestry_cause vsi_civetweb_peer_judge(uint64_t *unacked_since_ns, const vsi_civetweb_socket *socket, uint64_t now_ns,
                                     uint64_t lost_ns) {
  if (!socket->established) return VESTRY_CAUSE_HANGUP;
  if (!socket->unacked_bytes) {
    *unacked_since_ns = UINT64_MAX;
    return VESTRY_CAUSE_NONE;
  }
  if (*unacked_since_ns == UINT64_MAX) *unacked_since_ns = now_ns;
  if (socket->window_shut && socket->probes_count < UNANSWERED_PROBES) return VESTRY_CAUSE_NONE;
  uint64_t unacked_ns = now_ns - *unacked_since_ns, quiet_ns = vsi_ms_to_ns(socket->since_ack_ms);
  uint64_t waited_ns = unacked_ns < quiet_ns ? unacked_ns : quiet_ns;
  return waited_ns >= lost_ns ? VESTRY_CAUSE_LOST : VESTRY_CAUSE_NONE;
}
