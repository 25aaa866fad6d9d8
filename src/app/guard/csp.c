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
  char text[]; /* with the placeholder of the nonce */
} policy;

static policy *csp_of(const vestry_reply *reply) {
  return reply->document.state;
}

/* A placeholder with the blank before it, so that nothing is left of one that stands for nothing. */
#define CLIENT " {client}"
#define NONCE  " {nonce}"

/* Return a mistake in a policy, as a text for the log; NULL: it is well formed. */
static const char *fault_of(const vestry_csp *csp) {
  if (!vsi_is_field_value(csp->policy) || strchr(csp->policy, ',')) return "policy must be one line without a comma";
  if (strcmp(csp->client, VESTRY_CSP_NO_CLIENT) == 0) return NULL;
  bool is_here = csp->client[0] == '/' && csp->client[1] != '/';
  bool is_there = vsi_strncasecmp(csp->client, "https://", 8) == 0 || vsi_strncasecmp(csp->client, "http://", 7) == 0;
  if ((!is_here && !is_there) || !vsi_is_field_value(csp->client) || strpbrk(csp->client, " \t'\",;"))
    return "client must be the address of a script: http, https or a path, in which blanks, quotes, commas and "
           "semicolons are encoded";
  return NULL;
}

/* Append a text, in which a source stands for each placeholder. source: with a blank before it, or "" */
static void put_with(vsi_buffer *to, const char *text, const char *placeholder, vestry_slice source) {
  for (const char *at; (at = strstr(text, placeholder)) != NULL; text = at + strlen(placeholder)) {
    vsi_buffer_append(to, text, (size_t)(at - text));
    vsi_buffer_append(to, source.data, source.len);
  }
  vsi_buffer_append_str(to, text);
}

/* Append a policy, with the placeholder of the nonce. */
static void put_policy(vsi_buffer *to, const vestry_csp *csp) {
  vsi_buffer client;
  vsi_buffer_init(&client, to->host);
  if (*csp->client == '/')
    vsi_buffer_append_str(&client, " 'self'");
  else if (strcmp(csp->client, VESTRY_CSP_NO_CLIENT) != 0) /* a source has neither query nor fragment */
    vsi_buffer_printf(&client, " %.*s", (int)strcspn(csp->client, "?#"), csp->client);
  if (csp->client_needs_eval) vsi_buffer_append_str(&client, " 'unsafe-eval'");
  put_with(to, csp->policy, CLIENT, (vestry_slice){client.data, client.len});
  if (csp->trusted_types) vsi_buffer_append_str(to, "; require-trusted-types-for 'script'; trusted-types datastar");
  vsi_buffer_append_char(to, '\0');
  if (client.error) to->error = client.error;
  vsi_buffer_finish(&client);
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
  if (!csp.policy) csp.policy = VESTRY_CSP_POLICY;
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
  put_policy(&text, &csp);
  policy *made = text.error ? NULL : vsi_alloc(reply->host, sizeof *made + text.len);
  if (made) {
    memcpy(made->nonce, nonce, sizeof nonce);
    memcpy(made->text, text.data, text.len);
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

/* Add the header. A response that is not a document has no nonce, so that caches can store it. */
static vestry_err add_policy(vestry_reply *reply, bool has_nonce) {
  char source[sizeof " 'nonce-'" + NONCE_BYTES] = "";
  const policy *csp = csp_of(reply);
  vsi_buffer value;
  if (has_nonce) snprintf(source, sizeof source, " 'nonce-%s'", csp->nonce);
  vsi_buffer_init(&value, reply->host);
  put_with(&value, csp->text, NONCE, (vestry_slice){source, strlen(source)});
  vsi_buffer_append_char(&value, '\0');
  vestry_err error = value.error ? VESTRY_NO_MEMORY : vestry_reply_header(reply, header, value.data);
  vsi_buffer_finish(&value);
  return error;
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
  if (reply->document.error) return reply->document.error; /* a handler that ignored the error of vestry_reply_csp */
  if (req->is_datastar || status == 304) return VESTRY_OK; /* 304: the cached document has its own policy */
  vestry_err error = VESTRY_OK;
  const bool is_document = has_body && status != 206 && is_html(reply);
  if (is_document && vsi_reply_header_find(reply, "Content-Encoding"))
    return vsi_reply_refuse(reply, VESTRY_INVALID,
                            "cannot insert a nonce into a document that is already encoded (Content-Encoding)");
  if (is_document) error = put_nonce(reply);
  if (!error) error = add_policy(reply, is_document);
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
