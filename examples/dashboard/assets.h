/* SPDX-License-Identifier: MIT */
/* Files of this folder, converted to arrays by the build. */
#ifndef DASHBOARD_ASSETS_H
#define DASHBOARD_ASSETS_H

#include <stddef.h>

extern const unsigned char dashboard_css[];
extern const size_t dashboard_css_len;

#endif
