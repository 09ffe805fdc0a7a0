//! tokio-tungstenite: buffers of 128 KiB each way, its own advice for a high read load. With
//! `PEER_IDLE` set it reads into 4 KiB, its advice for many connections without such a load.

use peers::{BROADCAST, MAX_MESSAGE, Room};
use std::process::ExitCode;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

fn main() -> ExitCode {
    let room = Room::default();
    let idle = std::env::var_os("PEER_IDLE").is_some();
    let config = WebSocketConfig::default()
        .read_buffer_size(if idle { 4 * 1024 } else { 128 * 1024 })
        .write_buffer_size(128 * 1024)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    peers::serve(move |stream| {
        let room = room.clone();
        async move {
            let mut broadcast = false;
            #[expect(clippy::result_large_err, reason = "the library's own signature")]
            let look = |request: &Request, answer: Response| -> Result<_, ErrorResponse> {
                broadcast = request.uri().path() == BROADCAST;
                Ok(answer)
            };
            let socket = accept_hdr_async_with_config(stream, look, Some(config)).await?;
            let data = |message: &Message| message.is_text() || message.is_binary();
            if broadcast {
                peers::relay(socket, room.join(), data, |message| room.publish(message)).await?;
            } else {
                peers::echo(socket, data).await?;
            }
            Ok(())
        }
    })
}
