/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "base/memory.h"
#include "base/refs.h"
#include "runtime/actor.h"
#include "runtime/runtime.h"

/* vestry_actor: an actor with a mailbox of messages, a queue like those of the pool.
 *
 * One reference count keeps the object alive. It counts the references of users, and the reference that vsi_actor holds
 * from READY to the end of the run. So when the last reference is dropped, no run is active or to come, and the thread
 * that drops it owns everything.
 *
 * A vestry_message is a vsi_job of the queue; the public type hides the members. */
_Static_assert(sizeof(vestry_message) == sizeof(vsi_job) && _Alignof(vestry_message) == _Alignof(vsi_job),
               "a message is a job");

struct vestry_actor {
  vsi_actor scheduled; /* first member: the class functions get a pointer to it */
  vsi_job_queue mailbox;
  _Atomic(size_t) references;
  vestry_runtime *runtime;
  const vestry_host *host; /* the runtime may be freed before the last reference is dropped */
  vestry_actor_options options;
  bool received; /* this run received a message; used by the run only */
};

static void class_ref(vsi_actor *scheduled) {
  /* relaxed: the caller has a reference already, so no ordering is needed. */
  VSI_REFS_TAKE(&((vestry_actor *)scheduled)->references);
}

static void class_unref(vsi_actor *scheduled) {
  (void)vestry_actor_unref((vestry_actor *)scheduled);
}

static void class_run(vsi_actor *scheduled) {
  vestry_actor *actor = (vestry_actor *)scheduled;
  actor->received = false;
  actor->options.run(actor, actor->options.ctx);
  /* Run again for messages that were left. But if no other reference to the actor is held and this run received
   * nothing, no later run would receive anything either, and the messages are dropped with the actor. (relaxed: a post
   * that is missed here is followed by its own notify; a holder that drops its reference now still counts here.) */
  if (atomic_load_explicit(&actor->mailbox.length, memory_order_relaxed) &&
      (actor->received || atomic_load_explicit(&actor->references, memory_order_relaxed) > 1))
    vsi_actor_notify(scheduled);
}

static const vsi_actor_class message_actor = {.run = class_run, .ref = class_ref, .unref = class_unref};

vestry_err vestry_actor_create(vestry_runtime *runtime, const vestry_actor_options *options, vestry_actor **ret_actor) {
  if (!runtime) return VESTRY_INVALID;
  vestry_actor_options own = options ? *options : (vestry_actor_options){0};
  if (!ret_actor || !own.run)
    return vsi_mistake(runtime->host, "vestry_actor_create", "ret_actor or options->run is NULL");
  if (vsi_runtime_is_closed(runtime)) return VESTRY_CLOSED;
  vestry_actor *actor = vsi_calloc(runtime->host, 1, sizeof *actor);
  if (!actor) return VESTRY_NO_MEMORY;
  vsi_actor_init(&actor->scheduled, &message_actor, &runtime->pool);
  vsi_job_queue_init(&actor->mailbox);
  VSI_REFS_INIT(&actor->references, 1);
  actor->runtime = runtime;
  actor->host = runtime->host;
  actor->options = own;
  *ret_actor = actor;
  return VESTRY_OK;
}

vestry_actor *vestry_actor_unref(vestry_actor *actor) {
  if (!actor || !VSI_REFS_DROP(&actor->references)) return NULL;
  const vestry_actor_options *options = &actor->options;
  for (vestry_message *left; (left = vestry_actor_receive(actor)) != NULL;)
    if (options->drop) options->drop(left, options->ctx);
  if (options->done) options->done(options->ctx);
  vsi_mutex_finish(&actor->mailbox.lock);
  vsi_free(actor->host, actor);
  return NULL;
}

vestry_err vsi_message_actor_put(vestry_actor *actor, vestry_message *message) {
  if (vsi_runtime_is_closed(actor->runtime)) return VESTRY_CLOSED;
  vsi_job_queue_push_one(&actor->mailbox, (vsi_job *)message);
  return VESTRY_OK;
}

vestry_err vestry_actor_post(vestry_actor *actor, vestry_message *message) {
  vestry_err error = vsi_message_actor_put(actor, message);
  if (!error) vsi_actor_notify(&actor->scheduled);
  return error;
}

bool vsi_message_actor_try_enter(vestry_actor *actor) {
  return vsi_actor_try_enter(&actor->scheduled);
}

void vsi_message_actor_release(vestry_actor *actor) {
  vsi_actor_release(&actor->scheduled);
}

void vestry_actor_notify(vestry_actor *actor) {
  vsi_actor_notify(&actor->scheduled);
}

vestry_message *vestry_actor_receive(vestry_actor *actor) {
  vsi_job *message = vsi_job_queue_pop(&actor->mailbox);
  actor->received |= message != NULL;
  return (vestry_message *)message;
}
