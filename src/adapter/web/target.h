/* SPDX-License-Identifier: MIT */
/* Request targets: from the bytes of a request line to the path that handlers are mounted on, the same way for every
 * server. What could be another path to a proxy with rules, or to a server that tidies up, is refused. */
#ifndef VSI_WEB_TARGET_H
#define VSI_WEB_TARGET_H

#include <stdbool.h>
#include <stddef.h>

/* Take a target apart. Legal (RFC 9112, section 3.2) are the origin form ("/path?query"), the absolute form of http and
 * https ("http://host/path?query", whose host is not looked at; without a path it is "/"), and "*", a path on which
 * nothing can be mounted. In a path each %xx is decoded, once. Refused are
 *   - segments that are empty but for the last one ("//"), and segments that end with a dot ("..", "%2e", "a.");
 *   - slashes and backslashes that are encoded, and backslashes that are not;
 *   - control bytes and NUL, encoded or not; spaces and bytes above 126 that are not encoded; '#'; a '%' without two
 *     hexadecimal digits; what is no UTF-8 when it is decoded;
 *   - in paths of several segments, letters, digits and - . _ ~ that are encoded, and " < > ` { } that are not: no
 *     client has a reason for either, and a proxy that compares paths as they were sent could be led astray;
 *   - all other forms: "host:443", "ftp://host/", "http://user@host/", "path".
 * A query is not decoded: it is refused for spaces, control bytes and '#' alone.
 *
 * path       room for strlen(target) + 2 bytes; terminated when it is not refused
 * ret_query  in target, after the '?'; NULL: none. Untouched when it is refused
 * false: refused, answer 400 */
bool vsi_web_target_read(const char *target, char *path, const char **ret_query);

/* Whether a decoded path is one that a target can name, and no "*". */
bool vsi_web_path_is_plain(const char *path);

/* How many bytes of a decoded path cannot be sent but encoded. If no more than these were, no slash was: for a server
 * that sees the decoded path alone. */
size_t vsi_web_path_least_encoded(const char *path);

#endif
