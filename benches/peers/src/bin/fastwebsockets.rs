//! fastwebsockets over hyper, as in its own echo example. It writes each frame as it comes; what
//! has been read but not parsed can't be seen from outside, so the answers can't be gathered.

use bytes::Bytes;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, WebSocket, WebSocketError,
};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use peers::{BROADCAST, MAX_MESSAGE, Room};
use std::future::ready;
use std::process::ExitCode;

/// A published message: whether it is text, and its payload.
type Published = (bool, Bytes);

fn main() -> ExitCode {
    let room = Room::default();
    peers::serve(move |stream| {
        let room = room.clone();
        async move {
            let service = service_fn(|request| ready(answer(request, &room)));
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await?;
            Ok(())
        }
    })
}

fn answer(
    mut request: Request<Incoming>,
    room: &Room<Published>,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let broadcast = request.uri().path() == BROADCAST;
    let (response, upgraded) = upgrade(&mut request)?;
    let room = room.clone();
    drop(tokio::spawn(tokio::task::unconstrained(async move {
        if broadcast { relay(upgraded, room).await } else { echo(upgraded).await }
    })));
    Ok(response)
}

async fn echo(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = upgraded.await?;
    configure(&mut socket);
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

async fn relay(upgraded: UpgradeFut, room: Room<Published>) -> Result<(), WebSocketError> {
    let mut socket = upgraded.await?;
    configure(&mut socket);
    let (receiver, mut sender) = socket.split(tokio::io::split);
    let mut receiver = FragmentCollectorRead::new(receiver);
    let mut inbox = room.join();
    drop(tokio::spawn(tokio::task::unconstrained(async move {
        while let Some((text, data)) = inbox.recv().await {
            let payload = Payload::Borrowed(&data);
            let frame = if text { Frame::text(payload) } else { Frame::binary(payload) };
            if sender.write_frame(frame).await.is_err() {
                return;
            }
        }
    })));
    loop {
        // The client sends no pings, so nothing is owed to it.
        let frame = receiver.read_frame::<_, WebSocketError>(&mut |_| async { Ok(()) }).await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => {
                let text = frame.opcode == OpCode::Text;
                room.publish(&(text, Bytes::from(Vec::from(frame.payload))));
            }
            _ => {}
        }
    }
}

/// Its defaults are its advice: vectored writes from 1 KiB up, and pongs and masks by itself.
fn configure<S>(socket: &mut WebSocket<S>) {
    socket.set_max_message_size(MAX_MESSAGE);
    socket.set_writev(true);
}
