/* SPDX-License-Identifier: MIT */
/* Signals of a page, into which patches are merged as on the wire. */
#ifndef TESTS_PAGE_MERGE_H
#define TESTS_PAGE_MERGE_H

#include <jansson.h>

/* Merge as in RFC 7386, section 2. Takes the target (NULL: none), and returns the result. */
json_t *merge_patch(json_t *target, json_t *patch);

#endif
