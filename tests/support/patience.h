/* SPDX-License-Identifier: MIT */
/* How long a test waits before it fails. It is long because the machine may be slow and busy, and a successful wait
 * ends at once. */
#ifndef TESTS_SUPPORT_PATIENCE_H
#define TESTS_SUPPORT_PATIENCE_H

enum { PATIENCE_S = 240 };

#endif
