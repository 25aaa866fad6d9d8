/* SPDX-License-Identifier: MIT */
/* Messages of SQLite about an application's statements. */
#ifndef VSI_SQLITE_TEXT_H
#define VSI_SQLITE_TEXT_H

#include <stdbool.h>

/* Return whether a message about a statement that cannot be prepared cites a value of it. */
bool vsi_sqlite_text_cites(const char *message);

#endif
