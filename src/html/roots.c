#include "html/roots.h"

#include <string.h>
#include <strings.h>

#include "base/ascii.h"
#include "html/tag.h"

/* Is a text of HTML one element, with everything else inside of it? Then it can be told what it replaces: the element
 * of that id in the page. Conflation asks this of the morphs that wait in a queue (event/target.c). A wrong yes would
 * lose a patch; so whatever is in doubt is a no.
 *
 * Tags are matched strictly: each end tag closes the last start tag that is open, by name. A document that does so can
 * still come out otherwise (WHATWG HTML, section 13.2.6): elements are closed by others that must not stand in them,
 * moved out of tables, or dropped. All that happens inside of the outermost element, as long as that is one which
 * nothing inside of it closes or leaves; so only such are accepted as the root. Text that is not parsed as tags
 * (styles, comments and their like) is not accepted at all. */

enum { MAX_DEPTH = 64 };

static bool is_in(const char *const *names, size_t count, vestry_slice name) {
  for (size_t i = 0; i < count; i++)
    if (strlen(names[i]) == name.len && strncasecmp(names[i], name.data, name.len) == 0) return true;
  return false;
}
#define IS_IN(names, name) is_in(names, sizeof(names) / sizeof *(names), name)

typedef struct tag {
  vestry_slice name, id;
  bool is_end, binds;
  uint64_t hash; /* of its name and attributes as they are written, but for the id */
} tag;

static uint64_t hash_more(uint64_t hash, vestry_slice text) {
  const unsigned char *bytes = text.data;
  for (size_t i = 0; i < text.len; i++) hash = (hash ^ bytes[i]) * UINT64_C(1099511628211); /* FNV-1a */
  return (hash ^ 0xff) * UINT64_C(1099511628211); /* no byte of UTF-8: what follows is another text */
}

/* data-bind, data-bind:name, either with modifiers. */
static bool is_bind(const char *name, size_t len) {
  if (len < 9 || strncasecmp(name, "data-bind", 9) != 0) return false;
  return len == 9 || name[9] == ':' || (len > 10 && name[9] == '_' && name[10] == '_');
}

static void note_bind(vsi_html_binds *binds, uint64_t hash) {
  for (size_t i = 0; i < binds->count; i++)
    if (binds->hashes[i] == hash) return;
  if (binds->count == VSI_HTML_BINDS_MAX)
    binds->too_many = true;
  else
    binds->hashes[binds->count++] = hash;
}

/* The tag that begins at '<'; returns what is behind it; NULL: it is none that is understood. */
static const char *read_tag(const char *at, const char *end, tag *ret_tag) {
  vsi_tag reader;
  vsi_tag_attribute attribute;
  if (!vsi_tag_begin(&reader, at, end, true)) return NULL;
  tag t = {reader.name, {NULL, 0}, reader.is_end, false, UINT64_C(14695981039346656037)};
  t.hash = hash_more(t.hash, t.name);
  while (vsi_tag_next(&reader, &attribute)) {
    vestry_slice name = attribute.name;
    if (name.len == 2 && strncasecmp(name.data, "id", 2) == 0) {
      if (!t.id.data) t.id = attribute.value; /* of two the first counts */
      continue;
    }
    t.binds |= is_bind(name.data, name.len);
    t.hash = hash_more(hash_more(t.hash, name), attribute.value);
  }
  *ret_tag = t;
  return reader.at;
}

bool vsi_html_one_root(vestry_slice html, vestry_slice *ret_id, vsi_html_binds *ret_binds) {
  static const char *const roots[] = {"div", "main", "section", "article", "aside",  "header",  "footer",
                                      "nav", "ul",   "ol",      "dl",      "figure", "details", "span"};
  static const char *const voids[] = {"area",  "base", "br",   "col",   "embed",  "hr",    "img",
                                      "input", "link", "meta", "param", "source", "track", "wbr"};
  static const char *const opaque[] = {"script",   "style",    "title",     "xmp",      "iframe",   "noembed",
                                       "noframes", "noscript", "plaintext", "template", "frameset", "html",
                                       "head",     "body",     "image",     "select"};
  static const char *const texts[] = {"textarea"};
  vestry_slice open[MAX_DEPTH], id = {NULL, 0};
  size_t depth = 0;
  bool begun = false;
  *ret_binds = (vsi_html_binds){.count = 0};
  if (!html.len) return false;
  for (const char *at = html.data, *end = at + html.len; at < end;) {
    if (vsi_is_space(*at)) {
      at = vsi_tag_skip_space(at, end, true);
      continue;
    }
    if (*at != '<') {
      if (!depth) return false;
      at++;
      continue;
    }
    tag t;
    at = read_tag(at, end, &t);
    if (!at || IS_IN(opaque, t.name)) return false;
    if (t.is_end) {
      if (!depth || open[depth - 1].len != t.name.len ||
          strncasecmp(open[depth - 1].data, t.name.data, t.name.len) != 0)
        return false;
      depth--;
      continue;
    }
    if (!depth && (begun || !IS_IN(roots, t.name))) return false;
    if (!depth) {
      begun = true;
      id = t.id;
    }
    const char *inside = at;
    bool is_text = IS_IN(texts, t.name);
    if (is_text && (at = vsi_tag_text_end(at, end, t.name)) == end) return false;
    if (is_text) t.hash = hash_more(t.hash, (vestry_slice){inside, (size_t)(at - inside)});
    if (t.binds) note_bind(ret_binds, t.hash);
    if (IS_IN(voids, t.name)) continue;
    if (depth == MAX_DEPTH) return false;
    open[depth++] = t.name;
  }
  if (!begun || depth) return false;
  *ret_id = id.len && !memchr(id.data, '&', id.len) && !memchr(id.data, '\n', id.len) ? id : (vestry_slice){NULL, 0};
  return true;
}
