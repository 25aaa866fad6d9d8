/* SPDX-License-Identifier: MIT */
/* A client by its address. An IPv4 address counts as itself, an IPv6 address as its /64, which is what one client is
 * given. */
#ifndef VSI_HTTP_ADDRESS_H
#define VSI_HTTP_ADDRESS_H

#include <stdint.h>
#include <sys/socket.h>

/* A client, as it is counted. */
typedef struct vsi_address {
  uint64_t prefix;
  uint8_t family; /* AF_INET, AF_INET6; 0: none that could be counted, such as a UNIX socket's */
} vsi_address;

/* IPv4 in IPv6's clothes (::ffff:192.0.2.1) counts as IPv4. NULL is accepted. */
vsi_address vsi_address_of(const struct sockaddr *address);
/* The same from its text, "192.0.2.1" or "2001:db8::1". NULL is accepted. */
vsi_address vsi_address_parse(const char *text);

#endif
