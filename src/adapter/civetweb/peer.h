/* SPDX-License-Identifier: MIT */
/* The peer of a stream: its address, and the state of its socket. */
#ifndef VSI_CIVETWEB_PEER_H
#define VSI_CIVETWEB_PEER_H

#include "vestry/cause.h"
#include "vestry/host.h"

/* Identifies a socket of the server. The server's own address is not included, because civetweb does not report it. */
typedef struct vsi_civetweb_peer {
  unsigned char address[16]; /* IPv6; IPv4 as mapped */
  uint16_t port, server_port;
} vsi_civetweb_peer;

/* The kernel's data about one TCP socket. */
typedef struct vsi_civetweb_socket {
  vsi_civetweb_peer peer;
  uint64_t cookie;        /* the socket's unique number, never reused */
  bool established;       /* false: the peer has closed its side */
  uint32_t unacked_bytes; /* written but not acknowledged, sent or not */
  bool window_shut;       /* the peer has no room, and the kernel probes it at intervals */
  uint32_t probes_count;  /* probes since the last acknowledgement of anything */
  uint32_t since_ack_ms;  /* time since that acknowledgement */
} vsi_civetweb_socket;

/* Get the 16 bytes of an address of either family; IPv4 as mapped. */
void vsi_civetweb_address_read(unsigned char address[16], int family, const void *bytes);
/* Parse a peer from the text in mg_request_info; false: it is no IP address. */
bool vsi_civetweb_peer_parse(const char *address, int port, int server_port, vsi_civetweb_peer *ret_peer);
/* Get the peer of a descriptor; false: the descriptor is closed, or not a connected socket. */
bool vsi_civetweb_peer_of_descriptor(int fd, vsi_civetweb_peer *ret_peer);
/* Look at the open descriptors of this process, in the order of their numbers, until `sees` returns false. The cost
 * depends on the number of open ones, not on the limit of the process, which is a million in many containers.
 * Descriptors can be opened and closed meanwhile. Returns whether the system lists them (/proc/self/fd). */
bool vsi_civetweb_descriptors_see(bool (*sees)(void *ctx, int fd), void *ctx);
/* The same; if the system does not list them, look at all possible numbers. */
void vsi_civetweb_descriptors_see_all(bool (*sees)(void *ctx, int fd), void *ctx);
bool vsi_civetweb_peer_equal(const vsi_civetweb_peer *a, const vsi_civetweb_peer *b);
uint64_t vsi_civetweb_peer_hash(const vsi_civetweb_peer *peer, uint64_t seed);

/* Judge a peer by its socket: NONE, it is there; HANGUP, it has closed its side; LOST, it has left bytes unacknowledged
 * for longer than lost_ns (UINT64_MAX: never LOST).
 * unacked_since_ns  kept from one judgement to the next; UINT64_MAX at first */
vestry_cause vsi_civetweb_peer_judge(uint64_t *unacked_since_ns, const vsi_civetweb_socket *socket, uint64_t now_ns,
                                     uint64_t lost_ns);

#endif
