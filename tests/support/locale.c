/* SPDX-License-Identifier: MIT */
#include "support/locale.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

bool test_locale_begin(test_locale *locale, const char *name) {
  char command[256], full[64];
  folder_make(locale->folder, "locale");
  snprintf(full, sizeof full, "%s.UTF-8", name);
  snprintf(command, sizeof command, "localedef -i %s -f UTF-8 %s/%s 2> /dev/null", name, locale->folder, full);
  if (!system(command)) {
    setenv("LOCPATH", locale->folder, 1);
    if (setlocale(LC_ALL, full)) return true;
  }
  test_locale_end(locale);
  return false;
}

void test_locale_end(test_locale *locale) {
  setlocale(LC_ALL, "C");
  unsetenv("LOCPATH");
  folder_remove(locale->folder);
}
