/* SPDX-License-Identifier: MIT */
/* Events that patch elements: their options, and the layout of the event. */
#include <string.h>

#include "base/ascii.h"
#include "base/field.h"
#include "base/log.h"
#include "base/memory.h"
#include "event/extras.h"
#include "event/layout.h"
#include "event/mark.h"
#include "html/builder.h"

static const char *const mode_names[] = {
#define MODE_NAME(name, wire) [VESTRY_PATCH_##name] = wire,
    VESTRY_PATCH_MODES(MODE_NAME)
#undef MODE_NAME
};
static const char *const namespace_names[] = {
#define NAMESPACE_NAME(name, wire) [VESTRY_NAMESPACE_##name] = wire,
    VESTRY_NAMESPACES(NAMESPACE_NAME)
#undef NAMESPACE_NAME
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Return the number of a name, or count if there is none. */
static size_t number_of(const char *const *names, size_t count, const char *name) {
  size_t number = 0;
  while (number < count && (!name || strcmp(names[number], name) != 0)) number++;
  return number;
}

bool vsi_patch_mode_from_name(const char *name, vestry_patch_mode *ret_mode) {
  const size_t number = number_of(mode_names, COUNT(mode_names), name);
  if (number < COUNT(mode_names)) *ret_mode = (vestry_patch_mode)number;
  return number < COUNT(mode_names);
}

bool vsi_namespace_from_name(const char *name, vestry_namespace *ret_namespace) {
  const size_t number = number_of(namespace_names, COUNT(namespace_names), name);
  if (number < COUNT(namespace_names)) *ret_namespace = (vestry_namespace)number;
  return number < COUNT(namespace_names);
}

static bool is_given(const char *text) {
  return text && *text;
}

static vestry_err check(const vestry_elements_options *options) {
  if ((size_t)options->mode >= COUNT(mode_names) || (size_t)options->ns >= COUNT(namespace_names))
    return VESTRY_INVALID;
  if (!vsi_is_one_line(options->event.id) || !vsi_is_one_line(options->selector) ||
      !vsi_is_one_line(options->view_transition_selector))
    return VESTRY_INVALID;
  bool matches_by_id = options->mode == VESTRY_PATCH_OUTER || options->mode == VESTRY_PATCH_REPLACE;
  if (!matches_by_id && !is_given(options->selector)) return VESTRY_INVALID;
  if (is_given(options->view_transition_selector) && !options->use_view_transition) return VESTRY_INVALID;
  return VESTRY_OK;
}

/* Return whether the HTML consists of white space. */
static bool is_blank(const char *html, size_t len) {
  while (len && vsi_is_space(*html)) html++, len--;
  return !len;
}

typedef struct patch {
  vestry_elements_options options;
  vestry_slice html; /* len 0: no line of elements */
} patch;

/* Write the data of a patch, and the empty line that ends it. mark: to be in the data; NULL: none */
static void put_patch(vsi_writer *writer, const patch *p, const char *mark) {
  vsi_put_line(writer, "data: selector ", p->options.selector);
  if (p->options.mode != VESTRY_PATCH_OUTER) vsi_put_line(writer, "data: mode ", mode_names[p->options.mode]);
  if (p->options.use_view_transition) vsi_put_str(writer, "data: useViewTransition true\n");
  vsi_put_line(writer, "data: viewTransitionSelector ", p->options.view_transition_selector);
  if (p->options.ns != VESTRY_NAMESPACE_HTML) vsi_put_line(writer, "data: namespace ", namespace_names[p->options.ns]);
  vsi_put_line(writer, "data: has ", mark);
  if (p->html.len) {
    /* The client splits a data line at its first space, so an empty line keeps the space after the key. */
    vsi_put_str(writer, "data: elements ");
    vsi_put_lines(writer, p->html.data, p->html.len, "data: elements ");
    vsi_put(writer, "\n", 1);
  }
  vsi_put(writer, "\n", 1);
}

static void patch_layout(vsi_writer *writer, const void *ctx) {
  const patch *p = ctx;
  vsi_put_head(writer, VSI_ELEMENTS_EVENT, &p->options.event);
  put_patch(writer, p, NULL);
}

vestry_err vestry_event_elements(const vestry_host *host, const char *html, size_t len,
                                 const vestry_elements_options *options, vestry_event **ret_event) {
  if (!html && len) return VESTRY_INVALID;
  patch p = {.html = {NULL, 0}};
  if (options) p.options = *options;
  if (p.options.mode != VESTRY_PATCH_REMOVE && !is_blank(html, len)) p.html = (vestry_slice){html, len};
  /* An event of another mode shows no state: its effect depends on the events before it. */
  if (is_given(p.options.state) && p.options.mode != VESTRY_PATCH_OUTER && p.options.mode != VESTRY_PATCH_INNER &&
      p.options.mode != VESTRY_PATCH_REPLACE)
    return VESTRY_INVALID;
  vestry_err error = vsi_state_check(p.options.state, &p.options.event);
  if (!error) error = check(&p.options);
  return error ? error : vsi_event_build_state(host, vsi_state_slice(p.options.state), patch_layout, &p, ret_event);
}

/* ------------------------------------------------------------------------------------------------ patches ---- */

typedef struct patch_list {
  const vsi_patch *all;
  size_t count;
  const char *mark;
  bool is_in_data;
} patch_list;

static void patches_layout(vsi_writer *writer, const void *ctx) {
  static const vestry_event_options none = {.id = NULL};
  const patch_list *p = ctx;
  for (size_t i = 0; i < p->count; i++) {
    const vsi_patch *from = &p->all[i];
    const patch one = {.options = {.mode = from->mode, .selector = from->selector}, .html = from->html};
    vsi_put_head(writer, VSI_ELEMENTS_EVENT, &none);
    if (!i) vsi_put_str(writer, "id:\n");
    put_patch(writer, &one, p->is_in_data && i + 1 == p->count ? p->mark : NULL);
  }
  vsi_put_line(writer, "id: ", p->mark);
  vsi_put(writer, "\n", 1);
}

vestry_err vsi_event_marked_patches(const vestry_host *host, const vsi_patch *all, size_t count, const char *state,
                                    const char *mark, bool is_in_data, vestry_event **ret_event) {
  const patch_list p = {.all = all, .count = count, .mark = mark, .is_in_data = is_in_data};
  return vsi_event_build_state(host, vsi_state_slice(state), patches_layout, &p, ret_event);
}

typedef struct kept_whole {
  vsi_event_extra extra; /* first member */
  const vestry_host *host;
  vestry_event *event; /* a reference */
} kept_whole;

static void release_whole(vsi_event_extra *extra) {
  kept_whole *of = (kept_whole *)extra;
  vestry_event_unref(of->event);
  vsi_free(of->host, of);
}

vestry_err vsi_event_set_whole(vestry_event *patches, vestry_event *event) {
  const vestry_host *host = patches->host;
  kept_whole *of = vsi_alloc(host, sizeof *of);
  if (!of) return VESTRY_NO_MEMORY;
  *of = (kept_whole){.extra = {.release = release_whole}, .host = host, .event = vestry_event_ref(event)};
  vsi_event_extra_add(patches, &of->extra);
  return VESTRY_OK;
}

vestry_event *vsi_event_whole(const vestry_event *patches) {
  for (vsi_event_extra *extra = vsi_event_extras(patches); extra; extra = extra->next)
    if (extra->release == release_whole) return ((kept_whole *)extra)->event;
  return NULL;
}

/* ------------------------------------------------------------------------------------------------ formats ---- */

vestry_err vsi_html_settle(vestry_html *html, vestry_slice *ret_html) {
  char why[VSI_HTML_EXPLAINED];
  if (vestry_html_error(html, NULL, NULL) == VESTRY_INVALID)
    vsi_log_mistake(vsi_html_of(html)->host, "html", vsi_html_explain(html, VESTRY_INVALID, why));
  return vestry_html_result(html, ret_html);
}

vestry_err vsi_event_velements(const vestry_host *host, const vestry_elements_options *options,
                               vestry_event **ret_event, const char *format, va_list arguments) {
  vestry_html html;
  vestry_slice made;
  vestry_html_init(&html, host);
  vestry_html_vadd(&html, format, arguments);
  vestry_err error = vsi_html_settle(&html, &made);
  if (!error) error = vestry_event_elements(host, made.data, made.len, options, ret_event);
  vestry_html_finish(&html);
  return error;
}

vestry_err vestry_event_elementsf(const vestry_host *host, const vestry_elements_options *options,
                                  vestry_event **ret_event, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vestry_err error = vsi_event_velements(host, options, ret_event, format, arguments);
  va_end(arguments);
  return error;
}
