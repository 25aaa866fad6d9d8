/* SPDX-License-Identifier: MIT */
/* The grace time of guests whose last stream on this node has ended. Functions named _locked: the presence's lock is
 * held. */
#ifndef VSI_PRESENCE_GRACE_H
#define VSI_PRESENCE_GRACE_H

#include "app/presence/table.h"

/* A guest's last stream has ended: from now on his grace time runs. */
void vsi_grace_begin_locked(vestry_presence *presence, vsi_guest *one);
/* He is not gone any more: he is back, or the time is over. */
void vsi_grace_end_locked(vsi_guest *one);
/* The presence's timer. */
void vsi_grace_fire(vestry_timer *timer, void *presence);

#endif
