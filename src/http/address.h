/* SPDX-License-Identifier: MIT */
/* A client, identified by its address. An IPv4 address identifies one client, also if a translator has written it as
 * IPv6 (64:ff9b::192.0.2.1, RFC 6052). Another IPv6 address is reduced to its /64 prefix, because one client is
 * assigned that much. Header only, because adapters are separate libraries. */
#ifndef VSI_HTTP_ADDRESS_H
#define VSI_HTTP_ADDRESS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* The key by which clients are counted. */
typedef struct vsi_address {
  uint64_t prefix;
  uint8_t family; /* AF_INET, AF_INET6; 0: not countable, for example the peer of a UNIX socket */
} vsi_address;

static inline vsi_address vsi_address_of_ipv4(const struct in_addr *number) {
  return (vsi_address){ntohl(number->s_addr), AF_INET};
}

/* Return whether a translator made the address of an IPv4 address that is not this machine's: only this machine itself
 * may have the rights of a loopback address. */
static inline bool vsi_address_is_translated(const struct in6_addr *number) {
  static const uint8_t prefix[12] = {0, 0x64, 0xff, 0x9b};
  return memcmp(number->s6_addr, prefix, sizeof prefix) == 0 && number->s6_addr[12] != 127;
}

static inline vsi_address vsi_address_of_ipv6(const struct in6_addr *number) {
  if (IN6_IS_ADDR_V4MAPPED(number) || vsi_address_is_translated(number)) {
    struct in_addr inner;
    memcpy(&inner, number->s6_addr + 12, sizeof inner);
    return vsi_address_of_ipv4(&inner);
  }
  vsi_address address = {0, AF_INET6};
  memcpy(&address.prefix, number->s6_addr, sizeof address.prefix);
  return address;
}

/* Return whether the address belongs to this machine. */
static inline bool vsi_address_is_loopback(vsi_address address) {
  return address.family == AF_INET ? address.prefix >> 24 == 127 : address.family == AF_INET6 && !address.prefix;
}

/* Get the key of an address. An IPv4-mapped IPv6 address (::ffff:192.0.2.1) counts as IPv4. NULL is accepted. */
static inline vsi_address vsi_address_of(const struct sockaddr *address) {
  if (address && address->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, address, sizeof in);
    return vsi_address_of_ipv4(&in.sin_addr);
  }
  if (address && address->sa_family == AF_INET6) {
    struct sockaddr_in6 in;
    memcpy(&in, address, sizeof in);
    return vsi_address_of_ipv6(&in.sin6_addr);
  }
  return (vsi_address){0, 0};
}

/* Get the key of an address in text form, "192.0.2.1" or "2001:db8::1". NULL is accepted. */
static inline vsi_address vsi_address_parse(const char *text) {
  struct in_addr in;
  struct in6_addr in6;
  if (text && inet_pton(AF_INET, text, &in) == 1) return vsi_address_of_ipv4(&in);
  if (text && inet_pton(AF_INET6, text, &in6) == 1) return vsi_address_of_ipv6(&in6);
  return (vsi_address){0, 0};
}

/* Get the key of an address as a proxy reports it: alone, with a port ("192.0.2.1:4711", as proxies of Azure write it),
 * or in brackets, with or without a port ("[2001:db8::1]:4711"). NULL is accepted. */
static inline vsi_address vsi_address_parse_reported(const char *text) {
  char alone[INET6_ADDRSTRLEN];
  const vsi_address plain = vsi_address_parse(text);
  if (plain.family || !text) return plain;
  const bool is_bracketed = *text == '[';
  const char *end = text + strcspn(text, is_bracketed ? "]" : ":"), *port = end + is_bracketed;
  text += is_bracketed;
  if (!*end || (size_t)(end - text) >= sizeof alone) return plain;
  const size_t digits = *port ? strspn(port + 1, "0123456789") : 0;
  if (*port && (*port != ':' || !digits || digits > 5 || port[1 + digits])) return plain;
  memcpy(alone, text, (size_t)(end - text));
  alone[end - text] = '\0';
  const vsi_address found = vsi_address_parse(alone);
  return is_bracketed == (strchr(alone, ':') != NULL) ? found : plain;
}

#endif
