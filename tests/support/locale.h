/* SPDX-License-Identifier: MIT */
/* A locale for a test, made from the definitions of Debian's package locales. */
#ifndef TESTS_SUPPORT_LOCALE_H
#define TESTS_SUPPORT_LOCALE_H

#include <stdbool.h>

#include "support/folder.h"

typedef struct test_locale {
  char folder[FOLDER_BYTES];
} test_locale;

/* Set a locale, for example "ps_AF", with UTF-8. false: its definition is not installed; nothing to end. */
bool test_locale_begin(test_locale *locale, const char *name);
void test_locale_end(test_locale *locale);

#endif
