/* SPDX-License-Identifier: MIT */
/* Seals: 128 random bits and a MAC that says what they are for and whose they are. Tab ids, CSRF tokens and nonces are
 * seals, so that what was not made here is refused without anything being remembered. */
#ifndef VSI_SESSION_SEAL_H
#define VSI_SESSION_SEAL_H

#include <stdbool.h>

#include "vestry/app/secret.h"
#include "vestry/host.h"
#include "vestry/key.h"

enum {
  VSI_SEAL_ID_LEN = 32,               /* hexadecimal digits: the random bits */
  VSI_SEAL_LEN = 2 * VSI_SEAL_ID_LEN, /* and the MAC */
  VSI_SEAL_TAG_LEN = 8,
  VSI_SEAL_SECRET_LEAST_BYTES = 32
};

/* What a seal is for: one is never good for another. */
typedef enum vsi_seal_kind { VSI_SEAL_TAB = 1, VSI_SEAL_CSRF, VSI_SEAL_CSRF_COOKIE, VSI_SEAL_ONCE } vsi_seal_kind;

/* The keys of an instance. */
typedef struct vsi_seals {
  unsigned char key[32], previous[32];
  bool has_previous;
  bool is_random; /* no secret was given */
} vsi_seals;

/* secret: NULL: a random key. previous: NULL: none. OK | INVALID (shorter than VSI_SEAL_SECRET_LEAST_BYTES; a previous
 * one alone) | IO */
vestry_err vsi_seals_init(vsi_seals *seals, const vestry_host *host, const void *secret, size_t secret_len,
                          const void *previous, size_t previous_len);

/* Those of an instance: by its secret (vestry_secret_set), or else by a random key, which is made when they are first
 * needed. Any thread. OK | NO_MEMORY | IO (no randomness) */
vestry_err vsi_seals_use(vestry *v, const vsi_seals **ret_seals);
/* The same; NULL: an error. */
const vsi_seals *vsi_seals_of(vestry *v);
/* The secret of signed sessions, for an instance that has none yet. As vestry_secret_set; EXISTS: seals were made
 * already, by a random key. */
vestry_err vsi_seals_offer(vestry *v, const vestry_secret *secret);

/* What a request remembers of seals, in its room. */
typedef struct vsi_sealed {
  char tab[VSI_SEAL_LEN + 1];         /* its tab's, once it was asked for; "": none yet */
  bool tab_is_new;                    /* made for this request */
  bool tab_is_said;                   /* by the page itself: it is the tab's, and no guess */
  unsigned tab_is_known;              /* the request's scopes_count for which the seal is good; 0: for none */
  char csrf_cookie[VSI_SEAL_LEN + 1]; /* one that the answer sets; "": none */
} vsi_sealed;

/* NULL: vsi_seals_of was NULL. */
vsi_sealed *vsi_sealed_of(const vestry_request *req);

/* seals, below: NULL is accepted: NO_MEMORY, and nothing is good. */

/* Make one. more: what else it is bound to, NULL: nothing. OK | IO | NO_MEMORY */
vestry_err vsi_seal_make(const vsi_seals *seals, const vestry_host *host, vsi_seal_kind kind, vestry_scope scope,
                         const char *more, char text[VSI_SEAL_LEN + 1]);
/* Whether it was made by this function with these, by either key. text: any bytes. In constant time for a text of
 * VSI_SEAL_LEN digits. */
bool vsi_seal_is_good(const vsi_seals *seals, vsi_seal_kind kind, vestry_scope scope, const char *more,
                      const char *text, size_t len);
/* A few digits that tell scopes apart, for the page. seals: not NULL. */
void vsi_seal_tag(const vsi_seals *seals, vestry_scope scope, char tag[VSI_SEAL_TAG_LEN + 1]);

#endif
