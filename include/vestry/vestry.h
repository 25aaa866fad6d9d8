/* SPDX-License-Identifier: MIT */
/** The core of vestry: keyed connections, and the events that are sent to them. Headers in reading order:
 *  - instance.h: an instance has a store of connections by key (store.h, key.h). A connection is an open stream
 *    (connection.h), to which a thread sends events (event.h).
 *  - routes.h, request.h: handlers of requests, and their replies. server.h: servers, and adapter.h, transport.h to
 *    write one.
 *  - html.h: HTML; backend_action.h: requests that a page sends; signals.h: their signals; value.h: values of C.
 *  - registry.h, dispatch.h: effects by name. channel.h, profile.h: one event to many streams; compression.
 *  - drain.h: closing all streams. runtime.h, host.h: threads, memory and time. trace.h: traces. error.h, cause.h,
 *    refusal.h: failures. version.h: the version.
 *
 *      vestry_dispatch(v, scope, VESTRY_KEY("counter", 1), VESTRY_LIST("patch-signals", VESTRY_OBJECT("counter", 4)));
 *
 *  A program also includes the header of its adapter (vestry/civetweb.h, vestry/microhttpd.h, vestry/h2.h), and those
 *  of the extensions that it uses: vestry/app/ (sessions, guards, files, presence, pages, forms, …), vestry/data/
 *  (SQLite, PostgreSQL, jobs), vestry/cluster/ (several machines), vestry/ops/ (metrics), vestry/testing/ (tests). */
#ifndef VESTRY_VESTRY_H
#define VESTRY_VESTRY_H

/* A member of an input struct (options, hooks, tables of functions) that is zero has its default, so name the members
 * that you set. Targets of pointers are read during the call and copied, unless the member is documented as borrowed.
 * (In C a compound literal exists until the end of the enclosing block: do not write it inside an `if` that ends before
 * the call.) An output struct is written whole. docs/abi.md has the versions that work together. */

#include "vestry/backend_action.h"
#include "vestry/cause.h"
#include "vestry/channel.h"
#include "vestry/connection.h"
#include "vestry/dispatch.h"
#include "vestry/drain.h"
#include "vestry/error.h"
#include "vestry/event.h"
#include "vestry/host.h"
#include "vestry/html.h"
#include "vestry/instance.h"
#include "vestry/key.h"
#include "vestry/profile.h"
#include "vestry/refusal.h"
#include "vestry/registry.h"
#include "vestry/request.h"
#include "vestry/routes.h"
#include "vestry/runtime.h"
#include "vestry/server.h"
#include "vestry/signals.h"
#include "vestry/store.h"
#include "vestry/trace.h"
#include "vestry/value.h"
#include "vestry/version.h"

#endif
