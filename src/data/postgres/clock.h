/* SPDX-License-Identifier: MIT */
/* The time in a statement. */
#ifndef VSI_POSTGRES_CLOCK_H
#define VSI_POSTGRES_CLOCK_H

/* Milliseconds since 1970: the parameter, or the server's clock, when the transaction began, if it is 0. */
#define VSI_POSTGRES_NOW_MS(parameter)                                                                                 \
  "(CASE " parameter "::bigint WHEN 0 THEN (extract(epoch FROM now()) * 1000)::bigint ELSE " parameter "::bigint END)"

#endif
