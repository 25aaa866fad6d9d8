/* Histories of an instance's channels by key: history.c has them. */
#ifndef VSI_CHANNEL_HISTORIES_H
#define VSI_CHANNEL_HISTORIES_H

#include "vestry/history.h"

/* max_bytes: 0: the default. OK | NO_MEMORY */
vestry_err vsi_histories_create(vestry *v, size_t max_bytes);
/* End all. No thread is inside a function of theirs; their timers may be. */
void vsi_histories_destroy(vestry *v);

/* What some channels should have been sent may have been lost: none of them is known to be whole. Any thread; takes a
 * lock briefly. */
void vsi_histories_lose(vestry *v);

#endif
