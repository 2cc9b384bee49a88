//! The actor of one connection: `net::connection::serve` with an address.
//!
//! Everything a connection does is one future, which this actor hosts, so that a panic in a handler
//! ends this connection and nothing else.

use actix::prelude::*;

use super::observe::PanicWatch;
use crate::net::{ConnectionContext, ConnectionSlot, Service, Transport, serve};

/// See the module.
pub struct ConnectionActor<S: Service> {
    parts: Option<(Transport, S, ConnectionContext)>,
    /// Counts the connection as open until the actor is gone.
    _slot: Option<ConnectionSlot>,
    _watch: PanicWatch,
}

impl<S: Service + Unpin> ConnectionActor<S> {
    /// A connection over `transport`, answered by `service`.
    pub fn new(
        transport: Transport,
        service: S,
        context: ConnectionContext,
        slot: Option<ConnectionSlot>,
        watch: PanicWatch,
    ) -> ConnectionActor<S> {
        ConnectionActor {
            parts: Some((transport, service, context)),
            _slot: slot,
            _watch: watch,
        }
    }
}

impl<S: Service + Unpin> Actor for ConnectionActor<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some((transport, service, context)) = self.parts.take() else {
            return ctx.stop();
        };
        let served = async move { serve(transport, service, context).await }.into_actor(self);
        ctx.spawn(served.map(|_, _, ctx| ctx.stop()));
    }
}
