/* SPDX-License-Identifier: MIT */
/* The host's real-time clock (CLOCK_REALTIME) as seen by the program. A test may set it; other clocks are
 * unaffected. */
#ifndef TESTS_POSTGRES_HOST_CLOCK_H
#define TESTS_POSTGRES_HOST_CLOCK_H

/* Set the clock ahead of the real one by that many seconds, or behind it if negative. Reset it to 0 at the end of
 * the test. */
void host_clock_set(long ahead_s);

#endif
