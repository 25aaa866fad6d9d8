/* SPDX-License-Identifier: MIT */
/** The secret of an instance. It authenticates data that pages receive and send back: tab ids (vestry/app/tab.h), CSRF
 *  tokens (vestry/app/csrf.h), nonces (vestry/app/once.h) and guests (vestry/app/guest.h). Such data contains a message
 *  authentication code (seal), which proves that an instance with this secret made the data for this purpose and this
 *  scope. The state tags of pages (vestry/app/page.h) use a key derived from it, unless they have another secret.
 *  docs/guide/deploying.md has a table of all secrets. Without a secret the instance generates a random key. Then data
 *  from before a restart, or from another process, is invalid.
 *
 *      vestry_secret_set(v, &(vestry_secret){.secret = bytes, .secret_len = 32}); */
#ifndef VESTRY_SECRET_H
#define VESTRY_SECRET_H

#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A secret and its predecessor. */
typedef struct vestry_secret {
  const void *secret;   /**< at least 32 random bytes */
  size_t secret_len;    /**< length of the secret */
  const void *previous; /**< the previous secret, whose seals are still accepted after a change; NULL: none */
  size_t previous_len;  /**< length of the previous secret: at least 32 */
} vestry_secret;

/** Set the secret of an instance, once, before its pages are created and before the first request.
 *  secret  copied
 *  Returns  OK | INVALID, EXISTS (too short; a secret is set, or a random key was already generated; logged) |
 *           NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_secret_set(vestry *v, const vestry_secret *secret);
/** Return whether a text of a client, for example the header Authorization, equals a secret. The time of the comparison
 *  depends on the lengths only, so it does not reveal how many bytes are right. Both are terminated; NULL equals
 *  nothing. Threads any; does not block. */
VESTRY_API bool vestry_secret_is(const char *text, const char *secret);

#ifdef __cplusplus
}
#endif
#endif
