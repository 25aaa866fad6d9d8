/* SPDX-License-Identifier: MIT */
/** The core of vestry: connections that are kept by keys, and what is sent to them. The adapters of servers are
 *  libraries of their own: include vestry/civetweb.h or vestry/microhttpd.h beside it.
 *
 *  The tour, in reading order:
 *  - An instance holds everything together (instance.h). It has a store, in which connections are kept by keys
 *    (key.h, store.h). A connection is one open stream (connection.h); what is sent to it is an event (event.h,
 *    script.h, selector.h), several at once a batch (batch.h).
 *  - A handler serves a path (routes.h): it is given a request and fills a reply (request.h), for which a server calls
 *    it (server.h; adapter.h and transport.h for those who bring another). What pages are made of: html.h, and actions
 *    of the page for its server (backend_action.h).
 *  - What a page says comes as signals (signals.h); values of C for the way back are value.h.
 *  - A reply's effects are data, by names (registry.h, effects.h). They are dispatched from any thread (dispatch.h).
 *  - One event to many: channel.h, compressed by profile.h. The end: drain.h. Threads and time: runtime.h, host.h;
 *    where the time goes: trace.h.
 *  - What can go wrong, in three lists: error.h, cause.h, refusal.h.
 *
 *  Extensions are made of the core; a program includes the header of each that it uses:
 *  - vestry/app/: sessions (session.h, secret.h), what is refused (csrf.h, once.h, rate.h, csp.h) and which tab asks
 *    (tab.h); files of a folder (files.h) and files that people send (upload.h, upload_view.h); elements that open a
 *    stream and look after it (stream.h); signals by a schema (repository.h); messages to functions (bus.h), what a
 *    stream has missed (history.h), a function that feeds one (watch.h), who is here (presence.h); pages that render
 *    again when their data changes (page.h), the rows of a long list that are seen (window.h), forms that come back
 *    (form.h).
 *  - vestry/data/: pages over SQLite and PostgreSQL without naming topics (sqlite.h, postgres.h), sessions, forms and
 *    actions stored there; work that outlives its process (jobs.h, sqlite_jobs.h, postgres_jobs.h).
 *  - vestry/cluster/: several machines (cluster.h), over a broker (broker.h), such as NATS (nats.h).
 *  - vestry/ops/: what an instance does, in numbers (observe.h, metrics.h).
 *  - vestry/testing/: for tests of your own (memory.h, browser.h, memory_network.h).
 *
 *  Structs grow from version to version, and programs that were compiled before run on. One rule for all of them: the
 *  first member is `size`, sizeof the struct; 0 stands for the struct as 0.3.0 has it. Set it to use a later member.
 *  - What goes in (options, hooks, tables of functions): zero is the default, so name the members that you set. A
 *    shorter struct has the default where it ends; a longer one may have nothing but zeroes there, otherwise INVALID.
 *    What a member points to is read during the call and copied, unless it says that it is borrowed. (In C a compound
 *    literal ends with its block: not inside an `if` that ends before the call.)
 *  - What comes out (stats, results): begin with = {0}, or set size. You get as much as there is room for.
 *  Structs that the library lends to a callback may grow at their end; they have no size. These stay as they are:
 *  vestry_slice, vestry_key, vestry_value, vestry_into, vestry_scope, vestry_header, vestry_attribute,
 *  vestry_event_options, vestry_profile, vestry_field, vestry_message, vestry_mounted, vestry_file, vestry_store_type,
 *  vestry_list_cursor, vestry_window, vestry_window_axis, and the records of errors. */
#ifndef VESTRY_VESTRY_H
#define VESTRY_VESTRY_H

#include "vestry/backend_action.h"
#include "vestry/batch.h"
#include "vestry/cause.h"
#include "vestry/channel.h"
#include "vestry/connection.h"
#include "vestry/dispatch.h"
#include "vestry/drain.h"
#include "vestry/effects.h"
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
#include "vestry/script.h"
#include "vestry/selector.h"
#include "vestry/server.h"
#include "vestry/signals.h"
#include "vestry/store.h"
#include "vestry/trace.h"
#include "vestry/value.h"
#include "vestry/version.h"

#endif
