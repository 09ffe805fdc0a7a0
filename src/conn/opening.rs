//! The upgrade, both sides, resumable: a head is gathered as it trickles in and searched only once.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use super::Conn;
use super::closing::Phase;
use super::end::End;
use super::gear::Gear;
use super::input::Input;
use super::message::Event;
use crate::wire::handshake::{
    AcceptKey, ClientRequest, Refusal, Rejection, begins_like_an_answer, check_response, head_end,
};

/// What a client asks for, the same for many connections.
#[derive(Clone, Debug, Default)]
pub struct Upgrade {
    /// `Host`: name or address, with the port unless it is the scheme's own.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// `Origin`, if any.
    pub origin: Option<String>,
    /// Subprotocols in order of preference.
    pub protocols: Vec<String>,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
}

impl Upgrade {
    /// The borrowed form that the wire floor checks and writes.
    pub fn request(&self) -> ClientRequest<'_> {
        ClientRequest {
            host: &self.host,
            target: &self.target,
            origin: self.origin.as_deref(),
            protocols: &self.protocols,
            headers: &self.headers,
        }
    }
}

/// A handshake under way.
#[derive(Debug, Default)]
pub struct Opening {
    head: Kept,
    pub(super) asked: Option<Asked>,
}

/// Bytes of a head that came in pieces, counted in the shard's total for as long as they are here.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    total: Rc<Cell<usize>>,
}

impl Kept {
    /// Appends, with room for `most` bytes in all and never more.
    fn extend(&mut self, more: &[u8], most: usize) {
        let before = self.bytes.capacity();
        let need = self.bytes.len() + more.len();
        if need > before {
            let room = (2 * need).min(most).max(need);
            self.bytes.reserve_exact(room - self.bytes.len());
            self.total.set(self.total.get() + self.bytes.capacity() - before);
        }
        self.bytes.extend_from_slice(more);
    }

    fn take(&mut self) -> Vec<u8> {
        self.total.set(self.total.get() - self.bytes.capacity());
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.take();
    }
}

/// Client: what was asked, and what the answer must prove.
#[derive(Debug)]
pub(super) struct Asked {
    pub upgrade: Rc<Upgrade>,
    pub accept: AcceptKey,
}

/// The head is over its limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Opening {
    /// Client: will ask for `upgrade` once TCP is there.
    pub fn client(upgrade: Rc<Upgrade>, total: &Rc<Cell<usize>>) -> Self {
        let asked = Asked { upgrade, accept: AcceptKey([0; 28]) };
        Self { asked: Some(asked), ..Self::server(total) }
    }

    /// Server: waits for a request. `total` counts the head's bytes while they are kept.
    pub fn server(total: &Rc<Cell<usize>>) -> Self {
        let head = Kept { bytes: Vec::new(), total: Rc::clone(total) };
        Self { head, asked: None }
    }

    /// Bytes kept.
    pub(super) fn memory(&self) -> usize {
        self.head.bytes.capacity()
    }

    /// Takes bytes up to the end of the head: borrowed when all of it came in one read.
    pub(super) fn gather<'b>(
        &mut self,
        input: &mut Input<'b>,
        limit: usize,
    ) -> Result<Option<Cow<'b, [u8]>>, TooLarge> {
        let before = self.head.bytes.len();
        if before == 0
            && let Some(end) = head_end(input.rest(), 0)
        {
            return if end > limit {
                Err(TooLarge)
            } else {
                Ok(Some(Cow::Borrowed(input.take(end))))
            };
        }
        let fits = input.rest().len().min(limit + 1 - before);
        self.head.extend(&input.rest()[..fits], limit + 1);
        let end = head_end(&self.head.bytes, before);
        if end.unwrap_or(self.head.bytes.len()) > limit {
            return Err(TooLarge);
        }
        let Some(end) = end else {
            input.take(fits);
            return Ok(None);
        };
        input.take(end - before);
        let mut head = self.head.take();
        head.truncate(end);
        Ok(Some(Cow::Owned(head)))
    }
}

impl Conn {
    /// The peer's head, once it is all here: the server's App is shown it, the client checks it.
    pub(super) fn next_head<'b>(
        &mut self,
        input: &mut Input<'b>,
        gear: &mut Gear,
    ) -> Option<Event<'b>> {
        let limit = gear.settings.max_head;
        let Phase::Opening(opening) = &mut self.phase else { return None };
        // Whatever else a server says, a TLS alert or a banner, may never end as a head would.
        let said = opening.head.bytes.iter().chain(input.rest());
        if opening.asked.is_some() && !begins_like_an_answer(said) {
            self.gone(End::Rejected(Rejection::NotHttp));
            input.discard();
            return None;
        }
        match (opening.gather(input, limit), &opening.asked) {
            (Ok(None), _) => None,
            (Ok(Some(head)), None) => Some(Event::Head(head)),
            (Err(_), None) => {
                self.refuse(&Refusal::HeadTooLarge { limit }, gear);
                input.discard();
                None
            }
            (Ok(Some(head)), Some(asked)) => {
                match check_response(&head, &asked.accept, &asked.upgrade.protocols) {
                    Ok(_) => {
                        self.opened(gear);
                        Some(Event::Opened)
                    }
                    Err(rejection) => {
                        self.gone(End::Rejected(rejection));
                        input.discard();
                        None
                    }
                }
            }
            (Err(_), Some(_)) => {
                self.gone(End::Rejected(Rejection::HeadTooLarge { limit }));
                input.discard();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn a_head_in_any_two_pieces_leaves_what_follows() {
        for cut in 0..=HEAD.len() + 3 {
            let mut opening = Opening::default();
            let mut bytes = [HEAD, b"abc"].concat();
            let (first, second) = bytes.split_at_mut(cut);
            let mut head = None;
            let mut left = Vec::new();
            for piece in [first, second] {
                let mut input = Input::new(piece, 0);
                if head.is_none() {
                    head = opening.gather(&mut input, 100).unwrap().map(Cow::into_owned);
                }
                left.extend_from_slice(input.rest());
            }
            assert_eq!(head.as_deref(), Some(HEAD), "cut at {cut}");
            assert_eq!(left, b"abc", "cut at {cut}");
        }
    }

    #[test]
    fn what_is_kept_is_counted_and_bounded() {
        let total = Rc::new(Cell::new(0));
        let mut opening = Opening::server(&total);
        for _ in 0..99 {
            let mut byte = *b"a";
            assert!(opening.gather(&mut Input::new(&mut byte, 0), 99).unwrap().is_none());
            assert_eq!(total.get(), opening.memory());
        }
        assert!((99..=100).contains(&total.get()), "{} bytes for 99", total.get());
        drop(opening);
        assert_eq!(total.get(), 0);
        let mut opening = Opening::server(&total);
        for byte in HEAD {
            opening.gather(&mut Input::new(&mut [*byte], 0), 99).unwrap();
        }
        assert_eq!(total.get(), 0, "a head that was handed out is not kept any more");
    }

    #[test]
    fn a_head_over_the_limit_is_refused_however_it_comes() {
        for step in [1, 7, 1000] {
            let mut opening = Opening::default();
            let mut bytes = [b'a'; 200];
            let outcome = bytes.chunks_mut(step).try_for_each(|piece| {
                opening.gather(&mut Input::new(piece, 0), 99).map(|head| assert!(head.is_none()))
            });
            assert_eq!(outcome, Err(TooLarge), "in steps of {step}");
        }
        let mut whole = HEAD.to_vec();
        let exactly = HEAD.len();
        let mut gather =
            |limit| Opening::default().gather(&mut Input::new(&mut whole, 0), limit).is_ok();
        assert!(gather(exactly));
        assert!(!gather(exactly - 1));
    }
}
