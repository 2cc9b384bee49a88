//! A connection that is sent arbitrary bytes in arbitrary pieces, in stopped time.

#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use milena::net::{
    ConnectionContext, ConnectionLimits, Credits, LocalBoxFuture, LogGate, Reply, Service,
    Shutdown, Transport, serve,
};
use milena::protocol::{Response, parse_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Echo;

impl Service for Echo {
    fn may_pipeline(&self, frame: &[u8]) -> bool {
        frame.first().is_some_and(|byte| byte % 2 == 0)
    }

    fn call(&self, frame: Bytes) -> LocalBoxFuture<'static, Reply> {
        Box::pin(async move {
            match parse_request(frame.clone()) {
                Err(error) => Reply::Close(error.to_string()),
                Ok(head) if head.known => Reply::Respond(Response::from_bytes(frame)),
                Ok(_) => Reply::Silent,
            }
        })
    }
}

fuzz_target!(|input: (Vec<u8>, u8)| {
    let (bytes, piece) = input;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let context = ConnectionContext {
        limits: Arc::new(ConnectionLimits {
            frame_bytes_max: 1 << 20,
            ..ConnectionLimits::default()
        }),
        credits: Credits::new(1 << 16),
        shutdown: Shutdown::new(),
        complaints: Arc::new(LogGate::new(0)),
    };
    runtime.block_on(async {
        let (client, server) = tokio::io::duplex(4096);
        let (mut reading, mut writing) = tokio::io::split(client);
        let client = async move {
            let write = async move {
                for piece in bytes.chunks(usize::from(piece) + 1) {
                    if writing.write_all(piece).await.is_err() {
                        return;
                    }
                }
                writing.shutdown().await.ok();
            };
            let mut answers = Vec::new();
            let read = reading.read_to_end(&mut answers);
            tokio::join!(write, read).1.ok();
        };
        let serving = serve(Transport::Pipe(server), Echo, context);
        tokio::join!(client, serving);
    });
});
