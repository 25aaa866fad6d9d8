/* Contents that views keep: for the next ones to be encoded against. All with the lock held. */
#ifndef VSI_PAGE_KEPT_H
#define VSI_PAGE_KEPT_H

#include "page/view.h"

/* A view's content, for the next one to be encoded against. */
typedef struct vsi_kept {
  vsi_view *view;
  vestry_event *event; /* what all who see it have; a reference */
  struct vsi_kept *newer, *older;
} vsi_kept;

/* A view's content is now this one, and it is kept if there is memory for it. event: taken; NULL: nothing. */
void vsi_kept_put(vsi_view *view, vestry_event *event);
/* Drop the oldest ones that are beyond the bound. */
void vsi_kept_trim(vestry_pages *pages);

#endif
