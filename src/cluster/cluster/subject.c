/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "vestry/cluster/broker.h"

bool vestry_subject_is_valid(const char *subject) {
  if (!subject || !*subject || *subject == '.') return false;
  size_t len = 0;
  char before = 0;
  for (; subject[len]; len++) {
    char c = subject[len];
    bool is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (len == VESTRY_SUBJECT_MAX_BYTES || (!is_word && (c != '.' || before == '.'))) return false;
    before = c;
  }
  return before != '.';
}

bool vestry_subjects_are_valid(const char *const *subjects, size_t count) {
  if (count && !subjects) return false;
  for (size_t i = 0; i < count; i++) {
    if (!vestry_subject_is_valid(subjects[i])) return false;
    for (size_t j = 0; j < i; j++)
      if (strcmp(subjects[i], subjects[j]) == 0) return false;
  }
  return true;
}
