/* SPDX-License-Identifier: MIT */
/* What is in the cookie of a session. */
#ifndef VSI_SESSION_TOKEN_H
#define VSI_SESSION_TOKEN_H

#include "vestry/app/session.h"

enum {
  VSI_TOKEN_ID_LEN = 32,   /* hexadecimal digits: 128 random bits */
  VSI_TOKEN_HASH_LEN = 32, /* likewise, of the id's SHA-256 */
  VSI_TOKEN_MAX_LEN = VSI_TOKEN_ID_LEN + 2 * (1 + 16) + 1 + 2 * VESTRY_SESSION_USER_MAX_BYTES + 1 + 64
};

typedef struct vsi_token {
  char id[VSI_TOKEN_ID_LEN + 1];
  bool is_anonymous; /* it has no user: a dash and the id */
  bool is_signed;    /* if so, for which user: */
  int64_t created_s, issued_s;
  char user[VESTRY_SESSION_USER_MAX_BYTES + 1];
} vsi_token;

typedef struct vsi_secret {
  unsigned char digest[32]; /* of what the application gave, whatever its length */
} vsi_secret;

void vsi_secret_init(vsi_secret *secret, const void *given, size_t len);

/* A new id. OK | IO */
vestry_err vsi_token_id(const vestry_host *host, char id[VSI_TOKEN_ID_LEN + 1]);
/* What memory and storage know an id by, and what its scope is. */
void vsi_token_hash(const char *id, char hash[VSI_TOKEN_HASH_LEN + 1]);

/* The cookie's value: the id alone, if it is an anonymous user's after a dash; or if it is signed all of it. */
void vsi_token_write(const vsi_token *token, const vsi_secret *secret, char text[VSI_TOKEN_MAX_LEN + 1]);
/* Read one. previous: NULL: none. false: it is none that was written here, whatever it is. secret NULL: none is
 * signed; otherwise only anonymous users' are not. */
bool vsi_token_read(vestry_slice text, const vsi_secret *secret, const vsi_secret *previous, vsi_token *ret_token);

#endif
