/** All of vestry, but for the adapters of servers: include vestry/civetweb.h or vestry/microhttpd.h beside it. */
#ifndef VESTRY_VESTRY_H
#define VESTRY_VESTRY_H

#include "vestry/backend_action.h"
#include "vestry/batch.h"
#include "vestry/bus.h"
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
#include "vestry/key.h"
#include "vestry/memory.h"
#include "vestry/profile.h"
#include "vestry/refusal.h"
#include "vestry/registry.h"
#include "vestry/repository.h"
#include "vestry/request.h"
#include "vestry/runtime.h"
#include "vestry/script.h"
#include "vestry/selector.h"
#include "vestry/signals.h"
#include "vestry/store.h"
#include "vestry/version.h"

#endif
