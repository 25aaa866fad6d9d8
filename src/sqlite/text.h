/* SPDX-License-Identifier: MIT */
/* The text of an application's statements, as far as its quotes and values tell apart. */
#ifndef VSI_SQLITE_TEXT_H
#define VSI_SQLITE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Of a keyword, a name or a number. */
bool vsi_sqlite_text_is_word(char c);
/* After a string, a quoted name or a comment that begins here; NULL: none does. */
const char *vsi_sqlite_text_skip(const char *at);

/* What the log may say of a statement: "..." stands for each value, and for names in double quotes, which SQLite takes
 * for strings where there is no such column. Comments are left out.
 *  shown  terminated; cut if there is too little room */
void vsi_sqlite_text_show(const char *sql, char *shown, size_t room);
/* Whether what SQLite says of a statement that cannot be prepared cites a value of it. */
bool vsi_sqlite_text_cites(const char *message);

#endif
