#include "html/roots.h"

#include <string.h>
#include <strings.h>

#include "base/ascii.h"

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

const char *vsi_html_skip_space(const char *at, const char *end) {
  static const char prefix[] = "data: elements ";
  while (at < end && vsi_is_space(*at)) {
    bool is_break = *at == '\n';
    at++;
    if (is_break && (size_t)(end - at) >= sizeof prefix - 1 && memcmp(at, prefix, sizeof prefix - 1) == 0)
      at += sizeof prefix - 1;
  }
  return at;
}

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

/* One attribute; at stands behind it. NULL: the text ends in it. As the standard has it, an '=' that comes first is the
 * name's first byte, and a '/' ends the attribute. */
static const char *read_attribute(const char *at, const char *end, tag *t) {
  const char *name = at++;
  while (at < end && !vsi_is_space(*at) && *at != '=' && *at != '>' && *at != '/') at++;
  size_t name_len = (size_t)(at - name);
  bool is_id = name_len == 2 && strncasecmp(name, "id", 2) == 0 && !t->id.data; /* of two the first counts */
  bool counts = name_len != 2 || strncasecmp(name, "id", 2) != 0;
  t->binds |= is_bind(name, name_len);
  if (counts) t->hash = hash_more(t->hash, (vestry_slice){name, name_len});
  at = vsi_html_skip_space(at, end);
  if (at == end) return NULL;
  if (*at != '=') {
    if (is_id) t->id = (vestry_slice){at, 0};
    return at;
  }
  at = vsi_html_skip_space(at + 1, end);
  if (at == end) return NULL;
  vestry_slice value;
  if (*at == '"' || *at == '\'') {
    const char *close = memchr(at + 1, *at, (size_t)(end - at - 1));
    if (!close) return NULL;
    value = (vestry_slice){at + 1, (size_t)(close - at - 1)};
    at = close + 1;
  } else {
    value.data = at;
    while (at < end && !vsi_is_space(*at) && *at != '>') at++;
    value.len = (size_t)(at - (const char *)value.data);
  }
  if (is_id) t->id = value;
  if (counts) t->hash = hash_more(t->hash, value);
  return at;
}

/* The tag that begins at '<'; returns what is behind it; NULL: it is none that is understood. */
static const char *read_tag(const char *at, const char *end, tag *ret_tag) {
  tag t = {{NULL, 0}, {NULL, 0}, false, false, UINT64_C(14695981039346656037)};
  at++;
  if (at < end && *at == '/') {
    t.is_end = true;
    at++;
  }
  if (at == end || !vsi_is_letter(*at)) return NULL;
  t.name.data = at;
  while (at < end && !vsi_is_space(*at) && *at != '>' && *at != '/') at++;
  t.name.len = (size_t)(at - (const char *)t.name.data);
  t.hash = hash_more(t.hash, t.name);
  while (at && at < end && *at != '>') {
    if (vsi_is_space(*at))
      at = vsi_html_skip_space(at, end);
    else if (*at == '/')
      at++;
    else
      at = read_attribute(at, end, &t);
  }
  if (!at || at == end) return NULL;
  *ret_tag = t;
  return at + 1;
}

/* What is in a textarea is text, tags too, up to its end tag. */
static const char *skip_text(const char *at, const char *end) {
  static const char tag_end[] = "</textarea";
  enum { LEN = sizeof tag_end - 1 };
  while (end - at >= LEN && strncasecmp(at, tag_end, LEN) != 0) at++;
  return end - at >= LEN ? at : NULL;
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
      at = vsi_html_skip_space(at, end);
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
    if (is_text && !(at = skip_text(at, end))) return false;
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
