/* SPDX-License-Identifier: MIT */
/* Memory that encoders have freed, kept for the next encoder. Blocks in use and kept blocks are two lists; a kept block
 * is reused if it is large enough and at most twice as large as necessary. */
#include "coding/spare.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/memory.h"

enum { ROUNDED_LEAST = 4096, ROUND = 16384 };

/* Stands in front of each block of memory. */
struct vsi_spare_block {
  alignas(max_align_t) TAILQ_ENTRY(vsi_spare_block) link;
  size_t bytes;
};

static void drop_last(vsi_spare *spare) {
  vsi_spare_block *last = TAILQ_LAST(&spare->kept, vsi_spare_list);
  TAILQ_REMOVE(&spare->kept, last, link);
  spare->kept_bytes -= last->bytes;
  vsi_free(spare->from, last);
}

/* Keep a block, as the first to be reused. Above the bound, the blocks that were unused for the longest are
 * freed. */
static void keep(vsi_spare *spare, vsi_spare_block *block) {
  TAILQ_REMOVE(&spare->lent, block, link);
  if (block->bytes > VSI_SPARE_MOST_BYTES) {
    vsi_free(spare->from, block);
    return;
  }
  TAILQ_INSERT_HEAD(&spare->kept, block, link);
  spare->kept_bytes += block->bytes;
  while (spare->kept_bytes > VSI_SPARE_MOST_BYTES) drop_last(spare);
}

/* Take a kept block of at most twice the size, so that a large block is left for a large encoder. */
static vsi_spare_block *take_kept(vsi_spare *spare, size_t bytes) {
  vsi_spare_block *block;
  TAILQ_FOREACH(block, &spare->kept, link)
  if (block->bytes >= bytes && block->bytes / 2 <= bytes) break;
  if (!block) return NULL;
  TAILQ_REMOVE(&spare->kept, block, link);
  spare->kept_bytes -= block->bytes;
  return block;
}

static void *lend(vsi_spare *spare, size_t bytes) {
  if (bytes > SIZE_MAX - ROUND - sizeof(vsi_spare_block)) return NULL;
  /* so that a page that grows a little requests the same size */
  if (bytes > ROUNDED_LEAST) bytes = (bytes + ROUND - 1) / ROUND * ROUND;
  vsi_spare_block *block = take_kept(spare, bytes);
  if (!block) {
    block = vsi_alloc(spare->from, sizeof *block + bytes);
    if (!block) return NULL;
    block->bytes = bytes;
  }
  TAILQ_INSERT_HEAD(&spare->lent, block, link);
  return block + 1;
}

static void *reallocate(void *ctx, void *memory, size_t bytes) {
  vsi_spare *spare = ctx;
  if (!memory) return lend(spare, bytes);
  vsi_spare_block *block = (vsi_spare_block *)memory - 1;
  if (bytes && bytes <= block->bytes) return memory;
  void *more = bytes ? lend(spare, bytes) : NULL;
  if (bytes && !more) return NULL;
  if (more) memcpy(more, memory, block->bytes);
  keep(spare, block);
  return more;
}

void vsi_spare_init(vsi_spare *spare, const vestry_host *from) {
  *spare = (vsi_spare){.host = {.ctx = spare, .reallocate = reallocate}, .from = from};
  TAILQ_INIT(&spare->lent);
  TAILQ_INIT(&spare->kept);
}

void vsi_spare_free(vsi_spare *spare, void *memory) {
  if (!memory) return;
  vsi_spare_block *block = (vsi_spare_block *)memory - 1;
  TAILQ_REMOVE(&spare->lent, block, link);
  vsi_free(spare->from, block);
}

void vsi_spare_keep_all(vsi_spare *spare) {
  while (!TAILQ_EMPTY(&spare->lent)) keep(spare, TAILQ_FIRST(&spare->lent));
}

void vsi_spare_finish(vsi_spare *spare) {
  vsi_spare_keep_all(spare);
  while (!TAILQ_EMPTY(&spare->kept)) drop_last(spare);
}
