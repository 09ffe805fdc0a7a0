//! Who may: JSON Web Tokens (RFC 7519) in the claims of Centrifugo, checked against keys.
//!
//! A leaf: no socket, no file, no clock; time is an argument, in seconds since the Unix epoch.
//!
//! # What is held to
//!
//! - A key carries its algorithm. A token's header only says which keys are tried: `none` is no
//!   algorithm here, and a public key never serves as a secret.
//! - A token is as long as [`Rules::max_token`] at most, which is checked before anything of it is
//!   decoded; nothing in it is believed, except which key to try, before its signature holds.
//! - No token, claim or key stands in an error's text, and none is shown by `Debug`.
//!
//! `exp` holds to the second: client libraries fetch a new token when one is refused as expired, so
//! a clock that is off costs them one more turn. `nbf` is forgiven [`Rules::leeway_s`], because for
//! an issuer whose clock is ahead there is no other way.

mod api_key;
mod jwks;
mod key;
mod offer;
mod pem;
mod token;

use std::fmt;

pub use api_key::ApiKey;
pub use key::{Algorithm, Key, KeyError};
pub use offer::{BEARER, Head, offered};
pub use token::one_line;

use token::Claims;

/// What every token is held to beside its signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Bytes of a token at most.
    pub max_token: usize,
    /// Seconds before its `nbf` from which a token is taken.
    pub leeway_s: u64,
    /// One of a token's `aud` must be this, if it is given.
    pub audience: Option<String>,
    /// A token's `iss` must be this, if it is given.
    pub issuer: Option<String>,
}

/// Keys, and the rules that tokens are checked by.
pub struct Verifier {
    keys: Vec<Key>,
    rules: Rules,
}

/// What a connection's token says of its holder.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ConnectionClaims {
    /// `sub`; empty for a user without a name.
    pub user: String,
    /// When the connection is to be refreshed: `expire_at`, or `exp`. `None`: never.
    pub expires: Option<u64>,
    /// `info`: JSON on one line, shown to others in a room.
    pub info: Option<Box<str>>,
    /// Rooms that the server subscribes the connection to: `channels` and the names in `subs`.
    pub channels: Vec<String>,
}

/// What a subscription's token says: who may be in which room.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SubscriptionClaims {
    /// `sub`: must be the connection's user.
    pub user: String,
    /// `channel`: must be the room asked for.
    pub channel: String,
    /// `client`: must be the connection's, if it is given.
    pub client: Option<String>,
    /// When the subscription is to be refreshed: `expire_at`, or `exp`. `None`: never.
    pub expires: Option<u64>,
    /// `info`: JSON on one line, shown to others in the room.
    pub info: Option<Box<str>>,
}

/// Why a token is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// It was good once: a new one helps.
    #[error("the token has expired")]
    Expired,
    /// It is not good.
    #[error("the token is not valid: {0}")]
    Invalid(Fault),
}

/// What is wrong with a token. Never holds a part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// Longer than [`Rules::max_token`].
    #[error("it is longer than tokens may be")]
    TooLong,
    /// RFC 7515 3.1: header, payload and signature, in base64url without padding.
    #[error("it is not three parts of base64url with dots between them")]
    NotCompact,
    /// RFC 7515 4: the header is a JSON object with `alg`, each member once.
    #[error("its header is not a JSON object with alg")]
    Header,
    /// RFC 7515 4.1.11: an extension that must be understood, and is not.
    #[error("its header has crit: no extension is understood here")]
    Critical,
    /// No key has its algorithm, or none under its `kid`.
    #[error("no key here goes with its alg and kid")]
    NoKey,
    /// The signature is not of this key or not of this content.
    #[error("its signature does not hold")]
    Signature,
    /// RFC 7519 4: the claims are a JSON object, each of its type and once.
    #[error("its claims are not a JSON object with each claim of its type")]
    Claims,
    /// Its `nbf` lies ahead.
    #[error("its nbf is in the future")]
    TooEarly,
    /// Its `aud` does not name this server.
    #[error("its aud is not this server's")]
    Audience,
    /// Its `iss` is another.
    #[error("its iss is not the one asked for")]
    Issuer,
    /// A connection's token with a `channel`: it was made for a subscription.
    #[error("it is for a subscription, not for a connection")]
    ForSubscription,
    /// A subscription's token without a `channel`.
    #[error("it has no channel: it is not for a subscription")]
    NoChannel,
}

impl Verifier {
    /// Checks tokens by these keys.
    ///
    /// # Errors
    /// There is no key, or two with the same algorithm and id: the second would never be tried.
    pub fn new(keys: Vec<Key>, rules: Rules) -> Result<Self, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::None);
        }
        for (at, key) in keys.iter().enumerate() {
            if key.id().is_some() && keys[..at].iter().any(|other| key.is_namesake(other)) {
                return Err(KeyError::Twice);
            }
        }
        Ok(Self { keys, rules })
    }

    /// Checks a connection's token at `now`.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn connection(&self, token: &str, now: u64) -> Result<ConnectionClaims, TokenError> {
        self.verified(token, now)?.connection().map_err(TokenError::Invalid)
    }

    /// Checks a subscription's token at `now`. Whether user, channel and client are those of the
    /// connection is the caller's to compare.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn subscription(&self, token: &str, now: u64) -> Result<SubscriptionClaims, TokenError> {
        self.verified(token, now)?.subscription().map_err(TokenError::Invalid)
    }

    /// The claims of a token whose signature and dates hold.
    fn verified(&self, token: &str, now: u64) -> Result<Claims, TokenError> {
        let signed = token::split(token, self.rules.max_token).map_err(TokenError::Invalid)?;
        let mut fault = Fault::NoKey;
        for key in key::candidates(&self.keys, &signed.header) {
            if key.verifies(signed.message, &signed.signature) {
                let payload = signed.payload().map_err(TokenError::Invalid)?;
                let claims = Claims::parse(&payload).map_err(TokenError::Invalid)?;
                return self.check(&claims, now).map(|()| claims);
            }
            fault = Fault::Signature;
        }
        Err(TokenError::Invalid(fault))
    }

    fn check(&self, claims: &Claims, now: u64) -> Result<(), TokenError> {
        // Whom it is for before how old it is: a client would fetch another of the same kind.
        if let Some(issuer) = &self.rules.issuer
            && claims.issuer.as_deref() != Some(issuer)
        {
            return Err(TokenError::Invalid(Fault::Issuer));
        }
        if let Some(audience) = &self.rules.audience
            && !claims.audience.as_ref().is_some_and(|named| named.holds(audience))
        {
            return Err(TokenError::Invalid(Fault::Audience));
        }
        //# RFC 7519 4.1.5: the time before which the JWT MUST NOT be accepted for processing.
        if claims.not_before.is_some_and(|date| date.0 > now.saturating_add(self.rules.leeway_s)) {
            return Err(TokenError::Invalid(Fault::TooEarly));
        }
        //# RFC 7519 4.1.4: the expiration time on or after which the JWT MUST NOT be accepted.
        if claims.expires.is_some_and(|date| date.0 <= now) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.keys).field("rules", &self.rules).finish()
    }
}

/// Whose they are is nobody's business in a log.
impl fmt::Debug for ConnectionClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionClaims").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// As of [`ConnectionClaims`].
impl fmt::Debug for SubscriptionClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionClaims").field("expires", &self.expires).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
