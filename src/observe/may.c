/* SPDX-License-Identifier: MIT */
#include "observe/may.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "http/address.h"

static bool is_loopback(const char *text, size_t len) {
  char address[64];
  struct in6_addr in6;
  if (len >= sizeof address) return false;
  memcpy(address, text, len);
  address[len] = '\0';
  const vsi_address is = vsi_address_parse(address);
  if (is.family == AF_INET) return is.prefix >> 24 == 127;
  return inet_pton(AF_INET6, address, &in6) == 1 && IN6_IS_ADDR_LOOPBACK(&in6);
}

/* A page of another site can have a name of its own lead here; its browser says that name (DNS rebinding). */
static bool names_this_machine(const char *host) {
  if (!host) return false;
  const char *end = strrchr(host, ':');
  if (*host == '[') {
    end = strchr(host, ']');
    return end && is_loopback(host + 1, (size_t)(end - host - 1));
  }
  const size_t len = end ? (size_t)(end - host) : strlen(host);
  return (len == sizeof "localhost" - 1 && strncasecmp(host, "localhost", len) == 0) || is_loopback(host, len);
}

bool vsi_may_is_from_here(const vestry_request *req) {
  static const char *const passed_on[] = {"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"};
  for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
    if (vestry_request_header(req, passed_on[i])) return false;
  const char *peer = vestry_request_peer(req);
  return is_loopback(peer, strlen(peer)) && names_this_machine(vestry_request_header(req, "Host"));
}

bool vsi_may_see(const vestry_observe_options *options, const vestry_request *req) {
  return options->may ? options->may(req, options->may_ctx) : vsi_may_is_from_here(req);
}

bool vsi_may_see_tails(const vestry_observe_options *options, const vestry_request *req) {
  if (!vsi_may_see(options, req)) return false;
  return options->may_tail ? options->may_tail(req, options->may_tail_ctx) : vsi_may_is_from_here(req);
}
