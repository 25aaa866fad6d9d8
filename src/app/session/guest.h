/* SPDX-License-Identifier: MIT */
/* Guests: the second cookie of a session without a user, which lasts for months. */
#ifndef VSI_SESSION_GUEST_H
#define VSI_SESSION_GUEST_H

#include "app/session/seal.h"
#include "app/session/token.h"
#include "http/reply.h"
#include "vestry/app/guest.h"
#include "vestry/cause.h"

/* The guests of an instance. Set before its first request. */
typedef struct vsi_guests {
  const vsi_seals *seals; /* NULL: the instance has no guests */
  char cookie[80];
  vestry_same_site same_site;
  bool insecure;
  int64_t lifetime_s;
  vestry_guest_moved_fn moved;
  void *ctx;
} vsi_guests;

/* How a response sets the cookie of the guest. */
typedef enum vsi_guest_change {
  VSI_GUEST_STAYS,
  VSI_GUEST_IS_RENEWED, /* with a document or a stream */
  VSI_GUEST_BEGINS,
  VSI_GUEST_BECOMES_USER, /* the cookie is bound to the session of the user */
  VSI_GUEST_LEAVES
} vsi_guest_change;

/* The guest of a request. */
typedef struct vsi_guest {
  char id[VSI_TOKEN_ID_LEN + 1];
  char name[VSI_TOKEN_HASH_LEN + 1]; /* the hash of the id, which is the scope of the guest; "": none */
  vsi_guest_change change;
  int64_t issued_s; /* time in its cookie; 0: it has none yet */
} vsi_guest;

static inline vestry_scope vsi_guest_scope(const vsi_guest *guest) {
  return (vestry_scope){guest->name, VSI_TOKEN_HASH_LEN};
}

/* Find the guest of a request. bound: the scope of the session, if it has a user; otherwise empty. Returns whether
 * there is one. */
bool vsi_guest_find(const vsi_guests *guests, vestry_scope bound, int64_t now_s, const vestry_request *req,
                    vsi_guest *ret_guest);
/* Begin a guest with the id of a session. */
void vsi_guest_start(vsi_guest *guest, const char *id);
/* The session gets another id. becomes_user: the user that logs in has been the guest. */
void vsi_guest_leave(vsi_guest *guest, bool becomes_user);
/* Close the streams of the guest's scope. */
void vsi_guest_close_streams(vestry *v, const vsi_guest *guest, vestry_cause cause);
/* Add the cookie to a response. bound: as for vsi_guest_find. waits: the response should not have a renewed cookie. */
void vsi_guest_add_cookie(const vsi_guests *guests, const vsi_guest *guest, vestry_scope bound, int64_t now_s,
                          vestry_reply *reply, bool waits);

#endif
