/* SPDX-License-Identifier: MIT */
/* How long a test waits before it says that it waited in vain: for long, since the machine may be slow and busy, and a
 * wait that succeeds ends at once. */
#ifndef TESTS_SUPPORT_PATIENCE_H
#define TESTS_SUPPORT_PATIENCE_H

enum { PATIENCE_S = 240 };

#endif
