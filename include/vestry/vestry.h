/* SPDX-License-Identifier: MIT */
/** All of vestry, but for what needs a library of its own: include vestry/civetweb.h or vestry/microhttpd.h, the
 *  adapters of servers, vestry/sqlite.h, vestry/postgres_pool.h, or vestry/nats.h, a broker, beside it.
 *
 *  The tour, in reading order:
 *  - An instance holds everything together (instance.h). It has a store, in which connections are kept by keys
 *    (key.h, store.h). A connection is one open stream (connection.h); what is sent to it is an event (event.h,
 *    script.h, selector.h), several at once a batch (batch.h).
 *  - A handler serves a path (routes.h): it is given a request and fills a reply (request.h), for which a server calls
 *    it (server.h; adapter.h and transport.h for those who bring another). Files of a folder need no handler (files.h).
 *    Files that people send: upload.h; what their page says of them: upload_view.h.
 *    What pages are made of: html.h, actions of the page for its server (backend_action.h), and elements that open a
 *    stream and look after it (stream.h).
 *  - What a page says comes as signals (signals.h), by a schema if you like (repository.h); values of C for the way
 *    back are value.h.
 *  - A reply's effects are data, by names (registry.h, effects.h). They are dispatched from any thread (dispatch.h).
 *  - Which user asks: session.h; by which secret pages are sealed: secret.h. What is refused: requests that other sites
 *    forge (csrf.h), an action's second run (once.h), clients that ask too often (rate.h), scripts that no policy
 *    allows (csp.h); which tab asks: tab.h.
 *  - Pages that render again when their data changes: page.h; the rows of a long list that are seen: window.h; over
 *    SQLite, without naming topics: sqlite.h. Forms that come back: form.h, sqlite_forms.h, postgres_forms.h.
 *    A function that feeds a stream: watch.h. Who is here: presence.h. Work that outlives its process: jobs.h,
 *    sqlite_jobs.h, postgres_jobs.h.
 *  - One event to many: channel.h, with what was missed history.h, compressed by profile.h.
 *    Messages to functions: bus.h.
 *  - Several machines: cluster.h, over broker.h. The end: drain.h. Threads and time: runtime.h, host.h;
 *    where the time goes: trace.h; what an instance does, in numbers: observe.h, metrics.h.
 *  - What can go wrong, in three lists: error.h, cause.h, refusal.h. For tests of your own (libvestry-testing, and not
 *    included here): memory.h, browser.h, memory_network.h.
 *
 *  Structs grow from version to version, and programs that were compiled before run on. One rule for all of them: the
 *  first member is `size`, sizeof the struct; 0 stands for the struct as the first release has it. There is
 *  none yet: until then 0 stands for the struct as it is here.
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
#include "vestry/broker.h"
#include "vestry/bus.h"
#include "vestry/cause.h"
#include "vestry/channel.h"
#include "vestry/cluster.h"
#include "vestry/connection.h"
#include "vestry/csp.h"
#include "vestry/csrf.h"
#include "vestry/dispatch.h"
#include "vestry/drain.h"
#include "vestry/effects.h"
#include "vestry/error.h"
#include "vestry/event.h"
#include "vestry/files.h"
#include "vestry/form.h"
#include "vestry/history.h"
#include "vestry/host.h"
#include "vestry/html.h"
#include "vestry/instance.h"
#include "vestry/jobs.h"
#include "vestry/key.h"
#include "vestry/metrics.h"
#include "vestry/observe.h"
#include "vestry/once.h"
#include "vestry/page.h"
#include "vestry/presence.h"
#include "vestry/profile.h"
#include "vestry/rate.h"
#include "vestry/refusal.h"
#include "vestry/registry.h"
#include "vestry/repository.h"
#include "vestry/request.h"
#include "vestry/routes.h"
#include "vestry/runtime.h"
#include "vestry/script.h"
#include "vestry/secret.h"
#include "vestry/selector.h"
#include "vestry/server.h"
#include "vestry/session.h"
#include "vestry/signals.h"
#include "vestry/store.h"
#include "vestry/stream.h"
#include "vestry/tab.h"
#include "vestry/trace.h"
#include "vestry/upload.h"
#include "vestry/upload_view.h"
#include "vestry/value.h"
#include "vestry/version.h"
#include "vestry/watch.h"
#include "vestry/window.h"

#endif
