/* SPDX-License-Identifier: MIT */
/* Finding the place for an attribute in the start tag of the html element, or for the whole tag if a document begins
 * without it. */
#include "html/root_tag.h"

#include <string.h>
#include <strings.h>

#include "base/ascii.h"
#include "html/tag.h"

size_t vsi_html_root_tag(vestry_slice html, bool *ret_has_tag) {
  static const char mark[] = "\xEF\xBB\xBF";
  const char *begin = html.data, *at = begin, *end = begin + html.len;
  *ret_has_tag = false;
  if (html.len >= sizeof mark - 1 && memcmp(at, mark, sizeof mark - 1) == 0) at += sizeof mark - 1;
  for (;;) {
    while (at < end && vsi_is_space(*at)) at++;
    bool is_markup = end - at > 1 && *at == '<' && (at[1] == '!' || at[1] == '?');
    if (!is_markup) break;
    at = vsi_tag_skip_markup(at, end, false);
  }
  vsi_tag tag;
  if (at < end && *at == '<' && vsi_tag_begin(&tag, at, end, false) && !tag.is_end && tag.name.len == 4 &&
      strncasecmp(tag.name.data, "html", 4) == 0) {
    *ret_has_tag = true;
    at = (const char *)tag.name.data + tag.name.len;
  }
  return (size_t)(at - begin);
}
