//! The upgrade, both sides, resumable: a head is gathered as it trickles in and searched only once.

use std::borrow::Cow;
use std::rc::Rc;

use super::input::Input;
use crate::wire::handshake::{AcceptKey, ClientRequest, head_end};

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
    head: Vec<u8>,
    pub(super) asked: Option<Asked>,
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
    pub fn client(upgrade: Rc<Upgrade>) -> Self {
        let asked = Asked { upgrade, accept: AcceptKey([0; 28]) };
        Self { head: Vec::new(), asked: Some(asked) }
    }

    /// Takes bytes up to the end of the head: borrowed when all of it came in one read.
    pub(super) fn gather<'b>(
        &mut self,
        input: &mut Input<'b>,
        limit: usize,
    ) -> Result<Option<Cow<'b, [u8]>>, TooLarge> {
        let before = self.head.len();
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
        self.head.extend_from_slice(&input.rest()[..fits]);
        let end = head_end(&self.head, before);
        if end.unwrap_or(self.head.len()) > limit {
            return Err(TooLarge);
        }
        let Some(end) = end else {
            input.take(fits);
            return Ok(None);
        };
        input.take(end - before);
        self.head.truncate(end);
        Ok(Some(Cow::Owned(std::mem::take(&mut self.head))))
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
