//! sockudo-ws, its stream of messages: corked writes (its default) and its own publish/subscribe.

use peers::{BROADCAST, MAX_MESSAGE};
use sockudo_ws::pubsub::PubSub;
use sockudo_ws::{Config, Message, WebSocketStream};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::mpsc::unbounded_channel;

/// The one topic.
const TOPIC: &str = "all";

fn main() -> ExitCode {
    let pubsub = Arc::new(PubSub::new());
    peers::serve_with_timers(move |mut stream| {
        let pubsub = Arc::clone(&pubsub);
        async move {
            let (path, rest) = peers::sockudo::upgrade(&mut stream).await?;
            // Neither pings nor deadlines: nothing that the others do not do as well.
            let config = Config::builder()
                .max_payload_length(MAX_MESSAGE)
                .max_backpressure(2 * MAX_MESSAGE)
                .auto_ping(false)
                .idle_timeout(0)
                .write_coalescing(true)
                .build();
            let socket = WebSocketStream::from_raw_with_leftover(
                stream,
                sockudo_ws::Role::Server,
                config,
                (!rest.is_empty()).then(|| rest.freeze()),
            );
            let data = |message: &Message| message.is_text() || message.is_binary();
            if path == BROADCAST {
                let (sender, inbox) = unbounded_channel();
                let member = pubsub.create_subscriber(sender);
                pubsub.subscribe(member, TOPIC);
                let publish = |message: &Message| {
                    pubsub.publish(TOPIC, message.clone());
                };
                let done = peers::relay(socket, inbox, data, publish).await;
                pubsub.remove_subscriber(member);
                done?;
            } else {
                peers::echo(socket, data).await?;
            }
            Ok(())
        }
    })
}
