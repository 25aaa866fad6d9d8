/* SPDX-License-Identifier: MIT */
/* Seals: 128 random bits, and a MAC that binds them to a purpose and a scope. Tab ids and nonces are seals; a CSRF
 * token is a MAC alone. A value that was not made with the keys of this instance is rejected, although the instance
 * stores nothing. */
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

/* The purpose of a seal. A seal for one purpose is invalid for another. */
typedef enum vsi_seal_kind {
  VSI_SEAL_TAB = 1,
  VSI_SEAL_CSRF,
  VSI_SEAL_CSRF_COOKIE,
  VSI_SEAL_ONCE,
  VSI_SEAL_GUEST
} vsi_seal_kind;

/* The keys of an instance. */
typedef struct vsi_seals {
  unsigned char key[32], previous[32];
  bool has_previous;
  bool is_random; /* no secret was set */
} vsi_seals;

/* Initialize the keys.
 * secret    NULL: a random key
 * previous  NULL: none
 * OK | INVALID (shorter than VSI_SEAL_SECRET_LEAST_BYTES; previous without secret) | IO */
vestry_err vsi_seals_init(vsi_seals *seals, const vestry_host *host, const void *secret, size_t secret_len,
                          const void *previous, size_t previous_len);

/* Return the keys of an instance: those of its secret (vestry_secret_set), otherwise a random key, which is made at the
 * first use. Any thread. OK | NO_MEMORY | IO (no randomness) */
vestry_err vsi_seals_use(vestry *v, const vsi_seals **ret_seals);
/* Return the keys of an instance; NULL: an error. */
const vsi_seals *vsi_seals_of(vestry *v);
/* Derive a key for another purpose from the secret of an instance. false: it has none. */
VESTRY_API bool vsi_seals_derive(const vestry *v, const char *purpose, unsigned char key[32]);

/* A request's state about seals, in the memory of the request. */
typedef struct vsi_sealed {
  char tab[VSI_SEAL_LEN + 1];         /* the seal of its tab, after the first query; "": none yet */
  bool tab_is_new;                    /* made for this request */
  bool tab_is_sent;                   /* sent by the page, so it is certain */
  unsigned tab_is_known;              /* scopes_count of the request + 1, when the seal was checked; 0: not yet */
  char csrf_cookie[VSI_SEAL_LEN + 1]; /* the cookie that the response sets; "": none */
} vsi_sealed;

/* Return the state of a request; NULL: vsi_seals_of returned NULL. */
vsi_sealed *vsi_sealed_of(const vestry_request *req);

/* The functions below accept NULL for seals: vsi_seal_make returns NO_MEMORY, vsi_seal_is_good false. */

/* Make a seal. more: a further text to which it is bound; NULL: none. OK | IO | NO_MEMORY */
vestry_err vsi_seal_make(const vsi_seals *seals, const vestry_host *host, vsi_seal_kind kind, vestry_scope scope,
                         const char *more, char text[VSI_SEAL_LEN + 1]);
/* Make a seal of an id that has been made before: VSI_SEAL_ID_LEN digits. seals: not NULL. */
void vsi_seal_make_of(const vsi_seals *seals, vsi_seal_kind kind, vestry_scope scope, const char *more, const char *id,
                      char text[VSI_SEAL_LEN + 1]);
/* Return whether the seal was made by vsi_seal_make with these arguments and either key. text: any bytes. Takes
 * constant time for a text of VSI_SEAL_LEN digits. */
bool vsi_seal_is_good(const vsi_seals *seals, vsi_seal_kind kind, vestry_scope scope, const char *more,
                      const char *text, size_t len);
/* Write the digits of a scope and a further text, which are always the same, and no seal. seals: not NULL. */
void vsi_seal_name(const vsi_seals *seals, vsi_seal_kind kind, vestry_scope scope, const char *more,
                   char name[VSI_SEAL_LEN + 1]);
/* Return whether these are the digits that vsi_seal_name writes, with either key. text: terminated. NULL seals: false.
 * Takes constant time for a text of VSI_SEAL_LEN characters. */
bool vsi_seal_is_name(const vsi_seals *seals, vsi_seal_kind kind, vestry_scope scope, const char *more,
                      const char *text);
/* Write a few digits that distinguish scopes, for use in a page. seals: not NULL. */
void vsi_seal_tag(const vsi_seals *seals, vestry_scope scope, char tag[VSI_SEAL_TAG_LEN + 1]);

#endif
