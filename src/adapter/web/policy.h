/* SPDX-License-Identifier: MIT */
/* What all web servers with vestry in them answer and promise alike. */
#ifndef VSI_WEB_POLICY_H
#define VSI_WEB_POLICY_H

/* What an adapter that stops says with its 503, as vestry's own 503 does by default. */
#define VSI_WEB_RETRY_AFTER_S "2"

/* So long a peer may leave bytes unacknowledged where no heartbeats give the measure. */
enum { VSI_WEB_LOST_WITHOUT_HEARTBEAT_MS = 30000 };

/* And at least so long, however short a heartbeat is: TCP waits for a second before it sends what was lost again
 * (RFC 6298, 2.4), and a client whose processor is busy acknowledges late. */
enum { VSI_WEB_LOST_LEAST_MS = 2000 };

#endif
