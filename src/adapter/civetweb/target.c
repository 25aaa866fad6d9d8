/* SPDX-License-Identifier: MIT */
/* civetweb decodes a path in place, unless decode_url is "no", and normalizes a copy of it, so the handler does not see
 * the path as it was sent. The remaining data is sufficient:
 * - local_uri_raw is decoded but not normalized: if it differs from the path, dots, slashes or backslashes were
 *   removed;
 * - a path with n percent-encoded bytes was 2n bytes longer when sent, and its end is known, because the query or the
 *   version follows it. Decoding leaves one NUL in that space, at the end of the decoded path; a second NUL was %00;
 * - some characters can only be sent encoded. If no more bytes than these were encoded, no slash was.
 * Besides, 1.16 replaces each plus sign by a blank. A blank cannot be sent unencoded. So if the number of encoded bytes
 * is too small by the number of blanks, all blanks were plus signs. */
#include "adapter/civetweb/target.h"

#include <civetweb.h>
#include <string.h>

#include "adapter/civetweb/adapter.h"
#include "adapter/web/target.h"
#include "base/memory.h"

enum { ON_STACK = 1024 };
static const char version_name[] = "HTTP/";
enum { VERSION_NAME_LEN = sizeof version_name - 1 };

/* Return the end of the path as it was sent. NULL: this civetweb stores it elsewhere. */
static const char *sent_end(const struct mg_request_info *info) {
  const char *begin = info->local_uri_raw, *end = info->query_string;
  if (end) return end > begin ? end - 1 : NULL;
  end = info->http_version - VERSION_NAME_LEN;
  if (end <= begin || memcmp(end, version_name, VERSION_NAME_LEN) != 0) return NULL;
  while (end > begin && end[-1] == '\0') end--; /* the spaces before the version */
  return end;
}

typedef enum clarity { UNCLEAR, CLEAR, OF_PLUSES } clarity; /* OF_PLUSES: clear, with a plus sign for each blank */

static clarity clarity_of(const struct mg_request_info *info, const char *path) {
  const char *end = sent_end(info);
  const size_t len = strlen(path);
  if (!end || (size_t)(end - info->local_uri_raw) < len) return UNCLEAR;
  const size_t more = (size_t)(end - info->local_uri_raw) - len;
  size_t nuls = 0;
  for (const char *at = info->local_uri_raw; at < end; at++) nuls += *at == '\0';
  const size_t least = vsi_web_path_least_encoded(path), encoded = more / 2;
  size_t blanks = 0;
  for (const char *at = path; *at; at++) blanks += *at == ' ';
  if (more % 2 || nuls > 1) return UNCLEAR;
  /* a '%' may have been sent unencoded, in a malformed escape */
  if (blanks && encoded == least - blanks) return strchr(path, '%') ? UNCLEAR : OF_PLUSES;
  return encoded == least || (encoded > least && !strchr(path + 1, '/')) ? CLEAR : UNCLEAR;
}

/* Return whether the rest of the target is clear; civetweb keeps the text before and after the path as it was sent. */
static bool rest_is_clear(const struct mg_request_info *info, const vestry_host *host, bool query_is_decoded) {
  const char *query = query_is_decoded || !info->query_string ? "" : info->query_string;
  const size_t before = (size_t)(info->local_uri_raw - info->request_uri), query_len = strlen(query);
  const size_t len = before + sizeof "/?" - 1 + query_len;
  char small[ON_STACK], *target = small;
  if (2 * len + 3 > sizeof small) target = vsi_calloc(host, 2, len + 2);
  if (!target) return false;
  memcpy(target, info->request_uri, before);
  memcpy(target + before, "/?", 2);
  memcpy(target + before + 2, query, query_len + 1);
  const char *rest;
  bool is_clear = vsi_web_target_read(target, target + len + 1, &rest);
  if (target != small) vsi_free(host, target);
  return is_clear;
}

static clarity decoded_clarity(const struct mg_request_info *info, const vestry_host *host, bool query_is_decoded) {
  const char *path = info->local_uri;
  const bool is_clear = info->local_uri_raw && info->request_uri && info->local_uri_raw >= info->request_uri &&
                        strcmp(info->local_uri_raw, path) == 0 && vsi_web_path_is_plain(path) &&
                        rest_is_clear(info, host, query_is_decoded);
  return is_clear ? clarity_of(info, path) : UNCLEAR;
}

static void put_pluses(vsi_civetweb_target *target, const vestry_host *host, const char *path) {
  const size_t size = strlen(path) + 1;
  char *text = target->small;
  if (size > sizeof target->small) text = target->owned = vsi_alloc(host, size);
  if (!text) return;
  memcpy(text, path, size);
  for (char *at = text; *at; at++)
    if (*at == ' ') *at = '+';
  target->path = text;
}

/* Read an undecoded target, which the server has only split in two. The decoded path is written after the target. */
static void read_raw(vsi_civetweb_target *target, const struct mg_request_info *info, const vestry_host *host,
                     bool query_is_decoded) {
  const char *query = query_is_decoded || !info->query_string ? "" : info->query_string, *rest;
  const size_t before = info->request_uri ? strlen(info->request_uri) : 0, query_len = strlen(query);
  const size_t len = before + 1 + query_len;
  char *text = target->small;
  if (2 * len + 3 > sizeof target->small) text = target->owned = vsi_calloc(host, 2, len + 2);
  if (!text || !before) return;
  memcpy(text, info->request_uri, before);
  text[before] = '?';
  memcpy(text + before + 1, query, query_len + 1);
  if (vsi_web_target_read(text, text + len + 1, &rest)) target->path = text + len + 1;
}

void vsi_civetweb_target_read(vsi_civetweb_target *target, const vsi_civetweb *adapter,
                              const struct mg_request_info *info) {
  target->path = NULL;
  target->owned = NULL;
  if (adapter->settings.path_is_raw) {
    read_raw(target, info, adapter->host, adapter->settings.query_is_decoded);
    return;
  }
  const clarity found = decoded_clarity(info, adapter->host, adapter->settings.query_is_decoded);
  if (found == CLEAR) target->path = info->local_uri;
  if (found == OF_PLUSES) put_pluses(target, adapter->host, info->local_uri);
}

void vsi_civetweb_target_finish(vsi_civetweb_target *target, const vsi_civetweb *adapter) {
  vsi_free(adapter->host, target->owned);
}
