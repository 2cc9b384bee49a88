//! Where actors live: here, or on an arbiter of their own.
//!
//! `broker.rs` starts the arbiters and hands placements in; tests place everything `Here`, on the
//! one thread whose time they have stopped.

use actix::prelude::*;
use actix_rt::ArbiterHandle;

/// A place for actors.
#[derive(Debug, Clone)]
pub enum Placement {
    /// The thread that starts the actor.
    Here,
    /// Another thread.
    On(ArbiterHandle),
}

impl Placement {
    /// Starts an actor there. The actor is made there too, so it need not be `Send`.
    pub fn start<A>(&self, make: impl FnOnce(&mut Context<A>) -> A + Send + 'static) -> Addr<A>
    where
        A: Actor<Context = Context<A>>,
    {
        match self {
            Placement::Here => A::create(make),
            Placement::On(arbiter) => A::start_in_arbiter(arbiter, make),
        }
    }

    /// Runs a function there.
    pub fn run(&self, function: impl FnOnce() + Send + 'static) {
        match self {
            Placement::Here => function(),
            // An arbiter that has ended takes nothing; the broker is stopping then.
            Placement::On(arbiter) => {
                arbiter.spawn_fn(function);
            }
        }
    }
}
