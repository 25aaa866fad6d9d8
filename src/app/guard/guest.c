/* SPDX-License-Identifier: MIT */
/* The public functions of guests. They are here, and not in the module of sessions, because a rate limits new guests.
 * app/session/guest.c has the cookie and the change to a user. */
#include "vestry/app/guest.h"

#include <stdio.h>

#include "app/session/session.h"
#include "base/log.h"
#include "instance/instance.h"
#include "vestry/app/rate.h"

enum { LIFETIME_DAYS = 180, NEW_COUNT = 60, NEW_PERIOD_MS = 60000, NEW_BURST_COUNT = 300 };

static void destroy(vestry *v, void *state) {
  (void)v;
  vestry_rate_destroy(state);
}

/* Its state is the rate. */
static const vsi_extension kind = {.name = "vestry_guests_create", .destroy = destroy};

vestry_err vestry_guests_create(vestry *v, const vestry_guests_options *given) {
  static const vestry_rate_options usual = {
      .count = NEW_COUNT, .period_ms = NEW_PERIOD_MS, .burst_count = NEW_BURST_COUNT};
  const vsi_seals *seals = NULL;
  vestry_rate *rate = NULL;
  if (!v) return VESTRY_INVALID;
  vestry_guests_options options = given ? *given : (vestry_guests_options){0};
  vsi_sessions *sessions = vsi_sessions_of(v);
  if (!sessions)
    return vsi_mistake(v->host, "vestry_guests_create", "the instance has no sessions; create sessions first");
  if (!options.lifetime_ms) options.lifetime_ms = (uint64_t)LIFETIME_DAYS * 24 * 3600 * 1000;
  if (vsi_extension_find(v, &kind)) return vsi_extension_repeated(v, &kind);
  vestry_err error = vsi_seals_use(v, &seals);
  if (!error) error = vestry_rate_create(v, options.rate ? options.rate : &usual, &rate);
  if (!error) error = vsi_extension_add(v, &kind, rate);
  if (error) {
    vestry_rate_destroy(rate);
    return error;
  }
  vsi_guests *guests = &sessions->guests;
  snprintf(guests->cookie, sizeof guests->cookie, "%s-guest", sessions->cookie);
  guests->same_site = sessions->options.same_site;
  guests->insecure = sessions->options.insecure;
  guests->lifetime_s = vsi_session_seconds(options.lifetime_ms);
  guests->moved = options.moved;
  guests->ctx = options.ctx;
  guests->seals = seals;
  if (seals->is_random)
    vsi_log(v->host, VESTRY_LOG_INFO,
            "vestry_guests_create: the instance has no secret, so guests end with the process; call vestry_secret_set");
  return VESTRY_OK;
}

vestry_err vestry_guest_begin(const vestry_request *req, vestry_reply *reply, const char **ret_guest) {
  vsi_session *own = vsi_session_of(req);
  vestry_rate *rate = vsi_extension_find(req->v, &kind);
  const char *why = NULL;
  vestry_err error = VESTRY_OK;
  vsi_request_mark_private(req);
  if (!rate)
    why = "vestry_guest_begin: the instance has no guests; call vestry_guests_create";
  else if (own->user)
    why = "vestry_guest_begin: a user has logged in, and is no guest";
  else if (!*own->guest.name && (req->own->is_copy || !*own->id))
    why = "vestry_guest_begin: the render of a page, or a request without a session, cannot begin a guest; begin it in "
          "the handler of the document";
  if (why) return vsi_reply_refuse(reply, VESTRY_INVALID, why);
  if (!*own->guest.name) error = vestry_rate_guard(req, reply, rate);
  if (error) return error;
  if (!*own->guest.name) {
    vsi_guest_start(&own->guest, own->id);
    own->is_new = false;
  }
  *ret_guest = own->guest.name;
  return VESTRY_OK;
}

const char *vestry_guest_id(const vestry_request *req) {
  const vsi_session *own = vsi_session_of(req);
  vsi_request_mark_private(req);
  return own && !own->user && *own->guest.name ? own->guest.name : NULL;
}
