/* SPDX-License-Identifier: MIT */
/* Histories of an instance's channels by key: history.c has them. */
#ifndef VSI_CHANNEL_HISTORIES_H
#define VSI_CHANNEL_HISTORIES_H

#include "channel/history.h"
#include "vestry/app/history.h"

/* What some channels should have been sent may have been lost: none of them is known to be whole. Any thread; takes a
 * lock briefly. */
void vsi_histories_lose(vestry *v);

#endif
