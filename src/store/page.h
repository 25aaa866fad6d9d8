/* A page of a listing: keys are gathered under the lock of their table and handed out without it.
 *
 * A listing walks the slots of a table's nodes. A key stays in its slot while the store has it, so it is met exactly
 * once; one made after the walk came into the table is passed over, so a key that goes and comes back in a later slot
 * is not named twice. A cursor is (shard, slot) and the number of nodes there had been then. */
#ifndef VSI_STORE_PAGE_H
#define VSI_STORE_PAGE_H

#include "store/table.h"

typedef struct vsi_page {
  const vestry_host *host;
  struct vsi_page_item *items;
  size_t count, capacity;
} vsi_page;

/* capacity: 1 to 4,096. OK | NO_MEMORY. */
vestry_err vsi_page_init(vsi_page *page, const vestry_host *host, size_t capacity);

/* Go on at the cursor in its table, until the page is full, or the lock has been held for long enough, or the table
 * ends: then the cursor moves to the next. Under the table's lock. */
void vsi_page_fill(vsi_page *page, vsi_table *table, const vestry_scope *only_scope, vestry_list_cursor *cursor);

/* Which table the cursor is in; as many as there are tables: in none, it is done. */
size_t vsi_cursor_shard(const vestry_list_cursor *cursor);

/* Call fn for each key, then free the page. No lock held. */
void vsi_page_hand_out(vsi_page *page, vestry_list_fn fn, void *ctx);

#endif
