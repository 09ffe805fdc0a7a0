//! A token's three parts, and its claims as Centrifugo's libraries write them.

use std::collections::HashSet;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, Error, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::{ConnectionClaims, Fault, SubscriptionClaims};

/// A token taken apart; nothing of it is verified.
pub(super) struct Signed<'t> {
    pub(super) header: Header,
    /// Header and payload as they are signed.
    pub(super) message: &'t [u8],
    pub(super) signature: Vec<u8>,
    payload: &'t str,
}

/// The JOSE header, as far as it matters here.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    #[serde(default)]
    pub(super) kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

/// RFC 7515 7.1: the compact serialization.
pub(super) fn split(token: &str, max: usize) -> Result<Signed<'_>, Fault> {
    if token.len() > max {
        return Err(Fault::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Fault::NotCompact)?;
    let (header, payload) = message.split_once('.').ok_or(Fault::NotCompact)?;
    let signature = decode(signature)?;
    let header: Header = object(&decode(header)?).ok_or(Fault::Header)?;
    if header.crit {
        return Err(Fault::Critical);
    }
    Ok(Signed { header, message: message.as_bytes(), signature, payload })
}

impl Signed<'_> {
    pub(super) fn payload(&self) -> Result<Vec<u8>, Fault> {
        decode(self.payload)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Fault> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::NotCompact)
}

/// A JSON object. A list would do for serde as well: its items in the order of the fields.
pub(super) fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let begins = json.trim_ascii_start().first() == Some(&b'{');
    begins.then(|| serde_json::from_slice(json).ok())?
}

/// What a payload may claim, for both kinds of token: which kind it is of is told by `channel`.
#[derive(Deserialize)]
pub(super) struct Claims {
    #[serde(default, rename = "sub")]
    user: Option<String>,
    #[serde(default, rename = "exp")]
    pub(super) expires: Option<Date>,
    #[serde(default, rename = "nbf")]
    pub(super) not_before: Option<Date>,
    #[serde(default, rename = "iss")]
    pub(super) issuer: Option<String>,
    #[serde(default, rename = "aud")]
    pub(super) audience: Option<Audience>,
    /// When the connection or subscription is to be refreshed, if not at `exp`; 0: never.
    #[serde(default)]
    expire_at: Option<Date>,
    #[serde(default)]
    info: Option<Box<RawValue>>,
    #[serde(default)]
    channels: Option<Vec<String>>,
    /// Rooms with their options, of which none is read.
    #[serde(default)]
    subs: Option<Map<String, Value>>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    client: Option<String>,
}

impl Claims {
    /// Reads a verified payload.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Fault> {
        object(payload).ok_or(Fault::Claims)
    }

    pub(super) fn connection(self) -> Result<ConnectionClaims, Fault> {
        if self.channel.is_some() {
            return Err(Fault::ForSubscription);
        }
        let expires = self.refresh_at();
        let mut channels = self.channels.unwrap_or_default();
        channels.extend(self.subs.into_iter().flatten().map(|(name, _)| name));
        let mut seen = HashSet::new();
        channels.retain(|name| seen.insert(name.clone()));
        let user = self.user.unwrap_or_default();
        Ok(ConnectionClaims {
            user,
            expires,
            info: self.info.as_deref().map(|info| one_line(info.get())),
            channels,
        })
    }

    pub(super) fn subscription(self) -> Result<SubscriptionClaims, Fault> {
        let expires = self.refresh_at();
        let channel = self.channel.filter(|name| !name.is_empty()).ok_or(Fault::NoChannel)?;
        let user = self.user.unwrap_or_default();
        let info = self.info.as_deref().map(|info| one_line(info.get()));
        let client = self.client.filter(|client| !client.is_empty());
        Ok(SubscriptionClaims { user, channel, client, expires, info })
    }

    fn refresh_at(&self) -> Option<u64> {
        self.expire_at.or(self.expires).map(|date| date.0).filter(|&at| at > 0)
    }
}

/// Valid JSON as it was written, on one line: replies to clients are parted by line feeds, and JSON
/// has them between its tokens only (RFC 8259 7: inside a string they are escaped).
pub fn one_line(json: &str) -> Box<str> {
    json.replace(['\n', '\r'], " ").into()
}

/// RFC 7519 2, `NumericDate`: seconds, not always whole ones.
#[derive(Clone, Copy)]
pub(super) struct Date(pub(super) u64);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(from)?;
        // A cast from a float saturates: what is below 0 is long ago, what is beyond 2^64 is never.
        let seconds = number.as_u64().or_else(|| number.as_f64().map(|float| float as u64));
        seconds.map(Self).ok_or_else(|| D::Error::custom("not a date"))
    }
}

/// RFC 7519 4.1.3: one name or several.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    pub(super) fn holds(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(many) => many.iter().any(|one| one == name),
        }
    }
}

/// Whether a member is there, whatever its value.
pub(super) fn present<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(from).map(|_| true)
}
