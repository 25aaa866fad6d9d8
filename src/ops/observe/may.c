/* SPDX-License-Identifier: MIT */
/* Access checks: which requests an observer admits. */
#include "ops/observe/inside.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "app/guard/person.h"
#include "base/ascii.h"
#include "http/address.h"
#include "vestry/app/secret.h"
#include "vestry/signals.h"

#define COOKIE "vestry-observe"

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

/* Check the Host header. With DNS rebinding, a page of another site makes its host name point to this machine; the
 * browser then sends that name. */
static bool names_this_machine(const char *host) {
  if (!host) return false;
  const char *end = strrchr(host, ':');
  if (*host == '[') {
    end = strchr(host, ']');
    return end && is_loopback(host + 1, (size_t)(end - host - 1));
  }
  const size_t len = end ? (size_t)(end - host) : strlen(host);
  return vsi_is_word((vestry_slice){host, len}, "localhost") || is_loopback(host, len);
}

/* Check whether the request is a local one, as far as its headers show. A proxy on this machine may forward a request
 * without such a header. */
static bool is_from_this_machine(const vestry_request *req) {
  if (vsi_person_is_passed_on(req)) return false;
  const char *peer = vestry_request_peer(req);
  return is_loopback(peer, strlen(peer)) && names_this_machine(vestry_request_header(req, "Host"));
}

static bool has_token(const vestry_observe_options *options, const vestry_request *req) {
  static const char scheme[] = "Bearer ";
  char cookie[VSI_MAY_TOKEN_MOST + 1];
  if (!options->token) return false;
  const char *header = vestry_request_header(req, "Authorization");
  if (header && vsi_strncasecmp(header, scheme, sizeof scheme - 1) == 0)
    return vestry_secret_is(header + sizeof scheme - 1, options->token);
  return !vestry_request_cookie(req, COOKIE, cookie, sizeof cookie) && vestry_secret_is(cookie, options->token);
}

static bool may_by_default(const vestry_observe_options *options, const vestry_request *req) {
  return has_token(options, req) || (options->trusts_loopback && is_from_this_machine(req));
}

bool vsi_may_token_is_valid(const char *token) {
  const size_t len = strlen(token);
  return len >= VSI_MAY_TOKEN_LEAST && len <= VSI_MAY_TOKEN_MOST &&
         strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") == len;
}

bool vsi_may_query_has_token(const vestry_observe_options *options, const vestry_request *req) {
  const char *given = vestry_request_value(req, VESTRY_IN_QUERY, "token");
  return options->token && !options->may && given && vestry_secret_is(given, options->token);
}

/* Without a Path, so that the browser takes the folder of the requested address. The prefix could be a pattern, and a
 * proxy may add another one. */
vestry_err vsi_may_set_cookie(const vestry_observe_options *options, vestry_reply *reply) {
  char cookie[VSI_MAY_TOKEN_MOST + 64];
  snprintf(cookie, sizeof cookie, COOKIE "=%s; HttpOnly; SameSite=Strict", options->token);
  return vestry_reply_header(reply, "Set-Cookie", cookie);
}

bool vsi_may_see(const vestry_observe_options *options, const vestry_request *req) {
  return options->may ? options->may(req, options->may_ctx) : may_by_default(options, req);
}

bool vsi_may_see_tails(const vestry_observe_options *options, const vestry_request *req) {
  return vsi_may_see(options, req) && may_by_default(options, req);
}
