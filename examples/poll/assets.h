/* SPDX-License-Identifier: MIT */
/* Files of this folder, converted to arrays by the build. */
#ifndef POLL_ASSETS_H
#define POLL_ASSETS_H

#include <stddef.h>

extern const unsigned char poll_css[];
extern const size_t poll_css_len;

#endif
