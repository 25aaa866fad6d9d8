/* SPDX-License-Identifier: MIT */
/* Forms whose typed text is stored: declaring them, the attributes and values of a form in a page, and the messages
 * that its script sends (form.js). A storage keeps the values (form_storage.h). */
#include "vestry/app/form.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "app/guard/person.h"
#include "app/page/form_storage.h"
#include "app/page/render.h"
#include "app/session/session.h"
#include "base/array.h"
#include "base/ascii.h"
#include "base/buffer.h"
#include "base/log.h"
#include "html/script.h"
#include "http/request.h"
#include "instance/instance.h"
#include "vestry/app/input.h"

enum { MOST_DIGITS = 15, DEFAULT_FORMS = 64 };
#define DEFAULT_TTL_MS (UINT64_C(7) * 86400000)
#define MOST_TTL_MS    (UINT64_C(400) * 86400000)
VSI_SCRIPTS(form); /* form.js */
static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

/* A declared form. */
typedef struct vsi_declared_form {
  char *name;   /* then the fields, one after the other, each terminated */
  char *script; /* the fields as a JavaScript array */
  size_t fields_count;
} declared;

struct vestry_forms {
  vestry *v;
  vestry_forms_options options; /* with all defaults; `path` is a copy */
  char *path;
  declared *all;
  size_t count, room;
  vestry_forms_storage *storage; /* owned by the application, or the memory storage, owned by the forms */
  vsi_siphash_key key;           /* of hashes of addresses: of the secret, so that all nodes have the same */
  atomic_uint_fast64_t letters, kept_count, late, refused, cleared; /* counters, which need no memory order */
};

struct vestry_form {
  vestry_forms *forms;
  vsi_form_state state;
};

enum { TOPIC_BYTES = 16 + VESTRY_TAB_ID_BYTES + VESTRY_FORM_NAME_MAX_BYTES };

static void write_topic(const char *tab, const char *name, char topic[TOPIC_BYTES]) {
  snprintf(topic, TOPIC_BYTES, "vestry_form/%s/%s", tab, name);
}

/* Called when a render can read that the form was cleared. */
static void note_cleared(vestry_forms *forms, const char *tab, const char *name) {
  char topic[TOPIC_BYTES];
  atomic_fetch_add_explicit(&forms->cleared, 1, memory_order_relaxed);
  if (!forms->options.pages) return;
  write_topic(tab, name, topic);
  (void)vestry_refresh(forms->options.pages, topic, NULL);
}

/* -------------------------------------------------------------------------------------------- life cycle ---------- */

static void free_declared(const vestry_forms *forms, declared *one) {
  const vestry_host *host = forms->v->host;
  vsi_free(host, one->script);
  vsi_free(host, one->name);
}

void vestry_forms_destroy(vestry_forms *forms) {
  if (!forms) return;
  for (size_t i = 0; i < forms->count; i++) free_declared(forms, &forms->all[i]);
  vsi_free(forms->v->host, forms->all);
  vsi_free(forms->v->host, forms->path);
  if (forms->options.storage)
    forms->options.storage->forms = NULL;
  else
    vsi_form_kept_destroy(forms->storage);
  vsi_free(forms->v->host, forms);
}

/* The maximum of 256 KiB is enough for 85,000 letters of any script. A message is up to three times as long, because
 * each byte of a value can be percent-encoded. */
static size_t default_form_bytes(size_t max_bytes) {
  const size_t least = (size_t)64 << 10, most = (size_t)256 << 10, quarter = max_bytes / 4;
  return quarter < least ? least : quarter > most ? most : quarter;
}

static const char *mistake_of(const vestry_forms_options *o) {
  size_t len = strlen(o->path);
  if (*o->path != '/' || o->path[1] == '/') return "path does not begin with one '/'";
  for (size_t i = 0; i < len; i++)
    if (!strchr(letters, o->path[i]) && o->path[i] != '/' && o->path[i] != '.')
      return "path contains other characters than letters, digits, '/', '.', '-' and '_'";
  if (o->ttl_ms > MOST_TTL_MS) return "ttl_ms is more than 400 days";
  if (o->max_form_bytes > o->max_bytes / 4) return "max_bytes is less than four times max_form_bytes";
  if (o->storage && o->storage->forms) return "storage is already used by other forms";
  return NULL;
}

vestry_err vestry_forms_create(vestry *v, const vestry_forms_options *given, vestry_forms **ret_forms) {
  if (!v) return VESTRY_INVALID;
  if (!ret_forms) return vsi_mistake(v->host, "vestry_forms_create", "ret_forms is NULL");
  vestry_forms_options options = given ? *given : (vestry_forms_options){0};
  if (!options.path) options.path = "/kept";
  if (!options.ttl_ms) options.ttl_ms = DEFAULT_TTL_MS;
  if (!options.max_per_scope_count) options.max_per_scope_count = DEFAULT_FORMS;
  if (!options.max_bytes) options.max_bytes = (size_t)64 << 20;
  if (!options.max_form_bytes) options.max_form_bytes = default_form_bytes(options.max_bytes);
  const char *mistake = mistake_of(&options);
  if (mistake) return vsi_mistake(v->host, "vestry_forms_create", mistake);
  vestry_forms *forms = vsi_calloc(v->host, 1, sizeof *forms);
  if (!forms) return VESTRY_NO_MEMORY;
  forms->v = v;
  forms->options = options;
  forms->path = vsi_strdup(v->host, options.path, strlen(options.path));
  forms->storage = options.storage;
  vestry_err error = forms->path ? vsi_person_key_make(v, &forms->key) : VESTRY_NO_MEMORY;
  if (!error && !forms->storage) error = vsi_form_kept_create(v->host, &options, &forms->storage);
  if (error) {
    vestry_forms_destroy(forms);
    return error;
  }
  forms->storage->forms = forms;
  forms->storage->host = v->host;
  forms->storage->bounds = options;
  forms->storage->on_cleared = note_cleared;
  *ret_forms = forms;
  return VESTRY_OK;
}

/* ---------------------------------------------------------------------------------------- declared forms ---------- */

static bool is_name(const char *text) {
  size_t len = text ? strlen(text) : 0;
  return len && len <= VESTRY_FORM_NAME_MAX_BYTES && strspn(text, letters) == len;
}

static bool is_field(const char *text) {
  size_t len = text ? strlen(text) : 0;
  if (!len || len > VESTRY_FORM_NAME_MAX_BYTES) return false;
  for (size_t i = 0; i < len; i++)
    if (!strchr(letters, text[i]) && !strchr(".[]:", text[i])) return false;
  return true;
}

/* Find the declared form of a name; "comment:17" is an instance of "comment". */
static declared *find(const vestry_forms *forms, const char *name) {
  size_t len = strcspn(name, ":");
  for (size_t i = 0; i < forms->count; i++)
    if (strlen(forms->all[i].name) == len && memcmp(forms->all[i].name, name, len) == 0) return &forms->all[i];
  return NULL;
}

bool vsi_form_is_secret(const vestry_input *field) {
  const char *more = field->attributes ? field->attributes : "";
  return (field->type && strcmp(field->type, "password") == 0) || vsi_strcasestr(more, "password") ||
         vsi_strcasestr(more, "one-time-code");
}

static bool is_stored(const vestry_input *field) {
  return !field->is_hidden && field->kind != VESTRY_INPUT_JSON && !vsi_form_is_secret(field);
}

static vestry_err copy_declared(const vestry_forms *forms, const char *name, const vestry_input *fields, size_t count,
                                declared *ret) {
  vsi_buffer names, script;
  vsi_buffer_init(&names, forms->v->host);
  vsi_buffer_init(&script, forms->v->host);
  vsi_buffer_append(&names, name, strlen(name) + 1);
  for (size_t i = 0; i < count; i++) {
    if (!is_stored(&fields[i])) continue;
    vsi_buffer_append(&names, fields[i].name, strlen(fields[i].name) + 1);
    vsi_buffer_printf(&script, "%s'%s'", ret->fields_count++ ? ", " : "[", fields[i].name);
  }
  vsi_buffer_append(&script, "]", 2);
  ret->name = vsi_buffer_take(&names, NULL);
  ret->script = vsi_buffer_take(&script, NULL);
  vsi_buffer_finish(&names);
  vsi_buffer_finish(&script);
  return ret->name && ret->script ? VESTRY_OK : VESTRY_NO_MEMORY;
}

vestry_err vestry_forms_add(vestry_forms *forms, const char *name, const vestry_input *fields, size_t count) {
  if (!forms) return VESTRY_INVALID;
  const vestry_host *host = forms->v->host;
  for (size_t i = 0; fields && i < count; i++)
    if (!is_field(fields[i].name))
      return vsi_mistake(
          host, "vestry_forms_add",
          "a field's name is empty, too long, or contains other characters than letters, digits and -_.[]:");
  if (!is_name(name)) return vsi_mistake(host, "vestry_forms_add", "the name is invalid");
  if (find(forms, name)) {
    (void)vsi_mistake(host, "vestry_forms_add", "a form with this name was added before; choose another name");
    return VESTRY_EXISTS;
  }
  if (VSI_ARRAY_RESERVE(host, forms->all, forms->count, forms->room, 1)) return VESTRY_NO_MEMORY;
  declared one = {.name = NULL};
  vestry_err error = copy_declared(forms, name, fields, fields ? count : 0, &one);
  if (!error && (!one.fields_count || one.fields_count > VESTRY_FORM_FIELDS_MAX))
    error = vsi_mistake(host, "vestry_forms_add", "no field can be stored, or more than 64");
  if (error)
    free_declared(forms, &one);
  else
    forms->all[forms->count++] = one;
  return error;
}

/* --------------------------------------------------------------------------------- the form of a request ---------- */

typedef struct place {
  char tab[VESTRY_TAB_ID_BYTES];
  vsi_form_key key;
  declared *form;
} place;

static const char bad_name[] =
    "the name consists of letters, digits, '-' and '_', with one ':' or none after the first";

/* Find the form that a request names. Returns OK | INVALID | NOT_FOUND (not declared) | an error of vestry_tab_id,
 * after which all other members are set. */
static vestry_err find_place(vestry_forms *forms, const vestry_request *req, const char *name, place *ret) {
  *ret = (place){.tab = ""};
  size_t len = name ? strlen(name) : 0, first = name ? strcspn(name, ":") : 0;
  if (!first || len > VESTRY_FORM_NAME_MAX_BYTES || strspn(name, letters) != first ||
      (first < len && strspn(name + first + 1, letters) != len - first - 1))
    return VESTRY_INVALID;
  ret->form = find(forms, name);
  if (!ret->form) return VESTRY_NOT_FOUND;
  if (!req) return VESTRY_OK;
  ret->key = (vsi_form_key){.scope = req->scope, .tab = ret->tab, .name = name};
  vestry_err error = vestry_tab_id(req, ret->tab);
  ret->key.scope = req->scope; /* vestry_tab_id looks up the session, which determines the scope */
  ret->key.is_anonymous = vsi_person_is_anonymous(req);
  const vsi_person person = vsi_person_of(req);
  if (person.kind == VSI_PERSON_ADDRESS) ret->key.person = vsi_person_hash(forms->key, &person);
  return error;
}

/* --------------------------------------------------------------------------------------------- rendering ---------- */

/* essay: the messages of a form while text is typed into it */
/* The browser script of a form whose typed text is stored on the server.
 *
 * Only the server stores values; the page stores none. A form requests its stored values when it begins. It sends no
 * values before the response, because until then the form does not know its generation.
 *
 * Messages. A form sends one message at a time, half a second after the first unsent change, and one more when the page
 * is left or hidden. The message that is sent when the page is left may overtake an earlier one; their numbers show the
 * order. A message contains all declared fields that may be stored, so the last message is sufficient. It is sent when
 * the browser begins to leave the page, before the next page is requested, and therefore mostly arrives first. If that
 * message is still on its way when the next page requests its values, the next page must wait for it. For this purpose
 * the page stores the number of its last message in sessionStorage. The next page repeats its request for at most ten
 * seconds, until the server has that message or a later generation. Meanwhile it shows the stored values, and sends no
 * new message, which could overtake the last message of the former page.
 *
 * Responses. The values of a response go into the fields that the user has not touched. A render may replace the form
 * before the response arrives; then the touched values move to the new form, unless they were submitted. They also move
 * if the new form has an earlier generation: the server has lost the form, for example by a restart, and receives its
 * values again.
 *
 * Clearing. If the server reports a later generation, the form was cleared: text typed before is not sent any more, and
 * text typed afterwards belongs to the new generation. A reset begins a generation by itself. Its render may arrive
 * before the response, so text typed since the reset moves to the new form. The element takes the id of the new
 * generation, as after a response, so that no render replaces it.
 *
 * Focus and signals. A form that replaces another one takes over its focus. Fields that are bound to signals update
 * these by the events that typing causes.
 *
 * Back and forward. A page that the browser restores from its cache may lack text that was typed since into another
 * page of this tab, or submitted there. It requests its values as if it began, and shows them; if the form was cleared,
 * it shows the initial values.
 *
 * Composition. Input during a composition is stored as any other, because keyboards of touch screens compose each
 * word. Values are not put into a field with a composition.
 *
 * Errors. A failed message is repeated after 5 s, then after twice that, up to 30 s, with jitter. A rejected message
 * (4xx) is not repeated, because it would be rejected again, except for 401, 408, 425 and 429. A guard's redirect, for
 * example to the log-in page, counts as 401: the user may log in in another tab. From a rejection until the next
 * accepted message, typed text is not stored. Meanwhile the form has an attribute with the status, so that the page can
 * show this, and the console has a warning. If a render removes the attribute, it is set again before the next frame.
 *
 * Copies. The id of the tab stays in sessionStorage. There a duplicated tab, or a tab that was restored after a crash,
 * finds the tab whose forms it may copy.
 *
 * The script contains no slash outside of a string, because the client's reader of expressions could take it for the
 * beginning of a comment. */
static vestry_err put_script(const vestry_forms *forms, const declared *form, const char *name, const char *tag,
                             vestry_html *html) {
  return vestry_html_add(html, " data-init=\"%-s('%-s', %-s, '%-s', '%-s', '" VESTRY_FORM_REJECTED "')\"",
                         VSI_SCRIPT(html, form), name, form->script, forms->path, tag);
}

/* Without a tab, the form has an id only and its values are not stored. */
static vestry_err write_attributes(const vestry_forms *forms, const place *at, const vestry_request *req,
                                   uint64_t generation, vestry_html *html, const char *name) {
  char tag[VSI_SEAL_TAG_LEN + 1];
  vestry_err error = vestry_html_add(html, "id=\"%s-%llu\"", name, (unsigned long long)generation);
  if (error || !*at->tab) return error;
  vsi_seal_tag(vsi_seals_of(forms->v), vsi_seal_scope(req), tag);
  return put_script(forms, at->form, name, tag, html);
}

vestry_err vestry_form_open(vestry_forms *forms, const vestry_request *req, vestry_render *render, vestry_html *html,
                            const char *name, vestry_form **ret_form) {
  place at;
  if (!forms) return VESTRY_INVALID;
  if (!html || !ret_form) return vsi_mistake(forms->v->host, "vestry_form_open", "html or ret_form is NULL");
  const vestry_request *whose = render && render->share ? NULL : req;
  vestry_err error = find_place(forms, whose, name, &at);
  if (error == VESTRY_INVALID) return vsi_mistake(forms->v->host, "vestry_form_open", bad_name);
  if (error == VESTRY_NOT_FOUND && at.form) error = VESTRY_OK; /* the request has no tab */
  /* It is not certain for which tab a document is requested, so no stored values are shown; the page requests them when
   * it knows its tab. */
  const bool is_known = !error && *at.tab && vestry_tab_is_known(whose);
  if (render) render->own->has_form = true;
  if (render && !forms->options.storage) render->own->has_memory_form = true;
  if (is_known && render) {
    char topic[TOPIC_BYTES];
    write_topic(at.tab, name, topic);
    error = vestry_render_topic(render, topic);
  }
  if (error) return error;
  vestry_form *form = vsi_calloc(forms->v->host, 1, sizeof *form);
  if (!form) return VESTRY_NO_MEMORY;
  form->forms = forms;
  if (is_known) error = forms->storage->ops->find(forms->storage, &at.key, &form->state);
  if (!error) error = write_attributes(forms, &at, whose, form->state.generation, html, name);
  if (error) {
    vestry_form_close(form);
    return error;
  }
  *ret_form = form;
  return VESTRY_OK;
}

void vestry_form_close(vestry_form *form) {
  if (!form) return;
  const vestry_host *host = form->forms->v->host;
  vsi_free(host, form->state.pairs);
  vsi_free(host, form);
}

/* Get the pair after `at`; NULL: the first pair. Both strings of a pair are terminated. */
static const char *next_pair(const vsi_form_state *state, const char *at, const char **ret_value) {
  const char *end = state->pairs + state->len;
  at = at ? *ret_value + strlen(*ret_value) + 1 : state->pairs;
  if (at >= end) return NULL;
  *ret_value = at + strlen(at) + 1;
  return at;
}

const char *vestry_form_text(const vestry_form *form, const char *field, const char *initial) {
  const char *value = NULL;
  if (!form || !form->state.len || !field) return initial;
  for (const char *at = NULL; (at = next_pair(&form->state, at, &value)) != NULL;)
    if (strcmp(at, field) == 0) return value;
  return initial;
}

bool vestry_form_has(const vestry_form *form, const char *field, const char *value, bool initial) {
  const char *is = NULL;
  if (!form || !form->state.len || !field || !value) return initial;
  for (const char *at = NULL; (at = next_pair(&form->state, at, &is)) != NULL;)
    if (strcmp(at, field) == 0 && strcmp(is, value) == 0) return true;
  return false;
}

/* ---------------------------------------------------------------------------------------------- messages ---------- */

static vestry_err read_number(const vestry_request *req, const char *name, uint64_t *ret) {
  const char *text = vestry_request_value(req, VESTRY_IN_FORM, name);
  size_t len = text ? strlen(text) : 0;
  if (!len || len > MOST_DIGITS || strspn(text, "0123456789") != len) return VESTRY_MALFORMED;
  *ret = 0;
  for (; *text; text++) *ret = *ret * 10 + (uint64_t)(*text - '0');
  return VESTRY_OK;
}

/* Read the values of declared fields from a message; other fields are dropped. */
static vestry_err read_pairs(const vestry_forms *forms, const vestry_request *req, const declared *form,
                             vsi_buffer *pairs) {
  char name[VESTRY_FORM_NAME_MAX_BYTES + 3];
  const char *field = form->name;
  for (size_t i = 0; i < form->fields_count; i++) {
    const char *value;
    field += strlen(field) + 1;
    snprintf(name, sizeof name, "v.%s", field);
    for (size_t n = 0; (value = vestry_request_value_at(req, VESTRY_IN_FORM, name, n)) != NULL; n++) {
      size_t len = strlen(value) + 1;
      if (len > forms->options.max_form_bytes) return VESTRY_TOO_LARGE;
      vsi_buffer_append(pairs, field, strlen(field) + 1);
      vsi_buffer_append(pairs, value, len);
      if (pairs->len > forms->options.max_form_bytes) return VESTRY_TOO_LARGE;
    }
  }
  if (!pairs->len) /* all boxes are empty: a field with an empty name marks the form as stored */
    vsi_buffer_append(pairs, "\0", 2);
  return pairs->error;
}

static vestry_err keep(const vestry_forms *forms, const vestry_request *req, const place *at, vsi_form_state *state) {
  vsi_buffer pairs;
  vestry_err error = read_number(req, "generation", &state->generation);
  if (!error) error = read_number(req, "number", &state->number);
  if (error) return error;
  vsi_buffer_init(&pairs, forms->v->host);
  error = read_pairs(forms, req, at->form, &pairs);
  const vsi_form_state saved = {state->generation, state->number, pairs.len, pairs.data};
  *state = (vsi_form_state){.len = 0};
  if (!error) error = forms->storage->ops->put(forms->storage, &at->key, &saved, state);
  state->pairs = NULL;
  vsi_buffer_finish(&pairs);
  return error;
}

/* Find the stored values. A tab without values first gets a copy of the values of the tab from which it was
 * duplicated. */
static vestry_err load_values(const vestry_forms *forms, const vestry_request *req, const place *at,
                              vsi_form_state *ret) {
  const char *from = vestry_request_value(req, VESTRY_IN_FORM, "from");
  if (from && vsi_seal_is_good(vsi_seals_of(forms->v), VSI_SEAL_TAB, vsi_seal_scope(req), NULL, from, strlen(from))) {
    char tab[VESTRY_TAB_ID_BYTES];
    vsi_form_state now;
    memcpy(tab, from, sizeof tab - 1);
    tab[sizeof tab - 1] = '\0';
    vestry_err error = forms->storage->ops->copy(forms->storage, &at->key, tab, &now);
    if (error && error != VESTRY_EXISTS && error != VESTRY_NOT_FOUND) return error;
  }
  return forms->storage->ops->find(forms->storage, &at->key, ret);
}

/* Handle a message. Returns OK | EXISTS (the message was late) | the error of the response. ret_state: the stored
 * state, whose pairs the caller frees. */
static vestry_err take(vestry_forms *forms, const vestry_request *req, vsi_form_state *ret_state) {
  place at;
  const char *name = vestry_request_value(req, VESTRY_IN_FORM, "form");
  if (req->own->values[VESTRY_IN_FORM].error == VESTRY_NO_MEMORY) return VESTRY_NO_MEMORY;
  vestry_err error = find_place(forms, req, name, &at);
  if (error) return error == VESTRY_INVALID ? VESTRY_MALFORMED : error;
  if (!vestry_tab_is_known(req)) return VESTRY_MALFORMED;
  if (vestry_request_value(req, VESTRY_IN_FORM, "load")) return load_values(forms, req, &at, ret_state);
  if (vestry_request_value(req, VESTRY_IN_FORM, "clear"))
    return forms->storage->ops->clear(forms->storage, &at.key, false, ret_state);
  return keep(forms, req, &at, ret_state);
}

/* Respond with {"generation": 5, "number": 17, "values": [["title", "a"], …]}; without values if none are stored or
 * requested. */
static vestry_err answer(vestry_reply *reply, const vsi_form_state *state) {
  json_t *json =
      json_pack("{s:I, s:I}", "generation", (json_int_t)state->generation, "number", (json_int_t)state->number);
  json_t *values = state->pairs ? json_array() : NULL;
  bool is_short = !json || (state->pairs && !values);
  const char *value = NULL;
  for (const char *at = NULL; values && !is_short && (at = next_pair(state, at, &value)) != NULL;)
    is_short = *at && json_array_append_new(values, json_pack("[s, s]", at, value)) != 0;
  if (values && !is_short) is_short = json_object_set(json, "values", values) != 0;
  vestry_err error = is_short ? VESTRY_NO_MEMORY : vestry_reply_json(reply, json);
  json_decref(values);
  json_decref(json);
  return error;
}

vestry_err vestry_forms_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_forms *forms = app;
  vsi_form_state state = {.len = 0};
  vestry_err error = take(forms, req, &state);
  atomic_fetch_add_explicit(&forms->letters, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(!error                   ? &forms->kept_count
                            : error == VESTRY_EXISTS ? &forms->late
                                                     : &forms->refused,
                            1, memory_order_relaxed);
  if (error == VESTRY_EXISTS) error = VESTRY_OK;
  if (!error) error = answer(reply, &state);
  vsi_free(forms->v->host, state.pairs);
  return error;
}

/* ---------------------------------------------------------------------------------------------- clearing ---------- */

vestry_err vestry_forms_clear(vestry_forms *forms, const vestry_request *req, const char *name) {
  place at;
  vsi_form_state state;
  if (!forms) return VESTRY_INVALID;
  if (!req) return vsi_mistake(forms->v->host, "vestry_forms_clear", "the request is NULL");
  vestry_err error = find_place(forms, req, name, &at);
  if (error == VESTRY_INVALID) return vsi_mistake(forms->v->host, "vestry_forms_clear", bad_name);
  return error ? error : forms->storage->ops->clear(forms->storage, &at.key, true, &state);
}

void vestry_forms_forget(vestry_forms *forms, const vestry_request *req) {
  (void)forms->storage->ops->forget(forms->storage, req->scope); /* the storage logs its errors */
}

void vestry_forms_stats_get(vestry_forms *forms, vestry_forms_stats *ret_stats) {
  vestry_forms_stats stats = {
      .messages_count = atomic_load_explicit(&forms->letters, memory_order_relaxed),
      .kept_count = atomic_load_explicit(&forms->kept_count, memory_order_relaxed),
      .late_count = atomic_load_explicit(&forms->late, memory_order_relaxed),
      .refused_count = atomic_load_explicit(&forms->refused, memory_order_relaxed),
      .cleared_count = atomic_load_explicit(&forms->cleared, memory_order_relaxed),
  };
  forms->storage->ops->count(forms->storage, &stats);
  if (ret_stats) *ret_stats = stats;
}
