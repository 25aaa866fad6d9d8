/* SPDX-License-Identifier: MIT */
/* Histories of an instance's channels by key. What one is made of: channel/history.h. */
#ifndef VSI_HISTORY_HISTORIES_H
#define VSI_HISTORY_HISTORIES_H

#include "channel/history.h"
#include "vestry/app/history.h"

/* What some channels should have been sent may have been lost: none of them is known to be whole. Any thread; takes a
 * lock briefly. */
VESTRY_API void vsi_histories_lose(vestry *v);

#endif
