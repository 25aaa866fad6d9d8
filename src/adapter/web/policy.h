/* SPDX-License-Identifier: MIT */
/* Constants that all adapters share. */
#ifndef VSI_WEB_POLICY_H
#define VSI_WEB_POLICY_H

/* Retry-After of the 503 of an adapter that stops, equal to the default of vestry's own 503. */
#define VSI_WEB_RETRY_AFTER_S "2"

/* The time for which a peer may leave bytes unacknowledged if there are no heartbeats to derive it from. */
enum { VSI_WEB_LOST_WITHOUT_HEARTBEAT_MS = 30000 };

/* The minimum of that time, however short the heartbeat interval is. TCP waits for a second before it retransmits lost
 * data (RFC 6298, 2.4), and a client whose processor is busy acknowledges late. */
enum { VSI_WEB_LOST_LEAST_MS = 2000 };

#endif
