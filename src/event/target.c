#include "event/target.h"

#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "event/html_roots.h"

/* Read from the event's own text, whose layout is this floor's (writer.h): lines of fields, then elements or signals to
 * the end. The keys of later lines stay in between: to HTML they are text, or attributes that mean nothing; but where
 * space may stand in an attribute they would part its name from its value (vsi_html_skip_space).
 *
 * When may a morph E1 be left out for a later E2 of the same target? Both set all of that element (or of its children),
 * whatever was there, so E2 alone leaves what E1 and E2 leave, if E2 finds the same element: so the target must be one
 * id, and E1 must keep it (HTML says that ids are unique in a page). What stands between them sees the page without
 * E1. It can make no difference where it changes the element's inside, since E2 sets that anew; nor elsewhere, if it
 * finds there what it would have found. It does, if it finds by id, and brings no id that E1 would have taken away: one
 * that brings ids of its own is a barrier. So is a selector that is not one id (it can ask for anything), and whatever
 * runs: a script can read the page. E1 itself must not run anything, or leave signals behind: attributes that only show
 * what signals say, and handlers of events, are all it may have.
 *
 * Not seen from here: elements that the page itself keeps from being morphed (data-ignore-morph, data-preserve-attr).
 * connection.h says so. */

static bool starts_with(vestry_slice text, const char *prefix) {
  size_t len = strlen(prefix);
  return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

static vestry_slice behind(vestry_slice text, size_t len) {
  return (vestry_slice){(const char *)text.data + len, text.len - len};
}

/* The next line without its end; what follows stays in *text. */
static vestry_slice next_line(vestry_slice *text) {
  const char *end = memchr(text->data, '\n', text->len);
  size_t len = end ? (size_t)(end - (const char *)text->data) : text->len;
  vestry_slice line = {text->data, len};
  *text = behind(*text, end ? len + 1 : len);
  return line;
}

static bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* Attributes that show signals, or wait for the user. */
static bool is_harmless_data(vestry_slice rest) {
  static const char *const names[] = {"text=",    "show=",     "attr:",     "class:",     "style:",  "on:click",
                                      "on:input", "on:change", "on:submit", "on:keydown", "on:keyup"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (starts_with(rest, names[i])) return true;
  return false;
}

static bool ends_a_word(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '/' || c == '"' || c == '\'';
}

/* An attribute that handles an event: on, letters, an equals sign. */
static bool is_handler(vestry_slice text) {
  const char *at = text.data, *end = at + text.len;
  if (text.len < 4 || strncasecmp(at, "on", 2) != 0 || !is_name_byte(at[2])) return false;
  while (at < end && is_name_byte(*at)) at++;
  at = vsi_html_skip_space(at, end);
  return at < end && *at == '=';
}

/* Elements that run something by being there, or bring a document that can, or send the page elsewhere. */
static bool is_active(vestry_slice name) {
  static const char *const names[] = {"script", "iframe", "object", "embed", "meta"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (name.len > strlen(names[i]) && strncasecmp(name.data, names[i], strlen(names[i])) == 0) return true;
  return false;
}

typedef struct html_look {
  bool runs;        /* or might: such elements, handlers, attributes of Datastar's that do more than show */
  size_t ids_count; /* attributes that may be ids */
} html_look;

static html_look look_at(vestry_slice html) {
  html_look look = {false, 0};
  const char *text = html.data;
  for (size_t i = 0; i < html.len; i++) {
    size_t left = html.len - i;
    bool begins = i && ends_a_word(text[i - 1]);
    switch (text[i] | 0x20) {
    case '<' | 0x20: look.runs |= is_active(behind(html, i + 1)); break;
    case 'd':
      if (left > 5 && strncasecmp(text + i, "data-", 5) == 0) look.runs |= !is_harmless_data(behind(html, i + 5));
      break;
    case 'o': look.runs |= begins && is_handler(behind(html, i)); break;
    case 'i': look.ids_count += begins && left > 2 && (text[i + 1] | 0x20) == 'd' && !is_name_byte(text[i + 2]); break;
    default: break;
    }
  }
  return look;
}

static uint64_t hash_of(const vsi_target *target) {
  uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)(target->mode * 4 + target->ns); /* FNV-1a */
  for (size_t i = 0; i < target->id_len; i++) hash = (hash ^ (unsigned char)target->id[i]) * UINT64_C(1099511628211);
  return hash ^ (hash >> 32);
}

/* The id that a selector is; len 0: it is something else. */
static vestry_slice id_of_selector(vestry_slice selector) {
  const char *text = selector.data;
  vestry_slice none = {NULL, 0};
  if (selector.len < 2 || text[0] != '#' || (text[1] >= '0' && text[1] <= '9') || text[1] == '-') return none;
  for (size_t i = 1; i < selector.len; i++)
    if (!is_name_byte(text[i])) return none;
  return behind(selector, 1);
}

static bool is_same_text(vestry_slice a, vestry_slice b) {
  return a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

typedef struct fields {
  vestry_slice selector, html;
  vestry_patch_mode mode;
  vestry_namespace ns;
  bool of_stream; /* an id or retry of the stream's */
  bool not_understood;
} fields;

static fields read_fields(vestry_slice text) {
  fields f = {.mode = VESTRY_PATCH_OUTER, .ns = VESTRY_NAMESPACE_HTML};
  char name[16];
  while (text.len) {
    vestry_slice all = text, line = next_line(&text);
    if (starts_with(line, "data: elements ")) {
      f.html = behind(all, sizeof "data: elements " - 1);
      return f;
    }
    if (starts_with(line, "data: selector "))
      f.selector = behind(line, sizeof "data: selector " - 1);
    else if (starts_with(line, "data: mode ") && line.len - 11 < sizeof name) {
      memcpy(name, (const char *)line.data + 11, line.len - 11);
      name[line.len - 11] = '\0';
      if (vestry_patch_mode_from_name(name, &f.mode)) f.not_understood = true;
    } else if (starts_with(line, "data: namespace ") && line.len - 16 < sizeof name) {
      memcpy(name, (const char *)line.data + 16, line.len - 16);
      name[line.len - 16] = '\0';
      if (vestry_namespace_from_name(name, &f.ns)) f.not_understood = true;
    } else if (starts_with(line, "id:") || starts_with(line, "retry:"))
      f.of_stream = true;
    else if (line.len && !starts_with(line, "data: useViewTransition ") &&
             !starts_with(line, "data: viewTransitionSelector "))
      f.not_understood = true;
  }
  return f;
}

static void read_elements(vsi_target *target, vestry_slice text) {
  fields f = read_fields(text);
  vestry_slice id = id_of_selector(f.selector);
  html_look look = look_at(f.html);
  if (f.not_understood || look.runs || (f.selector.len && !id.len)) return;
  bool sets_itself = f.mode == VESTRY_PATCH_OUTER || f.mode == VESTRY_PATCH_REPLACE;
  vestry_slice root = {NULL, 0};
  bool is_one = sets_itself && vsi_html_one_root(f.html, &root);
  if (!f.selector.len) id = root;
  if (f.mode == VESTRY_PATCH_INNER ? f.html.len != 0 : is_one && root.len && is_same_text(root, id)) {
    target->effect = VSI_EFFECT_MORPH;
    target->can_go = !f.of_stream;
    target->brings_ids = look.ids_count > (sets_itself ? 1 : 0);
    target->mode = (uint8_t)f.mode;
    target->ns = (uint8_t)f.ns;
    target->id = id.data;
    target->id_len = id.len;
    target->hash = hash_of(target);
  } else if (!look.ids_count && f.selector.len) {
    target->effect = VSI_EFFECT_PASSING;
  }
}

static void read_signals(vsi_target *target, vestry_slice text) {
  bool of_stream = false;
  target->effect = VSI_EFFECT_SIGNALS;
  while (text.len) {
    vestry_slice line = next_line(&text);
    if (starts_with(line, "data: onlyIfMissing true")) {
      target->effect = VSI_EFFECT_MISSING;
    } else if (starts_with(line, "data: signals ")) {
      bool is_only_line = text.len == 1; /* the empty one that ends the event */
      if (is_only_line) target->json = behind(line, sizeof "data: signals " - 1);
      break;
    } else {
      of_stream = true;
    }
  }
  target->can_go = !of_stream && target->json.len && target->effect == VSI_EFFECT_SIGNALS;
}

static void read_event(vsi_target *target, vestry_slice text) {
  vestry_slice line = next_line(&text);
  if (starts_with(line, ":") || starts_with(line, "retry: "))
    target->effect = VSI_EFFECT_PASSING;
  else if (starts_with(line, "event: datastar-patch-elements"))
    read_elements(target, text);
  else if (starts_with(line, "event: datastar-patch-signals"))
    read_signals(target, text);
}

static void release(vsi_event_extra *extra) {
  vsi_target *target = (vsi_target *)extra;
  vsi_free(target->host, target);
}

const vsi_target *vsi_event_target_made(const vestry_event *event) {
  for (vsi_event_extra *extra = vsi_event_extras(event); extra; extra = extra->next)
    if (extra->release == release) return (const vsi_target *)extra;
  return NULL;
}

const vsi_target *vsi_event_target(vestry_event *event) {
  const vsi_target *made = vsi_event_target_made(event);
  if (made) return made;
  const vestry_host *host = vsi_event_host(event);
  vsi_target *target = vsi_calloc(host, 1, sizeof *target);
  if (!target) return NULL;
  target->extra.release = release;
  target->host = host;
  target->bytes = vestry_event_bytes(event).len;
  read_event(target, vestry_event_bytes(event));
  vsi_event_extra_add(event, &target->extra); /* two threads may both: they say the same */
  return target;
}

bool vsi_target_is_same(const vsi_target *a, const vsi_target *b) {
  return a->effect == VSI_EFFECT_MORPH && b->effect == VSI_EFFECT_MORPH && a->hash == b->hash && a->mode == b->mode &&
         a->ns == b->ns && is_same_text((vestry_slice){a->id, a->id_len}, (vestry_slice){b->id, b->id_len});
}
