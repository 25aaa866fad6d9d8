/* SPDX-License-Identifier: MIT */
/* The value of a session's cookie. */
#ifndef VSI_SESSION_TOKEN_H
#define VSI_SESSION_TOKEN_H

#include <stdbool.h>

#include "vestry/host.h"

enum {
  VSI_TOKEN_ID_LEN = 32,   /* hexadecimal digits: 128 random bits */
  VSI_TOKEN_HASH_LEN = 32, /* hexadecimal digits of the id's SHA-256 */
  VSI_TOKEN_MAX_LEN = VSI_TOKEN_ID_LEN + 1
};

typedef struct vsi_token {
  char id[VSI_TOKEN_ID_LEN + 1];
  bool is_anonymous; /* it has no user: a dash and the id */
} vsi_token;

/* Make a new id. OK | IO */
vestry_err vsi_token_id(const vestry_host *host, char id[VSI_TOKEN_ID_LEN + 1]);
/* Compute the hash of an id. Memory and storage use it as the key, and it is the scope of the session. */
void vsi_token_hash(const char *id, char hash[VSI_TOKEN_HASH_LEN + 1]);

/* Write the value of a cookie: the id, with a dash before it for an anonymous user. */
void vsi_token_write(const vsi_token *token, char text[VSI_TOKEN_MAX_LEN + 1]);
/* Parse the value of a cookie. Returns false for any text that is none of vsi_token_write. */
bool vsi_token_read(vestry_slice text, vsi_token *ret_token);

#endif
