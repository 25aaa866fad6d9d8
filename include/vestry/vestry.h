/** All of vestry, but for the adapters of particular servers: include vestry/civetweb.h beside it. */
#ifndef VESTRY_VESTRY_H
#define VESTRY_VESTRY_H

#include "vestry/cause.h"
#include "vestry/channel.h"
#include "vestry/connection.h"
#include "vestry/error.h"
#include "vestry/event.h"
#include "vestry/host.h"
#include "vestry/key.h"
#include "vestry/memory.h"
#include "vestry/profile.h"
#include "vestry/registry.h"
#include "vestry/request.h"
#include "vestry/runtime.h"
#include "vestry/signals.h"
#include "vestry/store.h"
#include "vestry/version.h"

#endif
