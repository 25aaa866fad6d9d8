/* SPDX-License-Identifier: MIT */
/* The peers of connections, and the sockets of this process, which are found by their peers: civetweb gives no access
 * to the descriptors of its connections. */
#ifndef VSI_CIVETWEB_PEER_H
#define VSI_CIVETWEB_PEER_H

#include <string.h>

#include "vestry/cause.h"
#include "vestry/host.h"

/* Identifies a socket of the server. The server's own address is not included, because civetweb does not report it. */
typedef struct vsi_civetweb_peer {
  unsigned char address[16]; /* IPv6; IPv4 as mapped */
  uint16_t port, server_port;
} vsi_civetweb_peer;

/* The kernel's data about one TCP socket. */
typedef struct vsi_civetweb_socket {
  bool established;       /* false: the peer has closed its side, or the connection was reset */
  uint32_t unacked_bytes; /* written but not acknowledged, sent or not */
  bool window_shut;       /* the peer has no room, and the kernel probes it at intervals */
  uint32_t probes_count;  /* probes since the last acknowledgement of anything */
  uint32_t since_ack_ms;  /* time since that acknowledgement */
} vsi_civetweb_socket;

/* Parse a peer from the text in mg_request_info; false: it is no IP address. */
bool vsi_civetweb_peer_parse(const char *address, int port, int server_port, vsi_civetweb_peer *ret_peer);

static inline bool vsi_civetweb_peer_equal(const vsi_civetweb_peer *a, const vsi_civetweb_peer *b) {
  _Static_assert(sizeof *a == 20, "without padding");
  return memcmp(a, b, sizeof *a) == 0;
}

/* Return whether the search continues. */
typedef bool (*vsi_civetweb_socket_fn)(void *ctx, int fd, const vsi_civetweb_peer *peer);

/* Look at the connected sockets of this process, in the order of their descriptors, until fn returns false. The cost
 * depends on the number of open descriptors, not on the limit of the process, which is a million in many containers.
 * Descriptors can be opened and closed meanwhile.
 * Returns  whether all sockets that were open from begin to end were seen: false if the system has no /proc, and the
 *          descriptors of this process have no lower limit than a million */
bool vsi_civetweb_sockets_see(vsi_civetweb_socket_fn fn, void *ctx);

/* Read the state of a connected or formerly connected TCP socket. */
vsi_civetweb_socket vsi_civetweb_socket_read(int fd);

/* Judge a peer by its socket: NONE, it is there; HANGUP, it has closed its side; LOST, it has left bytes unacknowledged
 * for longer than lost_ns (UINT64_MAX: never LOST).
 * unacked_since_ns  kept from one judgement to the next; UINT64_MAX at first */
vestry_cause vsi_civetweb_peer_judge(uint64_t *unacked_since_ns, const vsi_civetweb_socket *socket, uint64_t now_ns,
                                     uint64_t lost_ns);

#endif
