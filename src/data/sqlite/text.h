/* SPDX-License-Identifier: MIT */
/* Texts of statements, and messages of SQLite about them. */
#ifndef VSI_SQLITE_TEXT_H
#define VSI_SQLITE_TEXT_H

#include <stdbool.h>

/* Return whether a message about a statement that cannot be prepared cites a value of it. */
bool vsi_sqlite_text_cites(const char *message);
/* Return where SQL continues after blanks, semicolons and comments; "": nowhere. */
const char *vsi_sqlite_text_rest(const char *sql);

#endif
