/* SPDX-License-Identifier: MIT */
/* A submission in a storage that several nodes have. */
#ifndef VSI_GUARD_ONCE_STORED_H
#define VSI_GUARD_ONCE_STORED_H

#include "app/guard/once_answer.h"
#include "app/guard/once_digest.h"
#include "app/guard/once_sealed.h"

typedef struct vsi_once_storage {
  const vestry_host *host;
  const vestry_once_storage_ops *ops; /* NULL: there is none */
  void *ctx;
  uint64_t wait_ms;        /* so long another node's run is waited for */
  size_t max_answer_bytes; /* of one answer */
} vsi_once_storage;

/* Ask whose submission it is, until this run has it, another run has done it, or its end is not known.
 *  digest, answer  of DONE: those of the run that has done it
 *  ret_found       also after an error: RUNNING, if the storage said that another run has it
 *  Returns  OK | NO_MEMORY | LIMIT (another node runs it, and takes long) | FAILED (it was done, and its answer cannot
 *           be read: logged) | what the storage says */
vestry_err vsi_once_stored_begin(const vsi_once_storage *storage, const vsi_once_sealed *sealed, vsi_once_share *share,
                                 unsigned char digest[VSI_ONCE_DIGEST_BYTES], vsi_once_answer *answer,
                                 vestry_once_found *ret_found);
/* The run is over: the other nodes are to have its answer. If that fails, the log says so.
 *  Returns  OK | NO_MEMORY | what the storage says */
vestry_err vsi_once_stored_finish(const vsi_once_storage *storage, const vsi_once_sealed *sealed,
                                  const unsigned char digest[VSI_ONCE_DIGEST_BYTES], const vsi_once_answer *answer);
/* It was not done after all. If that fails, the log says so. Returns  OK | what the storage says */
vestry_err vsi_once_stored_forget(const vsi_once_storage *storage, const vsi_once_sealed *sealed);

#endif
