/* SPDX-License-Identifier: MIT */
/** Guests: persons without a password. A cookie of the browser identifies a guest for months.
 *
 *      vestry_sessions_create(v, NULL);
 *      vestry_guests_create(v, &(vestry_guests_options){.moved = move_games, .ctx = db});
 *
 *      const char *guest;                                            // POST /join
 *      vestry_err error = vestry_guest_begin(req, reply, &guest);    // the present guest, or a new one
 *      if (!error) error = add_player(db, guest, nickname);
 *
 *      guest = vestry_guest_id(req);                                 // a page; NULL: no guest, or a user
 *
 *  docs/guide/sessions.md#guests-all-rules has the difference between guests and anonymous users, and the rules. */
#ifndef VESTRY_GUEST_H
#define VESTRY_GUEST_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Size of a guest's name: 32 hexadecimal digits and a NUL. The name is the guest's scope, too. It is not secret: the
 *  cookie cannot be computed from it. */
#define VESTRY_GUEST_ID_BYTES 33

struct vestry_rate_options; /* vestry/app/rate.h */

/** Moves the data of a guest to a user. Called by vestry_session_login on its thread, no lock held, before the user has
 *  logged in; may block. If the response is lost, or the log-in fails later, the guest logs in again: then it is called
 *  again, and must not move twice.
 *  Returns  OK | any error, with which the log-in fails; the request continues as the guest */
typedef vestry_err (*vestry_guest_moved_fn)(const vestry_request *req, const char *guest, const char *user, void *ctx);

/** Options of an instance's guests. Zero is the default. */
typedef struct vestry_guests_options {
  uint64_t lifetime_ms; /**< a guest ends when the browser has not come for this time; 0: 180 days */
  const struct vestry_rate_options
      *rate;                   /**< rate of new guests, by default for each address (vestry/app/rate.h): 60 in a
                                        minute, and 300 at once. Copied */
  vestry_guest_moved_fn moved; /**< NULL: nothing to move */
  void *ctx;                   /**< passed to moved */
} vestry_guests_options;

/** Let an instance have guests. Call it once, after vestry_sessions_create and vestry_secret_set, and before the first
 *  request. Without a secret, guests end with the process (logged at the level INFO).
 *  options  NULL: the defaults; copied
 *  Returns  OK | INVALID, EXISTS (the instance has no sessions; the rate; a second call; logged) | NO_MEMORY | IO (no
 *           randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_guests_create(struct vestry *v, const vestry_guests_options *options);

/** Get the guest of a request; if it has none, make one. The response sets the guest's cookie. The scope stays the
 *  same, so streams, tokens and ids of open pages stay valid. A live page that is open keeps rendering as before: begin
 *  the guest in the request of the document, or redirect to a page.
 *  ret_guest  the guest's name, valid during the handler
 *  Returns  OK | INVALID (a user has logged in; the render of a page; the instance has no guests) | LIMIT (too many new
 *           guests of this address: the reply is 429 with Retry-After; return the error) | FAILED, as vestry_rate_guard
 *  Threads  that of a handler, a guard or an effect; does not block */
VESTRY_API vestry_err vestry_guest_begin(const vestry_request *req, vestry_reply *reply, const char **ret_guest);

/** Get the guest of a request, also in the render of a private live page.
 *  Returns  the guest's name, valid during the handler | NULL: no guest, or a user has logged in
 *  Threads  the handler's */
VESTRY_API const char *vestry_guest_id(const vestry_request *req);

/** Return a number for the name of a guest, for the integer key of a row: pages that look rows up by such a key render
 *  again for a change of that row only. It consists of 63 bits of the name, so that two of a million guests have the
 *  same number with a probability of one to ten million.
 *  Returns  1 to INT64_MAX | 0: the name is NULL, or not that of a guest
 *  Threads  any; does not block */
VESTRY_API int64_t vestry_guest_number(const char *guest);

#ifdef __cplusplus
}
#endif
#endif
