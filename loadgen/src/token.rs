//! Tokens that a rooms server asks for: one that was given, or one for each connection, signed with
//! the server's secret (RFC 7519, HS256 of RFC 7518 3.2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plimsoll::config::Secret;
use ring::hmac;

/// What connections show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Token {
    /// The same for all.
    Given(Secret),
    /// Signed with this secret for the user `loadgen-N`, N the connection's number; they do not
    /// expire.
    Signed(Secret),
}

impl Token {
    /// The token of a connection.
    pub(crate) fn of(&self, connection: u32) -> String {
        let secret = match self {
            Self::Given(token) => return token.expose().to_owned(),
            Self::Signed(secret) => secret,
        };
        let head = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"loadgen-{connection}"}}"#));
        let signed = format!("{head}.{claims}");
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll::auth::{Key, Rules, Verifier};

    #[test]
    fn a_signed_token_is_what_the_server_takes() {
        let token = Token::Signed("secret".into());
        assert_ne!(token.of(1), token.of(2), "each connection is a user of its own");
        let key = Key::secret(b"secret").unwrap();
        let rules = Rules { max_token: 1024, leeway_s: 0, audience: None, issuer: None };
        let verifier = Verifier::new(vec![key], rules).unwrap();
        let claims = verifier.connection(&token.of(7), 1_700_000_000).unwrap();
        assert_eq!((claims.user.as_str(), claims.expires), ("loadgen-7", None));
    }
}
