/* SPDX-License-Identifier: MIT */
/* The peer of a stream: parsing its address, and the cause with which its stream ends, determined by the state of its
 * socket. */
#include "adapter/civetweb/peer.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/memory.h"

/* The kernel probes a closed window at growing intervals, up to two minutes. One probe may have been sent just now; the
 * second is sent only if the first was not answered. */
enum { UNANSWERED_PROBES = 2 };

/* Number of descriptors to look through if the process has no lower limit. */
enum { DESCRIPTORS_MOST = 1 << 20 };

void vsi_civetweb_address_read(unsigned char address[16], int family, const void *bytes) {
  static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
  size_t before = family == AF_INET6 ? 0 : sizeof mapped;
  memcpy(address, mapped, before);
  memcpy(address + before, bytes, 16 - before);
}

bool vsi_civetweb_peer_parse(const char *address, int port, int server_port, vsi_civetweb_peer *ret_peer) {
  vsi_civetweb_peer peer = {.port = (uint16_t)port, .server_port = (uint16_t)server_port};
  char text[INET6_ADDRSTRLEN];
  unsigned char bytes[16];
  size_t len = strcspn(address, "%"); /* the name of an interface may follow */
  if (len >= sizeof text) return false;
  memcpy(text, address, len);
  text[len] = '\0';
  int family = strchr(text, ':') ? AF_INET6 : AF_INET;
  if (inet_pton(family, text, bytes) != 1) return false;
  vsi_civetweb_address_read(peer.address, family, bytes);
  *ret_peer = peer;
  return true;
}

/* Get the port of an address, and its 16 bytes if address is not NULL. */
static bool read_address(const struct sockaddr_storage *from, unsigned char *address, uint16_t *ret_port) {
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)from;
  const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)from;
  bool is_six = from->ss_family == AF_INET6;
  if (!is_six && from->ss_family != AF_INET) return false;
  if (address)
    vsi_civetweb_address_read(address, from->ss_family, is_six ? (const void *)&six->sin6_addr : &four->sin_addr);
  *ret_port = ntohs(is_six ? six->sin6_port : four->sin_port);
  return true;
}

bool vsi_civetweb_peer_of_descriptor(int fd, vsi_civetweb_peer *ret_peer) {
  struct sockaddr_storage there = {.ss_family = AF_UNSPEC}, here = {.ss_family = AF_UNSPEC};
  socklen_t there_len = sizeof there, here_len = sizeof here;
  return getpeername(fd, (struct sockaddr *)&there, &there_len) == 0 &&
         read_address(&there, ret_peer->address, &ret_peer->port) &&
         getsockname(fd, (struct sockaddr *)&here, &here_len) == 0 && read_address(&here, NULL, &ret_peer->server_port);
}

bool vsi_civetweb_descriptors_see(bool (*sees)(void *ctx, int fd), void *ctx) {
  DIR *all = opendir("/proc/self/fd");
  if (!all) return false;
  const struct dirent *at;
  while ((at = readdir(all)) && (at->d_name[0] == '.' || sees(ctx, atoi(at->d_name)))) continue;
  closedir(all);
  return true;
}

void vsi_civetweb_descriptors_see_all(bool (*sees)(void *ctx, int fd), void *ctx) {
  struct rlimit limit;
  if (vsi_civetweb_descriptors_see(sees, ctx)) return;
  const bool is_low = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_MOST;
  const int end = is_low ? (int)limit.rlim_cur : DESCRIPTORS_MOST;
  for (int fd = 0; fd < end && sees(ctx, fd); fd++) continue;
}

bool vsi_civetweb_peer_equal(const vsi_civetweb_peer *a, const vsi_civetweb_peer *b) {
  return a->port == b->port && a->server_port == b->server_port &&
         memcmp(a->address, b->address, sizeof a->address) == 0;
}

uint64_t vsi_civetweb_peer_hash(const vsi_civetweb_peer *peer, uint64_t seed) {
  uint64_t parts[3] = {0, 0, (uint64_t)peer->port << 16 | peer->server_port};
  memcpy(parts, peer->address, sizeof peer->address);
  uint64_t hash = seed;
  for (int i = 0; i < 3; i++) {
    hash = (hash ^ parts[i]) * UINT64_C(0x9E3779B97F4A7C15);
    hash ^= hash >> 32;
  }
  return hash;
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
