/* SPDX-License-Identifier: MIT */
/* What the event tests say over and over. */
#ifndef TESTS_EVENT_EXPECT_H
#define TESTS_EVENT_EXPECT_H

#include "vestry/event.h"

/* The call went well, and the event that it put at *event, which is dropped, has exactly these bytes. */
void expect_event(vestry_err error, vestry_event **event, const char *bytes);

/* The call failed that way and left *event alone, which was expect_untouched. */
void expect_error(vestry_err error, vestry_event **event, vestry_err expected);
extern vestry_event *const expect_untouched;

/* A copy of the bytes that ends at an unreadable page: one byte too far is a crash. Free with guarded_free. */
char *guarded_copy(const char *data, size_t len);
void guarded_free(char *copy, size_t len);

#endif
