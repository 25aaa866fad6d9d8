/* SPDX-License-Identifier: MIT */
/* Another client of the server, beside nodes that write. */
#ifndef TESTS_POSTGRES_STRANGERS_H
#define TESTS_POSTGRES_STRANGERS_H

#include <stdint.h>

/* End what the stranger holds, and let it begin something else with the table, by chance. */
void strangers_act(const char *table, uint64_t chance);
/* End everything, before the tables are dropped. */
void strangers_rest(void);
/* End all sessions of vestry. */
void strangers_cut(void);
/* Return a setting of new sessions, by chance. None changes the result of a query. */
const char *strangers_setting(uint64_t chance);

#endif
