/* SPDX-License-Identifier: MIT */
/** The secret of an instance, which seals data that pages get and send back: tab ids (vestry/app/tab.h), CSRF tokens
 *  (vestry/app/csrf.h), nonces (vestry/app/once.h). A seal is a message authentication code: it shows that an instance
 *  with this secret made the data, for this purpose and this scope. Without a secret the instance makes a random key:
 *  then a restart invalidates all open pages, and each process has another key.
 *
 *      vestry_secret_set(v, &(vestry_secret){.secret = bytes, .secret_len = 32}); */
#ifndef VESTRY_SECRET_H
#define VESTRY_SECRET_H

#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A secret, and the previous one. */
typedef struct vestry_secret {
  size_t size;          /**< sizeof(vestry_secret), or 0 */
  const void *secret;   /**< at least 32 random bytes */
  size_t secret_len;    /**< length of the secret */
  const void *previous; /**< the secret before a change: its seals are still accepted; NULL: none */
  size_t previous_len;  /**< its length: at least 32 */
} vestry_secret;

/** Set the secret of an instance, once, before the first request. Signed sessions (vestry/app/session.h) set theirs,
 *  unless there is one.
 *  secret  copied
 *  Returns  OK | INVALID (too short; logged) | EXISTS (there is one, or a random key was needed already) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_secret_set(vestry *v, const vestry_secret *secret);

#ifdef __cplusplus
}
#endif
#endif
