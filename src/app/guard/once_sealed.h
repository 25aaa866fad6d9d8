/* SPDX-License-Identifier: MIT */
/* A submission as a storage sees it: names by which it is found, and an answer that only its nonce opens. */
#ifndef VSI_GUARD_ONCE_SEALED_H
#define VSI_GUARD_ONCE_SEALED_H

#include <stdbool.h>
#include <stdint.h>

#include "vestry/app/once.h"
#include "vestry/host.h"
#include "vestry/key.h"

enum { VSI_ONCE_SEAL_BYTES = 12 + 16 }; /* that a sealed answer is longer */

typedef struct vsi_once_sealed {
  char hash[65], owner[65], run[33];
  unsigned char key[32], number[12]; /* number: of the run, which seals one answer */
} vsi_once_sealed;

/* owner: whose submissions are counted together; the nonce is one of the owner's. OK | IO (no randomness) */
vestry_err vsi_once_sealed_init(vsi_once_sealed *sealed, const vestry_host *host, vestry_scope owner,
                                const char *nonce);
/* What the storage is handed. Valid as long as sealed is. */
vestry_once_submission vsi_once_sealed_press(const vsi_once_sealed *sealed);
/* Seal in place. bytes: VSI_ONCE_SEAL_BYTES of room, then len bytes. */
void vsi_once_seal(const vsi_once_sealed *sealed, unsigned char *bytes, size_t len);
/* Open in place what has len bytes with the seal. Returns whether it is this submission's, as it was sealed; the answer
 * begins after VSI_ONCE_SEAL_BYTES. */
bool vsi_once_open(const vsi_once_sealed *sealed, unsigned char *bytes, size_t len);

#endif
