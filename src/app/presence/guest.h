/* SPDX-License-Identifier: MIT */
/* A guest: one person at one place. Functions named _locked: the presence's lock is held. */
#ifndef VSI_PRESENCE_GUEST_H
#define VSI_PRESENCE_GUEST_H

#include "app/presence/table.h"

/* A guest that is in no table yet (vsi_free). NULL: out of memory. */
vsi_guest *vsi_guest_create(const vestry_presence *presence, const vestry_scoped_key *place, const char *who);
/* NULL: at is NULL, or he is not known there. */
vsi_guest *vsi_guest_find_locked(const vestry_presence *presence, const vsi_place *at, const char *who);
void vsi_guest_enter_locked(vestry_presence *presence, vsi_place *at, vsi_guest *one);
/* He is here from now on; he is not any more, and may be freed. */
void vsi_guest_come_locked(vestry_presence *presence, vsi_guest *one);
void vsi_guest_leave_locked(vestry_presence *presence, vsi_guest *one);
/* Free him if he is not needed any more. */
void vsi_guest_let_go_locked(vestry_presence *presence, vsi_guest *one);
/* This node has him, or has him no more. */
void vsi_guest_own_locked(vestry_presence *presence, vsi_guest *one, bool is_own);
/* is_own has changed, or there is a watch: he waits to be told to the other nodes, if they know otherwise. */
void vsi_guest_spread_locked(vestry_presence *presence, vsi_guest *one);

#endif
