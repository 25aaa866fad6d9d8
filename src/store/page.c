#include "store/page.h"

#include "base/memory.h"
#include "store/scoped_key.h"

/* Slots looked at in one go: a few microseconds of holding the lock, however sparse the slots or the scope. */
enum { STRIDE = 4096 };

typedef struct vsi_page_item {
  vsi_node *node;
  size_t values_count;
} vsi_page_item;

vestry_err vsi_page_init(vsi_page *page, const vestry_host *host, size_t capacity) {
  *page = (vsi_page){.host = host, .capacity = capacity};
  page->items = vsi_calloc(host, capacity, sizeof *page->items);
  return page->items ? VESTRY_OK : VESTRY_NO_MEMORY;
}

size_t vsi_cursor_shard(const vestry_list_cursor *cursor) {
  return (size_t)(cursor->position >> 32);
}

void vsi_page_fill(vsi_page *page, vsi_table *table, const vestry_scope *only_scope, vestry_list_cursor *cursor) {
  if (cursor->until == 0) cursor->until = table->created_count + 1;
  uint32_t slot = (uint32_t)cursor->position, used = table->nodes.used;
  uint32_t stop = used > slot && used - slot > STRIDE ? slot + STRIDE : used;
  for (; slot < stop && page->count < page->capacity; slot++) {
    vsi_node *node = vsi_slots_at(&table->nodes, slot);
    if (!node || node->created >= cursor->until) continue;
    if (only_scope) {
      vestry_scoped_key key = vsi_node_scoped_key(node);
      if (!vsi_scoped_key_is_of(&key, only_scope)) continue;
    }
    vsi_node_hold(node);
    page->items[page->count++] = (vsi_page_item){node, node->count};
  }
  if (slot < used) {
    cursor->position = (cursor->position & ~(uint64_t)UINT32_MAX) | slot;
  } else {
    cursor->position = (uint64_t)(vsi_cursor_shard(cursor) + 1) << 32;
    cursor->until = 0;
  }
}

void vsi_page_hand_out(vsi_page *page, vestry_list_fn fn, void *ctx) {
  for (size_t i = 0; i < page->count; i++) {
    vsi_node *node = page->items[i].node;
    vestry_scoped_key key = vsi_node_scoped_key(node);
    fn(&(vestry_listed){key.scope, key.data + key.key_offset, key.len - key.key_offset, page->items[i].values_count},
       ctx);
    vsi_node_drop(node, page->host);
  }
  vsi_free(page->host, page->items);
  page->items = NULL;
}
