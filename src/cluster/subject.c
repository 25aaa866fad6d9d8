#include "vestry/broker.h"

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
