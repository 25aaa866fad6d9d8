/* SPDX-License-Identifier: MIT */
/* The value of a session's cookie. */
#ifndef VSI_SESSION_TOKEN_H
#define VSI_SESSION_TOKEN_H

#include "vestry/app/session.h"

enum {
  VSI_TOKEN_ID_LEN = 32,   /* hexadecimal digits: 128 random bits */
  VSI_TOKEN_HASH_LEN = 32, /* hexadecimal digits of the id's SHA-256 */
  VSI_TOKEN_MAX_LEN = VSI_TOKEN_ID_LEN + 2 * (1 + 16) + 1 + 2 * VESTRY_SESSION_USER_MAX_BYTES + 1 + 64
};

typedef struct vsi_token {
  char id[VSI_TOKEN_ID_LEN + 1];
  bool is_anonymous; /* it has no user: a dash and the id */
  bool is_signed;    /* with the members below */
  int64_t created_s, issued_s;
  char user[VESTRY_SESSION_USER_MAX_BYTES + 1];
} vsi_token;

typedef struct vsi_secret {
  unsigned char digest[32]; /* SHA-256 of the application's secret of any length */
} vsi_secret;

void vsi_secret_init(vsi_secret *secret, const void *given, size_t len);

/* Make a new id. OK | IO */
vestry_err vsi_token_id(const vestry_host *host, char id[VSI_TOKEN_ID_LEN + 1]);
/* Compute the hash of an id. Memory and storage use it as the key, and it is the scope of the session. */
void vsi_token_hash(const char *id, char hash[VSI_TOKEN_HASH_LEN + 1]);

/* Write the value of a cookie: the id, with a dash before it for an anonymous user; all members if it is signed. */
void vsi_token_write(const vsi_token *token, const vsi_secret *secret, char text[VSI_TOKEN_MAX_LEN + 1]);
/* Parse the value of a cookie.
 * secret    NULL: no cookie is signed. Otherwise all are signed, except those of anonymous users
 * previous  NULL: none
 * Returns false for any text that vsi_token_write has not written with one of the secrets */
bool vsi_token_read(vestry_slice text, const vsi_secret *secret, const vsi_secret *previous, vsi_token *ret_token);

#endif
