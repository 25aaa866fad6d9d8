/* SPDX-License-Identifier: MIT */
/* The nonce is inserted into the finished document. Renders do not contain it, so that several documents can share
 * rendered fragments. */
#include "vestry/app/csp.h"

#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/buffer.h"
#include "base/field.h"
#include "base/hex.h"
#include "base/memory.h"
#include "html/tag.h"
#include "http/reply.h"

static const char header[] = "Content-Security-Policy";

enum { NONCE_BYTES = 33 };

typedef struct policy {
  char nonce[NONCE_BYTES];
  char value[]; /* value of the header, with the nonce */
} policy;

static policy *csp_of(const vestry_reply *reply) {
  return reply->document.state;
}

/* Directives in the order in which they are sent. The application's values for the last two are added to those here;
 * any other directive of the application replaces the one here. */
enum { SCRIPTS = 7, STYLES = 8 };
static const struct {
  const char *name, *sources;
} own[] = {{"default-src", "'none'"},   {"base-uri", "'none'"},         {"connect-src", "'self'"},
           {"font-src", "'self'"},      {"form-action", "'self'"},      {"frame-ancestors", "'none'"},
           {"img-src", "'self' data:"}, [SCRIPTS] = {"script-src", ""}, [STYLES] = {"style-src", "'self' "}};

/* ---- the application's own directives ---------------------------------------------------------------------------- */

typedef struct directive {
  vestry_slice name, sources;
} directive;

static vestry_slice trim(const char *at, const char *end) {
  while (at < end && vsi_is_space(*at)) at++;
  while (end > at && vsi_is_space(end[-1])) end--;
  return (vestry_slice){at, (size_t)(end - at)};
}

/* Parse the next directive. false: there is none left. */
static bool next_directive(const char **at, directive *ret) {
  while (**at) {
    const char *end = *at + strcspn(*at, ";");
    vestry_slice all = trim(*at, end);
    *at = end + (*end == ';');
    if (!all.len) continue;
    const char *text = all.data;
    size_t name_len = 0;
    while (name_len < all.len && !vsi_is_space(text[name_len])) name_len++;
    *ret = (directive){{text, name_len}, trim(text + name_len, text + all.len)};
    return true;
  }
  return false;
}

/* Return a mistake in the application's policy, as a text for the log; NULL: it is well formed. */
static const char *fault_of(const vestry_csp *csp) {
  directive one;
  for (const char *at = csp->directives; next_directive(&at, &one);)
    for (size_t i = 0; i < one.name.len; i++)
      if (!vsi_is_letter(((const char *)one.name.data)[i]) && ((const char *)one.name.data)[i] != '-')
        return "a directive's name may contain only letters and dashes";
  if (!vsi_is_field_value(csp->directives) || strchr(csp->directives, ','))
    return "directives must be one line without a comma";
  if (strcmp(csp->client, VESTRY_CSP_NO_CLIENT) == 0) return NULL;
  bool is_here = csp->client[0] == '/' && csp->client[1] != '/';
  bool is_there = vsi_strncasecmp(csp->client, "https://", 8) == 0 || vsi_strncasecmp(csp->client, "http://", 7) == 0;
  if ((!is_here && !is_there) || !vsi_is_field_value(csp->client) || strpbrk(csp->client, " \t'\",;"))
    return "client must be the address of a script: http, https or a path, in which blanks, quotes, commas and "
           "semicolons are encoded";
  return NULL;
}

static bool is_set(const vestry_csp *csp, const char *name) {
  directive one;
  for (const char *at = csp->directives; next_directive(&at, &one);)
    if (vsi_is_word(one.name, name)) return true;
  return false;
}

static void put_directive(vsi_buffer *to, vestry_slice name, vestry_slice sources) {
  if (to->len) vsi_buffer_append_str(to, "; ");
  vsi_buffer_append(to, name.data, name.len);
  if (sources.len) vsi_buffer_append_char(to, ' ');
  vsi_buffer_append(to, sources.data, sources.len);
}

static void put_more(vsi_buffer *to, const vestry_csp *csp, const char *name) {
  directive one;
  for (const char *at = csp->directives; next_directive(&at, &one);) {
    if (!vsi_is_word(one.name, name) || !one.sources.len) continue;
    vsi_buffer_append(to, one.sources.data, one.sources.len);
    vsi_buffer_append_char(to, ' ');
  }
}

/* Return whether the directive contains 'unsafe-inline'. Browsers ignore this value beside a nonce, so the directive
 * then gets no nonce. */
static bool is_inline_allowed(const vestry_csp *csp, const char *name) {
  static const char word[] = "'unsafe-inline'";
  directive one;
  for (const char *at = csp->directives; next_directive(&at, &one);)
    if (vsi_is_word(one.name, name) && memmem(one.sources.data, one.sources.len, word, sizeof word - 1)) return true;
  return false;
}

/* Append the source of the client, without query and fragment, because a source has neither. */
static void put_client(vsi_buffer *to, const char *client) {
  if (strcmp(client, VESTRY_CSP_NO_CLIENT) == 0) return;
  if (*client == '/')
    vsi_buffer_append_str(to, "'self' ");
  else
    vsi_buffer_append(to, client, strcspn(client, "?#")), vsi_buffer_append_char(to, ' ');
}

static void put_policy(vsi_buffer *to, const vestry_csp *csp, const char *nonce) {
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
    const char *name = own[i].name, *sources = own[i].sources;
    bool is_added_to = i == SCRIPTS || i == STYLES;
    if (!is_added_to && is_set(csp, name)) continue;
    put_directive(to, (vestry_slice){name, strlen(name)}, (vestry_slice){sources, strlen(sources)});
    if (!is_added_to) continue;
    if (i == SCRIPTS) {
      vsi_buffer_append_char(to, ' ');
      put_client(to, csp->client);
    }
    put_more(to, csp, name);
    if (i == SCRIPTS && csp->client_needs_eval) vsi_buffer_append_str(to, "'unsafe-eval' ");
    if (!is_inline_allowed(csp, name)) vsi_buffer_printf(to, "'nonce-%s' ", nonce);
    to->len -= !to->error; /* the trailing blank */
  }
  if (csp->trusted_types && !is_set(csp, "require-trusted-types-for"))
    vsi_buffer_append_str(to, "; require-trusted-types-for 'script'");
  if (csp->trusted_types && !is_set(csp, "trusted-types")) vsi_buffer_append_str(to, "; trusted-types datastar");
  directive one;
  for (const char *at = csp->directives; next_directive(&at, &one);)
    if (!vsi_is_word(one.name, own[SCRIPTS].name) && !vsi_is_word(one.name, own[STYLES].name))
      put_directive(to, one.name, one.sources);
}

/* ---- the policy of a reply --------------------------------------------------------------------------------------- */

static vestry_err make_nonce(const vestry_host *host, char nonce[NONCE_BYTES]) {
  unsigned char bytes[(NONCE_BYTES - 1) / 2];
  vestry_err error = host->random(host->ctx, bytes, sizeof bytes);
  if (!error) vsi_hex_write(nonce, bytes, sizeof bytes);
  return error;
}

static vestry_err refuse(vestry_reply *reply, const char *why) {
  char line[192];
  snprintf(line, sizeof line, "vestry_reply_csp: %s", why);
  return vsi_reply_refuse(reply, VESTRY_INVALID, line);
}

/* Set the policy of a reply. A second call keeps the nonce, because parts of the document may contain it already. */
static vestry_err put(vestry_reply *reply, const vestry_csp *given) {
  char nonce[NONCE_BYTES];
  vestry_csp csp = given ? *given : (vestry_csp){0};
  if (!csp.client) csp.client = VESTRY_DATASTAR_CDN_URL;
  if (!csp.directives) csp.directives = "";
  const char *fault = fault_of(&csp);
  if (fault) return refuse(reply, fault);
  vestry_err error = VESTRY_OK;
  if (csp_of(reply))
    memcpy(nonce, csp_of(reply)->nonce, sizeof nonce);
  else
    error = make_nonce(reply->host, nonce);
  if (error) return error;
  vsi_buffer text;
  vsi_buffer_init(&text, reply->host);
  put_policy(&text, &csp, nonce);
  policy *made = text.error ? NULL : vsi_alloc(reply->host, sizeof *made + text.len + 1);
  if (made) {
    memcpy(made->nonce, nonce, sizeof nonce);
    memcpy(made->value, text.data, text.len);
    made->value[text.len] = '\0';
    vsi_free(reply->host, reply->document.state);
    reply->document.state = made;
  }
  vsi_buffer_finish(&text);
  return vsi_reply_remember(reply, made ? VESTRY_OK : VESTRY_NO_MEMORY);
}

/* ---- the response ------------------------------------------------------------------------------------------------ */

static vestry_err add_missing(vestry_reply *reply, const char *name, const char *value) {
  return vsi_reply_header_find(reply, name) ? VESTRY_OK : vestry_reply_header(reply, name, value);
}

/* Remove the nonce from the policy of a response that is not a document, so that caches can store the response. */
static void cut_nonces(char *value, const char *nonce) {
  char source[sizeof " 'nonce-'" + NONCE_BYTES];
  size_t len = (size_t)snprintf(source, sizeof source, " 'nonce-%s'", nonce);
  for (char *at = value; (at = strstr(at, source)) != NULL;) memmove(at, at + len, strlen(at + len) + 1);
}

static bool is_html(const vestry_reply *reply) {
  const vestry_header *declared = vsi_reply_header_find(reply, "Content-Type");
  const char *type = declared ? declared->value : reply->body_type;
  return type && vsi_strncasecmp(type, "text/html", 9) == 0;
}

/* Remove the validators: they belong to the bytes without the nonce, and no cache may store this document. */
static void drop_validators(vestry_reply *reply) {
  static const char *const names[] = {"ETag", "Last-Modified", "Accept-Ranges"};
  size_t kept = 0;
  for (size_t i = 0; i < reply->headers_count; i++) {
    bool is_dropped = false;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
      is_dropped |= vsi_strcasecmp(reply->headers[i].name, names[n]) == 0;
    if (is_dropped)
      vsi_free(reply->host, (void *)reply->headers[i].name);
    else
      reply->headers[kept++] = reply->headers[i];
  }
  reply->headers_count = kept;
}

static vestry_err put_nonce(vestry_reply *reply) {
  bool has_tag;
  vestry_err error = vsi_reply_load(reply);
  if (error) return error;
  const size_t at = vsi_html_root_tag((vestry_slice){reply->body, reply->body_len}, &has_tag);
  vsi_buffer all;
  vsi_buffer_init(&all, reply->host);
  (void)vsi_buffer_reserve(&all, reply->body_len + sizeof "<html data-nonce=\"\">" + NONCE_BYTES);
  vsi_buffer_append(&all, reply->body, at);
  vsi_buffer_printf(&all, has_tag ? " data-nonce=\"%s\"" : "<html data-nonce=\"%s\">", csp_of(reply)->nonce);
  vsi_buffer_append(&all, reply->body + at, reply->body_len - at);
  error = vsi_reply_change_body(reply, &all);
  if (!error) drop_validators(reply);
  reply->has_nonce = !error;
  return error;
}

/* Add the headers, and insert the nonce if the response is a document; then has_nonce is set, so that the response is
 * not cached. Called directly before the reply is answered. Does nothing for a response to the Datastar client.
 * OK | INVALID (the body has a Content-Encoding; logged) | IO | NO_MEMORY */
static vestry_err apply(const vestry_request *req, vestry_reply *reply, int status, bool has_body) {
  policy *csp = csp_of(reply);
  if (reply->document.error) return reply->document.error; /* a handler that ignored the error of vestry_reply_csp */
  if (req->is_datastar || status == 304) return VESTRY_OK; /* 304: the cached document has its own policy */
  vestry_err error = VESTRY_OK;
  const bool is_document = has_body && status != 206 && is_html(reply);
  if (is_document && vsi_reply_header_find(reply, "Content-Encoding"))
    return vsi_reply_refuse(reply, VESTRY_INVALID,
                            "cannot insert a nonce into a document that is already encoded (Content-Encoding)");
  if (is_document)
    error = put_nonce(reply);
  else
    cut_nonces(csp->value, csp->nonce);
  if (!error) error = vestry_reply_header(reply, header, csp->value);
  if (!error) error = add_missing(reply, "X-Content-Type-Options", "nosniff");
  if (!error) error = add_missing(reply, "Referrer-Policy", "same-origin");
  return error;
}

vestry_err vestry_reply_csp(vestry_reply *reply, const vestry_csp *given) {
  reply->document.apply = apply;
  return reply->document.error = put(reply, given);
}

const char *vestry_reply_nonce(const vestry_reply *reply) {
  return reply && csp_of(reply) ? csp_of(reply)->nonce : "";
}

vestry_err vestry_csp_guard(const vestry_request *req, vestry_reply *reply, void *app) {
  return req->is_datastar ? VESTRY_OK : vestry_reply_csp(reply, app);
}
