/* SPDX-License-Identifier: MIT */
/* A page as the wire has it: signals, into which patches are merged. */
#ifndef TESTS_SIGNALS_MERGE_H
#define TESTS_SIGNALS_MERGE_H

#include <jansson.h>

/* RFC 7386, section 2, word by word. Takes the target (NULL: none), returns what has become of it. */
json_t *merge_patch(json_t *target, json_t *patch);

#endif
