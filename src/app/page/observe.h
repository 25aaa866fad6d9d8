/* SPDX-License-Identifier: MIT */
/* Observers of renders. No lock. */
#ifndef VSI_PAGE_OBSERVE_H
#define VSI_PAGE_OBSERVE_H

#include "app/page/pages.h"

/* Tell the observers that a render begins. Returns the places of those that were told, as bits. */
uint8_t vsi_observers_begin(vestry_pages *pages, vestry_render *render);
/* Tell these observers that the render ends, the last one first. */
void vsi_observers_end(vestry_pages *pages, vestry_render *render, uint8_t told);
/* Have the observers refresh what was changed until now. false: one is not sure that it has. */
bool vsi_observers_settle(vestry_pages *pages);

#endif
