/* SPDX-License-Identifier: MIT */
/* Functions shared by the databases that store the states of tabs: owner, expiry and topic of a state. Everything is
 * inline, because the functions of the core are hidden from the database libraries. */
#ifndef VSI_GUARD_TAB_OWNER_H
#define VSI_GUARD_TAB_OWNER_H

#include <stdint.h>
#include <string.h>

#include "base/hex.h"
#include "vestry/app/session.h"
#include "vestry/app/tab.h"

enum { VSI_TAB_BYTES = 16, VSI_TAB_TOPIC_BYTES = 44 };

/* The owner of a tab's state. */
typedef struct vsi_tab_owner {
  vestry_scope scope;
  unsigned char tab[VSI_TAB_BYTES];
  int64_t ttl_s;
  bool is_anonymous;
} vsi_tab_owner;

/* Find the tab that sent a request. ttl_s, anonymous_ttl_s: lifetime of a state of a user; of an anonymous user.
 * Returns as vestry_tab_id. */
static inline vestry_err vsi_tab_owner_find(const vestry_request *req, uint32_t ttl_s, uint32_t anonymous_ttl_s,
                                            vsi_tab_owner *ret_owner) {
  char id[VESTRY_TAB_ID_BYTES];
  vestry_err error = vestry_tab_id(req, id);
  if (error) return error;
  ret_owner->scope = req->scope;
  ret_owner->is_anonymous = vestry_session_is_anonymous(req);
  ret_owner->ttl_s = ret_owner->is_anonymous ? anonymous_ttl_s : ttl_s;
  vsi_hex_read(ret_owner->tab, id, VSI_TAB_BYTES);
  return VESTRY_OK;
}

/* Return a time: a state that expires before this time gets a new expiry when it is used. So an expiry is written at
 * most once in a tenth of the lifetime. */
static inline int64_t vsi_tab_owner_soon_s(const vsi_tab_owner *whose, int64_t now_s) {
  return now_s + whose->ttl_s - whose->ttl_s / 10;
}

static inline void vsi_tab_topic(const unsigned char tab[VSI_TAB_BYTES], char topic[VSI_TAB_TOPIC_BYTES]) {
  static const char prefix[] = "vestry_tab/";
  memcpy(topic, prefix, sizeof prefix - 1);
  vsi_hex_write(topic + sizeof prefix - 1, tab, VSI_TAB_BYTES);
}

#endif
