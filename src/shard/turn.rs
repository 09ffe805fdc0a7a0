//! One connection's events, from its input to its App.

use super::app::App;
use super::context::Cx;
use super::core::Slot;
use super::slab::ConnId;
use crate::conn::{Control, Event, Gear, Input, Message};
use crate::wire::handshake::parse_request;

/// Feeds every event of the input to the App. Answers gather in the gear's stage.
#[inline]
pub(super) fn events<T, A: App>(
    slot: &mut Slot<T, A::State>,
    id: ConnId,
    gear: &mut Gear,
    app: &mut A,
    cx: &mut Cx<'_, A::Mail>,
    input: &mut Input<'_>,
) {
    loop {
        while let Some(whole) = slot.conn.next_whole(input, gear) {
            message(slot, id, whole, gear, app, cx);
        }
        let Some(event) = slot.conn.next(input, gear) else { return };
        handle(slot, id, event, gear, app, cx);
    }
}

#[inline]
fn message<T, A: App>(
    slot: &mut Slot<T, A::State>,
    id: ConnId,
    mut message: Message<'_>,
    gear: &mut Gear,
    app: &mut A,
    cx: &mut Cx<'_, A::Mail>,
) {
    if let Some(mut peer) = slot.peer(id, gear) {
        app.message(cx, &mut peer, &mut message);
    }
    message.reclaim(&mut gear.pool);
}

/// Any event.
#[inline(never)]
fn handle<T, A: App>(
    slot: &mut Slot<T, A::State>,
    id: ConnId,
    event: Event<'_>,
    gear: &mut Gear,
    app: &mut A,
    cx: &mut Cx<'_, A::Mail>,
) {
    match event {
        Event::Message(whole) => message(slot, id, whole, gear, app, cx),
        Event::Control(control) => {
            if matches!(control, Control::Ping(_)) {
                cx.counters().pings_in.add(1);
            }
            if let Some(mut peer) = slot.peer(id, gear) {
                app.control(cx, &mut peer, control);
            }
        }
        Event::Head(head) => upgrade(slot, id, &head, gear, app, cx),
        Event::Opened => opened(slot, id, gear, app, cx),
    }
}

/// Server: a whole request head. The App decides, the connection answers.
fn upgrade<T, A: App>(
    slot: &mut Slot<T, A::State>,
    id: ConnId,
    head: &[u8],
    gear: &mut Gear,
    app: &mut A,
    cx: &mut Cx<'_, A::Mail>,
) {
    let outcome = parse_request(head)
        .and_then(|request| app.accept(cx, &request).map(|welcome| (welcome, request.accept())));
    match outcome {
        Ok((welcome, key)) => {
            slot.conn.accept(&key, welcome.protocol.as_deref(), gear);
            slot.state = Some(welcome.state);
            opened(slot, id, gear, app, cx);
        }
        Err(refusal) => slot.conn.refuse(&refusal, gear),
    }
}

fn opened<T, A: App>(
    slot: &mut Slot<T, A::State>,
    id: ConnId,
    gear: &mut Gear,
    app: &mut A,
    cx: &mut Cx<'_, A::Mail>,
) {
    slot.opened = true;
    cx.counters().opened.add(1);
    cx.counters().open.add(1);
    if let Some(mut peer) = slot.peer(id, gear) {
        app.open(cx, &mut peer);
    }
}
