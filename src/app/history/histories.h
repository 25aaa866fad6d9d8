/* SPDX-License-Identifier: MIT */
/* Histories of an instance's channels, by key. history.h contains the history of one channel. */
#ifndef VSI_HISTORY_HISTORIES_H
#define VSI_HISTORY_HISTORIES_H

#include "app/history/history.h"
#include "vestry/app/history.h"

/* Record that events may have been lost for an unknown set of channels: every history has a gap from then on. Any
 * thread; takes a lock briefly. */
VESTRY_API void vsi_histories_lose(vestry *v);

#endif
