//! Where a request's head may hold a token, for those who can set one there.

/// The subprotocol that announces a token: a browser's script can set no header field, but offers
/// `["bearer", TOKEN]`. The server agrees on `bearer`, so that no answer repeats the token.
pub const BEARER: &str = "bearer";

/// The fields of a request's head that are looked at.
#[derive(Clone, Debug)]
pub struct Head<'h, P> {
    /// `Authorization`.
    pub authorization: Option<&'h [u8]>,
    /// `Cookie`.
    pub cookie: Option<&'h [u8]>,
    /// The subprotocols offered, in the client's order.
    pub protocols: P,
}

/// The token that a head offers: the one in `Authorization: Bearer TOKEN` (RFC 6750 2.1), else in
/// the cookie of this name, if one is named, else the subprotocol that follows [`BEARER`].
///
/// A cookie comes along whatever page opened the connection: whoever names one must know by the
/// request's origin that the page may.
pub fn offered<'h, P: Iterator<Item = &'h str>>(
    head: Head<'h, P>,
    cookie_name: Option<&str>,
) -> Option<&'h str> {
    let Head { authorization, cookie, mut protocols } = head;
    authorization
        .and_then(bearer)
        .or_else(|| in_cookies(cookie?, cookie_name?))
        .or_else(|| protocols.find(|&name| name == BEARER).and_then(|_| protocols.next()))
}

/// RFC 9110 11.1: a scheme, in any case, and what it needs.
fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, token) = str::from_utf8(value).ok()?.trim_ascii().split_once(' ')?;
    let token = token.trim_ascii_start();
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

/// RFC 6265 4.2.1: pairs with semicolons between them. The first of that name is the one with the
/// longest path.
fn in_cookies<'h>(value: &'h [u8], name: &str) -> Option<&'h str> {
    let pairs = str::from_utf8(value).ok()?.split(';');
    let mut named = pairs.filter_map(|pair| pair.trim_ascii().split_once('='));
    let (_, value) = named.find(|&(key, _)| key == name)?;
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Some(quoted.unwrap_or(value)).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look<'h>(
        authorization: &'h str,
        cookie: &'h str,
        protocols: &'h [&'h str],
    ) -> Option<&'h str> {
        let field = |text: &'h str| (!text.is_empty()).then_some(text.as_bytes());
        let head = Head {
            authorization: field(authorization),
            cookie: field(cookie),
            protocols: protocols.iter().copied(),
        };
        offered(head, Some("token"))
    }

    #[test]
    fn a_header_then_a_cookie_then_a_subprotocol() {
        let protocols = ["chat", "bearer", "p"];
        assert_eq!(look("Bearer h", "token=c", &protocols), Some("h"));
        assert_eq!(look("bEARER  h ", "", &[]), Some("h"));
        assert_eq!(look("Basic h", "token=c", &protocols), Some("c"));
        assert_eq!(look("", "a=b; token=\"c\"; token=d", &protocols), Some("c"));
        assert_eq!(look("", "tokens=c; xtoken=d; token=", &protocols), Some("p"));
        assert_eq!(look("Bearer", "token", &["bearer"]), None);
        assert_eq!(look("", "", &["p", "bearer"]), None);
        assert_eq!(look("", "", &[]), None);
    }

    #[test]
    fn no_cookie_is_looked_at_unless_one_is_named() {
        let protocols = std::iter::empty();
        let head = Head { authorization: None, cookie: Some(b"token=c"), protocols };
        assert_eq!(offered(head, None), None);
    }

    #[test]
    fn bytes_that_are_no_text_hold_no_token() {
        let head = Head {
            authorization: Some(b"Bearer \xff"),
            cookie: Some(b"token=\xff"),
            protocols: std::iter::empty(),
        };
        assert_eq!(offered(head, Some("token")), None);
    }
}
