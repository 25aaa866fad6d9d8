/* What the rest of the instance must know of a drain. */
#ifndef VSI_SERVE_DRAIN_H
#define VSI_SERVE_DRAIN_H

#include "instance/instance.h"

/* Whether one has begun. Only a first look: the group refuses by itself. Any thread. */
bool vsi_instance_is_draining(vestry *v);

/* What a 503 asks the client to wait: also for the end of the drain. Any thread. */
uint32_t vsi_instance_retry_after_s(vestry *v);

/* Free it, if there is one; before the runtime. */
void vsi_drain_destroy(vestry *v);

#endif
