/* SPDX-License-Identifier: MIT */
/* A stream's peer: its address, and what its socket says of it. */
#ifndef VSI_CIVETWEB_PEER_H
#define VSI_CIVETWEB_PEER_H

#include "vestry/cause.h"
#include "vestry/host.h"

/* Which socket of the server's. The server's own address is not part of it, as civetweb does not tell it. */
typedef struct vsi_civetweb_peer {
  unsigned char address[16]; /* IPv6; IPv4 as mapped */
  uint16_t port, server_port;
} vsi_civetweb_peer;

/* What the kernel says of one TCP socket. */
typedef struct vsi_civetweb_socket {
  vsi_civetweb_peer peer;
  uint64_t cookie;        /* the socket's own number, never reused */
  bool established;       /* false: the peer has shut its side */
  uint32_t unacked_bytes; /* written and not acknowledged, sent or not */
  bool window_shut;       /* the peer has no room: the kernel probes it now and then */
  uint32_t probes_count;  /* of these, since the last acknowledgement of anything */
  uint32_t since_ack_ms;  /* since that acknowledgement */
} vsi_civetweb_socket;

/* The 16 bytes of an address of one of the two families; of IPv4: mapped. */
void vsi_civetweb_address_read(unsigned char address[16], int family, const void *bytes);
/* From text, as mg_request_info has it: false when it is no IP address. */
bool vsi_civetweb_peer_parse(const char *address, int port, int server_port, vsi_civetweb_peer *ret_peer);
/* False: the descriptor is closed, or no connected socket. */
bool vsi_civetweb_peer_of_descriptor(int fd, vsi_civetweb_peer *ret_peer);
bool vsi_civetweb_peer_equal(const vsi_civetweb_peer *a, const vsi_civetweb_peer *b);
uint64_t vsi_civetweb_peer_hash(const vsi_civetweb_peer *peer, uint64_t seed);

/* Judge a peer by its socket: NONE, it is there; HANGUP, it has shut its side; LOST, it leaves bytes unacknowledged for
 * longer than lost_ns (UINT64_MAX: that is not asked).
 * unacked_since_ns  kept from one judgement to the next; UINT64_MAX to begin with */
vestry_cause vsi_civetweb_peer_judge(uint64_t *unacked_since_ns, const vsi_civetweb_socket *socket, uint64_t now_ns,
                                     uint64_t lost_ns);

#endif
