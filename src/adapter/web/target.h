/* SPDX-License-Identifier: MIT */
/* Request targets: from the bytes of a request line to the path of a route, in the same way for every server. A target
 * is refused if a proxy with rules, or a server that normalizes paths, could read another path from it. */
#ifndef VSI_WEB_TARGET_H
#define VSI_WEB_TARGET_H

#include <stdbool.h>
#include <stddef.h>

/* Split a target. These forms are valid (RFC 9112, section 3.2): the origin form ("/path?query"); the absolute form of
 * http and https ("http://host/path?query", whose host is ignored; without a path it is "/"); and "*", a path on which
 * nothing can be mounted. In a path each %xx is decoded once. These are refused:
 * - empty segments, except the last one ("//"), and segments that end with a dot ("..", "%2e", "a.");
 * - encoded slashes, and backslashes, encoded or not;
 * - control bytes and NUL, encoded or not; unencoded spaces and bytes above 126; '#'; a '%' without two hexadecimal
 *   digits; text that is not UTF-8 after decoding;
 * - in paths of several segments, encoded letters, digits and - . _ ~, and unencoded " < > ` { }: no client has a
 *   reason for either, and a proxy that compares paths as sent could be misled;
 * - all other forms: "host:443", "ftp://host/", "http://user@host/", "path".
 * A query is not decoded. It is refused only if it contains spaces, control bytes or '#'.
 *
 * path       room for strlen(target) + 2 bytes; terminated unless the target is refused
 * ret_query  in target, after the '?'; NULL: none. Untouched if the target is refused
 * false: refused, answer 400 */
bool vsi_web_target_read(const char *target, char *path, const char **ret_query);

/* Return whether a decoded path can be that of a valid target, and is not "*". */
bool vsi_web_path_is_plain(const char *path);

/* Return the number of bytes of a decoded path that can only be sent encoded. If no more bytes than these were encoded,
 * no slash was. For a server that sees only the decoded path. */
size_t vsi_web_path_least_encoded(const char *path);

#endif
