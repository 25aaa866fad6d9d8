/* SPDX-License-Identifier: MIT */
/* Histories of an instance's channels by key: history.c has them. */
#ifndef VSI_CHANNEL_HISTORIES_H
#define VSI_CHANNEL_HISTORIES_H

#include "channel/history.h"
#include "channel/members.h"
#include "vestry/history.h"

/* What some channels should have been sent may have been lost: none of them is known to be whole. Any thread; takes a
 * lock briefly. */
void vsi_histories_lose(vestry *v);

/* A stream that joins a channel where it has left off. */
typedef struct vsi_resuming {
  vsi_member *member; /* without a stream yet */
  vsi_history_last last;
  vestry_resume_fn on_resume; /* NULL: it is not told */
  void *ctx;
  bool is_told; /* vsi_resume's own */
} vsi_resuming;

/* Takes the member. Returns as vestry_resume; the stream is closed if its application was told and said no. */
vestry_err vsi_resume(vsi_resuming *one, vestry_connection *connection);

#endif
