/* SPDX-License-Identifier: MIT */
/* Spare memory: memory that an encoder has freed is kept for the next one, up to a bound. Otherwise, each encoder that
 * is created and destroyed at the top of the heap makes the heap grow and shrink, which costs more than a short
 * encoding. One thread at a time. */
#ifndef VSI_CODING_SPARE_H
#define VSI_CODING_SPARE_H

#include <sys/queue.h>

#include "vestry/host.h"

enum { VSI_SPARE_MOST_BYTES = 640 << 10 }; /* what brotli needs for a page at the default level */

typedef struct vsi_spare_block vsi_spare_block;
typedef TAILQ_HEAD(vsi_spare_list, vsi_spare_block) vsi_spare_list;

/* Must stay at its address. */
typedef struct vsi_spare {
  vestry_host host;        /* provides only memory: kept blocks, or memory of the owner; keeps freed blocks */
  const vestry_host *from; /* the owner's host */
  vsi_spare_list lent, kept;
  size_t kept_bytes;
} vsi_spare;

void vsi_spare_init(vsi_spare *spare, const vestry_host *from);
/* Free all memory, including blocks in use. */
void vsi_spare_finish(vsi_spare *spare);
/* Free a block that is in use, without keeping it. NULL is accepted. */
void vsi_spare_free(vsi_spare *spare, void *memory);
/* Keep all blocks that are in use; none may be used afterwards. */
void vsi_spare_keep_all(vsi_spare *spare);

#endif
