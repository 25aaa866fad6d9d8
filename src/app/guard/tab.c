/* SPDX-License-Identifier: MIT */
/* essay: distinguishing a tab from its duplicate */
/* A page removes the id from sessionStorage when it is loaded, and stores the id there when the user leaves the page.
 * Duplicating a tab copies the storage, which contains no id while the page is shown. So a duplicate is recognised at
 * once, even in a hidden tab or over plain http. The alternatives need waiting: a broadcast for responses of other
 * tabs, and the Web Locks API, which plain http does not have.
 *
 * The cookie is set in `beforeunload`, because the request of a reload is sent before `pagehide`. The cookie does not
 * belong to one tab: another page that loads at the same moment may take it. Therefore the page decides by its storage
 * alone. The id that the page sends (signal or form field) has precedence; the id of the cookie only determines the tab
 * for which the document is rendered.
 *
 * The storage contains a tag of the scope beside the id, so that after a login the page ignores the id of the scope
 * before. */
#include "vestry/app/tab.h"

#include <stdio.h>
#include <string.h>

#include "app/guard/attributes.h"
#include "app/session/session.h"
#include "base/ascii.h"
#include "html/script.h"
#include "http/cookie.h"
#include "http/request.h"
#include "instance/instance.h"

#define SIGNAL "tabId"
#define COOKIE "vestry-tab"

static bool is_good(const vestry_request *req, const char *text, size_t len) {
  return vsi_seal_is_good(vsi_seals_of(req->v), VSI_SEAL_TAB, vsi_seal_scope(req), NULL, text, len);
}

static bool take(const vestry_request *req, vsi_sealed *own, const char *text, size_t len) {
  if (!text || !is_good(req, text, len)) return false;
  memcpy(own->tab, text, len);
  own->tab[len] = '\0';
  own->tab_is_new = false;
  return true;
}

static bool take_sent(const vestry_request *req, vsi_sealed *own, const char *text, size_t len) {
  own->tab_is_sent = take(req, own, text, len);
  return own->tab_is_sent;
}

static bool take_cookie(const vestry_request *req, vsi_sealed *own) {
  const char *header = vestry_request_header(req, "Cookie");
  vestry_slice value;
  while (header && vsi_cookie_next(&header, COOKIE, &value))
    if (take(req, own, value.data, value.len)) return true;
  return false;
}

static vestry_err find(const vestry_request *req, vsi_sealed *own) {
  const json_t *signal = json_object_get(req->signals, SIGNAL);
  if (take_sent(req, own, json_string_value(signal), json_string_length(signal))) return VESTRY_OK;
  const char *field = vestry_request_value(req, VESTRY_IN_FORM, SIGNAL);
  if (req->own->values[VESTRY_IN_FORM].error == VESTRY_NO_MEMORY) return VESTRY_NO_MEMORY;
  if (take_sent(req, own, field, field ? strlen(field) : 0)) return VESTRY_OK;
  if (req->is_datastar || req->own->is_copy) return VESTRY_NOT_FOUND;
  if (take_cookie(req, own)) return VESTRY_OK;
  vestry_err error =
      vsi_seal_make(vsi_seals_of(req->v), req->v->host, VSI_SEAL_TAB, vsi_seal_scope(req), NULL, own->tab);
  if (error) *own->tab = '\0';
  own->tab_is_new = !error;
  return error;
}

/* Find the tab of a request. The result is kept until the scope changes, for example by a login. */
static vestry_err know(const vestry_request *req, vsi_sealed **ret_own) {
  const vsi_seals *seals;
  vestry_err error = vsi_seals_use(req->v, &seals);
  if (error) return error;
  vsi_sealed *own = *ret_own = vsi_sealed_of(req);
  vsi_request_mark_private(req);
  const unsigned now = req->own->scopes_count + 1;
  if (own->tab_is_known == now) return VESTRY_OK;
  error = is_good(req, own->tab, strlen(own->tab)) ? VESTRY_OK : find(req, own);
  own->tab_is_known = error ? 0 : now;
  return error;
}

vestry_err vestry_tab_id(const vestry_request *req, char id[VESTRY_TAB_ID_BYTES]) {
  vsi_sealed *own;
  vestry_err error = know(req, &own);
  if (error) return error;
  memcpy(id, own->tab, VSI_SEAL_ID_LEN);
  id[VSI_SEAL_ID_LEN] = '\0';
  return VESTRY_OK;
}

bool vestry_tab_is_known(const vestry_request *req) {
  vsi_sealed *own;
  return !know(req, &own) && own->tab_is_sent;
}

VSI_SCRIPTS(tab); /* tab.js */

/* The page stores its text when the user leaves it, and removes the text when the user comes back. */
#define EVENTS                                                                                                         \
  " data-on:pagehide__window=\"el.stash.keep()\" data-on:freeze__document=\"el.stash.keep()\""                         \
  " data-on:pageshow__window=\"evt.persisted && el.stash.drop()\" data-on:resume__document=\"el.stash.drop()\""

static const char attributes[] =
    "data-init__tab=\"el.stash = %s('vestry-tab', '%s', () => $tabId)\" data-signals:tab-id=\"el.stash.take() || "
    "'%s'\"" EVENTS " data-on:beforeunload__window=\"document.cookie = '" COOKIE
    "=' + $tabId + ';path=/;max-age=5;samesite=lax' + (location.protocol === 'https:' ? ';secure' : '')\"";

vestry_err vsi_tab_attributes(const vestry_request *req, vestry_reply *reply, bool has_file, char *buffer,
                              size_t capacity) {
  const vsi_seals *seals = vsi_seals_of(req->v);
  const vestry_scope scope = vsi_seal_scope(req);
  char text[VESTRY_TAB_ATTRIBUTES_BYTES], own[VSI_SEAL_LEN + 1], tag[VSI_SEAL_TAG_LEN + 1];
  vsi_sealed *sealed;
  vestry_err error = know(req, &sealed);
  if (error) return error;
  /* A page that finds no id in its storage is a new tab, even if the cookie had an id. The attributes contain a new id
   * for this case. */
  if (sealed->tab_is_new)
    memcpy(own, sealed->tab, sizeof own);
  else
    error = vsi_seal_make(seals, req->v->host, VSI_SEAL_TAB, scope, NULL, own);
  if (error) return error;
  vsi_seal_tag(seals, scope, tag);
  int len = snprintf(text, sizeof text, attributes, has_file ? vsi_called_tab : vsi_script_tab, tag, own);
  if (len < 0 || (size_t)len >= sizeof text || (size_t)len >= capacity) return VESTRY_TOO_LARGE;
  const char *header = vestry_request_header(req, "Cookie");
  vestry_slice value;
  /* Remove the cookie, so that no other page takes it. Without Secure, so that the removal works over http, too. */
  if (header && vsi_cookie_next(&header, COOKIE, &value))
    error = vestry_reply_cookie(reply, &(vestry_cookie){.name = COOKIE, .remove = true, .insecure = true});
  if (error) return error;
  memcpy(buffer, text, (size_t)len + 1);
  return VESTRY_OK;
}

vestry_err vestry_tab_attributes(const vestry_request *req, vestry_reply *reply, char *buffer, size_t capacity) {
  return vsi_tab_attributes(req, reply, false, buffer, capacity);
}

/* -------------------------------------------------------------------------------------------- restored text ------ */

static bool is_prefix(const char *prefix) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  size_t len = prefix ? strlen(prefix) : 0;
  return len && len <= VESTRY_TAB_PREFIX_MAX_BYTES && strspn(prefix, letters) == len && !vsi_is_digit(*prefix);
}

vestry_err vestry_tab_keep(const vestry_request *req, vestry_html *html, const char *prefix) {
  char tag[VSI_SEAL_TAG_LEN + 1];
  if (!html) return VESTRY_INVALID;
  if (!req || !is_prefix(prefix))
    return vsi_html_fail(vsi_html_of(html), VESTRY_INVALID,
                         "vestry_tab_keep: the request is NULL, or the prefix is not 1 to 64 letters, digits and '_', "
                         "or begins with a digit");
  const vsi_seals *seals = vsi_seals_of(req->v);
  if (!seals) return VESTRY_NO_MEMORY;
  vsi_seal_tag(seals, vsi_seal_scope(req), tag);
  return vestry_html_add(
      html,
      "<i hidden data-init__kept=\"el.stash = %-s('vestry-kept', '%-s', () => JSON.stringify("
      "Object.fromEntries(Object.entries($).filter(([name]) => name.startsWith('%-s')))))\""
      " data-signals=\"((values) => values ? (setTimeout(() => dispatchEvent(new Event('vestry-kept'))"
      ", 1000), values) : {})(el.stash.take(JSON.parse))\"" EVENTS "></i>",
      VSI_SCRIPT(html, tab), tag, prefix);
}
