/* SPDX-License-Identifier: MIT */
/* A folder for a test's temporary files. */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

enum { FOLDER_BYTES = 64 };

/* Create it where fsync is free, if there is such a place. name: identifies the folder if a killed test leaves it
 * behind. */
void folder_make(char folder[FOLDER_BYTES], const char *name);
/* Remove it with its contents. */
void folder_remove(const char *folder);

#endif
