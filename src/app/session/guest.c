/* SPDX-License-Identifier: MIT */
/* essay: guests */
/* A guest is a session without a user whose id is kept by a second cookie, which is sealed and lasts for months. The
 * server stores nothing. The cookie has two forms:
 *
 *     ID MAC . ISSUED     the seal (seal.h) of a guest: its scope is empty
 *     ID MAC . ISSUED     the seal of a user who has been this guest: its scope is that of the user's session
 *
 * ISSUED is the time of the last renewal in hexadecimal digits; the MAC covers it.
 *
 * A session that becomes that of a guest keeps its id, and so its scope: pages that are open keep their streams, tokens
 * and ids. An attacker who knows the id of an anonymous session gains nothing by this that a planted cookie of a guest
 * would not give, and the prefix __Host- prevents both.
 *
 * At a log-in the session gets a new id, because a user has more rights than a guest. Ids of tabs, tokens and nonces
 * remain bound to the scope of the guest (vsi_seal_scope), so that the other tabs can continue. Therefore the cookie is
 * kept, but sealed for the session of the user. With any other session it is invalid: after a log-out, for another
 * user, or if it was planted.
 *
 * The streams of the guest still belong to the guest, and so does the request from which their pages are rendered. They
 * end after the response of the log-in, uncleanly, so that their tabs open them again, now as the user. */
#include "app/session/guest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/cookie.h"
#include "vestry/instance.h"

enum { TIME_MAX_LEN = 16, VALUE_BYTES = VSI_SEAL_LEN + 1 + TIME_MAX_LEN + 1 };

_Static_assert((int)VSI_SEAL_ID_LEN == (int)VSI_TOKEN_ID_LEN, "the id of a guest is that of its session");

/* Parse the value of a cookie. Returns whether it is valid at this time. */
static bool read_value(const vsi_guests *guests, vestry_slice value, vestry_scope bound, int64_t now_s,
                       vsi_guest *ret_guest) {
  char text[VALUE_BYTES];
  if (value.len <= VSI_SEAL_LEN + 1 || value.len >= sizeof text) return false;
  memcpy(text, value.data, value.len);
  text[value.len] = '\0';
  const char *issued = text + VSI_SEAL_LEN + 1;
  if (text[VSI_SEAL_LEN] != '.') return false;
  if (!vsi_seal_is_good(guests->seals, VSI_SEAL_GUEST, bound, issued, text, VSI_SEAL_LEN)) return false;
  const int64_t age_s = now_s - strtoll(issued, NULL, 16); /* the seal covers the time, so write_value has written it */
  if (age_s >= guests->lifetime_s) return false;
  text[VSI_SEAL_ID_LEN] = '\0';
  /* A time ahead is that of a clock that was wrong then, or is wrong now. It is kept, so that a node whose clock is
   * behind ends no guest of others. The browser, which keeps the cookie for lifetime_s, gets it again each time. */
  const bool is_due = age_s >= guests->lifetime_s / 10 || age_s <= -(guests->lifetime_s / 10);
  *ret_guest =
      (vsi_guest){.change = is_due && !bound.len ? VSI_GUEST_IS_RENEWED : VSI_GUEST_STAYS, .issued_s = now_s - age_s};
  memcpy(ret_guest->id, text, sizeof ret_guest->id);
  vsi_token_hash(ret_guest->id, ret_guest->name);
  return true;
}

static void write_value(const vsi_guests *guests, vestry_scope bound, int64_t now_s, const char *id,
                        char text[VALUE_BYTES]) {
  char issued[TIME_MAX_LEN + 1];
  snprintf(issued, sizeof issued, "%" PRIx64, (uint64_t)now_s);
  vsi_seal_make_of(guests->seals, VSI_SEAL_GUEST, bound, issued, id, text);
  snprintf(text + VSI_SEAL_LEN, VALUE_BYTES - VSI_SEAL_LEN, ".%s", issued);
}

bool vsi_guest_find(const vsi_guests *guests, vestry_scope bound, int64_t now_s, const vestry_request *req,
                    vsi_guest *ret_guest) {
  const char *header = guests->seals ? vestry_request_header(req, "Cookie") : NULL;
  vestry_slice value;
  while (header && vsi_cookie_next(&header, guests->cookie, &value))
    if (read_value(guests, value, bound, now_s, ret_guest)) return true;
  return false;
}

void vsi_guest_start(vsi_guest *guest, const char *id) {
  memcpy(guest->id, id, sizeof guest->id);
  vsi_token_hash(id, guest->name);
  guest->change = VSI_GUEST_BEGINS;
}

void vsi_guest_leave(vsi_guest *guest, bool becomes_user) {
  if (!*guest->name) return;
  guest->change = becomes_user ? VSI_GUEST_BECOMES_USER : VSI_GUEST_LEAVES;
  if (!becomes_user) *guest->name = '\0';
}

void vsi_guest_close_streams(vestry *v, const vsi_guest *guest, vestry_cause cause) {
  (void)vestry_close_scope(v, vsi_guest_scope(guest), cause);
}

void vsi_guest_add_cookie(const vsi_guests *guests, const vsi_guest *guest, vestry_scope bound, int64_t now_s,
                          vestry_reply *reply, bool waits) {
  char text[VALUE_BYTES] = "";
  if (guest->change == VSI_GUEST_STAYS || (guest->change == VSI_GUEST_IS_RENEWED && waits)) return;
  const bool is_removed = guest->change == VSI_GUEST_LEAVES;
  if (!is_removed) write_value(guests, bound, now_s > guest->issued_s ? now_s : guest->issued_s, guest->id, text);
  (void)vestry_reply_cookie(reply, &(vestry_cookie){.name = guests->cookie,
                                                    .value = text,
                                                    .max_age_s = is_removed ? 0 : guests->lifetime_s,
                                                    .same_site = guests->same_site,
                                                    .insecure = guests->insecure,
                                                    .remove = is_removed});
}

int64_t vestry_guest_number(const char *guest) {
  uint64_t number = 0;
  if (!guest || strlen(guest) != VESTRY_GUEST_ID_BYTES - 1) return 0;
  for (size_t i = 0; i < 16; i++) {
    const char *digits = "0123456789abcdef", *at = strchr(digits, guest[i]);
    if (!at) return 0;
    number = number << 4 | (uint64_t)(at - digits);
  }
  number &= INT64_MAX;
  return number ? (int64_t)number : 1;
}
