//! Tokens and comma lists of header fields (RFC 9110 5.6), walked in place.

/// Whether these bytes are a token: one character at least, none of them a separator.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| is_tchar(*b))
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The elements of a comma list. Empty ones are left out, as RFC 9110 5.6.1.2 asks.
///
/// Only for lists whose elements are tokens: a quoted string may hold a comma.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Whether a comma list holds this token, without regard to case.
pub(super) fn has_token(value: &[u8], token: &str) -> bool {
    elements(value).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// Whether a value is an `extension-list` (RFC 6455 9.1):
///
/// ```text
/// extension-list  = 1#extension
/// extension       = token *( ";" extension-param )
/// extension-param = token [ "=" ( token | quoted-string ) ]
/// ```
pub(super) fn is_extension_list(value: &[u8]) -> bool {
    let mut rest = value.trim_ascii();
    let mut seen = false;
    loop {
        // Empty elements may stand in a list, but one must not be.
        while let [b',', tail @ ..] = rest {
            rest = tail.trim_ascii_start();
        }
        if rest.is_empty() {
            return seen;
        }
        seen = true;
        let Some(after) = extension(rest) else { return false };
        rest = after;
        if !matches!(rest, [] | [b',', ..]) {
            return false;
        }
    }
}

/// What follows one extension with its parameters; `None` when it is not one.
fn extension(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = token(bytes)?.trim_ascii_start();
    while let [b';', tail @ ..] = rest {
        rest = token(tail.trim_ascii_start())?.trim_ascii_start();
        if let [b'=', tail @ ..] = rest {
            let tail = tail.trim_ascii_start();
            rest = match tail {
                [b'"', quoted @ ..] => quoted_string(quoted)?,
                _ => token(tail)?,
            };
            rest = rest.trim_ascii_start();
        }
    }
    Some(rest)
}

/// What follows a token; `None` when there is none.
fn token(bytes: &[u8]) -> Option<&[u8]> {
    let len = bytes.iter().take_while(|b| is_tchar(**b)).count();
    (len > 0).then(|| &bytes[len..])
}

/// What follows a quoted string, whose opening quote is behind us.
///
/// RFC 6455 9.1: the value after unescaping must be a token, so neither an escape of anything but a
/// token's character nor white space may stand in it.
fn quoted_string(mut bytes: &[u8]) -> Option<&[u8]> {
    let mut empty = true;
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] if !empty => return Some(rest),
            [b'\\', c, rest @ ..] | [c, rest @ ..] if is_tchar(*c) => rest,
            _ => return None,
        };
        empty = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        for good in ["a", "chat.v2", "!#$%&'*+-.^_`|~09AZ"] {
            assert!(is_token(good.as_bytes()), "{good}");
        }
        for bad in ["", " ", "a b", "a,b", "a/b", "é", "\"a\"", "a\x7f", "a\0"] {
            assert!(!is_token(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn token_lists() {
        for good in ["Upgrade", "keep-alive, Upgrade", ",,uPGRADE\t,", "a,upgrade , b"] {
            assert!(has_token(good.as_bytes(), "upgrade"), "{good}");
        }
        for bad in ["", "up grade", "upgrades", "upgrade/1", "keep-alive"] {
            assert!(!has_token(bad.as_bytes(), "upgrade"), "{bad}");
        }
    }

    #[test]
    fn extension_lists() {
        for good in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "a;b=1;c=\"2\" , , d ; e = f,",
            "foo; x=\"a\\b\"",
        ] {
            assert!(is_extension_list(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ",",
            ";",
            "a;",
            "a b",
            "a;b=",
            "a;=1",
            "a;b=\"\"",
            "a;b=\"1",
            "a;b=\"1,2\"",
            "a;b=\"\\",
            "a;b=c d",
            "a/b",
        ] {
            assert!(!is_extension_list(bad.as_bytes()), "{bad}");
        }
    }
}
