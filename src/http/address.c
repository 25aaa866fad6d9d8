/* SPDX-License-Identifier: MIT */
#include "http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static vsi_address of_ipv4(const struct in_addr *number) {
  return (vsi_address){ntohl(number->s_addr), AF_INET};
}

static vsi_address of_ipv6(const struct in6_addr *number) {
  if (IN6_IS_ADDR_V4MAPPED(number)) {
    struct in_addr inner;
    memcpy(&inner, number->s6_addr + 12, sizeof inner);
    return of_ipv4(&inner);
  }
  vsi_address address = {0, AF_INET6};
  memcpy(&address.prefix, number->s6_addr, sizeof address.prefix);
  return address;
}

vsi_address vsi_address_of(const struct sockaddr *address) {
  if (address && address->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, address, sizeof in);
    return of_ipv4(&in.sin_addr);
  }
  if (address && address->sa_family == AF_INET6) {
    struct sockaddr_in6 in;
    memcpy(&in, address, sizeof in);
    return of_ipv6(&in.sin6_addr);
  }
  return (vsi_address){0, 0};
}

vsi_address vsi_address_parse(const char *text) {
  struct in_addr in;
  struct in6_addr in6;
  if (text && inet_pton(AF_INET, text, &in) == 1) return of_ipv4(&in);
  if (text && inet_pton(AF_INET6, text, &in6) == 1) return of_ipv6(&in6);
  return (vsi_address){0, 0};
}
