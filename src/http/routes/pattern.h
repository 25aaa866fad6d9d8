/* SPDX-License-Identifier: MIT */
/* Patterns of paths, by segments (vestry/routes.h). */
#ifndef VSI_HTTP_PATTERN_H
#define VSI_HTTP_PATTERN_H

#include "vestry/routes.h"

/* The values of a path's parameters: parts of the path. */
typedef struct vsi_captures {
  size_t count;
  vestry_slice values[VESTRY_ROUTE_PARAMETERS_MAX];
} vsi_captures;

/* Check a pattern. OK | INVALID (no pattern, or a rest that is not allowed) | LIMIT */
vestry_err vsi_pattern_check(const char *pattern, bool may_have_rest);
/* Return whether a path matches a checked pattern: completely if is_exact, otherwise with its beginning.
 *  ret_captures  NULL: not needed; otherwise filled for true only */
bool vsi_pattern_fits(const char *pattern, const char *path, bool is_exact, vsi_captures *ret_captures);
/* Compare two patterns: negative if the first one has precedence for paths that both fit; 0 if they differ at most by
 * the names of their parameters. */
int vsi_pattern_compare(const char *one, const char *other);
/* Copy the names of a pattern's parameters into `text`, which has room for the pattern, each with a NUL. Returns their
 * number. */
size_t vsi_pattern_names(const char *pattern, char *text, const char *ret_names[VESTRY_ROUTE_PARAMETERS_MAX]);

#endif
