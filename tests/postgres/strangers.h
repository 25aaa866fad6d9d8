/* SPDX-License-Identifier: MIT */
/* Another client of the server, beside nodes that run jobs. */
#ifndef TESTS_POSTGRES_STRANGERS_H
#define TESTS_POSTGRES_STRANGERS_H

#include <stdint.h>

/* End what the stranger holds, and let it begin something else, by chance. */
void strangers_act(uint64_t chance);
/* Lock the tables for 10 ms, while the nodes go on. */
void strangers_lock(void);
/* End everything, before the tables are dropped. */
void strangers_rest(void);
/* End all sessions of vestry. */
void strangers_cut(void);

#endif
