/* SPDX-License-Identifier: MIT */
/* essay: the effects of attribute values */
/* The attributes of HTML, SVG and MathML, including some that only earlier browsers had, and Datastar's. An attribute
 * that is not listed can neither run code on any element nor load code; this was verified in Chromium
 * (tests/browser/attributes.test.js).
 *
 * These are harmless here, although they contain URLs: srcset, imagesrcset, ping, attributionsrc, and url() in
 * presentation attributes (fill, filter, mask). Their URLs name images, a picture in an SVG document that runs nothing,
 * or only the receiver of a notification. */
#include "html/value.h"

#include <string.h>

#include "html/tag.h"

#define DOCUMENTS  "iframe frame embed object applet portal fencedframe"
#define ANIMATIONS "animate set animatecolor animatemotion animatetransform"

/* The first row that matches counts. */
static const struct {
  const char *attributes[12], *elements; /* elements: separated by spaces; NULL: all */
  vsi_value value;
} rows[] = {
    /* URLs. A `use` includes elements of another document, with their handlers. */
    {{"href", "xlink:href"}, "script use base", VSI_VALUE_LOADS},
    {{"src"}, "script", VSI_VALUE_LOADS},
    {{"href"}, "link", VSI_VALUE_LINK},
    {{"src", "data", "href"}, DOCUMENTS, VSI_VALUE_PAGE},
    {{"href", "xlink:href", "src", "action", "formaction", "data", "poster", "background", "cite", "longdesc", "lowsrc",
      "dynsrc"},
     NULL,
     VSI_VALUE_URL},
    {{"manifest"}, "html", VSI_VALUE_CLOSED},
    {{"xml:base"}, NULL, VSI_VALUE_CLOSED},
    {{"code", "object", "classid", "archive", "codebase"}, DOCUMENTS, VSI_VALUE_CLOSED},
    {{"value"}, "param", VSI_VALUE_CLOSED},
    /* Code, styles, documents. */
    {{"style"}, NULL, VSI_VALUE_STYLE},
    {{"srcdoc"}, NULL, VSI_VALUE_MARKUP},
    /* A value or a name of another element's attribute: `values` can be URLs for the link around it. */
    {{"values", "from", "to", "by", "attributename"}, ANIMATIONS, VSI_VALUE_CLOSED},
    /* Attributes that determine how others are read. A charset can be one in which ASCII is not ASCII. */
    {{"rel"}, "link", VSI_VALUE_REL},
    {{"type"}, "script", VSI_VALUE_TYPE},
    {{"language"}, "script", VSI_VALUE_CLOSED},
    {{"charset"}, "meta script link", VSI_VALUE_CLOSED},
    {{"http-equiv"}, "meta", VSI_VALUE_PRAGMA},
    {{"content"}, "meta", VSI_VALUE_CONTENT},
    {{"encoding"}, "annotation-xml", VSI_VALUE_CLOSED},
    {{"shadowrootmode"}, "template", VSI_VALUE_CLOSED},
    {{"is", "xmlns"}, NULL, VSI_VALUE_CLOSED},
    /* Permissions of a document inside the page. */
    {{"allow", "sandbox", "csp"}, DOCUMENTS, VSI_VALUE_CLOSED},
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* Return whether a name is in an array, which may end with NULL. A name can contain a NUL. */
static bool is_listed_name(vestry_slice name, const char *const *names, size_t count) {
  for (size_t i = 0; name.len && i < count && names[i]; i++)
    if (*names[i] == *(const char *)name.data && strlen(names[i]) == name.len &&
        memcmp(names[i], name.data, name.len) == 0)
      return true;
  return false;
}

/* Return whether a name is in a list separated by spaces, ignoring case. */
static bool is_among(vestry_slice name, const char *list) {
  while (name.len && *list) {
    size_t len = strcspn(list, " ");
    if (len == name.len && vsi_is_same_text(list, name.data, len)) return true;
    list += len + (list[len] == ' ');
  }
  return false;
}

static vsi_value look_up_attribute(vestry_slice element, vestry_slice attribute) {
  if (vsi_slice_begins(attribute, "on")) return VSI_VALUE_CODE;
  for (size_t i = 0; i < COUNT(rows); i++)
    if (is_listed_name(attribute, rows[i].attributes, COUNT(rows[i].attributes)) &&
        (!rows[i].elements || is_among(element, rows[i].elements)))
      return rows[i].value;
  return VSI_VALUE_TEXT;
}

/* Return whether a Datastar attribute's value is an expression. Its name is followed by a key (:key), modifiers
 * (__modifier), or nothing. A bundle with the alias "star" has the same attributes as data-star-…. `data-on-…` has
 * several variants. The values of the other attributes (bind, ref, indicator, preserve-attr, ignore) are names, which
 * the client does not evaluate. */
static bool is_expression(vestry_slice name) {
  static const char list[] = "attr class computed effect init show signals style text json-signals persist "
                             "query-string custom-validity replace-url animate view-transition match-media";
  if (vsi_slice_begins(name, "on") && (name.len == 2 || memchr(":-_.", ((const char *)name.data)[2], 4))) return true;
  const char *text = name.data;
  for (size_t i = 0; i < name.len; i++) {
    if (text[i] == ':' || text[i] == '.' || (text[i] == '_' && i + 1 < name.len && text[i + 1] == '_')) name.len = i;
  }
  return is_among(name, list);
}

/* Return the kind of the attribute KEY that data-attr:KEY sets. Without a key, names and values are in the code;
 * modifiers could turn the key into another name. */
static vsi_value result_of(vestry_slice element, vestry_slice name) {
  if (!vsi_slice_begins(name, "attr") && !vsi_slice_begins(name, "animate")) return VSI_VALUE_TEXT;
  const char *key = memchr(name.data, ':', name.len), *at = name.data;
  for (size_t i = 0; i + 1 < name.len; i++)
    if (at[i] == '_' && at[i + 1] == '_') return VSI_VALUE_CLOSED;
  return key ? look_up_attribute(element, vsi_slice_behind(name, (size_t)(key + 1 - at))) : VSI_VALUE_CLOSED;
}

vsi_value vsi_html_value(vestry_slice element, vestry_slice attribute, vsi_value *ret_result) {
  *ret_result = VSI_VALUE_TEXT;
  if (!vsi_slice_begins(attribute, "data-")) return look_up_attribute(element, attribute);
  vestry_slice name =
      vsi_slice_behind(attribute, vsi_slice_begins(attribute, "data-star-") ? strlen("data-star-") : strlen("data-"));
  if (!is_expression(name)) return VSI_VALUE_TEXT;
  *ret_result = result_of(element, name);
  return VSI_VALUE_CODE;
}

bool vsi_html_is_plain_link(vestry_slice rel) {
  static const char list[] =
      "canonical alternate author bookmark help icon shortcuticon apple-touch-icon apple-touch-icon-precomposed "
      "image_src license me next prev previous first last up index contents search shortlink amphtml "
      "privacy-policy terms-of-service pingback webmention hub self preconnect dns-prefetch";
  return is_among(rel, list);
}

bool vsi_html_is_rules(vestry_slice type) {
  return is_among(type, "importmap speculationrules webbundle");
}
