/* SPDX-License-Identifier: MIT */
/* Spare memory: what an encoder gave back is kept for the next one, up to a bound. Without it, each encoder that comes
 * and goes at the top of the heap makes the heap grow and shrink, which costs more than a short encoding does. One
 * thread at a time. */
#ifndef VSI_CODING_SPARE_H
#define VSI_CODING_SPARE_H

#include <sys/queue.h>

#include "vestry/host.h"

enum { VSI_SPARE_MOST_BYTES = 640 << 10 }; /* brotli's for a page, at the default level */

typedef struct vsi_spare_block vsi_spare_block;
typedef TAILQ_HEAD(vsi_spare_list, vsi_spare_block) vsi_spare_list;

/* Is not moved. */
typedef struct vsi_spare {
  vestry_host host;        /* gives memory, and nothing else: what is kept, or its owner's; keeps what is freed */
  const vestry_host *from; /* its owner's */
  vsi_spare_list lent, kept;
  size_t kept_bytes;
} vsi_spare;

void vsi_spare_init(vsi_spare *spare, const vestry_host *from);
/* Free all of it, also what is lent. */
void vsi_spare_finish(vsi_spare *spare);
/* Free a piece that is lent, and do not keep it. NULL is accepted. */
void vsi_spare_free(vsi_spare *spare, void *memory);
/* Nothing is lent any more. */
void vsi_spare_keep_all(vsi_spare *spare);

#endif
