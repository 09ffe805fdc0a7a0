//! tokio-websockets: no splitting into frames and no limit, as in its own echo example.

use peers::{BROADCAST, Room};
use std::process::ExitCode;
use tokio_websockets::{Config, Limits, Message, ServerBuilder};

fn main() -> ExitCode {
    let room = Room::default();
    peers::serve(move |stream| {
        let room = room.clone();
        async move {
            let (request, socket) = ServerBuilder::new()
                .config(Config::default().frame_size(usize::MAX))
                .limits(Limits::unlimited())
                .accept(stream)
                .await?;
            let data = |message: &Message| message.is_text() || message.is_binary();
            if request.uri().path() == BROADCAST {
                peers::relay(socket, room.join(), data, |message| room.publish(message)).await?;
            } else {
                peers::echo(socket, data).await?;
            }
            Ok(())
        }
    })
}
