/* SPDX-License-Identifier: MIT */
/* Contents that views keep: for the next ones to be encoded against. With the lock held. */
#ifndef VSI_PAGE_KEPT_H
#define VSI_PAGE_KEPT_H

#include "app/page/view.h"

typedef struct vsi_kept {
  vsi_ring by_age;
  vsi_view *view;
  vestry_event *event; /* what all its viewers have; a reference */
} vsi_kept;

/* What a view's content is now: kept if there is memory for it. The oldest ones go that are beyond the bound of all.
 * event: taken. */
void vsi_kept_put(vsi_view *view, vestry_event *event);
void vsi_kept_drop(vsi_view *view);

#endif
