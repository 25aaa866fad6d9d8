/* SPDX-License-Identifier: MIT */
/** The secret of an instance, with which it seals what pages are given and bring back: tab ids (vestry/app/tab.h), CSRF
 *  tokens (vestry/app/csrf.h), nonces (vestry/app/once.h). Without one the instance makes a random key: then no page
 *  that is open outlives a restart, and each process has another key.
 *
 *      vestry_secret_set(v, &(vestry_secret){.secret = bytes, .secret_len = 32});
 */
#ifndef VESTRY_SECRET_H
#define VESTRY_SECRET_H

#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A secret, and the one before it. */
typedef struct vestry_secret {
  size_t size;          /**< sizeof(vestry_secret), or 0 */
  const void *secret;   /**< at least 32 random bytes */
  size_t secret_len;    /**< of the secret */
  const void *previous; /**< what it sealed is still good, for a change of secrets; NULL: none */
  size_t previous_len;  /**< of that: at least 32 */
} vestry_secret;

/** Give an instance its secret: once, before the first request. Sessions that are signed (vestry/app/session.h) bring
 *  theirs, unless there is one.
 *  secret   copied
 *  Returns  OK | INVALID (too short; the log says so) | EXISTS (there is one, or a random key was needed already) |
 *           NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_secret_set(vestry *v, const vestry_secret *secret);

#ifdef __cplusplus
}
#endif
#endif
