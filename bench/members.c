/* SPDX-License-Identifier: MIT */
#include "members.h"

#include <stdatomic.h>

#include "vestry/app/once.h"

enum { SHARE = 10 };

vestry_session_options bench_members_sessions(size_t count) {
  return (vestry_session_options){.insecure = true, .max_count = count, .max_per_user_count = count / SHARE};
}

static vestry_err member(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const char *user = vestry_session_user(req);
  (void)ctx;
  return vestry_reply_bodyf(reply, "%s", user ? user : "anonymous");
}

static vestry_err login(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)ctx;
  vestry_err err = vestry_session_login(req, reply, vestry_request_value(req, VESTRY_IN_QUERY, "user"));
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err nonce(const vestry_request *req, vestry_reply *reply, void *ctx) {
  char text[VESTRY_ONCE_NONCE_BYTES];
  (void)ctx;
  vestry_err err = vestry_once_nonce(req, text);
  return err ? err : vestry_reply_bodyf(reply, "%s", text);
}

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *ctx) {
  bench_members *members = ctx;
  (void)req;
  return vestry_reply_bodyf(reply, "%d", atomic_fetch_add(&members->done, 1) + 1);
}

vestry_err bench_members_mount(bench_members *members, vestry *v, size_t count) {
  const vestry_once_options once = {.max_count = count, .max_per_scope_count = count / SHARE};
  vestry_err err = vestry_once_create(v, &once, &members->once);
  if (!err) err = vestry_guard(v, "/act", vestry_once_guard, members->once);
  if (!err) err = vestry_route(v, "GET", "/member", member, members);
  if (!err) err = vestry_route(v, "POST", "/login", login, members);
  if (!err) err = vestry_route(v, "GET", "/nonce", nonce, members);
  return err ? err : vestry_route(v, "POST", "/act", act, members);
}

void bench_members_finish(bench_members *members) {
  vestry_once_destroy(members->once);
}
