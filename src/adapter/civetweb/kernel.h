/* SPDX-License-Identifier: MIT */
/* The state of a server's TCP sockets, read from the kernel by NETLINK_SOCK_DIAG: which peers are connected, and which
 * bytes they have acknowledged. This needs neither a descriptor of the server nor a privilege. */
#ifndef VSI_CIVETWEB_KERNEL_H
#define VSI_CIVETWEB_KERNEL_H

#include "adapter/civetweb/peer.h"

/* A port on which the server listens. A socket that listens on IPv6 may accept IPv4 clients, too; they count as
 * IPv6. */
typedef struct vsi_civetweb_port {
  uint16_t number;
  bool is_ipv6;
} vsi_civetweb_port;

enum { VSI_CIVETWEB_KERNEL_BUFFER = 32768 }; /* the kernel fills no more at once */

typedef struct vsi_civetweb_kernel {
  int netlink; /* -1: closed */
  uint32_t sequence;
  uint16_t port_low, port_high; /* lowest and highest port of the server */
  bool ipv4, ipv6;              /* families to request: each costs a walk through the kernel's whole table */
  _Alignas(8) char buffer[VSI_CIVETWEB_KERNEL_BUFFER];
} vsi_civetweb_kernel;

typedef enum vsi_civetweb_sockets {
  VSI_CIVETWEB_LISTENING,
  VSI_CIVETWEB_CONNECTED /* established, or half-closed by the peer */
} vsi_civetweb_sockets;

typedef void (*vsi_civetweb_socket_fn)(const vsi_civetweb_socket *socket, void *ctx);

void vsi_civetweb_kernel_init(vsi_civetweb_kernel *kernel, const vsi_civetweb_port *ports, size_t ports_count);
void vsi_civetweb_kernel_finish(vsi_civetweb_kernel *kernel);

/* Call fn for each socket whose local port lies in the range. Does not wait, because the kernel answers immediately.
 * One thread at a time.
 * Returns  OK: all sockets that existed from begin to end, except those that the kernel skips when a neighbour in its
 *          table is removed at that moment | IO: no answer, or a part of it; fn may have been called */
vestry_err vsi_civetweb_kernel_dump(vsi_civetweb_kernel *kernel, vsi_civetweb_sockets which, vsi_civetweb_socket_fn fn,
                                    void *ctx);

#endif
