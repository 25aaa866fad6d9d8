/* SPDX-License-Identifier: MIT */
/* A folder of a test's own, for files of a moment. */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

enum { FOLDER_BYTES = 64 };

/* Where fsync costs nothing, if there is such a place. name: of whom it is, should a killed test leave it behind. */
void folder_make(char folder[FOLDER_BYTES], const char *name);
/* With all that is in it. */
void folder_remove(const char *folder);

#endif
