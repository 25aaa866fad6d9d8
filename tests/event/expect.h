/* SPDX-License-Identifier: MIT */
/* Assertions shared by the event tests. */
#ifndef TESTS_EVENT_EXPECT_H
#define TESTS_EVENT_EXPECT_H

#include "vestry/event.h"

/* Assert that the call succeeded and that the event has exactly these bytes. Drops *event. */
void expect_event(vestry_err error, vestry_event **event, const char *bytes);

/* Assert that the call failed with this error and left *event unchanged, at expect_untouched. */
void expect_error(vestry_err error, vestry_event **event, vestry_err expected);
extern vestry_event *const expect_untouched;

/* Copy bytes so that the copy ends at an unreadable page: a read past its end crashes. Free with guarded_free. */
char *guarded_copy(const char *data, size_t len);
void guarded_free(char *copy, size_t len);

#endif
