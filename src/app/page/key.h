/* SPDX-License-Identifier: MIT */
/* Keys of shared views: what makes two views one, and the views that there are by them. */
#ifndef VSI_PAGE_KEY_H
#define VSI_PAGE_KEY_H

#include "app/page/view.h"
#include "base/buffer.h"

/* No lock. Errors stick in the buffer. */
void vsi_key_of_page(vsi_buffer *key, const vestry_page *page, vestry_slice target, const char *share,
                     size_t *ret_share_at);
void vsi_key_of_part(vsi_buffer *key, const vestry_page_part *part, size_t *ret_share_at);

/* The shared view of that key: one that is there, or a new one. With the lock. page: NULL: a part. part: NULL: a page,
 * and request: a reference is taken if the view is new. OK | NO_MEMORY | LIMIT (requests) */
vestry_err vsi_key_view(vestry_pages *pages, vestry_page *page, const vestry_page_part *part, const vsi_buffer *key,
                        size_t share_at, vsi_request_copy *request, vsi_shared **ret_shared);
/* The view is found no more. With the lock. */
void vsi_key_forget(const vsi_shared *shared);

#endif
